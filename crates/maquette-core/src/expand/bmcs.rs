//! Addresses and ports of BMCs. A node that has one keeps it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use ipnet::IpNet;

use crate::blueprint::{Bmc, Network, Node, port};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::EnvName;
use crate::observed::Observed;
use crate::topology::{BmcProtocol, Topology, Vbmc};
use crate::units::MacAddr;
use crate::values::{BmcCredentials, Name, NetworkName, Secret};

/// What is tagged for BMCs, with the version of the program that serves them: another one takes the place of the old. So
/// does another account.
pub(super) fn tagged(credentials: &BmcCredentials) -> Secret {
    let usual = concat!("bmcs ", env!("CARGO_PKG_VERSION"));
    match credentials {
        BmcCredentials::Node => Secret::new(usual),
        other => Secret::new(format!("{usual} {}", other.text().reveal())),
    }
}

/// Whether somebody has asked for BMCs, or said how they are to be.
pub(super) fn are_asked(topology: &Topology) -> bool {
    let settings = &topology.settings;
    let mut used = topology.roles.iter().filter(|role| role.count > 0);
    settings.bmc.is_some()
        || settings.bmc_network.is_some()
        || settings.bmc_credentials != BmcCredentials::Node
        || topology.vbmc != Vbmc::default()
        || used.any(|role| role.bmc.is_some_and(|choice| choice.protocol().is_some()))
}

/// The first ports of BMCs that share an address: Redfish has none of its own, IPMI those of InfraRed's.
const FIRST_PORTS: (NonZeroU16, NonZeroU16) = (port(8443), port(6230));

/// The network whose address on the hypervisor BMCs have, if it is there; InfraRed's are at that.
const USUAL: &str = "management";

/// Where BMCs are.
enum BmcLocation<'a> {
    /// At the hypervisor's address on a network, with IPMI's ports from the lowest on, if somebody has chosen that.
    Shared(&'a Network, IpAddr, Option<NonZeroU16>),
    /// Each at one of its own.
    Own(&'a Network, IpNet),
}

impl BmcLocation<'_> {
    fn network(&self) -> &Network {
        match self {
            Self::Shared(network, ..) | Self::Own(network, _) => network,
        }
    }

    /// Whether a BMC may stay where it is: nodes, whose addresses are chosen first, may have got its own by now.
    fn keeps(&self, bmc: &Bmc, held: &BTreeSet<IpAddr>) -> bool {
        let fits = match (self, bmc.address) {
            (Self::Shared(_, address, first), own) => {
                let number = bmc.redfish_port.get().checked_sub(FIRST_PORTS.0.get());
                let follows =
                    |first: NonZeroU16| bmc.ipmi_port.get().checked_sub(first.get()) == number;
                !bmc.own_address && own == *address && first.is_none_or(follows)
            }
            (Self::Own(network, net), own) => {
                let free = !held.contains(&own) && !is_leased(network, own);
                bmc.own_address && net.contains(&own) && free
            }
        };
        fits && bmc.network == self.network().name
    }
}

/// Whether a network's DHCP server may give an address to anybody.
fn is_leased(network: &Network, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(own) => network.dhcp4.is_some_and(|dhcp| dhcp.start <= own && own <= dhcp.end),
        IpAddr::V6(own) => network.dhcp6.is_some_and(|dhcp| dhcp.start <= own && own <= dhcp.end),
    }
}

/// The subnet that BMCs' own addresses are of: IPv6's where there is no other.
fn subnet(network: &Network) -> Option<IpNet> {
    let v6 = network.ipv6.filter(|_| network.carrier.is_served());
    network.ipv4.map(IpNet::V4).or(v6.map(IpNet::V6))
}

/// Whether another program on the hypervisor has an address and port that a BMC needs.
fn is_taken(observed: &Observed, bmc: &Bmc) -> bool {
    let taken = |udp, at: Option<SocketAddr>| at.is_some_and(|at| observed.is_port_taken(udp, at));
    taken(false, bmc.redfish()) || taken(true, bmc.ipmi())
}

