//! Files of those who enrol bare metal, for nodes whose BMCs speak one protocol or both.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::bare_metal::{self, Machine};
use maquette_core::blueprint::Node;
use maquette_core::syntax::Plain;
use maquette_core::topology::BootMode;
use maquette_core::values::Secret;
use maquette_testkit::{blueprint_of, input, machine};

const NETWORK: &str = "
networks:
  net1: {name: lan, forward: nat, ip_address: 10.1.0.1, netmask: 255.255.255.0, dhcp: {range: {start: 10.1.0.2, end: 10.1.0.9}}}
";

/// A node type that is called after what its BMC speaks.
fn node_type(protocol: &str) -> String {
    format!(
        "{protocol}=name: {protocol}\ncpu: 2\nmemory: 512\ndeploy_os: no\nbmc: {protocol}\n\
         disks: {{disk1: {{size: 10G}}}}\ninterfaces: [{{network: lan}}]\n"
    )
}

fn nodes() -> Vec<Node> {
    let types = ["redfish", "ipmi", "both"].map(node_type);
    let mut input = input(&types.each_ref().map(|text| (text.as_str(), 1)), NETWORK, &[]);
    input.request.settings.boot_mode = BootMode::Uefi;
    blueprint_of(&input, &machine(&["eth0"])).nodes
}

fn machines(nodes: &[Node]) -> Vec<Machine<'_>> {
    let of = |node| {
        let node: &Node = node;
        let bmc = node.bmc.as_ref().unwrap();
        Machine { node, bmc, user: "admin", password: Secret::new("secret") }
    };
    nodes.iter().map(of).collect()
}

#[test]
fn files_of_those_who_enrol_bare_metal() {
    let nodes = nodes();
    let machines = machines(&nodes);
    insta::assert_snapshot!("instackenv", bare_metal::instackenv(&machines));
    insta::assert_snapshot!("baremetal", bare_metal::baremetal_yaml(&machines));
    insta::assert_snapshot!("bifrost", bare_metal::bifrost(&machines));
    insta::assert_snapshot!("ironic_nodes", bare_metal::ironic_nodes(&machines));
    insta::assert_snapshot!("bare_metal_hosts", bare_metal::bare_metal_hosts(&machines));
}

/// Names of node types may have what names in Kubernetes may not.
#[test]
fn metal3s_files_have_one_name_for_a_node() {
    let text = node_type("redfish").replacen("redfish=name: redfish", "Db_x=name: Db_x", 1);
    let input = input(&[(text.as_str(), 1)], NETWORK, &[]);
    let nodes = blueprint_of(&input, &machine(&["eth0"])).nodes;
    let machines = machines(&nodes);
    assert!(bare_metal::ironic_nodes(&machines).contains("\"name\": \"db-x-0\""));
    assert!(bare_metal::bare_metal_hosts(&machines).contains("\"db-x-0\""));
}

/// The second manifest took the place of the first, and one node was never enrolled.
#[test]
fn nodes_whose_names_differ_in_what_kubernetes_does_not_take_are_two_hosts() {
    let named = |name: &str| {
        node_type("redfish").replacen("redfish=name: redfish", &format!("{name}=name: {name}"), 1)
    };
    let types = ["Db_x", "db-x", "DB_x"].map(named);
    let input = input(&types.each_ref().map(|text| (text.as_str(), 1)), NETWORK, &[]);
    let nodes = blueprint_of(&input, &machine(&["eth0"])).nodes;
    assert_eq!(nodes.len(), 3);
    let machines = machines(&nodes);
    let hosts = bare_metal::bare_metal_hosts(&machines);
    let named = hosts.lines().filter_map(|line| line.trim().strip_prefix("name: \""));
    let named: std::collections::BTreeSet<&str> = named.collect();
    // Three secrets and three hosts.
    assert_eq!(named.len(), 6, "{hosts}");
    assert!(named.contains("db-x-0\""), "{named:?}");
    let ironic = bare_metal::ironic_nodes(&machines);
    let all = named.iter().filter(|name| !name.ends_with("-bmc\""));
    assert!(all.into_iter().all(|name| ironic.contains(name)), "{ironic}");
}

#[test]
fn what_is_written_as_yaml_is_yaml() {
    let nodes = nodes();
    let machines = machines(&nodes);
    let hosts = bare_metal::bare_metal_hosts(&machines);
    for document in hosts.split("---\n").skip(1) {
        let read = Plain::read(document).unwrap();
        assert!(matches!(read, Plain::Map(_)), "{document}");
    }
    assert!(Plain::read(&bare_metal::baremetal_yaml(&machines)).is_ok());
}

/// A node has NICs that nothing boots from; who enrols it is told which one does.
#[test]
fn the_nic_that_a_node_is_provisioned_on_is_the_one_that_boots() {
    let network = format!("{NETWORK}  net2: {{name: ctlplane, ip_address: 10.2.0.1}}\n");
    let text = "web=name: web\ncpu: 2\nmemory: 512\ndeploy_os: no\nbmc: redfish\npxe_network: ctlplane\n\
                disks: {disk1: {size: 40500M}}\ninterfaces: [{network: lan}, {network: ctlplane}]\n";
    let nodes = blueprint_of(&input(&[(text, 1)], &network, &[]), &machine(&["eth0"])).nodes;
    let machines = machines(&nodes);
    let [lan, ctlplane] = [0, 1].map(|at| nodes[0].interfaces[at].mac.to_string());
    let read = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let instackenv = read(bare_metal::instackenv(&machines));
    assert_eq!(instackenv["nodes"][0]["ports"], serde_json::json!([{"address": ctlplane}]));
    // As InfraRed rounds it.
    assert_eq!(instackenv["nodes"][0]["disk"], "40");
    assert_eq!(
        read(bare_metal::bifrost(&machines))["web-0"]["nics"],
        serde_json::json!([{"mac": ctlplane}])
    );
    let ports = &read(bare_metal::ironic_nodes(&machines))["nodes"][0]["ports"];
    assert_eq!(
        *ports,
        serde_json::json!([{"address": lan, "pxe_enabled": false}, {"address": ctlplane, "pxe_enabled": true}])
    );
    let yaml = bare_metal::baremetal_yaml(&machines);
    assert!(
        yaml.contains(&format!("- address: \"{ctlplane}\"\n        pxe_enabled: true")),
        "{yaml}"
    );
    let hosts = bare_metal::bare_metal_hosts(&machines);
    assert!(hosts.contains(&format!("bootMACAddress: \"{ctlplane}\"")), "{hosts}");
    let wrong = text.replace("pxe_network: ctlplane", "pxe_network: other");
    let found = maquette_testkit::mistakes(&mut input(&[(&wrong, 1)], &network, &[]));
    assert!(found.iter().any(|line| line.starts_with("topology::pxe-network")), "{found:?}");
}
