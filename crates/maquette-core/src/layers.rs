//! Files and flags laid over each other: one tree in which every leaf still knows its place.

mod extra;
mod merge;

pub use extra::{ExtraVar, extra_vars, set};
pub use merge::{merge, merge_union};
