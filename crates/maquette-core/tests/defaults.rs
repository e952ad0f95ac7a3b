//! The built-in files: complete, readable, and as users of InfraRed know them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use maquette_core::defaults::{self, Kind};
use maquette_core::diagnostic::Diagnostics;
use maquette_core::observed::Observed;
use maquette_core::syntax::{Sources, Tree, Value, parse};
use maquette_testkit::{expand, input, mistakes, topology, types_for};

fn tree(kind: Kind, name: &str) -> Tree {
    let mut sources = Sources::default();
    let id = sources.add(name, defaults::get(kind, name).unwrap());
    let mut diags = Diagnostics::default();
    let node = parse(&sources, id, &mut diags).unwrap();
    assert!(diags.is_empty(), "{name}: {diags:?}");
    node
}

fn scalar(node: &Tree, path: &[&str]) -> Option<String> {
    match &node.at(path)?.value {
        Value::Scalar(text, _) => Some(text.clone()),
        _ => None,
    }
}

#[test]
fn the_totals_are_those_of_the_specification() {
    let nodes: Vec<Tree> =
        defaults::names(Kind::Nodes).iter().map(|n| tree(Kind::Nodes, n)).collect();
    assert_eq!(nodes.len(), 55);
    let deploy = |word: Option<&str>| {
        nodes.iter().filter(|n| scalar(n, &["deploy_os"]).as_deref() == word).count()
    };
    assert_eq!((deploy(Some("yes")), deploy(Some("no")), deploy(None)), (25, 23, 7));
    let disks = |n: &Tree| n.get("disks").unwrap().entries().len();
    assert_eq!(nodes.iter().map(disks).sum::<usize>(), 89);
    let model = |word: &str| {
        nodes.iter().filter(|n| scalar(n, &["cpumodel"]).as_deref() == Some(word)).count()
    };
    assert_eq!((model("host-model"), model("host-passthrough")), (3, 51));
    assert_eq!(nodes.iter().filter(|n| n.get("ips").is_some()).count(), 10);

    let networks: Vec<Tree> =
        defaults::names(Kind::Network).iter().map(|n| tree(Kind::Network, n)).collect();
    assert_eq!(networks.len(), 23);
    let regular: Vec<&Tree> = networks.iter().filter(|n| n.get("cidrs").is_none()).collect();
    let count = |key: &str| regular.iter().map(|n| n.get(key).unwrap().entries().len()).sum();
    assert_eq!((regular.len(), count("networks"), count("nodes")), (21, 67, 79));
    for bgp in networks.iter().filter(|n| n.get("cidrs").is_some()) {
        assert_eq!(bgp.get("networks").unwrap().entries().len(), 55);
    }
    let without = regular.iter().filter(|n| n.at(&["nodes", "default"]).is_none()).count();
    assert_eq!(without, 7);
}

#[test]
fn every_network_file_works_with_the_types_it_knows() {
    for name in defaults::names(Kind::Network) {
        for (types, settings) in types_for(name) {
            let nodes: Vec<(&str, u32)> = types.iter().map(|t| (t.as_str(), 1)).collect();
            let mut input = input(&nodes, name, &[]);
            input.request.settings.bgp = settings;
            let mut found = mistakes(&mut input);
            // One of them was never finished.
            if name == "bgp_networks_ipv6" {
                let said = found.pop().unwrap();
                assert!(said.contains("`net_v6` has no effect"), "{said}");
            }
            assert!(found.is_empty(), "{name} with {types:?}: {found:#?}");
        }
    }
}

/// Two of its networks are there to run out of addresses, where no node is reached.
#[test]
fn every_network_file_has_room_for_several_nodes() {
    let mut observed = Observed::default();
    observed.host.default_nic = Some("eno1".into());
    for name in defaults::names(Kind::Network) {
        for (types, settings) in types_for(name) {
            // Of what has its addresses written down there are as many as that.
            let written = |t: &str| tree(Kind::Nodes, t).get("ips").is_some();
            let count = |t: &String| if written(t) { 1 } else { 2 };
            let nodes: Vec<_> = types.iter().map(|t| (t.as_str(), count(t))).collect();
            let mut input = input(&nodes, name, &[]);
            input.request.settings.bgp = settings;
            let (_, diags) = expand(&topology(&input, &observed), &observed);
            let runs_out = name.starts_with("3_nets_tiny_ext_pool");
            let reached_there = runs_out && types.iter().any(|t| t.starts_with("cfme"));
            assert_eq!(diags.has_errors(), reached_there, "{name} with {types:?}: {diags:#?}");
            assert_eq!(!diags.is_empty(), runs_out, "{name} with {types:?}: {diags:#?}");
        }
    }
}

#[test]
fn every_node_type_works_or_says_what_it_needs() {
    for name in defaults::names(Kind::Nodes) {
        let bgp = tree(Kind::Nodes, name).get("ips").is_some();
        let found = mistakes(&mut input(&[(name, 1)], "3_nets", &[]));
        match bgp {
            true => assert!(found.iter().any(|m| m.contains("--bgp-topology-mode")), "{found:#?}"),
            false => assert!(found.is_empty(), "{name}: {found:#?}"),
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
