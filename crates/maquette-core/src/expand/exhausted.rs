//! Networks that have fewer addresses to give than nodes that want one.
//!
//! A node that is reached there cannot do without: that is an error. On any other network it goes without, as it did with
//! InfraRed, and is named in a warning.

use std::collections::BTreeMap;

use super::Expander;
use crate::blueprint::Interface;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::Span;
use crate::topology::{self, Role};
use crate::values::{Name, NetworkName, NodeName};

/// Nodes without an address, by network and by what is missing.
pub(super) type Without = BTreeMap<(NetworkName, Family), Vec<NodeName>>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Expander<'_> {
    /// Notes which addresses a node does not get.
    pub(super) fn without_addresses(
        &mut self,
        role: &Role,
        name: &NodeName,
        interfaces: &[Interface],
        diags: &mut Diagnostics,
    ) {
        let reached = reached_on(role).map(|n| NetworkName::of(self.environment, n));
        for interface in interfaces.iter().filter(|_| role.deploy_os) {
            let network = &interface.network;
            let Some(of) = self.addresses.get(network) else { continue };
            let is_reached = reached.as_ref() == Some(network);
            if of.gives_v6() && interface.ipv6.is_none() {
                if is_reached {
                    diags.push(self.no_v6(network, name));
                } else {
                    self.without
                        .entry((network.clone(), Family::V6))
                        .or_default()
                        .push(name.clone());
                }
            }
            // What is reached over IPv4 without an address is an error of its own: `access`.
            if of.has_range() && interface.ipv4.address().is_none() && !is_reached {
                self.without.entry((network.clone(), Family::V4)).or_default().push(name.clone());
            }
        }
    }

    /// One warning for each network that has too few.
    pub(super) fn warn_of_exhausted(&self, diags: &mut Diagnostics) {
        for ((network, family), nodes) in &self.without {
            let declared = self.declared(network);
            let (shown, key, span) = match family {
                Family::V4 => {
                    let (_, key, span) = v4_range(declared);
                    ("IPv4", key, span)
                }
                Family::V6 => ("IPv6", "ipv6.dhcp.range", v6_span(declared)),
            };
            let first = nodes.first().map(|n| n.as_str()).unwrap_or_default();
            let who = match nodes.len() {
                1 => format!("`{first}` has"),
                more => format!("`{first}` and {} more have", more - 1),
            };
            let name = declared.map_or(network.as_str(), |n| &n.name.value);
            let message = format!(
                "`{key}` of network `{name}` gives out fewer addresses than it has nodes: {who} no {shown} address there"
            );
            let warning = Diagnostic::warning("blueprint::no-address", message)
                .help(format!("widen `{key}`, if they need one"));
            diags.push(warning.at_known(span));
        }
    }

    fn no_v6(&self, network: &NetworkName, name: &NodeName) -> Diagnostic {
        let declared = self.declared(network);
        let shown = declared.map_or(network.as_str(), |n| &n.name.value);
        none_left("IPv6", "ipv6.dhcp.range", shown, name, v6_span(declared))
    }

    /// A node has no IPv4 address to be reached at, since a network has none left.
    pub(super) fn no_v4(&self, network: &NetworkName, name: &NodeName) -> Diagnostic {
        let declared = self.declared(network);
        let (range, key, span) = v4_range(declared);
        let shown = declared.map_or(network.as_str(), |n| &n.name.value);
        none_left(range, key, shown, name, span)
    }

    /// What the topology says of a network.
    fn declared(&self, network: &NetworkName) -> Option<&topology::Network> {
        let mut all = self.topology.networks.iter();
        all.find(|n| NetworkName::of(self.environment, &n.name.value) == *network)
    }
}

/// The network that nodes of a type are reached on.
pub(super) fn reached_on(role: &Role) -> Option<&Name> {
    let external = role.external_network.as_ref().map(|e| &e.network);
    role.provision_network.as_ref().or(external).map(|n| &n.value)
}

/// What IPv4 addresses come from: what it is called, its key and its place.
fn v4_range(network: Option<&topology::Network>) -> (&'static str, &'static str, Option<Span>) {
    match network {
        Some(n) if n.fixed.is_some() => {
            ("static", "static.range", n.fixed.as_ref().map(|f| f.span))
        }
        other => ("DHCP", "dhcp.range", other.and_then(|n| n.ipv4.as_ref()).map(|i| i.span)),
    }
}

fn v6_span(network: Option<&topology::Network>) -> Option<Span> {
    network.and_then(|n| n.ipv6.as_ref()).map(|i| i.span)
}

fn none_left(
    range: &str,
    key: &str,
    network: &str,
    node: &NodeName,
    span: Option<Span>,
) -> Diagnostic {
    let message =
        format!("the {range} range of network `{network}` has no address left for `{node}`");
    Diagnostic::error("blueprint::no-address", message)
        .help(format!("widen `{key}`, or ask for fewer nodes"))
        .at_known(span)
}
