//! The hypervisor's own network: bridges, Open vSwitch, what goes through taps.

pub mod bridge;
pub mod vswitch;
