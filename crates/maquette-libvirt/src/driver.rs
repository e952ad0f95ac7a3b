//! What commands need of libvirt, as a trait: behind it is libvirt, or a model of a hypervisor that tests
//! hand in.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use maquette_core::abilities::{Asked, Firmware, Known};
use maquette_core::doctor::NodeSigns;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{Domain, HostPool, Origin};
use maquette_core::units::MacAddr;
use maquette_engine::host::Host;
use maquette_engine::probe::family::Family;
use maquette_engine::ssh_keys::RecordKey;
use maquette_engine::{Backend, StepError};

use crate::{
    Access, Bandwidth, Cached, Client, DomainEvent, Ended, Events, Gate, Guests, Libvirt,
    LibvirtError, LinkState, Notes, ObserveError, Others, Pruned, RunningNic, Seen, Survey, cached,
    console, doctor, observe, pools, prune, set_bandwidth, set_link, survey, xml,
};

/// What a plan is carried out with.
pub struct Run<'a> {
    /// How the hypervisor is reached.
    pub access: Access<'a>,
    /// What kind of system it is, if that is known.
    pub family: Option<&'static Family>,
    /// How guests are reached.
    pub guests: Guests,
    /// What records are sealed with; none leaves them without a seal.
    pub key: Option<RecordKey>,
    /// Who makes what is new; none notes nobody.
    pub origin: Option<Origin>,
    /// Who stands before each call.
    pub gate: Arc<dyn Gate>,
    /// Where it notes what it learns.
    pub notes: Notes,
}

/// A libvirt that answers.
pub trait Server: Send + Sync {
    /// Reads all that concerns an environment; see [`observe()`](crate::observe()).
    fn observe(
        &self,
        environment: &EnvName,
        pool: &str,
        key: Option<&RecordKey>,
    ) -> Result<Seen, ObserveError>;

    /// Adds what disks of others are over; see [`Seen::with_clones`].
    fn with_clones(&self, seen: Seen, host: &dyn Host) -> Result<Seen, ObserveError>;

    /// Storage pools of directories, by name.
    fn pools(&self) -> Result<BTreeMap<String, HostPool>, LibvirtError>;

    /// Looks at all domains and networks, whosever they are.
    fn survey(&self) -> Result<Survey, ObserveError>;

    /// Deletes recorded images of a pool that nothing uses; see [`prune()`](crate::prune()).
    fn prune(&self, host: &dyn Host, records: &str, pool: &str) -> Result<Pruned, StepError>;

    /// Images and templates in a pool, by their records.
    fn cached(&self, host: &dyn Host, records: &str, pool: &str) -> Result<Vec<Cached>, StepError>;

    /// What memory images depend on there: versions of libvirt and QEMU, and the CPU.
    fn emulator(&self) -> Result<String, LibvirtError>;

    /// Machine types that there are, and what there is for guests of those that are asked about.
    fn abilities(&self, asked: &Asked) -> Result<Known, LibvirtError>;

    /// Interfaces of a running domain.
    fn running_nics(&self, domain: &str) -> Result<Vec<RunningNic>, StepError>;

    /// Takes the carrier from a running domain's interface, or gives it back.
    fn set_link(&self, domain: &str, mac: MacAddr, state: LinkState) -> Result<(), StepError>;

    /// Limits what goes through an interface of a running domain; none lifts the limit.
    fn set_bandwidth(
        &self,
        domain: &str,
        mac: MacAddr,
        limit: Option<Bandwidth>,
    ) -> Result<(), StepError>;

    /// What libvirt has of a domain or network, as it is now, without passwords; none if there is none of that name.
    fn definition(&self, kind: ObjectKind, name: &str) -> Result<Option<String>, LibvirtError>;

    /// What libvirt says of a domain's state, and what its devices have done.
    fn signs(&self, domain: &Domain, signs: &mut NodeSigns) -> Result<(), LibvirtError>;

    /// What is on the first screen of a running domain: a picture, in a form of libvirt's choice.
    fn screenshot(&self, domain: &str) -> Result<Vec<u8>, LibvirtError>;

    /// Connects a running domain's console with `input` and `output`; see [`console()`](crate::console()).
    fn console(
        &self,
        domain: &str,
        others: Others,
        input: Box<dyn Read + Send>,
        output: &mut dyn Write,
        connected: &mut dyn FnMut(),
    ) -> Result<Ended, LibvirtError>;

    /// What carries plans out over this connection.
    fn backend<'a>(self: Arc<Self>, run: Run<'a>) -> Box<dyn Backend + 'a>;
}

/// How connections to libvirt are opened.
pub trait Driver: Send + Sync {
    /// Connects to `uri`.
    fn open(&self, uri: &str) -> Result<Arc<dyn Server>, LibvirtError>;

