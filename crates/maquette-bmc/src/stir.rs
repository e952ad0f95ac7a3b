//! Whether something may have come to wait, so that whoever looks after many has to look at none of them while nothing has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Set by those that are looked after, and taken by whoever looks.
#[derive(Debug, Clone)]
pub(crate) struct Stir(Arc<AtomicBool>);

impl Stir {
    /// One that is set: what there is has not been looked at.
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Whether it was set, and is not any more.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// Whom something tells that it may wait; nobody until it is looked after.
#[derive(Debug, Default)]
pub(crate) struct Stirs(OnceLock<Stir>);

impl Stirs {
    /// Tells this one from now on; whether it does, since who is told first stays the one.
    pub(crate) fn tell(&self, stir: &Stir) -> bool {
        self.0.set(stir.clone()).is_ok()
    }

    /// Tells it. Called once what has changed can be seen, or under the lock under which it is looked at.
    pub(crate) fn stir(&self) {
        if let Some(stir) = self.0.get() {
            stir.0.store(true, Ordering::Release);
        }
    }
}
