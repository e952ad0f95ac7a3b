//! The XML of every network of the built-in files, as the specification has it, and as libvirt's own
//! schema accepts it.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use maquette_core::blueprint::Network;
use maquette_core::defaults::{self, Kind};
use maquette_core::names::EnvName;
use maquette_core::topology::Allocation;
use maquette_core::values::NetworkName;
use maquette_libvirt::xml;
use maquette_libvirt::xml::read::Record;
use maquette_testkit::{blueprint_of, input, machine, types_for};

/// Every NIC that a built-in network file names.
const NICS: [&str; 8] =
    ["eno1", "eno2", "enp6s0f0", "enp6s0f1", "enp94s0f0", "enp94s0f1", "enp94s0f2", "enp94s0f3"];

/// Networks of a built-in file with the nodes that go with it, each once.
fn networks(file: &str, environment: &EnvName) -> Vec<Network> {
    let mut all: BTreeMap<NetworkName, Network> = BTreeMap::new();
    let mut order = Vec::new();
    for (types, bgp) in types_for(file) {
        let nodes: Vec<(&str, u32)> = types.iter().map(|t| (t.as_str(), 1)).collect();
        let mut input = input(&nodes, file, &[]);
        input.request.settings.bgp = bgp;
        input.request.settings.environment = environment.clone();
        for mut network in blueprint_of(&input, &machine(&NICS)).networks {
            // The file says nothing of nodes.
            network.reservations.clear();
            network.tenants.clear();
            if all.insert(network.name.clone(), network.clone()).is_none() {
                order.push(network.name);
            }
        }
    }
    order.iter().filter_map(|name| all.remove(name)).collect()
}

/// What is libvirt's own: without identifier and metadata.
fn plain(xml: &str) -> String {
    let (before, rest) = xml.split_once("  <metadata>").unwrap();
    let (_, after) = rest.split_once("</metadata>\n").unwrap();
    let lines = before.lines().chain(after.lines()).filter(|l| !l.contains("<uuid>"));
    lines.collect::<Vec<_>>().join("\n")
}

fn files() -> impl Iterator<Item = &'static str> {
    // The other BGP file was never finished.
    defaults::names(Kind::Network).into_iter().filter(|n| *n != "bgp_networks_ipv6")
}

#[test]
fn every_network_file_becomes_the_xml_of_the_specification() {
    for file in files() {
        let mut text = String::new();
        for environment in ["default", "abcd"] {
            let environment: EnvName = environment.parse().unwrap();
            for network in networks(file, &environment) {
                let xml = xml::network(&network, &environment, Allocation::UNPREFIXED);
                text.push_str(&plain(&xml));
                text.push('\n');
            }
        }
        insta::with_settings!({snapshot_suffix => file, omit_expression => true}, {
            insta::assert_snapshot!("network", text);
        });
    }
}

#[test]
fn libvirts_own_schema_accepts_every_network() {
    let directory = tempfile::tempdir().unwrap();
    let mut script = String::new();
    let mut count = 0;
    for file in files() {
        for environment in ["default", "abcd"] {
            let environment: EnvName = environment.parse().unwrap();
            for network in networks(file, &environment) {
                let path = directory.path().join(format!("{count}.xml"));
                let xml = xml::network(&network, &environment, Allocation::UNPREFIXED);
                std::fs::write(&path, xml).unwrap();
                // Networks of several files have the same names and bridges.
                let name = &network.name;
                script +=
                    &format!("net-define --validate {}\nnet-undefine {name}\n", path.display());
                count += 1;
            }
        }
    }
    let mut virsh = Command::new("virsh")
        .args(["-c", "test:///default"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    virsh.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = virsh.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.trim().is_empty(), "{said}");
    let defined = String::from_utf8_lossy(&output.stdout).matches("defined from").count();
    assert_eq!(defined, count);
    assert!(count > 200, "{count}");
}

#[test]
fn every_network_is_read_back_as_it_was_written() {
    for file in files() {
        let environment: EnvName = "abcd".parse().unwrap();
        for network in networks(file, &environment) {
            let written = xml::network(&network, &environment, Allocation::UNPREFIXED);
            let read = xml::read::network(&written).unwrap();
            assert_eq!(read.wiring, maquette_core::observed::Wiring::of(&network), "{file}");
            match read.record {
                Record::Good(record) => assert_eq!(record.network, network, "{file}"),
                other => panic!("{file}: {other:?}"),
            }
        }
    }
}
