//! BMCs: one service of an environment on the hypervisor serves all of them. What that serves is compared with what is
//! wanted; it is told of all at once.

use std::collections::BTreeSet;

use super::diff::{Planner, UNWANTED};
use super::{Action, Op, StepId};
use crate::blueprint::BmcNode;
use crate::object::ObjectKind;
use crate::values::NodeName;

impl Planner<'_> {
    /// What is done about the BMCs of all nodes.
    pub(super) fn bmcs(&mut self) {
        // Who has not the environment's secret cannot say what they are.
        let Some(tag) = &self.blueprint.bmc_tag else { return };
        let (networks, observed) = (&self.blueprint.networks, self.observed);
        let nodes = self.blueprint.nodes.iter();
        let wanted: Vec<BmcNode> =
            nodes.filter_map(|node| BmcNode::of(node, networks, tag)).collect();
        let served = observed.bmcs.as_ref();
        let known = |node: &BmcNode| served.and_then(|s| s.digests.get(&node.name));
        let names: BTreeSet<&NodeName> = wanted.iter().map(|node| &node.name).collect();
        let gone = served.into_iter().flat_map(|s| s.digests.keys());
        let gone: Vec<NodeName> = gone.filter(|name| !names.contains(name)).cloned().collect();
        let whole = self.whole_reason(&wanted);
        let mut reasons: BTreeSet<&str> = whole.iter().map(String::as_str).collect();
        for name in &gone {
            self.change(Op::Delete, ObjectKind::Bmc, name, String::new(), UNWANTED);
            reasons.insert("nodes have none any more");
        }
        for node in &wanted {
            let (op, reason) = match known(node) {
                None => (Op::Create, "it does not exist"),
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
        let environment = self.blueprint.environment.clone();
        let reason = reasons.into_iter().collect::<Vec<_>>().join("; ");
        match (wanted.is_empty(), served.is_some()) {
            (true, false) => {}
            (true, true) => {
                self.builder.add(Action::StopBmcs { environment }, [], UNWANTED);
            }
            (false, _) if reason.is_empty() => {}
            (false, _) => {
                // They are at addresses of networks that run.
                let started = wanted.iter().filter_map(|n| self.started.get(&n.bmc.network));
                let after: Vec<StepId> = started.copied().collect();
                self.builder.add(Action::ServeBmcs { environment, nodes: wanted }, after, reason);
            }
        }
    }

    /// Why all of them are to be served anew, if they are.
    fn whole_reason(&self, wanted: &[BmcNode]) -> Option<String> {
        let served = self.observed.bmcs.as_ref()?;
        let addresses = &self.observed.host.addresses;
        let lost =
            |node: &&BmcNode| node.bridge.is_some() && !addresses.contains(&node.bmc.address);
        if !served.run {
            Some("it is not served".into())
        } else if wanted.iter().any(|node| self.started.contains_key(&node.bmc.network)) {
            Some("its network starts".into())
        } else {
            wanted.iter().find(lost).map(|node| format!("address {} is gone", node.bmc.address))
        }
    }
}
