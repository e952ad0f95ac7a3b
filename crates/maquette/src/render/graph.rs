//! Pictures of an environment: what is drawn, apart from how.

mod markup;
mod svg;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use maquette_core::blueprint::{Network, Node};
use maquette_core::units::{ByteSize, MIB};

pub use markup::{dot, mermaid};
pub use svg::svg;
pub use text::text;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// A network that several nodes are on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Net {
    /// Name.
    pub name: String,
    /// Subnet and kind.
    pub detail: String,
    /// What there is of it.
    pub state: State,
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
    /// Address, VLANs.
    pub detail: String,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Name.
    pub name: String,
    /// Its size.
    pub detail: String,
    /// What there is of it.
    pub state: State,
    /// Its interfaces, in order.
    pub ports: Vec<Port>,
}

/// An environment, ready to be drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// Networks, in file order.
    pub nets: Vec<Net>,
    /// Nodes, in order.
    pub items: Vec<Item>,
    /// Cables between two nodes, as node and interface at either end.
    pub cables: Vec<[(usize, usize); 2]>,
}

/// What is drawn of networks and nodes.
pub fn picture(networks: &[Network], nodes: &[Node], state: &dyn Fn(Kind, &str) -> State) -> Scene {
    let mut scene = Scene::default();
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
        let state = state(Kind::Network, &network.name);
        scene.nets.push(Net { name: network.name.clone(), detail: describe(network), state });
    }
    // Bridges of the hypervisor's own that nodes are on.
    for node in nodes {
        for interface in node.interfaces.iter().filter(|i| i.host_bridge) {
            if !index.contains_key(interface.network.as_str()) {
                index.insert(&interface.network, scene.nets.len());
                let (name, detail) = (interface.network.clone(), "the hypervisor's bridge".into());
                scene.nets.push(Net { name, detail, state: State::Active });
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
                None => interface.network.clone(),
            };
            let v4 = interface.ipv4.map(|n| n.addr().to_string());
            let lan = (interface.dhcp && v4.is_none()).then(|| "DHCP of the LAN".to_string());
            let group = interface.portgroup.as_ref().map(|p| format!("portgroup {p}"));
            let parts: Vec<String> = v4.into_iter().chain(lan).chain(group).collect();
            Port { name: interface.name.clone(), net, to, detail: parts.join(", ") }
        });
        let memory = ByteSize(node.memory_mib.saturating_mul(MIB));
        scene.items.push(Item {
            name: node.name.clone(),
            detail: format!("{} vCPU, {memory}", node.vcpus),
            state: state(Kind::Node, &node.name),
            ports: ports.collect(),
        });
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

fn describe(network: &Network) -> String {
    let mut parts = Vec::new();
    parts.extend(network.ipv4.map(|n| n.trunc().to_string()));
    parts.extend(network.ipv6.map(|n| n.trunc().to_string()));
    parts.extend(network.fixed.as_ref().map(|f| f.net.trunc().to_string()));
    parts.push(match (&network.uplink, &network.vswitch) {
        (Some(uplink), _) => format!("bridged to {}", uplink.nic),
        (None, Some(_)) => "Open vSwitch".into(),
        (None, None) if network.tuning.link_local => "link".into(),
        (None, None) => network.forward.mode().unwrap_or("isolated").into(),
    });
    parts.extend(network.mtu.map(|m| format!("MTU {m}")));
    parts.join(", ")
}
