//! Who is told of what happens to domains.

use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use super::{DomainEvent, Events};

/// One connection with events for all who want to hear of them.
pub(super) struct Hub {
    /// What listens.
    pub(super) events: Events,
    /// Who is told.
    pub(super) listeners: Listeners,
}

/// Who is told of events; none once there are no more, since the connection is gone.
pub(super) type Listeners = Arc<Mutex<Option<Vec<Sender<DomainEvent>>>>>;

/// Tells all listeners what is heard, until there is no more.
pub(super) fn tell_all(heard: &Receiver<DomainEvent>, listeners: &Listeners) {
    for event in heard {
        let mut listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(all) = listeners.as_mut() else { return };
        all.retain(|listener| listener.send(event.clone()).is_ok());
        if event == DomainEvent::Closed {
            *listeners = None;
        }
    }
}
