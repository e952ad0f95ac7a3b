//! libvirt's XML: written from blueprints, read into observations. Pure.

pub mod abilities;
pub mod boot;
mod domain;
pub mod layout;
pub mod metadata;
mod network;
pub mod nic;
mod parts;
pub mod read;
pub mod saved;
mod storage;
pub mod warm;
mod writer;

use maquette_engine::ssh_keys::RecordKey;

pub use domain::{
    Mark, SERIAL_LOGS, disk, domain, domain_made, found_disk, found_nic, interface, logs, reason,
    record, serial_log, serial_logs, vnc,
};
pub use network::{network, reservation, srv};
pub use storage::{pool, seed_volume, volume};
pub use writer::Writer;

/// An object's XML with a seal on its record, where the key of the environment's records is known.
pub fn sealed(xml: String, key: Option<&RecordKey>) -> String {
    key.and_then(|key| metadata::seal::sealed(&xml, key)).unwrap_or(xml)
}
