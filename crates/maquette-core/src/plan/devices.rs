//! What a domain is made of against what it should be made of.

use std::collections::BTreeSet;
use std::fmt;

use super::LiveChange;
use crate::blueprint::{Interface, Node, Pool};
use crate::observed::{Domain, Hardware, Nic};

/// What is not as Maquette has left it in a domain's definition, or in what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deviation {
    /// It has so many MiB of memory.
    Memory(u64),
    /// It has so many vCPUs.
    Vcpus(u32),
    /// Something became of a device, which is named for people.
    Device(String, Became),
    /// Its devices are in another order.
    Order,
    /// It starts from a template, and some of its devices have not come yet.
    Incomplete,
}

/// What became of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    /// It is not there.
    TakenOut,
    /// It is another one.
    Changed,
    /// It is there, and should not be.
    PutIn,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(mib) => write!(f, "memory was changed to {mib} MiB outside Maquette"),
            Self::Vcpus(vcpus) => write!(f, "vCPUs were changed to {vcpus} outside Maquette"),
            Self::Device(what, became) => {
                let became = match became {
                    Became::TakenOut => "taken out",
                    Became::Changed => "changed",
                    Became::PutIn => "put in",
                };
                write!(f, "{what} was {became} outside Maquette")
            }
            Self::Order => f.write_str("the order of its devices was changed outside Maquette"),
            Self::Incomplete => f.write_str("it does not have all of its devices yet"),
        }
    }
}

/// Everything that somebody changed in a domain. `found` is its definition or what runs.
pub(super) fn drift(expected: &Hardware, found: &Hardware) -> Vec<Deviation> {
    // Devices are compared below.
    let Hardware { maximum_mib, memory_mib, vcpus, disks: _, nics: _ } = found;
    let mut all = Vec::new();
    if *maximum_mib != expected.maximum_mib || *memory_mib != expected.memory_mib {
        all.push(Deviation::Memory(*memory_mib));
    }
    if *vcpus != expected.vcpus {
        all.push(Deviation::Vcpus(*vcpus));
    }
    all.extend(devices(expected, found));
    all
}

/// The same for disks and interfaces.
fn devices(expected: &Hardware, found: &Hardware) -> Vec<Deviation> {
    let mut changes = Vec::new();
    let mut note = |what: String, became: Became| changes.push(Deviation::Device(what, became));
    for disk in &expected.disks {
        match found.disks.iter().find(|d| d.file == disk.file) {
            None => note(format!("disk {}", disk.device), Became::TakenOut),
            Some(other) if other != disk => note(format!("disk {}", disk.device), Became::Changed),
            Some(_) => {}
        }
    }
    for disk in found.disks.iter().filter(|d| !expected.disks.iter().any(|e| e.file == d.file)) {
        let file = disk.file.rsplit('/').next().unwrap_or_default();
        note(format!("disk {file}"), Became::PutIn);
    }
    for nic in &expected.nics {
        match found.nics.iter().find(|n| n.mac == nic.mac) {
            None => note(named(nic), Became::TakenOut),
            Some(other) if other != nic => note(named(nic), Became::Changed),
            Some(_) => {}
        }
    }
    for nic in found.nics.iter().filter(|n| !expected.nics.iter().any(|e| e.mac == n.mac)) {
        note(named(nic), Became::PutIn);
    }
    if changes.is_empty() && (found.nics != expected.nics || found.disks != expected.disks) {
        changes.push(Deviation::Order);
    }
    changes
}

/// The same of what runs. What starts from a template gets its devices one after the other: what it lacks until its first
/// boot was seen to end, nobody took out.
pub(super) fn running(domain: &Domain, expected: &Hardware, live: &Hardware) -> Vec<Deviation> {
    let live = &in_order(domain, expected, live);
    let all = devices(expected, live);
    let has_fewer =
        live.disks.len() < expected.disks.len() || live.nics.len() < expected.nics.len();
    let has_no_other = live.disks.iter().all(|d| expected.disks.contains(d))
        && live.nics.iter().all(|n| expected.nics.contains(n));
    let is_starting = !domain.ready && domain.recorded.guest.is_some();
    match is_starting && has_fewer && has_no_other {
        true => vec![Deviation::Incomplete],
        false => all,
    }
}

