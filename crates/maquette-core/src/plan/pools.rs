//! Pools of the directories that disks name: made once a record names them, and removed before none does any more.

use std::collections::{BTreeMap, BTreeSet};

use super::node_change::{NodeChange, NodeChanges};
use super::{Action, Builder, Change, Op, Reasons, StepId};
use crate::blueprint::{Blueprint, DiskPool, LOST_AND_FOUND, Node, Pool};
use crate::object::ObjectKind;
use crate::observed::{Domain, Observed, Orphan, is_overlay};

/// What is said of pools that go.
const EMPTY: &str = "no disk of the environment is in it any more";

/// What happens to a pool.
pub(super) fn change(op: Op, pool: &Pool, reason: impl Into<Reasons>) -> Change {
    let (kind, name, detail) =
        (ObjectKind::Host, format!("pool {}", pool.name), pool.path.to_string());
    Change { op, kind, name, detail, reason: reason.into() }
}

/// What is said of a pool that does not run.
pub(super) fn reason(observed: &Observed, own: &DiskPool) -> &'static str {
    match observed.pools.contains_key(own.pool.name.as_str()) {
        true => "the pool is defined and not started",
        false => "there is no pool of this directory",
    }
}

/// Has pools run in which there are disks that are recorded: somebody has stopped or undefined them.
pub(super) fn revived(
    observed: &Observed,
    (changes, builder): (&mut Vec<Change>, &mut Builder),
) -> BTreeMap<Pool, StepId> {
    let there = |own: &&DiskPool| {
        let names = observed.volumes.get(own.pool.name.as_str());
        names.is_some_and(|names| !names.is_empty()) && observed.lacks_pool(&own.pool)
    };
    let all: BTreeSet<&DiskPool> = observed.disk_pools().filter(there).collect();
    let mut made = BTreeMap::new();
    for own in all {
        let why = reason(observed, own);
        changes.push(change(Op::Create, &own.pool, why));
        let step = builder.add(Action::MakePool { pool: own.clone() }, [], why);
        made.insert(own.pool.clone(), step);
    }
    made
}

/// Pools that this environment has defined and that none of its disks is in afterwards.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Each with the domain that forgets it last, whose record names it until then; none if networks do.
    last: BTreeMap<Pool, Option<String>>,
    /// Steps after which nothing of ours is in them.
    emptied: BTreeMap<Pool, Vec<StepId>>,
    /// Steps that have pools run which did not.
    revived: BTreeMap<Pool, StepId>,
}

impl Leaving {
    /// Pools that go with some nodes.
    pub(super) fn with_nodes(
        observed: &Observed,
        goes: impl Fn(&str) -> bool,
        (changes, builder): (&mut Vec<Change>, &mut Builder),
    ) -> Self {
        let leaves = |domain: &Domain, _: &Pool| goes(&domain.name);
        let mut all = Self::of(observed, leaves, &goes, &[], changes);
        all.revived = revived(observed, (changes, builder));
        all
    }

    /// Pools that go on the way to a blueprint.
    pub(super) fn on_the_way(
        (blueprint, observed, node_changes): (&Blueprint, &Observed, &NodeChanges),
        (changes, builder): (&mut Vec<Change>, &mut Builder),
    ) -> Self {
        let named = |node: &Node, pool: &Pool| node.disk_pools().any(|own| own.pool == *pool);
        let leaves = |domain: &Domain, pool: &Pool| match node_changes.nodes.get(&domain.name) {
            None | Some(NodeChange::Create | NodeChange::Replace(_)) => true,
            Some(NodeChange::Keep | NodeChange::Aside | NodeChange::Leave(_)) => false,
            Some(NodeChange::Restart(_) | NodeChange::Live(..) | NodeChange::Record(_)) => {
                blueprint.node(&domain.name).is_some_and(|node| !named(node, pool))
            }
        };
        // What of a node is where nothing is wanted goes, whether the node does or not.
        let goes = |name: &str| blueprint.is_about(name);
        let wanted: Vec<&Pool> =
            blueprint.nodes.iter().flat_map(|n| n.disk_pools()).map(|own| &own.pool).collect();
        let mut all = Self::of(observed, leaves, &goes, &wanted, changes);
        // Nodes that stay give their disks back after those that go.
        for node in &blueprint.nodes {
            let Some(domain) = observed.domains.get(&node.name) else { continue };
            let goes =
                matches!(node_changes.nodes.get(&node.name), Some(NodeChange::Replace(_)) | None);
            for own in domain.recorded.disk_pools().filter(|_| !goes) {
                if let Some(last) = all.last.get_mut(&own.pool) {
                    *last = Some(node.name.to_string());
                }
            }
        }
        all.revived = revived(observed, (changes, builder));
        all
    }

