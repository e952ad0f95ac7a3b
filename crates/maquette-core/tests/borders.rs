//! A stranger's files: values that are wrong for their key only. What is wrong everywhere is in `hostile.rs`.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::observed::Observed;
use maquette_testkit::{blueprint_of, input, mistakes};

const NODE: &str = "web=\
name: web
cpu: 1
memory: 64
swap: 0
deploy_os: yes
supports_libguestfs: no
cpumodel: host-model
machine_type: q35
import_url: http://example.com/x.qcow2
disks:
  disk1: {size: 10G, cache: none, preallocation: off, path: /x, bus: virtio}
external_network: management
provision_network: management
interfaces:
  - {network: management, model: virtio, portgroup: a}
image: {ssh_user: root, ansible_connection: ssh}
groups: [web]
";

const NETWORK: &str = "\
networks:
  net1:
    name: management
    domain: example.com
    forward: nat
    mtu: 1500
    ip_address: 172.16.0.1
    dhcp: {range: {start: 172.16.0.2, end: 172.16.0.9}}
    dns: {srvs: [{name: ldap, protocol: tcp, domain: example.com, port: 389, target: a.example.com}]}
";

/// Mistakes in a node and a network file. One key cannot be had in these files, and are read all the same.
fn new(node: &str, network: &str) -> Vec<String> {
    let known = ["topology::unknown-portgroup"];
    let mut found = mistakes(&mut input(&[(node, 1)], network, &[]));
    found.retain(|m| !known.iter().any(|k| m.starts_with(k)));
    found
}

/// Values that are wrong for their key only.
#[test]
fn what_a_consumer_would_obey_or_libvirt_refuse_is_refused_at_its_place() {
    let node = [
        ("groups: [web]", r#"groups: ["x] host"]"#),
        ("ssh_user: root", r#"ssh_user: "root -o x""#),
        ("ssh_user: root", "ssh_user: $(id)"),
        ("ansible_connection: ssh", "ansible_connection: local"),
        ("ansible_connection: ssh", "ansible_connection: community.docker.nsenter"),
        ("ansible_connection: ssh", "ansible_connection: paramiko_ssh"),
        ("groups: [web]", "groups: [bmcs]"),
        ("disk1:", "x/../../q:"),
        ("size: 10G", "size: 16777216T"),
        ("size: 10G", "size: 4096T"),
        ("model: virtio", "model: \"a'b\""),
        ("machine_type: q35", "machine_type: \"q35,accel=x\""),
        ("cpumodel: host-model", "cpumodel: a b"),
        ("cpu: 1", "cpu: 4294967297"),
        ("memory: 64", "memory: 18446744073709551615"),
    ];
    for (from, to) in node {
        assert!(NODE.contains(from));
        let found = new(&NODE.replace(from, to), NETWORK);
        assert!(!found.is_empty(), "{to}");
    }
    let network = [
        ("mtu: 1500", "mtu: 4294967300"),
        ("mtu: 1500", "mtu: 67"),
        ("domain: example.com\n", "domain: a,b\n"),
        ("target: a.example.com", "target: a/b"),
        ("name: ldap", "name: \"a.b c\""),
        ("networks:", "l3appliance_config: {a: [\"{{ lookup('pipe', 'id') }}\"]}\nnetworks:"),
        // What is left of it once our own templates are evaluated is for Ansible's.
        (
            "networks:",
            "l3appliance_config: {a: [\"{% raw %}{{ lookup('pipe', 'id') }}{% endraw %}\"]}\nnetworks:",
        ),
        ("networks:", "l3appliance_config: {\"{% raw %}{{ x }}{% endraw %}\": y}\nnetworks:"),
    ];
    for (from, to) in network {
        assert!(NETWORK.contains(from));
        let found = new(NODE, &NETWORK.replace(from, to));
        assert!(!found.is_empty(), "{to}");
    }
}

/// An appliance's configuration is an extra variable of Ansible's, which evaluates what is a template once
/// the file is read, however it is written there.
#[test]
fn an_appliances_configuration_has_no_marks_however_they_are_written() {
    for value in [
        r#""\x7b\x7b lookup('pipe', 'id') }}""#,
        r#""{\u007b lookup('pipe', 'id') }}""#,
        r#""\U0000007b% set x = 1 %}""#,
        "\"{\\\n    { lookup('pipe', 'id') }}\"",
        "'{# x #}'",
        "|\n    one\n    {%- set x = 1 %}\n",
        ">-\n    {{\n    lookup('pipe', 'id') }}\n",
        "!!str '{% raw %}{{ x }}{% endraw %}'",
        "{b: {c: [d, ['{% raw %}{{ x }}{% endraw %}']]}}",
        "{<<: {b: '{% raw %}{{ x }}{% endraw %}'}}",
        "{? '{% raw %}{{ x }}{% endraw %}' : y}",
        "[&mark '{% raw %}{{ x }}{% endraw %}', *mark]",
        r#""\e]52;c;aWQ=\a""#,
        r#""x\0y""#,
        r#""\x9b2J""#,
        r#""\x7f""#,
        r#""x\u202ey""#,
        r#""\u2028""#,
    ] {
        let text =
            NETWORK.replace("networks:", &format!("l3appliance_config:\n  a: {value}\nnetworks:"));
        let found = new(NODE, &text);
        assert!(found.iter().any(|m| m.contains("topology::template")), "{value}: {found:?}");
    }
    let plain = "l3appliance_config: {a: \"100 % of {x} # y\", b: [1, yes, null]}\nnetworks:";
    assert_eq!(new(NODE, &NETWORK.replace("networks:", plain)), Vec::<String>::new());
}

/// A disk's letter was counted in a byte, which went round.
#[test]
fn more_disks_than_letters_are_a_mistake() {
    let one = NODE.lines().find(|line| line.starts_with("  disk1")).unwrap();
    let node = |count: u32| {
        let all: Vec<String> = (1..=count).map(|n| format!("  disk{n}: {{size: 1G}}")).collect();
        NODE.replace(one, &all.join("\n"))
    };
    let blueprint = blueprint_of(&input(&[(&node(25), 1)], NETWORK, &[]), &Observed::default());
    let names: Vec<&str> = blueprint.nodes[0].disks.iter().map(|d| d.device.as_str()).collect();
    let expected: Vec<String> = ('a'..='y').map(|letter| format!("vd{letter}")).collect();
    assert_eq!(names, expected);
    for count in [26, 256, 703] {
        let found = new(&node(count), NETWORK);
        assert!(found.iter().any(|m| m.starts_with("topology::disks")), "{count}: {found:?}");
    }
}

/// The depth was looked at after the loader had called itself for each level.
#[test]
fn a_file_that_nests_without_end_is_a_mistake_and_no_crash() {
    let flow = format!("networks: {}{}", "[".repeat(20_000), "]".repeat(20_000));
    let block = format!("networks:\n  {}x", "- ".repeat(20_000));
    let links = (1..20_000).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1));
    let aliases = format!("a0: &a0 [x]\n{}", links.collect::<String>());
    let deep = ["nested too deeply", "recursion limit exceeded"];
    for text in [flow, block, aliases] {
        let found = mistakes(&mut input(&[(NODE, 1)], &text, &[]));
        assert!(found.iter().any(|m| deep.iter().any(|d| m.contains(d))), "{found:?}");
    }
}
