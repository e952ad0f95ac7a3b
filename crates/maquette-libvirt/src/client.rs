//! The calls of libvirt's API that we use: blocking, with typed errors. The only module that knows
//! the binding.

mod bmc;
mod capabilities;
mod domain;
mod events;
mod gate;
mod hub;
mod network;
pub(crate) mod opening;
mod pipe;
mod raw;
mod start;
mod storage;
mod waiting;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};

pub use bmc::*;
pub use domain::*;
pub use events::{DomainEvent, Events};
pub use gate::{Gate, Instead, Port, with as gated};
use hub::{Hub, tell_all};
use maquette_engine::{Calls, StepError};
pub use network::*;
use opening::{connect, connect_within, is_local};
pub use pipe::Pipe;
pub use storage::*;
use thiserror::Error;
use virt::connect::Connect;
pub use virt::domain::Domain;
use virt::error::{ErrorNumber, ErrorNumberEnum};
pub use virt::network::Network;
pub use virt::storage_pool::StoragePool;
pub use virt::stream::Stream;
use virt::sys;

/// What libvirt answered to a call.
#[derive(Debug, Clone, Error)]
#[error("{message}")]
pub struct LibvirtError {
    message: String,
    kind: Kind,
}

/// What becomes of whoever is connected to a console that is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They keep it, and it is not opened.
    Stay,
    /// It is taken from them.
    Leave,
}

/// Errors that are handled rather than reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No object of that name.
    Missing,
    /// The object is already in the wanted state.
    AlreadyDone,
    /// The server could not load a schema to validate with.
    Schema,
    /// libvirt's own chains of the firewall are gone.
    Firewall,
    /// The kernel allows no further inotify instance.
    Inotify,
    /// The kernel lacks the queue that a limit needs.
    Queue,
    /// Somebody is connected to the console.
    Console,
    /// The server knows a call, and not the flags that it was given.
    Flags,
    /// QEMU does not take what is in a memory image.
    Memory,
    /// A signal came while the kernel looked through a program of libvirt's.
    Interrupted,
    /// The daemon takes connections and says nothing.
    Silent,
    /// It is Maquette that did not make the call, or could not use the answer.
    Refused,
    /// Any other.
    Other,
}

impl Kind {
    /// What a program that libvirt calls has failed of. libvirt has one number for all of these, so that their words
    /// are all that tells them apart: here, and nowhere else.
    fn of_others(message: &str) -> Self {
        /// QEMU's, in English whatever the locale (`migration/`).
        const OF_MEMORY: [&str; 4] =
            ["load of migration failed", "while loading state", "savevm", "Configuration section"];
        let says = |words: &str| message.contains(words);
        if says("No chain/target/match") {
            Self::Firewall
        } else if says("inotify") {
            Self::Inotify
        } else if says("qdisc kind is unknown") {
            Self::Queue
        } else if says("Active console session exists") {
            Self::Console
        } else if says("unsupported flags") {
            Self::Flags
        } else if says("BPF prog") {
            Self::Interrupted
        } else if OF_MEMORY.into_iter().any(says) {
            Self::Memory
        } else {
            Self::Other
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            // libvirt's own chains are made when it starts, and when it is told to look again.
            Self::Firewall => Some(
                "somebody flushed the hypervisor's firewall; `systemctl reload libvirtd` \
                 (or virtnetworkd) puts libvirt's rules back",
            ),
            // Each network has a dnsmasq, and each of those one of 128 that a user may have.
            Self::Inotify => Some(
                "the hypervisor allows no more dnsmasq processes: \
                 `sysctl fs.inotify.max_user_instances=1024` does, and a file in /etc/sysctl.d \
                 keeps it",
            ),
            Self::Queue => Some(
                "the hypervisor's kernel lacks queues that libvirt uses (modules sch_htb, sch_sfq)",
            ),
            Self::Silent => Some(
                "it hangs: `systemctl restart libvirtd` (or virtqemud, and the other virt daemons) \
                 starts it again, and guests go on running",
            ),
            Self::Missing
            | Self::AlreadyDone
            | Self::Schema
            | Self::Console
            | Self::Flags
            | Self::Memory
            | Self::Interrupted
            | Self::Refused
            | Self::Other => None,
        }
    }
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
        } else if is(ErrorNumber::InternalError) && error.message().contains(".rng") {
            Kind::Schema
        } else {
            Kind::of_others(error.message())
        };
        Self { message: in_words(error.message()), kind }
    }
}

