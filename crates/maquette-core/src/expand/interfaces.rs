//! What an interface is plugged into and how it gets its IPv4 address, as its network says.

use ipnet::Ipv4Net;

use super::wiring::Port;
use crate::blueprint::{Attachment, Carrier, Checksums, Ipv4Setup, Network, Outside};
use crate::values::Name;

/// What it is plugged into. `on_host` tells that it is a bridge of the hypervisor's own.
pub(super) fn attachment(network: Option<&Network>, on_host: bool, port: &Port) -> Attachment {
    if on_host {
        return Attachment::HostBridge;
    }
    if network.is_some_and(|n| !n.carrier.has_bridge()) {
        return Attachment::Direct;
    }
    let vswitch = network.and_then(|n| n.carrier.vswitch());
    let userspace = vswitch.is_some_and(|v| v.userspace);
    let wanted = |name: &&Name| port.portgroup.as_ref().is_some_and(|wanted| *name == wanted);
    let names = vswitch.into_iter().flat_map(|v| &v.portgroups).map(|group| &group.name);
    let plain = network.into_iter().flat_map(|n| &n.groups).map(|group| &group.name);
    let portgroup = names.chain(plain).find(wanted).cloned();
    if network.is_some_and(|n| n.carrier.is_served()) {
        return Attachment::Network { portgroup };
    }
    Attachment::OtherBridge {
        portgroup,
        checksums: if userspace { Checksums::Guest } else { Checksums::Hypervisor },
    }
}

/// How it gets an address that was chosen for it. Only the lease of the one with the default route brings router and
/// name servers; all others set their address up by themselves.
pub(super) fn ipv4_setup(
    network: Option<&Network>,
    on_host: bool,
    address: Option<Ipv4Net>,
    default_route: bool,
) -> Ipv4Setup {
    let fixed = network.and_then(|n| n.fixed.as_ref());
    let served = network.is_some_and(|n| n.dhcp4.is_some());
    // On the LAN somebody else gives addresses out.
    let on_lan = on_host || network.is_some_and(|n| !n.carrier.is_served());
    if default_route && ((served && address.is_some()) || (on_lan && fixed.is_none())) {
        return Ipv4Setup::Dhcp { reserved: address };
    }
    let Some(address) = address else { return Ipv4Setup::Off };
    // Without DHCP nobody else names the hypervisor as router and name server.
    let hypervisor = network
        .filter(|n| default_route && !served && n.carrier.is_served())
        .and_then(|n| Some((n.ipv4?.addr(), n.carrier != Carrier::Libvirt(Outside::Isolated))));
    Ipv4Setup::Static {
        address,
        gateway: match hypervisor {
            Some((address, routes)) => routes.then_some(address),
            None => fixed.and_then(|f| f.gateway),
        },
        nameserver: hypervisor.map(|(a, _)| a).or(fixed.and_then(|f| f.nameserver)),
    }
}
