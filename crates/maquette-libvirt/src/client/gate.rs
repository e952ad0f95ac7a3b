//! Who stands before each call that a step makes: a run that was taken over changes nothing any more, and
//! tests end a step in its middle.

use std::cell::RefCell;
use std::sync::Arc;

use super::{LibvirtError, Result};

/// A call that drivers lack that are not QEMU's: libvirt's test driver has neither streams, nor devices that come and
/// go, nor memory that could be used again.
#[derive(Debug, Clone, Copy)]
pub enum Instead<'a> {
    /// Start a domain that ends with the connection.
    Create {
        /// Its definition, as XML.
        xml: &'a str,
    },
    /// Fill a volume.
    Upload {
        /// The volume's name.
        volume: &'a str,
        /// The volume's content, whole.
        content: &'a [u8],
    },
    /// Plug a device into a running domain.
    Attach {
        /// Name of the domain.
        domain: &'a str,
        /// The device in XML.
        device: &'a str,
    },
    /// Unplug a device.
    Detach {
        /// Name of the domain.
        domain: &'a str,
        /// The device in XML.
        device: &'a str,
    },
    /// Tell a running domain of more room on a disk.
    Resize {
        /// Name of the domain.
        domain: &'a str,
    },
    /// Save a running domain's memory, which ends it.
    Save {
        /// Name of the domain.
        domain: &'a str,
        /// Path of the memory image.
        file: &'a str,
    },
    /// Have a domain run with a memory image.
    Restore {
        /// Path of the memory image.
        file: &'a str,
    },
}

/// Both ends of a domain's virtio-serial port.
pub trait Port: Send + Sync {
    /// Reads what has come, or waits for it; 0 bytes at the end.
    fn receive(&self, buffer: &mut [u8]) -> Result<usize>;

    /// Writes all of `bytes`.
    fn send(&self, bytes: &[u8]) -> Result<()>;

    /// Ends it; whoever reads is told so.
    fn abort(&self);
}

/// Hears of each call to libvirt that a step makes, and may refuse it.
pub trait Gate: Send + Sync {
    /// Before a call. An error, in words for people, keeps it from being made.
    fn before(&self, call: &str) -> std::result::Result<(), String>;

    /// After a call was made. An error is what the step hears of it.
    fn after(&self, _call: &str) -> std::result::Result<(), String> {
        Ok(())
    }

    /// Does something in the place of a driver that cannot; none leaves it to the driver.
    fn instead(&self, _call: &Instead<'_>) -> Option<std::result::Result<(), String>> {
        None
    }

    /// A running domain's port in the place of a driver's that has none; none leaves it to the driver.
    fn port(&self, _domain: &str) -> Option<Arc<dyn Port>> {
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

/// Does something whose calls all pass `gate`, if there is one.
pub fn with<T>(gate: Option<&Arc<dyn Gate>>, act: impl FnOnce() -> T) -> T {
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

/// Makes a call that the gate may make in the driver's place.
pub(super) fn call_or<T, E: Into<LibvirtError>>(
    name: &str,
    instead: &Instead<'_>,
    make: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<()> {
    call(name, || match self::instead(instead) {
        Some(taken) => taken,
        None => make().map(|_| ()).map_err(Into::into),
    })
}

/// What the gate has done in the driver's place; none if it leaves that to the driver.
pub(super) fn instead(call: &Instead<'_>) -> Option<Result<()>> {
    let taken = current()?.instead(call)?;
    Some(taken.map_err(LibvirtError::answered))
}

/// The gate's port of a domain.
pub(super) fn port(domain: &str) -> Option<Arc<dyn Port>> {
    current()?.port(domain)
}
