//! The driver of libvirt, from outside: on its test driver, on models, and in records that were written.
//!
//! One program: each file as a program of its own would be linked with all of the crate again.

mod bmc;
mod driver;
mod images;
mod keys;
mod killed;
mod killed_templates;
mod killer;
mod networks;
mod records;
mod stand_in;
