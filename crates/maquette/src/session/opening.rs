//! A connection to libvirt that is opened ahead of time: on another machine that takes as many round trips as all that is
//! asked after it, and as few as there are to wait for meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use maquette_libvirt::{Driver, LibvirtError, Server};

type Opened = Result<Arc<dyn Server>, LibvirtError>;

/// One connection at most that somebody is going to need.
#[derive(Default)]
pub(super) struct Opening(Mutex<Option<JoinHandle<Opened>>>);

impl Opening {
    /// Begins to open one.
    pub(super) fn begin(&self, driver: &Arc<dyn Driver>, uri: &str) {
        let (driver, uri) = (driver.clone(), uri.to_string());
        let begun = std::thread::Builder::new().spawn(move || driver.open(&uri));
        // Where there are no more threads it is opened when it is needed.
        self.put(begun.ok());
    }

    /// Forgets it: its daemon may be another one by now.
    pub(super) fn forget(&self) {
        self.put(None);
    }

    fn put(&self, opening: Option<JoinHandle<Opened>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = opening;
    }

    /// The connection that was begun, or else a new one.
    pub(super) fn take(&self, driver: &dyn Driver, uri: &str) -> Opened {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match begun.map(JoinHandle::join) {
            Some(Ok(Err(why))) if why.is_silent() => Err(why),
            Some(Ok(Ok(server))) => Ok(server),
            // Its daemon may have been on its way just then.
            Some(Ok(Err(_)) | Err(_)) | None => driver.open(uri),
        }
    }
}
