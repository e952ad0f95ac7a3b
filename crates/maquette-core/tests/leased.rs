//! Nodes whose addresses somebody on their LAN gives: the NIC that they are reached through, and what is said of them.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeMap;

use maquette_core::blueprint::{Attachment, Ipv4Setup};
use maquette_core::doctor::{Frames, HostSigns, NodeSigns, Power, diagnose};
use maquette_core::node_state::{Condition, Evidence, NodeState, SshAnswer};
use maquette_core::observed::{Domain, Observed};
use maquette_testkit::{apply, input, plan_of};

/// A node on a LAN, which has told its address or not.
fn on_lan(address: Option<&str>) -> Domain {
    let asked = ["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];
    let mut observed = Observed::default();
    let plan = plan_of(&input(&[("controller", 1)], "3_nets", &asked), &observed);
    apply(&mut observed, &plan.steps);
    let mut domain = observed.domains["controller-0"].clone();
    for (number, nic) in domain.recorded.interfaces.iter_mut().enumerate() {
        nic.ipv4 = if number == 1 { Ipv4Setup::Dhcp { reserved: None } } else { Ipv4Setup::Off };
        nic.attachment = Attachment::HostBridge;
    }
    domain.recorded.access.address = address.map(|a| a.parse().unwrap());
    domain.ready = address.is_some();
    domain
}

fn evidence(ssh: Option<SshAnswer>, up: u64) -> Evidence {
    Evidence { ssh, console_read: true, uptime_s: Some(up), ..Evidence::default() }
}

/// `up` and `start` advised to remove the node, and ended with 0.
#[test]
fn a_pulled_cable_is_the_reason_though_the_address_is_leased() {
    for address in [Some("192.0.2.7"), None] {
        let mut domain = on_lan(address);
        let seen = evidence(address.map(|_| SshAnswer::NoRoute), 5000);
        assert_eq!(Condition::may_have_moved(&domain, &seen), address.is_some());
        domain.pulled = vec![domain.recorded.interfaces[1].mac];
        let now = Condition::of(&domain, &seen);
        let cable = now.reason.unwrap();
        assert!(cable.starts_with("the cable of ") && cable.ends_with(" is pulled"), "{cable}");
        assert!(!Condition::may_have_moved(&domain, &seen));
        assert!(!Condition::is_awaited(&domain, &seen));
    }
}

/// It was `booting` for ever, and nothing was wrong with it.
#[test]
fn a_node_that_never_got_an_address_is_not_well() {
    let domain = on_lan(None);
    let now = Condition::of(&domain, &evidence(None, 20));
    assert_eq!(now.state, NodeState::Booting);
    assert!(now.reason.unwrap().starts_with("it has not said yet which address it has on "));
    assert_eq!(Condition::of(&domain, &evidence(None, 5000)).state, NodeState::Unreachable);

    let nic = domain.recorded.interfaces[1].clone();
    let of = |sent: u64, domain: &Domain| {
        let observed = Observed {
            domains: BTreeMap::from([(domain.name.clone(), domain.clone())]),
            ..Observed::default()
        };
        let signs = NodeSigns {
            evidence: evidence(None, 5000),
            power: Some(Power::Running),
            reads: Some(500),
            frames: BTreeMap::from([(nic.mac, Frames { sent, received: 0 })]),
            ..NodeSigns::default()
        };
        let signs = BTreeMap::from([(domain.name.to_string(), signs)]);
        diagnose(&HostSigns::default(), &observed, &signs)
    };
    let booted = Domain { ready: false, ..on_lan(None) };
    let mut codes: Vec<&str> = of(9, &booted).iter().map(|f| f.code).collect();
    assert_eq!(codes.pop(), Some("lan-no-address"));
    let mut pulled = booted.clone();
    pulled.pulled = vec![nic.mac];
    assert!(of(9, &pulled).iter().any(|f| f.code == "cable-pulled"));
    assert!(of(9, &pulled).iter().all(|f| f.code != "lan-no-address"));
}
