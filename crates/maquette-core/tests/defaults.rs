//! The built-in files: complete, readable, and as users of the older tool know them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

mod common;

use common::{input, mistakes};
use maquette_core::defaults::{self, Kind};
use maquette_core::diagnostic::Diagnostics;
use maquette_core::syntax::{Node, Sources, Value, parse};

fn tree(kind: Kind, name: &str) -> Node {
    let mut sources = Sources::default();
    let id = sources.add(name, defaults::get(kind, name).unwrap());
    let mut diags = Diagnostics::default();
    let node = parse(&sources, id, &mut diags).unwrap();
    assert!(diags.is_empty(), "{name}: {diags:?}");
    node
}

fn scalar(node: &Node, path: &[&str]) -> Option<String> {
    match &node.at(path)?.value {
        Value::Scalar(text) => Some(text.clone()),
        _ => None,
    }
}

#[test]
fn the_totals_are_those_of_the_specification() {
    let nodes: Vec<Node> =
        defaults::names(Kind::Nodes).iter().map(|n| tree(Kind::Nodes, n)).collect();
    assert_eq!(nodes.len(), 55);
    let deploy = |word: Option<&str>| {
        nodes.iter().filter(|n| scalar(n, &["deploy_os"]).as_deref() == word).count()
    };
    assert_eq!((deploy(Some("yes")), deploy(Some("no")), deploy(None)), (25, 23, 7));
    let disks = |n: &Node| n.get("disks").unwrap().entries().len();
    assert_eq!(nodes.iter().map(disks).sum::<usize>(), 89);
    let model = |word: &str| {
        nodes.iter().filter(|n| scalar(n, &["cpumodel"]).as_deref() == Some(word)).count()
    };
    assert_eq!((model("host-model"), model("host-passthrough")), (3, 51));
    assert_eq!(nodes.iter().filter(|n| n.get("ips").is_some()).count(), 10);

    let networks: Vec<Node> =
        defaults::names(Kind::Network).iter().map(|n| tree(Kind::Network, n)).collect();
    assert_eq!(networks.len(), 23);
    let regular: Vec<&Node> = networks.iter().filter(|n| n.get("cidrs").is_none()).collect();
    let count = |key: &str| regular.iter().map(|n| n.get(key).unwrap().entries().len()).sum();
    assert_eq!((regular.len(), count("networks"), count("nodes")), (21, 67, 79));
    for bgp in networks.iter().filter(|n| n.get("cidrs").is_some()) {
        assert_eq!(bgp.get("networks").unwrap().entries().len(), 55);
    }
    let without = regular.iter().filter(|n| n.at(&["nodes", "default"]).is_none()).count();
    assert_eq!(without, 7);
}

/// Files that need what is not built yet: bridges, Open vSwitch, wired links, BGP.
const LATER: [&str; 14] = [
    "11_nets_3_bridges_hybrid",
    "2_nets_1_bridge",
    "3_net_openvswitch",
    "3_nets_1_bridge",
    "3_nets_4_leafs_openvswitch",
    "3_nets_hybrid",
    "3_nets_vswitch",
    "4_nets_3_bridges_hybrid",
    "4_nets_baremetal_openvswitch",
    "4_nets_multi_hypervisor",
    "adoption_11_nets_3_bridges_hybrid",
    "bgp_networks",
    "bgp_networks_ipv6",
    // It has no `default`; the types that it knows work.
    "6_nets_3_bridges",
];

#[test]
fn every_network_file_works_or_says_what_it_needs() {
    for name in defaults::names(Kind::Network) {
        let role = if name == "6_nets_3_bridges" { "controller" } else { "diskless" };
        let found = mistakes(&mut input(&[(role, 1)], name, &[]));
        if LATER.contains(&name) && name != "6_nets_3_bridges" && name != "3_nets_vswitch" {
            assert!(!found.is_empty(), "{name} passed");
            let known = |m: &String| {
                m.starts_with("topology::unsupported") || m.starts_with("topology::no-role")
            };
            assert!(found.iter().all(known), "{name}: {found:#?}");
        } else if name == "3_nets_vswitch" {
            assert!(found.iter().any(|m| m.contains("wired link")), "{found:#?}");
        } else {
            assert!(found.is_empty(), "{name}: {found:#?}");
        }
    }
}

#[test]
fn every_node_type_works_or_says_what_it_needs() {
    for name in defaults::names(Kind::Nodes) {
        let found = mistakes(&mut input(&[(name, 2)], "3_nets", &[]));
        let bgp = tree(Kind::Nodes, name).get("ips").is_some();
        if bgp {
            assert!(found.iter().any(|m| m.contains("BGP")), "{name}: {found:#?}");
        } else {
            assert!(found.is_empty(), "{name}: {found:#?}");
        }
    }
}

#[test]
fn the_manuals_spelling_is_understood() {
    assert_eq!(
        defaults::get(Kind::Network, "3_net_1_bridge"),
        defaults::get(Kind::Network, "3_nets_1_bridge")
    );
    assert_eq!(
        defaults::get(Kind::Nodes, "controller.yml"),
        defaults::get(Kind::Nodes, "controller")
    );
}
