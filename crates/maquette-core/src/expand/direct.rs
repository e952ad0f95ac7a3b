//! NICs of the hypervisor that nodes are on without a bridge: whether they can be.

use crate::blueprint::{Network, Node};
use crate::decode::quoted_list;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::observed::{LinkKind, Observed};
use crate::syntax::Span;
use crate::topology::{self, DirectMode, Topology};
use crate::values::{InterfaceName, NetworkName};

/// The NIC that two networks are on of which one takes it. That one is not known has been said.
pub(super) fn shared<'a>(one: &Network, other: &'a Network) -> Option<&'a InterfaceName> {
    let takes = one.carrier.takes_nics() || other.carrier.takes_nics();
    let mut nics = other.carrier.nics().iter().filter(|nic| takes && !nic.is_empty());
    nics.find(|nic| one.carrier.nics().contains(nic))
}

/// Where a network names a NIC, or else itself.
fn place(topology: &Topology, network: &Network, nic: &InterfaceName) -> Option<Span> {
    let environment = &topology.settings.environment;
    let is = |n: &&topology::Network| NetworkName::of(environment, &n.name.value) == network.name;
    let declared = topology.networks.iter().find(is)?;
    let bridged = declared.uplink.iter().filter_map(|uplink| uplink.nic.as_ref());
    let named = declared.direct.iter().chain(bridged).find(|named| named.value == *nic);
    Some(named.map_or(declared.name.span, |named| named.span))
}

/// Reports NICs that somebody else's network puts domains on, where it or ours takes them: the kernel lets only one do that.
/// What a network of ours has already it keeps.
pub(super) fn others(
    topology: &Topology,
    network: &Network,
    observed: &Observed,
    diags: &mut Diagnostics,
) {
    let own = observed.networks.get(&network.name);
    let runs = own.is_some_and(|own| own.active && own.recorded.carrier == network.carrier);
    for nic in network.carrier.nics() {
        let has = match network.carrier.direct() {
            Some(_) => runs,
            None => observed.host.is_port(nic, &network.bridge),
        };
        let takes = |whole: bool| whole || network.carrier.takes_nics();
        let mut claims = observed.claims.nics.iter().filter(|claim| claim.nic == nic.as_str());
        let Some(claim) = claims.find(|claim| takes(claim.whole) && !has) else { continue };
        let error = Diagnostic::error(
            "hypervisor::nic",
            format!(
                "network `{}` would share the NIC `{nic}` with network `{}`, which does not belong to this environment",
                network.name, claim.network
            ),
        );
        let help = "a NIC in a bridge, or with `forward: passthrough`, is of one network; use another NIC, or remove that network";
        diags.push(error.help(help).at_known(place(topology, network, nic)));
    }
}

/// Reports NICs that nodes cannot be on without a bridge, and too few for nodes that have one each.
pub(super) fn check(
    topology: &Topology,
    (network, nodes): (&Network, &[Node]),
    observed: &Observed,
    diags: &mut Diagnostics,
) {
    let Some((mode, own)) = network.carrier.direct() else { return };
    let place = |nic: &InterfaceName| place(topology, network, nic);
    for nic in own.nics.iter().filter(|nic| !nic.is_empty()) {
        // The bridge that has it now goes before.
        if observed.host.is_port(nic, &network.bridge) {
            continue;
        }
        if let Some((message, help)) = unsuitable(nic, mode, observed) {
            let error = Diagnostic::error("hypervisor::nic", message).help(help);
            diags.push(error.at_known(place(nic)));
        }
    }
    let plugged = nodes.iter().flat_map(|node| &node.interfaces);
    let plugged = plugged.filter(|interface| interface.network == network.name).count();
    if mode == DirectMode::Passthrough && plugged > own.nics.len() {
        let message = format!(
            "network `{}` has {} of the hypervisor's NICs, and nodes have {plugged} interfaces on it",
            network.name,
            own.nics.len()
        );
        let error = Diagnostic::error("topology::nic", message)
            .help("with `forward: passthrough` each interface takes a whole NIC: name more in `nic`, or put fewer nodes there");
        diags.push(error.at_known(own.nics.first().and_then(place)));
    }
}

/// Why nodes cannot be on a NIC of the hypervisor, and what to do about it.
fn unsuitable(
    nic: &InterfaceName,
    mode: DirectMode,
    observed: &Observed,
) -> Option<(String, String)> {
    let free = || quoted_list(&observed.host.free_nics());
    let host = &observed.host;
    let Some(link) = host.links.get(nic.as_str()) else {
        return Some((format!("the hypervisor has no NIC `{nic}`"), format!("it has {}", free())));
    };
    if let Some(master) = &link.master {
        let help = match host.has_bridge(master) && mode != DirectMode::Passthrough {
            true => format!("name the bridge instead, `nic: {master}`, or one of {}", free()),
            false => format!("name a NIC of the hypervisor that is in nothing: it has {}", free()),
        };
        return Some((format!("the NIC `{nic}` is in `{master}` already"), help));
    }
    let is_foreign = link.kind == LinkKind::Foreign || nic.as_str() == "lo";
    if is_foreign {
        let message = format!("`{nic}` has no Ethernet, and nodes cannot be on it");
        return Some((
            message,
            format!("name a wired NIC of the hypervisor, which has {}", free()),
        ));
    }
    if link.kind == LinkKind::Wireless {
        let help =
            "an access point takes frames from its own station only; use a wired NIC, or `nat`";
        return Some((format!("the NIC `{nic}` is wireless"), help.into()));
    }
    // A macvtap in this mode gives the NIC the node's MAC address, and gets all that arrives.
    let is_used = host.default_nic.as_deref() == Some(nic.as_str())
        || link.carries_root
        || host.routes.iter().any(|(_, through)| through == nic.as_str());
    (mode == DirectMode::Passthrough && is_used).then(|| {
        let message = format!("`forward: passthrough` would take the NIC `{nic}` from the hypervisor, which has routes through it");
        (message, "name a NIC that the hypervisor itself does not use, or write `forward: private`".into())
    })
}
