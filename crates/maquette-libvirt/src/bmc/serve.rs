//! The process that serves the BMCs of an environment on its hypervisor. It reads its directory once, and opens nothing else.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maquette_bmc::accounts::{Accounts, Refused, Role};
use maquette_bmc::bmc::Bmc;
use maquette_bmc::clock::Clock;
use maquette_bmc::secret::Secret;
use maquette_bmc::serve::{self, Doors, Tls, TlsError};
use maquette_bmc::service::{Options, Service};
use maquette_engine::bmc::{LOCK, NODES, Served};
use thiserror::Error;
use uuid::Uuid;

use super::{Connection, DomainMachine, control, follow};
use crate::client::LibvirtError;

/// Why BMCs cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A file cannot be used.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file of BMCs is something else.
    #[error("{path} does not describe BMCs")]
    Form {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// libvirt does not answer.
    #[error("cannot connect to libvirt")]
    Libvirt(#[source] LibvirtError),
    /// An address cannot be served at.
    #[error("the BMC of `{node}` cannot be at {protocol} {at}")]
    Address {
        /// The node.
        node: String,
        /// Which protocol's address it is.
        protocol: &'static str,
        /// The address.
        at: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its certificate cannot be used.
    #[error("the BMC of `{node}` has no usable certificate")]
    Certificate {
        /// The node.
        node: String,
        /// Why.
        #[source]
        source: TlsError,
    },
    /// Its account cannot be used.
    #[error("the BMC of `{node}` has no usable account: {why:?}")]
    Account {
        /// The node.
        node: String,
        /// Why.
        why: Refused,
    },
    /// The sockets cannot be used.
    #[error("cannot serve")]
    Sockets(#[source] std::io::Error),
}

/// Hears what whoever looks after the hypervisor should know.
pub type Journal = Arc<dyn Fn(&str) + Send + Sync>;

fn read(path: &Path) -> Result<Vec<Served>, ServeError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ServeError::File { path: path.into(), source })?;
    Served::parse_all(&text).map_err(|source| ServeError::Form { path: path.into(), source })
}

/// Tries what serving a file's BMCs takes, and serves nothing: says how many they are.
pub fn check(file: &Path, uri: &str) -> Result<usize, ServeError> {
    let nodes = read(file)?;
    for node in &nodes {
        tls(node)?;
        accounts(node)?;
    }
    Connection::open(uri).map_err(ServeError::Libvirt)?;
    Ok(nodes.len())
}

/// Serves the BMCs of a directory for ever. The directory's lock is taken once all of them are reached.
pub fn serve(directory: &Path, uri: &str, journal: &Journal) -> Result<(), ServeError> {
    let connection = Arc::new(Connection::open(uri).map_err(ServeError::Libvirt)?);
    let (mut services, mut bmcs) = (Vec::new(), Vec::new());
    for node in read(&directory.join(NODES))? {
        let (service, doors, bmc) = open(&node, &connection)?;
        let journal = journal.clone();
        let name = node.node.clone();
        service.report_to(Box::new(move |line| journal(&format!("{name}: {line}"))));
        services.push((service, doors));
        bmcs.push(bmc);
    }
    let path = directory.join(LOCK);
    let file = File::open(&path).and_then(|file| file.lock().map(|()| file));
    // Whoever looks whether it is held has it for a moment; another process like this one would have had the sockets.
    let _lock = file.map_err(|source| ServeError::File { path, source })?;
    control::listen(directory, &bmcs).map_err(ServeError::Sockets)?;
    let journal = journal.clone();
    std::thread::spawn(move || follow_for_ever(&connection, &bmcs, &journal));
    serve::run_all(services).map_err(ServeError::Sockets)
}

/// Has BMCs look at their domains whenever libvirt says so, and whenever it is back after it was gone.
fn follow_for_ever(connection: &Connection, bmcs: &[Arc<Bmc>], journal: &Journal) {
    loop {
        match connection.client() {
            Ok(client) => {
                for bmc in bmcs {
                    // Whatever cannot be asked now is asked by whoever looks next.
                    let _ = bmc.power();
                }
                match follow(&client, bmcs) {
                    Ok(()) => journal("libvirt ended the connection; it is opened anew"),
                    Err(error) => journal(&format!("libvirt's events are not heard: {error}")),
                }
            }
            Err(fault) => journal(&format!("libvirt does not answer: {fault}")),
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

fn tls(node: &Served) -> Result<Tls, ServeError> {
    let made = Tls::from_pem(node.certificates.as_bytes(), node.key.as_bytes());
    made.map_err(|source| ServeError::Certificate { node: node.node.to_string(), source })
}

fn accounts(node: &Served) -> Result<Accounts, ServeError> {
    let mut accounts = Accounts::default();
    let password = Secret::new(node.password.clone());
    accounts
        .add(&node.user, password, Role::Administrator)
        .map_err(|why| ServeError::Account { node: node.node.to_string(), why })?;
    Ok(accounts)
}

/// A node's BMC, with its sockets.
fn open(
    node: &Served,
    connection: &Arc<Connection>,
) -> Result<(Arc<Service>, Doors, Arc<Bmc>), ServeError> {
    let clock = Clock::system();
    let machine = Arc::new(DomainMachine::on(connection.clone(), &node.node, node.uuid));
    let bmc = Arc::new(Bmc::new(&node.node, node.uuid, machine, clock.clone()));
    let failed = |protocol, at| {
        let node = node.node.to_string();
        move |source| ServeError::Address { node, protocol, at, source }
    };
    let redfish = match node.redfish {
        Some(at) => {
            let listener = TcpListener::bind(at).map_err(failed("Redfish", at))?;
            Some((listener, Some(tls(node)?)))
        }
        None => None,
    };
    let ipmi = match node.ipmi {
        Some(at) => vec![(bmc.clone(), UdpSocket::bind(at).map_err(failed("IPMI", at))?)],
        None => Vec::new(),
    };
    let options = Options {
        https_port: node.redfish.map_or(443, |at| at.port()),
        ipmi_port: node.ipmi.map(|at| at.port()),
        ..Options::default()
    };
    let uuid = Uuid::new_v5(&node.uuid, b"bmc");
    let service = Service::new(uuid, clock, vec![bmc.clone()], accounts(node)?, options);
    Ok((service, Doors { redfish, ipmi }, bmc))
}
