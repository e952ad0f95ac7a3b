//! What `maquette explain` says of a change of a key is what a plan does.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeMap;

use maquette_core::explain;
use maquette_core::file_keys::Class::{self, Later, Live, Record, Replace, Restart};
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan::{Action, Op, Plan};
use maquette_core::syntax::{self, Tree};
use maquette_core::topology::NodeRequest;
use maquette_testkit::{Input, apply, input, machine, mistakes, plan_of};

/// Keys of nodes, each before and after: the keys of a node type that is on network `front` unless it says more.
const NODES: &[(&str, &str, &str)] = &[
    ("name", "", "name: db"),
    ("cpu", "cpu: 1", "cpu: 2"),
    ("memory", "memory: 2048", "memory: 1024"),
    ("memory_max", "memory: 1024", "memory: 1024, memory_max: 4096"),
    ("swap", "swap: 0", "swap: 512"),
    ("cpumodel", "", "cpumodel: host-model"),
    ("deploy_os", "", "deploy_os: no"),
    ("supports_libguestfs", "", "supports_libguestfs: no"),
    ("customize", "", "customize: yes"),
    ("os", "", "os: {variant: freebsd10.0}"),
    ("boot", "", "boot: [network, hd]"),
    ("bmc", "", "bmc: both"),
    ("pxe_network", "bmc: both", "bmc: both, pxe_network: front"),
    ("ansible_user", "", "ansible_user: core"),
    ("ansible_connection", "", "ansible_connection: netconf"),
    ("disks", "disks: [20G]", "disks: [20G, 10G]"),
    ("import_url", "", "import_url: debian-11"),
    (
        "interfaces",
        "interfaces: [{network: front}]",
        "interfaces: [{network: front}, {network: back}]",
    ),
    ("networks", "networks: [front]", "networks: [front, back]"),
    (
        "external_network",
        "networks: [front, back]",
        "networks: [front, back], external_network: back",
    ),
    (
        "provision_network",
        "networks: [front, back]",
        "networks: [front, back], provision_network: back",
    ),
    ("groups", "", "groups: [a]"),
    ("machine_type", "", "machine_type: q35"),
    ("image.ssh_user", "", "image: {ssh_user: core}"),
    ("image.ansible_connection", "", "image: {ansible_connection: netconf}"),
    ("packages", "", "packages: [vim]"),
    ("files", "", "files: {/etc/x: y}"),
    ("commands", "", "commands: ['true']"),
    ("disks.diskN.size", "disks: [20G]", "disks: [30G]"),
    (
        "disks.diskN.import_url",
        "disks: [20G, {import_url: debian-11}]",
        "disks: [20G, {import_url: debian-10}]",
    ),
    (
        "disks.diskN.image_url",
        "disks: [20G, {image_url: debian-11}]",
        "disks: [20G, {image_url: debian-10}]",
    ),
    (
        "disks.diskN.preallocation",
        "disks: [20G, 5G]",
        "disks: [20G, {size: 5G, preallocation: full}]",
    ),
    ("disks.diskN.cache", "disks: [20G]", "disks: [{size: 20G, cache: none}]"),
    ("disks.diskN.bus", "disks: [20G]", "disks: [{size: 20G, bus: scsi}]"),
    ("disks.diskN.dev", "disks: [20G]", "disks: [{size: 20G, dev: /dev/vda}]"),
    ("disks.diskN.path", "disks: [20G]", "disks: [{size: 20G, path: /srv/disks}]"),
    (
        "disks.diskN.force_image_download",
        "disks: [20G]",
        "disks: [{size: 20G, force_image_download: yes}]",
    ),
    ("disks.diskN.serial", "disks: [20G]", "disks: [{size: 20G, serial: abc}]"),
    ("networks.network", "networks: [{network: front}]", "networks: [{network: back}]"),
    (
        "networks.bridged",
        "networks: [{network: front}]",
        "networks: [{network: front, bridged: yes}]",
    ),
    (
        "networks.hub",
        "networks: [front, {connect_to: other}]",
        "networks: [front, {connect_to: other, hub: yes}]",
    ),
    ("networks.connect_to", "networks: [front, back]", "networks: [front, {connect_to: other}]"),
    (
        "networks.src_model",
        "networks: [front, {connect_to: other}]",
        "networks: [front, {connect_to: other, src_model: e1000}]",
    ),
    ("networks.model", "networks: [front]", "networks: [{network: front, model: e1000}]"),
    (
        "networks.portgroup",
        "networks: [front, {network: ovs, portgroup: a}]",
        "networks: [front, {network: ovs, portgroup: b}]",
    ),
    ("networks.ip", "networks: [front]", "networks: [{network: front, ip: 10.9.0.77}]"),
];

