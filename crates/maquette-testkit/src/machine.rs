//! The hypervisor of the model: what is on it, whose that is, and what it is itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Sender;
use std::time::Instant;

use ipnet::IpNet;
use maquette_core::doctor::Power;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{Edited, Observed, Origin, ReservedMemory};
use maquette_core::plan::{Action, PoolState};
use maquette_core::topology::DirectMode;
use maquette_core::units::MacAddr;
use maquette_engine::StepError;
use maquette_libvirt::{Bandwidth, DomainEvent, Surveyed};

use crate::rules;

/// The limit of inotify instances.
const INOTIFY: &str = "fs.inotify.max_user_instances";

/// A hypervisor: what is on it, and what it is itself.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Objects of all environments, and its own network interfaces.
    pub seen: Observed,
    /// Whose objects are, by kind and name.
    pub owners: BTreeMap<(ObjectKind, String), EnvName>,
    /// Who made domains, and when, where that was noted.
    pub origins: BTreeMap<String, Origin>,
    /// Domains that are nobody's environment, each with whether it runs.
    pub strangers: Vec<(String, bool)>,
    /// The same for networks.
    pub stranger_networks: Vec<(String, bool)>,
    /// Storage pools of others.
    pub stranger_pools: Vec<String>,
    /// Domains that somebody has renamed: whose they were, and both names.
    pub renamed: Vec<(EnvName, String, String)>,
    /// Files of disks of domains that are off and nobody's environment, with these domains.
    pub off: BTreeMap<String, BTreeSet<String>>,
    /// The storage pool.
    pub pool: PoolState,
    /// Bytes that are free in it.
    pub free: u64,
    /// Whether libvirt and what it needs are installed.
    pub installed: bool,
    /// Whether libvirt answers.
    pub runs: bool,
    /// Whether its daemon takes connections and says nothing.
    pub hangs: bool,
    /// Whether the CPU can run guests.
    pub kvm: bool,
    /// Whether QEMU's user may.
    pub kvm_open: bool,
    /// Whether what removes expired environments is there.
    pub expiry: bool,
    /// What interfaces of domains that are not ours are plugged into, and whose these are.
    pub plugged: Vec<(String, String)>,
    /// Whether libvirt's network hook is there.
    pub hook: bool,
    /// Whether Open vSwitch runs.
    pub vswitch: bool,
    /// Limits of the kernel's, by their names for sysctl.
    pub sysctls: BTreeMap<String, u64>,
    /// Time zone.
    pub timezone: String,
    /// What is recorded of images that were brought, as the probe prints it.
    pub image_records: String,
    /// Images that have no cloud-init, as they are named.
    pub without_cloud_init: BTreeSet<String>,
    /// CPUs.
    pub cpus: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Steps that fail, by their titles, and why.
    pub faults: BTreeMap<String, StepError>,
    /// When a step last changed something.
    pub changed: Instant,
    /// The step during which somebody presses Ctrl-C, and what does that.
    pub interrupt: Option<(String, fn())>,
    /// Interfaces without a carrier.
    pub pulled: BTreeSet<MacAddr>,
    /// Domains that do not shut down when asked, and how they are stopped.
    pub unwilling: BTreeMap<String, String>,
    /// How guests answer on their SSH port where they do not greet, in the engine's words.
    pub ssh: BTreeMap<String, String>,
    /// Domains of which a QEMU runs that libvirt does not know.
    pub forgotten: BTreeSet<String>,
    /// For how long domains have run that were not started five minutes ago, in seconds.
    pub uptime_s: BTreeMap<String, u64>,
    /// Limits of interfaces, in KiB a second.
    pub limits: BTreeMap<MacAddr, Bandwidth>,
    /// What libvirt says of domains' states, where it is more than whether they run.
    pub powers: BTreeMap<String, Power>,
    /// Domains whose disks are hardly read.
    pub unread: BTreeSet<String>,
    /// Whether its libvirt finds neither UEFI nor anything that emulates a TPM.
    pub lacks_firmware: bool,
    /// Interfaces whose guests send nothing.
    pub mute: BTreeSet<MacAddr>,
    /// Lines of sections of what the engine's script for `doctor` prints, in place of those where all is well.
    pub looks: BTreeMap<String, Vec<String>>,
    /// Who is told what happens to domains; if none, the daemon ends as soon as somebody listens.
    pub listeners: Option<Vec<Sender<DomainEvent>>>,
}

impl Machine {
    /// One that has never been prepared.
    pub fn fresh() -> Self {
        Self {
            seen: rules::machine(&["eth0", "eth1", "lo"]),
            owners: BTreeMap::new(),
            origins: BTreeMap::new(),
            strangers: Vec::new(),
            stranger_pools: Vec::new(),
            renamed: Vec::new(),
            off: BTreeMap::new(),
            stranger_networks: vec![("default".into(), true)],
            plugged: Vec::new(),
            pool: PoolState::Missing,
            free: 500 << 30,
            installed: false,
            runs: false,
            hangs: false,
            kvm: true,
            kvm_open: false,
            hook: false,
            expiry: false,
            vswitch: false,
            sysctls: BTreeMap::from([(INOTIFY.into(), 128)]),
            timezone: "Etc/UTC".into(),
            image_records: String::new(),
            without_cloud_init: BTreeSet::new(),
            cpus: 16,
            memory_mib: 131_072,
            faults: BTreeMap::new(),
            changed: Instant::now(),
            interrupt: None,
            pulled: BTreeSet::new(),
            unwilling: BTreeMap::new(),
            ssh: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            uptime_s: BTreeMap::new(),
            limits: BTreeMap::new(),
            powers: BTreeMap::new(),
            unread: BTreeSet::new(),
            lacks_firmware: false,
            mute: BTreeSet::new(),
            looks: BTreeMap::new(),
            listeners: None,
        }
    }

