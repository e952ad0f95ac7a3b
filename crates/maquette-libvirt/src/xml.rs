//! libvirt's XML: written from blueprints, read into observations. Pure.

mod domain;
pub mod metadata;
mod network;
pub mod read;
mod storage;
mod writer;

pub use domain::{domain, serial_log};
pub use network::{network, reservation_v4, reservation_v6};
pub use storage::{pool, seed_volume, volume};
pub use writer::Writer;
