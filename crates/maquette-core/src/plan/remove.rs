//! Taking an environment away, or some of its nodes.

use std::collections::{BTreeMap, BTreeSet};

use super::drift::tell_undone_edits;
use super::pools::Leaving;
use super::{
    Action, Builder, Change, NetworkChange, Op, Plan, Shutdown, StepId, describe, in_use, switching,
};
use crate::blueprint::{self, Pool};
use crate::names::EnvName;
use crate::object::ObjectKind;
use crate::observed::{self, Domain, Edited, Hardware, Observed, Orphan};
use crate::values::NodeName;

/// Removes everything of this environment and nothing else. Volumes are the ones that the domains'
/// metadata names; base images stay in the cache.
pub fn destroy(observed: &Observed, environment: &EnvName) -> Plan {
    let mut builder = Builder::default();
    let reason = "the environment is taken down";
    let all = |_: &str| true;
    let (mut changes, unserved) = remove_bmcs(observed, environment, all, reason, &mut builder);
    let mut leaving = Leaving::with_nodes(observed, all, (&mut changes, &mut builder));
    for domain in observed.domains.values() {
        changes.push(domain_goes(domain, observed, reason));
        remove_domain(domain, observed, unserved, reason, (&mut builder, &mut leaving));
    }
    let to = (&mut changes, &mut builder, &mut leaving);
    remove_edited_domains(observed, all, unserved, reason, to);
    changes.extend(in_use::stay(observed, |_| true));
    in_use::keep(observed, |_| true, reason, &mut builder);
    // A network takes seconds to stop, and has not to wait for more than those that were on it. Volumes without a
    // domain are known by the networks that their node was on, so that these are forgotten last.
    let stopped = builder.stops();
    let gone: Vec<StepId> = builder.added().collect();
    for network in observed.networks.values() {
        if let Some(change) = for_others(network, observed, environment, &gone, &mut builder) {
            changes.push(change);
            continue;
        }
        changes.push(Change {
            op: Op::Delete,
            kind: ObjectKind::Network,
            name: network.name.to_string(),
            detail: describe::network(&network.recorded),
            reason: reason.into(),
        });
        let after = (stopped.clone(), gone.clone());
        remove_network(network, environment, after, reason, &mut builder);
    }
    for edited in observed.edited.iter().filter(|e| e.kind == ObjectKind::Network) {
        if let Some(change) = edited_for_others(edited, observed) {
            changes.push(change);
            continue;
        }
        changes.push(edited_goes(edited, observed, reason));
        remove_edited(edited, Shutdown::PullPlug, gone.clone(), reason, &mut builder);
    }
    let open = observed.forwarding.iter();
    changes.extend(open.map(|o| close_forwarding(o, environment, reason, &mut builder)));
    let mut plan = Plan { changes, steps: builder.finish() };
    tell_undone_edits(&mut plan, observed);
    plan
}

/// Removes some nodes and nothing else. Their networks forget them last: until then it is known whose
/// their volumes are.
pub fn remove_nodes(observed: &Observed, environment: &EnvName, names: &BTreeSet<String>) -> Plan {
    let mut builder = Builder::default();
    let reason = "its removal was asked for";
    let goes = |node: &str| names.contains(node);
    let (mut changes, unserved) = remove_bmcs(observed, environment, goes, reason, &mut builder);
    let mut leaving = Leaving::with_nodes(observed, goes, (&mut changes, &mut builder));
    for domain in observed.domains.values().filter(|d| names.contains(d.name.as_str())) {
        changes.push(domain_goes(domain, observed, reason));
        remove_domain(domain, observed, unserved, reason, (&mut builder, &mut leaving));
    }
    let to = (&mut changes, &mut builder, &mut leaving);
    remove_edited_domains(observed, goes, unserved, reason, to);
    changes.extend(in_use::stay(observed, goes));
    in_use::keep(observed, goes, reason, &mut builder);
    let last: Vec<StepId> = builder.added().collect();
    for network in observed.networks.values() {
        let Some((wanted, reason)) =
            forget_nodes(network, environment, goes, last.clone(), &mut builder)
        else {
            continue;
        };
        changes.push(Change {
            op: Op::Update,
            kind: ObjectKind::Network,
            name: network.name.to_string(),
            detail: describe::network(&wanted),
            reason: reason.into(),
        });
    }
    let mut plan = Plan { changes, steps: builder.finish() };
    tell_undone_edits(&mut plan, observed);
    plan
}

/// Why a network changes that keeps no addresses for the nodes that go.
const FEWER_NODES: &str = "fewer nodes are on it";

