//! The backend: one action, one place that carries it out.

mod memory_image;
mod waiting;
mod warm;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use maquette_core::blueprint::{Image, Node, Pool};
use maquette_core::doctor;
use maquette_core::names::EnvName;
use maquette_core::observed::Origin;
use maquette_core::plan::{Action, Readiness, Setting, Sharing};
use maquette_core::values::{NodeName, console_text};
use maquette_engine::bmc;
use maquette_engine::forwarding;
use maquette_engine::host::{self, Host};
use maquette_engine::image::{self, Found, Transfer};
use maquette_engine::net::{bridge, tftp, vswitch};
use maquette_engine::prepare;
use maquette_engine::probe::family::Family;
use maquette_engine::probe::{self, Daemons, Reach};
use maquette_engine::ready::NotReady;
use maquette_engine::ssh_keys::RecordKey;
use maquette_engine::{Backend, Calls, Lanes, StepContext, StepError};
use maquette_engine::{guest_timezone, login_keys};

use crate::bmc::start_without_image;
use crate::client::{self, Client, Gate, LibvirtError};
use crate::xml::Mark;
use crate::{domain, network, volume, xml};

pub use warm::{Learnt, Notes};

/// How guests are reached and how long they may take.
#[derive(Debug, Clone)]
pub struct Guests {
    /// The workspace's SSH configuration.
    pub ssh_config: PathBuf,
    /// How long a first boot may take.
    pub limit: Duration,
    /// How many may boot at once.
    pub boots: usize,
    /// How many domains start or end at once.
    pub calls: Calls,
    /// Options of `ssh` that lead to guests through the hypervisor's connection; empty if it is here.
    pub jump: Vec<String>,
}

/// How the hypervisor is reached, and what else a plan needs to know of this machine.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// Its own side.
    pub host: &'a dyn Host,
    /// libvirt's address, as `virsh -c` takes it.
    pub uri: &'a str,
    /// Whether it is this machine.
    pub reach: Reach,
    /// What libvirt is called for people.
    pub label: &'a str,
    /// How images are brought there.
    pub transfer: &'a Transfer,
}

/// libvirt on a hypervisor.
pub struct Libvirt<'a> {
    access: Access<'a>,
    family: Option<&'static Family>,
    guests: Guests,
    client: OnceLock<Arc<Client>>,
    opening: Mutex<()>,
    gate: Option<Arc<dyn Gate>>,
    key: Option<RecordKey>,
    /// What is known of templates, by their keys.
    templates: Mutex<BTreeMap<String, warm::Known>>,
    /// Whether what killed runs left of templates was looked for.
    swept: OnceLock<()>,
    origin: Option<Origin>,
    notes: Notes,
    /// Held by whoever looks for the reason why a guest says nothing.
    examining: Mutex<()>,
}

impl<'a> Libvirt<'a> {
    /// A backend that opens `uri` when it is first needed: before that, a plan may have to install
    /// libvirt.
    pub fn new(access: Access<'a>, family: Option<&'static Family>, guests: Guests) -> Self {
        let (opening, templates) = (Mutex::new(()), Mutex::default());
        let client = OnceLock::new();
        Self {
            access,
            family,
            guests,
            client,
            opening,
            gate: None,
            key: None,
            templates,
            swept: OnceLock::new(),
            origin: None,
            notes: Notes::default(),
            examining: Mutex::new(()),
        }
    }

    /// Uses a connection that is open already.
    #[must_use]
    pub fn with_client(self, client: Arc<Client>) -> Self {
        // There is no other yet.
        let _ = self.client.set(client);
        self
    }

    /// Seals the records that it writes.
    #[must_use]
    pub fn with_record_key(self, key: Option<RecordKey>) -> Self {
        Self { key, ..self }
    }

    /// Notes with new domains who makes them.
    #[must_use]
    pub fn with_origin(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }

    /// Notes there what it learns of templates.
    pub fn with_notes(mut self, notes: Notes) -> Self {
        self.notes = notes;
        self
    }

