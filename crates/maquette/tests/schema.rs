//! What `maquette schema` prints fits the files that Maquette reads, and no others.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

#[path = "reference/fits.rs"]
mod fits;

use std::path::{Path, PathBuf};
use std::process::Command;

use maquette_core::defaults::{self, Kind};
use maquette_core::examples::examples;
use maquette_core::syntax::Plain;
use serde_json::Value;

/// A schema as the program prints it.
struct Schema(Value);

impl Schema {
    fn of(file: &str) -> Self {
        let said =
            Command::new(env!("CARGO_BIN_EXE_maquette")).args(["schema", file]).output().unwrap();
        assert!(said.status.success(), "{said:?}");
        let mut schema: Value = serde_json::from_slice(&said.stdout).unwrap();
        let keywords = schema.as_object_mut().unwrap();
        let dialect = keywords.remove("$schema").unwrap();
        assert_eq!(dialect, "https://json-schema.org/draft/2020-12/schema");
        Self(schema)
    }

    /// What it has to say against a text.
    fn refuses(&self, text: &str) -> Option<String> {
        let value = serde_json::to_value(Plain::read(text).unwrap()).unwrap();
        fits::fits(&self.0, &value).err()
    }

    fn takes(&self, what: &str, text: &str) {
        let refused = self.refuses(text);
        assert!(refused.is_none(), "{what}: {}", refused.unwrap());
    }
}

/// Files of the repository below a folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            found.push(path);
        }
    }
    assert!(!found.is_empty(), "{folder}");
    found
}

#[test]
fn every_built_in_file_fits_its_schema() {
    for (kind, file) in [(Kind::Nodes, "nodes"), (Kind::Network, "network")] {
        let schema = Schema::of(file);
        for name in defaults::names(kind) {
            schema.takes(name, defaults::get(kind, name).unwrap());
        }
    }
}

#[test]
fn every_example_fits_its_schema() {
    let schema = Schema::of("project");
    for example in examples() {
        schema.takes(example.name, example.text);
    }
    let (nodes, networks) = (Schema::of("nodes"), Schema::of("network"));
    for path in files("tests/e2e").into_iter().chain(files("tests/e2e/nodes")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let what = path.display().to_string();
        match Plain::read(&text).unwrap().at(&["networks"]) {
            Some(_) => networks.takes(&what, &text),
            None => nodes.takes(&what, &text),
        }
    }
}

/// Whatever `explain` shows can be written so.
#[test]
fn every_example_of_a_key_fits() {
    let said =
        Command::new(env!("CARGO_BIN_EXE_maquette")).args(["explain", "--json"]).output().unwrap();
    let all: Value = serde_json::from_slice(&said.stdout).unwrap();
    let schema = Schema::of("project");
    let mut tried = 0;
    for topic in all.as_array().unwrap() {
        let example = topic["example"].as_str().unwrap();
        let of_file = topic["written"][0].as_str().unwrap().contains("maquette.yaml");
        if of_file {
            schema.takes(topic["key"].as_str().unwrap(), example);
            tried += 1;
        } else {
            assert!(example.starts_with("--"), "{example}");
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn what_people_write_in_yaml_fits() {
    let nodes = Schema::of("nodes");
    let node = |more: &str| {
        format!("name: n\ncpu: '2'\nmemory: 1024\ndisks: {{disk1: {{size: 1G}}}}\n{more}")
    };
    for more in [
        "deploy_os: 'Yes'",
        "deploy_os: false",
        "swap:",
        "external_network: management",
        "external_network: {network: management, bridged: no}",
        "interfaces: {nic1: {network: data}, nic2: {network: external, model: e1000}}",
        "interfaces: [{connect_to: switch, src_model: virtio}]",
        "x-anything: [1, 2]",
        "memory: '{{ net }}'",
    ] {
        let text = node(more).replacen(
            "memory: 1024\n",
            if more.starts_with("memory") { "" } else { "memory: 1024\n" },
            1,
        );
        nodes.takes(more, &text);
    }
    let project = Schema::of("project");
    for text in [
        "nodes: 'controller:3,compute:1'",
        "nodes: {controller: 3}\nhypervisor: {address: hv1, mtu: 9000, virt_type: kvm, validate: 'no'}",
        "overrides: {controller: {memory: 2048}}\nchecksum: sha256:00",
        "prefix: 7\nnet_subnet: 255",
        "nodes: {web: {}, db: 1, app: {count: 2, networks: [a, {network: b, ip: 10.9.0.2}], disks: [1G, {size: 2G}]}}",
        "nodes: {web: {disks: {root: {size: 20G}, data_1-b: {size: 1G}}}}",
        "networks: {a: {}, b: , c: {subnet: 10.9.0.0/24, dhcp: no}, d: {forward: none, dhcp: {range: {start: 1, end: 2}}}}",
    ] {
        project.takes(text, text);
    }
}

#[test]
fn wrong_keys_and_values_do_not_fit() {
    const NODE: &str = "name: n\ncpu: 2\nmemory: 1024\ndisks: {disk1: {size: 1G}}\n";
    let nodes = Schema::of("nodes");
    nodes.takes("a node", NODE);
    for more in [
        "memroy: 1024",
        "swap: -1",
        "swap: many",
        "deploy_os: perhaps",
        "groups: web",
        "os: {kind: linux}",
        "image: {user: me}",
        "interfaces: [{netwrok: data}]",
        "interfaces: {eth0: {network: data}}",
        "external_network: {name: management}",
    ] {
        assert!(nodes.refuses(&format!("{NODE}{more}\n")).is_some(), "{more}");
    }
    assert!(nodes.refuses(&NODE.replace("cpu: 2\n", "")).is_some(), "a node without `cpu`");
    assert!(nodes.refuses(&NODE.replace("size", "cache: fast, size")).is_some(), "a cache mode");

    let networks = Schema::of("network");
    let with = |key: &str| format!("networks:\n  net1:\n    name: n\n    {key}\n");
    networks.takes("a network", &with("forward: nat"));
    for key in [
        "forwrad: nat",
        "forward: bridged",
        "dhcp: {range: {start: 10.0.0.2}}",
        "dhcp: {rnage: {start: 10.0.0.2, end: 10.0.0.9}}",
        "portgroups: [{name: a, vlan: 1}]",
        "dns: {srvs: [{name: ldap}]}",
        "dns: {forwarders: 192.0.2.53}",
        "ipv6: {address: '2001:db8::1'}",
        "static: {subnet: 10.0.0.0/24}",
        "bootp: {root: /srv/tftp}",
    ] {
        assert!(networks.refuses(&with(key)).is_some(), "{key}");
    }
    assert!(networks.refuses("nodes: {}\n").is_some(), "no networks");

    let project = Schema::of("project");
    for text in [
        "netwrok: 3_nets",
        "hypervisor: {adress: hv1}",
        "hypervisor: {virt_type: xen}",
        "net_subnet: 256",
        "nodes: {controller: many}",
        "nodes: {web: {cuont: 2}}",
        "nodes: {web: {networks: a}}",
        "nodes: {web: {disks: {-root: {size: 20G}}}}",
        "networks: {a: {subent: 10.9.0.0/24}}",
        "networks: [a]",
        "overrides: [1]",
    ] {
        assert!(project.refuses(text).is_some(), "{text}");
    }
}