/// libvirt's message without the command line of a program that it runs: what that says is why.
fn in_words(message: &str) -> String {
    let of_program = |message: &str| {
        let (_, rest) = message.split_once("Child process (")?;
        let (command, rest) = rest.split_once(") unexpected ")?;
        let (status, said) = rest.split_once(':').unwrap_or((rest, ""));
        let program = command.split(' ').next()?.rsplit('/').next()?;
        Some(match said.trim() {
            "" => format!("`{program}`, which libvirt runs, failed: {}", status.trim()),
            said => format!("`{program}`, which libvirt runs, says: {said}"),
        })
    };
    of_program(message).unwrap_or_else(|| message.to_string())
}

impl LibvirtError {
    /// Of a call that was not made, or whose answer nobody hears. The words are ours, and may name what a user has named:
    /// no kind follows from them.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { kind: Kind::Refused, message: message.into() }
    }

    /// In libvirt's words, or in those of a program that it calls, for whoever stands in for them: the kind follows from
    /// these, as it does for what libvirt itself answers.
    pub fn answered(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind: Kind::of_others(&message), message }
    }

    /// Of a connection that was not opened within so many seconds.
    pub fn silent(seconds: u64) -> Self {
        let message = format!("its daemon has not answered within {seconds} s");
        Self { kind: Kind::Silent, message }
    }

    /// Whether the daemon is there and hangs.
    pub fn is_silent(&self) -> bool {
        self.kind == Kind::Silent
    }

    /// Whether QEMU did not take what is in a memory image.
    pub fn is_of_memory(&self) -> bool {
        self.kind == Kind::Memory
    }

    /// Whether somebody else has the console, from whom it can be taken.
    pub fn is_console_taken(&self) -> bool {
        self.kind == Kind::Console
    }

    /// Whether the object is not in a state that allows the call.
    pub fn is_out_of_state(&self) -> bool {
        self.kind == Kind::AlreadyDone
    }

    /// What a step failed of, and what to do about it where that is known.
    pub fn failed(&self, message: impl Into<String>) -> StepError {
        let error = StepError::new(message).because(self.clone());
        match self.kind.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

type Result<T> = std::result::Result<T, LibvirtError>;

/// Turns "there is no such thing" into none.
fn optional<T>(result: std::result::Result<T, impl Into<LibvirtError>>) -> Result<Option<T>> {
    match result.map_err(Into::into) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == Kind::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

/// Accepts that something is already in the wanted state, if `reached` confirms it.
fn settled(
    result: std::result::Result<(), impl Into<LibvirtError>>,
    reached: impl FnOnce() -> bool,
) -> Result<()> {
    match result.map_err(Into::into) {
        Err(error)
            if matches!(error.kind, Kind::Missing | Kind::AlreadyDone | Kind::Schema)
                && reached() =>
        {
            Ok(())
        }
        other => other,
    }
}

/// A domain and its state when it was listed.
pub struct Listed {
    /// The domain.
    pub domain: Domain,
    /// Whether it runs; a paused one does.
    pub active: bool,
    /// Whether it is paused. One that libvirt is about to start is not: its vCPUs wait until all
    /// is set, which nobody has to end.
    pub paused: bool,
    /// Whether it has a definition.
    pub persistent: bool,
}

/// Two connections: the server works on five calls of a connection at a time, so long ones would
/// hold up quick ones. More for calls that only wait, when there are many of them.
pub struct Client {
    control: Connect,
    bulk: Connect,
    waiting: waiting::Waiting,
    uri: String,
    /// Whether libvirt checks definitions against its schemas.
    validates: bool,
    /// Made when events are first asked for.
    hub: Mutex<Option<Hub>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.uri)
    }
}

/// Most bytes of a picture that are taken: 8192 times 8192 pixels in three colours.
const MOST_PIXELS: usize = 3 << 26;

