//! ci-framework's public scenarios, from the facts in `layouts/scenarios.txt`: each plans without an error, and its nodes are what
//! the scenario asks for.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeMap;
use std::fmt::Write;

use maquette_core::blueprint::Blueprint;
use maquette_core::diagnostic::{Diagnostics, Severity};
use maquette_core::layout::{self, Layout, NetworkXml};
use maquette_core::observed::Observed;
use maquette_core::syntax::{Sources, Style, Tree, Value, parse};
use maquette_core::topology::NodeRequest;
use maquette_testkit::{blueprint_of, input, mistakes};

const FACTS: &str = include_str!("layouts/scenarios.txt");

/// A type of VMs.
struct Vms<'a> {
    name: &'a str,
    amount: usize,
    /// In units of 10⁹ bytes, as libvirt's GB is.
    memory_gb: u64,
    cpus: u32,
    further_disks: usize,
    has_image: bool,
    networks: Vec<&'a str>,
    /// Networks of each VM alone.
    links: Vec<Vec<&'a str>>,
}

#[derive(Default)]
struct Scenario<'a> {
    name: &'a str,
    /// Names, and what follows them.
    networks: Vec<(&'a str, &'a str)>,
    vms: Vec<Vms<'a>>,
    /// Each type's keys, as a layout has them.
    keys: Vec<String>,
}

fn scenarios() -> Vec<Scenario<'static>> {
    let mut all: Vec<Scenario<'static>> = Vec::new();
    for line in FACTS.lines().filter(|line| !line.starts_with('#')) {
        let (kind, rest) = line.split_once(' ').unwrap();
        match kind {
            "scenario" => all.push(Scenario { name: rest, ..Scenario::default() }),
            "net" => all.last_mut().unwrap().networks.push(rest.split_once(' ').unwrap()),
            _ => {
                let scenario = all.last_mut().unwrap();
                let (vms, keys) = vms(rest);
                scenario.vms.push(vms);
                scenario.keys.push(keys);
            }
        }
    }
    all
}

/// A type and its keys.
fn vms(line: &'static str) -> (Vms<'static>, String) {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, amount, rest @ ..] = words.as_slice() else { panic!("{line}") };
    let of = |word: &str| rest[rest.iter().position(|w| *w == word).unwrap() + 1];
    let (number, size) = of("extra").split_once('x').unwrap();
    let list = |text: &'static str| text.split(',').collect::<Vec<_>>();
    let links = match of("links") {
        "-" => Vec::new(),
        links => links.split(';').map(list).collect(),
    };
    // Scenarios write numbers so, or as they are.
    let most =
        |word: &str| format!("\"{{{{ [nothing | default(1) | int, {}] | max }}}}\"", of(word));
    let mut keys = format!(
        "{{uefi: \"{{{{ use_uefi | default(false) }}}}\", amount: {amount}, memory: {}, cpus: {}, disksize: \"{}\", nets: [{}]",
        most("memory"),
        most("cpus"),
        of("disksize"),
        of("nets"),
    );
    if number != "0" {
        write!(keys, ", extra_disks_num: {number}, extra_disks_size: {size}").unwrap();
    }
    if of("image") == "yes" {
        keys += ", image_url: \"{{ discovered_image_url | default('') }}\"";
    }
    if !links.is_empty() {
        let rows: Vec<String> = links.iter().map(|row| format!("[{}]", row.join(", "))).collect();
        write!(keys, ", spineleafnets: [{}]", rows.join(", ")).unwrap();
    }
    keys.push('}');
    let parsed = Vms {
        name,
        amount: amount.parse().unwrap(),
        memory_gb: of("memory").parse().unwrap(),
        cpus: of("cpus").parse().unwrap(),
        further_disks: number.parse().unwrap(),
        has_image: of("image") == "yes",
        networks: list(of("nets")),
        links,
    };
    (parsed, keys)
}

