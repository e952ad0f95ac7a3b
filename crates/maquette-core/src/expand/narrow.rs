//! A blueprint for some nodes of an environment: all else stays as it is recorded.

use std::collections::BTreeSet;

use super::{Context, networks, recorded, same_addresses};
use crate::blueprint::{Blueprint, Network, Node};
use crate::diagnostic::Diagnostics;
use crate::observed::Observed;

/// Leaves of a whole blueprint the nodes of some names, and the networks that they are on. Other nodes and networks are
/// those that are there, as they are recorded; what is not there is not made.
pub fn narrow(
    whole: Blueprint,
    names: &BTreeSet<String>,
    context: &Context<'_>,
    diags: &mut Diagnostics,
) -> Blueprint {
    let observed = context.observed;
    let there = recorded(observed.domains.values(), context);
    let is_wanted = |node: &Node| whole.nodes.iter().any(|n| n.name == node.name);
    let more = there.iter().filter(|node| !is_wanted(node)).cloned();
    let wanted = whole.nodes.iter().filter_map(|node| match names.contains(node.name.as_str()) {
        true => Some(node.clone()),
        false => there.iter().find(|n| n.name == node.name).cloned(),
    });
    let nodes: Vec<Node> = wanted.chain(more).collect();
    // Others keep what they have, also an address that is one of these by now.
    same_addresses(&nodes, diags);
    let selected = nodes.iter().filter(|node| names.contains(node.name.as_str()));
    let needed: BTreeSet<&str> =
        selected.flat_map(|n| &n.interfaces).map(|i| i.network.as_str()).collect();
    let old = |name: &str| observed.networks.get(name).map(|n| n.recorded.clone());
    let mut networks: Vec<Network> = whole
        .networks
        .iter()
        .filter_map(|network| match needed.contains(network.name.as_str()) {
            true => Some(entered(network, &nodes, names, &whole, observed)),
            false => old(&network.name),
        })
        .collect();
    let is_known = |name: &str| whole.networks.iter().any(|n| n.name == name);
    networks.extend(observed.networks.keys().filter(|name| !is_known(name)).filter_map(|n| old(n)));
    Blueprint { networks, nodes, only: Some(names.clone()), ..whole }
}

/// A network with the nodes that are on it: what it keeps for others whose domains are gone, it goes on keeping.
fn entered(
    network: &Network,
    nodes: &[Node],
    names: &BTreeSet<String>,
    whole: &Blueprint,
    observed: &Observed,
) -> Network {
    let mut network = network.clone();
    let old = observed.networks.get(&network.name).map(|n| &n.recorded);
    let extension = old.iter().flat_map(|old| &old.tenants).filter(|tenant| tenant.extension);
    let extension = extension.map(|tenant| tenant.node.clone()).collect();
    networks::add_nodes(&mut network, nodes, observed, &whole.pool, &extension);
    if let Some(old) = old {
        let gone = |name: &str| !names.contains(name) && !observed.domains.contains_key(name);
        let reserved = old.reservations.iter().filter(|r| gone(&r.name)).cloned();
        network.reservations.extend(reserved);
        network.reservations.sort();
        network.tenants.extend(old.tenants.iter().filter(|t| gone(&t.node)).cloned());
        network.tenants.sort();
    }
    network
}
