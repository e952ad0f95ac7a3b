//! BMCs: one service of an environment on the hypervisor serves all of them. What that serves is compared with what is
//! wanted; it is told of all at once.

use std::collections::BTreeSet;

use super::diff::{Planner, UNWANTED};
use super::node_change::{NodeChange, NodeChanges};
use super::{Action, Op, StepId};
use crate::blueprint::BmcNode;
use crate::object::ObjectKind;
use crate::values::NodeName;

/// Why the BMC of a node that is made again is one that nobody has changed.
const ANEW: &str = "its node is made again";

impl Planner<'_> {
    /// The BMCs that are wanted; none where that is not known.
    fn wanted_bmcs(&self) -> Option<Vec<BmcNode>> {
        // Who does not have the environment's secret cannot say what they are.
        let tag = self.blueprint.bmc_tag.as_ref()?;
        let nodes = self.blueprint.nodes.iter();
        Some(nodes.filter_map(|node| BmcNode::of(node, self.blueprint, tag)).collect())
    }

    /// Takes away BMCs that are not wanted any more, before their nodes go: one could switch its node on again meanwhile. Those
    /// of nodes that are made again go with all that they remember, accounts as well.
    pub(super) fn forget_bmcs(&mut self, node_changes: &NodeChanges) {
        let (Some(wanted), Some(served)) = (self.wanted_bmcs(), &self.observed.bmcs) else {
            return;
        };
        let names: BTreeSet<&NodeName> = wanted.iter().map(|node| &node.name).collect();
        let gone = served.digests.keys().filter(|name| !names.contains(name));
        let mut nodes: Vec<NodeName> = gone.cloned().collect();
        for name in &nodes {
            self.change(Op::Delete, ObjectKind::Bmc, name, String::new(), UNWANTED);
        }
        let was_there = |name: &NodeName| {
            let edited = self.observed.edited(ObjectKind::Domain, name).is_some();
            edited || self.orphans.contains_key(name)
        };
        let anew = served.digests.keys().filter(|name| match node_changes.nodes.get(*name) {
            Some(NodeChange::Replace(_)) => true,
            Some(NodeChange::Create) => was_there(name),
            _ => false,
        });
        self.renewed = anew.cloned().collect();
        nodes.extend(self.renewed.iter().cloned());
        let reason = if self.renewed.len() == nodes.len() { ANEW } else { UNWANTED };
        let environment = self.blueprint.environment.clone();
        let action = match (nodes.len() == served.digests.len(), nodes.is_empty()) {
            // What a run that was killed has left may have none.
            (true, _) if wanted.is_empty() || !nodes.is_empty() => Action::StopBmcs { environment },
            (_, true) => return,
            (_, false) => Action::ForgetBmcs { environment, nodes },
        };
        self.unserved = Some(self.builder.add(action, [], reason));
    }

    /// Has the BMCs of all nodes served that have one.
    pub(super) fn bmcs(&mut self) {
        let Some(wanted) = self.wanted_bmcs().filter(|wanted| !wanted.is_empty()) else { return };
        let served = self.observed.bmcs.as_ref();
        let known = |node: &BmcNode| served.and_then(|s| s.digests.get(&node.name));
        let whole = self.whole_reason(&wanted);
        let mut reasons: BTreeSet<&str> = whole.iter().map(String::as_str).collect();
        for node in &wanted {
            let (op, reason) = match known(node) {
                None => (Op::Create, "it does not exist"),
                Some(_) if self.renewed.contains(&node.name) => (Op::Replace, ANEW),
                Some(digest) if *digest != node.digest => (Op::Update, "it changes"),
                Some(_) => match &whole {
                    Some(why) => (Op::Update, why.as_str()),
                    None => (Op::Keep, ""),
                },
            };
            self.change(op, ObjectKind::Bmc, &node.name, node.bmc.describe(), reason);
            if op != Op::Keep {
                reasons.insert(if op == Op::Create { "nodes have new ones" } else { reason });
            }
        }
        if reasons.is_empty() {
            return;
        }
        let reason = reasons.into_iter().collect::<Vec<_>>().join("; ");
        // They are at addresses of networks that run, and one process at a time has their directory.
        let started = wanted.iter().filter_map(|n| self.started.get(&n.bmc.network));
        let mut after: Vec<StepId> = started.copied().chain(self.unserved).collect();
        // Not before their disks have gone.
        let stopped = self.renewed.iter().filter_map(|name| self.stopped.get(name.as_str()));
        after.extend(stopped);
        let environment = self.blueprint.environment.clone();
        self.builder.add(Action::ServeBmcs { environment, nodes: wanted }, after, reason);
    }

    /// Why all of them are to be served again, if they are.
    fn whole_reason(&self, wanted: &[BmcNode]) -> Option<String> {
        let served = self.observed.bmcs.as_ref()?;
        let addresses = &self.observed.host.addresses;
        let lost =
            |node: &&BmcNode| node.bridge.is_some() && !addresses.contains(&node.bmc.address);
        if !served.run {
            Some("it is not served".into())
        } else if wanted.iter().any(|node| self.builder.starts_network(&node.bmc.network)) {
            Some("its network starts".into())
        } else {
            wanted.iter().find(lost).map(|node| format!("address {} is gone", node.bmc.address))
        }
    }
}