impl Client {
    /// Opens both connections; an error of either is returned.
    pub fn open(uri: &str) -> Result<Self> {
        Self::open_within(opening::OPENING, uri)
    }

    /// The same for whoever waits no longer than this for a daemon that is silent.
    pub(crate) fn open_within(limit: std::time::Duration, uri: &str) -> Result<Self> {
        // Errors are returned; libvirt's own handler would print them too.
        virt::error::clear_error_callback();
        if is_local(uri) {
            events::start_loop();
        }
        // Opening takes several round trips.
        let (control, bulk) = join(|| connect_within(limit, uri), || connect_within(limit, uri));
        Ok(Self::of(control?, bulk?, uri, true))
    }

    /// One connection for everything, and no check of definitions against libvirt's schemas. For tests that define the
    /// same a thousand times on libvirt's test driver, which is another hypervisor on each connection, and which reads
    /// its schemas again for each definition: other tests have them checked.
    #[doc(hidden)]
    pub fn open_for_tests(uri: &str) -> Result<Self> {
        virt::error::clear_error_callback();
        events::start_loop();
        let control = connect(uri)?;
        Ok(Self::of(control.clone(), control, uri, false))
    }

    fn of(control: Connect, bulk: Connect, uri: &str, validates: bool) -> Self {
        let (waiting, hub) = (waiting::Waiting::default(), Mutex::new(None));
        Self { control, bulk, waiting, uri: uri.into(), validates, hub }
    }

    /// Whether both connections are still there.
    pub fn is_alive(&self) -> bool {
        [&self.control, &self.bulk].iter().all(|one| one.is_alive().unwrap_or(false))
    }

    /// What happens to domains from now on. All listeners share one connection of its own, which is opened again for whoever
    /// comes after it has gone.
    pub fn events(&self) -> Result<Receiver<DomainEvent>> {
        let (sender, receiver) = mpsc::channel();
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hub) = hub.as_ref() {
            let mut listeners = hub.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(all) = listeners.as_mut() {
                all.push(sender);
                return Ok(receiver);
            }
        }
        let (all, heard) = mpsc::channel();
        let events = Events::listen(&self.uri, &all)?;
        let listeners = Arc::new(Mutex::new(Some(vec![sender])));
        let telling = listeners.clone();
        std::thread::spawn(move || tell_all(&heard, &telling));
        *hub = Some(Hub { events, listeners });
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
                active: active.contains(&name),
                paused: paused.contains(&name) && !is_starting_up(&domain),
                domain,
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

    /// A domain by name; none if libvirt has none of that name.
    pub fn domain(&self, name: &str) -> Result<Option<Domain>> {
        optional(gate::call("find a domain", || self.control.lookup_domain_by_name(name)))
    }

    /// Does something with a domain, by name, that takes libvirt seconds of waiting; none if there is no such domain.
    /// Further connections are opened for that, and kept.
    pub fn waiting<T>(
        &self,
        domain: &str,
        calls: Calls,
        act: impl FnOnce(&Domain) -> Result<T>,
    ) -> Result<Option<T>> {
        let place = self.waiting.place(&self.bulk, calls, || connect(&self.uri));
        let found = gate::call("find a domain", || place.connection.lookup_domain_by_name(domain));
        optional(found)?.as_ref().map(act).transpose()
    }

    /// A network by name; none if libvirt has none of that name.
    pub fn network(&self, name: &str) -> Result<Option<Network>> {
        optional(gate::call("find a network", || self.control.lookup_network_by_name(name)))
    }

    /// A pool by name; none if libvirt has none of that name.
    pub fn pool(&self, name: &str) -> Result<Option<StoragePool>> {
        optional(gate::call("find a pool", || self.bulk.lookup_storage_pool_by_name(name)))
    }

    /// Defines a domain, or changes its definition. An error if it does not fit libvirt's schema.
    pub fn define_domain(&self, xml: &str) -> Result<Domain> {
        let flags = if self.validates { sys::VIR_DOMAIN_DEFINE_VALIDATE } else { 0 };
        let define = || -> Result<Domain> {
            gate::call("define a domain", || self.control.define_domain_xml_flags(xml, flags))
        };
        match define() {
            // libxml2 sets its types up when they are first needed, and without a lock: of the first
            // two validations of a daemon, at the same moment, one can find them half there.
            Err(error) if error.kind == Kind::Schema => define(),
            result => result,
        }
    }

