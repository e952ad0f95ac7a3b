//! Plain lines, for logs: one for each step that is done, failed or changes its stage.

use std::collections::BTreeMap;
use std::sync::Arc;

use maquette_core::plan::StepId;
use maquette_engine::{Event, RunState};

use super::{Errors, Reporter, seconds};
use crate::render::{self, Painted};
use crate::world::Terminal;

/// Writes plain lines.
pub struct Plain {
    terminal: Arc<Terminal>,
    state: RunState,
    /// First word of the last progress that was printed, by step.
    told: BTreeMap<StepId, String>,
    errors: Errors,
}

impl Reporter for Plain {
    fn event(&mut self, event: &Event) {
        self.state.apply(event);
        for line in self.lines(event) {
            self.terminal.painted_talk(&line);
        }
    }
}

impl Plain {
    /// A log on a terminal that has nothing in it yet.
    pub fn new(terminal: Arc<Terminal>) -> Self {
        let (state, told, errors) = (RunState::default(), BTreeMap::new(), Errors::default());
        Self { terminal, state, told, errors }
    }

    fn lines(&mut self, event: &Event) -> Vec<Painted> {
        let finished = self.state.count(|s| matches!(s, maquette_engine::StepState::Done(_)));
        let total = self.state.total;
        match event {
            Event::RunStarted { .. } => {
                self.told.clear();
                Vec::new()
            }
            Event::StepStarted { .. } => Vec::new(),
            Event::StepProgress { id, text } => {
                // Numbers change all the time and would fill a log.
                let gist: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
                if text.contains('%') || self.told.get(id) == Some(&gist) {
                    return Vec::new();
                }
                self.told.insert(*id, gist);
                self.errors.talked();
                let title = self.state.steps.get(id).map_or("", |s| s.title.as_str());
                vec![Painted::plain(&format!("        {title}: {text}"))]
            }
            Event::StepRemark { id, text } => {
                self.errors.talked();
                let title = self.state.steps.get(id).map_or("", |s| s.title.as_str());
                vec![Painted::plain(&format!("        {title}: {text}"))]
            }
            Event::StepFinished { id, took } => {
                self.errors.talked();
                let title = self.state.steps.get(id).map_or("", |s| s.title.as_str());
                let took = seconds(*took);
                vec![Painted::plain(&format!("[{finished:>3}/{total}] {title} ({took})"))]
            }
            Event::StepFailed { error, .. } => {
                self.errors.came(error);
                vec![render::step_error(error)]
            }
            Event::StepInterrupted { title, text, .. } => {
                self.errors.talked();
                vec![Painted::plain(&format!("not done: {title}; {text}"))]
            }
            Event::StepSkipped { title, .. } => {
                vec![Painted::plain(&format!("not done: {title}"))]
            }
            Event::RunFinished { done, failed, skipped, took } => {
                let mut lines = self.errors.again();
                lines.push(Painted::plain(&super::summary(*done, *failed, *skipped, *took)));
                lines
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_engine::StepError;
    use std::time::Duration;

    fn said(events: &[Event]) -> String {
        let mut plain = Plain::new(Arc::new(Terminal::deaf()));
        let mut lines = Vec::new();
        for event in events {
            plain.state.apply(event);
            lines.extend(plain.lines(event).iter().map(ToString::to_string));
        }
        render::plain(&lines.join("\n")).into_owned()
    }

    #[test]
    fn a_run_reads_like_a_log() {
        let events = [
            Event::RunStarted { steps: 3 },
            Event::StepStarted { id: StepId::at(0), title: "define network data".into() },
            Event::StepStarted { id: StepId::at(1), title: "boot domain a-0".into() },
            Event::StepFinished { id: StepId::at(0), took: Duration::from_millis(40) },
            Event::StepProgress { id: StepId::at(1), text: "booting".into() },
            Event::StepProgress { id: StepId::at(1), text: "booting".into() },
            Event::StepFailed {
                id: StepId::at(1),
                title: "boot domain a-0".into(),
                error: StepError::new("`a-0` stopped while it booted").hint("look at it"),
            },
            Event::StepSkipped {
                id: StepId::at(2),
                title: "boot domain b-0".into(),
                because: Some(StepId::at(1)),
            },
            Event::RunFinished { done: 1, failed: 1, skipped: 1, took: Duration::from_secs(2) },
        ];
        insta::assert_snapshot!(said(&events), @r"
        [  1/3] define network data (0.0 s)
                boot domain a-0: booting
        error: `a-0` stopped while it booted
          help: look at it
        not done: boot domain b-0
        1 step done, 1 failed, 1 not done, in 2.0 s
        ");
    }

    #[test]
    fn an_error_that_others_went_on_after_is_there_at_the_end() {
        let events = [
            Event::RunStarted { steps: 3 },
            Event::StepStarted { id: StepId::at(0), title: "boot domain a-0".into() },
            Event::StepStarted { id: StepId::at(1), title: "boot domain b-0".into() },
            Event::StepFailed {
                id: StepId::at(1),
                title: "boot domain b-0".into(),
                error: StepError::new("cannot start domain `b-0`").hint("look at it"),
            },
            Event::StepFinished { id: StepId::at(0), took: Duration::from_secs(40) },
            Event::RunFinished { done: 1, failed: 1, skipped: 0, took: Duration::from_secs(40) },
        ];
        insta::assert_snapshot!(said(&events), @r"
        error: cannot start domain `b-0`
          help: look at it
        [  1/3] boot domain a-0 (40.0 s)
        error: cannot start domain `b-0`
          help: look at it
        1 step done, 1 failed, in 40.0 s
        ");
    }
}
