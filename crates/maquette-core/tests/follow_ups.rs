//! One mistake is one error: what follows from it alone is not told as well. And networks of any size are shown as they are.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::diagnostic::Diagnostics;
use maquette_core::expand;
use maquette_core::observed::Observed;
use maquette_testkit::{Input, input, mistakes, plan_of, topology};

/// Codes of the errors of an input before anything is looked at, and those that a hypervisor with nothing adds.
fn errors(mut wanted: Input) -> Vec<String> {
    mistakes(&mut wanted);
    if !wanted.diags.has_errors() {
        let seen = Observed::default();
        let topology = topology(&wanted, &seen);
        let (blueprint, mut found) = maquette_testkit::expand(&topology, &seen);
        expand::conflicts(&topology, &blueprint, &seen, &mut found);
        wanted.diags.extend(found);
    }
    of(&wanted.diags)
}

fn of(diags: &Diagnostics) -> Vec<String> {
    let errors = diags.iter().filter(|d| d.severity == maquette_core::diagnostic::Severity::Error);
    errors.map(|d| format!("{} {}", d.code, d.message)).collect()
}

fn file(networks: &str) -> String {
    format!(
        "networks:\n{networks}nodes:\n  default: {{interfaces: [lan], external_network: lan}}\n"
    )
}

#[test]
fn a_nic_that_nobody_knows_is_not_shared() {
    for (first, second, nodes) in
        [("", "", 1), (", mtu: 1500", "", 1), ("", ", stp: yes", 1), ("", "", 0)]
    {
        let networks = format!(
            "  net1: {{name: lan, forward: bridge{first}}}\n  net2: {{name: other, forward: bridge{second}}}\n"
        );
        let found = errors(input(&[("controller", nodes)], &file(&networks), &[]));
        assert!(!found.is_empty(), "{networks}");
        assert!(found.iter().all(|said| !said.contains("share the NIC")), "{found:#?}");
    }
    let same = "  net1: {name: lan, forward: bridge, nic: eno2}\n  net2: {name: other, forward: bridge, nic: eno2}\n";
    let found = errors(input(&[("controller", 1)], &file(same), &[]));
    assert!(found.iter().any(|said| said.contains("share the NIC eno2")), "{found:#?}");
}

/// That it has no image followed from it, and stood first.
#[test]
fn whether_a_node_has_an_operating_system_is_one_mistake() {
    let networks = "  net1: {name: lan, forward: nat, ip_address: 10.1.0.1, dhcp: yes}\n";
    let over = "override.controller.deploy_os=n";
    let mut wanted = input(&[("controller", 1)], &file(networks), &[over]);
    wanted.request.settings.image = None;
    let found = errors(wanted);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("`deploy_os` must be yes or no"), "{found:#?}");
}

/// Seven errors were told of one.
#[test]
fn a_variable_that_is_not_there_is_one_mistake() {
    for keys in [
        "ip_address: \"172.{{ x }}.0.1\", dhcp: {range: {start: \"172.{{ x }}.0.2\", end: \"172.{{ x }}.0.9\"}}",
        "ip_address: \"172.{{ x }}.0.1\", netmask: 255.255.0.0, floating_ip: {start: \"172.{{ x }}.0.2\", end: \"172.{{ x }}.0.9\"}",
        "ip_address: \"{{ x }}\", dhcp: yes",
        "subnet: \"10.{{ x | int }}.0.0/24\", dhcp: yes",
    ] {
        let networks = format!("  net1: {{name: lan, forward: nat, {keys}}}\n");
        let found = errors(input(&[("controller", 1)], &file(&networks), &[]));
        assert_eq!(found.len(), 1, "{keys}: {found:#?}");
        assert!(found[0].starts_with("expression::failed"), "{found:#?}");
    }
}

