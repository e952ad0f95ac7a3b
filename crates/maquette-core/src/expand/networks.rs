//! Networks made concrete.

use std::collections::BTreeSet;

use crate::blueprint::{
    BridgeOptions, Carrier, DirectNics, Fixed, HostPort, Interface, Network, Node, NodeVolumes,
    Outside, PlainGroup, Pool, Portgroup, Reservation, Route, Tag, Uplink, Vswitch,
};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::{EnvName, identifier};
use crate::observed::Observed;
use crate::topology::{self, Topology};
use crate::values::{InterfaceName, Mtu, Name, NetworkName, NodeName};

/// That of a network without a way to the outside.
const ALONE: Carrier = Carrier::Libvirt(Outside::Isolated);

/// Every network of the file.
pub(super) fn of_file(
    topology: &Topology,
    environment: &EnvName,
    observed: &Observed,
    diags: &mut Diagnostics,
) -> Vec<Network> {
    let networks = topology.networks.iter();
    let mut all: Vec<Network> =
        networks.map(|n| network(n, topology, environment, observed, diags)).collect();
    // What the hypervisor forwards goes through the network that its routers are on.
    let routers: Vec<_> = topology.cidrs.iter().filter_map(|c| c.via).collect();
    let holds = |n: &&mut Network| {
        let subnet = n.ipv4;
        subnet.is_some_and(|s| routers.is_empty() || routers.iter().any(|r| s.contains(r)))
    };
    if let Some(network) = all.iter_mut().find(holds) {
        let routes = topology.cidrs.iter().map(|c| Route { net: c.net, via: c.via });
        network.tuning.routes = routes.collect();
    }
    all
}

fn network(
    network: &topology::Network,
    topology: &Topology,
    environment: &EnvName,
    observed: &Observed,
    diags: &mut Diagnostics,
) -> Network {
    let bare = bare(&network.name.value, environment);
    let direct = network.forward.is_direct();
    let querier = topology.settings.querier && network.name.value == "external" && !direct;
    let recorded = observed.networks.get(&bare.name).map(|n| &n.recorded);
    let uplink = network.uplink.as_ref();
    let uplink = uplink.map(|u| self::uplink(u, network, topology, (recorded, observed), diags));
    let userspace = match recorded.and_then(|r| r.carrier.vswitch()) {
        Some(existing) => existing.userspace,
        None => !observed.host.kernel_vswitch,
    };
    let vswitch = network.vswitch.as_ref();
    let vswitch = vswitch.map(|v| self::vswitch(v, &bare.bridge, userspace, environment));
    let direct = direct.then(|| self::direct(network, (recorded, observed), diags));
    Network {
        // Reading a file gives each forward mode what belongs to it.
        carrier: Carrier::of(network.forward, uplink, vswitch, direct).unwrap_or(ALONE),
        ipv4: network.ipv4.as_ref().map(|i| i.net).filter(|_| network.forward.is_served()),
        dhcp4: network.ipv4.as_ref().and_then(|i| i.dhcp),
        ipv6: network.ipv6.as_ref().map(|i| i.net),
        dhcp6: network.ipv6.as_ref().and_then(|i| i.dhcp),
        domain: network.domain.clone(),
        srvs: network.srvs.clone(),
        forwarders: network.forwarders.clone(),
        tftp_root: network.tftp_root.clone(),
        bootp: network.bootp.clone(),
        mtu: network.mtu,
        autostart: network.autostart,
        stp: network.stp,
        groups: network.portgroups.iter().map(plain).collect(),
        tuning: BridgeOptions { querier, ..BridgeOptions::default() },
        fixed: network.fixed.as_ref().map(|f| Fixed {
            net: f.net,
            range: f.range,
            gateway: f.gateway,
            nameserver: f.nameserver,
        }),
        ..bare
    }
}

/// How a network is connected to a LAN: by the NIC that it names, or else that of the default route.
fn uplink(
    uplink: &topology::Uplink,
    network: &topology::Network,
    topology: &Topology,
    (recorded, observed): (Option<&Network>, &Observed),
    diags: &mut Diagnostics,
) -> Uplink {
    let named = uplink.nic.as_ref().map(|nic| nic.value.clone());
    let chosen = named.is_none();
    // The default route is the bridge's own by now.
    let kept = recorded.and_then(|r| r.carrier.uplink()).filter(|u| u.chosen).map(|u| &u.nic);
    Uplink {
        nic: named.unwrap_or_else(|| default_nic(network, (kept, observed), diags)),
        chosen,
        address: network.ipv4.as_ref().map(|i| i.net),
        stp: uplink.stp,
        guard: uplink.dhcp_guard,
        mtu: topology.settings.nic_mtu,
    }
}

/// The NICs that nodes of a network without a bridge are on: those that it names, or else that of the default route.
fn direct(
    network: &topology::Network,
    (recorded, observed): (Option<&Network>, &Observed),
    diags: &mut Diagnostics,
) -> DirectNics {
    let mut nics: Vec<InterfaceName> = network.direct.iter().map(|nic| nic.value.clone()).collect();
    let chosen = nics.is_empty();
    if chosen {
        let kept = recorded.and_then(|r| r.carrier.direct()).filter(|(_, own)| own.chosen);
        let kept = kept.and_then(|(_, own)| own.nics.first());
        nics.push(default_nic(network, (kept, observed), diags));
    }
    DirectNics { nics, chosen }
}

