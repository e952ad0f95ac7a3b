//! Which nodes start from a template instead of booting, and why others do not. The steps of one are in
//! `warm_start.rs`; its memory image is checked where it is read, in maquette-libvirt's `perform/memory_image.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::node_change::{NodeChange, NodeChanges, node_changes};
use super::ready::readiness;
use super::{Action, Builder, Change, Op, Plan, describe};
use crate::blueprint::{
    self, Blueprint, ColdReason, Earlier, Image, ImageOrigin, Node, Pool, Template, TemplatePart,
};
use crate::capacity::{self, Capacity};
use crate::object::ObjectKind;
use crate::observed::Observed;
use crate::seed::template_files;
use crate::settings::StartChoice;
use crate::start_times::How;
use crate::topology::FirstBoot;
use crate::units::MIB;
use crate::values::NodeName;

/// Why templates are made.
const REASON: &str = "nodes start from it";

/// The same where there is one already, which is of no use.
const ANEW: &str = "nodes start from it, and the one that is there was made with another libvirt, QEMU, CPU or Maquette";

/// Why those are that no node of this plan starts from.
pub(super) const LATER: &str = "the next nodes start from it";

/// Room in bytes that a template's disk has for what a system writes when it boots.
const WRITTEN: u64 = 64 * MIB;

/// How many bytes a node's memory is thought to take as a file, which has no room for what was never touched: booting
/// touches much the same whatever there is, and what Linux knows of each page grows with their number. Should it be more,
/// the template is not made, and nodes boot.
fn image_bytes(node: &Node) -> u64 {
    let all = node.maximum_mib().saturating_mul(MIB);
    all.min((512 * MIB).saturating_add(all / 16))
}

/// What new nodes start from, or why they boot, by their names; nothing where everything boots.
pub(super) fn starts(
    blueprint: &Blueprint,
    observed: &Observed,
    node_changes: &NodeChanges,
) -> Starts {
    if blueprint.start == StartChoice::Cold {
        let all = new(blueprint, observed, node_changes).into_iter();
        return all.map(|node| (node.name.clone(), Err(ColdReason::Asked))).collect();
    }
    let failure = |template: &Template| {
        // Whoever insists has it tried again.
        let known = observed.starts.failure(template);
        known.filter(|_| blueprint.start != StartChoice::Warm)
    };
    let gone = |template: &Template| {
        let has = |volume: &str| observed.has_volume(&blueprint.pool, volume);
        let left = has(&template.disk()) && !has(&template.memory());
        let known = observed.starts.gone(template);
        known.filter(|_| left && blueprint.start != StartChoice::Warm)
    };
    let able = |node: &Node| match blueprint.templates.get(&node.name)? {
        Ok(_) if is_elsewhere(node, blueprint, observed) => Some(Err(ColdReason::Pool)),
        // Where it answers is known beforehand or reported: else nobody can tell when it is ready.
        Ok(_) if readiness(node).is_none() => Some(Err(ColdReason::NoAddress)),
        Ok(template) => Some(match (gone(template), failure(template)) {
            (Some(why), _) => Err(ColdReason::MemoryGone(why.into())),
            (None, Some(why)) => Err(ColdReason::Failed(why.into())),
            (None, None) => Ok(template.clone()),
        }),
        cold => Some(cold.clone()),
    };
    let new = new(blueprint, observed, node_changes);
    let mut found: Starts =
        new.into_iter().filter_map(|node| Some((node.name.clone(), able(node)?))).collect();
    let not_worth = not_worth(blueprint, observed, &found);
    for start in found.values_mut() {
        let why = start.as_ref().ok().and_then(|template| not_worth.get(&template.key).cloned());
        if let Some(why) = why {
            *start = Err(why);
        }
    }
    let short = without_room(blueprint, observed, &found);
    for start in found.values_mut() {
        if start.as_ref().is_ok_and(|template| short.contains(&template.key)) {
            *start = Err(ColdReason::NoRoom);
        }
    }
    found
}

type Starts = BTreeMap<NodeName, Result<Template, ColdReason>>;

