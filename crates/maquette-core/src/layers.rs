//! Files and flags laid over each other: one tree in which every leaf still knows its place.

mod extra;
mod index;
mod merge;

pub use extra::{ExtraVar, extra_vars, put};
pub use merge::merge;