/// The NIC of the default route, for a network that names none; `kept` is the one that it has already.
fn default_nic(
    network: &topology::Network,
    (kept, observed): (Option<&InterfaceName>, &Observed),
    diags: &mut Diagnostics,
) -> InterfaceName {
    if let Some(kept) = kept {
        return kept.clone();
    }
    let name = &network.name.value;
    let found = observed.host.default_nic.as_deref();
    let nic = found.map(|nic| nic.parse::<InterfaceName>().map_err(|_| nic));
    let error = match nic {
        Some(Ok(nic)) => return nic,
        Some(Err(odd)) => {
            let odd: String = odd.escape_default().collect();
            let message = format!(
                "network `{name}` names no `nic`, and the NIC of the hypervisor's default route has the name `{odd}`"
            );
            Diagnostic::error("hypervisor::nic", message)
                .help("names of interfaces have at most 15 letters, digits, `-`, `_` and `.`: rename it, or name another NIC")
        }
        None => {
            let message = format!("network `{name}` names no `nic`");
            Diagnostic::error("hypervisor::nic", message)
                .help("the hypervisor has no IPv4 default route whose NIC could be taken")
        }
    };
    diags.push(error.at(network.name.span, ""));
    InterfaceName::unknown()
}

/// A network with nothing but a name.
fn bare(name: &Name, environment: &EnvName) -> Network {
    let name = NetworkName::of(environment, name);
    Network {
        uuid: identifier("network", environment, &name),
        bridge: InterfaceName::of(&name),
        name,
        carrier: ALONE,
        ipv4: None,
        dhcp4: None,
        ipv6: None,
        dhcp6: None,
        domain: None,
        srvs: Vec::new(),
        forwarders: Vec::new(),
        tftp_root: None,
        bootp: None,
        mtu: None,
        autostart: true,
        stp: false,
        groups: Vec::new(),
        tuning: BridgeOptions::default(),
        fixed: None,
        reservations: Vec::new(),
        tenants: Vec::new(),
    }
}

fn plain(group: &topology::Portgroup) -> PlainGroup {
    PlainGroup { name: group.name.value.clone(), default: group.default }
}

/// The bridge of a link between nodes.
pub(super) fn link(name: &Name, hub: bool, mtu: Option<Mtu>, environment: &EnvName) -> Network {
    let tuning = BridgeOptions { link_local: true, hub, ..BridgeOptions::default() };
    Network { tuning, mtu, ..bare(name, environment) }
}

fn vswitch(
    vswitch: &topology::Vswitch,
    bridge: &InterfaceName,
    userspace: bool,
    environment: &EnvName,
) -> Vswitch {
    let own = vswitch.addresses.iter().map(|a| a.value).collect();
    let mut ports = vec![HostPort { name: bridge.clone(), tag: None, addresses: own }];
    for group in &vswitch.portgroups {
        for vlan in group.vlans.iter().filter(|v| !v.addresses.is_empty()) {
            let id = vlan.id.value;
            // As InfraRed calls them: the portgroup, for a trunk with the VLAN's number.
            let name = match group.trunk {
                true => format!("{}{id}", group.name.value),
                false => group.name.value.to_string(),
            };
            ports.push(HostPort {
                name: InterfaceName::of(&environment.qualify(&name)),
                tag: Some(id),
                addresses: vlan.addresses.iter().map(|a| a.value).collect(),
            });
        }
    }
    let tags = |group: &topology::Portgroup| {
        group.vlans.iter().map(|v| Tag { id: v.id.value, native: v.native }).collect()
    };
    let portgroups = vswitch.portgroups.iter().map(|group| Portgroup {
        name: group.name.value.clone(),
        default: group.default,
        trunk: group.trunk,
        tags: tags(group),
    });
    Vswitch { userspace, ports, portgroups: portgroups.collect() }
}

/// Enters the nodes that are on a network.
pub(super) fn add_nodes(
    network: &mut Network,
    nodes: &[Node],
    observed: &Observed,
    pool: &Pool,
    extension: &BTreeSet<NodeName>,
) {
    let orphans = observed.orphans();
    let on_it = |i: &&Interface| i.network == network.name;
    let reservations = nodes.iter().flat_map(|node| {
        let held = node.interfaces.iter().filter(on_it);
        let held = held.filter(|i| i.ipv4.address().is_some() || i.ipv6.is_some());
        held.map(|i| Reservation {
            name: node.name.clone(),
            mac: i.mac,
            ipv4: i.ipv4.address().map(|n| n.addr()),
            ipv6: i.ipv6.map(|n| n.addr()),
        })
    });
    let mut reservations: Vec<Reservation> = reservations.collect();
    reservations.sort();
    let residents = nodes.iter().filter(|node| node.interfaces.iter().any(|i| on_it(&i)));
    let tenants = residents.map(|node| NodeVolumes {
        node: node.name.clone(),
        pool: match (observed.domains.get(&node.name), orphans.get(&node.name)) {
            (Some(domain), _) => domain.pool.clone(),
            (None, Some(orphan)) => orphan.pool.clone(),
            (None, None) => pool.clone(),
        },
        volumes: node.stored(),
        extension: extension.contains(&node.name),
    });
    let mut tenants: Vec<NodeVolumes> = tenants.collect();
    tenants.sort();
    (network.reservations, network.tenants) = (reservations, tenants);
}
