//! The pages of built-in node types and network files, with a picture of each network file by `maquette graph`.

use std::fmt::Write;

use maquette_core::examples::examples;
use maquette_core::topology::{built_in_networks, built_in_types};

use super::played::said;
use super::{begin, cell, compare, table};

/// The nodes that a network file is drawn with: it has something to say of them.
fn nodes_of(network: &str) -> &'static str {
    match network {
        "bgp_networks" | "bgp_networks_ipv6" => {
            "undercloudbgp:1,controllerbgp:1,computebgp:1,spine:1,leaf:1,routerbgp:1"
        }
        "2_nets_1_bridge" => "undercloud:1",
        "3_nets_vswitch" => "undercloud:1,controller:1,ovsvswitch:1",
        "11_nets_3_bridges_hybrid"
        | "3_nets_hybrid"
        | "4_nets_3_bridges_hybrid"
        | "adoption_11_nets_3_bridges_hybrid" => "undercloud:1,controller:1",
        _ => "undercloud:1,controller:1,compute:1",
    }
}

/// What `maquette graph` draws on a hypervisor that is a model and has nothing yet.
fn picture(words: &[&str]) -> String {
    said(&[&["graph", "--format", "svg"][..], words].concat())
}

#[test]
fn every_network_file_has_its_picture() {
    let mut out = begin(
        "Built-in network files",
        "`--topology-network NAME`, or `network: NAME` in `maquette.yaml`. `maquette topology show NAME` prints one, to be \
         changed and used by its path. Each is drawn here with nodes that it has interfaces for.",
    );
    for (name, names) in built_in_networks() {
        let nodes = nodes_of(name);
        let mut words = vec!["--topology-network", name, "--topology-nodes", nodes];
        let mut mode = "";
        if name.starts_with("bgp") {
            words.extend(["--bgp-topology-mode", "basic"]);
            mode = " --bgp-topology-mode basic";
        }
        compare(&format!("reference/pictures/{name}.svg"), &picture(&words));
        let shown = match names.len() {
            ..=12 => format!("`{}`", names.join("`, `")),
            many => {
                format!("{many} networks, of which the first are `{}`", names[..6].join("`, `"))
            }
        };
        let _ = writeln!(
            out,
            "## {name}\n\n{shown}.\n\n```sh\nmaquette graph --topology-network {name} \\\n    \
             --topology-nodes {nodes}{mode}\n```\n\n![{name}](pictures/{name}.svg)\n"
        );
    }
    compare("reference/networks.md", &format!("{}\n", out.trim_end()));
}

#[test]
fn every_example_has_its_picture() {
    let mut out = begin(
        "Examples",
        "`maquette init NAME` writes one of these as `maquette.yaml`, to begin with.",
    );
    for example in examples() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("maquette.yaml");
        std::fs::write(&file, example.text).unwrap();
        let drawn = picture(&["--project", file.to_str().unwrap()]);
        compare(&format!("reference/pictures/example-{}.svg", example.name), &drawn);
        let _ = writeln!(
            out,
            "## {0}\n\n{1}.\n\n![{0}](pictures/example-{0}.svg)\n\n```yaml\n{2}\n```\n",
            example.name,
            cell(example.title),
            example.text.trim_end()
        );
    }
    compare("reference/examples.md", &format!("{}\n", out.trim_end()));
}

#[test]
fn every_node_type_has_its_row() {
    let mut out = begin(
        "Built-in node types",
        "`--topology-nodes NAME:COUNT,…`, or a count below `nodes` in `maquette.yaml`. `maquette topology show NAME` \
         prints one; `-e override.NAME.memory=4096` changes a value of it. Which networks a node is on is in the \
         [network file](networks.md). Types without an operating system have blank disks, for others to install on; \
         `-e override.NAME.deploy_os=yes` gives them one.",
    );
    let rows = built_in_types().into_iter().map(|of| {
        let os = if of.has_os { "yes" } else { "no" };
        let disks = of.disks.join(", ");
        vec![
            format!("`{}`", of.name),
            of.vcpus,
            of.memory_mib,
            disks,
            os.into(),
            of.groups.join(", "),
        ]
    });
    table(
        &mut out,
        &["type", "vCPUs", "memory, MiB", "disks", "operating system", "Ansible groups"],
        rows,
    );
    compare("reference/node-types.md", &format!("{}\n", out.trim_end()));
}
