//! Looking at a guest that says nothing.

use std::time::Duration;

use super::{Boot, NotReady};
use crate::StepContext;

/// After how long without a word it is looked what a guest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Whether it has come to an end; again and again.
    pub glance: Duration,
    /// What holds it up; then after twice that.
    pub stall: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { glance: Duration::from_secs(20), stall: Duration::from_secs(120) }
    }
}

/// A guest that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet<'a> {
    /// For so long that every layer is looked at, instead of only whether it has come to an end.
    pub is_long: bool,
    /// The same for the second time, or more often.
    pub again: bool,
    /// What the last login said, if any was tried.
    pub login: Option<&'a str>,
}

/// What holds a guest up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What it is, in words.
    pub words: String,
    /// Whether it never goes on by itself.
    pub for_good: bool,
}

/// Who looks at a guest that says nothing, and how often.
pub struct Watch<'a> {
    /// After how long without a word it is looked at.
    pub pace: Pace,
    /// Says what holds it up, if that is found.
    pub look: &'a dyn Fn(&Quiet<'_>) -> Option<Held>,
}

/// When a guest is looked at next, by how long it has said nothing.
pub(super) struct Looks<'a> {
    watch: &'a Watch<'a>,
    glance: Duration,
    stall: Duration,
}

impl<'a> Looks<'a> {
    pub(super) fn new(watch: &'a Watch<'a>) -> Self {
        let Pace { glance, stall } = watch.pace;
        Self { watch, glance, stall }
    }

    /// Looks at it, if it is time for that: what holds it up is told, or ends the wait.
    pub(super) fn look(
        &mut self,
        boot: &Boot,
        login: Option<&str>,
        context: &StepContext<'_>,
    ) -> Result<(), NotReady> {
        let quiet = boot.heard.elapsed();
        let Pace { glance, stall } = self.watch.pace;
        if quiet < self.glance.min(self.stall) {
            return Ok(());
        }
        let is_long = quiet >= self.stall;
        let again = is_long && self.stall > stall;
        self.glance = quiet + glance;
        if is_long {
            self.stall *= 2;
        }
        match (self.watch.look)(&Quiet { is_long, again, login }) {
            Some(held) if held.for_good => return Err(NotReady::Halted(held.words)),
            Some(held) => (context.progress)(format!("{}; {}", boot.stage, held.words)),
            None => {}
        }
        Ok(())
    }

    /// It has said something.
    pub(super) fn heard(&mut self) {
        self.glance = self.watch.pace.glance;
    }
}
