//! Volumes of this environment that domains of others have: of a node that somebody renamed, or copied with its disks.

use std::collections::{BTreeMap, BTreeSet};

use super::node_change::{NodeChange, node_changes};
use super::{Action, Builder, Change, Op, StepId};
use crate::blueprint::{Blueprint, Pool};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::expand::in_use;
use crate::object::ObjectKind;
use crate::observed::{Domain, Observed};

/// Volumes by node and name, each with the domains that have it.
fn held(observed: &Observed) -> BTreeMap<(&str, &str), BTreeSet<&str>> {
    let mut found = BTreeMap::new();
    for domain in observed.domains.values() {
        let placed = domain.recorded.placed(&domain.pool);
        for (pool, volume) in placed.filter(|(pool, v)| observed.has_volume(pool, v)) {
            let holders = observed.claims.holders(pool, volume);
            found.insert((domain.name.as_str(), volume), holders);
        }
    }
    for tenant in observed.networks.values().flat_map(|n| &n.recorded.tenants) {
        let name = tenant.node.as_str();
        if observed.domains.contains_key(name) || observed.claims.domains.contains(name) {
            continue;
        }
        for (pool, volume) in tenant.placed().filter(|(pool, v)| observed.has_volume(pool, v)) {
            found.insert((name, volume), observed.in_use(pool, volume));
        }
    }
    found.retain(|_, holders| !holders.is_empty());
    found
}

/// What is said of volumes that stay when their nodes go.
pub(super) fn stay(observed: &Observed, goes: impl Fn(&str) -> bool) -> Vec<Change> {
    let held = held(observed).into_iter().filter(|((node, _), _)| goes(node));
    held.map(|((node, volume), holders)| stays(observed, node, volume, &holders)).collect()
}

/// Records volumes that others have linked clones of, before nothing names them any more: those of a node's domain.
pub(super) fn keep_of(
    domain: &Domain,
    observed: &Observed,
    reason: &str,
    builder: &mut Builder,
) -> Vec<StepId> {
    let placed = domain.recorded.placed(&domain.pool);
    let there = placed.filter(|(pool, v)| observed.has_volume(pool, v));
    let cloned = there.filter(|(pool, v)| {
        is_pruned(pool, &domain.pool) && observed.claims.is_only_cloned(pool, v)
    });
    let record = |(pool, volume): (&Pool, &str)| Action::KeepVolume {
        volume: volume.into(),
        pool: pool.clone(),
    };
    cloned.map(|placed| builder.add(record(placed), [], reason)).collect()
}

/// The same of nodes whose domains somebody undefined: until now their networks have named them.
pub(super) fn keep(
    observed: &Observed,
    goes: impl Fn(&str) -> bool,
    reason: &str,
    builder: &mut Builder,
) -> Vec<StepId> {
    let mut steps = Vec::new();
    let undefined = |name: &str| !observed.domains.contains_key(name);
    for ((node, volume), _) in held(observed) {
        let Some(tenant) = observed.tenant(node).filter(|_| goes(node) && undefined(node)) else {
            continue;
        };
        let Some((pool, _)) = tenant.placed().find(|(_, name)| *name == volume) else { continue };
        if is_pruned(pool, &tenant.pool) && observed.claims.is_only_cloned(pool, volume) {
            let keep = Action::KeepVolume { volume: volume.into(), pool: pool.clone() };
            steps.push(builder.add(keep, [], reason));
        }
    }
    steps
}

/// Whether images are pruned in a pool, and with them what stays for its clones: not in those of directories that disks name.
pub(super) fn is_pruned(pool: &Pool, usual: &Pool) -> bool {
    pool == usual
}

