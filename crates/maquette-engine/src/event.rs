//! What happens while a plan runs: one linear stream that every reporter reads.

use std::collections::BTreeMap;
use std::time::Duration;

use maquette_core::plan::StepId;

use crate::StepError;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A run begins.
    RunStarted {
        /// Number of steps.
        steps: usize,
    },
    /// A step begins.
    StepStarted {
        /// Number of the step in the plan.
        id: StepId,
        /// Verb and object.
        title: String,
    },
    /// A step tells how far it is.
    StepProgress {
        /// Number of the step in the plan.
        id: StepId,
        /// In a few words.
        text: String,
    },
    /// A step tells how it was done, before it is.
    StepRemark {
        /// Number of the step in the plan.
        id: StepId,
        /// In a few words.
        text: String,
    },
    /// A step is done.
    StepFinished {
        /// Number of the step in the plan.
        id: StepId,
        /// How long it took.
        took: Duration,
    },
    /// A step failed.
    StepFailed {
        /// Number of the step in the plan.
        id: StepId,
        /// Verb and object.
        title: String,
        /// Why it failed, with all causes.
        error: StepError,
    },
    /// A step waits no longer, since the user wants to stop.
    StepInterrupted {
        /// Number of the step in the plan.
        id: StepId,
        /// Verb and object.
        title: String,
        /// What becomes of what it waited for.
        text: String,
    },
    /// A step was not begun.
    StepSkipped {
        /// Number of the step in the plan.
        id: StepId,
        /// Verb and object.
        title: String,
        /// The failed step that it waits for; none where the run was interrupted.
        because: Option<StepId>,
    },
    /// The run is over.
    RunFinished {
        /// How many steps were done.
        done: usize,
        /// How many steps failed.
        failed: usize,
        /// How many steps were not begun, or interrupted.
        skipped: usize,
        /// How long it took.
        took: Duration,
    },
}

/// Where a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// Under way.
    Running,
    /// Done; how long it took.
    Done(Duration),
    /// Failed, and why.
    Failed(StepError),
    /// Not begun, and it will not be.
    Skipped,
}

/// A step as a reader of events sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepView {
    /// Verb and object.
    pub title: String,
    /// Where it is.
    pub state: StepState,
    /// Its last words.
    pub progress: String,
}

/// All events so far, folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunState {
    /// Number of steps.
    pub total: usize,
    /// Steps that have begun or were skipped.
    pub steps: BTreeMap<StepId, StepView>,
    /// How long the run took, once it is over.
    pub took: Option<Duration>,
}

impl RunState {
    /// Takes in one event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            // The preparation and what it is for are a run each, and count their own steps.
            Event::RunStarted { steps } => *self = Self { total: *steps, ..Self::default() },
            Event::StepStarted { id, title } => self.put(*id, title, StepState::Running),
            Event::StepProgress { id, text } | Event::StepRemark { id, text } => {
                if let Some(step) = self.steps.get_mut(id) {
                    step.progress = text.clone();
                }
            }
            Event::StepFinished { id, took } => {
                if let Some(step) = self.steps.get_mut(id) {
                    step.state = StepState::Done(*took);
                }
            }
            Event::StepFailed { id, title, error } => {
                self.put(*id, title, StepState::Failed(error.clone()));
            }
            Event::StepSkipped { id, title, .. } | Event::StepInterrupted { id, title, .. } => {
                self.put(*id, title, StepState::Skipped)
            }
            Event::RunFinished { took, .. } => self.took = Some(*took),
        }
    }

    fn put(&mut self, id: StepId, title: &str, state: StepState) {
        let view = StepView { title: title.into(), state, progress: String::new() };
        self.steps.insert(id, view);
    }

    /// Steps in one state.
    pub fn count(&self, matches: impl Fn(&StepState) -> bool) -> usize {
        self.steps.values().filter(|s| matches(&s.state)).count()
    }

    /// Steps that failed, in order.
    pub fn failures(&self) -> impl Iterator<Item = (&StepView, &StepError)> {
        self.steps.values().filter_map(|s| match &s.state {
            StepState::Failed(error) => Some((s, error)),
            _ => None,
        })
    }
}
