//! What libvirt and QEMU of a hypervisor can do for guests, and which nodes ask for something else.

mod firmware;

use std::collections::{BTreeMap, BTreeSet};

use crate::blueprint::{Blueprint, Node};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::hardware::{Bus, VirtType};
use crate::observed::Observed;
use crate::topology::Topology;
use crate::virtopts::VirtOpt;
pub use firmware::{Firmware, Installed};

/// Modes of a CPU that are no models.
const MODES: [&str; 3] = ["host-passthrough", "host-model", "maximum"];

/// Machine types, each with the most vCPUs that it takes, if libvirt tells.
pub type Machines = BTreeMap<String, Option<u32>>;

/// What there is for guests of one machine type. What libvirt does not tell is empty, and counts as there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abilities {
    /// CPU models, and whether the hypervisor's own CPU has all that is in them.
    pub cpus: BTreeMap<String, bool>,
    /// Models of video devices.
    pub videos: BTreeSet<String>,
    /// Buses of disks.
    pub buses: BTreeSet<String>,
    /// Firmware and TPMs.
    pub firmware: Firmware,
}

/// What a hypervisor has to be asked about: machine types, and how nodes of them are run.
pub type Asked = BTreeSet<(VirtType, String)>;

/// What it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Machine types that it has.
    pub machines: Machines,
    /// What there is for guests of those that it was asked about; nothing of one that it does not have.
    pub abilities: BTreeMap<(VirtType, String), Abilities>,
}

/// Machine types of nodes about which a hypervisor has to be asked: of new nodes, and of those whose
/// hardware changes, that have more than every machine has.
pub fn asked(blueprint: &Blueprint, observed: &Observed) -> Asked {
    let all = blueprint.nodes.iter().filter(|node| node.virt != VirtType::Test);
    let new = all.filter(|node| is_changed(node, observed) && is_special(node));
    new.map(|node| (node.virt, node.machine.to_string())).collect()
}

fn is_changed(node: &Node, observed: &Observed) -> bool {
    observed.domains.get(&node.name).map(|domain| &domain.recorded).is_none_or(|old| {
        let buses = |node: &Node| node.disks.iter().map(|d| d.bus).collect::<Vec<_>>();
        let of =
            |node: &Node| (node.vcpus, node.machine.clone(), node.cpu_model.clone(), node.firmware);
        of(old) != of(node) || old.virtopts != node.virtopts || buses(old) != buses(node)
    })
}

/// What all machines have needs no question.
fn is_special(node: &Node) -> bool {
    const FEW: u32 = 64;
    node.machine.as_str() != "pc"
        || node.vcpus.get() > FEW
        || !MODES.contains(&node.cpu_model.as_str())
        || video(node).is_some()
        || firmware::is_uefi(node)
        || firmware::has_tpm(node)
}

fn video(node: &Node) -> Option<&str> {
    node.virtopts.iter().find_map(|option| match option {
        VirtOpt::Video(model) => Some(model.as_str()),
        _ => None,
    })
}

/// Reports what nodes ask for and the hypervisor neither has nor is given.
pub fn check(
    (topology, blueprint, observed): (&Topology, &Blueprint, &Observed),
    (known, installed): (&Known, Installed),
    diags: &mut Diagnostics,
) {
    let mut told = BTreeSet::new();
    for node in blueprint.nodes.iter().filter(|node| is_changed(node, observed)) {
        let key = (node.virt, node.machine.to_string());
        let Some(abilities) = known.abilities.get(&key) else { continue };
        let role = topology.roles.iter().find(|role| role.name.value == node.role);
        let mut all = lacks(node, &known.machines, abilities);
        all.extend(firmware::lacks(node, abilities, installed));
        for Lack { code, message, word, right, help } in all {
            if !told.insert(message.clone()) {
                continue;
            }
            let diagnostic = Diagnostic::error(code, message).suggest(word, right);
            let diagnostic = help.into_iter().fold(diagnostic, Diagnostic::help);
            diags.push(diagnostic.at_known(role.map(|role| role.span)));
        }
    }
}

/// Something that a node asks for and a hypervisor does not have.
#[derive(Default)]
struct Lack<'a> {
    code: &'static str,
    message: String,
    /// The word that is wrong, if there is one, and those that would be right.
    word: &'a str,
    right: Vec<&'a str>,
    help: Option<&'static str>,
}

fn lacks<'a>(node: &'a Node, machines: &'a Machines, abilities: &'a Abilities) -> Vec<Lack<'a>> {
    let (role, machine, cpu) = (&node.role, node.machine.as_str(), node.cpu_model.as_str());
    let mut lacks: Vec<Lack<'a>> = Vec::new();
    let lack = |code, message, word, right| Lack { code, message, word, right, help: None };
    let Some(most) = machines.get(machine) else {
        if !machines.is_empty() {
            let message = format!(
                "node type `{role}` asks for machine type `{machine}`, which the hypervisor's QEMU does not have"
            );
            let known = machines.keys().map(String::as_str).collect();
            lacks.push(lack("hypervisor::machine", message, machine, known));
        }
        return lacks;
    };
    if let Some(most) = most.filter(|most| node.vcpus.get() > *most) {
        let message = format!(
            "node type `{role}` asks for {} vCPUs, and machine type `{machine}` takes at most {most}",
            node.vcpus
        );
        lacks.push(lack("hypervisor::vcpus", message, "", Vec::new()));
    }
    let is_model = !MODES.contains(&cpu) && !abilities.cpus.is_empty();
    match abilities.cpus.get(cpu) {
        None if is_model => {
            let message = format!(
                "node type `{role}` asks for CPU model `{cpu}`, which the hypervisor's libvirt does not know"
            );
            let known = abilities.cpus.keys().map(String::as_str).collect();
            lacks.push(lack("hypervisor::cpu", message, cpu, known));
        }
        // The emulator leaves out what it does not have.
        Some(false) if node.virt == VirtType::Kvm => {
            let message = format!(
                "node type `{role}` asks for CPU model `{cpu}`, and the hypervisor's own CPU lacks some of it"
            );
            lacks.push(lack("hypervisor::cpu", message, "", Vec::new()));
        }
        _ => {}
    }
    let video = video(node).filter(|_| !abilities.videos.is_empty());
    if let Some(model) = video.filter(|model| !abilities.videos.contains(*model)) {
        let message = format!("the hypervisor's QEMU has no video device `{model}` (--virtopts)");
        let known = abilities.videos.iter().map(String::as_str).collect();
        lacks.push(lack("hypervisor::video", message, model, known));
    }
    let buses = node.disks.iter().map(|disk| disk.bus).filter(|_| !abilities.buses.is_empty());
    let buses: BTreeSet<&str> = buses.map(Bus::as_str).collect();
    for bus in buses.into_iter().filter(|bus| !abilities.buses.contains(*bus)) {
        let message = format!(
            "node type `{role}` has a disk on bus `{bus}`, which machine type `{machine}` does not have"
        );
        let known = abilities.buses.iter().map(String::as_str).collect();
        lacks.push(lack("hypervisor::bus", message, bus, known));
    }
    lacks
}
