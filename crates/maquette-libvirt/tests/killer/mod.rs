//! Ends a run at one of the calls that it makes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use std::time::Duration;

use maquette_core::plan::Plan;
use maquette_engine::executor::{self, Summary};
use maquette_engine::host::{Host, HostError};
use maquette_engine::image::Transfer;
use maquette_engine::probe::Reach;
use maquette_engine::{Backend, Calls, Event};
use maquette_libvirt::{Access, Guests, Libvirt};

/// Where a run ends.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// Number of the call.
    pub call: usize,
    /// Whether that call was still made.
    pub made: bool,
}

/// What happens when a run ends.
type End = Box<dyn FnOnce() + Send>;

/// Counts calls and ends the run at one of them: whatever it tries after that fails, as it would not
/// happen at all.
pub struct Killer {
    at: Option<Point>,
    calls: AtomicUsize,
    dying: Mutex<Option<ThreadId>>,
    dead: AtomicBool,
    ends: Mutex<Vec<End>>,
}

thread_local! {
    /// Whether this thread does something that does not belong to the run.
    static BESIDE: Cell<bool> = const { Cell::new(false) };
}

/// Does something that does not belong to the run.
pub fn beside<T>(act: impl FnOnce() -> T) -> T {
    let before = BESIDE.replace(true);
    let done = act();
    BESIDE.set(before);
    done
}

impl Killer {
    pub fn new(at: Option<Point>) -> Arc<Self> {
        let (calls, dead) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (dying, ends) = (Mutex::new(None), Mutex::default());
        Arc::new(Self { at, calls, dying, dead, ends })
    }

    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn is_dead(&self) -> Result<(), String> {
        if self.dead.load(Ordering::SeqCst) { Err("killed".into()) } else { Ok(()) }
    }

    pub fn before(&self) -> Result<(), String> {
        if BESIDE.get() {
            return Ok(());
        }
        self.is_dead()?;
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        match self.at {
            Some(at) if at.call == call && at.made => {
                *self.dying.lock().unwrap() = Some(std::thread::current().id());
            }
            Some(at) if at.call == call => self.end(),
            _ => {}
        }
        self.is_dead()
    }

    pub fn after(&self) -> Result<(), String> {
        if BESIDE.get() {
            return Ok(());
        }
        if *self.dying.lock().unwrap() == Some(std::thread::current().id()) {
            self.end();
        }
        self.is_dead()
    }

    /// One call of the hypervisor's own side.
    pub fn call<T>(&self, make: impl FnOnce() -> Result<T, HostError>) -> Result<T, HostError> {
        self.before().map_err(killed)?;
        let made = make()?;
        self.after().map_err(killed)?;
        Ok(made)
    }

    /// Has something happen when the run ends.
    #[allow(dead_code, reason = "not every test has that")]
    pub fn at_end(&self, act: impl FnOnce() + Send + 'static) {
        self.ends.lock().unwrap().push(Box::new(act));
    }

    fn end(&self) {
        self.dead.store(true, Ordering::SeqCst);
        for act in std::mem::take(&mut *self.ends.lock().unwrap()) {
            act();
        }
    }
}

/// Carries a plan out; how it ended, and what failed.
pub fn carry_out(plan: &Plan, backend: &dyn Backend) -> (Summary, Vec<String>) {
    let mut failed = Vec::new();
    let summary = executor::run(&plan.steps, backend, &AtomicBool::new(false), &mut |e| {
        if let Event::StepFailed { title, error, .. } = e {
            failed.push(format!("{title}: {error:?}"));
        }
    });
    (summary, failed)
}

/// The real backend on a host, whose guests may take `limit` to be ready.
pub fn backend<'a>(
    host: &'a dyn Host,
    uri: &'a str,
    transfer: &'a Transfer,
    limit: Duration,
) -> Libvirt<'a> {
    let access = Access { host, uri, reach: Reach::Local, label: "test", transfer };
    let guests = Guests {
        ssh_config: "/nonexistent".into(),
        limit,
        boots: 2,
        calls: Calls::SHARED,
        jump: Vec::new(),
    };
    Libvirt::new(access, None, guests)
}

fn killed(stderr: String) -> HostError {
    HostError::Failed { command: "sh".into(), status: None, stderr }
}
