//! Public keys of colleagues: they come to running nodes and go from them. What is made later has them from its first boot.

use super::diff::Planner;
use super::node_change::NodeChange;
use super::ready::readiness;
use super::{Action, Builder, Change, Op, Plan, Readiness, Sharing, Step, StepId};
use crate::blueprint::{Guest, Node};
use crate::names::EnvName;
use crate::object::ObjectKind;
use crate::observed::{Domain, Observed};
use crate::values::PublicKey;

/// Whose a key is, for people: its comment, else its beginning.
fn whose(key: &PublicKey) -> String {
    let beginning = || key.as_str().chars().take(40).collect();
    key.comment().map_or_else(beginning, String::from)
}

/// Whether a key is among others.
fn has(keys: &[PublicKey], key: &PublicKey) -> bool {
    keys.iter().any(|known| known.is_same(key))
}

/// Why the keys of a node cannot be changed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Away {
    /// It is off, or its vCPUs are stopped.
    Off,
    /// Its first boot was not seen to end, or it has no address.
    NotReady,
    /// It was undefined outside Maquette, and goes when it stops.
    Undefined,
    /// Its record was edited outside Maquette, and is not believed.
    Edited,
}

/// Nodes whose keys cannot be changed now, and why.
pub fn out_of_reach(observed: &Observed) -> Vec<(&str, Away)> {
    let away = observed.guests().filter_map(|(d, _)| Some((d.name.as_str(), reach(d).err()?)));
    let edited = observed.edited.iter().filter(|e| e.kind == ObjectKind::Domain);
    away.chain(edited.map(|e| (e.name.as_str(), Away::Edited))).collect()
}

/// How a node is logged in to now.
fn reach(domain: &Domain) -> Result<Readiness, Away> {
    match readiness(&domain.recorded) {
        _ if !domain.active || domain.paused => Err(Away::Off),
        Some(_) if !domain.persistent => Err(Away::Undefined),
        Some(ready) if domain.ready => Ok(ready),
        _ => Err(Away::NotReady),
    }
}

/// Plans that keys come to all nodes which can be logged in to now. That is done again where a record says that it was
/// done: somebody may have changed the files.
pub fn share(observed: &Observed, environment: &EnvName, keys: &[PublicKey]) -> Plan {
    let mut builder = Builder::default();
    let reason = format!("{} may log in", list(keys));
    let mut changes = Vec::new();
    for (domain, guest) in observed.guests() {
        let ready = reach(domain).ok();
        changes.push(change(domain, ready.as_ref().map(|_| reason.as_str())));
        if let Some(ready) = ready {
            let node = with(&domain.recorded, guest, keys);
            builder.add(
                Action::ShareDomain {
                    node: Box::new(node),
                    environment: environment.clone(),
                    pool: domain.pool.clone(),
                    add: keys.to_vec(),
                    remove: Vec::new(),
                    ready,
                    sharing: Sharing::Recorded,
                },
                [],
                reason.as_str(),
            );
        }
    }
    Plan { changes, steps: builder.finish() }
}

/// Which nodes keys are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All, or none: nothing is recorded before every guest was changed, since `up` gives all nodes what one is recorded
    /// to have.
    All,
    /// Those that can be logged in to. All are recorded without the keys, and that first, so that `up` does not bring them
    /// back from a node that could not be changed.
    Reachable,
}

/// Plans that keys go, whether they are recorded or not.
pub fn unshare(
    observed: &Observed,
    environment: &EnvName,
    keys: &[PublicKey],
    extent: Extent,
) -> Plan {
    let mut builder = Builder::default();
    let (mut changes, mut changed) = (Vec::new(), Vec::new());
    let reason = format!("{} may no longer log in", list(keys));
    let record = |builder: &mut Builder, domain: &Domain, guest: &Guest, after: &[StepId]| {
        let node = Box::new(without(&domain.recorded, guest, keys));
        let (environment, pool) = (environment.clone(), domain.pool.clone());
        let record = Action::RecordDomain { node, environment, pool };
        builder.add(record, after.iter().copied(), reason.as_str())
    };
    for (domain, guest) in observed.guests() {
        let after = match extent {
            Extent::All => None,
            Extent::Reachable => Some(record(&mut builder, domain, guest, &[])),
        };
        let Ok(ready) = reach(domain) else {
            let recorded = after.map(|_| "it is only recorded that the key is gone");
            changes.push(change(domain, recorded));
            continue;
        };
        changes.push(change(domain, Some(&reason)));
        let take = Action::ShareDomain {
            node: Box::new(without(&domain.recorded, guest, keys)),
            environment: environment.clone(),
            pool: domain.pool.clone(),
            add: Vec::new(),
            remove: keys.to_vec(),
            ready,
            sharing: Sharing::Guest,
        };
        changed.push(builder.add(take, after, reason.as_str()));
    }
    if extent == Extent::All {
        for (domain, guest) in observed.guests() {
            record(&mut builder, domain, guest, &changed);
        }
    }
    Plan { changes, steps: builder.finish() }
}

