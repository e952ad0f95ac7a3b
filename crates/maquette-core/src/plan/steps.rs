//! The graph of steps.

use std::fmt;

use super::action::Action;

/// Which step of a plan: its place in it, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(usize);

impl StepId {
    /// The step at a place.
    pub fn at(index: usize) -> Self {
        Self(index)
    }

    /// The steps of a plan that has this many.
    pub fn all(count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(Self)
    }

    /// Its place, for lists that have an entry for each step.
    pub fn index(self) -> usize {
        self.0
    }

    /// The same step where this many others are put before the plan.
    #[must_use]
    pub(super) fn behind(self, others: usize) -> Self {
        Self(self.0 + others)
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One action, what it waits for, and why it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its place in the plan.
    pub id: StepId,
    /// What to do.
    pub action: Action,
    /// Steps that must have succeeded before; all have smaller numbers.
    pub after: Vec<StepId>,
    /// Why it is done, for people.
    pub reason: String,
}

/// Collects steps. A step can only wait for steps that are there already, so no plan has a cycle.
#[derive(Debug, Default)]
pub struct Builder {
    steps: Vec<Step>,
}

impl Builder {
    /// Adds a step and says which it is. `after` may name a step twice.
    pub fn add(
        &mut self,
        action: Action,
        after: impl IntoIterator<Item = StepId>,
        reason: impl Into<String>,
    ) -> StepId {
        let id = StepId(self.steps.len());
        let mut after: Vec<StepId> = after.into_iter().collect();
        after.sort_unstable();
        after.dedup();
        debug_assert!(after.iter().all(|a| *a < id), "a step waits for a later one");
        self.steps.push(Step { id, action, after, reason: reason.into() });
        id
    }

    /// All steps that there are so far.
    pub fn added(&self) -> impl Iterator<Item = StepId> + use<> {
        StepId::all(self.steps.len())
    }

    /// The steps that were added after the first `count`.
    pub fn since(&self, count: usize) -> &[Step] {
        self.steps.get(count..).unwrap_or_default()
    }

    /// Those of them after which a domain no longer runs.
    pub fn stops(&self) -> Vec<StepId> {
        let stops = self.steps.iter().filter(|s| matches!(s.action, Action::StopDomain { .. }));
        stops.map(|step| step.id).collect()
    }

    /// Whether a step starts a network.
    pub fn starts_network(&self, network: &str) -> bool {
        let starts = |action: &Action| matches!(action, Action::StartNetwork { name, .. } if **name == *network);
        self.steps.iter().any(|step| starts(&step.action))
    }

    /// All steps, in the order in which they were added.
    pub fn finish(self) -> Vec<Step> {
        self.steps
    }
}
