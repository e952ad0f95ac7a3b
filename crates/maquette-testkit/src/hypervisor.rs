//! A libvirt that is a model: it opens, tells what there is, and carries plans out by the model's rules.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use maquette_core::abilities::{Asked, Known};
use maquette_core::doctor::NodeSigns;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{Domain, HostPool};
use maquette_core::plan::{Action, PoolState, Setting, Shutdown};
use maquette_core::units::MacAddr;
use maquette_engine::host::{Host, HostError};
use maquette_engine::prepare::record;
use maquette_engine::ssh_keys::RecordKey;
use maquette_engine::{Backend, Calls, Lanes, StepContext, StepError};
use maquette_libvirt::{
    Bandwidth, Cached, DomainEvent, Driver, ESCAPE, Ended, LibvirtError, LinkState, ObserveError,
    Others, Pruned, Run, RunningNic, Seen, Server, Survey,
};

use crate::machine::Machine;
use crate::{abilities, change, rules, signs};

/// A libvirt whose hypervisor is a model.
#[derive(Clone)]
pub struct Model {
    machine: Arc<Mutex<Machine>>,
}

impl Model {
    /// The libvirt of a hypervisor.
    pub fn new(machine: Arc<Mutex<Machine>>) -> Self {
        Self { machine }
    }

