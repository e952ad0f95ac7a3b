//! What happens to each node and network: kept, changed while it runs, restarted, or made again.

use std::collections::{BTreeMap, BTreeSet};

use super::LiveChange;
use super::compare::{self, Class, Differences};
use super::devices::{self, Deviation, Gap};
use super::ready::readiness;
use crate::blueprint::{Blueprint, Network, Node, Pool};
use crate::object::ObjectKind;
use crate::observed::{self, Domain, Hardware, Observed};
use crate::values::{NetworkName, NodeName, TimeZone};

/// What happens to each node, decided before any step exists, because networks depend on it.
pub(super) struct NodeChanges {
    /// By node.
    pub(super) nodes: BTreeMap<NodeName, NodeChange>,
    /// Networks that are made again, and why.
    pub(super) replaced: BTreeMap<NetworkName, Vec<String>>,
}

/// What happens to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NodeChange {
    /// This run is not about it.
    Aside,
    /// It is made.
    Create,
    /// Everything is as wanted; start it if it is off.
    Keep,
    /// Nothing is changed, since that would lose data that is not ours; start it if it is off.
    Leave(String),
    /// Defined again; a running guest notices nothing.
    Record(Vec<String>),
    /// Changed while it runs.
    Live(Vec<LiveChange>, Vec<String>),
    /// Defined again and restarted.
    Restart(Vec<String>),
    /// Removed with its disks and made again.
    Replace(Vec<String>),
}

/// Decides it all.
pub(super) fn node_changes(blueprint: &Blueprint, observed: &Observed) -> NodeChanges {
    let mut replaced = BTreeMap::new();
    for network in blueprint.networks.iter().filter(|n| blueprint.is_about_network(&n.name)) {
        if let Some(existing) = observed.networks.get(&network.name)
            && let Some(why) = made_again(existing, network)
        {
            replaced.insert(network.name.clone(), why);
        } else if let Some(edited) = observed.edited(ObjectKind::Network, &network.name) {
            replaced.insert(network.name.clone(), vec![edited.why.clone()]);
        }
    }
    let mut nodes = BTreeMap::new();
    for node in &blueprint.nodes {
        let node_change = match observed.domains.get(&node.name) {
            _ if !blueprint.is_about(&node.name) => NodeChange::Aside,
            None => NodeChange::Create,
            Some(domain) => change_of(domain, node, &replaced, observed),
        };
        nodes.insert(node.name.clone(), node_change);
    }
    NodeChanges { nodes, replaced }
}

/// Nodes that go on, and get another time zone than they are recorded to have; with what they have now.
pub(super) fn zones(
    blueprint: &Blueprint,
    observed: &Observed,
    node_changes: &NodeChanges,
) -> BTreeMap<NodeName, Option<TimeZone>> {
    let goes_on = |node: &&Node| {
        let node_change = node_changes.nodes.get(&node.name);
        matches!(
            node_change,
            Some(NodeChange::Record(_) | NodeChange::Live(..) | NodeChange::Restart(_))
        )
    };
    let changed = blueprint.nodes.iter().filter(goes_on).filter_map(|node| {
        let recorded = observed.domains.get(&node.name)?.recorded.guest.as_ref()?;
        let wanted = node.guest.as_ref()?;
        let differs = recorded.timezone != wanted.timezone && readiness(node).is_some();
        differs.then(|| (node.name.clone(), recorded.timezone.clone()))
    });
    changed.collect()
}

/// Networks that would be made again under nodes that a run is not about, each with these.
pub fn entangled(
    blueprint: &Blueprint,
    observed: &Observed,
) -> BTreeMap<NetworkName, Vec<NodeName>> {
    let NodeChanges { nodes: _, replaced } = node_changes(blueprint, observed);
    let mut found: BTreeMap<_, Vec<NodeName>> = BTreeMap::new();
    for node in blueprint.nodes.iter().filter(|node| !blueprint.is_about(&node.name)) {
        let networks: BTreeSet<&NetworkName> = node.interfaces.iter().map(|i| &i.network).collect();
        for network in networks.into_iter().filter(|network| replaced.contains_key(*network)) {
            found.entry(network.clone()).or_default().push(node.name.clone());
        }
    }
    found
}