/// Keys of templates that take longer to make than their nodes to boot, and nobody has asked for, with the reason. Where a
/// node like several has booted here before, these are some of many, and the next have it in seconds. One alone never waits
/// for it: it is made beside it, or not at all.
fn not_worth(
    blueprint: &Blueprint,
    observed: &Observed,
    starts: &Starts,
) -> BTreeMap<String, ColdReason> {
    if blueprint.start == StartChoice::Warm {
        return BTreeMap::new();
    }
    // What boots in any case, and of templates that are not worth making by themselves, how many nodes each has.
    let mut others = starts.values().filter(|s| boots(s)).count();
    let mut alike: BTreeMap<String, (usize, bool, Earlier)> = BTreeMap::new();
    for (key, (template, nodes)) in by_template(warm(blueprint, starts)) {
        let has_booted = |node: &&Node| observed.starts.seconds(node, How::Cold).is_some();
        let known = nodes.iter().any(has_booted);
        match is_there(template, &blueprint.pool, observed) {
            true => {}
            // Its template does.
            false if known && nodes.len() > 1 => others += 1,
            false => {
                let earlier = earlier(template, &blueprint.pool, observed);
                alike.insert(key.to_string(), (nodes.len(), known, earlier));
            }
        }
    }
    let (several, single): (Vec<usize>, Vec<usize>) =
        alike.values().map(|(count, ..)| *count).partition(|count| *count > 1);
    let saves = saves_a_turn(&several, others + single.len(), observed.cpus);
    let why = |(count, known, earlier)| match (count, known) {
        (1, false) => Some(ColdReason::Alone(earlier)),
        (1, true) => Some(ColdReason::Sooner(earlier)),
        _ if saves => None,
        _ => Some(ColdReason::AtOnce(earlier)),
    };
    alike.into_iter().filter_map(|(key, nodes)| Some((key, why(nodes)?))).collect()
}

/// Templates, each with a node that it is made of, that are made beside nodes which boot at once: for the next ones, on CPUs
/// that nothing else keeps busy, where the pool has room.
pub(super) fn beside<'a>(
    blueprint: &'a Blueprint,
    observed: &Observed,
    starts: &Starts,
) -> Vec<(&'a Template, &'a Node)> {
    let at_once = |node: &&Node| {
        let start = starts.get(&node.name);
        matches!(start, Some(Err(ColdReason::AtOnce(_) | ColdReason::Sooner(_))))
    };
    let nodes = blueprint.nodes.iter().filter(at_once).filter_map(|node| {
        let template = blueprint.templates.get(&node.name)?.as_ref().ok()?;
        Some((node, template))
    });
    let found: Vec<(&Template, &Node)> = by_template(nodes)
        .into_values()
        .filter_map(|(template, nodes)| Some((template, *nodes.first()?)))
        .collect();
    if found.is_empty() {
        return found;
    }
    let made = by_template(warm(blueprint, starts));
    let made = made.values().filter(|(t, _)| !is_there(t, &blueprint.pool, observed)).count();
    // A node that restarts boots, too.
    let changes = node_changes(blueprint, observed);
    let restarts = changes.nodes.values().filter(|c| matches!(c, NodeChange::Restart(_))).count();
    let boot = starts.values().filter(|start| boots(start)).count();
    let busy = boot + restarts + made + found.len();
    let bytes = found.iter().map(|(_, node)| image_bytes(node).saturating_add(WRITTEN));
    let bytes = bytes.fold(fetched(blueprint, observed), u64::saturating_add);
    let has_room = observed.pool_free.is_none_or(|free| bytes <= capacity::to_spare(free));
    if busy <= observed.cpus && has_room { found } else { Vec::new() }
}

/// Whether a node that does not start from a template has something to boot.
fn boots(start: &Result<Template, ColdReason>) -> bool {
    !matches!(start, Ok(_) | Err(ColdReason::NoGuest))
}

/// Whether it is sooner done to make a template for each kind of node of which there are several, `alike` with how many,
/// than to boot all of them beside `others`. A boot keeps a CPU busy, so that as many as there are CPUs take as long as
/// one, and the next have their turn after these; to start from a template takes little. Where nobody knows how many
/// CPUs there are, there is one.
fn saves_a_turn(alike: &[usize], others: usize, cpus: usize) -> bool {
    let turns = |boots: usize| boots.div_ceil(cpus.max(1));
    turns(others + alike.len()) < turns(others + alike.iter().sum::<usize>())
}

/// Templates by their keys, each with the nodes that start from it.
fn by_template<'a>(
    nodes: impl IntoIterator<Item = (&'a Node, &'a Template)>,
) -> BTreeMap<&'a str, (&'a Template, Vec<&'a Node>)> {
    let mut found: BTreeMap<&str, (&Template, Vec<&Node>)> = BTreeMap::new();
    for (node, template) in nodes {
        found.entry(&template.key).or_insert((template, Vec::new())).1.push(node);
    }
    found
}

