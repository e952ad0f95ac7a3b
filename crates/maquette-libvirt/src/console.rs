//! A node's serial console as two streams of bytes.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::mpsc::{self, TrySendError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::client::{Client, LibvirtError, Others};

/// Why a console ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The user typed the escape character.
    Escaped,
    /// The domain stopped, or somebody else took the console.
    Closed,
}

/// Ends a console: Ctrl-], as with `virsh console`.
pub const ESCAPE: u8 = 0x1d;

/// Most bytes of a guest that wait for whoever looks at its console.
const MOST: usize = 1 << 20;

/// Most pieces of what was typed that wait for a guest to take them, of 256 bytes at most.
const TYPED: usize = 4096;

/// How long what was typed before the escape character may take to reach the guest.
const LAST: Duration = Duration::from_secs(2);

/// What a guest has written and nobody has seen yet. It is read whether anybody looks or not: libvirt keeps what is
/// not read, without a limit. So it is us who drop what is too much.
#[derive(Default)]
struct Backlog {
    waiting: VecDeque<u8>,
    /// Bytes that were dropped, all of which came after those that wait.
    dropped: u64,
    ended: bool,
}

impl Backlog {
    fn add(&mut self, bytes: &[u8]) {
        // Nothing comes after a gap but its end.
        let room = if self.dropped == 0 { MOST - self.waiting.len() } else { 0 };
        let (kept, over) = bytes.split_at(room.min(bytes.len()));
        self.waiting.extend(kept);
        self.dropped += over.len() as u64;
    }

    /// All that waits, with a word on what does not; none if there is nothing.
    fn take(&mut self) -> Option<Vec<u8>> {
        let mut bytes: Vec<u8> = std::mem::take(&mut self.waiting).into();
        match std::mem::take(&mut self.dropped) {
            0 => {}
            dropped => bytes.extend(format!("\r\n[{dropped} bytes were not shown]\r\n").bytes()),
        }
        (!bytes.is_empty()).then_some(bytes)
    }
}

/// A backlog, and who waits for more of it.
#[derive(Default)]
struct Shared(Mutex<Backlog>, Condvar);

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Backlog)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.1.notify_all();
    }

    /// What has come, or comes next; none at the end.
    fn next(&self) -> Option<Vec<u8>> {
        let backlog = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = |b: &mut Backlog| b.waiting.is_empty() && b.dropped == 0 && !b.ended;
        self.1.wait_while(backlog, empty).unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Writes what `receive` reads until its end, or until nobody wants it. Reading goes on while `output` takes nothing.
fn relay(mut receive: impl FnMut(&mut [u8]) -> usize + Send + 'static, output: &mut dyn Write) {
    let shared = Arc::new(Shared::default());
    let reading = shared.clone();
    // Ends when there is nothing more to read.
    std::thread::spawn(move || {
        let mut buffer = [0u8; 4096];
        loop {
            match receive(&mut buffer) {
                0 => break,
                count => reading.change(|backlog| backlog.add(&buffer[..count])),
            }
        }
        reading.change(|backlog| backlog.ended = true);
    });
    while let Some(bytes) = shared.next() {
        // A reader that has gone away wants nothing further.
        if output.write_all(&bytes).and_then(|()| output.flush()).is_err() {
            break;
        }
    }
}

/// Sends what is typed, until `send` says that nobody takes any more; whether the escape character ended it. That is heard
/// also while a guest takes nothing, because it is paused or its buffers are full: what is typed then is lost, as with a
/// real line.
fn typing(mut input: impl Read, mut send: impl FnMut(&[u8]) -> bool + Send + 'static) -> bool {
    let (pieces, typed) = mpsc::sync_channel::<Vec<u8>>(TYPED);
    let (done, sent) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        // Dropped when all is sent.
        let _done = done;
        while typed.recv().is_ok_and(|piece| send(&piece)) {}
    });
    let mut buffer = [0u8; 256];
    while let Ok(count @ 1..) = input.read(&mut buffer) {
        let typed = &buffer[..count];
        let escape = typed.iter().position(|b| *b == ESCAPE);
        let piece = typed[..escape.unwrap_or(count)].to_vec();
        if let Err(TrySendError::Disconnected(_)) = pieces.try_send(piece) {
            return false;
        }
        if escape.is_some() {
            drop(pieces);
            // What was typed before is the guest's, if it takes it.
            let _ = sent.recv_timeout(LAST);
            return true;
        }
    }
    false
}

