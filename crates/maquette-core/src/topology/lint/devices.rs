//! What disks are called in a guest, and what they are said to be.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Diagnostics, WITHOUT_EFFECT};
use crate::hardware::Bus;
use crate::topology::{Disk, Role, Topology};

/// Reports each disk that is another device than its `dev`, and each size that an image does not get.
pub(super) fn check(topology: &Topology, role: &Role, diags: &mut Diagnostics) {
    let mut used: BTreeMap<&str, u32> = BTreeMap::new();
    for disk in &role.disks {
        let bus = disk.bus.unwrap_or(topology.settings.disk_bus);
        let number = used.entry(bus.device_prefix()).or_default();
        device(role, disk, bus, *number, diags);
        *number += 1;
        size(role, disk, diags);
    }
}

fn device(role: &Role, disk: &Disk, bus: Bus, number: u32, diags: &mut Diagnostics) {
    let Some(dev) = disk.dev.as_ref().filter(|d| !d.value.trim().is_empty()) else { return };
    let (said, is) = (dev.value.trim().trim_start_matches("/dev/"), bus.device(number));
    if said == is {
        return;
    }
    let message =
        format!("disk `{}` of node type `{}` is /dev/{is}, not /dev/{said}", disk.key, role.file);
    // Files are written for one bus and used with another: the place is right all the same.
    let same_place = said.get(2..) == is.get(2..);
    let diagnostic = match same_place {
        true if disk.bus.is_none() => return,
        true => Diagnostic::warning(WITHOUT_EFFECT, message),
        false => Diagnostic::error(WITHOUT_EFFECT, message),
    };
    diags.push(
        diagnostic.at(dev.span, "").help(
            "disks are named in their order, those of each bus by themselves; leave `dev` out",
        ),
    );
}

fn size(role: &Role, disk: &Disk, diags: &mut Diagnostics) {
    let (Some(size), true) = (&disk.size, disk.import_url.is_some()) else { return };
    let message = format!(
        "disk `{}` of node type `{}` keeps the size of its image: `size` has no effect",
        disk.key, role.file
    );
    diags.push(Diagnostic::warning(WITHOUT_EFFECT, message).at(size.span, "").help(
        "`import_url` of the node type, instead of the disk, makes a disk of this size from it",
    ));
}
