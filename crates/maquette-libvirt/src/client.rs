//! The calls of libvirt's API that we use: blocking, with typed errors. The only file that knows the
//! binding.

mod events;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

pub use events::{DomainEvent, Events};
use thiserror::Error;
use virt::connect::Connect;
pub use virt::domain::Domain;
use virt::domain::DomainState;
use virt::error::{ErrorNumber, ErrorNumberEnum};
pub use virt::network::Network;
pub use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
pub use virt::stream::Stream;
use virt::sys;

/// What libvirt answered to a call.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct LibvirtError {
    message: String,
    kind: Kind,
}

/// Errors that are handled rather than reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No object of that name.
    Missing,
    /// The object is already in the wanted state.
    AlreadyDone,
    /// Any other.
    Other,
}

impl From<virt::error::Error> for LibvirtError {
    fn from(error: virt::error::Error) -> Self {
        let is = |number: ErrorNumber| error.code() == ErrorNumberEnum::from(number);
        let kind = if is(ErrorNumber::NoDomain)
            || is(ErrorNumber::NoNetwork)
            || is(ErrorNumber::NoStoragePool)
            || is(ErrorNumber::NoStorageVolume)
        {
            Kind::Missing
        } else if is(ErrorNumber::OperationInvalid) {
            Kind::AlreadyDone
        } else {
            Kind::Other
        };
        Self { message: error.message().to_string(), kind }
    }
}

type Result<T> = std::result::Result<T, LibvirtError>;

/// Turns "there is no such thing" into none.
fn optional<T>(result: std::result::Result<T, virt::error::Error>) -> Result<Option<T>> {
    match result.map_err(LibvirtError::from) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == Kind::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

/// Accepts that something is already in the wanted state, if `reached` confirms it.
fn settled(
    result: std::result::Result<(), virt::error::Error>,
    reached: impl FnOnce() -> bool,
) -> Result<()> {
    match result.map_err(LibvirtError::from) {
        Err(error) if error.kind != Kind::Other && reached() => Ok(()),
        other => other,
    }
}

/// What is changed in a running network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A reservation.
    Host {
        /// Position of its `ip` element.
        element: i32,
        /// The entry.
        xml: &'a str,
    },
    /// A DNS service record.
    Srv {
        /// The entry.
        xml: &'a str,
    },
}

/// Whether an entry of a running network comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryChange {
    /// The entry comes.
    Add,
    /// The entry goes.
    Remove,
}

/// A domain and its state when it was listed.
pub struct Listed {
    /// The domain.
    pub domain: Domain,
    /// Whether it runs; a paused one does.
    pub active: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it has a definition.
    pub persistent: bool,
}

/// Two connections: the server works on five calls of a connection at a time, so long ones would
/// hold up quick ones.
pub struct Client {
    control: Connect,
    bulk: Connect,
    uri: String,
    /// Made when events are first asked for.
    hub: Mutex<Option<Hub>>,
}

/// One connection with events for all who want to hear of them.
struct Hub {
    _events: Events,
    listeners: Arc<Mutex<Vec<Sender<DomainEvent>>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.uri)
    }
}

impl Client {
    /// Opens both connections.
    pub fn open(uri: &str) -> Result<Self> {
        // Errors are returned; libvirt's own handler would print them too.
        virt::error::clear_error_callback();
        // Opening takes several round trips.
        let (control, bulk) = join(|| Connect::open(Some(uri)), || Connect::open(Some(uri)));
        Ok(Self { control: control?, bulk: bulk?, uri: uri.into(), hub: Mutex::new(None) })
    }

    /// Whether both connections are still there.
    pub fn is_alive(&self) -> bool {
        let alive = |connection: &Connect| connection.is_alive().unwrap_or(false);
        alive(&self.control) && alive(&self.bulk)
    }

