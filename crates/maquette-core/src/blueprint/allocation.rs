//! Which third octets an environment gets.

use ipnet::IpNet;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::observed::Observed;
use crate::syntax::Span;
use crate::topology::{Allocation, Request, Topology, compile};

/// Chooses the allocation and compiles with it: the one the environment already has, else what the
/// user fixed, else (with a prefix) the first whose subnets nobody else has.
pub fn choose(request: &Request, observed: &Observed, diags: &mut Diagnostics) -> Option<Topology> {
    let settings = &request.settings;
    let fixed = |a: Allocation| Allocation {
        net: settings.net_subnet.unwrap_or(a.net),
        data_net: settings.data_subnet.unwrap_or(a.data_net),
    };
    if let Some(existing) = observed.allocation() {
        let mut topology = compile(request, fixed(existing), diags)?;
        if topology.extends(observed) {
            // Networks stay as they are: those of the file are not even looked at.
            topology.networks.clear();
            known_networks(&topology, observed, diags);
        }
        return Some(topology);
    }
    if settings.environment.prefix().is_none() {
        return compile(request, fixed(Allocation::UNPREFIXED), diags);
    }
    let mut first = None;
    for candidate in Allocation::candidates().map(fixed) {
        let mut own = diags.fresh();
        let topology = compile(request, candidate, &mut own);
        let free = topology.as_ref().is_some_and(|t| taken(t, observed).is_none());
        if free || own.has_errors() {
            diags.extend(own);
            return topology;
        }
        first = first.or(topology.map(|t| (t, own)));
    }
    // No candidate is free: the file's addresses are fixed, or the host is full. The conflict is
    // reported where all are.
    first.map(|(topology, own)| {
        diags.extend(own);
        topology
    })
}

/// In an extension, nodes are put on networks that are there.
fn known_networks(topology: &Topology, observed: &Observed, diags: &mut Diagnostics) {
    let environment = &topology.settings.environment;
    let names: Vec<&str> = observed.networks.keys().map(String::as_str).collect();
    for role in &topology.roles {
        for interface in role.every_interface() {
            if let Some(wire) = &interface.wire {
                let message = format!("links to `{}` are not made in an extension", wire.to.value);
                diags.push(
                    Diagnostic::error("topology::extended-link", message)
                        .at(wire.to.span, "")
                        .help("ask for all nodes without --topology-extend"),
                );
                continue;
            }
            let name = environment.qualify(&interface.network.value);
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

/// The first subnet of `topology` that somebody else on the hypervisor has.
pub(super) fn taken<'a>(
    topology: &Topology,
    observed: &'a Observed,
) -> Option<(IpNet, Span, &'a str)> {
    topology.networks.iter().find_map(|network| {
        // A bridge takes over what its NIC has.
        let nic = network.uplink.as_ref().and_then(|u| observed.host.nic(u));
        let nic = nic.map(|nic| format!("interface {nic}"));
        network.subnets().into_iter().find_map(|(net, span)| {
            observed
                .claims
                .subnets
                .iter()
                .filter(|(_, owner)| Some(owner) != nic.as_ref())
                .find(|(other, _)| crate::topology::overlap(&net, other))
                .map(|(_, owner)| (net, span, owner.as_str()))
        })
    })
}

/// The error for a subnet that is taken.
pub(super) fn taken_error(net: IpNet, span: Span, owner: &str, prefixed: bool) -> Diagnostic {
    // The place in the file names our side, the message the other.
    let help = if prefixed {
        "the file's addresses are fixed; write `{{ net }}` into them, or choose other ones"
    } else {
        "choose other addresses with `--net_subnet` and `--data_subnet`, or a `--prefix`"
    };
    Diagnostic::error(
        "hypervisor::subnet-taken",
        format!("{} is already in use on the hypervisor, by {owner}", net.trunc()),
    )
    .at(span, "")
    .help(help)
}
