//! libvirt's events as messages. With `raw.rs` and `pipe.rs` the only files with `unsafe`: the binding knows the calls,
//! but not how to hand a callback over.

#![allow(unsafe_code, reason = "callbacks of a C library")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Once;
use std::sync::mpsc::Sender;

use virt::connect::Connect;
use virt::sys;

use super::{LibvirtError, Result, opening};

/// What happened to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainEvent {
    /// It was defined, started, paused, stopped or the like, or its record changed.
    Changed(String),
    /// Its guest, or somebody, has reset it.
    Rebooted(String),
    /// Its guest has let go of a device.
    DeviceRemoved(String),
    /// There will be no more events: the connection is gone.
    Closed,
}

/// A connection of its own that listens as long as it lives.
pub struct Events {
    connection: Connect,
    callbacks: Vec<c_int>,
}

type Listener = Sender<DomainEvent>;

/// libvirt's event loop must be there before a connection is opened that wants events, or to be asked
/// whether it still lives.
pub(super) fn start_loop() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: called once, before any connection with events is opened.
        if unsafe { sys::virEventRegisterDefaultImpl() } < 0 {
            return;
        }
        std::thread::spawn(|| {
            // SAFETY: the implementation was registered, and only this thread runs it.
            while unsafe { sys::virEventRunDefaultImpl() } >= 0 {}
        });
    });
}

impl Events {
    /// Opens `uri` and tells `listener` what happens to any domain there.
    pub fn listen(uri: &str, listener: &Listener) -> Result<Self> {
        start_loop();
        let connection = opening::within(opening::OPENING, uri)?;
        // A peer that is gone without a word is noticed, too. Drivers without a daemon have none.
        let _ = connection.set_keep_alive(5, 3);
        let mut events = Self { connection, callbacks: Vec::new() };
        for (event, callback) in callbacks() {
            events.register(event, callback, listener)?;
        }
        // SAFETY: the connection is open; the listener is owned by libvirt until `forget`.
        let closed = unsafe {
            sys::virConnectRegisterCloseCallback(
                events.connection.as_ptr(),
                Some(on_close),
                Box::into_raw(Box::new(listener.clone())).cast(),
                Some(forget),
            )
        };
        if closed < 0 {
            return Err(LibvirtError::from(virt::error::Error::last_error()));
        }
        Ok(events)
    }

    /// The connection.
    pub(super) fn connection(&self) -> Connect {
        self.connection.clone()
    }

    /// Has a callback called for an event of any domain.
    fn register(
        &mut self,
        event: sys::virDomainEventID,
        callback: Plain,
        listener: &Listener,
    ) -> Result<()> {
        // SAFETY: the connection is open; the listener is owned by libvirt until `forget`.
        let id = unsafe {
            sys::virConnectDomainEventRegisterAny(
                self.connection.as_ptr(),
                std::ptr::null_mut(),
                event as c_int,
                Some(std::mem::transmute::<Plain, Generic>(callback)),
                Box::into_raw(Box::new(listener.clone())).cast(),
                Some(forget),
            )
        };
        if id < 0 {
            return Err(LibvirtError::from(virt::error::Error::last_error()));
        }
        self.callbacks.push(id);
        Ok(())
    }
}

/// A callback without its own type, which libvirt casts back to the one that goes with its event.
type Plain = unsafe extern "C" fn();
/// The type that libvirt takes callbacks in.
type Generic = unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void);
type OnLifecycle =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, c_int, c_int, *mut c_void) -> c_int;
type OnDeviceRemoved =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *const c_char, *mut c_void);
type OnMetadata =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, c_int, *const c_char, *mut c_void);

/// The events that are listened to, each with its callback.
fn callbacks() -> [(sys::virDomainEventID, Plain); 4] {
    [
        // SAFETY: libvirt casts each back to the type that goes with its event.
        (sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE, unsafe {
            std::mem::transmute::<OnLifecycle, Plain>(on_lifecycle)
        }),
        // SAFETY: as above.
        (sys::VIR_DOMAIN_EVENT_ID_REBOOT, unsafe {
            std::mem::transmute::<Generic, Plain>(on_reboot)
        }),
        // SAFETY: as above.
        (sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, unsafe {
            std::mem::transmute::<OnDeviceRemoved, Plain>(on_device_removed)
        }),
        // SAFETY: as above.
        (sys::VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, unsafe {
            std::mem::transmute::<OnMetadata, Plain>(on_metadata)
        }),
    ]
}

impl Drop for Events {
    fn drop(&mut self) {
        // SAFETY: the connection is open as long as `self` lives.
        let connection = unsafe { self.connection.as_ptr() };
        for id in &self.callbacks {
            // SAFETY: registered on this connection, once. Should it fail, the process keeps a sender.
            let _ = unsafe { sys::virConnectDomainEventDeregisterAny(connection, *id) };
        }
        // SAFETY: registered on this connection.
        let _ = unsafe { sys::virConnectUnregisterCloseCallback(connection, Some(on_close)) };
    }
}

/// Tells the listener behind `opaque`; one that has gone hears nothing.
unsafe fn tell(
    opaque: *mut c_void,
    domain: sys::virDomainPtr,
    event: impl FnOnce(String) -> DomainEvent,
) {
    // SAFETY: `opaque` is the boxed listener that was registered, and lives until `forget`.
    let listener = unsafe { &*opaque.cast::<Listener>() };
    // SAFETY: libvirt hands a domain that is valid during the callback; its name lives with it.
    let name = unsafe {
        let name = sys::virDomainGetName(domain);
        if name.is_null() {
            return;
        }
        CStr::from_ptr(name).to_string_lossy().into_owned()
    };
    let _ = listener.send(event(name));
}

unsafe extern "C" fn on_lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _: c_int,
    _: c_int,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: called by libvirt with what was registered.
    unsafe { tell(opaque, domain, DomainEvent::Changed) };
    0
}

unsafe extern "C" fn on_reboot(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    opaque: *mut c_void,
) {
    // SAFETY: called by libvirt with what was registered.
    unsafe { tell(opaque, domain, DomainEvent::Rebooted) };
}

unsafe extern "C" fn on_device_removed(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: called by libvirt with what was registered.
    unsafe { tell(opaque, domain, DomainEvent::DeviceRemoved) };
}

unsafe extern "C" fn on_metadata(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _: c_int,
    _: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: called by libvirt with what was registered.
    unsafe { tell(opaque, domain, DomainEvent::Changed) };
}

unsafe extern "C" fn on_close(_: sys::virConnectPtr, _: c_int, opaque: *mut c_void) {
    // SAFETY: `opaque` is the boxed listener that was registered, and lives until `forget`.
    let listener = unsafe { &*opaque.cast::<Listener>() };
    let _ = listener.send(DomainEvent::Closed);
}

unsafe extern "C" fn forget(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once for each registration, when it no longer needs the listener.
    drop(unsafe { Box::from_raw(opaque.cast::<Listener>()) });
}
