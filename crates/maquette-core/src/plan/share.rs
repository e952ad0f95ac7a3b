//! Public keys of colleagues: they come to running nodes and go from them. What is made later has them from its first boot.

use super::diff::Planner;
use super::fate::{Fate, Fates};
use super::ready::readiness;
use super::{Action, Builder, Change, Op, Plan, Reasons};
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

/// Nodes whose keys cannot be changed now, since they are off, paused or have not finished their first boot.
pub fn out_of_reach(observed: &Observed) -> Vec<&str> {
    let guests = observed.domains.values().filter(|d| d.recorded.guest.is_some());
    guests.filter(|d| !is_in_reach(d)).map(|d| d.name.as_str()).collect()
}

fn is_in_reach(domain: &Domain) -> bool {
    domain.active && !domain.paused && domain.ready && readiness(&domain.recorded).is_some()
}

/// Plans that keys come to all nodes which can be logged in to now, and that others go. That is done anew where a record
/// says that it was done: somebody may have changed the files.
pub fn share(
    observed: &Observed,
    environment: &EnvName,
    add: &[PublicKey],
    remove: &[PublicKey],
) -> Plan {
    let (mut builder, mut changes) = (Builder::default(), Vec::new());
    for domain in observed.domains.values() {
        let Some(guest) = &domain.recorded.guest else { continue };
        let (op, reason) = match action(domain, guest, environment, add, remove) {
            Some((action, reason)) => {
                builder.add(action, [], reason.as_str());
                (Op::Update, reason)
            }
            None => (Op::Keep, String::new()),
        };
        let name = domain.name.clone();
        let detail = if domain.active { "running" } else { "shut off" }.into();
        changes.push(Change { op, kind: ObjectKind::Domain, name, detail, reason: reason.into() });
    }
    Plan { changes, steps: builder.finish() }
}

/// The step for one node, and why; none if it cannot be logged in to now.
fn action(
    domain: &Domain,
    guest: &Guest,
    environment: &EnvName,
    add: &[PublicKey],
    remove: &[PublicKey],
) -> Option<(Action, String)> {
    let ready = readiness(&domain.recorded).filter(|_| is_in_reach(domain))?;
    let mut shared = guest.shared.clone();
    shared.retain(|key| !has(remove, key) && !has(add, key));
    shared.extend(add.iter().cloned());
    let guest = Guest { shared, ..guest.clone() };
    let node = Node { guest: Some(guest), ..domain.recorded.clone() };
    let list = |keys: &[PublicKey]| keys.iter().map(whose).collect::<Vec<_>>().join(", ");
    let may = [(add, "may log in"), (remove, "may log in no more")].into_iter();
    let reasons = may.filter(|(keys, _)| !keys.is_empty());
    let reason: Vec<String> =
        reasons.map(|(keys, what)| format!("{} {what}", list(keys))).collect();
    let action = Action::ShareDomain {
        node: Box::new(node),
        environment: environment.clone(),
        pool: domain.pool.clone(),
        add: add.to_vec(),
        remove: remove.to_vec(),
        ready,
    };
    Some((action, reason.join("; ")))
}

impl Planner<'_> {
    /// Gives nodes that go on running the keys that other nodes of the environment have: they were off when these came.
    pub(super) fn share(&mut self, fates: &Fates) {
        let shared = self.observed.shared_keys();
        for domain in self.observed.domains.values() {
            let Some(guest) = &domain.recorded.guest else { continue };
            let missing: Vec<PublicKey> =
                shared.iter().filter(|key| !has(&guest.shared, key)).cloned().collect();
            let goes_on = matches!(fates.nodes.get(&domain.name), Some(Fate::Keep));
            if missing.is_empty() || !goes_on {
                continue;
            }
            let environment = &self.blueprint.environment;
            let Some((action, why)) = action(domain, guest, environment, &missing, &[]) else {
                continue;
            };
            self.builder.add(action, [], why.as_str());
            let is_it = |c: &&mut Change| c.kind == ObjectKind::Domain && c.name == domain.name;
            for change in self.changes.iter_mut().filter(is_it) {
                change.op = Op::Update;
                change.reason = Reasons::how(vec![why.clone()], "while it runs");
            }
        }
    }
}
