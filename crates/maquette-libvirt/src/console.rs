//! A node's serial console as two streams of bytes.

use std::io::{Read, Write};

use crate::client::{Client, LibvirtError};

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

/// Connects a running domain's console with `input` and `output` until either side ends it. `force` takes
/// it from whoever has it. `connected` is called once the bytes flow.
pub fn console(
    client: &Client,
    domain: &str,
    force: bool,
    mut input: Box<dyn Read + Send>,
    output: &mut dyn Write,
    connected: &mut dyn FnMut(),
) -> Result<Ended, LibvirtError> {
    let (_domain, pipe) = client.console(domain, force)?;
    connected();
    let pipe = std::sync::Arc::new(pipe);
    let (sending, escaped) = (pipe.clone(), std::sync::Arc::new(std::sync::Mutex::new(false)));
    let noted = escaped.clone();
    // Ends with the program: a read of the terminal cannot be called off.
    std::thread::spawn(move || {
        let mut buffer = [0u8; 256];
        while let Ok(count @ 1..) = input.read(&mut buffer) {
            let typed = &buffer[..count];
            let escape = typed.iter().position(|b| *b == ESCAPE);
            if sending.send(&typed[..escape.unwrap_or(count)]).is_err() {
                return;
            }
            if escape.is_some() {
                *noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = true;
                sending.abort();
                return;
            }
        }
    });
    let mut buffer = [0u8; 4096];
    while let Ok(count @ 1..) = pipe.receive(&mut buffer) {
        // A reader that has gone away wants no more.
        if output.write_all(&buffer[..count]).and_then(|()| output.flush()).is_err() {
            break;
        }
    }
    let escaped = *escaped.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(if escaped { Ended::Escaped } else { Ended::Closed })
}