/// Gives BMCs to those of some nodes that are to have one. `others` are what is there besides.
pub(super) fn with_bmcs(
    mut made: Vec<Node>,
    others: &[Node],
    networks: &[Network],
    (topology, observed): (&Topology, &Observed),
    diags: &mut Diagnostics,
) -> Vec<Node> {
    let asked: Vec<(usize, BmcProtocol)> = made
        .iter()
        .enumerate()
        .filter_map(|(at, node)| Some((at, protocol(node, topology)?)))
        .collect();
    if asked.is_empty() {
        return made;
    }
    let Some(place) = place(topology, networks, diags) else { return made };
    let held = held_addresses(place.network(), made.iter().chain(others));
    let recorded = |node: &Node| observed.domains.get(&node.name)?.recorded.bmc.clone();
    let kept: Vec<Option<Bmc>> = asked
        .iter()
        .map(|(at, protocol)| {
            let kept = recorded(&made[*at]).filter(|bmc| place.keeps(bmc, &held))?;
            Some(Bmc { protocol: *protocol, ..kept }).filter(|bmc| !is_taken(observed, bmc))
        })
        .collect();
    let mut taken: Vec<Bmc> = others.iter().filter_map(|node| node.bmc.clone()).collect();
    taken.extend(kept.iter().flatten().cloned());
    for ((at, protocol), kept) in asked.into_iter().zip(kept) {
        let found = kept.map_or_else(|| free(&place, protocol, (&taken, &held), observed), Ok);
        match found {
            Ok(bmc) => {
                taken.push(bmc.clone());
                let provisioning = provisioning(&made[at], topology);
                made[at].bmc = Some(Bmc { provisioning, ..bmc });
            }
            Err(lacks) => {
                diags.push(lacks.diagnostic(place.network(), &made[at]));
                break;
            }
        }
    }
    made
}

/// The first NIC of a node on the network that its type is provisioned on.
fn provisioning(node: &Node, topology: &Topology) -> Option<MacAddr> {
    let role = topology.roles.iter().find(|role| role.name.value == node.role)?;
    let network = &role.pxe_network.as_ref()?.value;
    let name = NetworkName::of(&topology.settings.environment, network);
    node.interfaces.iter().find(|interface| interface.network == name).map(|found| found.mac)
}

fn protocol(node: &Node, topology: &Topology) -> Option<BmcProtocol> {
    topology.bmc_of(topology.roles.iter().find(|role| role.name.value == node.role)?)
}

/// Where BMCs are; an error where there is no such place.
fn place<'a>(
    topology: &Topology,
    networks: &'a [Network],
    diags: &mut Diagnostics,
) -> Option<BmcLocation<'a>> {
    let environment = &topology.settings.environment;
    if let Some(name) = &topology.settings.bmc_network {
        let own =
            find(environment, name, networks).and_then(|n| Some(BmcLocation::Own(n, subnet(n)?)));
        if own.is_none() {
            let message =
                format!("BMCs cannot be on network `{name}`: the hypervisor has no address there");
            let help = "`--bmc-network` names a network with a `subnet` that libvirt serves: isolated, routed or with NAT";
            diags.push(Diagnostic::error("bmc::network", message).help(help));
        }
        return own;
    }
    let Vbmc { start_port, address: wanted } = &topology.vbmc;
    let first = start_port.as_ref().map(|port| port.value);
    let shared = |network: &'a Network| {
        let v6 = network.ipv6.filter(|_| network.carrier.is_served());
        let has = network.ipv4.map(|net| net.addr().into()).into_iter();
        let mut has = has.chain(v6.map(|net| net.addr().into()));
        let address =
            has.find(|address| wanted.as_ref().is_none_or(|wanted| wanted.value == *address));
        address.map(|address| BmcLocation::Shared(network, address, first))
    };
    let usual = find(environment, USUAL, networks).and_then(shared);
    let found = usual.or_else(|| networks.iter().find_map(shared));
    if let (None, Some(wanted)) = (&found, wanted) {
        let message = format!(
            "`vbmc_management_address` is {}, which the hypervisor has on no network of the environment",
            wanted.value
        );
        let help = "BMCs are at one of its addresses there; without the variable that is the one on `management`, or else the first";
        diags.push(Diagnostic::error("bmc::vbmc", message).at(wanted.span, "").help(help));
        return None;
    }
    if found.is_none() {
        let message = "BMCs have no address: the hypervisor has none on any network";
        let help = "give a network a `subnet`, or leave out `bmc`";
        diags.push(Diagnostic::error("bmc::network", message).help(help));
    }
    found
}

fn find<'a>(environment: &EnvName, name: &str, networks: &'a [Network]) -> Option<&'a Network> {
    let name = NetworkName::of(environment, &name.parse::<Name>().ok()?);
    networks.iter().find(|network| network.name == name)
}