    /// What happens to domains from now on. All listeners share one connection of its own.
    pub fn events(&self) -> Result<Receiver<DomainEvent>> {
        let lock = |m: &Mutex<Vec<Sender<DomainEvent>>>, sender| {
            m.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        };
        let (sender, receiver) = mpsc::channel();
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hub) = hub.as_ref() {
            lock(&hub.listeners, sender);
            return Ok(receiver);
        }
        let (all, heard) = mpsc::channel();
        let events = Events::listen(&self.uri, &all)?;
        let listeners = Arc::new(Mutex::new(vec![sender]));
        let telling = listeners.clone();
        std::thread::spawn(move || {
            for event in heard {
                let mut listeners = telling.lock().unwrap_or_else(PoisonError::into_inner);
                listeners.retain(|l: &Sender<DomainEvent>| l.send(event.clone()).is_ok());
            }
        });
        *hub = Some(Hub { _events: events, listeners });
        Ok(receiver)
    }

    /// The address that was opened.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// All domains, each with its state.
    pub fn domains(&self) -> Result<Vec<Listed>> {
        let list = |flag: u32| self.control.list_all_domains(flag);
        let names = |flag: u32| -> Result<BTreeSet<String>> {
            list(flag)?.iter().map(domain_name).collect()
        };
        // What there is comes from one list: between two that exclude each other, a domain that
        // changes sides would be on neither.
        let ((all, active), (paused, transient)) = join(
            || join(|| list(0), || names(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)),
            || {
                join(
                    || names(sys::VIR_CONNECT_LIST_DOMAINS_PAUSED),
                    || names(sys::VIR_CONNECT_LIST_DOMAINS_TRANSIENT),
                )
            },
        );
        let (active, paused, transient) = (active?, paused?, transient?);
        let all = all?.into_iter().map(|domain| {
            let name = domain_name(&domain)?;
            Ok(Listed {
                domain,
                active: active.contains(&name),
                paused: paused.contains(&name),
                persistent: !transient.contains(&name),
            })
        });
        all.collect()
    }

    /// All networks, each with whether it runs.
    pub fn networks(&self) -> Result<Vec<(Network, bool)>> {
        let list = |flag: u32| self.control.list_all_networks(flag);
        let (all, active) = join(
            || list(0),
            || -> Result<BTreeSet<String>> {
                list(sys::VIR_CONNECT_LIST_NETWORKS_ACTIVE)?.iter().map(network_name).collect()
            },
        );
        let active = active?;
        let all = all?.into_iter().map(|network| {
            let runs = active.contains(&network_name(&network)?);
            Ok((network, runs))
        });
        all.collect()
    }

    /// A domain by name.
    pub fn domain(&self, name: &str) -> Result<Option<Domain>> {
        optional(self.control.lookup_domain_by_name(name))
    }

    /// A network by name.
    pub fn network(&self, name: &str) -> Result<Option<Network>> {
        optional(self.control.lookup_network_by_name(name))
    }

    /// A pool by name.
    pub fn pool(&self, name: &str) -> Result<Option<StoragePool>> {
        optional(self.bulk.lookup_storage_pool_by_name(name))
    }

    /// Defines a domain, or changes its definition.
    pub fn define_domain(&self, xml: &str) -> Result<Domain> {
        Ok(self.control.define_domain_xml_flags(xml, sys::VIR_DOMAIN_DEFINE_VALIDATE)?)
    }

    /// Defines a network, or changes its definition.
    pub fn define_network(&self, xml: &str) -> Result<Network> {
        Ok(self.control.define_network_xml(xml)?)
    }

    /// Defines a pool.
    pub fn define_pool(&self, xml: &str) -> Result<StoragePool> {
        Ok(self.bulk.define_storage_pool_xml(xml, 0)?)
    }

    /// Opens one of a running domain's virtio-serial ports. Domain and stream must belong to one
    /// connection, and reading blocks: it is the one for long calls.
    pub fn channel(&self, domain: &str, port: &str) -> Result<(Domain, Stream)> {
        let domain = self.bulk.lookup_domain_by_name(domain)?;
        let stream = self.stream()?;
        domain.open_channel(Some(port), &stream, sys::VIR_DOMAIN_CHANNEL_FORCE)?;
        Ok((domain, stream))
    }

    /// Opens a running domain's serial console. `force` ends whoever is connected to it.
    pub fn console(&self, domain: &str, force: bool) -> Result<(Domain, Stream)> {
        let domain = self.bulk.lookup_domain_by_name(domain)?;
        let stream = self.stream()?;
        let flags =
            if force { sys::VIR_DOMAIN_CONSOLE_FORCE } else { sys::VIR_DOMAIN_CONSOLE_SAFE };
        domain.open_console(None, &stream, flags)?;
        Ok((domain, stream))
    }

    /// A stream on the connection for long calls.
    pub fn stream(&self) -> Result<Stream> {
        Ok(Stream::new(&self.bulk, 0)?)
    }
}