    /// One that lacks nothing.
    pub fn prepared() -> Self {
        Self {
            pool: PoolState::Active("/var/lib/libvirt/images".into()),
            installed: true,
            runs: true,
            hangs: false,
            kvm_open: true,
            hook: true,
            sysctls: BTreeMap::from([(INOTIFY.into(), 8192)]),
            ..Self::fresh()
        }
    }

    pub(crate) fn owner(&self, kind: ObjectKind, name: &str) -> Option<&EnvName> {
        self.owners.get(&(kind, name.to_string()))
    }

    /// Taps are numbered as domains are listed.
    pub(crate) fn tap(&self, mac: MacAddr) -> Option<String> {
        let running = self.seen.domains.values().filter(|d| d.active);
        let mut all = running.flat_map(|d| d.live.iter().flat_map(|l| &l.nics));
        all.position(|nic| nic.mac == mac).map(|number| format!("vnet{number}"))
    }

    pub(crate) fn observe(&self, environment: &EnvName) -> Observed {
        let claims = self.seen.claims.clone();
        let mut found = Observed { claims, ..Observed::default() };
        let ours = |kind, name: &str| self.owner(kind, name) == Some(environment);
        for (name, domain) in &self.seen.domains {
            if ours(ObjectKind::Domain, name) {
                let mut domain = domain.clone();
                let nics = domain.live.iter().flat_map(|live| &live.nics).map(|nic| nic.mac);
                domain.pulled = nics.filter(|mac| self.pulled.contains(mac)).collect();
                found.domains.insert(name.clone(), domain);
                continue;
            }
            found.claims.domain(name, &domain.defined, domain.live.as_ref(), domain.active);
        }
        for (name, network) in &self.seen.networks {
            if ours(ObjectKind::Network, name) {
                found.networks.insert(name.clone(), network.clone());
                continue;
            }
            found.claims.networks.insert(name.to_string());
            found.claims.bridges.insert(network.recorded.bridge.to_string());
            let addresses = network.defined.addresses.iter();
            let whose = format!("network `{name}`");
            found.claims.subnets.extend(addresses.map(|net| (*net, whose.clone())));
            if let Some((mode, own)) = network.recorded.carrier.direct() {
                let nics = own.nics.iter().map(ToString::to_string);
                found.claims.note_nics(name, nics, mode == DirectMode::Passthrough);
            }
        }
        let edited = |e: &&Edited| ours(e.kind, &e.name);
        found.edited = self.seen.edited.iter().filter(edited).cloned().collect();
        for (name, active) in &self.strangers {
            let nics = self.plugged.iter().filter(|(_, domain)| domain == name);
            nics.for_each(|(network, domain)| found.claims.plug(network, domain));
            found.claims.domains.insert(name.clone());
            let (name, active) = (name.clone(), *active);
            found.claims.promises.push(ReservedMemory { name, memory_mib: 2048, vcpus: 2, active });
        }
        for (name, _) in &self.stranger_networks {
            found.claims.networks.insert(name.to_string());
            found.claims.bridges.insert("virbr0".into());
            if let Ok(net) = "192.168.122.1/24".parse::<IpNet>() {
                found.claims.subnets.push((net, format!("network `{name}`")));
            }
        }
        if matches!(self.pool, PoolState::Active(_) | PoolState::Unreadable(_)) {
            found.volumes.clone_from(&self.seen.volumes);
            found.pool_free = Some(self.free);
        }
        found
    }

    /// The nodes of all environments.
    pub(crate) fn surveyed(&self) -> Vec<(EnvName, Surveyed)> {
        let domains = self.seen.domains.values().filter_map(|domain| {
            let environment = self.owner(ObjectKind::Domain, &domain.name)?.clone();
            let node = Surveyed {
                name: domain.name.to_string(),
                active: domain.active,
                recorded: Some(domain.recorded.clone()),
                memory_mib: domain.defined.memory_mib,
                origin: self.origins.get(domain.name.as_str()).cloned(),
            };
            Some((environment, node))
        });
        domains.collect()
    }

    /// What an action makes belongs to an environment, and what is gone to none.
    pub(crate) fn note(&mut self, action: &Action, origin: Option<&Origin>) {
        let own = |kind, name: &str, environment: &EnvName, owners: &mut BTreeMap<_, _>| {
            owners.insert((kind, name.to_string()), environment.clone());
        };
        match action {
            Action::DefineDomain { node, environment, .. } => {
                own(ObjectKind::Domain, &node.name, environment, &mut self.owners);
                if let Some(origin) = origin {
                    self.origins.entry(node.name.to_string()).or_insert_with(|| origin.clone());
                }
            }
            Action::DefineNetwork { network, environment, .. } => {
                own(ObjectKind::Network, &network.name, environment, &mut self.owners);
            }
            Action::UndefineDomain { name } => {
                self.owners.remove(&(ObjectKind::Domain, name.clone()));
                self.origins.remove(name);
                self.strangers.retain(|(n, _)| n != name);
                self.renamed.retain(|(_, _, n)| n != name);
                self.off.retain(|_, domains| !domains.contains(name));
                self.seen.claims.domains.remove(name);
                let claims = &mut self.seen.claims;
                claims.files.retain(|_, holders| !holders.contains(name));
                claims.below.retain(|_, holders| !holders.contains(name));
                self.seen.claims.plugged.retain(|_, users| !users.contains(name));
            }
            Action::UndefineNetwork { name } => {
                self.owners.remove(&(ObjectKind::Network, name.clone()));
                self.stranger_networks.retain(|(n, _)| n != name);
            }
            _ => {}
        }
    }
}