/// Keys of network `x`, each before and after.
const NETWORKS: &[(&str, &str, &str)] = &[
    ("name", "", "name: y"),
    ("forward", "", "forward: none"),
    (
        "virtualport_type",
        "forward: bridge, nic: nic1",
        "forward: bridge, virtualport_type: openvswitch",
    ),
    ("nic", "forward: bridge, nic: nic1", "forward: bridge, nic: nic2"),
    ("stp", "forward: bridge, nic: nic1", "forward: bridge, nic: nic1, stp: yes"),
    ("dhcp_guard", "forward: bridge, nic: nic1", "forward: bridge, nic: nic1, dhcp_guard: no"),
    ("ip_address", "subnet: 10.8.0.0/24", "subnet: 10.8.0.0/24, ip_address: 10.8.0.9"),
    ("netmask", "ip_address: 10.8.0.1", "ip_address: 10.8.0.1, netmask: 255.255.0.0"),
    ("subnet", "subnet: 10.8.0.0/24", "subnet: 10.7.0.0/24"),
    ("dhcp", "subnet: 10.8.0.0/24", "subnet: 10.8.0.0/24, dhcp: no"),
    ("ipv6", "", "ipv6: {ip_address: 'fd00::1'}"),
    (
        "ipv4_address",
        OVS,
        "forward: bridge, virtualport_type: openvswitch, ipv4_address: 10.8.0.1/24",
    ),
    (
        "ipv6_address",
        OVS,
        "forward: bridge, virtualport_type: openvswitch, ipv6_address: 'fd00::1/64'",
    ),
    (
        "static",
        "forward: bridge, nic: nic1",
        "forward: bridge, nic: nic1, static: {subnet: 10.8.0.0/24, range: {start: 10.8.0.5, end: 10.8.0.9}}",
    ),
    (
        "floating_ip",
        "subnet: 10.8.0.0/24",
        "subnet: 10.8.0.0/24, floating_ip: {start: 10.8.0.200, end: 10.8.0.254}",
    ),
    (
        "portgroups",
        OVS,
        "forward: bridge, virtualport_type: openvswitch, portgroups: [{name: a, vlan_id: 4}]",
    ),
    ("domain", "", "domain: example.org"),
    (
        "dns.srvs",
        "",
        "dns: {srvs: [{name: ldap, protocol: tcp, domain: example.org, target: a.example.org, port: 389}]}",
    ),
    ("dns.forwarders", "", "dns: {forwarders: [192.0.2.53]}"),
    ("tftp_root", "subnet: 10.8.0.0/24", "subnet: 10.8.0.0/24, tftp_root: /srv/tftp"),
    (
        "bootp",
        "subnet: 10.8.0.0/24",
        "subnet: 10.8.0.0/24, bootp: {ipxe: 'http://10.8.0.9/boot.ipxe'}",
    ),
    ("mtu", "", "mtu: 9000"),
    ("autostart", "", "autostart: no"),
];

const OVS: &str = "forward: bridge, virtualport_type: openvswitch";

/// What has no class: nodes come and go with `count`, BGP's lists have others' rows, disks elsewhere are refused, and
/// of these the keys below say it.
const WITHOUT: [&str; 10] = [
    "nodes.NAME",
    "networks.NAME",
    "nodes.NAME.count",
    "nodes.NAME.ips",
    "nodes.NAME.introspection_macs",
    "nodes.NAME.introspection_nets",
    "nodes.NAME.image",
    "nodes.NAME.disks.diskN.path",
    "networks.NAME.dns",
    "networks.NAME.bgp",
];

const FRONT: &str = "networks: [front]";

/// The other networks.
const OTHERS: &str = "front: {subnet: 10.9.0.0/24}, back: {subnet: 10.5.0.0/24}, ovs: {forward: bridge, \
    virtualport_type: openvswitch, portgroups: [{name: a, vlan_id: 4}, {name: b, vlan_id: 5}]}";