/// The pool of a node's disks that name none, and that of one of its volumes.
fn place<'a>(observed: &'a Observed, node: &str, volume: &str) -> Option<(&'a Pool, &'a Pool)> {
    let named = |placed: &(&Pool, &str)| placed.1 == volume;
    let of_domain = observed.domains.get(node);
    let of_domain =
        of_domain.and_then(|d| Some((&d.pool, d.recorded.placed(&d.pool).find(named)?.0)));
    of_domain.or_else(|| {
        let tenant = observed.tenant(node)?;
        Some((&tenant.pool, tenant.placed().find(named)?.0))
    })
}

/// What is said of a volume of a node that stays when nothing of the environment needs it any more.
pub(super) fn stays(
    observed: &Observed,
    node: &str,
    volume: &str,
    holders: &BTreeSet<&str>,
) -> Change {
    let known = holders.iter().copied().filter(|name| !observed.claims.unread.contains(*name));
    let known: Vec<&str> = known.collect();
    let unread: Vec<&str> = holders.iter().copied().collect();
    let (usual, pool) = place(observed, node, volume).unzip();
    let cloned = pool.is_some_and(|pool| observed.claims.is_only_cloned(pool, volume));
    let later = match usual.zip(pool) {
        Some((usual, pool)) if !is_pruned(pool, usual) => {
            format!("`virsh vol-delete {}` removes it once they have gone", pool.file(volume))
        }
        _ => "`maquette image prune` removes it once they have gone".into(),
    };
    let reason = match (known.is_empty(), cloned) {
        (false, true) => {
            vec![format!("stays, since others' disks are over it: {}", known.join(", ")), later]
        }
        (false, false) => {
            vec![format!("stays, since others' domains use it: {}", known.join(", "))]
        }
        (true, _) => vec![format!(
            "stays, since libvirt does not say which disks others' domains have: {}",
            unread.join(", ")
        )],
    };
    let (kind, name, detail) = (ObjectKind::Volume, volume.to_string(), format!("of {node}"));
    Change { op: Op::Keep, kind, name, detail, reason: reason.into() }
}

/// Nodes without a domain whose volumes others have, each with what is the matter.
pub(super) fn of_undefined(observed: &Observed) -> impl Iterator<Item = (String, String)> {
    let all = held(observed).into_iter();
    all.filter(|((node, _), _)| !observed.domains.contains_key(*node)).map(
        |((node, volume), holders)| {
            let holders: Vec<&str> = holders.into_iter().collect();
            let what = format!("others' domains have its volume {volume}: {}", holders.join(", "));
            (node.to_string(), what)
        },
    )
}

/// Reports nodes that would be made again while domains of others have their disks, and networks while such domains are on them.
pub fn replaced_in_use(blueprint: &Blueprint, observed: &Observed, diags: &mut Diagnostics) {
    let held = held(observed);
    if held.is_empty() && observed.claims.plugged.is_empty() {
        return;
    }
    let node_changes = node_changes(blueprint, observed);
    for ((node, volume), holders) in held {
        if matches!(node_changes.nodes.get(node), Some(NodeChange::Replace(_))) {
            diags.push(in_use(volume, &holders));
        }
    }
    for network in node_changes.replaced.keys() {
        let known = observed.networks.get(network).map(|known| known.defined.bridge.as_str());
        let edited = observed.edited(ObjectKind::Network, network);
        let bridge = known.or_else(|| edited?.bridge.as_deref()).unwrap_or_default();
        let mut users = observed.claims.users(network, bridge);
        // Whoever is off is plugged in again when it starts.
        users.retain(|name| observed.claims.promises.iter().any(|p| p.active && p.name == *name));
        if !users.is_empty() {
            diags.push(on_network(network, &users));
        }
    }
}

/// What is said of a network that would be made again below running domains of others: they would be on nothing.
fn on_network(network: &str, users: &BTreeSet<&str>) -> Diagnostic {
    let users: Vec<&str> = users.iter().copied().collect();
    let message = format!(
        "network `{network}` has to be made again, and running domains of others are on it: {}",
        users.join(", ")
    );
    Diagnostic::error("hypervisor::network-in-use", message)
        .help("shut them off first: they are on the new network when they start")
}
