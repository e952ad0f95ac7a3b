//! What stands in the way on the hypervisor: names and subnets that others have.

use super::Blueprint;
use super::allocation::{taken, taken_error};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::observed::Observed;
use crate::topology::Topology;

/// Reports every object that cannot be made because something of the same name or address exists
/// and is not ours.
pub fn conflicts(
    topology: &Topology,
    blueprint: &Blueprint,
    observed: &Observed,
    diags: &mut Diagnostics,
) {
    let foreign = |kind: &str, name: &str| {
        Diagnostic::error(
            "hypervisor::name-taken",
            format!("the {kind} `{name}` exists and does not belong to this environment"),
        )
        .help("remove or rename it, or build this environment under a `--prefix`")
    };
    if let Some((net, span, owner)) = taken(topology, observed) {
        let prefixed = topology.settings.environment.prefix().is_some();
        diags.push(taken_error(net, span, owner, prefixed));
    }
    for network in &blueprint.networks {
        if observed.claims.networks.contains(&network.name) {
            diags.push(foreign("network", &network.name));
        } else if observed.claims.bridges.contains(&network.name)
            && !observed.networks.contains_key(&network.name)
        {
            diags.push(foreign("network interface", &network.name));
        }
    }
    for node in &blueprint.nodes {
        if observed.claims.domains.contains(&node.name) {
            diags.push(foreign("domain", &node.name));
        }
        if observed.domains.contains_key(&node.name) {
            continue;
        }
        let seed = node.guest.iter().map(|g| &g.seed);
        for volume in node.disks.iter().map(|d| &d.volume).chain(seed) {
            if observed.has_volume(&blueprint.pool, volume) {
                diags.push(foreign("volume", volume));
            }
        }
    }
}