    /// Defines a network, or changes its definition, validated where libvirt can.
    pub fn define_network(&self, xml: &str) -> Result<Network> {
        let define = || {
            gate::call("define a network", || match self.validates {
                true => raw::define_valid_network(&self.control, xml),
                false => self.control.define_network_xml(xml),
            })
        };
        let result = match define() {
            Err(error) if error.kind == Kind::Schema => define(),
            result => result,
        };
        match result {
            // libvirt before 7.8 has no schema to check a network with.
            Err(error) if error.kind == Kind::Flags => {
                gate::call("define a network", || self.control.define_network_xml(xml))
            }
            result => result,
        }
    }

    /// Defines a pool.
    pub fn define_pool(&self, xml: &str) -> Result<StoragePool> {
        gate::call("define a pool", || self.bulk.define_storage_pool_xml(xml, 0))
    }

    /// Opens one of a running domain's virtio-serial ports.
    pub fn channel(&self, domain: &str, port: &str) -> Result<(Domain, Arc<dyn Port>)> {
        let open = |domain: &Domain, stream: &Stream| {
            Ok(domain
                .open_channel(Some(port), stream, sys::VIR_DOMAIN_CHANNEL_FORCE)
                .map(|_| ())?)
        };
        gate::call("open a port", || -> Result<(Domain, Arc<dyn Port>)> {
            if let Some(port) = gate::port(domain) {
                return Ok((self.control.lookup_domain_by_name(domain)?, port));
            }
            let (domain, pipe) = self.pipe(domain, open)?;
            Ok((domain, Arc::new(pipe)))
        })
    }

    /// Opens a running domain's serial console.
    pub fn console(&self, domain: &str, others: Others) -> Result<(Domain, Pipe)> {
        let flags = match others {
            Others::Stay => sys::VIR_DOMAIN_CONSOLE_SAFE,
            Others::Leave => sys::VIR_DOMAIN_CONSOLE_FORCE,
        };
        self.pipe(domain, |domain, stream| {
            Ok(domain.open_console(None, stream, flags).map(|_| ())?)
        })
    }

    /// What is on the first screen of a running domain: a picture, in a form of libvirt's choice.
    pub fn screenshot(&self, domain: &str) -> Result<Vec<u8>> {
        let take =
            |domain: &Domain, stream: &Stream| Ok(domain.screenshot(stream, 0, 0).map(|_| ())?);
        let (_, pipe) = self.pipe(domain, take)?;
        let (mut picture, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            match pipe.receive(&mut buffer)? {
                0 => return Ok(picture),
                _ if picture.len() > MOST_PIXELS => {
                    return Err(LibvirtError::refused("the picture has no end"));
                }
                count => picture.extend(&buffer[..count]),
            }
        }
    }

    /// Domain and stream have to belong to one connection.
    fn pipe(
        &self,
        domain: &str,
        open: impl FnOnce(&Domain, &Stream) -> Result<()>,
    ) -> Result<(Domain, Pipe)> {
        let connection = self.listening()?;
        let domain = connection.lookup_domain_by_name(domain)?;
        let pipe = Pipe::open(connection, |stream| open(&domain, stream))?;
        Ok((domain, pipe))
    }

    /// A connection that was opened when the event loop ran: here all are, to another machine that for events is.
    fn listening(&self) -> Result<Connect> {
        if is_local(&self.uri) {
            return Ok(self.bulk.clone());
        }
        self.events()?;
        let hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(hub.as_ref().map_or_else(|| self.bulk.clone(), |hub| hub.events.connection()))
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

/// Writes a line to a guest's port.
pub fn say(port: &dyn Port, line: &str) -> Result<()> {
    gate::call("write to a port", || port.send(line.as_bytes()))
}

/// Writes all of `bytes` to a stream.
pub fn send(stream: &Stream, bytes: &[u8]) -> Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        sent += usize::try_from(stream.send(&bytes[sent..])?).unwrap_or(0);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
