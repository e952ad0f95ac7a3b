//! The time zone of guests that run: set in them, over SSH. What is made later has it from its first boot.

use super::diff::Planner;
use super::ready::readiness;
use super::{Action, StepId};
use crate::blueprint::Node;

impl Planner<'_> {
    /// A node as its definition says until its guest has been changed: a run that ends before that leaves what the next one
    /// sees.
    pub(super) fn before_zone(&self, node: &Node) -> Node {
        let mut node = node.clone();
        if let (Some(zone), Some(guest)) = (self.zones.get(&node.name), &mut node.guest) {
            guest.timezone.clone_from(zone);
        }
        node
    }

    /// Sets the time zone of a node, after its own steps, which were added after the first `before`. One that does not run
    /// gets it when it does.
    pub(super) fn zone(&mut self, wanted: &Node, before: usize) {
        let zone = wanted.guest.as_ref().and_then(|guest| guest.timezone.clone());
        let (Some(zone), Some(ready)) = (zone, readiness(wanted)) else { return };
        if !self.zones.contains_key(&wanted.name) {
            return;
        }
        let steps = self.builder.since(before);
        let starts = |action: &Action| {
            matches!(action, Action::StartDomain { .. } | Action::ResumeDomain { .. })
        };
        let domain = self.observed.domains.get(&wanted.name);
        let runs = domain.is_some_and(|d| d.active && !d.paused);
        if !runs && !steps.iter().any(|step| starts(&step.action)) {
            return;
        }
        let after: Vec<StepId> = steps.iter().map(|step| step.id).collect();
        let set = Action::SetTimezone {
            node: Box::new(wanted.clone()),
            environment: self.blueprint.environment.clone(),
            pool: self.pool(&wanted.name),
            zone,
            ready,
        };
        self.builder.add(set, after, "its time zone changes");
    }
}
