//! libvirt's XML: written from blueprints, read into observations. Pure.

pub mod cable;
mod domain;
pub mod metadata;
mod network;
pub mod read;
mod storage;
mod writer;

pub use domain::{disk, domain, found_disk, found_nic, interface, logs, serial_log, vnc};
pub use network::{host, network, srv};
pub use storage::{pool, seed_volume, volume};
pub use writer::Writer;
