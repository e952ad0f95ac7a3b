//! Blueprint against what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::remove::remove_domain;
use super::{Action, Builder, Change, Op, Plan, Readiness};
use crate::blueprint::{Blueprint, Disk, Network, Node, Reservation};
use crate::guest::{Secret, seed_files};
use crate::observed::{Domain, Observed};
use crate::topology::Forward;
use crate::units::MIB;

/// Private host keys of new nodes, by node.
pub type PrivateKeys<'a> = &'a dyn Fn(&Node) -> Secret;

/// Plans the way from what is there to `blueprint`.
pub fn create(blueprint: &Blueprint, observed: &Observed, keys: PrivateKeys<'_>) -> Plan {
    let fates = fates(blueprint, observed);
    let mut planner = Planner {
        blueprint,
        observed,
        keys,
        builder: Builder::default(),
        changes: Vec::new(),
        started: BTreeMap::new(),
        fetched: BTreeMap::new(),
        stopped: BTreeMap::new(),
    };
    planner.leave(&fates);
    planner.images(&fates);
    planner.networks(&fates);
    for node in &blueprint.nodes {
        planner.node(node, &fates);
    }
    planner.sort();
    Plan { changes: planner.changes, steps: planner.builder.finish() }
}

/// What happens to each node, decided before any step exists, because networks depend on it.
struct Fates {
    nodes: BTreeMap<String, Fate>,
    /// Networks that are made again.
    replaced: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Create,
    /// Everything is as wanted; start it if it is off.
    Keep,
    /// Defined anew; the running guest notices nothing.
    Record(String),
    /// Defined anew and restarted.
    Restart(String),
    /// Removed with its disks and made again.
    Replace(String),
}

fn fates(blueprint: &Blueprint, observed: &Observed) -> Fates {
    let mut replaced = BTreeMap::new();
    for network in &blueprint.networks {
        if let Some(existing) = observed.networks.get(&network.name)
            && let Some(why) = network_difference(&existing.recorded, network)
        {
            replaced.insert(network.name.clone(), why);
        }
    }
    let mut nodes = BTreeMap::new();
    for node in &blueprint.nodes {
        let fate = match observed.domains.get(&node.name) {
            None => Fate::Create,
            Some(domain) => fate_of(domain, node, &replaced),
        };
        nodes.insert(node.name.clone(), fate);
    }
    Fates { nodes, replaced }
}

fn fate_of(domain: &Domain, node: &Node, replaced: &BTreeMap<String, String>) -> Fate {
    if let Some(why) = first_boot_difference(&domain.recorded, node) {
        return Fate::Replace(why);
    }
    if let Some(why) = definition_difference(domain, node) {
        return Fate::Restart(why);
    }
    match node.interfaces.iter().find(|i| replaced.contains_key(&i.network)) {
        Some(interface) => Fate::Restart(format!("network {} is made again", interface.network)),
        None if domain.recorded.groups != node.groups => Fate::Record("its groups change".into()),
        None => Fate::Keep,
    }
}