    /// Waits until everything is done that can be. A step that fails, fails then: what is done beside it would
    /// be something else each time.
    fn await_quiet(&self) {
        const QUIET: Duration = Duration::from_millis(500);
        let begun = Instant::now();
        loop {
            // What goes on beside it may not have begun yet.
            let since = self.machine().changed.max(begun).elapsed();
            match QUIET.checked_sub(since) {
                Some(left) => std::thread::sleep(left),
                None => return,
            }
        }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Driver for Model {
    fn open(&self, _uri: &str) -> Result<Arc<dyn Server>, LibvirtError> {
        if self.machine().hangs {
            return Err(LibvirtError::silent(120));
        }
        if self.machine().runs {
            return Ok(Arc::new(self.clone()));
        }
        let socket = "/var/run/libvirt/libvirt-sock";
        let message = format!("Failed to connect socket to '{socket}': No such file or directory");
        Err(LibvirtError::answered(message))
    }

    fn listen(
        &self,
        _uri: &str,
        listener: &Sender<DomainEvent>,
    ) -> Result<Box<dyn Any>, LibvirtError> {
        match &mut self.machine().listeners {
            Some(listeners) => listeners.push(listener.clone()),
            // Whoever listened may have gone.
            None => drop(listener.send(DomainEvent::Closed)),
        }
        Ok(Box::new(()))
    }

    fn backend<'a>(&'a self, run: Run<'a>) -> Box<dyn Backend + 'a> {
        Box::new(Hands { model: self.clone(), run })
    }
}

impl Server for Model {
    fn observe(
        &self,
        environment: &EnvName,
        _pool: &str,
        _key: Option<&RecordKey>,
    ) -> Result<Seen, ObserveError> {
        let machine = self.machine();
        let mut seen = Seen::of(machine.observe(environment), machine.pool.clone());
        seen.off.clone_from(&machine.off);
        let of = machine.renamed.iter().filter(|(of, _, _)| of == environment);
        let said = |(_, old, new): &(_, _, _)| format!("domain `{new}` has the record of `{old}`");
        seen.copies.extend(of.map(said));
        if let PoolState::Unreadable(why) = &machine.pool {
            seen.unreadable.push(format!("what is in storage pool `images` ({why})"));
        }
        Ok(seen)
    }

    fn with_clones(&self, seen: Seen, host: &dyn Host) -> Result<Seen, ObserveError> {
        seen.with_clones_among(&BTreeSet::new(), host)
    }

    fn pools(&self) -> Result<BTreeMap<String, HostPool>, LibvirtError> {
        Ok(self.machine().seen.pools.clone())
    }

    fn survey(&self) -> Result<Survey, ObserveError> {
        let machine = self.machine();
        let owners = machine
            .owners
            .iter()
            .filter(|((kind, _), _)| !matches!(kind, ObjectKind::Bmc | ObjectKind::Host));
        Ok(Survey {
            // libvirt knows nothing of BMCs.
            environments: owners.map(|(_, environment)| environment.clone()).collect(),
            nodes: machine.surveyed(),
            domains: machine.strangers.clone(),
            networks: machine.stranger_networks.clone(),
            pools: machine.pools(),
            copied: machine.renamed.iter().map(|(of, _, _)| of.clone()).collect(),
            ..Survey::default()
        })
    }

    fn emulator(&self) -> Result<String, LibvirtError> {
        Ok("model 1".into())
    }

    fn prune(&self, host: &dyn Host, _records: &str, pool: &str) -> Result<Pruned, StepError> {
        // Without it, an image goes that a run which has just begun has seen.
        if !host.exists("/run/maquette/images") {
            return Err(StepError::new("images are removed without their lock"));
        }
        let mut machine = self.machine();
        let nodes = machine.seen.domains.values().flat_map(|d| &d.recorded.disks);
        let used: BTreeSet<String> =
            nodes.filter_map(|d| Some(d.backing.as_ref()?.volume.to_string())).collect();
        let Some(volumes) = machine.seen.volumes.get_mut(pool) else {
            return Ok(Pruned::default());
        };
        let unused = |v: &&String| v.starts_with("maquette-") && !used.contains(*v);
        let removed: Vec<String> = volumes.iter().filter(unused).cloned().collect();
        volumes.retain(|v| !removed.contains(v));
        Ok(Pruned { removed, ..Pruned::default() })
    }

    fn cached(
        &self,
        _host: &dyn Host,
        _records: &str,
        pool: &str,
    ) -> Result<Vec<Cached>, StepError> {
        let machine = self.machine();
        let volumes = machine.seen.volumes.get(pool).cloned().unwrap_or_default();
        let disks = || machine.seen.domains.values().flat_map(|d| &d.recorded.disks);
        let over = |volume: &str| {
            disks().filter(|d| d.backing.as_ref().is_some_and(|b| b.volume == volume)).count()
        };
        let entry = |volume: String| Cached {
            overlays: over(&volume),
            image: None,
            kept: false,
            whole: true,
            current: true,
            bytes: 300 << 20,
            volume,
        };
        Ok(volumes.into_iter().filter(|v| v.starts_with("maquette-")).map(entry).collect())
    }

    fn abilities(&self, asked: &Asked) -> Result<Known, LibvirtError> {
        Ok(abilities::known(asked, self.machine().lacks_firmware))
    }

    fn running_nics(&self, domain: &str) -> Result<Vec<RunningNic>, StepError> {
        let machine = self.machine();
        let live = machine.seen.domains.get(domain).and_then(|d| d.live.as_ref());
        let nics = live.into_iter().flat_map(|l| &l.nics);
        let running = |mac| RunningNic {
            mac,
            tap: machine.tap(mac),
            up: !machine.pulled.contains(&mac),
            limit: machine.limits.get(&mac).copied(),
        };
        Ok(nics.map(|nic| running(nic.mac)).collect())
    }

    fn definition(&self, _kind: ObjectKind, name: &str) -> Result<Option<String>, LibvirtError> {
        Ok(Some(signs::definition(name)))
    }

    fn signs(&self, domain: &Domain, found: &mut NodeSigns) -> Result<(), LibvirtError> {
        signs::of(&self.machine(), domain, found);
        Ok(())
    }

    fn screenshot(&self, domain: &str) -> Result<Vec<u8>, LibvirtError> {
        match self.machine().seen.domains.get(domain).is_some_and(|d| d.active) {
            true => Ok(b"P6\n2 1\n255\n\xff\0\0\0\xff\0".to_vec()),
            false => Err(LibvirtError::answered("domain is not running")),
        }
    }

    fn set_link(&self, _domain: &str, mac: MacAddr, state: LinkState) -> Result<(), StepError> {
        let mut machine = self.machine();
        match state {
            LinkState::Up => machine.pulled.remove(&mac),
            LinkState::Down => machine.pulled.insert(mac),
        };
        Ok(())
    }

    fn set_bandwidth(
        &self,
        _domain: &str,
        mac: MacAddr,
        limit: Option<Bandwidth>,
    ) -> Result<(), StepError> {
        let mut machine = self.machine();
        match limit {
            Some(limit) => machine.limits.insert(mac, limit),
            None => machine.limits.remove(&mac),
        };
        Ok(())
    }

    fn console(
        &self,
        domain: &str,
        others: Others,
        mut input: Box<dyn Read + Send>,
        output: &mut dyn Write,
        connected: &mut dyn FnMut(),
    ) -> Result<Ended, LibvirtError> {
        let failed = |e: std::io::Error| LibvirtError::refused(e.to_string());
        let fault = self.machine().faults.get(&format!("open the console of {domain}")).cloned();
        if let Some(fault) = fault.filter(|_| others == Others::Stay) {
            return Err(LibvirtError::answered(fault.causes.join(": ")));
        }
        connected();
        output.write_all(format!("{domain} login: ").as_bytes()).map_err(failed)?;
        let mut typed = Vec::new();
        input.read_to_end(&mut typed).map_err(failed)?;
        let end = typed.iter().position(|byte| *byte == ESCAPE);
        // A terminal shows what is typed.
        output.write_all(&typed[..end.unwrap_or(typed.len())]).map_err(failed)?;
        Ok(if end.is_some() { Ended::Escaped } else { Ended::Closed })
    }

    fn backend<'a>(self: Arc<Self>, run: Run<'a>) -> Box<dyn Backend + 'a> {
        Box::new(Hands { model: (*self).clone(), run })
    }
}

/// What carries plans out on the model.
struct Hands<'a> {
    model: Model,
    run: Run<'a>,
}

