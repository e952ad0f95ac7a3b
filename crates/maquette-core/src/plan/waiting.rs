//! Waiting for nodes that stay as they are and do not answer.

use std::collections::BTreeSet;

use super::ready::readiness;
use super::{Action, Builder, Op, Plan};
use crate::object::ObjectKind;
use crate::observed::Observed;

/// Why it is waited.
const WHY: &str = "it does not answer";

impl Plan {
    /// Waits for those of some nodes, by their libvirt names, with which nothing else is done.
    pub fn wait_for(&mut self, observed: &Observed, silent: &BTreeSet<String>) {
        let mut builder = Builder::default();
        let kept = |c: &&mut super::Change| c.op == Op::Keep && c.kind == ObjectKind::Domain;
        for change in self.changes.iter_mut().filter(kept) {
            let domain = observed.domains.get(change.name.as_str());
            let Some(domain) = domain.filter(|_| silent.contains(&change.name)) else { continue };
            let Some(ready) = readiness(&domain.recorded) else { continue };
            builder.add(Action::AwaitDomain { name: domain.name.clone(), ready }, [], WHY);
            (change.op, change.reason) = (Op::Update, WHY.into());
        }
        let waits = Self { changes: Vec::new(), steps: builder.finish() };
        *self = Self::all([std::mem::take(self), waits]);
    }
}
