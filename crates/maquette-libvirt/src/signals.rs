//! What a guest says on its virtio-serial port, as signals.
//!
//! The port is a stream on libvirt's connection: reading it blocks until the guest writes, and ends
//! when QEMU does. That makes one thread's read the wait for both events.

use std::sync::mpsc::Sender;

use maquette_core::guest::READY_PORT;
use maquette_engine::ready::Signal;

use crate::client::{self, Client, LibvirtError, Stream};

/// Listens until it is closed, or the domain stops.
pub struct Listener {
    stream: Stream,
}

impl Listener {
    /// Stops listening; the reading thread ends by itself.
    pub fn close(self) {
        // It may have ended already.
        let _ = self.stream.abort();
    }
}

/// Begins to listen to a running domain.
pub fn listen(
    client: &Client,
    domain: &str,
    signals: Sender<Signal>,
) -> Result<Listener, LibvirtError> {
    let (domain, stream) = client.channel(domain, READY_PORT)?;
    let reading = stream.clone();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut buffer = [0u8; 256];
        while let Ok(count @ 1..) = client::receive(&reading, &mut buffer) {
            text.extend_from_slice(&buffer[..count]);
            while let Some(end) = text.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let word = String::from_utf8_lossy(&line).trim().to_string();
                if !word.is_empty() && signals.send(Signal::Reported(word)).is_err() {
                    return;
                }
            }
        }
        if !client::is_active(&domain).unwrap_or(false) {
            // Nobody may be waiting any more.
            let _ = signals.send(Signal::Stopped);
        }
    });
    Ok(Listener { stream })
}
