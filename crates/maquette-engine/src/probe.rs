//! What a hypervisor is and has: everything is asked in one round trip.

mod daemons;
mod facts;
pub mod family;
mod sections;

pub use daemons::Daemons;
pub use facts::{Facts, KVM, Reach, SshLimits, gather, read};
