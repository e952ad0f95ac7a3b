//! The difference between what is wanted and what is there, as steps.
//!
//! [`create`] compares a blueprint with what was observed, [`destroy`] plans the removal of an
//! environment, [`prepare()`] the preparation of a hypervisor. A [`Plan`] has two sides: *changes*,
//! one for each object and for people, and *steps*, the graph that the executor runs.

mod action;
mod bmcs;
mod compare;
mod describe;
mod devices;
mod diff;
mod drift;
mod forwarding;
mod in_use;
mod left_to_guests;
mod measured;
mod node;
mod node_change;
mod pool_steps;
mod pools;
mod power;
mod prepare;
mod ready;
mod reasons;
mod remove;
mod requirements;
mod share;
mod steps;
mod switching;
mod waiting;
mod warm;
mod warm_start;
mod zone;

pub use action::{Action, Lane, LiveChange, NetworkChange, Readiness, Sharing, Shutdown};
pub use diff::{create, place_seeds, renew, unknown_first_boots};
pub use drift::{Drift, drifts, undone_edits};
pub use in_use::replaced_in_use;
pub use left_to_guests::left_to_guests;
pub use measured::measured;
pub use node_change::entangled;
pub use power::{Power, power, unproven};
pub use prepare::{
    HostFacts, HypervisorNeeds, KVM_OPEN, LIMITS, LibvirtState, Limit, PoolState, Setting, prepare,
    restore,
};
pub use reasons::Reasons;
pub use remove::{destroy, remove_nodes};
pub use requirements::Requirements;
pub use share::{Away, Extent, out_of_reach, share, unshare};
pub use steps::{Builder, Step, StepId};
pub use warm::{
    fresh, has_templates, known_template, made_beforehand, made_for_nodes, templates,
    without_memory,
};

use std::collections::BTreeSet;

use crate::object::ObjectKind;

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is removed and made again; what was in it is lost.
    Replace,
    /// It is removed.
    Delete,
    /// It stays as it is.
    Keep,
}

impl Op {
    /// The sign it is printed with.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Update => "~",
            Self::Replace => "-/+",
            Self::Delete => "-",
            Self::Keep => "",
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Keep => "keep",
        }
    }
}

/// One object and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happens to the object.
    pub op: Op,
    /// What kind of object it is.
    pub kind: ObjectKind,
    /// The object's name.
    pub name: String,
    /// What it is, in a few words.
    pub detail: String,
    /// Why this happens, all of it; empty only for [`Op::Keep`].
    pub reason: Reasons,
}

/// What a run does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// For people, one for each object.
    pub changes: Vec<Change>,
    /// For the executor; a step comes after all that it waits for.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Several plans as one.
    pub fn all(plans: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self::default();
        for plan in plans {
            let offset = whole.steps.len();
            whole.changes.extend(plan.changes);
            whole.steps.extend(plan.steps.into_iter().map(|step| Step {
                id: step.id.behind(offset),
                after: step.after.iter().map(|a| a.behind(offset)).collect(),
                ..step
            }));
        }
        whole
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many objects an operation is planned for.
    pub fn count(&self, op: Op) -> usize {
        self.changes.iter().filter(|c| c.op == op).count()
    }

    /// The part of a plan that `keep` wants; what waited for a dropped step waits for what that
    /// waited for. `kinds` are the kinds of objects that are still of interest.
    #[must_use]
    pub fn only(self, keep: impl Fn(&Action) -> bool, kinds: impl Fn(ObjectKind) -> bool) -> Self {
        self.picked(|step| keep(&step.action), kinds)
    }

    /// Steps of some kinds that wait for no others, and the rest. All changes are the second part's: they are there when that
    /// is done.
    #[must_use]
    pub fn parted(self, is_early: impl Fn(&Action) -> bool) -> (Self, Self) {
        let mut early: BTreeSet<StepId> = BTreeSet::new();
        for step in &self.steps {
            if is_early(&step.action) && step.after.iter().all(|id| early.contains(id)) {
                early.insert(step.id);
            }
        }
        let first = self.clone().picked(|step| early.contains(&step.id), |_| false);
        (first, self.picked(|step| !early.contains(&step.id), |_| true))
    }

    fn picked(self, keep: impl Fn(&Step) -> bool, kinds: impl Fn(ObjectKind) -> bool) -> Self {
        let mut builder = Builder::default();
        // What a step of the whole plan became: itself, or what it waited for.
        let mut became: Vec<Vec<StepId>> = Vec::with_capacity(self.steps.len());
        for step in self.steps {
            let after =
                step.after.iter().flat_map(|a| became[a.index()].clone()).collect::<Vec<_>>();
            became.push(if keep(&step) {
                vec![builder.add(step.action, after, step.reason)]
            } else {
                after
            });
        }
        let changes = self.changes.into_iter().filter(|c| kinds(c.kind)).collect();
        Self { changes, steps: builder.finish() }
    }

    /// NICs that nobody named and that are to be put into a bridge: whoever asked for a network may not
    /// know that it is the hypervisor's only way out.
    pub fn chosen_nics(&self) -> Vec<&str> {
        let chosen = self.steps.iter().filter_map(|s| match &s.action {
            Action::BridgeNic { uplink, .. } if uplink.chosen => Some(uplink.nic.as_str()),
            _ => None,
        });
        chosen.collect()
    }

    /// What is lost for ever, and therefore wants a confirmation: domains, with all of their disks, and single volumes.
    pub fn losses(&self) -> Vec<(ObjectKind, &str)> {
        let lost = |c: &&Change| matches!(c.op, Op::Replace | Op::Delete);
        let has_data = |c: &&Change| match c.kind {
            ObjectKind::Domain | ObjectKind::Volume => true,
            ObjectKind::Host | ObjectKind::Image | ObjectKind::Network | ObjectKind::Bmc => false,
        };
        let lost = self.changes.iter().filter(lost).filter(has_data);
        lost.map(|change| (change.kind, change.name.as_str())).collect()
    }
}
