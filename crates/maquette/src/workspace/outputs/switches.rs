//! Which port of a switch leads to which node: what playbooks need that set the switch up.

use maquette_core::blueprint::{Interface, Ipv4Setup, Node, far_end};
use serde_json::{Value, json};

/// Ansible's group of switches.
const GROUP: &str = "vswitches";

/// Ports of all switches, by the switch's name in the inventory; each with the number of its NIC
/// (`nic`, from 0), its number among the ports (`port`, from 0), and the `node` and `role` at the other
/// end. A NIC for the switch's own management does not count as a port, and neither does one that leads to a
/// part of a switch.
pub fn ports(nodes: &[&Node]) -> Value {
    let is_switch = |node: &Node| node.groups.iter().any(|g| g == GROUP);
    let switches = nodes.iter().filter(|n| is_switch(n));
    let map = switches.map(|switch| {
        let peers = switch.interfaces.iter().enumerate().filter_map(|(nic, interface)| {
            let all = nodes.iter().copied();
            let (peer, _) = is_bare(interface).then(|| far_end(all, interface))??;
            (!is_switch(peer)).then_some((nic, peer))
        });
        let ports: Vec<Value> = peers
            .enumerate()
            .map(|(port, (nic, peer))| {
                json!({"nic": nic, "port": port, "node": peer.name, "role": peer.role})
            })
            .collect();
        (switch.name.to_string(), Value::from(ports))
    });
    Value::Object(map.collect())
}

/// Whether an interface may be an end of a link: those have no addresses.
fn is_bare(interface: &Interface) -> bool {
    interface.ipv4 == Ipv4Setup::Off && interface.ipv6.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_core::units::MacAddr;
    use maquette_testkit as testkit;

    /// A node on some networks; on `management` it has an address.
    fn node(number: u8, name: &str, group: &str, networks: &[&str]) -> Node {
        let interface = |(nic, network): (usize, &&str)| Interface {
            mac: MacAddr([0x52, 0x54, 0, 0, number, nic as u8]),
            ipv4: if *network == "management" {
                Ipv4Setup::Dhcp { reserved: Some("172.16.0.2/24".parse().unwrap()) }
            } else {
                Ipv4Setup::Off
            },
            ..testkit::interface(&format!("eth{nic}"), 0, network)
        };
        let interfaces = networks.iter().enumerate().map(interface).collect();
        Node { interfaces, groups: vec![group.parse().unwrap()], ..testkit::node(name) }
    }

    #[test]
    fn ports_are_links_to_nodes_and_neither_management_nor_hubs_nor_other_switches() {
        let nodes = [
            node(1, "controller-0", "controllers", &["management", "cont0vswi0", "hub"]),
            node(2, "compute-0", "computes", &["management", "vswi0comp0", "hub"]),
            node(
                3,
                "vswitch-0",
                GROUP,
                &["management", "vswi0vswi1", "cont0vswi0", "hub", "nobody", "vswi0comp0"],
            ),
            node(4, "vswitch-1", GROUP, &["management", "vswi0vswi1"]),
        ];
        let nodes: Vec<&Node> = nodes.iter().collect();
        let wanted = json!({
            "vswitch-0": [
                {"nic": 2, "port": 0, "node": "controller-0", "role": "controller"},
                {"nic": 5, "port": 1, "node": "compute-0", "role": "compute"},
            ],
            "vswitch-1": [],
        });
        assert_eq!(ports(&nodes), wanted);
    }
}
