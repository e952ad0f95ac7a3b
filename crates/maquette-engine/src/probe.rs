//! What a hypervisor is and has: everything is asked in one round trip.

mod bmcs;
mod daemons;
mod directories;
mod facts;
pub mod family;
mod images;
mod leases;
mod sections;
mod systems;
mod workers;
mod zones;

pub use daemons::Daemons;
pub use directories::{DIRECTORIES, directories, read_directories};
pub use facts::{
    Facts, KVM, NESTED_OPTIONS, Reach, SSH_LIMITS_BEGUN, SshLimits, gather, gather_for, read,
};
pub(crate) use leases::leases;
pub(crate) use sections::Sections;
pub use systems::systems;
pub use workers::Workers;
