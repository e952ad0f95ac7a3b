//! Whether a lock is ours, for those who do things under it.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest beginning of a lock's file that is read, in bytes.
const LINE: u64 = 4096;

/// What tells whether a lock is ours.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The lock's file on the hypervisor.
    pub(super) file: String,
    /// What the file begins with as long as the lock is ours.
    pub(super) token: String,
    /// What marks our long-lived processes there.
    pub(super) mark: String,
    /// Set once it is known not to be ours, and by nothing else.
    pub(super) taken: Arc<AtomicBool>,
}

impl Claim {
    /// Whether the lock is ours, as far as can be known without asking another machine; `here` is whether
    /// the hypervisor is this one.
    pub fn is_ours(&self, here: bool) -> bool {
        if self.taken.load(Ordering::SeqCst) {
            return false;
        }
        // Of a holder that was held up, the process that hears of it may not have come to its turn.
        let says = || {
            let mut says = Vec::new();
            let read = File::open(&self.file).and_then(|f| f.take(LINE).read_to_end(&mut says));
            read.map(|_| says).unwrap_or_default()
        };
        !here || says().starts_with(format!("{} ", self.token).as_bytes())
    }

    /// The same, of somebody who has not heard of its loss.
    #[cfg(test)]
    pub(super) fn unheard(&self) -> Self {
        Self { taken: Arc::default(), ..self.clone() }
    }
}
