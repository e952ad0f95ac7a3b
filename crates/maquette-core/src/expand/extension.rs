//! Extensions that were interrupted. The networks know all nodes of the latest extension before any of them
//! is made, whatever their types: as long as one of them is unfinished, the same command goes on with these
//! and adds no others.

use std::collections::{BTreeMap, BTreeSet};

use crate::blueprint::Node;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::observed::Observed;
use crate::topology::Topology;
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
    !unfinished(observed).is_empty()
}

/// The nodes of the latest extension that are not finished.
fn unfinished(observed: &Observed) -> BTreeSet<&NodeName> {
    let mut all = latest(observed);
    all.retain(|name| {
        let Some(domain) = observed.domains.get(*name) else { return true };
        // It may be off because somebody switched it off. One that runs and of which that is not noted was started by the
        // run that was interrupted: the next one notes it, whether a guest is waited for or not.
        !domain.ready || !observed.missing_volumes(&domain.recorded, &domain.pool).is_empty()
    });
    all
}

/// Refuses an extension by other nodes than the latest one has, as long as that is unfinished: it would be finished
/// instead, and what is asked for would not be made.
pub(super) fn refuse_another(topology: &Topology, observed: &Observed, diags: &mut Diagnostics) {
    if !topology.settings.extend || !is_unfinished(observed) {
        return;
    }
    let environment = &topology.settings.environment;
    let latest = latest(observed);
    let mut noted: BTreeMap<String, u32> = BTreeMap::new();
    for name in &latest {
        let own = name.as_str().strip_prefix(&environment.qualify("")).unwrap_or(name.as_str());
        let role = own.rsplit_once('-').map_or(own, |(role, _)| role);
        *noted.entry(role.into()).or_default() += 1;
    }
    let asked = topology.roles.iter().filter(|role| role.count > 0);
    let asked: BTreeMap<String, u32> =
        asked.map(|role| (role.name.value.to_string(), role.count)).collect();
    if asked == noted {
        return;
    }
    let list = |all: &BTreeMap<String, u32>| match all.is_empty() {
        true => "no nodes".to_string(),
        false => {
            let all = all.iter().map(|(role, count)| format!("{role}:{count}"));
            format!("`{}`", all.collect::<Vec<_>>().join(","))
        }
    };
    let (noted, asked) = (list(&noted), list(&asked));
    let nodes: Vec<&str> = unfinished(observed).into_iter().map(|name| name.as_str()).collect();
    let message =
        format!("the latest extension, by {noted}, is not finished, and this one is by {asked}");
    diags.push(
        Diagnostic::error("project::extend", message)
            .help(format!("`--topology-extend` with `--topology-nodes` {noted} finishes it first"))
            .help(format!("`maquette down {}` gives the unfinished up", nodes.join(" "))),
    );
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
