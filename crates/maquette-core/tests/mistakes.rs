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

/// Each was read, checked, recorded, and had no effect.
#[test]
fn keys_that_do_nothing_in_a_network_of_that_kind_are_refused_by_name() {
    let networks = "\
networks:
  net1: {name: management, forward: nat, ip_address: 172.16.0.1, domain: a.example, nic: eno1, stp: yes, dhcp_guard: no}
  net2: {name: storage, netmask: 255.255.0.0, domain: b.example, ipv4_address: 10.9.0.1/24}
  net3: {name: lan, forward: bridge, ip_address: 10.8.0.1, stp: yes, dns: {srvs: [{name: ldap, protocol: tcp}]}}
  net4: {name: ovs, forward: bridge, virtualport_type: openvswitch, ip_address: 10.7.0.1, nic: eno2, domain: c.example}
  net5: {name: plain, ip_address: 10.6.0.1, nic: ~}
";
    let found = mistakes(&mut input(&[], networks, &[]));
    insta::assert_snapshot!(found.join("\n"), @"
    topology::without-effect network.yml:2:90 network `management` has no NIC of the hypervisor in its bridge [`nic` is for networks with `forward: bridge`]
    topology::without-effect network.yml:2:101 network `management` has no NIC of the hypervisor in its bridge [`stp` is for networks with `forward: bridge`]
    topology::without-effect network.yml:2:118 network `management` has no NIC of the hypervisor in its bridge [`dhcp_guard` is for networks with `forward: bridge`]
    topology::without-effect network.yml:3:55 libvirt has no name server on network `storage` [`domain` is for networks that the hypervisor has an address on, and not for bridged ones]
    topology::without-effect network.yml:3:80 network `storage` is not a bridge of Open vSwitch [`ipv4_address` is for bridges of Open vSwitch; elsewhere it is `ip_address`, or `ip_address` below `ipv6`]
    topology::without-effect network.yml:3:34 network `storage` has no `ip_address` [`netmask` is for the subnet of `ip_address`]
    topology::without-effect network.yml:4:82 libvirt has no name server on network `lan` [`srvs` is for networks that the hypervisor has an address on, and not for bridged ones]
    topology::without-effect network.yml:5:110 libvirt has no name server on network `ovs` [`domain` is for networks that the hypervisor has an address on, and not for bridged ones]
    topology::without-effect network.yml:5:96 network `ovs` has no NIC of the hypervisor in its bridge [`nic` is for networks with `forward: bridge`]
    topology::without-effect network.yml:5:81 network `ovs` is a bridge of Open vSwitch [`ip_address` is for other networks; on this one the hypervisor's address is `ipv4_address`]
    ");
}

#[test]
fn what_nobody_would_boot_is_refused() {
    let networks = "\
networks:
  net1: {name: management, forward: nat, subnet: 172.16.0.0/24, dhcp: no, bootp: {file: 'http://10.0.0.1/x'}, tftp_root: /srv/tftp}
  net2: {name: storage, tftp_root: /srv/tftp}
  net3: {name: lan, forward: bridge, bootp: {file: pxelinux.0, server: 10.0.0.1}}
  net4: {name: data, subnet: 10.1.0.0/24, dhcp: yes, bootp: {uefi: ipxe.efi}}
  net5: {name: none, subnet: 10.2.0.0/24, dhcp: yes, bootp: {server: 10.2.0.9}}
  net6: {name: odd, subnet: 10.3.0.0/24, dhcp: yes, tftp_root: '/srv,eth0', bootp: {file: 'a,b', http: 'tftp://a/b', server: boot}}
  net7: {name: good, subnet: 10.4.0.0/24, dhcp: yes, tftp_root: /srv/tftp, bootp: {file: undionly.kpxe, uefi: ipxe.efi, ipxe: boot.ipxe, http: 'http://10.4.0.1/ipxe.efi'}}
  net8: {name: told, subnet: 10.5.0.0/24, dhcp: yes, tftp_root: /etc/, bootp: {file: passwd}}
  net9: {name: keys, subnet: 10.6.0.0/24, dhcp: yes, tftp_root: /home/ann/.ssh, bootp: {file: id_rsa}}
";
    let found = mistakes(&mut input(&[], networks, &[]));
    let expected = [
        ("topology::without-effect", "libvirt has no DHCP server on network `management`"),
        ("topology::without-effect", "libvirt serves nothing on network `storage`"),
        ("topology::without-effect", "libvirt has no DHCP server on network `lan`"),
        ("topology::bootp", "nobody serves the boot file `ipxe.efi` of network `data`"),
        ("topology::bootp", "`bootp` of network `none` names no file of a TFTP server"),
        ("", "`/srv,eth0` is not a valid directory for TFTP"),
        ("", "`a,b` is not a valid boot file"),
        ("", "`tftp://a/b` is not an address that begins with http:// or https://"),
        ("", "`server` must be"),
        ("topology::bootp", "`tftp_root` of network `told`: `/etc/` is not for guests"),
        ("topology::bootp", "`tftp_root` of network `keys`: `/home/ann/.ssh` is not for guests"),
    ];
    for (code, words) in expected {
        let about = |f: &&String| f.contains(code) && f.contains(words);
        assert_eq!(found.iter().filter(about).count(), 1, "{words}: {found:#?}");
    }
    assert!(!found.iter().any(|f| f.contains("`good`")), "{found:#?}");
}

/// What is refused for the secret in it is not shown, and why it is refused is.
#[test]
fn an_address_with_a_secret_that_everybody_would_be_told_is_refused_without_it() {
    for (key, value) in [
        ("ipxe", "http://10.1.0.9/a?mac=1&token=hunter2"),
        ("http", "https://user:hunter2@boot.example/a"),
        ("file", "http://user:hunter2@boot.example/a, b"),
        ("uefi", "http://boot.example/a?X-Amz-Signature=hunter2"),
    ] {
        let networks = format!(
            "networks: {{net1: {{name: lan, subnet: 10.1.0.0/24, dhcp: yes, bootp: {{{key}: '{value}'}}}}}}\n"
        );
        let mut input = input(&[], &networks, &[]);
        let found = mistakes(&mut input);
        let says = |f: &String| f.contains("everybody on the network is told it");
        assert!(found.iter().any(says), "{found:#?}");
        assert!(!found.iter().any(|f| f.contains("hunter2")), "{found:#?}");
        assert!(input.diags.iter().any(|d| d.secret), "its line would be shown");
    }
}

/// InfraRed ignored them, and there are files with them.
#[test]
fn users_of_infrared_are_warned_of_keys_that_do_nothing() {
    let mut input = input(&[], "networks: {net1: {name: lan, domain: a.example}}\n", &[]);
    input.diags = maquette_core::diagnostic::Diagnostics::lenient();
    let found = mistakes(&mut input);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(!input.diags.has_errors(), "{found:#?}");
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
    insta::assert_snapshot!(found.join("\n"), @"topology::no-role swift.yml:1:1 network file `network.yml` says nothing about `swift` and has no `default` [it has the node types `undercloud`, `controller` and `compute`; add this one there, or give it `interfaces`]");
}

#[test]
fn swap_must_leave_room() {
    let extra = ["override.undercloud.disks.disk1.size=10G", "override.undercloud.swap=10240"];
    let found = mistakes(&mut input(&[("undercloud", 1)], "3_nets", &extra));
    insta::assert_snapshot!(found.join("\n"), @"topology::disk-too-small -e:1:38 `disk1` of node type `undercloud` is too small: 10 GiB of swap leave nothing of 10 GiB [it needs room for the system besides: mostly 8 GiB]");
}

/// What people who write for Ansible do: the whole of a mapping is a variable.
#[test]
fn an_override_that_is_an_expression_is_what_that_yields() {
    let network = "networks: {net1: {name: lan, forward: nat, ip_address: 10.9.0.1}}";
    let extra = [
        "my.name=lan",
        "my.forward=nat",
        "my.ip_address=10.8.0.1",
        "override.networks.net1={{ my }}",
    ];
    let mut wanted = input(&[("controller", 1)], network, &extra);
    let said = mistakes(&mut wanted);
    assert!(!said.iter().any(|text| text.contains("must be a mapping")), "{said:?}");
    let mut wanted = input(&[("controller", 1)], network, &["override.networks.net1=lan"]);
    let said = mistakes(&mut wanted);
    assert!(said.iter().any(|text| text.contains("must be a mapping")), "{said:?}");
}
