//! Opening connections to libvirt, whose daemon may be silent.

#[cfg(test)]
pub(crate) mod daemon;

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
    connect_within(OPENING, uri)
}

/// The same for whoever waits no longer than this.
pub(super) fn connect_within(limit: Duration, uri: &str) -> Result<Connect> {
    asking(limit, uri, QUESTIONS)
}

fn asking(limit: Duration, uri: &str, (interval, count): (i32, u32)) -> Result<Connect> {
    let connection = within(limit, uri)?;
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
        Err(_) => Err(LibvirtError::silent(limit.as_secs().max(1))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::daemon::answer;
    use super::*;

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
        let connection = asking(OPENING, &uri, (1, 1)).unwrap();
        assert!(connection.hostname().is_err());
    }
}
