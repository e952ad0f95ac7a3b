//! Variables of InfraRed's role `vbmc`, where Maquette makes the BMCs.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::blueprint::Blueprint;
use maquette_core::diagnostic::Diagnostics;
use maquette_core::observed::{Listening, Observed};
use maquette_core::topology::{Allocation, BmcChoice, BmcProtocol, Topology, compile};
use maquette_core::values::BmcCredentials;
use maquette_testkit::{Input, apply, blueprint_of, expand, input, machine, plan_of, topology};

const NETWORK: &str = "
networks:
  net1: {name: lan, forward: nat, ip_address: 10.1.0.1, netmask: 255.255.255.0, dhcp: {range: {start: 10.1.0.2, end: 10.1.0.9}}}
  net2: {name: oob, forward: none, ip_address: 10.2.0.1, netmask: 255.255.255.0, dhcp: {range: {start: 10.2.0.2, end: 10.2.0.9}},
         ipv6: {ip_address: 'fd00:2::1', prefix: 64}}
";

const BLANK: &str = "blank=name: blank\ncpu: 1\nmemory: 512\ndeploy_os: no\ndisks: {disk1: {size: 1G}}\n\
                     interfaces: [{network: lan}]\n";

fn asked(count: u32, extra: &[&str]) -> Input {
    asked_of(BLANK, count, extra)
}

fn asked_of(node: &str, count: u32, extra: &[&str]) -> Input {
    let mut input = input(&[(node, count)], NETWORK, extra);
    input.request.settings.bmc = Some(BmcChoice::On(BmcProtocol::Both));
    input
}

fn built(input: &Input, mut seen: Observed) -> Observed {
    let plan = plan_of(input, &seen);
    apply(&mut seen, &plan.steps);
    seen
}

/// Where BMCs speak IPMI.
fn ipmi(blueprint: &Blueprint) -> Vec<String> {
    let bmcs = blueprint.nodes.iter().filter_map(|node| node.bmc.as_ref()?.ipmi());
    bmcs.map(|at| at.to_string()).collect()
}

/// What is said of them, and what becomes of the topology.
fn said(wanted: &Input) -> (Topology, Vec<String>) {
    let mut diags = Diagnostics::default();
    let topology = compile(&wanted.request, Allocation::UNPREFIXED, &mut diags).unwrap();
    let all = diags.iter().map(|d| {
        let shown = if d.secret { " (not shown)" } else { "" };
        format!("{} {} [{}]{shown}", d.code, d.message, d.help.join("; "))
    });
    (topology, all.collect())
}

#[test]
fn the_first_bmc_has_the_start_port_and_the_others_those_behind_it() {
    let start = &["vbmc_start_port=7000"][..];
    let seen = machine(&["eth0"]);
    let found = ipmi(&blueprint_of(&asked(3, start), &seen));
    assert_eq!(found, ["10.1.0.1:7000", "10.1.0.1:7001", "10.1.0.1:7002"]);
    let seen = built(&asked(3, start), seen);
    assert!(plan_of(&asked(3, start), &seen).is_empty());
    // They stay there without it, and others come behind them; another start port moves all of them.
    let found = ipmi(&blueprint_of(&asked(4, &[]), &seen));
    assert_eq!(found[..3], ["10.1.0.1:7000", "10.1.0.1:7001", "10.1.0.1:7002"]);
    let other = &["vbmc_start_port=7001"][..];
    let found = ipmi(&blueprint_of(&asked(3, other), &seen));
    assert_eq!(found, ["10.1.0.1:7001", "10.1.0.1:7002", "10.1.0.1:7003"]);
    let seen = built(&asked(3, other), seen);
    assert!(plan_of(&asked(3, other), &seen).is_empty());
    // Ports of IPMI and Redfish are none of each other's business, and neither has one beyond the last.
    let near = ipmi(&blueprint_of(&asked(2, &["vbmc_start_port=8444"]), &machine(&["eth0"])));
    assert_eq!(near, ["10.1.0.1:8444", "10.1.0.1:8445"]);
    let mut busy = machine(&["eth0"]);
    busy.host.listening.insert(Listening { udp: true, address: None, port: 7000 });
    assert_eq!(ipmi(&blueprint_of(&asked(1, start), &busy)), ["10.1.0.1:7001"]);
    let topology = topology(&asked(3, &["vbmc_start_port=65534"]), &Observed::default());
    let (_, diags) = expand(&topology, &Observed::default());
    let found: Vec<_> = diags.iter().map(|d| d.code).collect();
    assert_eq!(found, ["bmc::port"]);
}

/// Numbers of both kinds begin again where only some of the BMCs are from another start port.
#[test]
fn no_two_bmcs_have_one_port() {
    let seen = built(&asked(1, &["vbmc_start_port=6231"]), machine(&["eth0"]));
    let found = ipmi(&blueprint_of(&asked(3, &[]), &seen));
    assert_eq!(found, ["10.1.0.1:6231", "10.1.0.1:6232", "10.1.0.1:6233"]);
}

