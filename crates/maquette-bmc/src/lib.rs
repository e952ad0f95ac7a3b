//! A BMC for each node: Redfish and IPMI 2.0 in front of a domain, as real ones have it.
//!
//! [`machine::Machine`] is what a BMC can do with a domain, [`bmc::Bmc`] what it remembers and what its buttons do.
//! Redfish ([`redfish`]) and IPMI are functions from what was asked to what is answered; the sockets are in `serve`.

pub mod accounts;
pub mod bmc;
pub mod clock;
#[cfg(test)]
mod enemy;
pub mod guesses;
pub mod ipmi;
pub mod machine;
pub mod model;
pub mod reach;
pub mod redfish;
pub mod secret;
pub mod serve;
pub mod service;
mod stir;
pub mod store;