/// What `networking-definition.yml` says of the network of the control plane, which users name before a layout: the first
/// address of each group and how many there are.
const DEFINITION: &str = "\
cifmw_networking_definition:
  networks: {ctlplane: {network: 192.168.122.0/24, gateway: 192.168.122.1, mtu: 1500}, internalapi: {network: 172.17.0.0/24, vlan: 20}}
  group-templates:
    ocps: {network-template: {range: {start: 10, length: 10}}, networks: {ctlplane: {}, internalapi: {trunk-parent: ctlplane}}}
    ocp_workers: {network-template: {range: {start: 20, length: 10}}, networks: {ctlplane: {}}}
    computes: {network-template: {range: {start: 100, length: 21}}, networks: {ctlplane: {}}}
    cephs: {network-template: {range: {start: 150, length: 21}}, networks: {ctlplane: {}}}
  instances: {controller-0: {networks: {ctlplane: {ip: 192.168.122.9}}}}
";

impl Scenario<'_> {
    /// Whether the definition is of its network: those with BGP have one of their own.
    fn is_defined(&self) -> bool {
        self.networks.iter().any(|(name, what)| {
            *name == "osp_trunk" && what.contains(" nat ") && what.ends_with("192.168.122.1/24")
        })
    }

    /// What `va-common.yml` says, and scenarios whose networks are all bridges of the hypervisor's own.
    fn common(&self) -> String {
        let mut text = String::new();
        if self.networks.iter().any(|(name, _)| *name == "ocpbm") {
            text += "cifmw_libvirt_manager_pub_net: ocpbm\n";
        }
        let bridges = self.networks.iter().filter(|(_, what)| what.contains(" bridge "));
        let bridges: Vec<&str> = bridges.map(|(name, _)| *name).collect();
        writeln!(text, "cifmw_libvirt_manager_fixed_networks: [{}]", bridges.join(", ")).unwrap();
        text
    }

    fn text(&self) -> String {
        let mut text =
            "discovered_image_url: debian-12\ncifmw_libvirt_manager_configuration:\n  networks:\n"
                .to_string();
        for (name, what) in &self.networks {
            writeln!(text, "    {name}: {what}").unwrap();
        }
        text += "  vms:\n";
        for (vms, keys) in self.vms.iter().zip(&self.keys) {
            writeln!(text, "    {}: {keys}", vms.name).unwrap();
        }
        text += &self.common();
        if self.is_defined() {
            text += DEFINITION;
        }
        let linked = self.vms.iter().flat_map(|vms| vms.links.iter().flatten());
        let mut linked: Vec<String> = linked.map(|name| format!("{name}: network")).collect();
        linked.sort();
        linked.dedup();
        if !linked.is_empty() {
            let linked = linked.join(", ");
            writeln!(text, "cifmw_libvirt_manager_spineleaf_setup: true\ncifmw_libvirt_manager_network_interface_types: {{{linked}}}").unwrap();
        }
        text
    }
}

/// A network of the facts: its name there, its mode, its bridge, its addresses.
fn xml(text: &str) -> Result<NetworkXml, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [name, mode, bridge, addresses @ ..] = words.as_slice() else { return Err(text.into()) };
    let said = |word: &str| (word != "-").then(|| word.to_string());
    Ok(NetworkXml {
        name: (*name).into(),
        forward: said(mode),
        bridge: said(bridge),
        ipv4: addresses.iter().find_map(|a| a.parse().ok()),
        ipv6: addresses.iter().find_map(|a| a.parse().ok()),
        ..NetworkXml::default()
    })
}

/// The request that a layout is, as the program makes it.
fn requests(layout: &Layout) -> Vec<NodeRequest> {
    let request = |(place, entry): (usize, &maquette_core::syntax::Entry)| {
        let mut tree = entry.value.clone();
        let count = match tree.get("count").map(|node| &node.value) {
            Some(Value::Scalar(text, Style::Bare | Style::Text)) => text.parse().unwrap(),
            other => panic!("{}: {other:?}", entry.key),
        };
        if let Value::Map(entries) = &mut tree.value {
            entries.retain(|e| e.key != "count");
        }
        let path = format!("nodes/{place:05}/{}", entry.key);
        let (file, span) = (entry.key.clone(), entry.key_span);
        NodeRequest { file, path, tree, count, span, described: true }
    };
    let Tree { value: Value::Map(entries), .. } = &layout.nodes else { panic!("no types") };
    entries.iter().enumerate().map(request).collect()
}