/// What runs, with its NICs in the order of its definition where Maquette sets its guest up, which knows each by its MAC: those that
/// are in a template's memory come before those that are plugged in, whatever their order, until the next boot.
fn in_order(domain: &Domain, expected: &Hardware, live: &Hardware) -> Hardware {
    let mut live = live.clone();
    if domain.recorded.guest.is_some() {
        let place = |nic: &Nic| expected.nics.iter().position(|e| e.mac == nic.mac);
        live.nics.sort_by_key(|nic| place(nic).unwrap_or(usize::MAX));
    }
    live
}

/// A disk that runs on a file that is not ours in the place of one that is, as after an external
/// snapshot. Going back to ours would lose what was written since.
pub(super) fn foreign_disk(domain: &Domain) -> Option<String> {
    let expected = Hardware::of(&domain.recorded, &domain.pool);
    let found = std::iter::once(&domain.defined).chain(&domain.live).flat_map(|h| &h.disks);
    for disk in found {
        let own = expected.disks.iter().find(|e| e.device == disk.device);
        if own.is_some_and(|own| own.file != disk.file) {
            let (device, file) = (&disk.device, &disk.file);
            return Some(format!("left alone: {device} is on {file}, which is not Maquette's"));
        }
    }
    None
}

/// How a running domain gets the hardware it shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gap {
    /// It has it.
    None,
    /// By changes that the guest lives through.
    Live {
        /// These.
        changes: Vec<LiveChange>,
        /// Why, but for what somebody else changed.
        reasons: Vec<String>,
        /// What somebody else changed.
        by_hand: Vec<Deviation>,
    },
    /// By a restart: what somebody else changed, and what stands in the way.
    Restart(Vec<Deviation>, String),
}

/// Looks for the least that has to be done to a running domain.
pub(super) fn gap(domain: &Domain, live: &Hardware, node: &Node, pool: &Pool) -> Gap {
    let (old, wanted) = (&domain.recorded, Hardware::of(node, pool));
    let expected = Hardware::of(old, &domain.pool);
    let live = &in_order(domain, &expected, live);
    // How much of its memory it uses now is the guest's own business; devices are compared below.
    let Hardware { maximum_mib, memory_mib: _, vcpus, disks: _, nics: _ } = live;
    if *vcpus != wanted.vcpus {
        let mut by_hand = Vec::new();
        if *vcpus != old.vcpus.get() {
            by_hand.push(Deviation::Vcpus(*vcpus));
        }
        by_hand.extend(running(domain, &expected, live));
        return Gap::Restart(by_hand, format!("vCPUs: {vcpus} → {}", wanted.vcpus));
    }
    let mut changes = Vec::new();
    let mut reasons = Vec::new();
    if old.memory_mib != wanted.memory_mib || *maximum_mib < wanted.memory_mib {
        let why = format!("memory: {} MiB → {} MiB", old.memory_mib, wanted.memory_mib);
        // A guest without an operating system of ours may not know how to give memory back, unless its owner says so.
        let gives_back = node.deploy_os || node.memory_max_mib.is_some();
        if *maximum_mib < wanted.memory_mib || !gives_back {
            return Gap::Restart(running(domain, &expected, live), why);
        }
        changes.push(LiveChange::Memory { mib: wanted.memory_mib });
        reasons.push(why);
    }
    if old.vnc.tag != node.vnc.tag {
        changes.push(LiveChange::Vnc { vnc: node.vnc.clone() });
        reasons.push("the VNC password changes".into());
    }
    // What the user changed explains the difference; what he did not, somebody else did.
    let by_hand = running(domain, &expected, live);
    match disks(live, &wanted, node, pool) {
        Err(why) => return Gap::Restart(by_hand, why),
        Ok(found) => changes.extend(found),
    }
    match nics(live, &wanted, (old, node)) {
        Err(why) => return Gap::Restart(by_hand, why),
        Ok(found) => changes.extend(found),
    }
    let (resized, larger): (Vec<LiveChange>, Vec<String>) = grown(old, node).unzip();
    changes.extend(resized);
    if changes.is_empty() {
        return Gap::None;
    }
    let is_plugged = |c: &&LiveChange| {
        use LiveChange::{Memory, ResizeDisk, Vnc};
        !matches!(c, Memory { .. } | ResizeDisk { .. } | Vnc { .. })
    };
    let plugged = changes.iter().filter(is_plugged).map(LiveChange::describe);
    if by_hand.is_empty() {
        reasons.extend(plugged.chain(larger));
    }
    Gap::Live { changes, reasons, by_hand }
}