#[test]
fn the_management_address_is_one_of_the_hypervisors_on_a_network() {
    let seen = machine(&["eth0"]);
    for (address, at) in
        [("10.2.0.1", "10.2.0.1:6230"), ("fd00:2::1", "[fd00:2::1]:6230"), ("", "10.1.0.1:6230")]
    {
        let extra = format!("vbmc_management_address={address}");
        assert_eq!(ipmi(&blueprint_of(&asked(1, &[&extra]), &seen)), [at]);
        let seen = built(&asked(1, &[]), seen.clone());
        assert_eq!(ipmi(&blueprint_of(&asked(1, &[&extra]), &seen)), [at]);
    }
    let topology = topology(&asked(1, &["vbmc_management_address=10.3.0.1"]), &seen);
    let (_, diags) = expand(&topology, &seen);
    let found: Vec<_> = diags.iter().map(|d| (d.code, d.message.clone())).collect();
    assert!(found.len() == 1 && found[0].0 == "bmc::vbmc", "{found:?}");
    assert!(found[0].1.contains("10.3.0.1, which the hypervisor has on no network"), "{found:?}");
}

#[test]
fn username_and_password_are_the_account_and_are_seen_nowhere() {
    let account = ["install.vbmc.username=me", "install.vbmc.password=s3cret-word"];
    let wanted = asked(1, &account);
    let (topology, found) = said(&wanted);
    assert_eq!(found, Vec::<String>::new());
    let BmcCredentials::Chosen { user, password } = &topology.settings.bmc_credentials else {
        panic!("{topology:?}")
    };
    assert_eq!((user.as_str(), password.reveal()), ("me", "s3cret-word"));
    assert!(!format!("{topology:?}").contains("s3cret"));
    // Another account is a change of the BMCs, and of nothing else.
    let seen = built(&asked(1, &[]), machine(&["eth0"]));
    assert!(!plan_of(&wanted, &seen).is_empty());
    assert!(plan_of(&wanted, &built(&wanted, seen)).is_empty());
    // It wins over the setting.
    let mut both = asked(1, &account);
    both.request.settings.bmc_credentials = BmcCredentials::Environment;
    assert_eq!(said(&both).0.settings.bmc_credentials, topology.settings.bmc_credentials);
    for (extra, what) in [
        (&account[..1], "are one account"),
        (&account[1..], "are one account"),
        (&["install.vbmc.username=me", "install.vbmc.password=s3cret"][..], "8 to 20"),
        (&["install.vbmc.username=a:b", "install.vbmc.password=s3cret-word"], "1 to 16"),
    ] {
        let (topology, found) = said(&asked(1, extra));
        assert!(found.len() == 1 && found[0].contains(what), "{found:#?}");
        assert!(found[0].contains("(not shown)") && !found[0].contains("s3cret"), "{found:#?}");
        assert_eq!(topology.settings.bmc_credentials, BmcCredentials::Node);
    }
    for (expression, is_seen) in [
        ("{{ install.vbmc.username }}", true),
        ("{{ install.vbmc.password }}", false),
        ("x{{ install | string | length }}", true),
    ] {
        let node = BLANK.replace("cpu: 1", &format!("cpu: 1\ngroups: ['{expression}']"));
        let (topology, found) = said(&asked_of(&node, 1, &account));
        assert_eq!(found.is_empty(), is_seen, "{found:#?}");
        assert!(!format!("{topology:?}{found:?}").contains("s3cret"));
    }
}

#[test]
fn variables_of_infrareds_vbmc_role_are_refused_where_nothing_here_is_like_them() {
    let of = |name: &str| format!("bmc::vbmc `{name}` does not say how Maquette's BMCs are");
    for (extra, name) in [
        ("vbmc_ports.blank-0=6000", "vbmc_ports"),
        ("vbmc_nodes=blank-0", "vbmc_nodes"),
        ("vbmc_host=undercloud", "vbmc_host"),
        ("install.vbmc.host=undercloud", "install.vbmc.host"),
        ("vbmc_start_port=0", "vbmc_start_port"),
        ("vbmc_start_port=65536", "vbmc_start_port"),
        ("vbmc_start_port=many", "vbmc_start_port"),
        ("vbmc_management_address=undercloud", "vbmc_management_address"),
    ] {
        let found = said(&asked(1, &[extra])).1;
        assert!(found.len() == 1 && found[0].starts_with(&of(name)), "{found:#?}");
        // Where Maquette makes none, they are InfraRed's.
        let mut none = asked(1, &[extra]);
        none.request.settings.bmc = Some(BmcChoice::Off);
        let found = said(&none).1;
        let first = extra.split(['.', '=']).next().unwrap();
        let unused = format!("extra::unused `{first}` has no effect");
        assert!(found.len() == 1 && found[0].starts_with(&unused), "{found:#?}");
    }
    for same in ["vbmc_host=hypervisor", "install.vbmc.host=hypervisor", "vbmc_management_address="]
    {
        assert_eq!(said(&asked(1, &[same])).1, Vec::<String>::new(), "{same}");
    }
    // With addresses and protocols of which they say nothing.
    let start = "vbmc_start_port=7000";
    let mut own = asked(1, &[start, "vbmc_management_address=10.1.0.1"]);
    own.request.settings.bmc_network = Some("oob".parse().unwrap());
    let found = said(&own).1;
    assert!(
        found.len() == 2 && found.iter().all(|f| f.contains("an address of its own")),
        "{found:#?}"
    );
    let mut redfish = asked(1, &[start]);
    redfish.request.settings.bmc = Some(BmcChoice::On(BmcProtocol::Redfish));
    let found = said(&redfish).1;
    assert!(found.len() == 1 && found[0].contains("do not speak IPMI"), "{found:#?}");
}