/// Makes two calls at the same time: a call is a round trip.
pub fn join<A, B: Send>(a: impl FnOnce() -> A, b: impl FnOnce() -> B + Send) -> (A, B) {
    std::thread::scope(|scope| {
        let b = scope.spawn(b);
        let a = a();
        match b.join() {
            Ok(b) => (a, b),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Asks the same of many objects, several at a time, and keeps their order.
pub fn map<T: Sync, R: Send>(items: &[T], ask: impl Fn(&T) -> R + Sync) -> Vec<R> {
    const AT_ONCE: usize = 24;
    if items.len() < 2 {
        return items.iter().map(ask).collect();
    }
    let size = items.len().div_ceil(AT_ONCE);
    std::thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> = items
            .chunks(size)
            .map(|chunk| scope.spawn(move || chunk.iter().map(ask).collect::<Vec<R>>()))
            .collect();
        let mut all = Vec::with_capacity(items.len());
        for thread in threads {
            match thread.join() {
                Ok(part) => all.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

/// Name of a domain.
pub fn domain_name(domain: &Domain) -> Result<String> {
    Ok(domain.name()?)
}

/// Persistent definition of a domain; none if it has gone since it was listed.
pub fn domain_xml(domain: &Domain) -> Result<Option<String>> {
    optional(domain.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE))
}

/// What a running domain is made of; none if it has stopped since it was listed.
pub fn live_xml(domain: &Domain) -> Result<Option<String>> {
    optional(domain.xml_desc(0))
}

/// Asks a running guest to use this much memory.
pub fn set_memory(domain: &Domain, mib: u64) -> Result<()> {
    domain.set_memory_flags(mib * 1024, sys::VIR_DOMAIN_AFFECT_LIVE)?;
    Ok(())
}

/// Tells a running guest of more room on a disk.
pub fn resize_disk(domain: &Domain, device: &str, bytes: u64) -> Result<()> {
    domain.block_resize(device, bytes, sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES)?;
    Ok(())
}

/// Plugs a device into a running domain.
pub fn attach(domain: &Domain, xml: &str) -> Result<()> {
    Ok(domain.attach_device_flags(xml, sys::VIR_DOMAIN_AFFECT_LIVE)?)
}

/// Changes a device of a running domain.
pub fn update(domain: &Domain, xml: &str) -> Result<()> {
    Ok(domain.update_device_flags(xml, sys::VIR_DOMAIN_AFFECT_LIVE)?)
}

/// Asks a running guest to let go of a device; it may take its time.
pub fn detach(domain: &Domain, xml: &str) -> Result<()> {
    Ok(domain.detach_device_flags(xml, sys::VIR_DOMAIN_AFFECT_LIVE)?)
}

/// Lets a paused domain go on. One that runs is left alone.
pub fn resume(domain: &Domain) -> Result<()> {
    settled(domain.resume().map(|_| ()), || !is_paused(domain))
}

/// Pauses a domain. One that is paused is left alone.
pub fn pause(domain: &Domain) -> Result<()> {
    settled(domain.suspend().map(|_| ()), || is_paused(domain))
}

fn is_paused(domain: &Domain) -> bool {
    domain.state().is_ok_and(|(state, _)| state.is_known_and(|s| s == DomainState::Paused))
}

/// Resets a running domain, as its button would.
pub fn reset(domain: &Domain) -> Result<()> {
    Ok(domain.reset()?)
}

/// Whether a domain runs.
pub fn is_active(domain: &Domain) -> Result<bool> {
    Ok(domain.is_active()?)
}

/// Starts a domain with the hypervisor from now on, and now. One that runs is left alone.
pub fn start_domain(domain: &Domain) -> Result<()> {
    domain.set_autostart(true)?;
    settled(domain.create(), || domain.is_active().unwrap_or(false))
}

/// Asks a guest to shut down.
pub fn shut_down(domain: &Domain) -> Result<()> {
    settled(domain.shutdown(), || !domain.is_active().unwrap_or(true))
}

/// Stops a domain at once. One that is off is left alone.
pub fn pull_plug(domain: &Domain) -> Result<()> {
    settled(domain.destroy(), || !domain.is_active().unwrap_or(true))
}

/// Removes a domain's definition with all that libvirt keeps of it. As with networks, one that was
/// being started is stopped.
pub fn undefine_domain(domain: &Domain) -> Result<()> {
    let all = sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | sys::VIR_DOMAIN_UNDEFINE_NVRAM
        | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
    // Drivers that lack one of these know nothing that it would remove.
    if domain.undefine_flags(all).is_err() {
        optional(domain.undefine())?;
    }
    match domain.is_active() {
        Ok(true) => pull_plug(domain),
        _ => Ok(()),
    }
}

/// Puts an element of our own into a domain's metadata.
pub fn set_domain_metadata(
    domain: &Domain,
    xml: &str,
    prefix: &str,
    namespace: &str,
) -> Result<()> {
    let kind = sys::VIR_DOMAIN_METADATA_ELEMENT as i32;
    let mut flags = sys::VIR_DOMAIN_AFFECT_CONFIG;
    if domain.is_active()? {
        flags |= sys::VIR_DOMAIN_AFFECT_LIVE;
    }
    domain.set_metadata(kind, Some(xml), Some(prefix), Some(namespace), flags)?;
    Ok(())
}

/// Reads from a stream; 0 bytes at its end.
pub fn receive(stream: &Stream, buffer: &mut [u8]) -> Result<usize> {
    Ok(usize::try_from(stream.recv(buffer)?).unwrap_or(0))
}

/// Writes all of `bytes` to a stream.
pub fn send(stream: &Stream, bytes: &[u8]) -> Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        sent += usize::try_from(stream.send(&bytes[sent..])?).unwrap_or(0);
    }
    Ok(())
}

/// Name of a network.
pub fn network_name(network: &Network) -> Result<String> {
    Ok(network.name()?)
}

/// Persistent definition of a network; none if it has gone since it was listed. Drivers that keep
/// only one definition refuse to be asked for the persistent one.
pub fn network_xml(network: &Network) -> Result<Option<String>> {
    optional(network.xml_desc(sys::VIR_NETWORK_XML_INACTIVE))
        .or_else(|_| optional(network.xml_desc(0)))
}

/// Says whether a network starts with the hypervisor.
pub fn autostart_network(network: &Network, autostart: bool) -> Result<()> {
    network.set_autostart(autostart)?;
    Ok(())
}

/// Starts a network. One that runs is left alone.
pub fn start_network(network: &Network, autostart: bool) -> Result<()> {
    network.set_autostart(autostart)?;
    settled(network.create(), || network.is_active().unwrap_or(false))
}

/// Stops a network. One that is off is left alone.
pub fn stop_network(network: &Network) -> Result<()> {
    settled(network.destroy(), || !network.is_active().unwrap_or(true))
}

/// Removes a network's definition; it is fine if somebody else just did. One that was being started
/// when it was looked at would live on without a definition, so it is stopped.
pub fn undefine_network(network: &Network) -> Result<()> {
    optional(network.undefine())?;
    match network.is_active() {
        Ok(true) => stop_network(network),
        _ => Ok(()),
    }
}

/// Whether a network runs.
pub fn network_active(network: &Network) -> Result<bool> {
    Ok(network.is_active()?)
}

/// Changes one entry of a running network.
pub fn change_network(network: &Network, change: EntryChange, entry: Entry<'_>) -> Result<()> {
    let command = match change {
        EntryChange::Add => sys::VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
        EntryChange::Remove => sys::VIR_NETWORK_UPDATE_COMMAND_DELETE,
    };
    let (section, element, xml) = match entry {
        Entry::Host { element, xml } => (sys::VIR_NETWORK_SECTION_IP_DHCP_HOST, element, xml),
        Entry::Srv { xml } => (sys::VIR_NETWORK_SECTION_DNS_SRV, -1, xml),
    };
    let live = sys::VIR_NETWORK_UPDATE_AFFECT_LIVE;
    let result = network.update(command, section, element, xml, live);
    // An interrupted run may have done it already.
    settled(result, || true)
}

/// Definition of a pool.
pub fn pool_xml(pool: &StoragePool) -> Result<String> {
    Ok(pool.xml_desc(0)?)
}

/// Whether a pool runs, and the space that is free in it, in bytes.
pub fn pool_info(pool: &StoragePool) -> Result<(bool, u64)> {
    let info = pool.info()?;
    Ok((info.state == sys::VIR_STORAGE_POOL_RUNNING, info.available))
}

/// Stops a pool and forgets its definition; its files stay.
pub fn remove_pool(pool: &StoragePool) -> Result<()> {
    settled(pool.destroy(), || !pool.is_active().unwrap_or(true))?;
    Ok(pool.undefine()?)
}

/// Builds a pool's directory if need be, and starts it now and with the hypervisor.
pub fn start_pool(pool: &StoragePool) -> Result<()> {
    if pool.is_active()? {
        return Ok(());
    }
    pool.build(0)?;
    pool.create(0)?;
    // The test driver and session pools know no autostart; it is a convenience.
    let _ = pool.set_autostart(true);
    Ok(())
}

/// Lets a pool notice files that came without libvirt. Another run that works in the pool refuses
/// it; then that run's own view is good enough.
pub fn refresh_pool(pool: &StoragePool) {
    let _ = pool.refresh(0);
}

/// Names of all volumes of a pool.
pub fn volume_names(pool: &StoragePool) -> Result<Vec<String>> {
    pool.list_all_volumes(0)?.iter().map(|v| Ok(v.name()?)).collect()
}

/// A volume by name.
pub fn volume(pool: &StoragePool, name: &str) -> Result<Option<StorageVol>> {
    optional(pool.lookup_storage_vol_by_name(name))
}

/// Creates a volume; `allocate` preallocates qcow2's own tables, and the content where the definition
/// asks for as much.
pub fn create_volume(pool: &StoragePool, xml: &str, allocate: bool) -> Result<StorageVol> {
    let flags = if allocate { sys::VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA } else { 0 };
    Ok(StorageVol::create_xml(pool, xml, flags)?)
}

/// Fills a volume.
pub fn upload(volume: &StorageVol, stream: Stream, content: &[u8]) -> Result<()> {
    const CHUNK: usize = 64 * 1024;
    volume.upload(&stream, 0, content.len() as u64, 0)?;
    for chunk in content.chunks(CHUNK) {
        send(&stream, chunk)?;
    }
    Ok(stream.finish()?)
}

/// Virtual size of a volume in bytes.
pub fn capacity(volume: &StorageVol) -> Result<u64> {
    Ok(volume.info()?.capacity)
}

/// Enlarges a volume.
pub fn resize(volume: &StorageVol, bytes: u64) -> Result<()> {
    Ok(volume.resize(bytes, 0)?)
}

/// Deletes a volume; it is fine if there is none.
pub fn delete_volume(pool: &StoragePool, name: &str) -> Result<()> {
    match volume(pool, name)? {
        Some(volume) => {
            settled(volume.delete(0), || pool.lookup_storage_vol_by_name(name).is_err())
        }
        None => Ok(()),
    }
}
