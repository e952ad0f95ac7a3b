//! Mistakes: each found at its place, all in one run, each with something to do about it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use maquette_testkit::{input, mistakes};

const NODE: &str = "web=\
name: web
cpu: two
memory: 1024
swap: 4096
deploy_os: maybe
colour: red
disks:
  disk1: {size: 10G, cache: quick}
  disk2: {size: lots}
external_network: managment
interfaces:
  - network: management
  - network: storag
  - netwrok: data
groups: [web]
";

const NETWORKS: &str = "\
networks:
  net1:
    name: management
    forward: nta
    ip_address: 172.16.0.1
    netmask: 255.0.255.0
  net2:
    name: storage
    ip_address: 10.0.0.300
  net3:
    name: data
    ip_address: 10.1.0.1
    dhcp: {range: {start: 10.1.0.2, end: 10.2.0.9}}
  net4:
    name: data
    ip_address: 10.1.0.129/25
    dhcp: {range: {start: 10.1.0.140, end: 10.1.0.130}}
";

#[test]
fn all_mistakes_are_reported_in_one_run() {
    let found = mistakes(&mut input(&[(NODE, 1)], NETWORKS, &[]));
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn references_are_checked_once_the_networks_are_right() {
    let networks = "\
networks:
  net1: {name: management, forward: {type: nat}, ip_address: 172.16.0.1, dhcp: {range: {start: 172.16.0.2, end: 172.16.0.3}}}
  net2: {name: storage}
";
    let node = "web=\
name: web
cpu: 1
memory: 512
disks: {disk1: {size: 20G}}
external_network: managment
interfaces:
  nic2: {network: storag}
  nic1: {network: management}
groups: []
";
    let found = mistakes(&mut input(&[(node, 1)], networks, &[]));
    insta::assert_snapshot!(found.join("\n"), @"
    topology::unknown-network web.yml:7:19 interface 2 of node type `web` names a network that does not exist [did you mean `storage`?]
    topology::external-network web.yml:5:19 node type `web` has no interface on its external network `managment` [did you mean `management`?]
    ");
}

#[test]
fn queries_are_forwarded_where_libvirt_has_a_name_server() {
    let networks = "\
networks:
  net1: {name: management, forward: nat, ip_address: 172.16.0.1, dns: {forwarders: [192.0.2.53, '2001:db8::53']}}
  net2: {name: storage, dns: {forwarders: [192.0.2.53]}}
  net3: {name: lan, forward: bridge, dns: {forwarders: [192.0.2.53]}}
  net4: {name: data, ip_address: 10.1.0.1, dns: {forwarders: [one.example]}}
";
    let found = mistakes(&mut input(&[], networks, &[]));
    let about = |words: &str| found.iter().filter(|f| f.contains(words)).count();
    assert_eq!(about("libvirt has no name server on network `storage`"), 1, "{found:#?}");
    assert_eq!(about("libvirt has no name server on network `lan`"), 1, "{found:#?}");
    assert_eq!(
        about("`forwarders` must be a list of IP addresses, not `one.example`"),
        1,
        "{found:#?}"
    );
    assert_eq!(about("`management`"), 0, "{found:#?}");
}

#[test]
fn overrides_are_typed_like_the_keys_they_set() {
    let extra = ["override.undercloud.deploy_os=false", "override.undercloud.memory=lots"];
    let found = mistakes(&mut input(&[("undercloud", 1)], "3_nets", &extra));
    insta::assert_snapshot!(found.join("\n"), @"topology::wrong-type -e:1:28 `memory` must be a whole number of MiB, 1 or more, not `lots`");
}

#[test]
fn a_network_override_works_in_files_with_expressions() {
    let extra = ["override.networks.net2.dhcp.range.end=172.16.9.9"];
    let found = mistakes(&mut input(&[("undercloud", 1)], "3_nets", &extra));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("topology::dhcp-range"), "{found:#?}");
}

#[test]
fn two_types_of_one_name_are_refused() {
    let found = mistakes(&mut input(&[("ceph", 1), ("cephext", 1)], "3_nets", &[]));
    assert!(found[0].contains("node types `ceph` and `cephext` are both called `ceph`"));
}

#[test]
fn a_type_without_a_role_is_named_with_the_roles_there_are() {
    let found = mistakes(&mut input(&[("swift", 1)], "6_nets_3_bridges", &[]));
    insta::assert_snapshot!(found.join("\n"), @"topology::no-role swift.yml:1:1 network file `network.yml` says nothing about `swift` and has no `default` [its roles are `undercloud`, `controller` and `compute`; add one, or give the node type `interfaces`]");
}

#[test]
fn swap_must_leave_room() {
    let extra = ["override.undercloud.disks.disk1.size=10G", "override.undercloud.swap=4096"];
    let found = mistakes(&mut input(&[("undercloud", 1)], "3_nets", &extra));
    insta::assert_snapshot!(found.join("\n"), @"topology::disk-too-small -e:1:38 `disk1` of node type `undercloud` is too small: 10 GiB less 4 GiB of swap leaves under 8 GiB [it needs 12 GiB or more]");
}
