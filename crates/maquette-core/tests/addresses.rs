//! Addresses in network files: which ones a host can have, and how they are written.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use maquette_testkit::{input, mistakes};

/// A network file with one network, of these keys.
fn network(keys: &str) -> String {
    format!(
        "networks:\n  net1: {{name: lan, {keys}}}\nnodes:\n  default:\n    interfaces: [lan]\n    external_network: lan\n"
    )
}

const SERVED: &str =
    "forward: nat, ip_address: 10.9.0.1, dhcp: {range: {start: 10.9.0.2, end: 10.9.0.99}}";

#[test]
fn an_address_that_no_host_can_have_is_refused() {
    let range = |net: &str, start: &str, end: &str| {
        format!("forward: nat, ip_address: {net}, dhcp: {{range: {{start: {start}, end: {end}}}}}")
    };
    let lan = |net: &str, at: &str, more: &str| {
        let fixed = format!("{{subnet: {net}, range: {{start: {at}, end: {at}}}{more}}}");
        format!("forward: bridge, nic: eno2, static: {fixed}")
    };
    let vswitch = |key: &str| format!("forward: bridge, virtualport_type: openvswitch, {key}");
    for (keys, said) in [
        (range("172.22.0.1", "172.22.0.2", "172.22.0.255"), "the DHCP range has 172.22.0.255"),
        (range("172.22.0.1", "172.22.0.0", "172.22.0.99"), "the DHCP range has 172.22.0.0"),
        (range("10.8.0.1/25", "10.8.0.2", "10.8.0.127"), "the DHCP range has 10.8.0.127"),
        ("forward: nat, ip_address: 172.22.0.0".into(), "`172.22.0.0` stands for the subnet itself"),
        ("forward: nat, ip_address: 10.8.0.127/25".into(), "`10.8.0.127` stands for all its addresses"),
        (
            "forward: bridge, nic: eno2, static: {subnet: 10.8.0.0/24, range: {start: 10.8.0.250, end: 10.8.0.255}}".into(),
            "the DHCP range has 10.8.0.255",
        ),
        (range("224.0.0.1", "224.0.0.2", "224.0.0.9"), "`224.0.0.1` is a multicast address"),
        (range("127.0.0.1", "127.0.0.2", "127.0.0.9"), "`127.0.0.1` never leaves the machine"),
        (range("0.0.0.1", "0.0.0.2", "0.0.0.9"), "`0.0.0.1` is of 0.0.0.0/8"),
        ("forward: nat, subnet: 239.1.0.0/24".into(), "`239.1.0.1` is a multicast address"),
        ("forward: nat, ipv6: {ip_address: 'ff02::1'}".into(), "`ff02::1` is a multicast address"),
        ("forward: nat, ipv6: {ip_address: '::1'}".into(), "`::1` never leaves the machine"),
        ("forward: nat, ipv6: {ip_address: '::'}".into(), "`::` stands for no address"),
        (range("240.1.0.1", "240.1.0.2", "240.1.0.9"), "`240.1.0.1` is of 240.0.0.0/4, which is reserved"),
        ("forward: nat, subnet: 255.255.255.0/24".into(), "is of 240.0.0.0/4"),
        ("forward: nat, ip_address: 255.255.255.255".into(), "stands for all hosts that hear it"),
        // The arithmetic of what DHCP gives out ended in a panic here.
        ("forward: nat, ip_address: 255.255.255.255/32, dhcp: yes".into(), "stands for all hosts that hear it"),
        ("forward: nat, ip_address: 255.255.255.255, netmask: 255.255.255.254, dhcp: yes".into(), "stands for all hosts that hear it"),
        ("forward: nat, ipv6: {ip_address: 'fe80::1'}".into(), "`fe80::1` is link-local"),
        ("forward: nat, ipv6: {ip_address: '::ffff:10.1.0.1'}".into(), "stands for an IPv4 address"),
        (
            "forward: nat, ipv6: {ip_address: 'fd00::1', dhcp: {range: {start: 'fd00::', end: 'fd00::9'}}}".into(),
            "fd00::, which stands for the routers of fd00::/64",
        ),
        (lan("224.1.0.0/24", "224.1.0.5", ""), "`224.1.0.0` is a multicast address"),
        (lan("240.1.0.0/24", "240.1.0.5", ""), "`240.1.0.0` is of 240.0.0.0/4"),
        (lan("127.1.0.0/24", "127.1.0.5", ""), "`127.1.0.0` never leaves the machine"),
        (lan("0.1.0.0/24", "0.1.0.5", ""), "`0.1.0.0` is of 0.0.0.0/8"),
        (lan("10.8.0.0/24", "10.8.0.5", ", gateway: 10.8.0.0"), "it cannot be a router's"),
        (lan("10.8.0.0/24", "10.8.0.5", ", gateway: 10.8.0.255"), "it cannot be a router's"),
        (lan("10.8.0.0/24", "10.8.0.5", ", nameserver: 127.0.0.53"), "it cannot be a name server's"),
        (lan("10.8.0.0/24", "10.8.0.5", ", nameserver: 255.255.255.255"), "it cannot be a name server's"),
        (vswitch("ipv4_address: 10.8.0.0/24"), "`10.8.0.0` stands for the subnet itself"),
        (vswitch("ipv4_address: 240.8.0.1/24"), "`240.8.0.1` is of 240.0.0.0/4"),
        (vswitch("ipv6_address: 'ff02::1/64'"), "`ff02::1` is a multicast address"),
    ] {
        let found = mistakes(&mut input(&[("controller", 0)], &network(&keys), &[]));
        assert!(found.len() == 1 && found[0].contains(said), "{keys}: {found:#?}");
    }
    for (keys, said) in [
        ("net: 240.9.0.0", "`240.9.0.0` is of 240.0.0.0/4"),
        ("net: 10.9.0.0, gw: 224.0.0.1", "it cannot be a router's"),
        ("net: 10.9.0.0, hypervisor: 10.9.0.255", "stands for all its addresses"),
    ] {
        let text = network("").replace("net1: {name: lan, }", &format!("lan: {{{keys}}}"));
        let text = text.replace("lan", "external");
        let found = mistakes(&mut input(&[("controller", 0)], &text, &[]));
        assert!(found.len() == 1 && found[0].contains(said), "{keys}: {found:#?}");
    }
    // On a link between two, both addresses are hosts'.
    let link = network("forward: nat, ip_address: 10.8.0.0/31");
    assert!(mistakes(&mut input(&[("controller", 0)], &link, &[])).is_empty());
}

