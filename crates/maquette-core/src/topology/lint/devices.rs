//! What disks are called in a guest, and what they are said to be; memory that a guest has to give back.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Diagnostics, WITHOUT_EFFECT};
use crate::hardware::Bus;
use crate::topology::virtopts::VirtOpt;
use crate::topology::{Disk, Preallocation, Role, Topology};
use crate::values::Serial;

/// Disks of the one IDE controller that a machine has.
const IDE_DISKS: u32 = 4;

/// Reports each disk that is another device than its `dev`, and what an image has decided already.
pub(super) fn check(topology: &Topology, role: &Role, diags: &mut Diagnostics) {
    let mut used: BTreeMap<&str, u32> = BTreeMap::new();
    for (i, disk) in role.disks.iter().enumerate() {
        let bus = disk.bus.unwrap_or(topology.settings.disk_bus);
        let number = used.entry(bus.device_prefix()).or_default();
        device(role, disk, bus, *number, diags);
        *number += 1;
        if bus == Bus::Ide && *number == IDE_DISKS + 1 {
            let message = format!(
                "disk `{}` of node type `{}` is the fifth on bus `ide`, whose controller has {IDE_DISKS}",
                disk.key, role.file
            );
            let diagnostic = Diagnostic::error("topology::disks", message).at(disk.span, "");
            diags.push(
                diagnostic.help("`bus: virtio`, `scsi` or `sata` of a disk has room for more"),
            );
        }
        size(role, disk, diags);
        // Of a disk's own image InfraRed did not ask for that, either, and its files say so.
        let is_of_image = i == 0 && role.deploy_os && disk.import_url.is_none();
        if is_of_image && disk.preallocation == Preallocation::Full {
            preallocated(role, disk, diags);
        }
    }
    serials(role, diags);
    balloon(topology, role, diags);
}

/// Two disks of one serial number would have one name in a guest.
fn serials(role: &Role, diags: &mut Diagnostics) {
    let mut seen: BTreeMap<Serial, &Disk> = BTreeMap::new();
    for disk in &role.disks {
        let serial = disk.serial.as_ref().map(|s| s.value.clone());
        let serial = serial.unwrap_or_else(|| Serial::of(&disk.key));
        let Some(first) = seen.insert(serial.clone(), disk) else { continue };
        let span = |disk: &Disk| disk.serial.as_ref().map_or(disk.span, |s| s.span);
        let message = format!(
            "disks `{}` and `{}` of node type `{}` both have the serial number `{serial}`",
            first.key, disk.key, role.file
        );
        diags.push(
            Diagnostic::error("topology::serial", message)
                .at(span(disk), "")
                .at(span(first), "the first is here")
                .help("a disk without `serial` has its key for one"),
        );
    }
}

/// Only the balloon takes memory back from a guest that runs, and it is as large as what `memory_max` adds.
fn balloon(topology: &Topology, role: &Role, diags: &mut Diagnostics) {
    let is_none = |option: &VirtOpt| matches!(option, VirtOpt::Balloon(model) if model == "none");
    if role.memory_max_mib.is_some() && topology.settings.virtopts.iter().any(is_none) {
        let message = format!(
            "node type `{}` has `memory_max`, and `--virtopts` takes its memory balloon away",
            role.file
        );
        diags.push(
            Diagnostic::error("topology::memory", message)
                .at(role.span, "")
                .help("leave `--memballoon none` out, or `memory_max`"),
        );
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
    // Node files are written for one bus and used with another: the place is right all the same. Who writes a project
    // means what it says.
    let same_place = said.get(2..) == is.get(2..);
    let diagnostic = match same_place {
        true if !role.described && disk.bus.is_none() => return,
        true if !role.described => Diagnostic::warning(WITHOUT_EFFECT, message),
        _ => Diagnostic::error(WITHOUT_EFFECT, message),
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

/// An overlay grows as its guest writes, whatever is asked for.
fn preallocated(role: &Role, disk: &Disk, diags: &mut Diagnostics) {
    let message = format!(
        "disk `{}` of node type `{}` is made from an image, and grows: `preallocation` has no effect",
        disk.key, role.file
    );
    let diagnostic = Diagnostic::warning(WITHOUT_EFFECT, message).at(disk.span, "");
    diags.push(diagnostic.help("a disk without an image is allocated at once, such as `disk2`"));
}
