//! What `maquette virsh` and the verbs do alike: building, removing, showing what would be done.

pub mod answering;
pub mod build;
pub mod overview;
mod questions;
pub mod removal;
pub mod renewal;
pub mod show;
