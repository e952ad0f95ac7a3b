//! What the model's libvirt says of its domains to whoever looks for what is wrong.

use maquette_core::doctor::{Frames, NodeSigns};
use maquette_core::observed::Domain;
use maquette_core::units::MacAddr;

use crate::Machine;

/// States with their reasons, and counters of devices.
pub fn of(machine: &Machine, domain: &Domain, found: &mut NodeSigns) {
    found.power = machine.powers.get(domain.name.as_str()).cloned();
    let Some(live) = &domain.live else { return };
    found.reads = Some(if machine.unread.contains(domain.name.as_str()) { 3 } else { 500 });
    let sent = |mac: &MacAddr| if machine.mute.contains(mac) { 0 } else { 40 };
    let nics = live.nics.iter().map(|nic| nic.mac);
    found.frames = nics.map(|mac| (mac, Frames { sent: sent(&mac), received: 7 })).collect();
}

/// What it has of an object, with what should not come out of it.
pub fn definition(name: &str) -> String {
    let image = "<node image='https://u:CANARY@h/x.qcow2?sig=CANARY'/>";
    format!("<name>{name}</name>\n<graphics passwd='CANARY'/>{image}\n")
}
