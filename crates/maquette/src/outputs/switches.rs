//! Which port of a switch leads to which node: what playbooks need that set the switch up.

use maquette_core::blueprint::{Interface, Node};
use serde_json::{Value, json};

/// Ansible's group of switches.
const GROUP: &str = "vswitches";

/// Ports of all switches, by the switch's name in the inventory; each with the number of its NIC
/// (`nic`, from 0), its number among the ports (`port`, from 0), and the `node` and `role` at the other
/// end. A NIC for the switch's own management is no port, and neither is one that leads to a part of a
/// switch.
pub fn ports(nodes: &[&Node]) -> Value {
    let is_switch = |node: &Node| node.groups.iter().any(|g| g == GROUP);
    let switches = nodes.iter().filter(|n| is_switch(n));
    let map = switches.map(|switch| {
        let peers = switch.interfaces.iter().enumerate().filter_map(|(nic, interface)| {
            let peer = peer(nodes, switch, interface).filter(|p| !is_switch(p))?;
            Some((nic, peer))
        });
        let ports: Vec<Value> = peers
            .enumerate()
            .map(|(port, (nic, peer))| {
                json!({"nic": nic, "port": port, "node": peer.name, "role": peer.role})
            })
            .collect();
        (switch.name.clone(), Value::from(ports))
    });
    Value::Object(map.collect())
}

/// Who is at the other end of a link: the only other node on a network without addresses.
fn peer<'a>(nodes: &[&'a Node], node: &Node, interface: &Interface) -> Option<&'a Node> {
    if interface.ipv4.is_some() || interface.ipv6.is_some() || interface.dhcp {
        return None;
    }
    let on_it = |n: &&&Node| n.interfaces.iter().any(|i| i.source() == interface.source());
    let mut others = nodes.iter().filter(|n| n.name != node.name).filter(on_it);
    let first = others.next()?;
    others.next().is_none().then_some(*first)
}