/// Has a network forget nodes that go. What it becomes, and why; none if it knows none of them.
fn forget_nodes(
    network: &observed::Network,
    environment: &EnvName,
    goes: impl Fn(&str) -> bool,
    after: Vec<StepId>,
    builder: &mut Builder,
) -> Option<(blueprint::Network, String)> {
    let mut wanted = network.recorded.clone();
    wanted.reservations.retain(|r| !goes(&r.name));
    wanted.tenants.retain(|t| !goes(&t.node));
    let kept = wanted.dhcp_entries();
    let remove = network.defined.hosts.difference(&kept);
    let remove: Vec<_> = remove.filter(|h| h.name.as_deref().is_some_and(&goes)).cloned().collect();
    if wanted == network.recorded && remove.is_empty() {
        return None;
    }
    let reason = match remove.len() {
        0 => FEWER_NODES.to_string(),
        count => format!("reservations: {count} to remove"),
    };
    let update = Action::UpdateNetwork {
        network: Box::new(wanted.clone()),
        environment: environment.clone(),
        allocation: network.allocation,
        change: NetworkChange { remove, ..NetworkChange::default() },
    };
    builder.add(update, after, reason.clone());
    Some((wanted, reason))
}

/// A network that domains of others are plugged into stays without nodes of ours, which it forgets after some steps; none if
/// nobody else is on it.
pub(super) fn for_others(
    network: &observed::Network,
    observed: &Observed,
    environment: &EnvName,
    after: &[StepId],
    builder: &mut Builder,
) -> Option<Change> {
    let users = observed.claims.users(&network.name, &network.defined.bridge);
    if users.is_empty() {
        return None;
    }
    let update = forget_nodes(network, environment, |_| true, after.to_vec(), builder);
    Some(stays(&network.name, describe::network(&network.recorded), &users, update))
}

/// The same of one whose record is not believed, which stays as it is.
pub(super) fn edited_for_others(edited: &Edited, observed: &Observed) -> Option<Change> {
    let bridge = edited.bridge.as_deref().unwrap_or_default();
    let users = observed.claims.users(&edited.name, bridge);
    (!users.is_empty()).then(|| stays(&edited.name, String::new(), &users, None))
}

/// What is said of a network that domains of others are plugged into: without it they would have none.
fn stays(
    name: &str,
    detail: String,
    users: &BTreeSet<&str>,
    update: Option<(blueprint::Network, String)>,
) -> Change {
    let users: Vec<&str> = users.iter().copied().collect();
    let why = format!("stays, since others' domains use it: {}", users.join(", "));
    let (op, why) = match update {
        Some((_, more)) => (Op::Update, vec![why, more]),
        None => (Op::Keep, vec![why]),
    };
    Change { op, kind: ObjectKind::Network, name: name.into(), detail, reason: why.into() }
}

fn domain_goes(domain: &Domain, observed: &Observed, reason: &str) -> Change {
    let size = describe::size(&domain.recorded);
    let overlays = overlays(domain, observed);
    let with = match overlays.len() {
        0 => String::new(),
        1 => ", with 1 overlay of a snapshot".into(),
        many => format!(", with {many} overlays of snapshots"),
    };
    let elsewhere = files_elsewhere(domain, &overlays);
    let leaves = match elsewhere.is_empty() {
        true => String::new(),
        false => format!("; leaves {}", elsewhere.join(", ")),
    };
    Change {
        op: Op::Delete,
        kind: ObjectKind::Domain,
        name: domain.name.to_string(),
        detail: format!("{size}{with}{leaves}"),
        reason: reason.into(),
    }
}

/// Volumes in which external snapshots keep what a node has written since.
fn overlays<'a>(domain: &'a Domain, observed: &'a Observed) -> Vec<(&'a Pool, &'a str)> {
    let own: BTreeSet<(&Pool, &str)> = domain.recorded.placed(&domain.pool).collect();
    let pools: BTreeSet<&Pool> = own.iter().map(|(pool, _)| *pool).collect();
    let overlay = |pool: &Pool, name: &str| {
        let mut of = own.iter().filter(|(other, _)| *other == pool).map(|(_, of)| *of);
        !own.contains(&(pool, name)) && of.any(|of| observed::is_overlay(name, of))
    };
    let names = |pool: &Pool| observed.volumes.get(pool.name.as_str()).into_iter().flatten();
    let all = pools.into_iter().flat_map(|pool| names(pool).map(move |v| (pool, v.as_str())));
    all.filter(|(pool, name)| overlay(pool, name)).collect()
}

