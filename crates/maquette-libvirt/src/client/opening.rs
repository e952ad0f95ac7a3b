//! Opening connections to libvirt, whose daemon may be silent.

use std::sync::mpsc;
use std::time::Duration;

use virt::connect::Connect;

use super::{LibvirtError, Result};

/// How long it may take until a connection is open: systemd starts a daemon that nobody has asked before, for 90 seconds.
pub(super) const OPENING: Duration = Duration::from_secs(120);

/// Seconds between questions whether a daemon still lives, and how many may go without an answer: one that hangs ends
/// calls in a minute.
const QUESTIONS: (i32, u32) = (10, 5);

/// The connection to another machine looks after itself, and asking it would cost a round trip there.
pub(super) fn is_local(uri: &str) -> bool {
    !uri.contains("+ssh:")
}

/// Opens one connection.
pub(super) fn connect(uri: &str) -> Result<Connect> {
    asking(uri, QUESTIONS)
}

fn asking(uri: &str, (interval, count): (i32, u32)) -> Result<Connect> {
    let connection = within(OPENING, uri)?;
    if is_local(uri) {
        // Drivers without a daemon cannot be asked.
        let _ = connection.set_keep_alive(interval, count);
    }
    Ok(connection)
}

/// Opens a connection. libvirt's call has no limit of its own: one that does not end goes on until the program ends.
pub(super) fn within(limit: Duration, uri: &str) -> Result<Connect> {
    let (sender, receiver) = mpsc::channel();
    let address = uri.to_string();
    let open = move || {
        // Nobody may be waiting any more.
        let _ = sender.send(Connect::open(Some(&address)));
    };
    if std::thread::Builder::new().spawn(open).is_err() {
        // There may be no more threads; then nothing looks at the time.
        return Ok(Connect::open(Some(uri))?);
    }
    match receiver.recv_timeout(limit) {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(LibvirtError::silent(limit.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    /// What a client asks before a connection is open, by libvirt's numbers: how it proves who it is, whether something
    /// is supported, and to be let in.
    const ASKED: [(u32, &[u32]); 3] = [(66, &[1, 0]), (60, &[1]), (1, &[])];

    /// Answers what comes before a connection is open, and nothing after that.
    /// <https://libvirt.org/kbase/internals/rpc.html>
    fn answer(mut stream: UnixStream) -> std::io::Result<()> {
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let mut call = vec![0; u32::from_be_bytes(length) as usize - 4];
            stream.read_exact(&mut call)?;
            let word = |at: usize| u32::from_be_bytes(call[at * 4..][..4].try_into().unwrap());
            let (program, version, procedure, serial) = (word(0), word(1), word(2), word(4));
            let known =
                ASKED.iter().find(|(asked, _)| program == 0x2000_8086 && *asked == procedure);
            let Some((_, said)) = known else { continue };
            let header = [28 + 4 * said.len() as u32, program, version, procedure, 1, serial, 0];
            let bytes = header.iter().chain(*said).flat_map(|word| word.to_be_bytes());
            stream.write_all(&bytes.collect::<Vec<_>>())?;
        }
    }

    /// A daemon that takes connections, and the address of libvirt's test driver in it.
    fn daemon(serve: fn(UnixStream) -> std::io::Result<()>) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that has gone is no longer served.
                std::thread::spawn(move || serve(stream.unwrap()));
            }
        });
        (directory, format!("test+unix:///default?socket={}", socket.display()))
    }

    #[test]
    fn a_daemon_that_lets_nobody_in_is_not_waited_for_for_ever() {
        let silent = |mut stream: UnixStream| stream.read_to_end(&mut Vec::new()).map(drop);
        let (_directory, uri) = daemon(silent);
        let error = within(Duration::from_secs(1), &uri).unwrap_err();
        assert!(error.is_silent());
        assert_eq!(error.to_string(), "its daemon has not answered within 1 s");
    }

    /// Without questions, a call to a daemon that hangs waits for ever.
    #[test]
    fn a_daemon_that_hangs_ends_calls() {
        super::super::events::start_loop();
        let (_directory, uri) = daemon(answer);
        let connection = asking(&uri, (1, 1)).unwrap();
        assert!(connection.hostname().is_err());
    }
}
