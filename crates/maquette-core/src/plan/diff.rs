//! Blueprint against what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::node_change::{NodeChange, NodeChanges, node_changes, zones};
use super::pools::Leaving;
use super::remove::{
    edited_for_others, edited_goes, for_others, remove_domain, remove_edited, remove_network,
    remove_orphan,
};
use super::{
    Action, Builder, Change, NetworkChange, Op, Plan, Reasons, Shutdown, StepId, compare, describe,
    drift, in_use, switching, warm,
};
use crate::blueprint::{
    Blueprint, ColdReason, Disk, HostKeys, Image, Network, Node, NodeVolumes, Pool, Template,
};
use crate::object::ObjectKind;
use crate::observed::{self, Domain, Observed, Orphan};
use crate::topology::SeedDrive;
use crate::values::{NetworkName, NodeName, Secret, TimeZone};

/// Private host keys of new nodes, by node.
pub type PrivateKeys<'a> = &'a dyn Fn(&Node) -> Secret;

/// Plans the way from what is there to `blueprint`.
pub fn create(blueprint: &Blueprint, observed: &Observed, keys: PrivateKeys<'_>) -> Plan {
    let node_changes = node_changes(blueprint, observed);
    let mut planner = Planner {
        blueprint,
        observed,
        keys,
        orphans: observed.orphans(),
        builder: Builder::default(),
        changes: Vec::new(),
        started: BTreeMap::new(),
        fetched: BTreeMap::new(),
        stopped: BTreeMap::new(),
        unplugged: Vec::new(),
        warm: warm::starts(blueprint, observed, &node_changes),
        templates: BTreeMap::new(),
        zones: zones(blueprint, observed, &node_changes),
        unserved: None,
        renewed: BTreeSet::new(),
        kept: Vec::new(),
        made: BTreeMap::new(),
        leaving: Leaving::default(),
    };
    let to = (&mut planner.changes, &mut planner.builder);
    planner.leaving = Leaving::on_the_way((blueprint, observed, &node_changes), to);
    planner.forget_bmcs(&node_changes);
    planner.leave(&node_changes);
    planner.images(&node_changes);
    planner.networks(&node_changes);
    for node in &blueprint.nodes {
        let (node_change, before) = (
            node_changes.nodes.get(&node.name).unwrap_or(&NodeChange::Create),
            planner.builder.added().count(),
        );
        planner.node(node, node_change);
        planner.zone(node, before);
        planner.share(node, node_change, before);
    }
    planner.templates_beside();
    planner.bmcs();
    planner.forwarding();
    planner.unwanted_networks();
    planner.sort();
    let mut plan = Plan { changes: planner.changes, steps: planner.builder.finish() };
    drift::tell_undone_edits(&mut plan, observed);
    plan
}

/// Gives nodes that are made again a generation and a host key of their own: what had been there may have
/// been broken into, and whoever has its host key must not be taken for its successor.
pub fn renew(
    blueprint: &mut Blueprint,
    observed: &Observed,
    generation: u64,
    host_keys: HostKeys<'_>,
) {
    let node_changes = node_changes(blueprint, observed);
    for node in &mut blueprint.nodes {
        let replaced = matches!(node_changes.nodes.get(&node.name), Some(NodeChange::Replace(_)));
        if let Some(guest) = node.guest.as_mut().filter(|_| replaced) {
            guest.generation = Some(generation);
            guest.host_key = host_keys(&node.name, node.uuid, guest.generation);
            guest.shared = observed.shared_keys();
        }
    }
}

/// Decides what the seeds of nodes are in that are made, or made again: what their owner chose, or a CD-ROM where the system in
/// the image finds one. Others keep theirs: whatever is in it was written for it.
pub fn place_seeds(
    blueprint: &mut Blueprint,
    observed: &Observed,
    finds_cdrom: &dyn Fn(&Image) -> bool,
) {
    let node_changes = node_changes(blueprint, observed);
    let is_made = |node: &Node| {
        matches!(
            node_changes.nodes.get(&node.name),
            None | Some(NodeChange::Create | NodeChange::Replace(_))
        )
    };
    let Blueprint { nodes, seed_drives, .. } = blueprint;
    let mut known: BTreeMap<Image, bool> = BTreeMap::new();
    for node in nodes.iter_mut().filter(|node| is_made(node)) {
        let image = node.disks.first().and_then(|disk| disk.backing.as_ref());
        let Some(guest) = &mut node.guest else { continue };
        let found =
            |image: &Image| *known.entry(image.clone()).or_insert_with(|| finds_cdrom(image));
        guest.drive = match seed_drives.get(&node.name) {
            Some(drive) => *drive,
            None if image.is_none_or(found) => SeedDrive::CdRom,
            None => SeedDrive::Disk,
        };
    }
}

