//! A connection to libvirt that outlasts its daemon.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use maquette_bmc::machine::Fault;

use crate::client::{Client, LibvirtError};

/// How often somebody looks whether a daemon is back that is restarted.
const TRIES: usize = 60;
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
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(uri) = self.uri.as_ref().filter(|_| !client.is_alive()) else {
            return Ok(client.clone());
        };
        let mut last = Fault::Failed("libvirt does not answer".into());
        for _ in 0..TRIES {
            match Client::open(uri) {
                Ok(opened) => {
                    *client = Arc::new(opened);
                    return Ok(client.clone());
                }
                Err(error) => last = Fault::Failed(error.to_string()),
            }
            std::thread::sleep(BETWEEN);
        }
        Err(last)
    }
}
