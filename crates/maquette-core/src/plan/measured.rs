//! How long the first starts of a run's nodes took.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Step, StepId};
use crate::blueprint::Node;
use crate::start_times::How;

/// The first starts among steps, with the nodes and how many seconds they took. `took` has that of the steps that are done;
/// `booted` the nodes that booted although a template was there for them, and how long these boots took, without what was
/// tried before.
pub fn measured<'a>(
    steps: &'a [Step],
    took: &BTreeMap<StepId, u64>,
    booted: &BTreeMap<String, u64>,
) -> Vec<(&'a Node, How, u64)> {
    let mut nodes: BTreeMap<&str, &Node> = BTreeMap::new();
    let mut made: BTreeSet<&str> = BTreeSet::new();
    for step in steps {
        match &step.action {
            Action::DefineDomain { node, .. } => drop(nodes.insert(node.name.as_str(), node)),
            Action::CreateVolume { disk, .. } => drop(made.insert(disk.volume.as_str())),
            _ => {}
        }
    }
    let is_new = |node: &Node| node.disks.first().is_some_and(|d| made.contains(d.volume.as_str()));
    let start = |step: &'a Step| {
        let took = *took.get(&step.id)?;
        match &step.action {
            Action::RestoreDomain { node, .. } => match booted.get(node.name.as_str()) {
                Some(seconds) => Some((node.as_ref(), How::Cold, *seconds)),
                None => Some((node.as_ref(), How::Warm, took)),
            },
            Action::StartDomain { name, ready: Some(_) } => {
                let node = nodes.get(name.as_str()).filter(|node| is_new(node))?;
                Some((*node, How::Cold, took))
            }
            _ => None,
        }
    };
    steps.iter().filter_map(start).collect()
}
