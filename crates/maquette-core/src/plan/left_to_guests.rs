//! What a change leaves to guests. Maquette sets a guest up at its first boot; what it makes of a device that comes later is
//! its own affair, which is said, since nothing else shows it.

use std::collections::BTreeSet;

use super::{Action, LiveChange, Op, Plan};
use crate::blueprint::{Disk, Interface, Node};
use crate::hardware::Bus;
use crate::object::ObjectKind;
use crate::observed::Observed;
use crate::topology::SeedDrive;

/// What the guests of nodes that were changed in place have yet to do, in words, a line each.
pub fn left_to_guests(plan: &Plan, before: &Observed) -> Vec<String> {
    let changed = plan.changes.iter().filter(|c| c.kind == ObjectKind::Domain);
    let changed = changed.filter(|c| c.op == Op::Update).map(|c| c.name.as_str());
    let changed: BTreeSet<&str> = changed.collect();
    let larger: BTreeSet<(&str, &str)> =
        plan.steps.iter().filter_map(|s| larger(&s.action)).collect();
    let mut lines = Vec::new();
    let came: Vec<(&str, &Disk)> = plan.steps.iter().filter_map(|s| came(&s.action)).collect();
    for step in &plan.steps {
        let Action::DefineDomain { node, .. } = &step.action else { continue };
        if node.guest.is_none() || !changed.contains(node.name.as_str()) {
            continue;
        }
        if let Some(domain) = before.domains.get(&node.name) {
            let old = &domain.recorded.interfaces;
            let new = node.interfaces.iter().filter(|i| old.iter().all(|o| o.mac != i.mac));
            lines.extend(new.map(|i| nic(node, i)));
        }
        let root = node.disks.first().map(|disk| disk.device.as_str());
        let root = root.filter(|device| larger.contains(&(node.name.as_str(), *device)));
        lines.extend(root.map(|device| room(node, device)));
        let on_disk = node.guest.as_ref().is_some_and(|guest| guest.drive == SeedDrive::Disk);
        let disks = came.iter().filter(|(name, _)| on_disk && *name == node.name.as_str());
        lines.extend(disks.map(|(_, disk)| letter(node, disk)));
    }
    lines
}

/// The node that an action plugs a disk into while it runs, on the bus that its seed is on, and the disk.
fn came(action: &Action) -> Option<(&str, &Disk)> {
    let Action::ChangeDomain { name, change } = action else { return None };
    let LiveChange::AttachDisk { disk, .. } = change else { return None };
    (disk.bus == Bus::Virtio).then_some((name.as_str(), disk))
}

/// A seed on a disk has the letter behind those of the first disks, until the guest boots again.
fn letter(node: &Node, disk: &Disk) -> String {
    let (node, device) = (&node.name, &disk.device);
    let by_id = disk.serial.as_ref().map_or_else(String::new, |serial| {
        format!("; /dev/disk/by-id/virtio-{serial} is the disk in any case")
    });
    format!(
        "until `{node}` boots again, {device} has a later letter in it, since its seed is on a disk, too{by_id}"
    )
}

/// The node that an action tells of more room on a disk while it runs, and the disk.
fn larger(action: &Action) -> Option<(&str, &str)> {
    let Action::ChangeDomain { name, change } = action else { return None };
    let LiveChange::ResizeDisk { device, .. } = change else { return None };
    Some((name.as_str(), device.as_str()))
}

fn nic(node: &Node, interface: &Interface) -> String {
    let (node, nic) = (&node.name, &interface.name);
    let address = match interface.ipv4.address() {
        Some(address) => format!("; {address} is kept for it"),
        None => String::new(),
    };
    format!(
        "`{node}` may need {nic} set up in its guest: Maquette sets NICs up at the first boot only{address}"
    )
}

fn room(node: &Node, device: &str) -> String {
    let node = &node.name;
    format!(
        "the file system of `{node}` takes the new room of {device} at the next boot: `maquette restart {node}`"
    )
}