    /// Tells `listener` what happens to any domain at `uri`, for as long as what is returned lives.
    fn listen(
        &self,
        uri: &str,
        listener: &Sender<DomainEvent>,
    ) -> Result<Box<dyn Any>, LibvirtError>;

    /// What carries plans out where libvirt does not answer yet: it connects when that is first needed.
    fn backend<'a>(&'a self, run: Run<'a>) -> Box<dyn Backend + 'a>;
}

/// libvirt's own library.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Driver for System {
    fn open(&self, uri: &str) -> Result<Arc<dyn Server>, LibvirtError> {
        Ok(Arc::new(Client::open(uri)?))
    }

    fn listen(
        &self,
        uri: &str,
        listener: &Sender<DomainEvent>,
    ) -> Result<Box<dyn Any>, LibvirtError> {
        Ok(Box::new(Events::listen(uri, listener)?))
    }

    fn backend<'a>(&'a self, run: Run<'a>) -> Box<dyn Backend + 'a> {
        Box::new(libvirt(run))
    }
}

fn libvirt(run: Run<'_>) -> Libvirt<'_> {
    let Run { access, family, guests, key, origin, gate, notes } = run;
    let libvirt = Libvirt::new(access, family, guests).with_record_key(key).with_origin(origin);
    libvirt.with_gate(gate).with_notes(notes)
}

impl Server for Client {
    fn observe(
        &self,
        environment: &EnvName,
        pool: &str,
        key: Option<&RecordKey>,
    ) -> Result<Seen, ObserveError> {
        observe(self, environment, pool, key)
    }

    fn with_clones(&self, seen: Seen, host: &dyn Host) -> Result<Seen, ObserveError> {
        seen.with_clones(self, host)
    }

    fn pools(&self) -> Result<BTreeMap<String, HostPool>, LibvirtError> {
        pools(self)
    }

    fn survey(&self) -> Result<Survey, ObserveError> {
        survey(self)
    }

    fn prune(&self, host: &dyn Host, records: &str, pool: &str) -> Result<Pruned, StepError> {
        prune(self, host, records, pool)
    }

    fn cached(&self, host: &dyn Host, records: &str, pool: &str) -> Result<Vec<Cached>, StepError> {
        cached(self, host, records, pool)
    }

    fn emulator(&self) -> Result<String, LibvirtError> {
        Client::emulator(self)
    }

    fn abilities(&self, asked: &Asked) -> Result<Known, LibvirtError> {
        let machines = xml::abilities::machines(&self.capabilities()?).unwrap_or_default();
        let looks_again = self.looks_for_firmware_again()?;
        let abilities = asked.iter().map(|(virt, machine)| {
            let there = machines.contains_key(machine);
            let told = there.then(|| self.domain_capabilities(virt.as_str(), machine)).flatten();
            // What is not told counts as there.
            let read = told.and_then(|xml| xml::abilities::abilities(&xml).ok());
            let mut read = read.unwrap_or_default();
            if !looks_again {
                read.firmware = Firmware::default();
            }
            ((*virt, machine.clone()), read)
        });
        let abilities = abilities.collect();
        Ok(Known { machines, abilities })
    }

    fn running_nics(&self, domain: &str) -> Result<Vec<RunningNic>, StepError> {
        crate::running_nics(self, domain)
    }

    fn set_link(&self, domain: &str, mac: MacAddr, state: LinkState) -> Result<(), StepError> {
        set_link(self, domain, mac, state)
    }

    fn set_bandwidth(
        &self,
        domain: &str,
        mac: MacAddr,
        limit: Option<Bandwidth>,
    ) -> Result<(), StepError> {
        set_bandwidth(self, domain, mac, limit)
    }

    fn definition(&self, kind: ObjectKind, name: &str) -> Result<Option<String>, LibvirtError> {
        doctor::definition(self, kind, name)
    }

    fn signs(&self, domain: &Domain, signs: &mut NodeSigns) -> Result<(), LibvirtError> {
        doctor::signs(self, domain, signs)
    }

    fn screenshot(&self, domain: &str) -> Result<Vec<u8>, LibvirtError> {
        Client::screenshot(self, domain)
    }

    fn console(
        &self,
        domain: &str,
        others: Others,
        input: Box<dyn Read + Send>,
        output: &mut dyn Write,
        connected: &mut dyn FnMut(),
    ) -> Result<Ended, LibvirtError> {
        console(self, domain, others, input, output, connected)
    }

    fn backend<'a>(self: Arc<Self>, run: Run<'a>) -> Box<dyn Backend + 'a> {
        Box::new(libvirt(run).with_client(self))
    }
}
