//! The hypervisor's own network: bridges, Open vSwitch, what goes through taps.

pub mod bridge;
pub mod capture;
pub mod netem;
pub mod tftp;
pub mod vswitch;