/// What cannot change after the first boot.
fn first_boot_difference(old: &Node, new: &Node) -> Option<String> {
    if old.deploy_os != new.deploy_os {
        return Some(if new.deploy_os {
            "it shall have an operating system now".into()
        } else {
            "it shall have no operating system any more".into()
        });
    }
    for (a, b) in old.disks.iter().zip(&new.disks) {
        let source = |d: &Disk| d.backing.as_ref().map(|i| i.source.clone()).unwrap_or_default();
        if source(a) != source(b) {
            return Some(format!("image of {}: {} → {}", b.volume, source(a), source(b)));
        }
        if let (Some(from), Some(to)) = (a.size, b.size)
            && to < from
        {
            return Some(format!("{} cannot shrink: {from} → {to}", b.volume));
        }
    }
    if old.interfaces != new.interfaces && new.guest.is_some() {
        return Some(interface_difference(old, new));
    }
    match (&old.guest, &new.guest) {
        (Some(a), Some(b)) => {
            let text = |v: &Option<String>| v.clone().unwrap_or("the image's".into());
            if a.user != b.user {
                Some(format!("user: {} → {}", a.user, b.user))
            } else if a.authorized_key != b.authorized_key {
                Some("it was made with another SSH key than this workspace has".into())
            } else if a.timezone != b.timezone {
                Some(format!("time zone: {} → {}", text(&a.timezone), text(&b.timezone)))
            } else if a.swap_mib != b.swap_mib {
                Some(format!("swap: {} MiB → {} MiB", a.swap_mib, b.swap_mib))
            } else if a.mtu != b.mtu {
                Some("the MTU of its interfaces changes".into())
            } else {
                None
            }
        }
        (None, None) => None,
        _ => Some("its first-boot set-up changes".into()),
    }
}

fn interface_difference(old: &Node, new: &Node) -> String {
    let networks =
        |n: &Node| n.interfaces.iter().map(|i| i.network.as_str()).collect::<Vec<_>>().join(", ");
    let (from, to) = (networks(old), networks(new));
    if from == to { "its addresses change".into() } else { format!("interfaces: {from} → {to}") }
}

/// What a restart can change.
fn definition_difference(domain: &Domain, new: &Node) -> Option<String> {
    let old = &domain.recorded;
    if old.memory_mib != new.memory_mib {
        return Some(format!("memory: {} MiB → {} MiB", old.memory_mib, new.memory_mib));
    }
    if domain.memory_mib != new.memory_mib {
        return Some(format!("memory was changed to {} MiB outside Maquette", domain.memory_mib));
    }
    if old.vcpus != new.vcpus {
        return Some(format!("vCPUs: {} → {}", old.vcpus, new.vcpus));
    }
    if domain.vcpus != new.vcpus {
        return Some(format!("vCPUs were changed to {} outside Maquette", domain.vcpus));
    }
    if old.cpu_model != new.cpu_model {
        return Some(format!("CPU model: {} → {}", old.cpu_model, new.cpu_model));
    }
    if old.machine != new.machine {
        return Some(format!("machine type: {} → {}", old.machine, new.machine));
    }
    if old.firmware != new.firmware {
        return Some("its firmware changes".into());
    }
    if old.interfaces != new.interfaces {
        return Some(interface_difference(old, new));
    }
    if old.disks.len() != new.disks.len() {
        return Some(format!("disks: {} → {}", old.disks.len(), new.disks.len()));
    }
    for (a, b) in old.disks.iter().zip(&new.disks) {
        if a.size != b.size {
            let text = |d: &Disk| d.size.map_or("the image's".into(), |s| s.to_string());
            return Some(format!("{}: {} → {}", b.volume, text(a), text(b)));
        }
        if (&a.bus, &a.cache, &a.device) != (&b.bus, &b.cache, &b.device) {
            return Some(format!("{} is attached differently", b.volume));
        }
    }
    None
}

/// What a running network cannot take on.
fn network_difference(old: &Network, new: &Network) -> Option<String> {
    let plain = |n: &Network| Network { reservations: Vec::new(), ..n.clone() };
    let (a, b) = (plain(old), plain(new));
    if a == b {
        return None;
    }
    let show = |v: &Option<ipnet::Ipv4Net>| v.map_or("none".to_string(), |n| n.to_string());
    Some(if a.ipv4 != b.ipv4 {
        format!("address: {} → {}", show(&a.ipv4), show(&b.ipv4))
    } else if a.forward != b.forward {
        format!("forward mode: {} → {}", mode(a.forward), mode(b.forward))
    } else if a.mtu != b.mtu {
        "its MTU changes".into()
    } else if a.dhcp4 != b.dhcp4 || a.dhcp6 != b.dhcp6 {
        "its DHCP range changes".into()
    } else if a.ipv6 != b.ipv6 {
        "its IPv6 address changes".into()
    } else {
        "its DNS or autostart setting changes".into()
    })
}

