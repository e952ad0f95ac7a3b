//! What a command reaches besides its arguments. It is handed in, so that all commands can be tried on a
//! hypervisor that is a model, by anybody.

mod terminal;

use std::sync::Arc;

pub use terminal::{Terminal, shown};

/// What a command reaches besides its arguments.
pub struct World {
    /// What the user sees and types.
    pub terminal: Arc<Terminal>,
}

impl World {
    /// That of this process.
    pub fn of_process() -> Self {
        Self { terminal: Arc::new(Terminal::of_process()) }
    }
}
