//! Readers of the event stream: plain lines, a live view, JSON lines.

mod journal;
mod json;
mod live;
mod plain;

use maquette_engine::{Event, StepError};

use crate::render::{self, Painted};
use crate::world::World;
pub use journal::Journal;

/// Shows what happens while steps run, in one form.
pub trait Reporter: Send + Sync {
    /// One thing happened.
    fn event(&mut self, event: &Event);
}

/// The reader that suits: JSON if asked for, a live view on a terminal, plain lines elsewhere.
pub fn choose(world: &World, json: bool) -> Box<dyn Reporter> {
    let terminal = world.terminal.clone();
    if json {
        Box::new(json::Json(terminal))
    } else if terminal.shows_talk() && world.environment.raw("CI").is_none() {
        Box::new(live::Live::new(terminal))
    } else {
        Box::new(plain::Plain::new(terminal))
    }
}

/// The errors of a run, to be read at its end: what goes on beside a failed step may go on for long.
#[derive(Debug, Default)]
struct Errors {
    all: Vec<StepError>,
    buried: bool,
}

impl Errors {
    /// One came, and was shown.
    fn came(&mut self, error: &StepError) {
        self.all.push(error.clone());
    }

    /// Something else was shown.
    fn talked(&mut self) {
        self.buried |= !self.all.is_empty();
    }

    /// What is to be said of them again at the end.
    fn again(&mut self) -> Vec<Painted> {
        let Self { all, buried } = std::mem::take(self);
        if buried { all.iter().map(render::step_error).collect() } else { Vec::new() }
    }
}

/// A duration in tenths of seconds.
fn seconds(took: std::time::Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

/// The last line of a run.
fn summary(done: usize, failed: usize, skipped: usize, took: std::time::Duration) -> String {
    let noun = if done == 1 { "step" } else { "steps" };
    let mut text = format!("{done} {noun} done");
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    if skipped > 0 {
        text.push_str(&format!(", {skipped} not done"));
    }
    format!("{text}, in {}", seconds(took))
}