/// Nodes whose seed a plan makes without what their first boot does besides setting them up, since the topology does not
/// describe them: an extension keeps nodes as they are recorded, and the record has a digest of that only.
pub fn unknown_first_boots<'a>(blueprint: &'a Blueprint, plan: &Plan) -> Vec<&'a str> {
    let makes = |seed: &str| {
        let is_it = |a: &Action| matches!(a, Action::CreateSeed { volume, .. } if volume == seed);
        plan.steps.iter().any(|step| is_it(&step.action))
    };
    let is_unknown = |node: &&Node| {
        node.guest.as_ref().is_some_and(|guest| {
            let known = |digest| blueprint.first_boots.contains_key(digest);
            guest.first_boot.as_ref().is_some_and(|digest| !known(digest)) && makes(&guest.seed)
        })
    };
    blueprint.nodes.iter().filter(is_unknown).map(|node| node.name.as_str()).collect()
}

pub(super) struct Planner<'a> {
    pub(super) blueprint: &'a Blueprint,
    pub(super) observed: &'a Observed,
    pub(super) keys: PrivateKeys<'a>,
    /// Volumes of nodes whose domain is gone, by node.
    pub(super) orphans: BTreeMap<NodeName, Orphan>,
    pub(super) builder: Builder,
    pub(super) changes: Vec<Change>,
    /// Step that starts a network, by name.
    pub(super) started: BTreeMap<NetworkName, StepId>,
    /// Step that fetches an image, by volume.
    pub(super) fetched: BTreeMap<String, StepId>,
    /// Last step that takes a domain out of the way, by name.
    pub(super) stopped: BTreeMap<String, StepId>,
    /// Steps that unplug interfaces of running domains.
    pub(super) unplugged: Vec<StepId>,
    /// What new nodes start from, or why they boot, by their names.
    pub(super) warm: BTreeMap<NodeName, Result<Template, ColdReason>>,
    /// Step that makes a template, by key.
    pub(super) templates: BTreeMap<String, StepId>,
    /// Nodes whose time zone changes while they go on, and what it was.
    pub(super) zones: BTreeMap<NodeName, Option<TimeZone>>,
    /// Step after which BMCs of nodes that go are no longer served.
    pub(super) unserved: Option<StepId>,
    /// Nodes that are made again and whose BMCs are forgotten before.
    pub(super) renewed: BTreeSet<NodeName>,
    /// Steps that record disks which stay, before networks forget them.
    pub(super) kept: Vec<StepId>,
    /// Steps that have pools of disks' own directories run.
    pub(super) made: BTreeMap<Pool, StepId>,
    /// Pools that go.
    pub(super) leaving: Leaving,
}

pub(super) const UNWANTED: &str = "the topology does not ask for it any more";

