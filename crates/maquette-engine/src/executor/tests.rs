use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};

use maquette_core::plan::{Action, Builder, Lane, Step, StepId};

use super::*;
use crate::{Calls, Lanes};

/// Carries nothing out; notes what it was asked and fails where told.
#[derive(Default)]
struct Notes {
    performed: Mutex<Vec<String>>,
    fail: BTreeSet<String>,
    panic: BTreeSet<String>,
    busy: AtomicUsize,
    most: AtomicUsize,
}

impl Backend for Notes {
    fn perform(&self, action: &Action, _: &StepContext<'_>) -> Result<(), StepError> {
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(busy, Ordering::SeqCst);
        std::thread::yield_now();
        let title = action.title();
        self.performed.lock().unwrap().push(title.clone());
        self.busy.fetch_sub(1, Ordering::SeqCst);
        assert!(!self.panic.contains(&title), "told to panic");
        if self.fail.contains(&title) { Err(StepError::new("told to fail")) } else { Ok(()) }
    }

    fn lanes(&self) -> Lanes {
        Lanes::local(2, Calls::SHARED)
    }
}

fn stop(name: &str) -> Action {
    Action::UndefineDomain { name: name.into() }
}

/// a → b → c, and d alone.
fn chain() -> Vec<Step> {
    let mut builder = Builder::default();
    let a = builder.add(stop("a"), [], "");
    let b = builder.add(stop("b"), [a], "");
    builder.add(stop("c"), [b], "");
    builder.add(stop("d"), [], "");
    builder.finish()
}

fn events(steps: &[Step], backend: &Notes) -> (Summary, Vec<Event>) {
    let mut seen = Vec::new();
    let summary = run(steps, backend, &AtomicBool::new(false), &mut |e| seen.push(e));
    (summary, seen)
}

#[test]
fn steps_run_after_what_they_wait_for() {
    let notes = Notes::default();
    let (summary, _) = events(&chain(), &notes);
    assert_eq!(summary, Summary { done: 4, failed: 0, skipped: 0 });
    let order = notes.performed.lock().unwrap().clone();
    let place = |n: &str| order.iter().position(|t| t == &format!("undefine domain {n}")).unwrap();
    assert!(place("a") < place("b") && place("b") < place("c"));
}

#[test]
fn a_failure_stops_only_what_waits_for_it() {
    let notes =
        Notes { fail: BTreeSet::from(["undefine domain b".to_string()]), ..Notes::default() };
    let (summary, seen) = events(&chain(), &notes);
    assert_eq!(summary, Summary { done: 2, failed: 1, skipped: 1 });
    let (b, c) = (StepId::at(1), StepId::at(2));
    assert!(seen.iter().any(|e| match e {
        Event::StepSkipped { id, because, .. } => (*id, *because) == (c, Some(b)),
        _ => false,
    }));
}

#[test]
fn a_panic_is_a_failure_and_not_a_hang() {
    let notes =
        Notes { panic: BTreeSet::from(["undefine domain a".to_string()]), ..Notes::default() };
    let (summary, _) = events(&chain(), &notes);
    assert_eq!(summary, Summary { done: 1, failed: 1, skipped: 2 });
}

#[test]
fn a_cancelled_run_begins_nothing_more() {
    struct Cancels<'a>(&'a AtomicBool, Notes);
    impl Backend for Cancels<'_> {
        fn perform(&self, action: &Action, context: &StepContext<'_>) -> Result<(), StepError> {
            self.0.store(true, Ordering::SeqCst);
            self.1.perform(action, context)
        }
        fn lanes(&self) -> Lanes {
            Lanes::local(1, Calls::SHARED)
        }
    }
    let cancelled = AtomicBool::new(false);
    let mut builder = Builder::default();
    let a = builder.add(stop("a"), [], "");
    builder.add(stop("b"), [a], "");
    let steps = builder.finish();
    let backend = Cancels(&cancelled, Notes::default());
    let summary = run(&steps, &backend, &cancelled, &mut |_| {});
    assert_eq!(summary, Summary { done: 1, failed: 0, skipped: 1 });
}

#[test]
fn a_step_that_waits_no_longer_has_not_failed() {
    struct Waits;
    impl Backend for Waits {
        fn perform(&self, _: &Action, _: &StepContext<'_>) -> Result<(), StepError> {
            Err(StepError::interrupted("it goes on"))
        }
        fn lanes(&self) -> Lanes {
            Lanes::local(1, Calls::SHARED)
        }
    }
    let mut builder = Builder::default();
    let a = builder.add(stop("a"), [], "");
    let b = builder.add(stop("b"), [a], "");
    let mut events = Vec::new();
    let cancelled = AtomicBool::new(false);
    let summary = run(&builder.finish(), &Waits, &cancelled, &mut |event| events.push(event));
    assert_eq!(summary, Summary { done: 0, failed: 0, skipped: 2 });
    let text = "it goes on".to_string();
    assert!(events.contains(&Event::StepInterrupted {
        id: a,
        title: "undefine domain a".into(),
        text
    }));
    let title = "undefine domain b".into();
    assert!(events.contains(&Event::StepSkipped { id: b, title, because: None }));
}

#[test]
fn independent_steps_run_at_the_same_time() {
    struct Meet(Barrier);
    impl Backend for Meet {
        fn perform(&self, _: &Action, _: &StepContext<'_>) -> Result<(), StepError> {
            // Returns only if both steps are in here together.
            self.0.wait();
            Ok(())
        }
        fn lanes(&self) -> Lanes {
            Lanes::local(1, Calls::SHARED)
        }
    }
    let mut builder = Builder::default();
    builder.add(stop("a"), [], "");
    builder.add(stop("b"), [], "");
    let backend = Meet(Barrier::new(2));
    let summary = run(&builder.finish(), &backend, &AtomicBool::new(false), &mut |_| {});
    assert!(summary.is_success());
}

#[test]
fn no_more_workers_are_started_than_can_work() {
    let lanes = Lanes::local(2, Calls::SHARED);
    assert_eq!(lanes.most([Lane::Boot; 5]), 2);
    assert_eq!(lanes.most([Lane::Boot, Lane::Host, Lane::Host, Lane::Fetch]), 3);
    assert_eq!(lanes.most([]), 0);
}

#[test]
fn a_lane_is_never_overfull() {
    let mut builder = Builder::default();
    for i in 0..64 {
        builder.add(stop(&i.to_string()), [], "");
    }
    let notes = Notes::default();
    let (summary, _) = events(&builder.finish(), &notes);
    assert_eq!(summary.done, 64);
    assert!(notes.most.load(Ordering::SeqCst) <= 5);
}
