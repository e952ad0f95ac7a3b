//! What `maquette virsh` and the verbs do alike: building, removing, showing what would be done.

pub mod answering;
pub mod build;
pub mod overview;
pub mod removal;
pub mod renewal;
pub mod show;
