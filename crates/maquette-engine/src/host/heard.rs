//! What a process says, heard for as long as it says something: one that is silent for ever, or whose pipes are held open by
//! what it has left running, holds nobody up.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// For how long a command may say nothing where it does not say itself: packages are brought, and images copied.
pub(crate) const SILENCE: Duration = Duration::from_secs(60 * 60);
/// How many times as long as it may be silent a process may take altogether: one that says a word now and then, and never
/// ends, holds nobody up either.
const WHOLE: u32 = 6;
/// Bytes that are worth a second more: what is sent or printed takes its time.
const BYTES_A_SECOND: u64 = 1000;
/// How long the pipes of a process that has ended are read for what it has left in them.
const AFTER: Duration = Duration::from_secs(5);
/// How often a process is looked at that says nothing.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Ends a process that is still a child of ours.
pub(crate) fn end(id: u32) {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// A process that is listened to.
pub(crate) struct Heard {
    id: u32,
    silence: Duration,
    begun: Instant,
    bytes: AtomicU64,
    last: Mutex<Instant>,
    gave_up: AtomicBool,
    was_silent: AtomicBool,
}

impl Heard {
    /// A child of ours, that may be silent for so long.
    pub(crate) fn new(id: u32, silence: Duration) -> Self {
        let begun = Instant::now();
        Self {
            id,
            silence,
            begun,
            bytes: AtomicU64::new(0),
            last: Mutex::new(begun),
            gave_up: AtomicBool::new(false),
            was_silent: AtomicBool::new(false),
        }
    }

    /// Whether it was ended for its silence, or since it did not end.
    pub(crate) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::SeqCst)
    }

    fn touch(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn silent_for(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Whether that was for its silence.
    pub(crate) fn was_silent(&self) -> bool {
        self.was_silent.load(Ordering::SeqCst)
    }

    /// How long it has been listened to.
    pub(crate) fn lasted(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether it has taken too long for what it has said.
    fn is_endless(&self) -> bool {
        let moved = Duration::from_secs(self.bytes.load(Ordering::Relaxed) / BYTES_A_SECOND);
        self.begun.elapsed() >= self.silence.saturating_mul(WHOLE).saturating_add(moved)
    }

    /// Ends it if it has said nothing for too long, or taken too long.
    fn gives_up(&self) -> bool {
        let silent = self.silent_for() >= self.silence;
        if !silent && !self.is_endless() {
            return false;
        }
        self.was_silent.store(silent, Ordering::SeqCst);
        self.gave_up.store(true, Ordering::SeqCst);
        end(self.id);
        true
    }

    /// Whether it has ended; it is still to be waited for.
    fn has_ended(&self) -> bool {
        let Some(pid) = i32::try_from(self.id).ok().and_then(Pid::from_raw) else { return true };
        let how = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(pid), how), Ok(None))
    }

    /// Waits until it has ended, where its pipes have, or nobody reads them any more; one that does not end is ended.
    pub(crate) fn await_end(&self) {
        let mut pause = Duration::from_micros(200);
        while !self.has_ended() {
            if self.gives_up() {
                return;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    /// A pipe of the process's.
    pub(crate) fn listen<P>(&self, pipe: P) -> Listener<'_, P> {
        Listener { pipe, heard: self }
    }
}

/// A pipe that ends when its process has, or was silent for too long.
pub(crate) struct Listener<'a, P> {
    pipe: P,
    heard: &'a Heard,
}

impl<P> Listener<'_, P> {
    /// The pipe.
    pub(crate) fn into_inner(self) -> P {
        self.pipe
    }
}

impl<P: AsFd> Listener<'_, P> {
    /// Waits until there is something to read; false where nothing more will come, or nobody waits for it any more.
    fn wait(&self) -> io::Result<bool> {
        loop {
            let mut fds = [PollFd::new(&self.pipe, PollFlags::IN)];
            match poll(&mut fds, Some(&LOOK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) if !self.heard.is_endless() => return Ok(true),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let silent = self.heard.silent_for();
            if silent >= AFTER.min(self.heard.silence) && self.heard.has_ended() {
                return Ok(false);
            }
            if self.heard.gives_up() {
                return Ok(false);
            }
        }
    }
}

impl<P: Read + AsFd> Read for Listener<'_, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.wait()? {
            return Ok(0);
        }
        let count = self.pipe.read(buffer)?;
        self.heard.touch(count);
        Ok(count)
    }
}

impl<P: Write> Write for Listener<'_, P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.pipe.write(bytes)?;
        self.heard.touch(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}