impl Planner<'_> {
    pub(super) fn change(
        &mut self,
        op: Op,
        kind: ObjectKind,
        name: &str,
        detail: String,
        reason: impl Into<Reasons>,
    ) {
        self.changes.push(Change { op, kind, name: name.into(), detail, reason: reason.into() });
    }

    /// Takes down what is not wanted any more, what is replaced and what restarts.
    fn leave(&mut self, node_changes: &NodeChanges) {
        for domain in self.observed.domains.values() {
            match node_changes.nodes.get(&domain.name) {
                None => {
                    let size = describe::size(&domain.recorded);
                    self.change(Op::Delete, ObjectKind::Domain, &domain.name, size, UNWANTED);
                    let to = (&mut self.builder, &mut self.leaving);
                    let last = remove_domain(domain, self.observed, self.unserved, UNWANTED, to);
                    self.stopped.insert(domain.name.to_string(), last);
                }
                Some(NodeChange::Replace(why)) => {
                    let why = why.join("; ");
                    let unserved = self.unserved.filter(|_| self.renewed.contains(&domain.name));
                    let to = (&mut self.builder, &mut self.leaving);
                    let last = remove_domain(domain, self.observed, unserved, &why, to);
                    self.stopped.insert(domain.name.to_string(), last);
                }
                Some(NodeChange::Restart(why)) if domain.active => {
                    // A guest that is paused or that lost a disk cannot shut down by itself.
                    let lost =
                        !self.observed.missing_volumes(&domain.recorded, &domain.pool).is_empty();
                    let shutdown = Shutdown::within(self.blueprint.shutdown_s);
                    let stop = Action::StopDomain {
                        name: domain.name.to_string(),
                        shutdown: shutdown.of_guest(!domain.paused && !lost),
                    };
                    let last = self.builder.add(stop, [], why.join("; "));
                    self.stopped.insert(domain.name.to_string(), last);
                }
                Some(_) => {}
            }
        }
        let about = |name: &str| self.blueprint.is_about(name);
        let goes = |name: &str| !node_changes.nodes.contains_key(name) && about(name);
        self.changes.extend(in_use::stay(self.observed, goes));
        self.kept = in_use::keep(self.observed, goes, UNWANTED, &mut self.builder);
        self.leave_edited();
        let orphans = self.orphans.clone();
        let unwanted = |o: &&Orphan| !node_changes.nodes.contains_key(&o.node) && about(&o.node);
        for orphan in orphans.values().filter(unwanted) {
            let after = self.stopped.get(orphan.node.as_str()).copied();
            let to = (&mut self.builder, &mut self.leaving);
            let changes = remove_orphan(orphan, after, UNWANTED, to);
            self.changes.extend(changes);
        }
        self.strays(&orphans);
        self.kept.extend(self.leaving.remove_rest(&mut self.builder));
    }

    /// Takes away domains whose records are not believed: of nodes that go, and of those that are defined anew and keep their
    /// disks, with what their guests have not written yet.
    fn leave_edited(&mut self) {
        let is_it = |e: &&observed::Edited| e.kind == ObjectKind::Domain;
        for edited in self.observed.edited.iter().filter(is_it) {
            if !self.blueprint.is_about(&edited.name) {
                continue;
            }
            let wanted = self.blueprint.nodes.iter().find(|node| node.name == edited.name);
            if wanted.is_none() {
                self.changes.push(edited_goes(edited, self.observed, UNWANTED));
            }
            let hears = wanted.is_some_and(|node| node.guest.is_some()) && !edited.paused;
            let shutdown = Shutdown::within(self.blueprint.shutdown_s).of_guest(hears);
            let after = self.unserved.into_iter().collect();
            let last = remove_edited(edited, shutdown, after, &edited.why, &mut self.builder);
            self.stopped.insert(edited.name.clone(), last);
        }
    }

    fn images(&mut self, node_changes: &NodeChanges) {
        for image in &self.blueprint.images {
            let there = self.observed.has_volume(&self.blueprint.pool, &image.volume);
            if there && !self.blueprint.refresh_images.contains(image) {
                self.change(Op::Keep, ObjectKind::Image, &image.volume, image.shown(), "");
                continue;
            }
            // Disks that are to be made: of new nodes, and those that are not there.
            let unmade = |node: &Node, disk: &Disk| match node_changes.nodes.get(&node.name) {
                Some(NodeChange::Create | NodeChange::Replace(_)) => true,
                Some(NodeChange::Aside) => false,
                _ => {
                    let pool = self.pool(&node.name);
                    !self.observed.has_volume(disk.pool_or(&pool), &disk.volume)
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
                (Op::Update, "it is to be downloaded again".into())
            } else {
                (Op::Create, describe::missing_image(self.blueprint, self.observed, image))
            };
            self.change(op, ObjectKind::Image, &image.volume, image.shown(), reason.as_str());
            let fetch = Action::FetchImage {
                image: image.clone(),
                pool: self.blueprint.pool.clone(),
                smallest,
            };
            let id = self.builder.add(fetch, [], reason);
            self.fetched.insert(image.volume.to_string(), id);
        }
    }

    fn networks(&mut self, node_changes: &NodeChanges) {
        for network in &self.blueprint.networks {
            if self.blueprint.is_about_network(&network.name) {
                self.network(network, node_changes);
            } else {
                let detail = describe::network(network);
                self.change(Op::Keep, ObjectKind::Network, &network.name, detail, "");
            }
        }
    }

    /// Takes away networks once nobody is on them any more, nodes that go on running included.
    fn unwanted_networks(&mut self) {
        if self.blueprint.only.is_some() {
            return;
        }
        let wanted: BTreeSet<&str> =
            self.blueprint.networks.iter().map(|n| n.name.as_str()).collect();
        for network in self.observed.networks.values() {
            if !wanted.contains(network.name.as_str()) {
                let environment = &self.blueprint.environment;
                let after: Vec<StepId> = self.left().into_iter().chain(self.kept.clone()).collect();
                let stays =
                    for_others(network, self.observed, environment, &after, &mut self.builder);
                if let Some(stays) = stays {
                    self.changes.push(stays);
                    continue;
                }
                self.change(
                    Op::Delete,
                    ObjectKind::Network,
                    &network.name,
                    String::new(),
                    UNWANTED,
                );
                self.remove_network(network, UNWANTED);
            }
        }
        for edited in self.observed.edited.iter().filter(|e| e.kind == ObjectKind::Network) {
            if wanted.contains(edited.name.as_str()) {
                continue;
            }
            if let Some(stays) = edited_for_others(edited, self.observed) {
                self.changes.push(stays);
                continue;
            }
            self.changes.push(edited_goes(edited, self.observed, UNWANTED));
            let left = self.left();
            remove_edited(edited, Shutdown::PullPlug, left, UNWANTED, &mut self.builder);
        }
    }

    /// Steps after which nobody is on a network any more.
    fn left(&self) -> Vec<StepId> {
        self.stopped.values().chain(&self.unplugged).copied().collect()
    }

    fn remove_network(&mut self, network: &observed::Network, reason: &str) -> StepId {
        // What stays for its clones is recorded before the network is forgotten that names it.
        let after = (self.left(), self.kept.clone());
        let environment = &self.blueprint.environment;
        remove_network(network, environment, after, reason, &mut self.builder)
    }

    fn network(&mut self, network: &Network, node_changes: &NodeChanges) {
        let name = &network.name;
        let existing = self.observed.networks.get(name);
        let start = Action::StartNetwork { name: name.clone(), autostart: network.autostart };
        let define = Action::DefineNetwork {
            network: Box::new(network.clone()),
            environment: self.blueprint.environment.clone(),
            allocation: self.blueprint.allocation,
        };
        let edited = self.observed.edited(ObjectKind::Network, name);
        let (define_after, reason, op) = match (existing, node_changes.replaced.get(name), edited) {
            (None, _, Some(edited)) => {
                let shutdown = Shutdown::PullPlug;
                let left = self.left();
                let gone = remove_edited(edited, shutdown, left, &edited.why, &mut self.builder);
                (vec![gone], edited.why.as_str().into(), Op::Replace)
            }
            (None, _, None) => (Vec::new(), "it does not exist".into(), Op::Create),
            (Some(old), Some(why), _) => {
                let gone = self.remove_network(old, &why.join("; "));
                (vec![gone], Reasons::from(why.clone()), Op::Replace)
            }
            (Some(old), None, _) => {
                self.update(network, old);
                return;
            }
        };
        self.change(op, ObjectKind::Network, name, describe::network(network), reason.clone());
        let reason = reason.to_string();
        let mut ready = self.builder.add(define, define_after, reason.clone());
        if let Some(make) = switching::make(network, &self.blueprint.environment) {
            ready = self.builder.add(make, [ready], reason.clone());
        }
        let id = self.builder.add(start, [ready], reason.clone());
        self.started.insert(name.clone(), id);
        if existing.is_none() {
            // Somebody may have undefined it under running nodes.
            self.reconnect(network, id, &reason);
        }
    }

    /// A network that stays: nodes come and go, and so do its DNS records.
    fn update(&mut self, network: &Network, old: &observed::Network) {
        let change = served(network, old);
        let mut reasons = Vec::new();
        if !old.active {
            reasons.push("it is not running".to_string());
        }
        let missing = switching::missing(network, self.observed);
        reasons.extend(missing.clone());
        let unguarded = old.active && switching::unguarded(network, self.observed);
        if unguarded {
            reasons.push("its DHCP guard is gone".into());
        }
        let (add, remove) = (change.add.len(), change.remove.len());
        if add + remove > 0 {
            let part = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
            let parts = [part(add, "to add"), part(remove, "to remove")];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            reasons.push(format!("reservations: {}", parts.join(", ")));
        }
        reasons.extend(compare::network(&old.recorded, network).words());
        let rewrite = *network != old.recorded || add + remove > 0;
        if rewrite && reasons.is_empty() {
            reasons.push(nodes_change(network, &old.recorded));
        }
        let detail = describe::network(network);
        if reasons.is_empty() {
            self.change(Op::Keep, ObjectKind::Network, &network.name, detail, "");
            return;
        }
        let reason = reasons.join("; ");
        self.change(Op::Update, ObjectKind::Network, &network.name, detail, reasons);
        let made = missing.and_then(|_| switching::make(network, &self.blueprint.environment));
        let mending = Mending { change: rewrite.then_some(change), made, unguarded, reason };
        self.mend(network, old.active, mending);
    }

    /// The steps that have a network be what it should, one after the other.
    fn mend(&mut self, network: &Network, active: bool, mending: Mending) {
        let Mending { change, made, unguarded, reason } = mending;
        let mut last = None;
        if let Some(change) = change {
            let update = Action::UpdateNetwork {
                network: Box::new(network.clone()),
                environment: self.blueprint.environment.clone(),
                allocation: self.blueprint.allocation,
                change,
            };
            last = Some(self.builder.add(update, self.kept.clone(), reason.clone()));
        }
        if let Some(make) = made {
            let made = self.builder.add(make, last, reason.clone());
            if active {
                self.reconnect(network, made, &reason);
            }
            last = Some(made);
        }
        if unguarded {
            let stop = Action::StopNetwork { name: network.name.to_string() };
            last = Some(self.builder.add(stop, last, reason.clone()));
        }
        if !active || unguarded {
            let name = network.name.clone();
            let start = Action::StartNetwork { name, autostart: network.autostart };
            let id = self.builder.add(start, last, reason.clone());
            if !unguarded {
                self.reconnect(network, id, &reason);
            }
            last = Some(id);
        }
        self.started.extend(last.map(|id| (network.name.clone(), id)));
    }

    /// Puts running nodes, whose bridge is gone, onto the new one.
    fn reconnect(&mut self, network: &Network, started: StepId, reason: &str) {
        // Those on a NIC have lost nothing.
        if !network.carrier.has_bridge() {
            return;
        }
        let stays = |d: &&Domain| d.active && !self.stopped.contains_key(d.name.as_str());
        let on_it = |d: &&Domain| {
            let live = d.live.iter().flat_map(|live| &live.nics);
            live.clone().any(|nic| nic.network == network.name)
        };
        let domains = self.observed.domains.values().filter(stays).filter(on_it);
        let domains: Vec<NodeName> = domains.map(|d| d.name.clone()).collect();
        if domains.is_empty() {
            return;
        }
        let (name, bridge) = (network.name.clone(), network.bridge.clone());
        let action = Action::Reconnect { network: name, bridge, domains };
        self.builder.add(action, [started], reason);
    }

    /// Changes in the order people read an environment.
    fn sort(&mut self) {
        self.changes.sort_by_key(|c| match c.kind {
            ObjectKind::Host => 0,
            ObjectKind::Image => 1,
            ObjectKind::Network => 2,
            ObjectKind::Domain | ObjectKind::Volume => 3,
            ObjectKind::Bmc => 4,
        });
    }
}