/// Why a network is made again: what a running one cannot take on, and all else that changes with it.
fn made_again(existing: &observed::Network, network: &Network) -> Option<Vec<String>> {
    let expected = observed::Wiring::of(&existing.recorded);
    let mut why = compare::outside(&existing.defined, &expected);
    let changes = compare::network(&existing.recorded, network);
    if why.is_empty() && changes.worst() < Some(Class::Replace) {
        return None;
    }
    why.extend(changes.words());
    Some(why)
}

/// What happens to a node that has a domain: the worst that any of its differences takes.
fn change_of(
    domain: &Domain,
    node: &Node,
    replaced: &BTreeMap<NetworkName, Vec<String>>,
    observed: &Observed,
) -> NodeChange {
    let changes = compare::node(&domain.recorded, node);
    if changes.worst() == Some(Class::Replace) {
        return NodeChange::Replace(changes.words());
    }
    if let Some(why) = devices::foreign_disk(domain) {
        return NodeChange::Leave(why);
    }
    let mut why = restarts(domain, node, &changes, replaced, observed);
    let pool = &domain.pool;
    let (expected, wanted) = (Hardware::of(&domain.recorded, pool), Hardware::of(node, pool));
    // Whatever is done to it, its definition is rewritten.
    let edited = devices::drift(&expected, &domain.defined);
    // What somebody changed in what runs as well is told once.
    let edited_alone = |live: &[Deviation]| {
        let alone = edited.iter().filter(|edited| !live.contains(edited));
        alone.map(Deviation::to_string).collect::<Vec<_>>()
    };
    if let Some(live) = domain.live.as_ref() {
        match devices::gap(domain, live, node, pool) {
            Gap::Restart(by_hand, gap) => {
                let explained = changes.worst() >= Some(Class::Live) || !by_hand.is_empty();
                why.extend(by_hand.iter().map(Deviation::to_string));
                why.extend((!explained).then_some(gap));
                why.extend(edited_alone(&by_hand));
                return NodeChange::Restart(every(why, &changes));
            }
            Gap::Live { changes: steps, mut reasons, by_hand } if why.is_empty() => {
                reasons.extend(by_hand.iter().map(Deviation::to_string));
                reasons.extend(changes.of(Class::Record));
                reasons.extend(edited_alone(&by_hand));
                return NodeChange::Live(steps, reasons);
            }
            Gap::Live { .. } | Gap::None => {}
        }
    }
    if !why.is_empty() {
        why.extend(edited_alone(&[]));
        return NodeChange::Restart(every(why, &changes));
    }
    // It is off: whatever differs is there when it starts.
    let off = domain.live.is_none();
    if off && (wanted != domain.defined || changes.worst() >= Some(Class::Live)) {
        return NodeChange::Restart(every(edited_alone(&[]), &changes));
    }
    let mut why = changes.words();
    why.extend(edited_alone(&[]));
    if !domain.persistent {
        why.push("it was undefined outside Maquette".into());
    }
    if why.is_empty() { NodeChange::Keep } else { NodeChange::Record(why) }
}

/// What only a restart changes, apart from the devices of a running domain.
fn restarts(
    domain: &Domain,
    node: &Node,
    changes: &Differences,
    replaced: &BTreeMap<NetworkName, Vec<String>>,
    observed: &Observed,
) -> Vec<String> {
    let mut why: Vec<String> = changes.of(Class::Restart).collect();
    let again = node.interfaces.iter().filter(|i| replaced.contains_key(&i.network));
    let again: BTreeSet<&str> = again.map(|i| i.network.as_str()).collect();
    why.extend(again.into_iter().map(|network| format!("network {network} is made again")));
    let gone = domain.live.as_ref().and_then(|live| deleted(node, domain, live, observed));
    why.extend(gone.map(|volume| format!("its volume {volume} was deleted")));
    why
}

/// Reasons for a restart, among which is what only a restart changes, and all else that changes on the occasion.
fn every(mut why: Vec<String>, changes: &Differences) -> Vec<String> {
    why.extend(changes.without(Class::Restart).words());
    why
}

/// A volume that a running guest still holds open and that nobody else can find any more.
fn deleted<'a>(
    node: &'a Node,
    domain: &'a Domain,
    live: &Hardware,
    observed: &Observed,
) -> Option<&'a str> {
    let in_use = |(pool, volume): &(&Pool, &str)| {
        let file = pool.file(volume);
        live.disks.iter().any(|d| d.file == file)
    };
    let mut missing = node.placed(&domain.pool).filter(|(pool, v)| !observed.has_volume(pool, v));
    missing.find(in_use).map(|(_, volume)| volume)
}