/// What `{{ net }}` makes where it stands behind other digits.
#[test]
fn numbers_of_addresses_may_have_zeros_in_front_wherever_addresses_are() {
    for keys in [
        "forward: nat, ip_address: 10.8.01.1, netmask: 255.255.255.000, dhcp: {range: {start: 10.8.01.02, end: 10.8.1.009}}",
        "forward: nat, subnet: 10.08.01.0/24, ip_address: 10.8.01.1, dns: {forwarders: [10.08.0.1]}",
        "forward: nat, ip_address: 10.8.01.1/24, floating_ip: {start: 10.8.01.7, end: 10.8.01.9}",
        "forward: bridge, nic: eno2, static: {subnet: 10.8.01.0/24, range: {start: 10.8.01.2, end: 10.8.01.9}, gateway: 10.8.01.1, nameserver: 10.08.0.1}",
        "forward: bridge, virtualport_type: openvswitch, ipv4_address: 10.8.01.1/24",
    ] {
        let found = mistakes(&mut input(&[("controller", 0)], &network(keys), &[]));
        assert!(found.is_empty(), "{keys}: {found:#?}");
    }
    for keys in ["forward: nat, ip_address: 10.8.+1.1", "forward: nat, ip_address: 10.8.0256.1"] {
        assert_eq!(mistakes(&mut input(&[("controller", 0)], &network(keys), &[])).len(), 1);
    }
}

#[test]
fn floating_addresses_that_nobody_can_have_are_told_with_their_place() {
    let file = |first: &str, last: &str| {
        network(&format!("{SERVED}, floating_ip: {{start: {first}, end: {last}}}"))
    };
    for (first, last, said) in [
        ("10.9.0.220", "10.9.0.201", "error topology::floating-ip"),
        ("10.9.0.50", "10.9.0.40", "error topology::floating-ip"),
        ("10.99.0.9", "10.9.0.1", "error topology::floating-ip"),
        ("10.10.0.201", "10.10.0.220", "warning topology::floating-ip"),
        ("10.9.0.201", "10.9.1.9", "warning topology::floating-ip"),
        ("10.8.0.1", "10.9.0.1", "warning topology::floating-ip"),
    ] {
        let text = file(first, last);
        let mut wanted = input(&[("controller", 0)], &text, &[]);
        mistakes(&mut wanted);
        let found: Vec<_> = wanted.diags.iter().collect();
        let [one] = found.as_slice() else { panic!("{first} to {last}: {found:#?}") };
        let severity = if wanted.diags.has_errors() { "error" } else { "warning" };
        assert_eq!(format!("{severity} {}", one.code), said, "{first} to {last}");
        // The place is that of the addresses.
        let span = one.labels[0].span;
        let at = &wanted.sources.get(span.source).text[span.start as usize..span.end as usize];
        assert!(at.starts_with(first) && at.ends_with(last), "{at}");
    }
    for (first, last) in [("10.9.0.201", "10.9.0.220"), ("10.9.0.220", "10.9.0.220")] {
        assert!(mistakes(&mut input(&[("controller", 0)], &file(first, last), &[])).is_empty());
    }
}

/// dnsmasq does not start with a shorter one: the plan said nothing, and the network could not be started.
#[test]
fn dhcp_over_ipv6_needs_a_prefix_that_dnsmasq_takes() {
    let found = |length: u8, dhcp: &str| {
        let network = format!(
            "networks: {{a: {{name: a, forward: nat, ip_address: 10.1.0.1, ipv6: {{ip_address: 'fd00:9::1', prefix: {length}{dhcp}}}}}}}"
        );
        mistakes(&mut input(&[], &network, &[]))
    };
    let dhcp = ", dhcp: {range: {start: 'fd00:9::2', end: 'fd00:9::99'}}";
    for length in [48, 56, 63] {
        let found = found(length, dhcp);
        let said = format!("DHCP over IPv6 needs a prefix of 64 bits or more, not {length}");
        assert!(matches!(&found[..], [one] if one.contains(&said)), "{found:?}");
    }
    for (length, dhcp) in [(64, dhcp), (120, dhcp), (48, "")] {
        assert!(found(length, dhcp).is_empty(), "{length}: {:?}", found(length, dhcp));
    }
}
