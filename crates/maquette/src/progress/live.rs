//! A live view: a bar for the run and a line for each step under way. The only file that knows the
//! progress library.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use maquette_core::plan::StepId;
use maquette_engine::Event;

use super::{Errors, Reporter, seconds, summary};
use crate::render::{self, Painted, plain};
use crate::world::{Terminal, echo};

/// Steps that take less are not worth a line of their own.
const SHORT: Duration = Duration::from_millis(250);

/// Shows progress on a terminal.
pub struct Live {
    terminal: Arc<Terminal>,
    all: MultiProgress,
    total: Option<ProgressBar>,
    steps: BTreeMap<StepId, (String, ProgressBar)>,
    errors: Errors,
}

impl Live {
    /// A view that ends up above the last line of a terminal.
    pub fn new(terminal: Arc<Terminal>) -> Self {
        let (all, errors) = (MultiProgress::new(), Errors::default());
        Self { terminal, all, total: None, steps: BTreeMap::new(), errors }
    }

    fn style(template: &str) -> ProgressStyle {
        // The templates are constants; a broken one shows the library's default.
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    }

    /// The line of a step under way, which shows for how long it has been.
    fn spinner(&self, title: &str) -> ProgressBar {
        let bar = ProgressBar::new_spinner();
        bar.set_style(Self::style("  {spinner} {prefix}{msg:.dim} {elapsed:.dim}"));
        let bar = self.all.add(bar);
        bar.set_prefix(plain(title).into_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    fn say(&self, text: &str) {
        self.paint(&Painted::plain(text));
    }

    fn paint(&self, text: &Painted) {
        self.all.suspend(|| self.terminal.painted_talk(text));
    }
}

impl Reporter for Live {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { steps } => {
                echo::hide();
                let bar = self.all.add(ProgressBar::new(*steps as u64));
                bar.set_style(Self::style("{bar:30} {pos}/{len} steps, {elapsed}"));
                bar.enable_steady_tick(Duration::from_millis(200));
                self.total = Some(bar);
            }
            Event::StepStarted { id, title } => {
                self.steps.insert(*id, (title.clone(), self.spinner(title)));
            }
            Event::StepProgress { id, text } => {
                if let Some((_, bar)) = self.steps.get(id) {
                    bar.set_message(format!(": {},", plain(text)));
                }
            }
            Event::StepRemark { id, text } => {
                self.errors.talked();
                let title = self.steps.get(id).map_or("", |(title, _)| title.as_str());
                self.say(&format!("  {title}: {text}"));
            }
            Event::StepFinished { id, took } => {
                if let Some((title, bar)) = self.steps.remove(id) {
                    bar.finish_and_clear();
                    if *took >= SHORT {
                        self.errors.talked();
                        self.say(&format!("  {title} ({})", seconds(*took)));
                    }
                }
                if let Some(total) = &self.total {
                    total.inc(1);
                }
            }
            Event::StepFailed { id, error, .. } => {
                if let Some((_, bar)) = self.steps.remove(id) {
                    bar.finish_and_clear();
                }
                self.errors.came(error);
                self.paint(&render::step_error(error));
            }
            Event::StepInterrupted { id, title, text } => {
                if let Some((_, bar)) = self.steps.remove(id) {
                    bar.finish_and_clear();
                }
                self.say(&format!("  not done: {title}; {text}"));
            }
            Event::StepSkipped { title, .. } => self.say(&format!("  not done: {title}")),
            Event::RunFinished { done, failed, skipped, took } => {
                if let Some(total) = self.total.take() {
                    total.finish_and_clear();
                }
                echo::show();
                for error in self.errors.again() {
                    self.paint(&error);
                }
                self.say(&summary(*done, *failed, *skipped, *took));
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // A run that ended before its end was told.
        echo::show();
    }
}
