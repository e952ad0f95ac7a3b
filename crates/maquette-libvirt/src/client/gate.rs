//! Who stands before each call that a step makes: a run that was taken over changes nothing any more, and
//! tests end a step in its middle.

use std::cell::RefCell;
use std::sync::Arc;

use super::{LibvirtError, Result};

/// Hears of each call to libvirt that a step makes, and may refuse it.
pub trait Gate: Send + Sync {
    /// Before a call. An error, in words for people, keeps it from being made.
    fn before(&self, call: &str) -> std::result::Result<(), String>;

    /// After a call was made. An error is what the step hears of it.
    fn after(&self, _call: &str) -> std::result::Result<(), String> {
        Ok(())
    }

    /// Takes a volume's content in the place of a driver that has no streams; none leaves it to the
    /// driver.
    fn upload(&self, _volume: &str, _content: &[u8]) -> Option<std::result::Result<(), String>> {
        None
    }
}

thread_local! {
    /// A step is one thread's work from its beginning to its end.
    static GATE: RefCell<Option<Arc<dyn Gate>>> = const { RefCell::new(None) };
}

/// Puts back who stood there before, also when a step panics.
struct Leave(Option<Arc<dyn Gate>>);

impl Drop for Leave {
    fn drop(&mut self) {
        let before = self.0.take();
        GATE.with(|gate| *gate.borrow_mut() = before);
    }
}

/// Does something whose calls all pass `gate`.
pub(crate) fn with<T>(gate: Option<&Arc<dyn Gate>>, act: impl FnOnce() -> T) -> T {
    let _leave = Leave(GATE.with(|at| at.replace(gate.cloned())));
    act()
}

fn current() -> Option<Arc<dyn Gate>> {
    GATE.with(|gate| gate.borrow().clone())
}

/// Makes one call.
pub(super) fn call<T, E: Into<LibvirtError>>(
    name: &str,
    make: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    let Some(gate) = current() else { return make().map_err(Into::into) };
    gate.before(name).map_err(LibvirtError::refused)?;
    let made = make().map_err(Into::into)?;
    gate.after(name).map_err(LibvirtError::refused)?;
    Ok(made)
}

/// Whether the gate has taken a volume's content.
pub(super) fn upload(volume: &str, content: &[u8]) -> Option<Result<()>> {
    let taken = current()?.upload(volume, content)?;
    Some(taken.map_err(LibvirtError::refused))
}