#[test]
fn each_public_scenario_plans_as_it_asks() {
    let all = scenarios();
    assert_eq!(all.len(), 21);
    let mut defined = 0;
    for scenario in &all {
        let name = scenario.name;
        let mut sources = Sources::default();
        let id = sources.add(name, scenario.text());
        let mut diags = Diagnostics::default();
        let tree = parse(&sources, id, &mut diags).unwrap();
        let layout = layout::read(&tree, &xml, &mut diags).unwrap();
        let errors: Vec<_> =
            diags.iter().filter(|d| d.severity == Severity::Error).map(|d| &d.message).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        let mut wanted = input(&[], "networks: {}\nnodes: {}\n", &[]);
        wanted.sources = sources;
        wanted.request.nodes = requests(&layout);
        wanted.request.network = layout.network.clone();
        let found = mistakes(&mut wanted);
        assert!(!wanted.diags.has_errors(), "{name}: {found:#?}");
        let blueprint = blueprint_of(&wanted, &Observed::default());

        is_as_asked(scenario, &blueprint);
        if scenario.is_defined() {
            defined += 1;
            has_its_addresses(scenario, &blueprint);
        }
    }
    assert!(defined > 0);
}

/// Nodes have the addresses of the definition.
fn has_its_addresses(scenario: &Scenario<'_>, blueprint: &Blueprint) {
    for (role, first) in [("compute", 100), ("ceph", 150), ("controller", 9)] {
        for node in blueprint.nodes.iter().filter(|node| node.role.as_str() == role) {
            let nic = node.interfaces.iter().find(|i| i.network == "osp_trunk");
            let Some(nic) = nic else { continue };
            let own = nic.ipv4.address().map(|net| net.addr().to_string());
            let expected = format!("192.168.122.{}", first + node.index);
            assert_eq!(own, Some(expected), "{} {}", scenario.name, node.name);
        }
    }
}

/// Each type has its nodes, each node its networks, and each network its address.
fn is_as_asked(scenario: &Scenario<'_>, blueprint: &Blueprint) {
    let name = scenario.name;
    let mut nodes: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for node in &blueprint.nodes {
        nodes.entry(node.role.to_string()).or_default().push(node);
    }
    assert_eq!(
        blueprint.nodes.len(),
        scenario.vms.iter().map(|v| v.amount).sum::<usize>(),
        "{name}"
    );
    for vms in &scenario.vms {
        // As there, OpenShift's nodes are masters.
        let role = if vms.name == "ocp" { "ocp-master".into() } else { vms.name.replace('_', "-") };
        let of = nodes.get(&role).map_or(&[][..], Vec::as_slice);
        assert_eq!(of.len(), vms.amount, "{name} {role}");
        for (number, node) in of.iter().enumerate() {
            assert_eq!(
                (node.memory_mib, node.vcpus.get()),
                ((vms.memory_gb * 1_000_000_000).div_ceil(1 << 20), vms.cpus),
                "{name} {role}"
            );
            assert_eq!(node.disks.len(), 1 + vms.further_disks, "{name} {role}");
            assert_eq!(node.deploy_os, vms.has_image, "{name} {role}");
            let plugged: Vec<&str> = node.interfaces.iter().map(|i| i.network.as_str()).collect();
            let own = vms.links.get(number).map(Vec::as_slice).unwrap_or_default();
            let expected: Vec<&str> = vms.networks.iter().chain(own).copied().collect();
            assert_eq!(plugged, expected, "{name} {role}-{number}");
        }
    }
    for (network, what) in &scenario.networks {
        let Some(address) = what.split(' ').find(|word| word.parse::<ipnet::Ipv4Net>().is_ok())
        else {
            continue;
        };
        let of = blueprint.networks.iter().find(|n| n.name.as_str() == *network);
        let of = of.unwrap_or_else(|| panic!("{name}: no network {network}"));
        assert_eq!(
            of.ipv4.map(|net| net.to_string()).as_deref(),
            Some(address),
            "{name} {network}"
        );
    }
}
