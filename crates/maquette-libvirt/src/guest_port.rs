//! What a guest says on its virtio-serial port, as signals.
//!
//! The port is a stream on libvirt's connection: a read waits until the guest writes, and ends when QEMU does. That makes one thread's read the wait for both events.
//! A guest that asks what time it is has its answer from that thread, at once.

use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};

use maquette_core::seed::READY_PORT;
use maquette_core::seed::report::{self, Report};
use maquette_engine::ready::Signal;

use crate::client::{self, Client, LibvirtError, Port};
use crate::clock::Clock;

/// Listens until it is closed, or the domain stops.
pub struct Listener {
    port: Arc<dyn Port>,
    clock: Arc<OnceLock<Clock>>,
}

impl Listener {
    /// From now on the guest is told the time of a clock when it asks.
    pub fn tells_time(&self, clock: Clock) {
        // It is the same clock.
        let _ = self.clock.set(clock);
    }

    /// Writes to the guest's port.
    pub fn say(&self, line: &str) -> Result<(), LibvirtError> {
        client::say(self.port.as_ref(), line)
    }

    /// Stops listening; the reading thread ends by itself.
    pub fn close(self) {
        self.port.abort();
    }
}

/// Longest line that a guest may write, in bytes; what is longer is dropped whole.
const LONGEST: usize = 4096;
/// Most bytes and words of a guest that are heard: those of a first boot are a hundred times fewer. Who says more is
/// not listened to any longer, and found by its SSH port.
const MOST: (usize, usize) = (1 << 20, 1000);
/// How many signals may wait for whoever waits for them; what is beyond is dropped.
const WAITING: usize = 64;

/// Where a guest's signals go and come from: as many as anybody can make use of, not as many as a guest can
/// write.
pub fn channel() -> (SyncSender<Signal>, Receiver<Signal>) {
    mpsc::sync_channel(WAITING)
}

/// Takes lines out of what a guest writes.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    /// Whether the line that is being read is too long already.
    over: bool,
}

impl Lines {
    /// The words that end in `bytes`; what does not end yet is kept, up to a limit.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut words = Vec::new();
        for byte in bytes {
            if *byte == b'\n' {
                let word = String::from_utf8_lossy(&self.line).trim().to_string();
                if !word.is_empty() && !self.over {
                    words.push(word);
                }
                self.line.clear();
                self.over = false;
            } else if self.line.len() < LONGEST {
                self.line.push(*byte);
            } else {
                self.over = true;
            }
        }
        words
    }
}

/// Begins to listen to a running domain.
pub fn listen(
    client: &Client,
    domain: &str,
    signals: SyncSender<Signal>,
) -> Result<Listener, LibvirtError> {
    let (domain, port) = client.channel(domain, READY_PORT)?;
    let (reading, clock) = (port.clone(), Arc::new(OnceLock::new()));
    let known = clock.clone();
    std::thread::spawn(move || {
        let tell = || {
            let time =
                known.get().map(|clock: &Clock| format!("{} {}\n", report::CLOCK, clock.now()));
            // Where nobody knows or hears it, the guest goes on without.
            let _ = time.map(|line| client::say(reading.as_ref(), &line));
        };
        let ended = hear(|buffer| reading.receive(buffer).unwrap_or(0), tell, &signals);
        if !ended {
            // What nobody reads would be kept for ever.
            reading.abort();
        } else if !client::is_active(&domain).unwrap_or(false) {
            // Nobody may be waiting any more.
            let _ = signals.send(Signal::Stopped);
        }
    });
    Ok(Listener { port, clock })
}

/// Passes on what a guest says, which `receive` reads, until its end; whether that came. It does not if nobody waits
/// for signals any more, or the guest says too much. `tell` answers it what time it is.
fn hear(
    mut receive: impl FnMut(&mut [u8]) -> usize,
    tell: impl Fn(),
    signals: &SyncSender<Signal>,
) -> bool {
    let mut lines = Lines::default();
    let (mut bytes, mut words) = MOST;
    let mut buffer = [0u8; 256];
    loop {
        let count = receive(&mut buffer);
        if count == 0 {
            return true;
        }
        bytes = bytes.saturating_sub(count);
        for line in lines.read(&buffer[..count]) {
            words = words.saturating_sub(1);
            let report = Report::of(&line);
            if report == Report::Clock {
                tell();
                continue;
            }
            if let Err(TrySendError::Disconnected(_)) = signals.try_send(Signal::Reported(report)) {
                return false;
            }
        }
        if bytes == 0 || words == 0 {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_floods_fills_nothing() {
        let mut lines = Lines::default();
        let block = vec![b'x'; 1 << 20];
        for _ in 0..200 {
            assert!(lines.read(&block).is_empty());
        }
        assert!(lines.line.len() <= LONGEST && lines.line.capacity() < 4 * LONGEST);
        assert_eq!(lines.read(b"\ncloud-init\n\n do"), ["cloud-init"]);
        assert_eq!(lines.read(b"ne\r\n"), ["done"]);
        let (sender, receiver) = channel();
        let sent = (0..100_000)
            .filter(|_| sender.try_send(Signal::Reported(Report::Done)).is_ok())
            .count();
        assert_eq!((sent, receiver.try_iter().count()), (WAITING, WAITING));
    }

    /// What a guest writes for ever is read for a while, whether it has lines or not, and whether anybody waits for
    /// them or not.
    #[test]
    fn a_guest_that_says_too_much_is_not_listened_to_any_longer() {
        for text in ["x", "a\n", "a rather long stage of its boot\n", "\n", "\0", "\r"] {
            let all = text.as_bytes().iter().copied().cycle();
            let mut read = 0;
            let (sender, _receiver) = channel();
            let mut rest = all.clone();
            let endless = |buffer: &mut [u8]| {
                read += buffer.len();
                assert!(read <= MOST.0 + buffer.len(), "{text:?}: {read} bytes were read");
                buffer.iter_mut().zip(&mut rest).for_each(|(to, byte)| *to = byte);
                buffer.len()
            };
            assert!(!hear(endless, || (), &sender), "{text:?}");
        }
    }

    /// Through a pipe, as it comes from libvirt: in parts.
    #[test]
    fn a_guest_is_heard_to_its_end_unless_nobody_waits() {
        use std::io::{Read, Write};
        let (mut from, mut to) = std::os::unix::net::UnixStream::pair().unwrap();
        let (sender, receiver) = channel();
        let listener = std::thread::spawn(move || {
            let told = std::cell::Cell::new(0);
            let tell = || told.set(told.get() + 1);
            (hear(|buffer| from.read(buffer).unwrap_or(0), tell, &sender), told.get())
        });
        for part in
            ["clou", "d-init\nup 192.0.2.1", "/24\nclock\r\n\r\nclo", "ck\ndone\nnot a line"]
        {
            to.write_all(part.as_bytes()).unwrap();
        }
        drop(to);
        let heard: Vec<Signal> = receiver.iter().collect();
        let words = ["cloud-init", "up 192.0.2.1/24", "done"];
        assert_eq!(heard, words.map(|word| Signal::Reported(Report::of(word))));
        assert_eq!(listener.join().unwrap(), (true, 2));
        let (sender, receiver) = channel();
        drop(receiver);
        let one = |buffer: &mut [u8]| {
            buffer[0] = b'\n';
            buffer[1] = b'x';
            2
        };
        assert!(!hear(one, || (), &sender));
    }
}
