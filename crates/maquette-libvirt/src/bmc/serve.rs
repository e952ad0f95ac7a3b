//! The process that serves the BMCs of an environment on its hypervisor. It reads its directory once, keeps there what its
//! BMCs are to know after it has ended, and opens nothing else.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maquette_bmc::accounts::{Accounts, Refused, Role};
use maquette_bmc::bmc::Bmc;
use maquette_bmc::clock::Clock;
use maquette_bmc::reach::Resolver;
use maquette_bmc::secret::Secret;
use maquette_bmc::serve::{self, Doors, Tls, TlsError};
use maquette_bmc::service::{Options, Service};
use maquette_bmc::store;
use maquette_engine::bmc::{LOCK, NODES, STATE, Served, UNREACHED};
use thiserror::Error;
use uuid::Uuid;

use super::sockets::{self, Occupied, Protocol, Unreached};
use super::{Connection, DomainMachine, control, follow};
use crate::client::LibvirtError;

/// Why BMCs cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A file cannot be used.
    #[error("cannot use {path}")]
    File {
        /// The file on the hypervisor.
        path: PathBuf,
        /// Why it cannot be used.
        #[source]
        source: std::io::Error,
    },
    /// The file of BMCs is something else.
    #[error("{path} does not describe BMCs")]
    Form {
        /// The file on the hypervisor.
        path: PathBuf,
        /// Why that cannot be read.
        #[source]
        source: serde_json::Error,
    },
    /// libvirt does not answer.
    #[error("cannot connect to libvirt")]
    Libvirt(#[source] LibvirtError),
    /// An address cannot be served at.
    #[error("the BMC of `{node}` cannot be at {protocol} {at}")]
    Address {
        /// The node, by its libvirt name.
        node: String,
        /// Which protocol's address it is.
        protocol: &'static str,
        /// Address and port.
        at: SocketAddr,
        /// Why there can be no socket.
        #[source]
        source: std::io::Error,
    },
    /// Its certificate cannot be used.
    #[error("the BMC of `{node}` has no usable certificate")]
    Certificate {
        /// The node, by its libvirt name.
        node: String,
        /// Why.
        #[source]
        source: TlsError,
    },
    /// Its account cannot be used.
    #[error("the BMC of `{node}` has no usable account: {why:?}")]
    Account {
        /// The node, by its libvirt name.
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

impl ServeError {
    /// Whether it is about an address, which another program may have.
    pub fn is_about_address(&self) -> bool {
        matches!(self, Self::Address { .. })
    }
}

/// Tries what serving a file's BMCs takes, and serves nothing: says how many they are. What the process that serves the
/// directory now has is left to it.
pub fn check(file: &Path, uri: &str) -> Result<usize, ServeError> {
    let nodes = read(file)?;
    for node in &nodes {
        tls(node)?;
        accounts(node)?;
    }
    let own = file.parent().map(own_places).unwrap_or_default();
    if let Some(occupied) = sockets::try_all(&nodes, &own) {
        let Occupied { node, protocol, at, why } = occupied;
        return Err(ServeError::Address { node, protocol: protocol.as_str(), at, source: why });
    }
    Connection::open(uri).map_err(ServeError::Libvirt)?;
    Ok(nodes.len())
}

/// The addresses that the process which serves a directory has, if there is one.
fn own_places(directory: &Path) -> Vec<(Protocol, SocketAddr)> {
    let lock = File::open(directory.join(LOCK)).map(|file| file.try_lock());
    if !matches!(lock, Ok(Err(TryLockError::WouldBlock))) {
        return Vec::new();
    }
    // A file that cannot be read is of no process that serves.
    let nodes = read(&directory.join(NODES)).unwrap_or_default();
    let closed = sockets::unreached(directory);
    nodes.iter().flat_map(sockets::places).filter(|place| !closed.contains(place)).collect()
}

/// Serves the BMCs of a directory for ever, which have a resolver look names up. The directory's lock is taken once all of
/// them are reached that can be.
pub fn serve(
    directory: &Path,
    uri: &str,
    journal: &Journal,
    resolver: Resolver,
) -> Result<(), ServeError> {
    let connection = Arc::new(Connection::open(uri).map_err(ServeError::Libvirt)?);
    let nodes = read(&directory.join(NODES))?;
    let place = ServedDirectory::of(directory, &nodes, journal, resolver)?;
    let (mut services, mut bmcs) = (Vec::new(), Vec::new());
    for node in &nodes {
        let (service, bmc) = place.service(node, &connection)?;
        services.push((service, place.doors(node, &bmc)?));
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
            Ok(client) => match follow(&client, bmcs) {
                Ok(()) => journal("libvirt ended the connection; it is opened again"),
                Err(error) => journal(&format!("libvirt's events are not heard: {error}")),
            },
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

/// The system's clock, which knows from the kernel which boot this is.
fn clock() -> Clock {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    match boot.trim() {
        "" => Clock::system(),
        boot => Clock::system().in_boot(boot, age_of_boot().unwrap_or(u64::MAX)),
    }
}

/// How many seconds the kernel had run when this process began (proc_pid_stat(5), field 22: in hundredths of a second).
fn age_of_boot() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in parentheses, may have blanks in it; it is the second field.
    let (_, fields) = stat.rsplit_once(')')?;
    let started: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    Some(started / 100)
}

/// A directory whose BMCs are served.
struct ServedDirectory {
    store: Arc<store::Directory>,
    unreached: Unreached,
    journal: Journal,
    resolver: Resolver,
    clock: Clock,
}

impl ServedDirectory {
    /// A directory, in which is kept what some nodes' BMCs know; what others knew is forgotten.
    fn of(
        directory: &Path,
        nodes: &[Served],
        journal: &Journal,
        resolver: Resolver,
    ) -> Result<Self, ServeError> {
        let state = directory.join(STATE);
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| ServeError::File { path, source }
        };
        match DirBuilder::new().mode(0o700).create(&state) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(failed(&state)(error));
            }
            Ok(()) | Err(_) => {}
        }
        forget_others(&state, nodes).map_err(failed(&state))?;
        let unreached = Unreached::of(directory).map_err(failed(&directory.join(UNREACHED)))?;
        let store = Arc::new(store::Directory::new(&state));
        Ok(Self { store, unreached, journal: journal.clone(), resolver, clock: clock() })
    }

    /// A node's BMC as it was left, and what it is behind.
    fn service(
        &self,
        node: &Served,
        connection: &Arc<Connection>,
    ) -> Result<(Arc<Service>, Arc<Bmc>), ServeError> {
        let clock = self.clock.clone();
        let machine = Arc::new(DomainMachine::on(connection.clone(), &node.node, node.uuid));
        let bmc = Arc::new(Bmc::new(&node.node, node.uuid, machine, clock.clone()));
        let options = Options {
            https_port: node.redfish.map_or(443, |at| at.port()),
            ipmi_port: node.ipmi.map(|at| at.port()),
            own_addresses: node.hypervisor_urls,
            ..Options::default()
        };
        let uuid = service_uuid(node);
        let service = Service::new(uuid, clock, vec![bmc.clone()], accounts(node)?, options);
        service.reach_into(node.networks.clone(), self.resolver.clone());
        let (journal, name) = (self.journal.clone(), node.node.clone());
        service.report_to(Box::new(move |line| journal(&format!("{name}: {line}"))));
        service.keep_in(self.store.clone());
        Ok((service, bmc))
    }

    /// A BMC's sockets.
    fn doors(&self, node: &Served, bmc: &Arc<Bmc>) -> Result<Doors, ServeError> {
        let mut doors = Doors { redfish: None, ipmi: Vec::new() };
        for (protocol, at) in sockets::places(node) {
            let (place, journal) = ((node, protocol, at), self.journal.clone());
            let failed = |source| ServeError::File { path: UNREACHED.into(), source };
            match protocol {
                Protocol::Redfish => {
                    let door = self.unreached.door(place, TcpListener::bind, journal);
                    doors.redfish = Some((door.map_err(failed)?, Some(tls(node)?)));
                }
                Protocol::Ipmi => {
                    let door = self.unreached.door(place, UdpSocket::bind, journal);
                    doors.ipmi.push((bmc.clone(), door.map_err(failed)?));
                }
            }
        }
        Ok(doors)
    }
}

fn service_uuid(node: &Served) -> Uuid {
    Uuid::new_v5(&node.uuid, b"bmc")
}

/// Removes what was kept of BMCs that have gone: a node that is made again has another UUID, and nothing is kept of it.
fn forget_others(state: &Path, nodes: &[Served]) -> std::io::Result<()> {
    let known: BTreeSet<String> = nodes
        .iter()
        .flat_map(|node| {
            let service = service_uuid(node);
            let kinds = ["accounts", "subscriptions", "tasks"];
            kinds.map(|kind| format!("{kind}-{service}")).into_iter().chain([node.uuid.to_string()])
        })
        .collect();
    for entry in std::fs::read_dir(state)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if !stem.is_some_and(|stem| known.contains(stem)) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