    fn of(
        observed: &Observed,
        leaves: impl Fn(&Domain, &Pool) -> bool,
        goes: &impl Fn(&str) -> bool,
        wanted: &[&Pool],
        changes: &mut Vec<Change>,
    ) -> Self {
        let made: BTreeSet<&Pool> =
            observed.disk_pools().filter(|own| own.made).map(|own| &own.pool).collect();
        let mut last = BTreeMap::new();
        for pool in made.into_iter().filter(|pool| !wanted.contains(pool)) {
            let names = |domain: &&Domain| domain.recorded.disk_pools().any(|o| o.pool == *pool);
            let mut users = observed.domains.values().filter(names);
            let orphans = observed.orphans();
            let of_orphan = |o: &&Orphan| o.volumes.iter().any(|(p, _)| p == pool);
            let mut orphaned = orphans.values().filter(of_orphan);
            let stays = users.clone().any(|domain| !leaves(domain, pool))
                || orphaned.clone().any(|orphan| !goes(&orphan.node));
            let name = pool.name.as_str();
            // One that somebody has undefined is there again for what is in it, unless another one is there by now.
            let is_full = || observed.volumes.get(name).is_some_and(|names| !names.is_empty());
            let is_theirs = || observed.pools.values().any(|other| other.is_at(&pool.path));
            let there = observed.pools.contains_key(name) || is_full() && !is_theirs();
            if stays || !there {
                continue;
            }
            let others = others(observed, pool);
            if !others.is_empty() {
                let why = format!("stays, since there is more in it: {}", others.join(", "));
                changes.push(change(Op::Keep, pool, why.as_str()));
                continue;
            }
            changes.push(change(Op::Delete, pool, EMPTY));
            let domain = users.next_back().filter(|_| orphaned.next().is_none());
            last.insert(pool.clone(), domain.map(|domain| domain.name.to_string()));
        }
        Self { last, ..Self::default() }
    }

    /// Steps that a step in a pool waits for: the pool has to run.
    pub(super) fn runs(&self, pool: &Pool) -> Option<StepId> {
        self.revived.get(pool).copied()
    }

    /// Notes that a step deletes something in a pool.
    pub(super) fn deleted(&mut self, pool: &Pool, step: StepId) {
        self.emptied.entry(pool.clone()).or_default().push(step);
    }

    /// Removes the pools that a domain is the last to name, before its record forgets them.
    pub(super) fn remove(&self, domain: &str, builder: &mut Builder) -> Vec<StepId> {
        self.steps(Some(domain), builder)
    }

    /// Removes the pools that only networks name.
    pub(super) fn remove_rest(&self, builder: &mut Builder) -> Vec<StepId> {
        self.steps(None, builder)
    }

    fn steps(&self, domain: Option<&str>, builder: &mut Builder) -> Vec<StepId> {
        let own = self.last.iter().filter(|(_, last)| last.as_deref() == domain);
        own.map(|(pool, _)| {
            let deletions = self.emptied.get(pool).into_iter().flatten().copied();
            let after: Vec<StepId> = deletions.chain(self.runs(pool)).collect();
            builder.add(Action::RemovePool { pool: pool.clone() }, after, EMPTY)
        })
        .collect()
    }
}

/// What is in a pool besides the disks of the environment, and what stays of these for others.
fn others<'a>(observed: &'a Observed, pool: &Pool) -> Vec<&'a str> {
    let domains = observed.domains.values().flat_map(|d| d.recorded.placed(&d.pool));
    let tenants = observed.networks.values().flat_map(|n| &n.recorded.tenants);
    let all = domains.chain(tenants.flat_map(|t| t.placed()));
    let own: BTreeSet<&str> = all.filter(|(p, _)| *p == pool).map(|(_, volume)| volume).collect();
    let goes = |name: &&String| match own.contains(name.as_str()) {
        true => observed.claims.holders(pool, name).is_empty(),
        false => own.iter().any(|of| is_overlay(name, of)),
    };
    let there = observed.volumes.get(pool.name.as_str()).into_iter().flatten();
    // libvirt lists directories, too, and each file system of Linux's has that one from the beginning.
    let found = |name: &&String| !goes(name) && *name != LOST_AND_FOUND;
    there.filter(found).map(String::as_str).collect()
}