impl Backend for Hands<'_> {
    fn perform(&self, action: &Action, context: &StepContext<'_>) -> Result<(), StepError> {
        let title = action.title();
        self.run.gate.before(&title).map_err(StepError::new)?;
        let (fault, interrupt) = {
            let machine = self.model.machine();
            let press = machine.interrupt.as_ref().filter(|(step, _)| *step == title);
            (machine.faults.get(&title).cloned(), press.map(|(_, press)| *press))
        };
        if fault.is_some() || interrupt.is_some() {
            self.model.await_quiet();
        }
        if let Some(press) = interrupt {
            press();
            // Whoever hears of it is another thread.
            while !context.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        if let Some(fault) = fault {
            if fault.interrupted
                && let Action::StartDomain { name, .. } = action
            {
                let mut machine = self.model.machine();
                rules::perform(&mut machine.seen, action);
                machine.seen.domains.entry(name.clone()).and_modify(|d| d.ready = false);
            }
            return change::failed(action, fault, context);
        }
        let failed = |e: HostError| StepError::new(format!("cannot {title}")).because(e);
        match action {
            Action::Apply(setting) => self.apply(setting).map_err(failed)?,
            Action::Restore(before) => self.restore(before).map_err(failed)?,
            _ => {}
        }
        let mut machine = self.model.machine();
        if let Action::FetchImage { image, pool, .. } = action
            && !image.is_customized()
            && machine.without_cloud_init.contains(&image.source)
        {
            let record = format!("{}/{}\nwithout-cloud-init\n", pool.path, image.volume);
            machine.image_records.push_str(&record);
            let mut notes = self.run.notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.without_cloud_init.insert(image.shown());
        }
        if let Action::StopDomain { name, .. } = action
            && let Some(stranger) = machine.strangers.iter_mut().find(|(n, _)| n == name)
        {
            stranger.1 = false;
        }
        if let Action::StopDomain { name, shutdown: Shutdown::Within(_) } = action
            && let Some(remark) = machine.unwilling.get(name)
        {
            (context.remark)(remark.clone());
        }
        machine.perform(action);
        machine.note(action, self.run.origin.as_ref());
        machine.changed = Instant::now();
        Ok(())
    }

    fn lanes(&self) -> Lanes {
        Lanes::local(1, Calls::SHARED)
    }
}

impl Hands<'_> {
    fn note(&self, change: impl FnOnce(&mut record::Record)) -> Result<(), HostError> {
        record::update(self.run.access.host, change)
    }

    /// Changes the host itself, once what it was is on its record.
    fn apply(&self, setting: &Setting) -> Result<(), HostError> {
        let zone = self.model.machine().timezone.clone();
        self.note(|r| match setting {
            Setting::Packages { names } => r.packages.clone_from(names),
            Setting::Kvm { .. } => r.kvm = Some(("600".into(), "root".into())),
            Setting::Daemons => r.daemons = true,
            Setting::Pool { name, .. } => r.pools.extend([name.clone()]),
            Setting::Vswitch => r.vswitch = true,
            Setting::NetworkHook => r.network_hook = true,
            Setting::Expiry => r.expiry = true,
            Setting::Timezone { .. } => r.timezone = Some(zone),
            Setting::Limit { limit, .. } => r.limits.extend([(limit.key.to_string(), 128)]),
            Setting::Firewalld
            | Setting::SshLimits
            | Setting::Nested { .. }
            | Setting::RouterAdverts { .. } => {}
        })?;
        self.set(setting, true);
        Ok(())
    }

    /// Puts the host back, and forgets that it was changed.
    fn restore(&self, before: &Setting) -> Result<(), HostError> {
        self.set(before, false);
        self.note(|r| match before {
            Setting::Packages { .. } => r.packages.clear(),
            Setting::Kvm { .. } => r.kvm = None,
            Setting::Daemons => (r.daemons, r.restoring) = (false, true),
            Setting::Pool { name, .. } => r.pools.retain(|noted| noted != name),
            Setting::Vswitch => r.vswitch = false,
            Setting::NetworkHook => r.network_hook = false,
            Setting::Expiry => r.expiry = false,
            Setting::Timezone { .. } => r.timezone = None,
            Setting::Limit { limit, .. } => r.limits.retain(|key, _| key != limit.key),
            Setting::Firewalld
            | Setting::SshLimits
            | Setting::Nested { .. }
            | Setting::RouterAdverts { .. } => {}
        })
    }

    fn set(&self, setting: &Setting, there: bool) {
        let mut machine = self.model.machine();
        match setting {
            Setting::Packages { .. } => machine.installed = there,
            Setting::Kvm { .. } => machine.kvm_open = there,
            Setting::Daemons => machine.runs = there,
            Setting::Pool { directory, .. } => {
                let directory = directory.as_ref().map(ToString::to_string).filter(|_| there);
                machine.pool = directory.map_or(PoolState::Missing, PoolState::Active);
            }
            Setting::Vswitch => machine.vswitch = there,
            Setting::NetworkHook => machine.hook = there,
            Setting::Expiry => machine.expiry = there,
            Setting::Timezone { zone } => machine.timezone.clone_from(zone),
            Setting::Limit { limit, value } => machine.sysctls.extend([(limit.key.into(), *value)]),
            Setting::Firewalld
            | Setting::SshLimits
            | Setting::Nested { .. }
            | Setting::RouterAdverts { .. } => {}
        }
    }
}
