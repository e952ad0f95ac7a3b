//! Which step may run next.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::plan::{Lane, Step, StepId};

use super::Summary;
use crate::Lanes;

/// What a worker does now.
pub(super) enum Next {
    /// This step.
    Step(StepId),
    /// Wait until something changes.
    Wait,
    /// End: nothing is left for this worker.
    Finished,
}

pub(super) struct Schedule<'a> {
    steps: &'a [Step],
    lanes: Lanes,
    /// Steps that wait for each step.
    dependents: Vec<Vec<StepId>>,
    /// How many steps each step still waits for.
    missing: Vec<usize>,
    /// Steps that could run, by lane, lowest number first.
    ready: BTreeMap<Lane, BTreeSet<StepId>>,
    running: BTreeMap<Lane, usize>,
    /// Steps neither done, failed nor skipped.
    open: BTreeSet<StepId>,
    summary: Summary,
}

impl<'a> Schedule<'a> {
    pub(super) fn new(steps: &'a [Step], lanes: Lanes) -> Self {
        let mut dependents = vec![Vec::new(); steps.len()];
        let mut ready: BTreeMap<Lane, BTreeSet<StepId>> = BTreeMap::new();
        for step in steps {
            for before in &step.after {
                dependents[before.index()].push(step.id);
            }
            if step.after.is_empty() {
                ready.entry(step.action.lane()).or_default().insert(step.id);
            }
        }
        Self {
            steps,
            lanes,
            dependents,
            missing: steps.iter().map(|s| s.after.len()).collect(),
            ready,
            running: BTreeMap::new(),
            open: StepId::all(steps.len()).collect(),
            summary: Summary::default(),
        }
    }

    /// Takes the next step that has room in its lane.
    pub(super) fn next(&mut self) -> Next {
        if self.open.is_empty() {
            return Next::Finished;
        }
        for lane in Lane::ALL {
            let running = self.running.entry(lane).or_default();
            if *running < self.lanes.width(lane)
                && let Some(id) = self.ready.get_mut(&lane).and_then(BTreeSet::pop_first)
            {
                *running += 1;
                return Next::Step(id);
            }
        }
        Next::Wait
    }

    pub(super) fn done(&mut self, id: StepId) {
        self.leave(id);
        self.summary.done += 1;
        for next in self.dependents[id.index()].clone() {
            self.missing[next.index()] -= 1;
            if self.missing[next.index()] == 0 && self.open.contains(&next) {
                let lane = self.steps[next.index()].action.lane();
                self.ready.entry(lane).or_default().insert(next);
            }
        }
    }

    /// Notes that a step failed, or was interrupted; returns the steps that can no longer be done, in order.
    pub(super) fn lost(&mut self, id: StepId, interrupted: bool) -> Vec<StepId> {
        self.leave(id);
        match interrupted {
            true => self.summary.skipped += 1,
            false => self.summary.failed += 1,
        }
        let mut lost = BTreeSet::new();
        let mut front = self.dependents[id.index()].clone();
        while let Some(next) = front.pop() {
            if self.open.remove(&next) {
                lost.insert(next);
                front.extend(&self.dependents[next.index()]);
            }
        }
        self.summary.skipped += lost.len();
        lost.into_iter().collect()
    }

    /// Gives up every step that has not begun; returns them.
    pub(super) fn cancel(&mut self) -> Vec<StepId> {
        let running: usize = self.running.values().sum();
        let waiting: Vec<StepId> = self
            .open
            .iter()
            .copied()
            .filter(|id| self.missing[id.index()] > 0 || self.is_ready(*id))
            .collect();
        debug_assert!(self.open.len() - waiting.len() == running);
        for id in &waiting {
            self.open.remove(id);
        }
        self.ready.clear();
        self.summary.skipped += waiting.len();
        waiting
    }

    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    fn is_ready(&self, id: StepId) -> bool {
        self.ready.get(&self.steps[id.index()].action.lane()).is_some_and(|r| r.contains(&id))
    }

    fn leave(&mut self, id: StepId) {
        self.open.remove(&id);
        if let Some(running) = self.running.get_mut(&self.steps[id.index()].action.lane()) {
            *running -= 1;
        }
    }
}