/// What has to be done to a network that stays.
struct Mending {
    /// What it is defined again with, if it is.
    change: Option<NetworkChange>,
    /// Makes its bridge, where libvirt does not and it is gone.
    made: Option<Action>,
    /// Whether its guard is gone; a start of the network sets it again.
    unguarded: bool,
    reason: String,
}

/// Which nodes come onto a network, or leave it; if none does, those whose disks, which it records, are others.
fn nodes_change(network: &Network, old: &Network) -> String {
    let missing = |from: &Network, of: &Network| -> Vec<String> {
        let is_in = |t: &NodeVolumes| of.tenants.iter().any(|other| other.node == t.node);
        from.tenants.iter().filter(|t| !is_in(t)).map(|t| t.node.to_string()).collect()
    };
    let said = |nodes: Vec<String>, one: &str, many: &str| match nodes.as_slice() {
        [] => None,
        [node] => Some(format!("{node} {one}")),
        [first, second] => Some(format!("{first} and {second} {many}")),
        all => Some(format!("{} nodes {many}", all.len())),
    };
    let come = said(missing(network, old), "joins it", "join it");
    let go = said(missing(old, network), "leaves it", "leave it");
    let changed = network.tenants.iter().filter(|t| !old.tenants.contains(t));
    let changed: Vec<String> = changed.map(|t| t.node.to_string()).collect();
    let both: Vec<String> = come.into_iter().chain(go).collect();
    match both.is_empty() {
        false => both.join("; "),
        true => said(changed, "changes", "change")
            .unwrap_or_else(|| "what is noted there changes".into()),
    }
}

/// What changes in what a network's DHCP and DNS servers serve.
fn served(network: &Network, old: &observed::Network) -> NetworkChange {
    let (had, want) = (&old.defined.hosts, network.dhcp_entries());
    let srvs = |from: &Network, other: &Network| {
        from.srvs.iter().filter(|s| !other.srvs.contains(s)).cloned().collect::<Vec<_>>()
    };
    NetworkChange {
        add: want.difference(had).cloned().collect(),
        remove: had.difference(&want).cloned().collect(),
        add_srvs: srvs(network, &old.recorded),
        remove_srvs: srvs(&old.recorded, network),
    }
}