/// Whose some keys are.
fn list(keys: &[PublicKey]) -> String {
    keys.iter().map(whose).collect::<Vec<_>>().join(", ")
}

/// What is said of a node; `reason` is none if nothing is done to it.
fn change(domain: &Domain, reason: Option<&str>) -> Change {
    let op = if reason.is_some() { Op::Update } else { Op::Keep };
    let detail = if domain.active { "running" } else { "shut off" }.into();
    let reason = reason.unwrap_or_default().into();
    Change { op, kind: ObjectKind::Domain, name: domain.name.to_string(), detail, reason }
}

/// A node that opens to further keys.
fn with(node: &Node, guest: &Guest, keys: &[PublicKey]) -> Node {
    let mut node = without(node, guest, keys);
    node.guest.iter_mut().for_each(|guest| guest.shared.extend(keys.iter().cloned()));
    node
}

/// A node that some keys no longer open.
fn without(node: &Node, guest: &Guest, keys: &[PublicKey]) -> Node {
    let mut guest = guest.clone();
    guest.shared.retain(|key| !has(keys, key));
    Node { guest: Some(guest), ..node.clone() }
}

impl Planner<'_> {
    /// Gives a node that goes on, or starts again, the keys that others of the environment have: it was not reached when
    /// these came. Its own steps are those that were added after the first `before`.
    pub(super) fn share(&mut self, wanted: &Node, node_change: &NodeChange, before: usize) {
        let domain = self.observed.domains.get(&wanted.name);
        let node = match (node_change, domain) {
            (NodeChange::Keep | NodeChange::Leave(_), Some(domain)) => &domain.recorded,
            (NodeChange::Record(_) | NodeChange::Live(..) | NodeChange::Restart(_), Some(_)) => {
                wanted
            }
            (NodeChange::Create, None) if self.keeps_disks(wanted) => wanted,
            _ => return,
        };
        let (Some(guest), Some(ready)) = (&node.guest, readiness(node)) else { return };
        let mut keys = self.observed.shared_keys();
        // What a record without a domain that is believed would say is not so.
        keys.retain(|key| domain.is_none() || !has(&guest.shared, key));
        let steps = self.builder.since(before);
        let starts = |step: &Step| {
            matches!(step.action, Action::StartDomain { .. } | Action::ResumeDomain { .. })
        };
        let defines = |step: &Step| matches!(step.action, Action::DefineDomain { .. });
        let runs = domain.is_some_and(|d| d.active && !d.paused) || steps.iter().any(starts);
        let persists = domain.is_some_and(|d| d.persistent) || steps.iter().any(defines);
        let ready_before = domain.is_none_or(|d| d.ready);
        if keys.is_empty() || !ready_before || !runs || !persists {
            return;
        }
        let after: Vec<StepId> = steps.iter().map(|step| step.id).collect();
        let why = format!("{} may log in", list(&keys));
        let share = Action::ShareDomain {
            node: Box::new(with(node, guest, &keys)),
            environment: self.blueprint.environment.clone(),
            pool: self.pool(&wanted.name),
            add: keys,
            remove: Vec::new(),
            ready,
            sharing: Sharing::Tried,
        };
        self.builder.add(share, after, why.as_str());
        let is_it = |c: &&mut Change| c.kind == ObjectKind::Domain && c.name == wanted.name;
        for change in self.changes.iter_mut().filter(is_it) {
            if change.op == Op::Keep {
                change.op = Op::Update;
                change.reason.how = Some("while it runs");
            }
            change.reason.all.push(why.clone());
        }
    }

    /// Whether a node without a domain that is believed has its disks from before.
    fn keeps_disks(&self, node: &Node) -> bool {
        let edited = self.observed.edited(ObjectKind::Domain, &node.name);
        edited.is_some() || self.orphans.contains_key(&node.name)
    }
}