/// Somebody who has misspelt one everywhere sees where.
#[test]
fn places_of_one_variable_that_is_not_there_stand_together() {
    let networks =
        "  net1: {name: lan, forward: nat, ip_address: \"172.{{ x }}.0.1\", mtu: \"{{ x }}\"}\n";
    let mut wanted = input(&[("controller", 1)], &file(networks), &[]);
    assert_eq!(mistakes(&mut wanted).len(), 1);
    let labels = &wanted.diags.iter().next().unwrap().labels;
    assert_eq!(labels.iter().map(|l| &*l.text).collect::<Vec<_>>(), ["at `x`", "also here"]);
}

#[test]
fn two_variables_that_are_not_there_are_two_mistakes() {
    let networks =
        "  net1: {name: lan, forward: nat, ip_address: \"172.{{ x }}.0.1\", mtu: \"{{ y }}\"}\n";
    let found = errors(input(&[("controller", 1)], &file(networks), &[]));
    assert!(
        found.len() == 2 && found.iter().all(|f| f.starts_with("expression::failed")),
        "{found:#?}"
    );
    // What has nothing to do with it is told.
    let networks = "  net1: {name: lan, forward: nta, ip_address: \"172.{{ x }}.0.1\"}\n";
    let found = errors(input(&[("controller", 1)], &file(networks), &[]));
    assert!(
        found.len() == 2 && found.iter().any(|f| f.starts_with("topology::forward")),
        "{found:#?}"
    );
}

#[test]
fn an_address_that_is_none_is_not_missed_elsewhere() {
    for (keys, code) in [
        (
            "ip_address: 172.22.0.300, dhcp: {range: {start: 172.22.0.2, end: 172.22.0.99}}",
            "topology::address",
        ),
        (
            "ip_address: 172.22.0.1, dhcp: {range: {start: 172.22.0.x, end: 172.22.0.99}}",
            "topology::wrong-type",
        ),
        ("subnet: 172.22.0.0/99, dhcp: yes", "topology::subnet"),
        (
            "ip_address: 172.22.0.1, dhcp: {range: {start: 172.22.0.2, end: 172.22.0.99}}, ipv6: {ip_address: 'fd00::1', prefix: 64, dhcp: {range: {start: 'fd00::g', end: 'fd00::9'}}}",
            "topology::wrong-type",
        ),
    ] {
        let networks = format!("  net1: {{name: lan, forward: nat, {keys}}}\n");
        let found = errors(input(&[("controller", 1)], &file(&networks), &[]));
        assert!(found.len() == 1 && found[0].starts_with(code), "{keys}: {found:#?}");
    }
}

/// With a floating range that cuts the DHCP range, too.
#[test]
fn what_a_floating_range_leaves_is_shown_as_it_is() {
    for (net, range, floating, shown) in [
        (
            "172.16.0.1/16",
            "172.16.0.2 172.16.127.254",
            "172.16.100.1 172.16.200.1",
            "172.16.0.2-172.16.100.0",
        ),
        (
            "172.16.0.1/16",
            "172.16.0.2 172.16.127.254",
            "172.16.0.1 172.16.0.255",
            "172.16.1.0-172.16.127.254",
        ),
        ("10.4.0.1/23", "10.4.0.2 10.4.1.254", "10.4.1.0 10.4.1.254", "10.4.0.2-10.4.0.255"),
        ("10.4.0.1/24", "10.4.0.2 10.4.0.254", "10.4.0.200 10.4.0.254", ".2-.199"),
    ] {
        let ends = |text: &str| {
            let (start, end) = text.split_once(' ').unwrap();
            format!("{{start: {start}, end: {end}}}")
        };
        let networks = format!(
            "  net1: {{name: lan, forward: nat, ip_address: {net}, dhcp: {{range: {}}}, floating_ip: {}}}\n",
            ends(range),
            ends(floating)
        );
        let plan =
            plan_of(&input(&[("controller", 0)], &file(&networks), &[]), &Observed::default());
        let detail = &plan.changes.iter().find(|c| &*c.name == "lan").unwrap().detail;
        assert!(detail.contains(&format!("dhcp {shown}")), "{detail}");
    }
}