/// Files that a node's disks are on and that do not go with it: nothing tells that they are ours.
fn files_elsewhere(domain: &Domain, overlays: &[(&Pool, &str)]) -> Vec<String> {
    let expected = Hardware::of(&domain.recorded, &domain.pool);
    let is_ours = |file: &String| {
        expected.disks.iter().any(|d| d.file == *file)
            || overlays.iter().any(|(pool, v)| *file == pool.file(v))
    };
    let found = std::iter::once(&domain.defined).chain(&domain.live).flat_map(|h| &h.disks);
    let files: BTreeSet<&String> =
        found.map(|d| &d.file).filter(|f| !f.is_empty() && !is_ours(f)).collect();
    files.into_iter().cloned().collect()
}

/// Takes away domains whose records are not believed, and the volumes of these and of domains that somebody
/// undefined: networks tell whose they are.
fn remove_edited_domains(
    observed: &Observed,
    asked: impl Fn(&str) -> bool,
    unserved: Option<StepId>,
    reason: &str,
    (changes, builder, leaving): (&mut Vec<Change>, &mut Builder, &mut Leaving),
) {
    let mut gone = BTreeMap::new();
    for edited in observed.edited.iter().filter(|e| e.kind == ObjectKind::Domain && asked(&e.name))
    {
        changes.push(edited_goes(edited, observed, reason));
        let after = unserved.into_iter().collect();
        let last = remove_edited(edited, Shutdown::PullPlug, after, reason, builder);
        gone.insert(edited.name.as_str(), last);
    }
    for orphan in observed.orphans().values().filter(|o| asked(&o.node)) {
        let after = gone.get(orphan.node.as_str()).copied();
        changes.extend(remove_orphan(orphan, after, reason, (builder, leaving)));
    }
    leaving.remove_rest(builder);
}

/// What is said of an object that goes and whose record is not believed.
pub(super) fn edited_goes(edited: &Edited, observed: &Observed, reason: &str) -> Change {
    let orphans = observed.orphans();
    let known = orphans.get(edited.name.as_str()).filter(|_| edited.kind == ObjectKind::Domain);
    let goes = |file: &String| {
        known.is_some_and(|o| o.volumes.iter().any(|(pool, v)| *file == pool.file(v)))
    };
    let stays: Vec<&str> = edited.files.iter().filter(|f| !goes(f)).map(String::as_str).collect();
    let detail = match stays.is_empty() {
        true => String::new(),
        // What its record says of them is not believed, and nothing else tells that they are ours.
        false => format!("leaves {}", stays.join(", ")),
    };
    let (kind, name) = (edited.kind, edited.name.clone());
    let reason = vec![reason.to_string(), edited.why.clone()].into();
    Change { op: Op::Delete, kind, name, detail, reason }
}

/// Stops an object whose record is not believed, a domain as `shutdown` says, and removes its definition. Returns the last step.
pub(super) fn remove_edited(
    edited: &Edited,
    shutdown: Shutdown,
    mut after: Vec<StepId>,
    reason: &str,
    builder: &mut Builder,
) -> StepId {
    let name = || edited.name.clone();
    let (stop, undefine) = match edited.kind {
        ObjectKind::Network => {
            (Action::StopNetwork { name: name() }, Action::UndefineNetwork { name: name() })
        }
        _ => {
            (Action::StopDomain { name: name(), shutdown }, Action::UndefineDomain { name: name() })
        }
    };
    if edited.active {
        after = vec![builder.add(stop, after, reason)];
    }
    builder.add(undefine, after, reason)
}

/// Deletes volumes whose domain somebody undefined, or of which nobody knows what it was.
pub(super) fn remove_orphan(
    orphan: &Orphan,
    after: Option<StepId>,
    reason: &str,
    (builder, leaving): (&mut Builder, &mut Leaving),
) -> Vec<Change> {
    let what = match after {
        None => "which was undefined outside Maquette",
        Some(_) => "whose metadata was changed by hand",
    };
    let remove = |(pool, volume): &(Pool, String)| {
        let delete = Action::DeleteVolume { volume: volume.clone(), pool: pool.clone() };
        let after = after.into_iter().chain(leaving.runs(pool));
        let step = builder.add(delete, after, reason);
        leaving.deleted(pool, step);
        Change {
            op: Op::Delete,
            kind: ObjectKind::Volume,
            name: volume.clone(),
            detail: format!("of {}, {what}", orphan.node),
            reason: reason.into(),
        }
    };
    orphan.volumes.iter().map(remove).collect()
}

