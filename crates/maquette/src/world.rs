//! What a command reaches besides its arguments. It is handed in, so that all commands can be tried on a
//! hypervisor that is a model, by anybody.

mod terminal;

use std::sync::Arc;

use maquette_engine::host::{Hosts, hosts};
use maquette_libvirt::Driver;

pub use terminal::{Terminal, shown};

/// What a command reaches besides its arguments.
pub struct World {
    /// What the user sees and types.
    pub terminal: Arc<Terminal>,
    /// The machines that may be hypervisors.
    pub hosts: Arc<dyn Hosts>,
    /// The libvirt on them.
    pub libvirt: Arc<dyn Driver>,
}

impl World {
    /// That of this process.
    pub fn of_process() -> Self {
        Self {
            terminal: Arc::new(Terminal::of_process()),
            hosts: Arc::new(hosts::System),
            libvirt: Arc::new(maquette_libvirt::System),
        }
    }
}