    /// Has every call to libvirt that a step makes pass a gate.
    #[must_use]
    pub fn with_gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gate = Some(gate);
        self
    }

    /// The connection.
    pub fn client(&self) -> Result<&Client, StepError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let _one_at_a_time = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::open(self.access.uri).map_err(|e| {
            let message = format!("cannot connect to libvirt at {}", self.access.label);
            StepError::new(message).because(e)
        })?;
        Ok(self.client.get_or_init(|| Arc::new(client)))
    }

    fn start_domain(
        &self,
        name: &str,
        ready: Option<&Readiness>,
        context: &StepContext<'_>,
    ) -> Result<(), StepError> {
        let failed =
            |e: LibvirtError| StepError::new(format!("cannot start domain `{name}`")).because(e);
        let client = self.client()?;
        let started = client.waiting(name, self.guests.calls, |domain| {
            client::start_domain(domain)
                .or_else(|error| start_without_image(client, domain, error))?;
            match ready {
                Some(_) => Ok(()),
                // An extension that is run again tells by this whether it came so far.
                None => domain::mark(domain, &Mark { ready: true, ..Mark::default() }),
            }
        });
        started.map_err(failed)?.ok_or_else(|| {
            StepError::new(format!("cannot start domain `{name}`: it is not defined"))
        })?;
        match ready {
            Some(ready) => self.await_guest(name, ready, context, |_, _| Ok(())),
            None => Ok(()),
        }
    }

    /// Waits for a guest that another run has started, and that may still wait to hear who it is. One that hears it and
    /// cannot become that boots.
    fn await_domain(
        &self,
        name: &str,
        ready: &Readiness,
        context: &StepContext<'_>,
    ) -> Result<(), StepError> {
        let client = self.client()?;
        let waited = self.watch(name, ready, context, |domain, listener| {
            let told = self.wake(listener);
            if !client::is_paused(domain) {
                // A guest whose port takes nothing boots by itself.
                return Ok(());
            }
            told.and_then(|()| Self::go_on(client, domain))
                .map_err(|e| StepError::new(format!("cannot resume domain `{name}`")).because(e))
        })?;
        match waited.result.as_ref().err().and_then(NotReady::still_template) {
            Some(why) => {
                let why = why.to_string();
                self.boot_instead(&waited.domain, name, ready, &why, context)
            }
            None => self.conclude(name, waited),
        }
    }

    /// Records again what a domain was made from, and changes nothing else of it.
    #[doc(hidden)]
    pub fn record_domain(
        &self,
        node: &Node,
        environment: &EnvName,
        pool: &Pool,
    ) -> Result<(), StepError> {
        self.call("record", &format!("domain `{}`", node.name), |c| {
            domain::record(c, node, environment, pool, self.key.as_ref())
        })
    }

    fn lost(&self) -> StepError {
        StepError::new(format!("the connection to {} was lost", self.access.label))
            .hint("nothing was removed; run the same command again to go on from here")
    }

    fn ended(&self) -> StepError {
        StepError::new(format!("libvirt ended the connection to {}", self.access.label))
            .hint("its daemon stopped or was restarted; domains go on running without it")
            .hint("nothing was removed; run the same command again to go on from here")
    }

    /// The last lines of a serial console.
    fn console(&self, name: &str) -> Vec<String> {
        const LINES: usize = 20;
        let text = self.console_end(name);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let from = lines.len().saturating_sub(LINES);
        lines[from..].iter().map(|line| (*line).to_string()).collect()
    }

    /// The end of a domain's serial log, as far as there is one.
    fn console_end(&self, name: &str) -> String {
        let tail = |file: &String| self.access.host.read_tail(file, 16 * 1024).ok().flatten();
        console_text(&xml::serial_logs(name).iter().find_map(tail).unwrap_or_default())
    }

    /// libvirt puts taps onto a bridge when a domain starts, and never again.
    fn reconnect(
        &self,
        network: &str,
        bridge: &str,
        domains: &[NodeName],
    ) -> Result<(), StepError> {
        let message = format!("cannot reconnect nodes to network `{network}`");
        for name in domains {
            let taps = domain::taps(self.client()?, name, network)
                .map_err(|e| StepError::new(message.clone()).because(e))?;
            for tap in taps {
                let set = ["link", "set", "dev", &tap, "master", bridge, "up"];
                host::check(self.access.host, &host::Command::new("ip").args(set))
                    .map_err(|e| StepError::new(message.clone()).because(e))?;
            }
        }
        Ok(())
    }

    /// What of a preparation is libvirt's comes before or after what is the engine's.
    fn prepare(&self, setting: &Setting, context: &StepContext<'_>) -> Result<(), StepError> {
        let apply = || prepare::apply(self.access.host, self.family, setting, context);
        match setting {
            Setting::Pool { name, directory: Some(directory) } => {
                if matches!(self.client()?.pool(name), Ok(None)) {
                    apply()?;
                }
                let object = format!("storage pool `{name}`");
                let odd = |error| StepError::new(format!("cannot define {object}")).because(error);
                let pool = Pool { name: name.parse().map_err(odd)?, path: directory.clone() };
                self.call("start", &object, |c| volume::ensure_pool(c, &pool))
            }
            // A daemon goes into the background once its socket answers.
            Setting::Daemons => apply().and_then(|()| self.client().map(|_| ())),
            _ => apply(),
        }
    }

    fn restore(&self, before: &Setting, context: &StepContext<'_>) -> Result<(), StepError> {
        let host = self.access.host;
        if let Setting::Pool { name, .. } = before {
            let object = format!("storage pool `{name}`");
            let missing = || {
                let facts = probe::gather(host, self.access.reach);
                facts.is_ok_and(|f| f.daemons == Daemons::Missing)
            };
            // Without libvirt nobody knows of it any more.
            if self.client().is_ok() || !missing() {
                self.call("undefine", &object, |c| volume::remove_pool(c, name))?;
            }
        }
        prepare::restore(host, self.family, before, context)
    }

    /// Removes a domain's logs and directories.
    fn forget(&self, name: &str) -> Result<(), StepError> {
        domain::forget(self.access.host, name)
    }

    fn call<T>(
        &self,
        verb: &str,
        object: &str,
        call: impl FnOnce(&Client) -> Result<T, LibvirtError>,
    ) -> Result<T, StepError> {
        call(self.client()?).map_err(|e| e.failed(format!("cannot {verb} {object}")))
    }
}

