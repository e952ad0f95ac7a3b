//! Pictures of an environment: what is drawn, apart from how.

mod markup;
mod svg;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use maquette_core::blueprint::{Carrier, Interface, Network, Node, Outside};
use maquette_core::units::{ByteSize, MIB};

pub use markup::{dot, mermaid};
pub use svg::{narrow_svg, svg};
pub use text::text;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A network.
    Network,
    /// A node.
    Node,
}

/// What there is of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing yet.
    Planned,
    /// It runs.
    Active,
    /// It is there, and does not run.
    Off,
}

impl State {
    /// A sign before its name.
    fn sign(self) -> &'static str {
        match self {
            Self::Planned => "○",
            Self::Active => "●",
            Self::Off => "◌",
        }
    }
}

/// What `up` would do with an object that is there, as far as that can be seen in the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PlannedChange {
    /// Nothing.
    #[default]
    Stays,
    /// It would look different.
    Changes,
    /// It is not asked for any more.
    Goes,
}

impl PlannedChange {
    /// A detail of an object, with what becomes of the object.
    fn beside(self, detail: &str) -> String {
        let words = match self {
            Self::Stays => "",
            Self::Changes => "to be changed",
            Self::Goes => "to be removed",
        };
        let parts = [detail, words].into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// A network that several nodes are on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Net {
    /// Its libvirt name.
    pub name: String,
    /// Subnet and kind.
    pub detail: String,
    /// How it leads out of the hypervisor, if it does.
    pub outside: Option<String>,
    /// What there is of it.
    pub state: State,
    /// What becomes of it.
    pub mark: PlannedChange,
}

/// An interface of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name in the guest.
    pub name: String,
    /// Index of the network, or none for a link to another node.
    pub net: Option<usize>,
    /// What it leads to: the network, or the node and interface at the other end.
    pub to: String,
    /// Its address and VLANs; empty if there is nothing to say.
    pub detail: String,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its libvirt name.
    pub name: String,
    /// vCPUs and memory, for people: `1 vCPU, 1 GiB`.
    pub detail: String,
    /// What there is of it.
    pub state: State,
    /// What becomes of it.
    pub mark: PlannedChange,
    /// Its interfaces, in order.
    pub ports: Vec<Port>,
}

/// An environment, ready to be drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// What it is a picture of.
    pub title: String,
    /// Networks, in file order.
    pub nets: Vec<Net>,
    /// Nodes, in order.
    pub items: Vec<Item>,
    /// Cables between two nodes, as node and interface at either end.
    pub cables: Vec<[(usize, usize); 2]>,
}

/// What is drawn of networks and nodes; `state` is asked for each of them.
pub fn picture(
    title: &str,
    networks: &[Network],
    nodes: &[Node],
    state: &dyn Fn(Kind, &str) -> (State, PlannedChange),
) -> Scene {
    let mut scene = Scene { title: title.into(), ..Scene::default() };
    let mut ends: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    for (i, node) in nodes.iter().enumerate() {
        for (j, interface) in node.interfaces.iter().enumerate() {
            ends.entry(&interface.network).or_default().push((i, j));
        }
    }
    let is_cable = |network: &Network| {
        network.tuning.link_local && ends.get(network.name.as_str()).is_some_and(|e| e.len() == 2)
    };
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    for network in networks.iter().filter(|n| !is_cable(n)) {
        index.insert(&network.name, scene.nets.len());
        let (state, mark) = state(Kind::Network, &network.name);
        let (name, detail) = (network.name.to_string(), describe(network));
        scene.nets.push(Net { name, detail, outside: outside(network), state, mark });
    }
    // Bridges of the hypervisor's own that nodes are on.
    for node in nodes {
        for interface in node.interfaces.iter().filter(|i| i.is_on_host_bridge()) {
            if !index.contains_key(interface.network.as_str()) {
                index.insert(&interface.network, scene.nets.len());
                let (name, detail) =
                    (interface.network.to_string(), "the hypervisor's bridge".into());
                let (state, mark) = (State::Active, PlannedChange::Stays);
                scene.nets.push(Net { name, detail, outside: None, state, mark });
            }
        }
    }
    for (i, node) in nodes.iter().enumerate() {
        let ports = node.interfaces.iter().enumerate().map(|(j, interface)| {
            let net = index.get(interface.network.as_str()).copied();
            let far = ends.get(interface.network.as_str()).filter(|_| net.is_none());
            let far = far.and_then(|e| e.iter().find(|end| **end != (i, j)));
            let to = match far {
                Some((n, p)) => format!("{} {}", nodes[*n].name, nodes[*n].interfaces[*p].name),
                None => interface.network.to_string(),
            };
            Port { name: interface.name.to_string(), net, to, detail: plugged(interface) }
        });
        let (state, mark) = state(Kind::Node, &node.name);
        let (name, ports) = (node.name.to_string(), ports.collect());
        scene.items.push(Item { name, detail: size(node), state, mark, ports });
    }
    let cables = networks.iter().filter(|n| is_cable(n));
    scene.cables = cables
        .filter_map(|n| match ends.get(n.name.as_str())?.as_slice() {
            [a, b] => Some([*a, *b]),
            _ => None,
        })
        .collect();
    scene
}

