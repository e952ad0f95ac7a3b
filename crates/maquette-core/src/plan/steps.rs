//! The graph of steps.

use super::action::Action;

/// One action, what it waits for, and why it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Position in the plan.
    pub id: usize,
    /// What to do.
    pub action: Action,
    /// Steps that must have succeeded before; all have smaller numbers.
    pub after: Vec<usize>,
    /// Why.
    pub reason: String,
}

/// Collects steps. A step can only wait for steps that are there already, so no plan has a cycle.
#[derive(Debug, Default)]
pub struct Builder {
    steps: Vec<Step>,
}

impl Builder {
    /// Adds a step and says its number. `after` may name a step twice.
    pub fn add(
        &mut self,
        action: Action,
        after: impl IntoIterator<Item = usize>,
        reason: impl Into<String>,
    ) -> usize {
        let id = self.steps.len();
        let mut after: Vec<usize> = after.into_iter().collect();
        after.sort_unstable();
        after.dedup();
        debug_assert!(after.iter().all(|a| *a < id), "a step waits for a later one");
        self.steps.push(Step { id, action, after, reason: reason.into() });
        id
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps.
    pub fn finish(self) -> Vec<Step> {
        self.steps
    }
}