/// Connects a running domain's console with `input` and `output` until either side ends it. `connected` is called once the
/// bytes flow.
pub fn console(
    client: &Client,
    domain: &str,
    others: Others,
    input: Box<dyn Read + Send>,
    output: &mut dyn Write,
    connected: &mut dyn FnMut(),
) -> Result<Ended, LibvirtError> {
    let (_domain, pipe) = client.console(domain, others)?;
    connected();
    let pipe = Arc::new(pipe);
    let (sending, escaped) = (pipe.clone(), Arc::new(Mutex::new(false)));
    let noted = escaped.clone();
    let ending = pipe.clone();
    // Ends with the program: a read of the terminal cannot be called off.
    std::thread::spawn(move || {
        if typing(input, move |typed| sending.send(typed).is_ok()) {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = true;
            ending.abort();
        }
    });
    let receiving = pipe.clone();
    relay(move |buffer| receiving.receive(buffer).unwrap_or(0), output);
    let escaped = *escaped.lock().unwrap_or_else(PoisonError::into_inner);
    if !escaped {
        pipe.abort();
    }
    Ok(if escaped { Ended::Escaped } else { Ended::Closed })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Somebody who looks at nothing until he is told to, and keeps what he sees.
    struct Stopped {
        go: mpsc::Receiver<()>,
        seen: Vec<u8>,
    }

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // Once told, for good.
            let _ = self.go.recv();
            self.seen.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A terminal that was stopped, or a pager that nobody turns.
    #[test]
    fn a_guest_that_floods_while_nobody_looks_fills_nothing_and_is_read_to_its_end() {
        const ALL: usize = 100 << 20;
        let (told, go) = mpsc::channel();
        let mut output = Stopped { go, seen: Vec::new() };
        let read = Arc::new(AtomicUsize::new(0));
        let reading = read.clone();
        let receive = move |buffer: &mut [u8]| {
            // As long as this has it, nothing more is seen.
            let _blocked = &told;
            if reading.fetch_add(buffer.len(), Ordering::SeqCst) >= ALL {
                return 0;
            }
            buffer.fill(b'x');
            buffer.len()
        };
        relay(receive, &mut output);
        assert!(read.load(Ordering::SeqCst) >= ALL);
        let said = String::from_utf8(output.seen).unwrap();
        assert!(said.len() < 2 * MOST + 200, "{}", said.len());
        // What was there when it began to be blocked, what waited, and a word on the rest after each.
        let shown = said.matches('x').count();
        let notes =
            said.split("\r\n[").filter_map(|part| part.split_once(" bytes were not shown]"));
        let dropped: usize = notes.map(|(number, _)| number.parse::<usize>().unwrap()).sum();
        assert_eq!(shown + dropped, ALL);
    }

    #[test]
    fn what_fits_is_shown_as_it_came() {
        let text: Vec<u8> = (0..=255u8).cycle().take(3 * MOST).collect();
        let (mut from, mut to) = UnixStream::pair().unwrap();
        let all = text.clone();
        // No faster than it is shown.
        let (shown, wait) = mpsc::channel::<usize>();
        let guest = std::thread::spawn(move || {
            for part in all.chunks(MOST / 2) {
                to.write_all(part).unwrap();
                let mut left = part.len();
                while left > 0 {
                    left -= wait.recv().unwrap();
                }
            }
        });
        struct Screen(Vec<u8>, mpsc::Sender<usize>);
        impl Write for Screen {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.extend(bytes);
                self.1.send(bytes.len()).unwrap();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut screen = Screen(Vec::new(), shown);
        relay(move |buffer| from.read(buffer).unwrap_or(0), &mut screen);
        guest.join().unwrap();
        assert!(screen.0 == text);
    }

    #[test]
    fn what_was_typed_before_the_escape_is_sent() {
        let taken = Arc::new(Mutex::new(Vec::<u8>::new()));
        let kept = taken.clone();
        let send = move |typed: &[u8]| {
            kept.lock().unwrap().extend(typed);
            true
        };
        assert!(typing(b"halt\r\x1dafter".as_slice(), send.clone()));
        assert_eq!(*taken.lock().unwrap(), b"halt\r");
        // The end of what is typed ends nothing.
        assert!(!typing(b"more".as_slice(), send));
    }

    /// A node that is paused, or does not read what comes over its serial line.
    #[test]
    fn the_escape_ends_a_console_whose_guest_takes_nothing() {
        let (_held, never) = mpsc::channel::<()>();
        let never = Mutex::new(never);
        let send = move |_: &[u8]| never.lock().unwrap().recv().is_ok();
        let typed = [vec![b'x'; 2 * 256 * TYPED], vec![ESCAPE]].concat();
        assert!(typing(typed.as_slice(), send));
    }

    #[test]
    fn a_gap_is_told_once_and_what_comes_after_it_is_shown() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.take(), None);
        backlog.add(&vec![b'a'; MOST - 1]);
        backlog.add(b"bcd");
        backlog.add(b"e");
        let bytes = backlog.take().unwrap();
        assert!(bytes[..MOST].ends_with(b"ab"));
        assert_eq!(&bytes[MOST..], b"\r\n[3 bytes were not shown]\r\n");
        backlog.add(b"f");
        assert_eq!(backlog.take().unwrap(), b"f");
        assert!(backlog.waiting.capacity() < 2 * MOST);
    }
}