/// Disks that shall be larger than they are recorded: the change, and its words.
fn grown(old: &Node, new: &Node) -> impl Iterator<Item = (LiveChange, String)> {
    new.disks.iter().filter_map(|disk| {
        let before = old.disks.iter().find(|d| d.volume == disk.volume)?;
        let size = disk.size.filter(|size| before.size != Some(*size))?;
        let change = LiveChange::ResizeDisk { device: disk.device.clone(), bytes: size.0 };
        let words = match before.size {
            Some(before) => format!("{}: {before} → {size}", disk.device),
            None => change.describe(),
        };
        Some((change, words))
    })
}

/// Whether something can be plugged into a machine type while it runs. Each port of a PCI Express
/// machine takes one device, and libvirt makes no more of them than are used.
fn pluggable(machine: &str) -> bool {
    !machine.contains("q35")
}

/// Whether a bus takes disks while the guest runs.
fn hot_bus(bus: &str, live: &Hardware) -> bool {
    match bus {
        "virtio" => true,
        // Its controller is there only if a disk, or the seed, was on it from the start.
        "scsi" => live.disks.iter().any(|d| d.bus == "scsi"),
        _ => false,
    }
}

fn disks(
    live: &Hardware,
    wanted: &Hardware,
    node: &Node,
    pool: &Pool,
) -> Result<Vec<LiveChange>, String> {
    let mut changes = Vec::new();
    for disk in &live.disks {
        match wanted.disks.iter().find(|d| d.file == disk.file) {
            Some(other) if other == disk => {}
            Some(_) => return Err(format!("disk {} is attached differently", disk.device)),
            // Only an operating system lets go of a device.
            None if node.deploy_os && hot_bus(&disk.bus, live) && pluggable(&node.machine) => {
                let (file, device) = (disk.file.clone(), disk.device.clone());
                changes.push(LiveChange::DetachDisk { file, device });
            }
            None => return Err(format!("disk {} goes", disk.device)),
        }
    }
    let there: BTreeSet<&str> = live.disks.iter().map(|d| d.file.as_str()).collect();
    for disk in wanted.disks.iter().filter(|d| !there.contains(d.file.as_str())) {
        let own = node.disks.iter().find(|d| d.device == disk.device);
        let hot = hot_bus(&disk.bus, live) && pluggable(&node.machine);
        match own.filter(|_| hot) {
            Some(own) => changes
                .push(LiveChange::AttachDisk { disk: Box::new(own.clone()), pool: pool.clone() }),
            None => return Err(format!("disk {} comes", disk.device)),
        }
    }
    Ok(changes)
}

/// An interface, for people: with what it is plugged into, since nobody knows addresses by heart.
fn named(nic: &Nic) -> String {
    let network = nic.network.strip_prefix("bridge/").unwrap_or(&nic.network);
    match network.is_empty() {
        true => format!("interface {}", nic.mac),
        false => format!("interface {} ({network})", nic.mac),
    }
}

fn nics(
    live: &Hardware,
    wanted: &Hardware,
    (old, node): (&Node, &Node),
) -> Result<Vec<LiveChange>, String> {
    let mut changes = Vec::new();
    let mut result: Vec<&Nic> = Vec::new();
    let hot = pluggable(&node.machine);
    for nic in &live.nics {
        match wanted.nics.iter().find(|n| n.mac == nic.mac) {
            Some(other) if other == nic => result.push(nic),
            Some(_) => return Err(format!("{} is attached differently", named(nic))),
            None if node.deploy_os && hot => {
                let own = old.interfaces.iter().find(|i| i.mac == nic.mac);
                let what = own.map_or_else(|| named(nic), Interface::shown);
                changes.push(LiveChange::DetachInterface { mac: nic.mac, what });
            }
            None => return Err(format!("{} goes", named(nic))),
        }
    }
    for nic in &wanted.nics {
        if result.iter().any(|n| n.mac == nic.mac) {
            continue;
        }
        let own = node.interfaces.iter().find(|i| i.mac == nic.mac);
        match own.filter(|_| hot) {
            Some(own) => changes.push(LiveChange::AttachInterface { interface: own.clone() }),
            None => return Err(format!("{} comes", named(nic))),
        }
        result.push(nic);
    }
    // What is plugged in comes last; a guest counts its interfaces.
    let order = |list: &[&Nic]| list.iter().map(|n| n.mac).collect::<Vec<_>>();
    if order(&result) != wanted.nics.iter().map(|n| n.mac).collect::<Vec<_>>() {
        return Err("the order of its interfaces changes".into());
    }
    Ok(changes)
}
