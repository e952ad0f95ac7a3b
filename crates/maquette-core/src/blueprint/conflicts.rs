//! What stands in the way on the hypervisor: names and subnets that others have.

use super::Blueprint;
use super::allocation::{taken, taken_error};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::observed::Observed;
use crate::topology::Topology;

/// Longest label of a host name (RFC 1123).
const LONGEST_HOST_NAME: usize = 63;

/// Reports every object that cannot be made because something of the same name or address exists
/// and is not ours. Without `networks` those are somebody else's business, a playbook's for instance, and
/// may well be there.
pub fn conflicts(
    topology: &Topology,
    blueprint: &Blueprint,
    observed: &Observed,
    networks: bool,
    diags: &mut Diagnostics,
) {
    let foreign = |kind: &str, name: &str| {
        Diagnostic::error(
            "hypervisor::name-taken",
            format!("the {kind} `{name}` exists and does not belong to this environment"),
        )
        .help("remove or rename it, or build this environment under a `--prefix`")
    };
    if networks && let Some((net, span, owner)) = taken(topology, observed) {
        let prefixed = topology.settings.environment.prefix().is_some();
        diags.push(taken_error(net, span, owner, prefixed));
    }
    let own = blueprint.networks.iter().filter(|_| networks);
    for (i, network) in own.enumerate() {
        let bridge = &network.bridge;
        if observed.claims.networks.contains(&network.name) {
            diags.push(foreign("network", &network.name));
        } else if observed.claims.bridges.contains(bridge)
            && !observed.networks.contains_key(&network.name)
        {
            diags.push(foreign("network interface", bridge));
        }
        if let Some(first) = blueprint.networks[..i].iter().find(|n| n.bridge == *bridge) {
            let names = format!("`{}` and `{}`", first.name, network.name);
            let message = format!("networks {names} would share the bridge name `{bridge}`");
            diags.push(
                Diagnostic::error("topology::bridge-name", message).help("rename one of them"),
            );
        }
    }
    let orphans = observed.orphans();
    for node in &blueprint.nodes {
        if observed.claims.domains.contains(&node.name) {
            diags.push(foreign("domain", &node.name));
        }
        if observed.domains.contains_key(&node.name) {
            continue;
        }
        if node.name.len() > LONGEST_HOST_NAME {
            let message = format!("`{}` is too long for a host name", node.name);
            let help = format!("host names have at most {LONGEST_HOST_NAME} characters");
            diags.push(Diagnostic::error("topology::host-name", message).help(help));
        }
        let own = orphans.get(&node.name);
        for volume in node.volumes() {
            let ours = own.is_some_and(|o| o.volumes.contains(volume));
            if !ours && observed.has_volume(&blueprint.pool, volume) {
                diags.push(foreign("volume", volume));
            }
        }
    }
}
