//! What a guest says on its virtio-serial port, as signals.
//!
//! The port is a stream on libvirt's connection: a read waits until the guest writes, and ends when QEMU does. That makes one thread's read the wait for both events.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};

use maquette_core::seed::READY_PORT;
use maquette_engine::ready::Signal;

use crate::client::{self, Client, LibvirtError, Pipe};

/// Listens until it is closed, or the domain stops.
pub struct Listener {
    pipe: Arc<Pipe>,
}

impl Listener {
    /// Stops listening; the reading thread ends by itself.
    pub fn close(self) {
        self.pipe.abort();
    }
}

/// Longest line that a guest may write, in bytes; what is longer is dropped whole.
const LONGEST: usize = 4096;
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
    let (domain, pipe) = client.channel(domain, READY_PORT)?;
    let pipe = Arc::new(pipe);
    let reading = pipe.clone();
    std::thread::spawn(move || {
        let mut lines = Lines::default();
        let mut buffer = [0u8; 256];
        while let Ok(count @ 1..) = reading.receive(&mut buffer) {
            for word in lines.read(&buffer[..count]) {
                if let Err(TrySendError::Disconnected(_)) = signals.try_send(Signal::Reported(word))
                {
                    return;
                }
            }
        }
        if !client::is_active(&domain).unwrap_or(false) {
            // Nobody may be waiting any more.
            let _ = signals.send(Signal::Stopped);
        }
    });
    Ok(Listener { pipe })
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
        let sent =
            (0..100_000).filter(|_| sender.try_send(Signal::Reported("x".into())).is_ok()).count();
        assert_eq!((sent, receiver.try_iter().count()), (WAITING, WAITING));
    }
}