fn warm<'a>(blueprint: &'a Blueprint, starts: &'a Starts) -> Vec<(&'a Node, &'a Template)> {
    let start = |node: &'a Node| Some((node, starts.get(&node.name)?.as_ref().ok()?));
    blueprint.nodes.iter().filter_map(start).collect()
}

/// Keys of templates for which the pool has no room: for the memory image, and for the copy of it that a node has while
/// it starts. Where those of two nodes do not fit at the same time, one of them boots.
fn without_room(blueprint: &Blueprint, observed: &Observed, starts: &Starts) -> BTreeSet<String> {
    // One that is asked for by name is tried, and fails where it does not fit.
    let asked = blueprint.start == StartChoice::Warm;
    let Some(free) = observed.pool_free.filter(|_| !asked) else { return BTreeSet::new() };
    // A tenth stays free, as whoever makes the copies sees to.
    let mut left = capacity::to_spare(free).saturating_sub(fetched(blueprint, observed));
    let mut short = BTreeSet::new();
    for (key, (template, nodes)) in by_template(warm(blueprint, starts)) {
        let copy = nodes.first().map_or(0, |node| image_bytes(node));
        let made = match is_there(template, &blueprint.pool, observed) {
            true => 0,
            false => copy.saturating_add(WRITTEN),
        };
        match left.checked_sub(made).filter(|rest| *rest >= copy) {
            Some(rest) => left = rest,
            None => {
                short.insert(key.to_string());
            }
        }
    }
    short
}

/// How many bytes of the pool images take that come into it first, as far as that is known.
fn fetched(blueprint: &Blueprint, observed: &Observed) -> u64 {
    let backings = blueprint.nodes.iter().flat_map(|node| &node.disks);
    let images = backings.filter_map(|disk| disk.backing.as_ref()).collect();
    bytes_of(images, blueprint, observed)
}

/// The same of some images.
fn bytes_of(images: BTreeSet<&Image>, blueprint: &Blueprint, observed: &Observed) -> u64 {
    let new = images.into_iter().filter(|i| !observed.has_volume(&blueprint.pool, &i.volume));
    let size = |image: &Image| match blueprint.image_origins.get(&image.as_it_comes()) {
        Some(ImageOrigin::Built { bytes } | ImageOrigin::File { bytes }) => *bytes,
        Some(ImageOrigin::Download { .. }) | None => 0,
    };
    new.map(size).fold(0, u64::saturating_add)
}

/// What the templates take that a plan makes for new nodes. A node starts when its template is made, in the memory that
/// the template's domain had; but one that is replaced still runs meanwhile.
pub fn made_for_nodes(blueprint: &Blueprint, observed: &Observed) -> capacity::Templates {
    let starts = starts(blueprint, observed, &node_changes(blueprint, observed));
    let runs = |node: &&Node| observed.domains.get(&node.name).is_some_and(|d| d.active);
    let for_these = taken(blueprint, observed, warm(blueprint, &starts), |n| n.iter().all(runs));
    let later = beside(blueprint, observed, &starts).into_iter().map(|(t, node)| (node, t));
    let later = taken(blueprint, observed, later, |_| true);
    capacity::Templates {
        memory_mib: for_these.memory_mib.saturating_add(later.memory_mib),
        bytes: for_these.bytes.saturating_add(later.bytes),
    }
}

/// Nodes whose templates have no memory to be made in, besides what runs and what is to run, although without them all would
/// fit; none where templates are asked for.
pub fn without_memory(
    blueprint: &Blueprint,
    observed: &Observed,
    capacity: &Capacity<'_>,
) -> Vec<NodeName> {
    let memory = capacity::memory(blueprint, observed, capacity);
    if blueprint.start != StartChoice::Auto || memory.is_too_much(memory.needed) {
        return Vec::new();
    }
    let starts = starts(blueprint, observed, &node_changes(blueprint, observed));
    let runs = |node: &&Node| observed.domains.get(&node.name).is_some_and(|d| d.active);
    let (mut needed, mut short) = (memory.needed, Vec::new());
    for (template, nodes) in by_template(warm(blueprint, &starts)).into_values() {
        if is_there(template, &blueprint.pool, observed) || !nodes.iter().all(runs) {
            continue;
        }
        let more = needed.saturating_add(nodes.first().map_or(0, |node| node.maximum_mib()));
        match memory.is_too_much(more) {
            true => short.extend(nodes.iter().map(|node| node.name.clone())),
            false => needed = more,
        }
    }
    for (template, node) in beside(blueprint, observed, &starts) {
        let more = needed.saturating_add(node.maximum_mib());
        if memory.is_too_much(more) {
            let is_like = |n: &&Node| {
                blueprint.templates.get(&n.name).is_some_and(|t| t.as_ref() == Ok(template))
            };
            short.extend(blueprint.nodes.iter().filter(is_like).map(|n| n.name.clone()));
        } else {
            needed = more;
        }
    }
    short
}

