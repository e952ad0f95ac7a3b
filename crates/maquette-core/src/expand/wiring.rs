//! Links between nodes: a bridge of its own for each pair of interfaces.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::diagnostic::{Diagnostic, Diagnostics, WITHOUT_EFFECT};
use crate::topology::{Interface, Role, Topology};
use crate::units::MacAddr;
use crate::values::{DeviceModel, Name, NodeType};

/// An interface as a node shall have it, before it has any address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    /// Network, without prefix.
    pub network: Name,
    /// Model.
    pub model: Option<DeviceModel>,
    /// Portgroup.
    pub portgroup: Option<String>,
    /// Whether the network may be a bridge of the hypervisor's own.
    pub bridged: bool,
    /// Its MAC address, if the file says one.
    pub mac: Option<MacAddr>,
    /// Whether it is there because another node has a link to this one.
    pub far: bool,
    /// Its IPv4 address, if the user has chosen one.
    pub ip: Option<Ipv4Addr>,
}

/// Numbers of the nodes of each node type, by its name.
pub(super) type Indexes = BTreeMap<NodeType, Vec<u32>>;

/// All links, and all bridges of the nodes' own.
#[derive(Debug, Default)]
pub(super) struct Wiring {
    /// Networks that no file describes, without prefix, and whether they are hubs; in the order in which
    /// they were needed.
    pub links: Vec<(Name, bool)>,
    /// Linked node types whose names begin alike.
    alike: BTreeSet<String>,
    /// Interfaces at the far ends, by node.
    ends: BTreeMap<Far, Vec<Port>>,
}

/// Says which interfaces are to be on a hub, and are on a bridge that is there already.
pub(super) fn other_hubs(
    topology: &Topology,
    indexes: &Indexes,
    is_there: impl Fn(&Name) -> bool,
    diags: &mut Diagnostics,
) {
    for role in topology.roles.iter().filter(|role| !of(indexes, role).is_empty()) {
        for interface in role.every_interface().filter(|i| i.hub && i.connect_to.is_none()) {
            let name = &interface.network;
            if topology.network(&name.value).is_some() || !is_there(&name.value) {
                continue;
            }
            let message = format!(
                "`hub` of node type `{}` has no effect: bridge `{}` is there already, and stays as it is",
                role.file, name.value
            );
            let help = format!(
                "`ip link set {} type bridge ageing_time 0` there makes it a hub",
                name.value
            );
            let diagnostic = Diagnostic::warning(WITHOUT_EFFECT, message);
            diags.push(diagnostic.at(name.span, "").help(help));
        }
    }
}

impl Wiring {
    /// Finds every pair. `is_there` says whether a name needs no bridge made for it.
    pub fn of(topology: &Topology, indexes: &Indexes, is_there: impl Fn(&Name) -> bool) -> Self {
        let mut wiring = Self { alike: alike(topology), ..Self::default() };
        for role in &topology.roles {
            for interface in role.every_interface().filter(|_| !of(indexes, role).is_empty()) {
                let name = &interface.network.value;
                if interface.connect_to.is_none() && interface.bridged && !is_there(name) {
                    wiring.link(name.clone(), interface.hub);
                }
            }
            for index in of(indexes, role) {
                for (interface, name, far) in pairs(role, *index, indexes, &wiring.alike) {
                    wiring.link(name.clone(), interface.hub);
                    wiring.ends.entry(far).or_default().push(Port {
                        network: name,
                        model: interface.model.clone(),
                        portgroup: None,
                        bridged: false,
                        mac: None,
                        far: true,
                        ip: None,
                    });
                }
            }
        }
        wiring
    }

    fn link(&mut self, name: Name, hub: bool) {
        match self.links.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known |= hub,
            None => self.links.push((name, hub)),
        }
    }

    /// Interfaces of a node in NIC order: its own, with a link to each node of another type, then
    /// the ends of others' links.
    pub fn ports(&self, role: &Role, index: u32, indexes: &Indexes) -> Vec<Port> {
        let mut links = pairs(role, index, indexes, &self.alike).into_iter().peekable();
        let row = role.interfaces.rows.as_ref().and_then(|rows| rows.get(index as usize));
        let mut ports = Vec::new();
        for interface in row.unwrap_or(&role.interfaces.all) {
            let Some(link) = &interface.connect_to else {
                ports.push(own(role, interface, index));
                continue;
            };
            while let Some((_, name, _)) = links.next_if(|(i, _, _)| std::ptr::eq(*i, interface)) {
                let mut port = own(role, interface, index);
                (port.network, port.model, port.bridged) = (name, link.model.clone(), false);
                ports.push(port);
            }
        }
        let far = self.ends.get(&(role.name.value.clone(), index));
        ports.extend(far.into_iter().flatten().cloned());
        ports
    }
}

fn of<'a>(indexes: &'a Indexes, role: &Role) -> &'a [u32] {
    indexes.get(&role.name.value).map_or(&[], Vec::as_slice)
}

fn own(role: &Role, interface: &Interface, index: u32) -> Port {
    let network = interface.network.value.clone();
    let mac = role.macs.get(index as usize).filter(|(_, on)| *on == network).map(|(mac, _)| *mac);
    Port {
        model: interface.model.clone(),
        portgroup: interface.portgroup.as_ref().map(|p| p.value.clone()),
        bridged: interface.bridged,
        network,
        mac,
        far: false,
        ip: interface.ip.as_ref().and_then(|ip| ip.of(index)),
    }
}

/// A node at the far end of a link.
type Far = (NodeType, u32);

/// The links of one node: its interface, the link's name, and who is at the other end.
fn pairs<'a>(
    role: &'a Role,
    index: u32,
    indexes: &Indexes,
    alike: &BTreeSet<String>,
) -> Vec<(&'a Interface, Name, Far)> {
    let mut all = Vec::new();
    let mut seen: BTreeMap<Name, u32> = BTreeMap::new();
    for interface in &role.interfaces.all {
        let Some(link) = &interface.connect_to else { continue };
        let Some((to, numbers)) = indexes.get_key_value(link.to.value.as_str()) else { continue };
        let near = short(&role.name.value, alike);
        for far in numbers {
            let name = Name::of_link((&near, index), (&short(to, alike), *far));
            // A second link between the same two is another one.
            let times = seen.entry(name.clone()).or_default();
            *times += 1;
            let name = if *times == 1 { name } else { name.again(*times) };
            all.push((interface, name, (to.clone(), *far)));
        }
    }
    all
}

/// The first four letters, as InfraRed calls it and port discovery expects; all of them where
/// two node types would be called alike.
fn short(role: &str, alike: &BTreeSet<String>) -> String {
    if alike.contains(role) { role.to_string() } else { role.chars().take(4).collect() }
}

/// Linked node types whose names begin alike.
fn alike(topology: &Topology) -> BTreeSet<String> {
    let mut linked: BTreeSet<&str> = BTreeSet::new();
    for role in &topology.roles {
        for link in role.interfaces.all.iter().filter_map(|i| i.connect_to.as_ref()) {
            linked.extend([role.name.value.as_str(), link.to.value.as_str()]);
        }
    }
    let begins = |role: &str| role.chars().take(4).collect::<String>();
    let twin = |role: &&&str| linked.iter().any(|o| o != *role && begins(o) == begins(role));
    linked.iter().filter(twin).map(|r| (*r).to_string()).collect()
}
