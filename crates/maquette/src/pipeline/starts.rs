//! What new nodes can start from instead of booting.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::blueprint::{self, Blueprint, ColdReason, Image, Node, Template};
use maquette_core::capacity::Capacity;
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_core::settings::StartChoice;
use maquette_core::syntax::Sources;
use maquette_core::topology::SeedDrive;
use maquette_core::values::NodeName;
use maquette_engine::image::build::BUILDABLE;

use super::finish;
use crate::failure::Failure;
use crate::load::images::{Recorded, has_agent, may_have_agent};
use crate::session::Hypervisor;
use crate::world::{Environment, World};

/// What nodes start from, or why they boot.
type Found = BTreeMap<NodeName, Result<Template, ColdReason>>;

/// What new nodes can start from, or all of them. Who asks for that is told of one that cannot.
pub(super) fn templates(
    world: &World,
    (blueprint, observed, all): (&Blueprint, &Observed, bool),
    hypervisor: &Hypervisor,
) -> Result<Found, Failure> {
    if blueprint.start == StartChoice::Cold {
        return Ok(Found::new());
    }
    let fresh = if all { BTreeSet::new() } else { plan::fresh(blueprint, observed) };
    let is_meant = |node: &&Node| all || fresh.contains(node.name.as_str());
    let nodes = || blueprint.nodes.iter().filter(is_meant);
    let mut agents: BTreeMap<&Image, bool> = BTreeMap::new();
    let recorded = Recorded::of(&hypervisor.facts, &blueprint.pool);
    for image in nodes().filter_map(|n| n.disks.first()?.backing.as_ref()) {
        agents.entry(image).or_insert_with(|| has_agent(&world.environment, recorded, image));
    }
    // Nobody asks libvirt what does not matter.
    let matters =
        agents.values().any(|agent| *agent) || plan::has_templates(&blueprint.pool, observed);
    let emulator = match hypervisor.libvirt.as_ref().filter(|_| matters) {
        Some(server) => match server.emulator() {
            Err(e) if blueprint.start == StartChoice::Warm => {
                return Err(Failure::because("cannot look at the hypervisor", e));
            }
            emulator => emulator.ok(),
        },
        // Where it is not there yet, no template is, and which one would be made is not known.
        None => Some(String::new()),
    };
    let user = &world.environment;
    let start = |node: &Node| match &emulator {
        Some(emulator) => template(user, (blueprint, observed), node, &agents, emulator),
        None => Err(ColdReason::NoEmulator),
    };
    let found: Found = nodes().map(|node| (node.name.clone(), start(node))).collect();
    let mut diags = Diagnostics::default();
    let cold = found.iter().filter_map(|(name, start)| Some((name, start.as_ref().err()?)));
    for (name, why) in cold.filter(|_| blueprint.start == StartChoice::Warm) {
        diags.push(Diagnostic::warning("hypervisor::cold", format!("{name} boots: {why}")));
    }
    finish(world, diags, &Sources::default())?;
    Ok(found)
}

/// Warns where new nodes have their seed on a disk since it is not known that the system in their image finds a CD-ROM: it takes
/// a letter in the guest, of which disks that come later have the next.
pub(super) fn seeds_on_disks(blueprint: &Blueprint, observed: &Observed, diags: &mut Diagnostics) {
    let fresh = plan::fresh(blueprint, observed);
    let is_meant = |node: &&Node| {
        let is_chosen = blueprint.seed_drives.contains_key(&node.name);
        let on_disk = node.guest.as_ref().is_some_and(|g| g.drive == SeedDrive::Disk);
        fresh.contains(node.name.as_str()) && on_disk && !is_chosen
    };
    let nodes = blueprint.nodes.iter().filter(is_meant);
    let images: BTreeSet<&str> = nodes
        .filter_map(|n| n.disks.first()?.backing.as_ref())
        .map(|i| i.source.as_str())
        .collect();
    for image in images {
        let message = format!(
            "it is not known whether the system in image `{image}` finds a seed in a CD-ROM: its nodes have the seed on a \
             disk, which takes a letter there (`vdb` beside one disk)"
        );
        let warning = Diagnostic::warning("image::no-recipe", message).help(
            "`maquette image build` writes a `.recipe` beside an image, which belongs to a copy, too",
        );
        diags.push(match BUILDABLE.iter().any(|(known, _)| *known == image) {
            true => warning.help(format!("`maquette image build {image}` makes the image again")),
            false => warning,
        });
    }
}

/// Names of published images from which nodes are made that boot in full, and under which images with an agent can be built.
pub(super) fn buildable(blueprint: &Blueprint) -> BTreeSet<&str> {
    let lacks = |node: &&Node| {
        let start = blueprint.templates.get(&node.name);
        matches!(start, Some(Err(ColdReason::NoAgent)))
    };
    let images =
        blueprint.nodes.iter().filter(lacks).filter_map(|n| n.disks.first()?.backing.as_ref());
    let names = images.map(|image| image.source.as_str());
    names.filter(|name| BUILDABLE.iter().any(|(known, _)| known == name)).collect()
}

fn template(
    user: &Environment,
    (blueprint, observed): (&Blueprint, &Observed),
    node: &Node,
    agents: &BTreeMap<&Image, bool>,
    emulator: &str,
) -> Result<Template, ColdReason> {
    let digest = node.guest.as_ref().and_then(|guest| guest.first_boot);
    let first_boot = digest.and_then(|digest| blueprint.first_boots.get(&digest));
    let (pool, image) = (&blueprint.pool, node.disks.first().and_then(|d| d.backing.as_ref()));
    let has_agent = |image: &Image| agents.get(image).copied().unwrap_or(false);
    match blueprint::template(node, first_boot, pool, &has_agent, emulator) {
        Err(ColdReason::NoAgent) => {
            let there = plan::known_template(node, first_boot, pool, emulator, observed);
            there.ok_or_else(|| match image.is_some_and(|image| may_have_agent(user, image)) {
                true => ColdReason::OtherAgent,
                false => ColdReason::NoAgent,
            })
        }
        found => found,
    }
}

/// Has nodes boot for whose templates there is no memory.
pub(super) fn spare_memory(
    blueprint: &mut Blueprint,
    observed: &Observed,
    capacity: &Capacity<'_>,
) {
    for name in plan::without_memory(blueprint, observed, capacity) {
        blueprint.templates.insert(name, Err(ColdReason::NoMemory));
    }
}