/// What the templates take that [`templates`] makes.
pub fn made_beforehand(blueprint: &Blueprint, observed: &Observed) -> capacity::Templates {
    taken(blueprint, observed, startable(blueprint, observed), |_| true)
}

fn taken<'a>(
    blueprint: &Blueprint,
    observed: &Observed,
    nodes: impl IntoIterator<Item = (&'a Node, &'a Template)>,
    has_memory_besides: impl Fn(&[&Node]) -> bool,
) -> capacity::Templates {
    let mut taken = capacity::Templates::default();
    let mut images = BTreeSet::new();
    for (template, nodes) in by_template(nodes).into_values() {
        let Some(node) = nodes.first() else { continue };
        if is_there(template, &blueprint.pool, observed) {
            continue;
        }
        if has_memory_besides(&nodes) {
            taken.memory_mib = taken.memory_mib.saturating_add(node.maximum_mib());
        }
        taken.bytes = taken.bytes.saturating_add(image_bytes(node)).saturating_add(WRITTEN);
        images.insert(&template.image);
    }
    // What they are made from comes into the pool first.
    taken.bytes = taken.bytes.saturating_add(bytes_of(images, blueprint, observed));
    taken
}

/// Whether a node is there, and its disks are in another pool than the one in which images are.
fn is_elsewhere(node: &Node, blueprint: &Blueprint, observed: &Observed) -> bool {
    observed.domains.get(&node.name).is_some_and(|domain| domain.pool != blueprint.pool)
}

/// Nodes that could start from a template, whether they do or not.
fn startable<'a>(
    blueprint: &'a Blueprint,
    observed: &Observed,
) -> impl Iterator<Item = (&'a Node, &'a Template)> {
    let here = |node: &&Node| !is_elsewhere(node, blueprint, observed);
    blueprint.nodes.iter().filter(here).filter_map(|node| {
        let template = blueprint.templates.get(&node.name)?.as_ref().ok()?;
        // A node that would boot in spite of it needs none.
        readiness(node).map(|_| (node, template))
    })
}

/// Nodes whose first disk is made.
fn new<'a>(
    blueprint: &'a Blueprint,
    observed: &Observed,
    node_changes: &NodeChanges,
) -> Vec<&'a Node> {
    let orphans = observed.orphans();
    let is_new = |node: &&Node| {
        let made = match node_changes.nodes.get(&node.name) {
            None | Some(NodeChange::Create | NodeChange::Replace(_)) => true,
            Some(NodeChange::Keep) => is_begun(node, observed),
            Some(_) => false,
        };
        made
            // One that was undefined or edited keeps its disks, and what is on them.
            && observed.edited(ObjectKind::Domain, &node.name).is_none()
            && !orphans.contains_key(&node.name)
    };
    blueprint.nodes.iter().filter(is_new).collect()
}

/// Whether a run that ended before has defined a node, and not come to its first disk.
fn is_begun(node: &Node, observed: &Observed) -> bool {
    let Some(domain) = observed.domains.get(&node.name) else { return false };
    let first = node.disks.first().map(|disk| disk.volume.as_str());
    let missing = observed.missing_volumes(node, &domain.pool);
    !domain.active && !domain.ready && first.is_some_and(|volume| missing.contains(&volume))
}

/// The names of nodes that may start from templates: those whose disks are made.
pub fn fresh(blueprint: &Blueprint, observed: &Observed) -> BTreeSet<String> {
    let new = new(blueprint, observed, &node_changes(blueprint, observed));
    new.into_iter().map(|node| node.name.to_string()).collect()
}

/// Whether a template can be started from: its disk and its memory are there.
pub(super) fn is_there(template: &Template, pool: &Pool, observed: &Observed) -> bool {
    [template.memory(), template.disk()].iter().all(|file| observed.has_volume(pool, file))
}