impl Backend for Libvirt<'_> {
    fn perform(&self, action: &Action, context: &StepContext<'_>) -> Result<(), StepError> {
        // Whatever it looked like: without a connection there is one reason only.
        client::gated(self.gate.as_ref(), || self.act(action, context)).map_err(|e| {
            match self.is_lost() {
                true if self.access.host.is_lost() => self.lost(),
                true => self.ended(),
                false => e,
            }
        })
    }

    fn lanes(&self) -> Lanes {
        match self.access.reach {
            Reach::Remote => Lanes::remote(self.guests.boots, self.guests.calls),
            Reach::Local => Lanes::local(self.guests.boots, self.guests.calls),
        }
    }

    fn is_lost(&self) -> bool {
        self.access.host.is_lost() || self.client.get().is_some_and(|c| !c.is_alive())
    }
}

impl Libvirt<'_> {
    fn fetch(
        &self,
        image: &Image,
        pool: &Pool,
        smallest: Option<u64>,
        context: &StepContext<'_>,
    ) -> Result<(), StepError> {
        let used = || volume::is_used(self.client()?, &image.volume);
        let Access { host, transfer, .. } = self.access;
        let found = image::fetch(host, transfer, image, pool, smallest, &used, context)?;
        if found == Found::NoCloudInit {
            let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.without_cloud_init.insert(image.shown());
        }
        Ok(())
    }

    fn act(&self, action: &Action, context: &StepContext<'_>) -> Result<(), StepError> {
        match action {
            Action::Apply(setting) => self.prepare(setting, context),
            Action::Restore(before) => self.restore(before, context),
            Action::FetchImage { image, pool, smallest } => {
                self.fetch(image, pool, *smallest, context)
            }
            Action::DefineNetwork { network, environment, allocation } => {
                if let Some(root) = &network.tftp_root {
                    tftp::readable(self.access.host, root, &network.name)?;
                }
                self.call("define", &format!("network `{}`", network.name), |c| {
                    network::define(c, network, environment, *allocation, self.key.as_ref())
                })
            }
            Action::UpdateNetwork { network, environment, allocation, change } => {
                self.call("update", &format!("network `{}`", network.name), |c| {
                    network::update(c, network, environment, *allocation, change, self.key.as_ref())
                })
            }
            Action::BridgeNic { bridge, uplink } => {
                bridge::join(self.access.host, bridge, uplink, context)
            }
            Action::ReleaseNic { bridge, nic } => {
                bridge::put_back(self.access.host, bridge, nic, context)
            }
            Action::MakeVswitch { bridge, vswitch, environment, mtu } => {
                vswitch::make(self.access.host, bridge, vswitch, environment, *mtu).map_err(|e| {
                    StepError::new(format!("cannot make Open vSwitch bridge {bridge}")).because(e)
                })
            }
            Action::RemoveVswitch { bridge, environment } => {
                vswitch::remove(self.access.host, bridge, environment).map_err(|e| {
                    StepError::new(format!("cannot remove Open vSwitch bridge {bridge}")).because(e)
                })
            }
            Action::Reconnect { network, bridge, domains } => {
                self.reconnect(network, bridge, domains)
            }
            Action::StartNetwork { name, autostart } => {
                let start = |c: &Client| network::start(c, name, *autostart);
                self.call("start", &format!("network `{name}`"), start)
            }
            Action::StopNetwork { name } => {
                self.call("stop", &format!("network `{name}`"), |c| network::stop(c, name))
            }
            Action::UndefineNetwork { name } => {
                self.call("undefine", &format!("network `{name}`"), |c| network::undefine(c, name))
            }
            Action::DefineDomain { node, environment, pool } => {
                let (key, origin) = (self.key.as_ref(), self.origin.as_ref());
                let (client, host) = (self.client()?, self.access.host);
                domain::define((client, host), node, environment, pool, key, origin)
            }
            Action::MakePool { pool } => volume::ensure_disk_pool(self.client()?, pool),
            Action::RemovePool { pool } => {
                let left = volume::remove_disk_pool(self.client()?, pool)?;
                if !left.is_empty() {
                    let (name, left) = (&pool.name, left.join(", "));
                    (context.remark)(format!(
                        "storage pool {name} stays: there is more in it: {left}"
                    ));
                }
                Ok(())
            }
            Action::CreateVolume { disk, pool, over } => {
                let size_of = |path: &str| image::virtual_size(self.access.host, path);
                let disk = self.over(disk, over.as_ref());
                volume::create(self.client()?, &disk, pool, &size_of)
            }
            Action::CreateSeed { volume: name, pool, files } => {
                volume::create_seed(self.client()?, name, pool, files)
            }
            Action::ResizeVolume { volume: name, pool, bytes } => {
                volume::resize(self.client()?, name, pool, *bytes)
            }
            Action::DeleteVolume { volume: name, pool } => {
                volume::delete(self.client()?, name, pool)
            }
            Action::KeepVolume { volume, pool } => {
                let (host, path) = (self.access.host, pool.file(volume));
                image::keep(host, &self.access.transfer.records, &path).map_err(|e| {
                    StepError::new(format!("cannot record that volume `{volume}` stays")).because(e)
                })
            }
            Action::StartDomain { name, ready } => self.start_domain(name, ready.as_ref(), context),
            Action::MakeTemplate { template, node, pool, required, files } => {
                self.try_template(warm::Making { template, node, pool, files }, *required, context)
            }
            Action::RestoreDomain { node, pool, template, ready } => {
                self.restore_domain(node, pool, template, ready, context)
            }
            Action::AwaitDomain { name, ready } => self.await_domain(name, ready, context),
            Action::ChangeDomain { name, change } => domain::change(self.client()?, name, change),
            Action::SetTimezone { node, environment, pool, zone, ready } => {
                guest_timezone::set(&self.login(&node.name, ready), zone)?;
                self.record_domain(node, environment, pool)
            }
            Action::ShareDomain { node, environment, pool, add, remove, ready, sharing } => {
                let login = self.login(&node.name, ready);
                match (login_keys::change(&login, add, remove), sharing) {
                    (Err(error), Sharing::Tried) => {
                        (context.remark)(error.causes.join("; "));
                        Ok(())
                    }
                    (Err(error), _) => Err(error),
                    (Ok(()), Sharing::Guest) => Ok(()),
                    (Ok(()), _) => self.record_domain(node, environment, pool),
                }
            }
            Action::RecordDomain { node, environment, pool } => {
                self.record_domain(node, environment, pool)
            }
            Action::ServeBmcs { environment, nodes } => {
                bmc::serve(self.access.host, environment, nodes, self.key.as_ref(), context)
            }
            Action::ForgetBmcs { environment, nodes } => {
                bmc::forget(self.access.host, environment, nodes)
                    .map_err(|e| StepError::new("cannot forget the BMCs of nodes").because(e))
            }
            Action::StopBmcs { environment } => bmc::stop(self.access.host, environment)
                .map_err(|e| StepError::new("cannot stop the BMCs").because(e)),
            Action::OpenForwarding { environment, forwarding } => {
                forwarding::open(self.access.host, environment, forwarding, context)
            }
            Action::CloseForwarding { environment } => {
                forwarding::close(self.access.host, environment)
            }
            Action::ResumeDomain { name } => {
                self.call("resume", &format!("domain `{name}`"), |c| domain::resume(c, name))
            }
            Action::PauseDomain { name } => {
                self.call("pause", &format!("domain `{name}`"), |c| domain::pause(c, name))
            }
            Action::ResetDomain { name } => {
                self.call("reset", &format!("domain `{name}`"), |c| domain::reset(c, name))
            }
            Action::StopDomain { name, shutdown } => {
                let forced = |text: String| (context.remark)(text);
                let deaf = || doctor::is_deaf(&self.console_end(name));
                self.call("stop", &format!("domain `{name}`"), |c| {
                    domain::stop(c, name, self.guests.calls, *shutdown, &deaf, &forced)
                })
            }
            Action::UndefineDomain { name } => {
                // Before its definition: nothing else tells that there are any.
                self.forget(name)?;
                let object = format!("domain `{name}`");
                let was_running = self.call("undefine", &object, |c| domain::undefine(c, name))?;
                if was_running { self.forget(name) } else { Ok(()) }
            }
        }
    }
}
