//! A connection to libvirt that outlasts its daemon.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use maquette_bmc::machine::Fault;

use crate::client::{Client, LibvirtError};

/// How long somebody waits for a daemon that is restarted, which answers of BMCs have time for.
const PATIENCE: Duration = Duration::from_secs(50);
/// How long between two tries.
const BETWEEN: Duration = Duration::from_millis(500);

/// A connection that is opened again when it was lost.
pub struct Connection {
    /// libvirt's address; none for one that is not opened again.
    uri: Option<String>,
    client: Mutex<Arc<Client>>,
}

impl Connection {
    /// Opens a connection to `uri`, which is opened again when it is lost.
    pub fn open(uri: &str) -> Result<Self, LibvirtError> {
        let client = Mutex::new(Arc::new(Client::open(uri)?));
        Ok(Self { uri: Some(uri.into()), client })
    }

    /// One that is open, and is not opened again.
    pub fn of(client: Arc<Client>) -> Self {
        Self { uri: None, client: Mutex::new(client) }
    }

    /// The connection. Where the daemon has gone, whoever asks waits until it is back, for some time.
    pub fn client(&self) -> Result<Arc<Client>, Fault> {
        self.within(PATIENCE)
    }

    /// The same, with a time that includes what others take who wait for it, too.
    fn within(&self, patience: Duration) -> Result<Arc<Client>, Fault> {
        let until = Instant::now() + patience;
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(uri) = self.uri.as_ref().filter(|_| !client.is_alive()) else {
            return Ok(client.clone());
        };
        let mut last = Fault::Failed("libvirt does not answer".into());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left < BETWEEN {
                return Err(last);
            }
            // A daemon that systemd has not started yet lets nobody in, and says nothing.
            match Client::open_within(left, uri) {
                Ok(opened) => {
                    *client = Arc::new(opened);
                    return Ok(client.clone());
                }
                Err(error) => last = Fault::Failed(error.to_string()),
            }
            std::thread::sleep(BETWEEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::client::opening::daemon::answer;

    /// systemd listens for a daemon that has gone and is not there yet: connections are taken, and nobody says a word.
    #[test]
    fn a_daemon_that_lets_nobody_in_again_costs_each_their_own_time() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let streams: Arc<Mutex<Vec<UnixStream>>> = Arc::default();
        let gone = Arc::new(AtomicBool::new(false));
        let (kept, silent) = (streams.clone(), gone.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                kept.lock().unwrap().push(stream.try_clone().unwrap());
                if !silent.load(Ordering::SeqCst) {
                    std::thread::spawn(move || answer(stream));
                }
            }
        });
        let uri = format!("test+unix:///default?socket={}", socket.display());
        let connection = Connection::open(&uri).unwrap();
        gone.store(true, Ordering::SeqCst);
        for stream in streams.lock().unwrap().iter() {
            stream.shutdown(Shutdown::Both).unwrap();
        }
        let alive = || connection.client.lock().unwrap().is_alive();
        let begun = Instant::now();
        while alive() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    // The reason that was heard is told, or that there was no time left to hear one.
                    let why = connection.within(Duration::from_secs(2)).err().unwrap().to_string();
                    assert!(why.contains("answer") && !why.contains("within 0 s"), "{why}");
                });
            }
        });
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    }
}
