//! The only seam between a plan and the world.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use maquette_core::plan::{Action, Lane};

/// How many calls libvirt works on at once that only wait, as those that start and end domains do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// How many connections there may be for them, besides the two for everything.
    pub further: usize,
    /// How many calls of one connection it works on.
    pub each: usize,
}

impl Calls {
    /// On the connections for everything only.
    pub const SHARED: Self = Self { further: 0, each: 1 };

    /// On as many connections as it takes to keep all workers of a daemon busy that works on so many calls of each, but on no
    /// more than `most`.
    pub fn of(workers: usize, each: usize, most: usize) -> Self {
        let each = each.max(1);
        Self { further: workers.div_ceil(each).min(most), each }
    }

    /// How many these are altogether.
    fn width(self) -> usize {
        self.further.saturating_mul(self.each)
    }
}

/// How many steps of each lane may run at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lanes(BTreeMap<Lane, usize>);

impl Lanes {
    /// Widths that suit one libvirt connection for quick calls and one for long ones. The server
    /// answers 5 calls of a connection at a time, so the long ones stay below that. `boots` is how many guests may
    /// boot at once, `calls` how many start or end.
    pub fn local(boots: usize, calls: Calls) -> Self {
        Self::of((5, 4), boots, calls)
    }

    /// The same to a hypervisor over SSH. More calls are under way there, since most of a call's time is the way there
    /// and back; the server queues what it does not work on.
    pub fn remote(boots: usize, calls: Calls) -> Self {
        Self::of((24, 8), boots, calls)
    }

    fn of((control, bulk): (usize, usize), boots: usize, calls: Calls) -> Self {
        Self(BTreeMap::from([
            (Lane::Host, 1),
            (Lane::Fetch, 2),
            (Lane::Control, control),
            (Lane::Bulk, bulk),
            (Lane::Boot, boots.max(1)),
            (Lane::Power, control.max(2 + calls.width())),
        ]))
    }

    /// Width of a lane.
    pub fn width(&self, lane: Lane) -> usize {
        self.0.get(&lane).copied().unwrap_or(1)
    }

    /// Most of some steps, by their lanes, that can run at once.
    pub fn most(&self, steps: impl IntoIterator<Item = Lane>) -> usize {
        let mut counts: BTreeMap<Lane, usize> = BTreeMap::new();
        for lane in steps {
            *counts.entry(lane).or_default() += 1;
        }
        counts.iter().map(|(lane, count)| self.width(*lane).min(*count)).sum()
    }
}

/// An error of any kind, which another one is because of.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a step failed, in words for people.
#[derive(Debug, Clone)]
pub struct StepError {
    /// What failed, on which object.
    pub message: String,
    /// Why, from the outside in.
    pub causes: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
    /// Lines to look at, such as the end of a serial console.
    pub excerpt: Vec<String>,
    /// Whether nothing failed: the user wanted to stop, and the step waits no longer.
    pub interrupted: bool,
    /// The error behind it, if there is one: what it is besides its words, which `causes` begin with.
    pub source: Option<Arc<dyn Error + Send + Sync>>,
}

impl StepError {
    /// An error from a message and the error behind it.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            excerpt: Vec::new(),
            interrupted: false,
            source: None,
        }
    }

    /// That a step waits no longer, since the user wants to stop; what becomes of what it waited for.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self { interrupted: true, ..Self::new(message) }
    }

    /// Its message and its causes, in one line.
    pub fn in_one_line(&self) -> String {
        let all = std::iter::once(&self.message).chain(&self.causes);
        all.map(String::as_str).collect::<Vec<_>>().join(": ")
    }

    /// An error that is told as it is, with those behind it.
    pub fn of(error: impl Error + Send + Sync + 'static) -> Self {
        let mut told = Self::new(error.to_string()).because(error);
        // It is the message.
        told.causes.remove(0);
        told
    }

    /// Adds the error behind it, and those behind that.
    #[must_use]
    pub fn because(mut self, error: impl Into<Cause>) -> Self {
        let error: Cause = error.into();
        self.causes.push(error.to_string());
        let mut source = error.source();
        while let Some(inner) = source {
            self.causes.push(inner.to_string());
            source = inner.source();
        }
        self.source = Some(Arc::from(error));
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(text.into());
        self
    }
}

/// Two are the same that are told in the same words.
impl PartialEq for StepError {
    fn eq(&self, other: &Self) -> bool {
        let Self { message, causes, hints, excerpt, interrupted, source: _ } = self;
        let rest = (&other.causes, &other.hints, &other.excerpt, &other.interrupted);
        message == &other.message && (causes, hints, excerpt, interrupted) == rest
    }
}

impl Eq for StepError {}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for StepError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|error| error as &(dyn Error + 'static))
    }
}

/// What a running step can do besides its action.
pub struct StepContext<'a> {
    /// Tells how far it is.
    pub progress: &'a dyn Fn(String),
    /// Says how it was done, where that is worth knowing afterwards.
    pub remark: &'a dyn Fn(String),
    /// Set when the user wants to stop; long waits look at it.
    pub cancelled: &'a AtomicBool,
}

impl StepContext<'_> {
    /// Whether the user wants to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// Where actions are carried out.
pub trait Backend: Sync {
    /// Carries out one action; doing it twice changes nothing.
    fn perform(&self, action: &Action, context: &StepContext<'_>) -> Result<(), StepError>;

    /// How many steps of each lane may run at once.
    fn lanes(&self) -> Lanes;

    /// Whether the connection to the hypervisor is gone, so that nothing more can be done.
    fn is_lost(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh_keys::KeyError;

    #[test]
    fn what_an_error_comes_from_stays_what_it_is() {
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let key = || KeyError::File { path: "/k".into(), source: denied() };
        let error = StepError::new("cannot write the workspace").because(key());
        let kind = |error: &(dyn Error + 'static)| {
            error.downcast_ref::<std::io::Error>().map(|e| e.kind())
        };
        let source = error.source().unwrap();
        assert!(matches!(source.downcast_ref(), Some(KeyError::File { .. })));
        assert_eq!(kind(source.source().unwrap()), Some(std::io::ErrorKind::PermissionDenied));
        assert_eq!(error.causes, ["cannot use key file /k".to_string(), denied().to_string()]);
        let told = StepError::of(key());
        assert_eq!((told.message.as_str(), told.causes.len()), ("cannot use key file /k", 1));
        assert!(told.source().is_some());
    }
}