/// What there is of a template that is not there.
fn earlier(template: &Template, pool: &Pool, observed: &Observed) -> Earlier {
    let mut volumes = observed.volumes.get(pool.name.as_str()).into_iter().flatten();
    let is_same = |volume: &String| {
        TemplatePart::Memory.domain(volume).is_some_and(|d| template.is_for_another_emulator(d))
    };
    if volumes.any(is_same) { Earlier::OfAnotherEmulator } else { Earlier::None }
}

/// Why a template is made that nodes of this plan start from.
pub(super) fn reason(template: &Template, pool: &Pool, observed: &Observed) -> &'static str {
    match earlier(template, pool, observed) {
        Earlier::None => REASON,
        Earlier::OfAnotherEmulator => ANEW,
    }
}

/// Whether there are templates at all.
pub fn has_templates(pool: &Pool, observed: &Observed) -> bool {
    let mut volumes = observed.volumes.get(pool.name.as_str()).into_iter().flatten();
    volumes.any(|volume| TemplatePart::Memory.domain(volume).is_some())
}

/// The template of a node of whose image nobody knows here whether it has an agent, if that template is there: whoever
/// made it has known. Its key has the image's content and all else that has a say.
pub fn known_template(
    node: &Node,
    first_boot: Option<&FirstBoot>,
    pool: &Pool,
    emulator: &str,
    observed: &Observed,
) -> Option<Template> {
    let template = blueprint::template(node, first_boot, pool, &|_| true, emulator).ok()?;
    is_there(&template, pool, observed).then_some(template)
}

/// Plans the templates that a blueprint's nodes can start from, and their images; nothing else is made.
pub fn templates(blueprint: &Blueprint, observed: &Observed) -> Plan {
    let pool = &blueprint.pool;
    let (mut builder, mut changes) = (Builder::default(), Vec::new());
    let (mut fetched, mut seen) = (BTreeMap::new(), BTreeSet::new());
    let mut change = |op, name: &str, image: &Image, reason: &str| {
        let (kind, detail) = (ObjectKind::Image, image.shown());
        changes.push(Change { op, kind, name: name.into(), detail, reason: reason.into() });
    };
    for (node, template) in startable(blueprint, observed) {
        if !seen.insert(&template.key) {
            continue;
        }
        let image = &template.image;
        if is_there(template, pool, observed) {
            change(Op::Keep, &template.name(), image, "");
            continue;
        }
        if !observed.has_volume(pool, &image.volume) && !fetched.contains_key(image.volume.as_str())
        {
            let reason = describe::missing_image(blueprint, observed, image);
            change(Op::Create, &image.volume, image, &reason);
            let fetch = Action::FetchImage {
                image: image.clone(),
                pool: pool.clone(),
                smallest: node.disks.first().and_then(|d| d.size).map(|s| s.0),
            };
            fetched.insert(image.volume.to_string(), builder.add(fetch, [], reason));
        }
        let reason = reason(template, pool, observed);
        change(Op::Create, &template.name(), image, reason);
        let after = fetched.get(image.volume.as_str()).copied();
        builder.add(make(template, node, pool, true), after, reason);
    }
    Plan { changes, steps: builder.finish() }
}

/// The step's action that makes a template.
pub(super) fn make(template: &Template, node: &Node, pool: &Pool, required: bool) -> Action {
    Action::MakeTemplate {
        template: template.clone(),
        node: Box::new(node.clone()),
        pool: pool.clone(),
        required,
        files: node.guest.as_ref().map(|g| template_files(&g.user)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as there are CPUs boot in the time of one, and a template takes that before any node starts from it.
    #[test]
    fn templates_are_made_at_first_where_boots_would_take_turns() {
        for (alike, others, cpus, saves) in [
            (&[2][..], 0, 1, true),
            (&[2], 0, 2, false),
            (&[3], 0, 2, true),
            (&[3], 0, 4, false),
            (&[16], 0, 16, false),
            (&[17], 0, 16, true),
            // Others keep CPUs busy, too.
            (&[2], 1, 2, true),
            (&[2], 1, 3, false),
            (&[2], 3, 4, true),
            (&[10], 100, 4, true),
            // Each alone would not do.
            (&[2, 2], 0, 2, true),
            (&[2, 2], 0, 4, false),
            // Nobody knows how many there are.
            (&[2], 0, 0, true),
            (&[], 5, 2, false),
        ] {
            assert_eq!(saves_a_turn(alike, others, cpus), saves, "{alike:?} {others} {cpus}");
        }
    }
}
