//! Extensions that were interrupted. The networks know all nodes of the latest extension before any of them
//! is made, whatever their types: as long as one of them is unfinished, the same command goes on with these
//! and adds no others.

use std::collections::BTreeSet;

use crate::blueprint::Node;
use crate::observed::Observed;
use crate::values::NodeName;

/// Names of the nodes that came with the latest extension.
fn latest(observed: &Observed) -> BTreeSet<&NodeName> {
    let tenants = observed.networks.values().flat_map(|n| &n.recorded.tenants);
    tenants.filter(|t| t.extension).map(|t| &t.node).collect()
}

/// Those of them that have no domain yet.
pub(super) fn missing(observed: &Observed) -> BTreeSet<&NodeName> {
    latest(observed).into_iter().filter(|node| !observed.domains.contains_key(*node)).collect()
}

/// Whether the latest extension was interrupted.
pub(super) fn is_unfinished(observed: &Observed) -> bool {
    latest(observed).into_iter().any(|name| {
        let Some(domain) = observed.domains.get(name) else { return true };
        let node = &domain.recorded;
        // A node without a guest is through once it was started; then it may be off because somebody
        // switched it off.
        let waiting = !domain.ready && (node.guest.is_some() || !domain.active);
        waiting || !observed.missing_volumes(node, &domain.pool).is_empty()
    })
}

/// Names of the nodes that are to be noted as the latest extension, among those that there will be.
pub(super) fn came_with(nodes: &[Node], observed: &Observed, extend: bool) -> BTreeSet<NodeName> {
    let new = nodes.iter().filter(|n| extend && !observed.domains.contains_key(&n.name));
    let new: BTreeSet<NodeName> = new.map(|n| n.name.clone()).collect();
    if !new.is_empty() && !is_unfinished(observed) {
        return new;
    }
    latest(observed).into_iter().cloned().chain(new).collect()
}