/// Whether two networks are drawn alike.
pub fn same_network(one: &Network, other: &Network) -> bool {
    describe(one) == describe(other)
}

/// Whether two nodes are drawn alike.
pub fn same_node(one: &Node, other: &Node) -> bool {
    let ports = |node: &Node| -> Vec<(String, String, String)> {
        let each = node.interfaces.iter();
        each.map(|i| (i.name.to_string(), i.network.to_string(), plugged(i))).collect()
    };
    size(one) == size(other) && ports(one) == ports(other)
}

fn size(node: &Node) -> String {
    format!("{} vCPU, {}", node.vcpus, ByteSize(node.memory_mib.saturating_mul(MIB)))
}

/// What is said of an interface: its address, its VLANs.
fn plugged(interface: &Interface) -> String {
    let v4 = interface.ipv4.address().map(|n| n.addr().to_string());
    let lan = (interface.ipv4.asks_dhcp() && v4.is_none()).then(|| "DHCP of the LAN".to_string());
    let group = interface.attachment.portgroup().map(|p| format!("portgroup {p}"));
    v4.into_iter().chain(lan).chain(group).collect::<Vec<_>>().join(", ")
}

/// How a network leads out of the hypervisor.
fn outside(network: &Network) -> Option<String> {
    match &network.carrier {
        Carrier::Nic(uplink) => Some(format!("LAN on {}", uplink.nic)),
        Carrier::Direct(_, own) => Some(format!("LAN on {}", own.names())),
        Carrier::Libvirt(Outside::Nat) => Some("outside, by NAT".into()),
        Carrier::Libvirt(Outside::Open) => Some("outside, routed without a firewall".into()),
        Carrier::Libvirt(Outside::Route) => Some("outside, routed".into()),
        Carrier::Libvirt(Outside::Isolated) | Carrier::OpenVswitch(_) => None,
    }
}

fn describe(network: &Network) -> String {
    let mut parts = Vec::new();
    parts.extend(network.ipv4.map(|n| n.trunc().to_string()));
    parts.extend(network.ipv6.map(|n| n.trunc().to_string()));
    parts.extend(network.fixed.as_ref().map(|f| f.net.trunc().to_string()));
    parts.push(match &network.carrier {
        Carrier::Nic(uplink) => format!("bridged to {}", uplink.nic),
        Carrier::OpenVswitch(_) => "Open vSwitch".into(),
        Carrier::Direct(mode, own) => format!("{} on {}", mode.as_str(), own.names()),
        Carrier::Libvirt(_) if network.tuning.link_local => "link".into(),
        Carrier::Libvirt(_) => network.carrier.forward().mode().unwrap_or("isolated").into(),
    });
    parts.extend(network.mtu.map(|m| format!("MTU {m}")));
    parts.join(", ")
}
