//! Steps of nodes about the pools of the directories that their disks name.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::{Planner, UNWANTED};
use super::pools::{change, reason};
use super::remove::remove_orphan;
use super::{Action, Op, StepId};
use crate::blueprint::{Disk, Node, Pool, Volume};
use crate::object::ObjectKind;
use crate::observed::Orphan;
use crate::values::NodeName;

impl Planner<'_> {
    /// Deletes what nodes whose domains somebody undefined have in directories that they do not name any more.
    pub(super) fn strays(&mut self, orphans: &BTreeMap<NodeName, Orphan>) {
        let about = |o: &&Orphan| self.blueprint.is_about(&o.node);
        for orphan in orphans.values().filter(about) {
            let Some(node) = self.blueprint.node(&orphan.node) else { continue };
            let wanted: BTreeSet<(&Pool, &str)> = node.placed(&orphan.pool).collect();
            let stray = |(pool, volume): &(Pool, String)| {
                *pool != orphan.pool && !wanted.contains(&(pool, volume.as_str()))
            };
            let volumes = orphan.volumes.iter().filter(|placed| stray(placed)).cloned().collect();
            let stray = Orphan { volumes, ..orphan.clone() };
            let to = (&mut self.builder, &mut self.leaving);
            self.changes.extend(remove_orphan(&stray, None, UNWANTED, to));
        }
    }

    /// Says that a disk is lost which a node has had, and which is in a directory of its own: that may be not mounted, and then
    /// what is written to a new one hides what there was.
    pub(super) fn lost_disk(&mut self, node: &Node, disk: &Disk) {
        let Some(domain) = self.observed.domains.get(&node.name).filter(|d| d.ready) else {
            return;
        };
        let Some(own) = &disk.pool else { return };
        let had = |old: &Disk| old.volume == disk.volume && old.pool.as_ref() == Some(own);
        if domain.recorded.disks.iter().any(had) {
            let (path, size) =
                (&own.pool.path, disk.size.map_or_else(String::new, |s| s.to_string()));
            let reason =
                format!("it is not in {path} any more; is that mounted? A new one is made");
            self.change(Op::Replace, ObjectKind::Volume, &disk.volume, size, reason.as_str());
        }
    }

    /// The step after which a record names a pool: that of a network, so that nothing of one node holds up another one, or
    /// where no network does the node's own. None if a network's names it already.
    fn named(&self, pool: &Pool, defined: StepId) -> Option<StepId> {
        let names = |volume: &Volume| volume.pool.as_ref().is_some_and(|own| own.pool == *pool);
        let mut networks = self.blueprint.networks.iter();
        match networks.find(|n| n.tenants.iter().any(|t| t.volumes.iter().any(names))) {
            Some(network) => self.started.get(&network.name).copied(),
            None => Some(defined),
        }
    }

    /// The step after which the pool runs that a disk names, if there has to be one.
    pub(super) fn disk_pool(&mut self, disk: &Disk, defined: StepId) -> Option<StepId> {
        let own = disk.pool.as_ref()?;
        if let Some(made) = self.made.get(&own.pool).copied().or(self.leaving.runs(&own.pool)) {
            return Some(made);
        }
        if !self.observed.lacks_pool(&own.pool) {
            return None;
        }
        let why = reason(self.observed, own);
        self.changes.push(change(Op::Create, &own.pool, why));
        let named = self.named(&own.pool, defined);
        let made = self.builder.add(Action::MakePool { pool: own.clone() }, named, why);
        self.made.insert(own.pool.clone(), made);
        Some(made)
    }
}
