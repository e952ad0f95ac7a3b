//! Streams that are read as data comes. With `events.rs` and `raw.rs` the only `unsafe`: the binding hands a callback a
//! pointer to something that may have moved.
//!
//! A blocking read of a stream looks whether something has come, and then waits, and between the two whoever else works
//! on the connection may take in what comes: the read then waits for what comes after that, and a console stays dark
//! (`virNetClientStreamRecvPacket` lets go of its lock before `virNetClientSendStream` takes another, which looks for the
//! end only). Reads here never wait in libvirt: its event loop says when there is something.

#![allow(unsafe_code, reason = "callbacks of a C library")]

use std::ffi::{c_int, c_void};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use virt::connect::Connect;
use virt::error::Error;
use virt::stream::Stream;
use virt::sys;

use super::{LibvirtError, Port, Result};

/// How often it is looked whether the connection still lives: nobody tells a stream that it does not.
const LIVES: Duration = Duration::from_secs(1);
/// How often it is tried to write to a guest that takes nothing.
const ROOM: Duration = Duration::from_millis(50);
const WAKES: c_int = (sys::VIR_STREAM_EVENT_READABLE
    | sys::VIR_STREAM_EVENT_ERROR
    | sys::VIR_STREAM_EVENT_HANGUP) as c_int;

/// Both ends of something on the hypervisor.
pub struct Pipe {
    connection: Connect,
    stream: Stream,
    wake: Arc<Wake>,
    /// Set when it is aborted, for whoever writes.
    ended: Wake,
}

/// Whether something has happened since it was last waited for.
#[derive(Default)]
struct Wake {
    happened: Mutex<bool>,
    told: Condvar,
}

impl Wake {
    fn set(&self, happened: bool) {
        *self.happened.lock().unwrap_or_else(PoisonError::into_inner) = happened;
        self.told.notify_all();
    }

    /// Waits until it has happened, or for a time; whether it has.
    fn wait(&self, at_most: Duration) -> bool {
        let happened = self.happened.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.told.wait_timeout_while(happened, at_most, |happened| !*happened);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Pipe {
    /// A stream that `open` connects to something. The connection has to have been opened with the event loop running.
    pub(super) fn open(
        connection: Connect,
        open: impl FnOnce(&Stream) -> Result<()>,
    ) -> Result<Self> {
        let stream = Stream::new(&connection, sys::VIR_STREAM_NONBLOCK)?;
        open(&stream)?;
        let pipe = Self { connection, stream, wake: Arc::default(), ended: Wake::default() };
        let wake = Box::into_raw(Box::new(pipe.wake.clone()));
        // SAFETY: the stream is open; the box is libvirt's until `forget`.
        let added = unsafe {
            sys::virStreamEventAddCallback(
                pipe.stream.as_ptr(),
                WAKES,
                Some(on_event),
                wake.cast(),
                Some(forget),
            )
        };
        if added < 0 {
            let error = Error::last_error();
            // SAFETY: libvirt has not taken it.
            drop(unsafe { Box::from_raw(wake) });
            return Err(error.into());
        }
        Ok(pipe)
    }

    /// Reads what has come, or waits for it; 0 bytes at the end.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            // SAFETY: libvirt writes no more than there is room for.
            let count = unsafe {
                sys::virStreamRecv(self.stream.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
            };
            match usize::try_from(count) {
                Ok(count) => return Ok(count),
                // Nothing is there.
                Err(_) if count == -2 => self.wait()?,
                Err(_) => return Err(Error::last_error().into()),
            }
        }
    }

    fn wait(&self) -> Result<()> {
        self.wake.set(false);
        // What has come since the read is told at once.
        // SAFETY: the stream is open as long as `self` lives.
        if unsafe { sys::virStreamEventUpdateCallback(self.stream.as_ptr(), WAKES) } < 0 {
            return Err(Error::last_error().into());
        }
        // Whoever waited too long looks, as whoever is told.
        self.wake.wait(LIVES);
        self.lives()
    }

    fn lives(&self) -> Result<()> {
        match self.connection.is_alive().unwrap_or(false) {
            true => Ok(()),
            false => Err(LibvirtError::refused("the connection to libvirt is gone")),
        }
    }

    /// Writes all of `bytes`. Waits while nobody takes them, until somebody ends it.
    pub fn send(&self, bytes: &[u8]) -> Result<()> {
        send_all(
            bytes,
            // -2, that there is no room for any, is no error to the binding.
            |rest| self.stream.send(rest).map_err(Into::into),
            || match self.ended.wait(ROOM) {
                true => Err(LibvirtError::refused("the stream was ended")),
                false => self.lives(),
            },
        )
    }

    /// Ends it; whoever reads is told so.
    pub fn abort(&self) {
        self.quiet();
        self.ended.set(true);
        let _ = self.stream.clone().abort();
        self.wake.set(true);
    }

    fn quiet(&self) {
        // SAFETY: the stream is open as long as `self` lives; it may have no callback any more.
        let _ = unsafe { sys::virStreamEventRemoveCallback(self.stream.as_ptr()) };
    }
}

impl Port for Pipe {
    fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        Self::receive(self, buffer)
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        Self::send(self, bytes)
    }

    fn abort(&self) {
        Self::abort(self);
    }
}

impl Drop for Pipe {
    /// libvirt keeps what comes for a stream until somebody reads it, without a limit and also when nobody has the
    /// stream any more: only when it is aborted does the other side end sending.
    fn drop(&mut self) {
        self.quiet();
        // One that was aborted already, or has ended, refuses it.
        let _ = self.stream.clone().abort();
    }
}

/// Writes all of `bytes` with `send`, which says how many it took, and waits with `wait` when that were none.
fn send_all(
    bytes: &[u8],
    mut send: impl FnMut(&[u8]) -> Result<isize>,
    mut wait: impl FnMut() -> Result<()>,
) -> Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        match usize::try_from(send(&bytes[sent..])?) {
            Ok(count @ 1..) => sent += count,
            Ok(0) | Err(_) => wait()?,
        }
    }
    Ok(())
}

unsafe extern "C" fn on_event(stream: sys::virStreamPtr, _: c_int, opaque: *mut c_void) {
    // It is told again and again until all is read; whoever reads asks for it when that is so.
    // SAFETY: called by libvirt with an open stream.
    let _ = unsafe { sys::virStreamEventUpdateCallback(stream, 0) };
    // SAFETY: `opaque` is the box that was registered, and lives until `forget`.
    unsafe { &*opaque.cast::<Arc<Wake>>() }.set(true);
}

unsafe extern "C" fn forget(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once, when it no longer needs the box.
    drop(unsafe { Box::from_raw(opaque.cast::<Arc<Wake>>()) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_takes_nothing_is_waited_for_and_not_asked_without_end() {
        let (mut taken, mut waits) = (Vec::new(), 0);
        let mut room = [3, -2, 0, -2, 100].into_iter();
        let sent = send_all(
            b"typed",
            |rest| {
                let count = room.next().unwrap().min(rest.len() as isize);
                taken.extend(&rest[..usize::try_from(count).unwrap_or(0)]);
                Ok(count)
            },
            || {
                waits += 1;
                Ok(())
            },
        );
        assert!(sent.is_ok());
        assert_eq!((taken.as_slice(), waits), (b"typed".as_slice(), 3));
        let ended = send_all(b"x", |_| Ok(-2), || Err(LibvirtError::refused("ended")));
        assert!(ended.is_err());
    }
}