/// Stops a network, takes away what was made for it on the hypervisor, and only then its definition,
/// which tells of it. Stopping waits for the first steps, forgetting for the others, too. Returns the last step.
pub(super) fn remove_network(
    network: &observed::Network,
    environment: &EnvName,
    (mut after, gone): (Vec<StepId>, Vec<StepId>),
    reason: &str,
    builder: &mut Builder,
) -> StepId {
    let name = || network.name.to_string();
    if network.active {
        after = vec![builder.add(Action::StopNetwork { name: name() }, after, reason)];
    }
    if let Some(unmake) = switching::unmake(&network.recorded, environment) {
        after = vec![builder.add(unmake, after, reason)];
    }
    after.extend(gone);
    builder.add(Action::UndefineNetwork { name: name() }, after, reason)
}

/// Stops a domain once its BMC is no longer served, deletes its volumes, and only then its definition: as long as a volume is
/// left, the metadata that names it is there too. Volumes that domains of others have stay. Returns the last step.
pub(super) fn remove_domain(
    domain: &Domain,
    observed: &Observed,
    unserved: Option<StepId>,
    reason: &str,
    (builder, leaving): (&mut Builder, &mut Leaving),
) -> StepId {
    let mut after: Vec<StepId> = unserved.into_iter().collect();
    if domain.active {
        let stop =
            Action::StopDomain { name: domain.name.to_string(), shutdown: Shutdown::PullPlug };
        after = vec![builder.add(stop, after, reason)];
    }
    let deletions: Vec<StepId> = domain
        .recorded
        .placed(&domain.pool)
        .filter(|(pool, v)| observed.has_volume(pool, v))
        .chain(overlays(domain, observed))
        .filter(|(pool, volume)| observed.claims.holders(pool, volume).is_empty())
        .map(|(pool, volume)| {
            let delete = Action::DeleteVolume { volume: volume.into(), pool: pool.clone() };
            let step = builder.add(delete, after.iter().copied().chain(leaving.runs(pool)), reason);
            leaving.deleted(pool, step);
            step
        })
        .collect();
    after.extend(deletions);
    after.extend(leaving.remove(&domain.name, builder));
    after.extend(in_use::keep_of(domain, observed, reason, builder));
    builder.add(Action::UndefineDomain { name: domain.name.to_string() }, after, reason)
}

/// Takes away the BMCs of nodes that go, or of all; nothing where there are none. Whoever has one could switch its node on
/// again while that goes: nodes are stopped after the step.
fn remove_bmcs(
    observed: &Observed,
    environment: &EnvName,
    goes: impl Fn(&str) -> bool,
    reason: &str,
    builder: &mut Builder,
) -> (Vec<Change>, Option<StepId>) {
    let Some(served) = &observed.bmcs else { return (Vec::new(), None) };
    let (gone, stay): (Vec<&NodeName>, Vec<&NodeName>) =
        served.digests.keys().partition(|name| goes(name));
    let environment = environment.clone();
    let action = match (stay.is_empty(), gone.is_empty()) {
        (true, _) => Some(Action::StopBmcs { environment }),
        (false, true) => None,
        (false, false) => {
            let nodes = gone.iter().copied().cloned().collect();
            Some(Action::ForgetBmcs { environment, nodes })
        }
    };
    let unserved = action.map(|action| builder.add(action, [], reason));
    let change = |name: &&NodeName| Change {
        op: Op::Delete,
        kind: ObjectKind::Bmc,
        name: name.to_string(),
        detail: String::new(),
        reason: reason.into(),
    };
    (gone.iter().map(change).collect(), unserved)
}

/// What the key that leads to nodes is called in plans.
pub(super) const FORWARDING: &str = "forwarding";

/// Where that key is, and what for.
pub(super) fn forwarding_detail(forwarding: &blueprint::Forwarding) -> String {
    format!("the workspace's key in ~{}/.ssh/authorized_keys, to nodes only", forwarding.user)
}

/// Has no key of an environment open the hypervisor any more, which is said.
pub(super) fn close_forwarding(
    known: &observed::Forwarding,
    environment: &EnvName,
    reason: &str,
    builder: &mut Builder,
) -> Change {
    builder.add(Action::CloseForwarding { environment: environment.clone() }, [], reason);
    Change {
        op: Op::Delete,
        kind: ObjectKind::Host,
        name: FORWARDING.into(),
        detail: forwarding_detail(&known.recorded),
        reason: reason.into(),
    }
}
