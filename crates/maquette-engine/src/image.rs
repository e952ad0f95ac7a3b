//! Base images: what a name means, bringing one into the pool, building one.

pub mod build;
pub mod catalogue;
mod checksum;
mod fetch;
mod header;
mod source;

pub use fetch::{Transfer, Used, fetch, virtual_size};
pub use source::{Resolved, Source, SourceError, resolve};
