//! Runs the steps of a plan: each as soon as all that it waits for is done and its lane has room.
//!
//! A failed step stops nothing but what waits for it. Workers only compute and send; one place (the
//! caller's thread) sees the events, in one order.

mod schedule;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::time::Instant;

use maquette_core::plan::{Step, StepId};

use crate::{Backend, Event, StepContext, StepError};
use schedule::{Next, Schedule};

/// How a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many steps were done.
    pub done: usize,
    /// How many steps failed.
    pub failed: usize,
    /// How many steps were not begun, or interrupted.
    pub skipped: usize,
}

impl Summary {
    /// Whether everything was done.
    pub fn is_success(&self) -> bool {
        self.failed == 0 && self.skipped == 0
    }
}

/// Runs `steps` on `backend`, telling `sink` what happens. Setting `cancelled` lets running steps
/// end and begins no more.
pub fn run(
    steps: &[Step],
    backend: &dyn Backend,
    cancelled: &AtomicBool,
    sink: &mut dyn FnMut(Event),
) -> Summary {
    let begun = Instant::now();
    sink(Event::RunStarted { steps: steps.len() });
    let lanes = backend.lanes();
    let workers = lanes.most(steps.iter().map(|step| step.action.lane()));
    let shared = Shared {
        schedule: Mutex::new(Schedule::new(steps, lanes)),
        changed: Condvar::new(),
        steps,
        backend,
        cancelled,
        lost: AtomicBool::new(false),
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let sender = sender.clone();
            let shared = &shared;
            scope.spawn(move || shared.work(&sender));
        }
        drop(sender);
        for event in receiver {
            sink(event);
        }
    });
    let summary = shared.lock().summary();
    let Summary { done, failed, skipped } = summary;
    sink(Event::RunFinished { done, failed, skipped, took: begun.elapsed() });
    summary
}

struct Shared<'a> {
    schedule: Mutex<Schedule<'a>>,
    changed: Condvar,
    steps: &'a [Step],
    backend: &'a dyn Backend,
    cancelled: &'a AtomicBool,
    /// The hypervisor is out of reach; no step has a chance.
    lost: AtomicBool,
}

impl<'a> Shared<'a> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Schedule<'a>> {
        // A worker that panicked leaves the schedule as it was before its step.
        self.schedule.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn work(&self, events: &mpsc::Sender<Event>) {
        let send = |event| {
            // The receiver outlives the workers; a failed send has nobody to hear of it.
            let _ = events.send(event);
        };
        loop {
            let mut schedule = self.lock();
            let id = loop {
                if self.cancelled.load(Ordering::Relaxed) || self.lost.load(Ordering::Relaxed) {
                    for id in schedule.cancel() {
                        let title = self.steps[id.index()].action.title();
                        send(Event::StepSkipped { id, title, because: None });
                    }
                }
                match schedule.next() {
                    Next::Step(id) => break id,
                    Next::Finished => {
                        self.changed.notify_all();
                        return;
                    }
                    Next::Wait => {
                        schedule = self
                            .changed
                            .wait(schedule)
                            .unwrap_or_else(std::sync::PoisonError::into_inner);
                    }
                }
            };
            drop(schedule);
            self.carry_out(id, &send);
            self.changed.notify_all();
        }
    }

    /// Does a step, tells how it went, and gives up those that waited for it.
    fn carry_out(&self, id: StepId, send: &dyn Fn(Event)) {
        let step = &self.steps[id.index()];
        let title = step.action.title();
        send(Event::StepStarted { id, title: title.clone() });
        let begun = Instant::now();
        let progress = |text| send(Event::StepProgress { id, text });
        let remark = |text| send(Event::StepRemark { id, text });
        let context =
            StepContext { progress: &progress, remark: &remark, cancelled: self.cancelled };
        let result = self.perform(step, &context);
        if result.is_err() && self.backend.is_lost() {
            self.lost.store(true, Ordering::Relaxed);
        }
        let mut schedule = self.lock();
        match result {
            Ok(()) => {
                schedule.done(id);
                send(Event::StepFinished { id, took: begun.elapsed() });
            }
            Err(error) => {
                let because = (!error.interrupted).then_some(id);
                let skipped = schedule.lost(id, error.interrupted);
                send(match error.interrupted {
                    true => Event::StepInterrupted { id, title, text: error.message },
                    false => Event::StepFailed { id, title, error },
                });
                for id in skipped {
                    let title = self.steps[id.index()].action.title();
                    send(Event::StepSkipped { id, title, because });
                }
            }
        }
    }

    /// A defect in a backend must fail its step, not hang the run.
    fn perform(&self, step: &Step, context: &StepContext<'_>) -> Result<(), StepError> {
        let call = || self.backend.perform(&step.action, context);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_or_else(|_| {
            Err(StepError::new(format!("cannot {}: a defect in Maquette", step.action.title()))
                .hint("please report it"))
        })
    }
}

#[cfg(test)]
mod tests;
