//! Records that released versions wrote are still read. `records/VERSION` has what a version wrote; a new
//! schema adds a folder, and none is ever changed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics fails")]

use maquette_libvirt::xml::read::{self, Record};

#[test]
fn nodes_of_version_0_1() {
    let read = read::domain(include_str!("records/0.1.0/domain.xml")).unwrap();
    let Record::Good(record) = read.record else { panic!("{:?}", read.record) };
    assert_eq!((record.environment.to_string().as_str(), record.node.guest), ("lab", None));
    let read = read::domain(include_str!("records/0.1.0/guest.xml")).unwrap();
    let Record::Good(record) = read.record else { panic!("{:?}", read.record) };
    let guest = record.node.guest.unwrap();
    assert_eq!((guest.generation, guest.swap_mib), (None, 512));
    assert_eq!(record.node.interfaces[0].mtu, "9000".parse().ok());
    let image = record.node.disks[0].backing.as_ref().unwrap();
    assert_eq!(image.shown(), "https://***@host/x.qcow2?***");
}

#[test]
fn networks_of_version_0_1() {
    let read = read::network(include_str!("records/0.1.0/network.xml")).unwrap();
    let Record::Good(record) = read.record else { panic!("{:?}", read.record) };
    assert_eq!(record.environment.to_string(), "lab");
    assert_eq!(record.network.reservations.len(), 1);
}
