//! Topology, blueprint and plan, from outside.
//!
//! One program: each file as a program of its own would be linked with all of the crate again.

mod abilities;
mod addresses;
mod bare_metal;
mod bmc;
mod borders;
mod capacity;
mod cases;
mod convert;
mod customize;
mod defaults;
mod described;
mod direct;
mod disk_pools;
mod doctor;
mod file_variables;
mod firewall;
mod first_boots;
mod follow_ups;
mod forwarding;
mod hardware;
mod hostile;
mod in_the_way;
mod key_changes;
mod layouts;
mod leased;
mod lifecycle;
mod mistakes;
mod moved;
mod narrow;
mod networks;
mod one_mistake;
mod planning;
mod scenarios;
mod share;
mod templates;
mod trust;
mod user_data;
mod vbmc;
mod virtopts;
mod warm;
mod warm_room;
mod warm_worth;
mod without_effect;