/// Addresses of a network that nodes and the hypervisor have.
fn held_addresses<'a>(
    network: &Network,
    nodes: impl Iterator<Item = &'a Node>,
) -> BTreeSet<IpAddr> {
    let interfaces = nodes.flat_map(|node| &node.interfaces);
    let on_it = interfaces.filter(|interface| interface.network == network.name);
    let held = on_it.map(|interface| (interface.ipv4.address(), interface.ipv6));
    let all = held.chain([(network.ipv4, network.ipv6)]);
    all.flat_map(|(v4, v6)| {
        [v4.map(|net| IpAddr::V4(net.addr())), v6.map(|net| IpAddr::V6(net.addr()))]
    })
    .flatten()
    .collect()
}

/// Addresses of a subnet from the highest down, without those that are not one machine's: the first and last, and of IPv6 the
/// last 128 (RFC 2526).
fn hosts(subnet: &IpNet) -> Box<dyn Iterator<Item = IpAddr>> {
    match subnet {
        IpNet::V4(net) => {
            let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
            let all = (first.saturating_add(1)..last).rev();
            Box::new(all.map(|number| IpAddr::V4(number.into())))
        }
        IpNet::V6(net) => {
            let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
            let end = if last - first > 0xff { last - 0x7f } else { last };
            let all = (first.saturating_add(1)..end).rev();
            Box::new(all.map(|number| IpAddr::V6(number.into())))
        }
    }
}

/// What a BMC cannot get.
enum Lacks {
    Address,
    Port,
}

/// The first place that is free: ports from the lowest on; addresses from the highest down, out of DHCP's way.
fn free(
    place: &BmcLocation<'_>,
    protocol: BmcProtocol,
    (taken, held): (&[Bmc], &BTreeSet<IpAddr>),
    observed: &Observed,
) -> Result<Bmc, Lacks> {
    let network = place.network().name.clone();
    let at = |address, own_address, (redfish_port, ipmi_port)| {
        let network = network.clone();
        let provisioning = None;
        Bmc { protocol, network, address, own_address, redfish_port, ipmi_port, provisioning }
    };
    match place {
        BmcLocation::Shared(_, address, start) => {
            // Those that are there may have begun elsewhere.
            let is_used = |redfish: NonZeroU16, ipmi: NonZeroU16| {
                taken.iter().any(|bmc| bmc.redfish_port == redfish || bmc.ipmi_port == ipmi)
            };
            let (first, start) = (FIRST_PORTS.0, start.unwrap_or(FIRST_PORTS.1));
            let both = |number: u16| Some((first.checked_add(number)?, start.checked_add(number)?));
            let ports = (0..1000).map_while(both).filter(|(a, b)| !is_used(*a, *b));
            let mut all = ports.map(|ports| at(*address, false, ports));
            all.find(|bmc| !is_taken(observed, bmc)).ok_or(Lacks::Port)
        }
        BmcLocation::Own(network, net) => {
            let used: BTreeSet<IpAddr> = taken.iter().map(|bmc| bmc.address).collect();
            let v4 = observed.taken_v4(&network.name).into_iter().map(IpAddr::V4);
            let v6 = observed.taken_v6(&network.name).into_iter().map(IpAddr::V6);
            let known: BTreeSet<IpAddr> = v4.chain(v6).collect();
            let is_free = |ip: &IpAddr| {
                let is_held = held.contains(ip) || known.contains(ip) || used.contains(ip);
                !is_held && !is_leased(network, *ip)
            };
            let address = hosts(net).take(1 << 16).find(is_free).ok_or(Lacks::Address)?;
            let bmc = at(address, true, Bmc::STANDARD_PORTS);
            // Whoever has that port has it at all addresses: this one nobody has yet.
            if is_taken(observed, &bmc) { Err(Lacks::Port) } else { Ok(bmc) }
        }
    }
}

impl Lacks {
    fn diagnostic(&self, network: &Network, node: &Node) -> Diagnostic {
        let (name, node) = (&network.name, &node.name);
        match self {
            Self::Address => {
                let message =
                    format!("network `{name}` has no address left for the BMC of `{node}`");
                let help = "BMCs get addresses outside its DHCP range: make that smaller, or the subnet larger";
                Diagnostic::error("bmc::network", message).help(help)
            }
            Self::Port => {
                let message = format!(
                    "another program on the hypervisor has a port that the BMC of `{node}` needs on network `{name}`"
                );
                let help = "`ss -lntup` there says which; with `--bmc-network` these are TCP port 443 and UDP port 623, \
                            without it free ones from 8443 and 6230 on are chosen";
                Diagnostic::error("bmc::port", message).help(help)
            }
        }
    }
}
