//! What a hypervisor is and has: everything is asked in one round trip.

mod daemons;
mod facts;
pub mod family;
mod sections;

pub use daemons::Daemons;
pub(crate) use facts::leases;
pub use facts::{Facts, KVM, NESTED_OPTIONS, Reach, SSH_LIMITS_BEGUN, SshLimits, gather, read};
pub(crate) use sections::Sections;
