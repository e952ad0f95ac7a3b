//! Which subnets an environment gets: the third octets of its networks' addresses.

use ipnet::{IpNet, Ipv4Net};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::observed::Observed;
use crate::syntax::Span;
use crate::topology;
use crate::topology::{Allocation, Request, Topology};
use crate::values::{Name, NetworkName};

/// Chooses the allocation and compiles with it: the one the environment already has, else what the
/// user fixed, else (with a prefix) the first whose subnets nobody else has.
pub fn choose(request: &Request, observed: &Observed, diags: &mut Diagnostics) -> Option<Topology> {
    let settings = &request.settings;
    let fixed = |a: Allocation| Allocation {
        net: settings.net_subnet.unwrap_or(a.net),
        data_net: settings.data_subnet.unwrap_or(a.data_net),
    };
    if let Some(existing) = observed.allocation() {
        let mut topology = compile(request, fixed(existing), observed, diags)?;
        if super::extends(&topology, observed) {
            // Networks stay as they are: those of the file are not even looked at.
            topology.networks.clear();
            known_networks(&topology, observed, diags);
        }
        return Some(topology);
    }
    if settings.environment.prefix().is_none() {
        let topology = compile(request, fixed(Allocation::UNPREFIXED), observed, diags)?;
        return Some(with_fixed(topology, request, observed, diags));
    }
    let mut nearest: Option<(usize, Topology, Diagnostics)> = None;
    for candidate in Allocation::candidates().map(fixed) {
        let mut own = diags.fresh();
        let topology = compile(request, candidate, observed, &mut own);
        let conflicts = topology.as_ref().map_or(0, |t| taken(t, observed).len());
        if conflicts == 0 || own.has_errors() {
            diags.extend(own);
            return topology;
        }
        if nearest.as_ref().is_none_or(|(least, ..)| conflicts < *least) {
            nearest = topology.map(|t| (conflicts, t, own));
        }
    }
    // No candidate is free: addresses are fixed by the file or the user, or the host is full. What is
    // reported is what stands in the way of the candidate that comes nearest, since a subnet that another
    // candidate would not have is not the reason.
    nearest.map(|(_, topology, own)| {
        diags.extend(own);
        with_fixed(topology, request, observed, diags)
    })
}

/// Notes which subnets no allocation changes, where one is taken: what helps depends on it.
fn with_fixed(
    topology: Topology,
    request: &Request,
    observed: &Observed,
    diags: &Diagnostics,
) -> Topology {
    if taken(&topology, observed).is_empty() {
        return topology;
    }
    let Allocation { net, data_net } = topology.allocation;
    let moved = Allocation { net: net ^ 1, data_net: data_net ^ 1 };
    let elsewhere = topology::compile(request, moved, &mut diags.fresh());
    let elsewhere = elsewhere.iter().flat_map(|t| &t.networks).flat_map(|n| n.subnets());
    let fixed = elsewhere.map(|(net, _)| net.trunc()).collect();
    Topology { fixed, ..topology }
}

/// Compiles, and chooses subnets where that is left to Maquette.
fn compile(
    request: &Request,
    allocation: Allocation,
    observed: &Observed,
    diags: &mut Diagnostics,
) -> Option<Topology> {
    let mut topology = topology::compile(request, allocation, diags)?;
    let environment = &request.settings.environment;
    let own = |name: &Name| observed.networks.get(&NetworkName::of(environment, name));
    // One that somebody has undefined or edited is known by its nodes, which have addresses in it.
    let of_nodes = |name: &Name| {
        let name = NetworkName::of(environment, name);
        let all = observed.domains.values().flat_map(|d| &d.recorded.interfaces);
        let address = all.filter(|i| i.network == name).find_map(|i| i.ipv4.address())?;
        Ipv4Net::new(address.hosts().next()?, address.prefix_len()).ok()
    };
    let kept = |name: &Name| own(name).and_then(|n| n.recorded.ipv4).or_else(|| of_nodes(name));
    // Networks that go have their subnets until they are gone.
    let declared: Vec<NetworkName> =
        topology.networks.iter().map(|n| NetworkName::of(environment, &n.name.value)).collect();
    let going = observed.networks.iter().filter(|(name, _)| !declared.contains(name));
    let going = going.filter_map(|(_, n)| n.recorded.ipv4.map(IpNet::V4));
    let going: Vec<IpNet> = going.collect();
    let claims = &observed.claims;
    let is_free = |net: &IpNet| {
        claims.owner(net, None).is_none()
            && !going.iter().any(|other| topology::overlap(net, other))
    };
    // Where routes lead is left to them, as long as there is something else.
    let is_unrouted = |net: &IpNet| is_free(net) && !claims.is_routed(net);
    topology::place(&mut topology.networks, kept, &[&is_unrouted, &is_free], diags);
    Some(topology)
}

/// In an extension, nodes are put on networks that are there.
fn known_networks(topology: &Topology, observed: &Observed, diags: &mut Diagnostics) {
    let environment = &topology.settings.environment;
    let names: Vec<&str> = observed.networks.keys().map(NetworkName::as_str).collect();
    for role in &topology.roles {
        for interface in role.every_interface() {
            if let Some(link) = &interface.connect_to {
                let message = format!("links to `{}` are not made in an extension", link.to.value);
                diags.push(
                    Diagnostic::error("topology::extended-link", message)
                        .at(link.to.span, "")
                        .help("ask for all nodes without --topology-extend"),
                );
                continue;
            }
            let name = NetworkName::of(environment, &interface.network.value);
            if !observed.networks.contains_key(&name) {
                let message = format!("the environment has no network `{name}`");
                let help = format!("an extension adds none; there are {}", names.join(", "));
                diags.push(
                    Diagnostic::error("topology::unknown-network", message)
                        .at(interface.network.span, "")
                        .help(help),
                );
            }
        }
    }
}

/// The subnets of `topology` that somebody else on the hypervisor has: each with its place and whose it is.
pub(super) fn taken<'a>(
    topology: &Topology,
    observed: &'a Observed,
) -> Vec<(IpNet, Span, &'a str)> {
    let mut found = Vec::new();
    for network in &topology.networks {
        // A bridge takes over what its NIC has.
        let nic = network.uplink.as_ref().and_then(|u| observed.host.nic(u));
        let nic = nic.map(|nic| format!("interface {nic}"));
        for (net, span) in network.subnets() {
            let owner = observed.claims.owner(&net, nic.as_deref());
            found.extend(owner.map(|owner| (net, span, owner)));
        }
    }
    found
}

/// The error for a subnet that is taken.
pub(super) fn taken_error(net: IpNet, span: Span, owner: &str, topology: &Topology) -> Diagnostic {
    let settings = &topology.settings;
    // The place in the file names our side, the message the other.
    let help = if topology.fixed.contains(&net.trunc()) {
        "the address is fixed; choose another one, or write `{{ net }}` into it"
    } else if settings.environment.prefix().is_none() {
        "choose other addresses with `--net_subnet` and `--data_subnet`, or a `--prefix`"
    } else if settings.net_subnet.or(settings.data_subnet).is_some() {
        "choose another `--net_subnet` or `--data_subnet`, or leave them out: free ones are found then"
    } else {
        "nothing is free of what a prefix chooses from; `--net_subnet` and `--data_subnet` take other numbers"
    };
    Diagnostic::error(
        "hypervisor::subnet-taken",
        format!("{} is already in use on the hypervisor, by {owner}", net.trunc()),
    )
    .at(span, "")
    .help(help)
}
