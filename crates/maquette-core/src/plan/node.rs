//! Steps of one node.

use std::collections::BTreeSet;

use super::diff::{Planner, UNWANTED};
use super::node_change::NodeChange;
use super::ready::readiness;
use super::{Action, LiveChange, Op, Reasons, StepId, describe, in_use};
use crate::blueprint::{Disk, Node, Pool, Template};
use crate::object::ObjectKind;
use crate::seed::seed_files;
use crate::start_times::How;
use crate::values::FileName;

/// Why a node that is off is left so.
const SWITCHED: &str = "it is off, and its BMC switches it";

impl Planner<'_> {
    /// What is done about a node.
    pub(super) fn node(&mut self, node: &Node, node_change: &NodeChange) {
        let (op, reason) = match node_change {
            NodeChange::Create => self.create_reason(node),
            NodeChange::Replace(why) => {
                let lost = self.lost(node);
                (Op::Replace, why.iter().cloned().chain(lost).collect::<Vec<_>>().into())
            }
            NodeChange::Restart(why) => (Op::Update, Reasons::how(why.clone(), "restarts")),
            NodeChange::Live(_, why) => (Op::Update, Reasons::how(why.clone(), "while it runs")),
            NodeChange::Record(why) => (Op::Update, why.clone().into()),
            NodeChange::Keep => return self.keep(node),
            NodeChange::Aside => (Op::Keep, Reasons::default()),
            NodeChange::Leave(why) => (Op::Keep, why.as_str().into()),
        };
        let why = reason.all.join("; ");
        self.change(op, ObjectKind::Domain, &node.name, self.size(node), reason);
        match node_change {
            NodeChange::Create | NodeChange::Replace(_) => {
                let gone = self.stopped.get(node.name.as_str()).copied();
                self.build(node, gone, &why);
            }
            NodeChange::Restart(_) => self.rebuild(node, &why),
            NodeChange::Live(changes, _) => self.live(node, changes, &why),
            // It is off: whatever else it lacks is made before it starts.
            NodeChange::Record(_) if self.is_off(node) => self.rebuild(node, &why),
            NodeChange::Record(_) => {
                // A run may have ended when it had unplugged a disk.
                let gone = self.discard(node, &[]);
                self.builder.add(self.define(node), gone, why.as_str());
                self.go_on(node, None, &why);
            }
            NodeChange::Leave(_) if self.is_off(node) => {
                self.start_again(node, Vec::new(), "it is not running");
            }
            NodeChange::Keep | NodeChange::Aside | NodeChange::Leave(_) => {}
        }
    }

    /// What is lost with the disks of a node that is made again.
    fn lost(&self, node: &Node) -> Option<String> {
        let domain = self.observed.domains.get(&node.name)?;
        let there =
            |disk: &&Disk| self.observed.has_volume(disk.pool_or(&domain.pool), &disk.volume);
        let disks = domain.recorded.disks.iter().filter(there).map(|disk| match disk.size {
            Some(size) => format!("{} ({size})", disk.device),
            None => disk.device.to_string(),
        });
        let disks: Vec<String> = disks.collect();
        (!disks.is_empty()).then(|| format!("all data on {} is lost", disks.join(", ")))
    }

    /// How large a node is, and how it starts if it is new.
    fn size(&self, node: &Node) -> String {
        let size = describe::size(node);
        let took = |how| {
            let seconds = self.observed.starts.seconds(node, how);
            seconds.map(|s| format!(" ({s} s last time)")).unwrap_or_default()
        };
        match self.warm.get(&node.name) {
            Some(Ok(_)) => format!("{size}, warm{}", took(How::Warm)),
            Some(Err(_)) if !node.deploy_os => format!("{size}, cold: it has no operating system"),
            Some(Err(why)) => format!("{size}, cold: {why}{}", took(How::Cold)),
            None => size,
        }
    }

    fn starts_from(&self, node: &Node) -> Option<Template> {
        self.warm.get(&node.name)?.as_ref().ok().cloned()
    }

    /// Why a node is made whose domain is not there, or is not believed.
    fn create_reason(&self, node: &Node) -> (Op, Reasons) {
        if let Some(edited) = self.observed.edited(ObjectKind::Domain, &node.name) {
            let how = "defined again, keeps its disks";
            return (Op::Update, Reasons::how(vec![edited.why.clone()], how));
        }
        let reason = match self.orphans.contains_key(&node.name) {
            true => "it was undefined outside Maquette; its disks are kept",
            false => "it does not exist",
        };
        (Op::Create, reason.into())
    }

    /// Where a node's volumes are: those of one that exists stay where they are.
    pub(super) fn pool(&self, node: &str) -> Pool {
        let existing = self.observed.domains.get(node).map(|d| &d.pool);
        let existing = existing.or(self.orphans.get(node).map(|o| &o.pool));
        existing.unwrap_or(&self.blueprint.pool).clone()
    }

    fn define(&self, node: &Node) -> Action {
        Action::DefineDomain {
            node: Box::new(self.before_zone(node)),
            environment: self.blueprint.environment.clone(),
            pool: self.pool(&node.name),
        }
    }

    /// A node from nothing: definition, volumes, start.
    fn build(&mut self, node: &Node, after: impl IntoIterator<Item = StepId>, reason: &str) {
        let mut after: Vec<StepId> = after.into_iter().collect();
        if self.blueprint.extend {
            // Should this be interrupted, its networks tell which nodes belong to it.
            after.extend(self.started.values());
        }
        let defined = self.builder.add(self.define(node), after, reason);
        let mut before = vec![defined];
        for disk in &node.disks {
            before.push(self.volume(node, disk, defined, reason));
        }
        before.extend(node.guest.as_ref().map(|_| self.seed(node, defined, reason)));
        self.begin(node, before, reason);
    }

    /// Starts a new node.
    fn begin(&mut self, node: &Node, before: Vec<StepId>, reason: &str) {
        match self.starts_from(node).zip(readiness(node)) {
            Some((template, ready)) => self.restore(node, template, ready, before, reason),
            None => self.start(node, before, reason),
        }
    }

    fn volume(&mut self, node: &Node, disk: &Disk, defined: StepId, reason: &str) -> StepId {
        let first = node.disks.first().is_some_and(|first| first.volume == disk.volume);
        if let Some(template) = self.starts_from(node).filter(|_| first) {
            return self.overlay((node, disk), &template, defined, reason);
        }
        let fetched =
            disk.backing.as_ref().and_then(|i| self.fetched.get(i.volume.as_str())).copied();
        let (disk, pool) = (Box::new(disk.clone()), self.pool(&node.name));
        let runs = self.disk_pool(&disk, defined);
        let create = Action::CreateVolume { disk, pool, over: None };
        let after = [Some(defined), fetched, runs];
        self.builder.add(create, after.into_iter().flatten(), reason)
    }

    fn seed(&mut self, node: &Node, defined: StepId, reason: &str) -> StepId {
        let (volume, files) = match &node.guest {
            Some(guest) => {
                let first_boot = guest.first_boot.and_then(|d| self.blueprint.first_boots.get(&d));
                let files = seed_files(node, guest, &(self.keys)(node), first_boot);
                (guest.seed.clone(), files)
            }
            None => (FileName::of_seed(&node.name), Vec::new()),
        };
        let create = Action::CreateSeed { volume, pool: self.pool(&node.name), files };
        self.builder.add(create, [defined], reason)
    }

    fn is_off(&self, node: &Node) -> bool {
        self.observed.domains.get(&node.name).is_some_and(|d| !d.active)
    }

    /// Whether a node's seed may be half filled.
    fn is_unproven(&self, node: &Node) -> bool {
        let domain = self.observed.domains.get(&node.name);
        // One that gets a guest only now has no seed yet.
        node.guest.is_some() && domain.is_some_and(|d| !d.active && !d.ready)
    }

    /// Everything of a node that is not in its pool, or may not be whole there.
    fn missing(&mut self, node: &Node, defined: StepId, reason: &str) -> Vec<StepId> {
        let pool = self.pool(&node.name);
        let missing = self.observed.missing_volumes(node, &pool);
        let mut made = Vec::new();
        for disk in node.disks.iter().filter(|d| missing.contains(&d.volume.as_str())) {
            self.lost_disk(node, disk);
            made.push(self.volume(node, disk, defined, reason));
        }
        let no_seed = node.guest.as_ref().is_some_and(|g| missing.contains(&g.seed.as_str()));
        if no_seed || self.is_unproven(node) {
            made.push(self.seed(node, defined, reason));
        }
        made
    }

    /// Whether a node is off that somebody switches by its BMC: whoever does that has switched it off.
    fn is_switched_by_bmc(&self, node: &Node) -> bool {
        let Some(domain) = self.observed.domains.get(&node.name) else { return false };
        let has_bmc = node.bmc.is_some() && domain.recorded.bmc.is_some();
        let whole = self.observed.missing_volumes(node, &domain.pool).is_empty();
        has_bmc && domain.ready && !domain.active && whole
    }

    /// Starts a node that is there, unless somebody has switched it off by its BMC.
    fn start_again(&mut self, node: &Node, after: Vec<StepId>, reason: &str) {
        if !self.is_switched_by_bmc(node) {
            self.start(node, after, reason);
        }
    }

    fn start(&mut self, node: &Node, mut after: Vec<StepId>, reason: &str) {
        after.extend(node.interfaces.iter().filter_map(|i| self.started.get(&i.network)));
        let start = Action::StartDomain { name: node.name.clone(), ready: readiness(node) };
        self.builder.add(start, after, reason);
    }

    /// Deletes volumes that a node does not want any more, as long as its record still names them.
    fn discard(&mut self, node: &Node, after: &[StepId]) -> Vec<StepId> {
        let Some(domain) = self.observed.domains.get(&node.name) else { return Vec::new() };
        let kept: BTreeSet<&str> = node.volumes().collect();
        let dropped = domain.recorded.placed(&domain.pool).filter(|(_, v)| !kept.contains(v));
        let mut gone = Vec::new();
        for (pool, volume) in dropped.filter(|(pool, v)| self.observed.has_volume(pool, v)) {
            let (holders, name) = (self.observed.claims.holders(pool, volume), volume.to_string());
            let after = after.iter().copied().chain(self.leaving.runs(pool));
            if !holders.is_empty() {
                self.changes.push(in_use::stays(self.observed, &node.name, volume, &holders));
                let pruned = in_use::is_pruned(pool, &domain.pool);
                if pruned && self.observed.claims.is_only_cloned(pool, volume) {
                    let keep = Action::KeepVolume { volume: name, pool: pool.clone() };
                    gone.push(self.builder.add(keep, after, UNWANTED));
                }
                continue;
            }
            let delete = Action::DeleteVolume { volume: name, pool: pool.clone() };
            let step = self.builder.add(delete, after, UNWANTED);
            self.change(Op::Delete, ObjectKind::Volume, volume, String::new(), UNWANTED);
            self.leaving.deleted(pool, step);
            gone.push(step);
        }
        gone.extend(self.leaving.remove(&node.name, &mut self.builder));
        gone
    }

    /// A node that keeps its disks: new definition, larger or further volumes, start.
    fn rebuild(&mut self, node: &Node, reason: &str) {
        let stopped: Vec<StepId> =
            self.stopped.get(node.name.as_str()).copied().into_iter().collect();
        let mut before = self.discard(node, &stopped);
        before.extend(stopped);
        for (volume, pool, bytes) in self.grown(node) {
            let after: Vec<StepId> =
                before.iter().copied().chain(self.leaving.runs(&pool)).collect();
            let resize = Action::ResizeVolume { volume, pool, bytes };
            before.push(self.builder.add(resize, after, reason));
        }
        if let Some(domain) = self.observed.domains.get(&node.name).filter(|d| d.active) {
            // As long as the guest runs, it still has what nobody else can find any more.
            for volume in self.observed.missing_volumes(node, &domain.pool) {
                let why = "it was deleted outside Maquette, and a new one is made";
                if domain.recorded.volumes().any(|v| v == volume) {
                    self.change(Op::Replace, ObjectKind::Volume, volume, String::new(), why);
                }
            }
        }
        let defined = self.builder.add(self.define(node), before, reason);
        let mut ready = vec![defined];
        ready.extend(self.missing(node, defined, reason));
        self.start_again(node, ready, reason);
    }

    /// Volumes that are there and shall be larger, with their pools and new sizes in bytes.
    fn grown(&self, node: &Node) -> Vec<(String, Pool, u64)> {
        let Some(domain) = self.observed.domains.get(&node.name) else { return Vec::new() };
        let old = |disk: &Disk| {
            domain.recorded.disks.iter().find(|d| d.volume == disk.volume).and_then(|d| d.size)
        };
        let there =
            |disk: &&Disk| self.observed.has_volume(disk.pool_or(&domain.pool), &disk.volume);
        let disks = node.disks.iter().filter(there);
        let larger = disks.filter_map(|d| {
            let size = d.size.filter(|size| Some(*size) != old(d))?;
            Some((d.volume.to_string(), d.pool_or(&domain.pool).clone(), size.0))
        });
        larger.collect()
    }

    /// A node that changes while it runs. What goes is gone before the definition forgets it; what
    /// comes is made after the definition names it.
    fn live(&mut self, node: &Node, changes: &[LiveChange], reason: &str) {
        let comes = |c: &LiveChange| {
            matches!(c, LiveChange::AttachDisk { .. } | LiveChange::AttachInterface { .. })
        };
        let action = |change: &LiveChange| Action::ChangeDomain {
            name: node.name.clone(),
            change: change.clone(),
        };
        let mut before = Vec::new();
        for change in changes.iter().filter(|c| !comes(c)) {
            let id = self.builder.add(action(change), [], reason);
            before.push(id);
            if matches!(change, LiveChange::DetachInterface { .. }) {
                self.unplugged.push(id);
            }
        }
        before.extend(self.discard(node, &before));
        let defined = self.builder.add(self.define(node), before, reason);
        let mut made = vec![defined];
        made.extend(self.missing(node, defined, reason));
        // One after the other: a guest counts what is plugged in.
        let mut last = None;
        let goes = changes.iter().any(|c| !comes(c));
        for change in changes.iter().filter(|c| comes(c)) {
            let mut after: Vec<StepId> = made.iter().copied().chain(last).collect();
            if let LiveChange::AttachInterface { interface } = change {
                after.extend(self.started.get(&interface.network));
            }
            last = Some(self.builder.add(action(change), after, reason));
        }
        // A guest that starts from a template looks for all it has as soon as it goes on; only one that runs lets go of anything.
        self.go_on(node, last.filter(|_| !goes), reason);
    }

    /// Resumes a node that is paused, and waits for one whose first boot was not seen to end, which is resumed when it is
    /// listened to: it may be one that has to hear first who it is. One that is paused goes on once it has what is plugged in
    /// last.
    fn go_on(&mut self, node: &Node, plugged: Option<StepId>, reason: &str) {
        let Some(domain) = self.observed.domains.get(&node.name).filter(|d| d.active) else {
            return;
        };
        let plugged = plugged.filter(|_| domain.paused);
        let booting = !domain.ready;
        let name = node.name.clone();
        if let Some(ready) = readiness(node).filter(|_| booting) {
            self.builder.add(Action::AwaitDomain { name, ready }, plugged, reason);
            return;
        }
        let resumed = domain.paused.then(|| {
            let resume = Action::ResumeDomain { name: name.clone() };
            self.builder.add(resume, plugged, reason)
        });
        if booting {
            // It runs already, so that only this is noted.
            self.builder.add(Action::StartDomain { name, ready: None }, resumed, reason);
        }
    }

    /// A node as it is wanted: only what an interrupted run or a user left undone.
    fn keep(&mut self, node: &Node) {
        let Some(domain) = self.observed.domains.get(&node.name) else { return };
        let size = self.size(node);
        if self.is_switched_by_bmc(node) {
            self.change(Op::Keep, ObjectKind::Domain, &node.name, size, SWITCHED);
            return;
        }
        if !domain.active {
            let missing = self.observed.missing_volumes(node, &domain.pool);
            let reason = match missing.is_empty() {
                true => "it is not running".to_string(),
                false => format!("it is not finished: {} missing", missing.join(", ")),
            };
            self.change(Op::Update, ObjectKind::Domain, &node.name, size, reason.as_str());
            let mut before = Vec::new();
            if !missing.is_empty() || self.is_unproven(node) {
                // Defining it again costs nothing and gives the volumes something to wait for.
                let defined = self.builder.add(self.define(node), [], &reason);
                before.push(defined);
                before.extend(self.missing(node, defined, &reason));
            }
            self.begin(node, before, &reason);
            return;
        }
        let reason = match (domain.paused, domain.ready) {
            (true, _) => "it is paused",
            (false, false) if readiness(node).is_some() => "its first boot was not seen to end",
            (false, false) => "a run ended before it was noted that it had started",
            (false, true) => {
                self.change(Op::Keep, ObjectKind::Domain, &node.name, size, "");
                return;
            }
        };
        self.change(Op::Update, ObjectKind::Domain, &node.name, size, reason);
        self.go_on(node, None, reason);
    }
}