fn mode(forward: Forward) -> &'static str {
    forward.mode().unwrap_or("isolated")
}

struct Planner<'a> {
    blueprint: &'a Blueprint,
    observed: &'a Observed,
    keys: PrivateKeys<'a>,
    builder: Builder,
    changes: Vec<Change>,
    /// Step that starts a network, by name.
    started: BTreeMap<String, usize>,
    /// Step that fetches an image, by volume.
    fetched: BTreeMap<String, usize>,
    /// Last step that takes a domain out of the way, by name.
    stopped: BTreeMap<String, usize>,
}

impl Planner<'_> {
    fn change(&mut self, op: Op, kind: &'static str, name: &str, detail: String, reason: &str) {
        self.changes.push(Change { op, kind, name: name.into(), detail, reason: reason.into() });
    }

    /// Takes down what is not wanted any more, what is replaced and what restarts.
    fn leave(&mut self, fates: &Fates) {
        for domain in self.observed.domains.values() {
            match fates.nodes.get(&domain.name) {
                None => {
                    let reason = "the topology does not ask for it any more";
                    self.change(Op::Delete, "domain", &domain.name, size(&domain.recorded), reason);
                    let last = remove_domain(domain, self.observed, reason, &mut self.builder);
                    self.stopped.insert(domain.name.clone(), last);
                }
                Some(Fate::Replace(why)) => {
                    let last = remove_domain(domain, self.observed, why, &mut self.builder);
                    self.stopped.insert(domain.name.clone(), last);
                }
                Some(Fate::Restart(why)) if domain.active => {
                    let stop = Action::StopDomain { name: domain.name.clone(), clean: true };
                    let last = self.builder.add(stop, [], why.clone());
                    self.stopped.insert(domain.name.clone(), last);
                }
                Some(_) => {}
            }
        }
    }

    fn images(&mut self, fates: &Fates) {
        for image in &self.blueprint.images {
            let there = self.observed.has_volume(&self.blueprint.pool, &image.volume);
            if there && !self.blueprint.refresh_images {
                self.change(Op::Keep, "image", &image.volume, image.source.clone(), "");
                continue;
            }
            // Disks that are to be made: of new nodes, and those that an interrupted run left unmade.
            let unmade = |node: &Node, disk: &Disk| match fates.nodes.get(&node.name) {
                Some(Fate::Create | Fate::Replace(_)) => true,
                _ => {
                    let off = !self.observed.domains.get(&node.name).is_some_and(|d| d.active);
                    off && !self.observed.has_volume(&self.blueprint.pool, &disk.volume)
                }
            };
            let disks = self
                .blueprint
                .nodes
                .iter()
                .flat_map(|n| n.disks.iter().map(move |d| (n, d)))
                .filter(|(node, disk)| unmade(node, disk))
                .map(|(_, disk)| disk)
                .filter(|d| d.backing.as_ref() == Some(image));
            let smallest = disks.clone().filter_map(|d| d.size).map(|s| s.0).min();
            if disks.count() == 0 {
                continue;
            }
            let (op, reason) = if there {
                (Op::Update, "--force-image-download asks for it again")
            } else {
                (Op::Create, "it is not in the pool yet")
            };
            self.change(op, "image", &image.volume, image.source.clone(), reason);
            let fetch = Action::FetchImage {
                image: image.clone(),
                pool: self.blueprint.pool.clone(),
                smallest,
            };
            let id = self.builder.add(fetch, [], reason);
            self.fetched.insert(image.volume.clone(), id);
        }
    }

    fn networks(&mut self, fates: &Fates) {
        let wanted: BTreeSet<&str> =
            self.blueprint.networks.iter().map(|n| n.name.as_str()).collect();
        for network in self.observed.networks.values() {
            if !wanted.contains(network.name.as_str()) {
                let reason = "the topology does not ask for it any more";
                self.change(Op::Delete, "network", &network.name, String::new(), reason);
                self.remove_network(&network.name, network.active, reason);
            }
        }
        for network in &self.blueprint.networks {
            self.network(network, fates);
        }
    }

    fn remove_network(&mut self, name: &str, active: bool, reason: &str) -> usize {
        let mut after: Vec<usize> = self.stopped.values().copied().collect();
        if active {
            let stop = Action::StopNetwork { name: name.into() };
            after = vec![self.builder.add(stop, after, reason)];
        }
        self.builder.add(Action::UndefineNetwork { name: name.into() }, after, reason)
    }

    fn network(&mut self, network: &Network, fates: &Fates) {
        let name = &network.name;
        let existing = self.observed.networks.get(name);
        let start = Action::StartNetwork { name: name.clone(), autostart: network.autostart };
        let define = Action::DefineNetwork {
            network: Box::new(network.clone()),
            environment: self.blueprint.environment.clone(),
            allocation: self.blueprint.allocation,
        };
        let (define_after, reason, op) = match (existing, fates.replaced.get(name)) {
            (None, _) => (Vec::new(), "it does not exist".to_string(), Op::Create),
            (Some(old), Some(why)) => {
                let gone = self.remove_network(name, old.active, why);
                (vec![gone], why.clone(), Op::Replace)
            }
            (Some(old), None) => {
                self.reservations(network, &old.recorded.reservations, old.active);
                if !old.active {
                    let id = self.builder.add(start, [], "it is not running");
                    self.started.insert(name.clone(), id);
                }
                return;
            }
        };
        self.change(op, "network", name, describe_network(network), &reason);
        let defined = self.builder.add(define, define_after, reason.clone());
        let id = self.builder.add(start, [defined], reason);
        self.started.insert(name.clone(), id);
    }

    /// Nodes that come and go change a network's reservations while it runs.
    fn reservations(&mut self, network: &Network, old: &[Reservation], active: bool) {
        let had: BTreeSet<&Reservation> = old.iter().collect();
        let want: BTreeSet<&Reservation> = network.reservations.iter().collect();
        let add: Vec<Reservation> = want.difference(&had).map(|r| (*r).clone()).collect();
        let remove: Vec<Reservation> = had.difference(&want).map(|r| (*r).clone()).collect();
        let detail = describe_network(network);
        if add.is_empty() && remove.is_empty() {
            let (op, reason) =
                if active { (Op::Keep, "") } else { (Op::Update, "it is not running") };
            self.change(op, "network", &network.name, detail, reason);
            return;
        }
        let reason = format!("reservations: {} to add, {} to remove", add.len(), remove.len());
        self.change(Op::Update, "network", &network.name, detail, &reason);
        let update = Action::UpdateReservations {
            network: Box::new(network.clone()),
            environment: self.blueprint.environment.clone(),
            allocation: self.blueprint.allocation,
            remove,
            add,
        };
        let id = self.builder.add(update, [], reason);
        self.started.insert(network.name.clone(), id);
    }

    fn node(&mut self, node: &Node, fates: &Fates) {
        match fates.nodes.get(&node.name) {
            None | Some(Fate::Create) => {
                let reason = "it does not exist";
                self.change(Op::Create, "domain", &node.name, size(node), reason);
                self.build(node, [], reason);
            }
            Some(Fate::Replace(why)) => {
                self.change(Op::Replace, "domain", &node.name, size(node), why);
                let gone = self.stopped.get(&node.name).copied();
                self.build(node, gone, why);
            }
            Some(Fate::Restart(why)) => {
                self.change(
                    Op::Update,
                    "domain",
                    &node.name,
                    size(node),
                    &format!("{why} (restarts)"),
                );
                self.rebuild(node, why);
            }
            Some(Fate::Record(why)) => {
                self.change(Op::Update, "domain", &node.name, size(node), why);
                self.builder.add(self.define(node), [], why.clone());
            }
            Some(Fate::Keep) => self.keep(node),
        }
    }

    fn define(&self, node: &Node) -> Action {
        Action::DefineDomain {
            node: Box::new(node.clone()),
            environment: self.blueprint.environment.clone(),
            pool: self.blueprint.pool.clone(),
        }
    }

    /// A node from nothing: definition, volumes, start.
    fn build(&mut self, node: &Node, after: impl IntoIterator<Item = usize>, reason: &str) {
        let defined = self.builder.add(self.define(node), after, reason);
        let volumes: Vec<usize> =
            node.disks.iter().map(|d| self.volume(d, defined, reason)).collect();
        let seed = node.guest.as_ref().map(|_| self.seed(node, defined, reason));
        let before: Vec<usize> = std::iter::once(defined).chain(volumes).chain(seed).collect();
        self.start(node, before, reason);
    }

    fn volume(&mut self, disk: &Disk, defined: usize, reason: &str) -> usize {
        let fetched = disk.backing.as_ref().and_then(|i| self.fetched.get(&i.volume)).copied();
        let create = Action::CreateVolume {
            disk: Box::new(disk.clone()),
            pool: self.blueprint.pool.clone(),
        };
        self.builder.add(create, std::iter::once(defined).chain(fetched), reason)
    }

    fn seed(&mut self, node: &Node, defined: usize, reason: &str) -> usize {
        let (volume, files) = match &node.guest {
            Some(guest) => (guest.seed.clone(), seed_files(node, guest, &(self.keys)(node))),
            None => (String::new(), Vec::new()),
        };
        let create = Action::CreateSeed { volume, pool: self.blueprint.pool.clone(), files };
        self.builder.add(create, [defined], reason)
    }

    fn start(&mut self, node: &Node, mut after: Vec<usize>, reason: &str) {
        after.extend(node.interfaces.iter().filter_map(|i| self.started.get(&i.network)));
        let start = Action::StartDomain { name: node.name.clone(), ready: readiness(node) };
        self.builder.add(start, after, reason);
    }

    /// A node that keeps its disks: new definition, larger or further volumes, start.
    fn rebuild(&mut self, node: &Node, reason: &str) {
        let stopped = self.stopped.get(&node.name).copied();
        let defined = self.builder.add(self.define(node), stopped, reason);
        let mut before = vec![defined];
        let recorded = self.observed.domains.get(&node.name).map(|d| &d.recorded);
        for disk in &node.disks {
            let old = recorded.and_then(|r| r.disks.iter().find(|d| d.volume == disk.volume));
            let there = self.observed.has_volume(&self.blueprint.pool, &disk.volume);
            match (old.filter(|_| there), disk.size) {
                (None, _) => before.push(self.volume(disk, defined, reason)),
                (Some(old), Some(size)) if old.size != Some(size) => {
                    let resize = Action::ResizeVolume {
                        volume: disk.volume.clone(),
                        pool: self.blueprint.pool.clone(),
                        bytes: size.0,
                    };
                    before.push(self.builder.add(resize, [defined], reason));
                }
                _ => {}
            }
        }
        // An interrupted run may have come no further than the definition.
        if let Some(guest) = &node.guest
            && !self.observed.has_volume(&self.blueprint.pool, &guest.seed)
        {
            before.push(self.seed(node, defined, reason));
        }
        let kept: BTreeSet<&str> = node.disks.iter().map(|d| d.volume.as_str()).collect();
        for old in recorded.iter().flat_map(|r| &r.disks) {
            if !kept.contains(old.volume.as_str()) {
                let delete = Action::DeleteVolume {
                    volume: old.volume.clone(),
                    pool: self.blueprint.pool.clone(),
                };
                self.builder.add(delete, [defined], "the topology does not ask for it any more");
            }
        }
        self.start(node, before, reason);
    }

    /// A node as it is wanted: only what an interrupted run or a user left undone.
    fn keep(&mut self, node: &Node) {
        let Some(domain) = self.observed.domains.get(&node.name) else { return };
        let seed = node.guest.as_ref().map(|g| g.seed.as_str());
        let volumes = node.disks.iter().map(|d| d.volume.as_str()).chain(seed);
        let missing: Vec<&str> =
            volumes.filter(|v| !self.observed.has_volume(&domain.pool, v)).collect();
        if domain.active && (domain.ready || readiness(node).is_none()) {
            self.change(Op::Keep, "domain", &node.name, size(node), "");
        } else if domain.active {
            let reason = "its first boot was not seen to end";
            self.change(Op::Update, "domain", &node.name, size(node), reason);
            if let Some(ready) = readiness(node) {
                let wait = Action::AwaitDomain { name: node.name.clone(), ready };
                self.builder.add(wait, [], reason);
            }
        } else {
            let reason = if missing.is_empty() {
                "it is not running".to_string()
            } else {
                format!("it is not finished: {} missing", missing.join(", "))
            };
            self.change(Op::Update, "domain", &node.name, size(node), &reason);
            self.resume(node, &missing, &reason);
        }
    }

    fn resume(&mut self, node: &Node, missing: &[&str], reason: &str) {
        let mut before = Vec::new();
        if !missing.is_empty() {
            // Defining it again costs nothing and gives the volumes something to wait for.
            let defined = self.builder.add(self.define(node), [], reason);
            before.push(defined);
            for disk in node.disks.iter().filter(|d| missing.contains(&d.volume.as_str())) {
                before.push(self.volume(disk, defined, reason));
            }
            if node.guest.as_ref().is_some_and(|g| missing.contains(&g.seed.as_str())) {
                before.push(self.seed(node, defined, reason));
            }
        }
        self.start(node, before, reason);
    }

    /// Changes in the order people read an environment.
    fn sort(&mut self) {
        self.changes.sort_by_key(|c| match c.kind {
            "host" => 0,
            "image" => 1,
            "network" => 2,
            _ => 3,
        });
    }
}

