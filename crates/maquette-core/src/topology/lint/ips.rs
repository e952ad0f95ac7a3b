//! Addresses that a user chooses for nodes: inside the subnet, nobody else's.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use ipnet::Ipv4Net;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::Span;
use crate::topology::usable::is_host;
use crate::topology::{Interface, Ips, Network, Role, Topology};

/// Reports each address that cannot be.
pub(super) fn check(topology: &Topology, diags: &mut Diagnostics) {
    let mut taken: BTreeMap<(&str, Ipv4Addr), (String, Span)> = BTreeMap::new();
    for role in topology.roles.iter().filter(|r| r.count > 0) {
        for (interface, numbers) in with_numbers(role) {
            // What is wrong with its network has been said.
            let flawed = topology.flawed.contains(interface.network.value.as_str());
            let Some(ips) = interface.ip.as_ref().filter(|_| !flawed) else { continue };
            let net = match subnet(topology, interface) {
                Ok(net) => net,
                Err(why) => {
                    diags.push(error(why, ips.span(0)).help(HELP));
                    continue;
                }
            };
            if let Some(few) = too_few(role, ips) {
                diags.push(few);
            }
            for number in numbers {
                let Some(address) = ips.of(number) else { continue };
                let node = format!("{}-{number}", role.name.value);
                let network = &interface.network.value;
                let whose = topology.network(network).and_then(|n| others(n, address));
                if !is_host(net, address) {
                    let message =
                        format!("{address}, for `{node}`, is not an address in {}", net.trunc());
                    diags.push(error(message, ips.span(number)));
                    // So are all after it.
                    break;
                } else if let Some(whose) = whose {
                    let message =
                        format!("{address}, for `{node}`, is {whose} on network `{network}`");
                    diags.push(error(message, ips.span(number)));
                } else if let Some((first, place)) =
                    taken.insert((network, address), (node.clone(), ips.span(number)))
                {
                    let message = format!("`{first}` and `{node}` both have the address {address}");
                    let second = error(message, ips.span(number));
                    diags.push(if place == ips.span(number) {
                        second
                    } else {
                        second.at(place, "the first is here")
                    });
                    break;
                }
            }
        }
    }
}

/// Interfaces of a node type, each with the numbers of the nodes that have it.
fn with_numbers(role: &Role) -> impl Iterator<Item = (&Interface, Range<u32>)> {
    let all = role.interfaces.all.iter().map(|interface| (interface, 0..role.count));
    let rows = role.interfaces.rows.iter().flatten().zip(0..role.count);
    all.chain(rows.flat_map(|(row, number)| row.iter().map(move |i| (i, number..number + 1))))
}

const HELP: &str = "`ip` is for networks with a `subnet` of their own, or with `static`";

fn error(message: String, span: Span) -> Diagnostic {
    Diagnostic::error("topology::ip", message).at(span, "")
}

/// The subnet that an interface has its address in.
fn subnet(topology: &Topology, interface: &Interface) -> Result<Ipv4Net, String> {
    let name = &interface.network.value;
    if interface.connect_to.is_some() {
        return Err("a link has no subnet, and no addresses".into());
    }
    let Some(network) = topology.network(name) else {
        return Err(format!("the subnet of `{name}` is not known"));
    };
    match (&network.fixed, &network.ipv4) {
        (Some(fixed), _) => Ok(fixed.net),
        (None, Some(ipv4)) if ipv4.chosen => {
            Err(format!("the subnet of network `{name}` is any that is free: name it first"))
        }
        (None, Some(ipv4)) if network.forward.is_served() => Ok(ipv4.net),
        _ => Err(format!("network `{name}` has no subnet")),
    }
}

/// Whose an address is that no node can have.
fn others(network: &Network, address: Ipv4Addr) -> Option<&'static str> {
    let in_vswitch = network.vswitch.iter().flat_map(|v| &v.addresses);
    let own = network.ipv4.as_ref().is_some_and(|i| i.net.addr() == address)
        || in_vswitch.map(|a| a.value.addr()).any(|a| a == IpAddr::V4(address));
    let fixed = network.fixed.as_ref();
    let router = fixed.is_some_and(|f| f.gateway == Some(address));
    let server = fixed.is_some_and(|f| f.nameserver == Some(address));
    let all =
        [(own, "the hypervisor's own"), (router, "the router's"), (server, "the name server's")];
    all.into_iter().find(|(is, _)| *is).map(|(_, whose)| whose)
}

/// A list has an address for each node.
fn too_few(role: &Role, ips: &Ips) -> Option<Diagnostic> {
    let Ips::Each(all, span) = ips else { return None };
    let (have, want) = (all.len(), role.count);
    let noun = if have == 1 { "address" } else { "addresses" };
    let message = format!("`ip` of node type `{}` has {have} {noun} for {want} nodes", role.file);
    (all.len() < role.count as usize).then(|| {
        error(message, *span)
            .help("a single address is the first node's, and further nodes count up")
    })
}