/// A project with a node type, another that it can link to, and networks.
fn project(web: &str, x: &str) -> Input {
    let mut input = input(&[], "networks: {}", &[]);
    let mut sources = std::mem::take(&mut input.sources);
    let mut tree = |name: &str, text: &str| -> Tree {
        let id = sources.add(name, text);
        syntax::parse(&sources, id, &mut input.diags).unwrap_or_else(|| panic!("{text}"))
    };
    let on = if web.contains("networks:") || web.contains("interfaces:") {
        "memory: 1024"
    } else {
        FRONT
    };
    let web = tree("web", &format!("{{{}}}", [on, web].join(", ")));
    let networks = tree("maquette.yaml", &format!("{{{OTHERS}, x: {{{x}}}}}"));
    let other = tree("other", "{networks: [back]}");
    for (file, tree) in [("web", web), ("other", other)] {
        input.request.nodes.push(NodeRequest {
            file: file.into(),
            path: format!("nodes/{file}"),
            span: tree.span,
            tree,
            count: 1,
            described: true,
        });
    }
    input.request.networks = Some(networks);
    input.sources = sources;
    input
}

/// What a plan does to the nodes that there are.
fn of_nodes(plan: &Plan) -> Class {
    let domain = |op: Op| plan.changes.iter().any(|c| c.kind == ObjectKind::Domain && c.op == op);
    let step = |is: fn(&Action) -> bool| plan.steps.iter().any(|s| is(&s.action));
    if domain(Op::Replace) || domain(Op::Delete) {
        Replace
    } else if step(|a| matches!(a, Action::StopDomain { .. })) {
        Restart
    } else if step(|a| matches!(a, Action::ChangeDomain { .. })) {
        Live
    } else if step(|a| matches!(a, Action::DefineDomain { .. })) {
        Record
    } else {
        Later
    }
}

/// What a plan does to the networks that there are.
fn of_networks(plan: &Plan) -> Class {
    let network = |op: Op| plan.changes.iter().any(|c| c.kind == ObjectKind::Network && c.op == op);
    if network(Op::Replace) || network(Op::Delete) {
        Replace
    } else if network(Op::Update) {
        Live
    } else {
        Later
    }
}

/// What becomes of a project when it becomes another.
fn planned(mut before: Input, mut after: Input) -> Result<Plan, String> {
    for input in [&mut before, &mut after] {
        let mut found = mistakes(input);
        // It says what DHCP gives out then.
        found.retain(|mistake| !mistake.starts_with("topology::floating-ip"));
        if !found.is_empty() {
            return Err(found.join("; "));
        }
    }
    let mut seen: Observed = machine(&["nic1", "nic2"]);
    let plan = plan_of(&before, &seen);
    apply(&mut seen, &plan.steps);
    Ok(plan_of(&after, &seen))
}

#[test]
fn a_change_of_a_key_takes_what_its_row_says() {
    let mut said: BTreeMap<String, Option<Class>> =
        explain::topics().into_iter().filter(|t| t.has_effect).map(|t| (t.path, t.class)).collect();
    let mut wrong = Vec::new();
    for (key, before, after) in NODES {
        let path = format!("nodes.NAME.{key}");
        let class = said.remove(&path).unwrap_or_else(|| panic!("{path}"));
        let found = planned(project(before, ""), project(after, "")).map(|p| of_nodes(&p));
        if Ok(class) != found.clone().map(Some) {
            wrong.push(format!("{path}: {class:?}, a plan: {found:?}"));
        }
    }
    for (key, before, after) in NETWORKS {
        let path = format!("networks.NAME.{key}");
        let class = said.remove(&path).unwrap_or_else(|| panic!("{path}"));
        let found = planned(project("", before), project("", after)).map(|p| of_networks(&p));
        if Ok(class) != found.clone().map(Some) {
            wrong.push(format!("{path}: {class:?}, a plan: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let above = |path: &str| path.rsplit_once('.').map_or("", |(above, _)| above).to_string();
    let tried = |path: &str| {
        let is = |(prefix, key): (&str, &str)| path == format!("{prefix}.NAME.{key}");
        NODES.iter().any(|(key, ..)| is(("nodes", key)))
            || NETWORKS.iter().any(|(key, ..)| is(("networks", key)))
    };
    // What is below a key that was tried takes the same.
    let is_below = |path: &str| {
        let mut path = above(path);
        while !path.is_empty() {
            if tried(&path) || WITHOUT.contains(&path.as_str()) {
                return true;
            }
            path = above(&path);
        }
        false
    };
    said.retain(|path, _| {
        (path.starts_with("nodes.") || path.starts_with("networks."))
            && !WITHOUT.contains(&path.as_str())
            && !is_below(path)
    });
    assert!(said.is_empty(), "not tried: {said:#?}");
}