/// How to know that a node is up; appliances and empty nodes cannot tell.
fn readiness(node: &Node) -> Option<Readiness> {
    let guest = node.guest.as_ref()?;
    Some(Readiness {
        address: node.access.address?,
        user: node.access.user.clone(),
        host_key: guest.host_key.clone(),
    })
}

fn size(node: &Node) -> String {
    let disks: Vec<String> =
        node.disks.iter().map(|d| d.size.map_or("image".into(), |s| s.to_string())).collect();
    let disks = if disks.is_empty() { "no disk".into() } else { disks.join(" + ") };
    let memory = crate::units::ByteSize(node.memory_mib * MIB);
    let cpus = if node.vcpus == 1 { "1 vCPU".into() } else { format!("{} vCPUs", node.vcpus) };
    let address = match (node.deploy_os, node.access.address) {
        (true, Some(address)) => address.to_string(),
        (false, _) => "boots from network".into(),
        (true, None) => "no address".into(),
    };
    format!("{cpus}, {memory}, {disks}, {address}")
}

fn describe_network(network: &Network) -> String {
    let mut parts = Vec::new();
    if let Some(net) = network.ipv4 {
        parts.push(net.trunc().to_string());
    }
    parts.push(mode(network.forward).to_string());
    if let Some(range) = network.dhcp4 {
        let last = |a: std::net::Ipv4Addr| a.octets()[3];
        parts.push(format!("dhcp .{}-.{}", last(range.start), last(range.end)));
    }
    if let Some(net) = network.ipv6 {
        parts.push(net.trunc().to_string());
    }
    if let Some(mtu) = network.mtu {
        parts.push(format!("mtu {mtu}"));
    }
    parts.join(", ")
}
