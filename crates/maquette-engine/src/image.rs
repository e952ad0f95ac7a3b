//! Base images: what a name means, bringing one into the pool, building one.

mod ask;
pub mod build;
pub mod catalogue;
mod checksum;
mod fetch;
mod fetch_shell;
mod leftovers;
mod source;
pub mod template;

pub use ask::{SCRIPT as ASK, Said, ask};
pub use fetch::{ENLARGE, Found, Limits, RECORDS, Transfer, Used, fetch, too_large, virtual_size};
pub use leftovers::{
    Below, below, below_and_real, forget, keep, kept, record, recorded, sweep, sweep_templates,
};
pub use source::{Looked, Origin, Resolved, Source, SourceError, look, resolve};
