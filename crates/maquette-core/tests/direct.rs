//! Nodes on NICs of the hypervisor, without a bridge: `forward: private`, `vepa` and `passthrough`.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::blueprint::{Attachment, Ipv4Setup};
use maquette_core::expand;
use maquette_core::names::EnvName;
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_core::values::Mtu;
use maquette_testkit::{
    Input, apply, blueprint_of, expand, input, machine, mistakes, plan_of, titles, topology,
};

/// A network of these keys, and one that nodes can be reached on.
fn networks(keys: &str) -> String {
    format!(
        "networks:\n  net1: {{name: direct, {keys}}}\n  net2: {{name: management, forward: nat, \
         ip_address: 10.9.0.1, dhcp: {{range: {{start: 10.9.0.2, end: 10.9.0.99}}}}}}\n"
    )
}

fn node(keys: &str) -> String {
    format!(
        "web={{name: web, cpu: 1, memory: 512, disks: {{disk1: {{size: 20G}}}}, groups: [web], {keys}}}"
    )
}

/// Some nodes on both networks.
fn both(count: u32, keys: &str) -> Input {
    input(&[(&node("interfaces: [management, direct]"), count)], &networks(keys), &[])
}

/// What is wrong with a node type and network `direct`.
fn wrong(node_keys: &str, network_keys: &str) -> Vec<String> {
    mistakes(&mut input(&[(&node(node_keys), 1)], &networks(network_keys), &[]))
}

fn conflicts(input: &Input, seen: &Observed) -> Vec<String> {
    let topology = topology(input, seen);
    let (blueprint, mut diags) = expand(&topology, seen);
    expand::conflicts(&topology, &blueprint, seen, &mut diags);
    diags.iter().map(|d| format!("{} [{}]", d.message, d.help.join("; "))).collect()
}

fn detail(input: &Input, seen: &Observed) -> String {
    let plan = plan_of(input, seen);
    plan.changes.iter().find(|c| c.name == "direct").unwrap().detail.clone()
}

#[test]
fn nodes_are_on_nics_in_every_mode_and_the_nics_stay_as_they_are() {
    for mode in ["private", "vepa", "passthrough"] {
        let wanted = both(1, &format!("forward: {mode}, nic: eno2, mtu: 9000"));
        let mut seen = machine(&["eno1", "eno2"]);
        let before = seen.host.clone();
        assert_eq!(detail(&wanted, &seen), format!("{mode} on eno2, without a bridge, mtu 9000"));
        let plan = plan_of(&wanted, &seen);
        apply(&mut seen, &plan.steps);
        assert_eq!(seen.host, before);
        let again = plan_of(&wanted, &seen);
        assert!(again.is_empty(), "{mode}: {:#?}", titles(&again));
        assert!(plan::drifts(&seen).is_empty(), "{mode}: {:#?}", plan::drifts(&seen));
        let network = &seen.networks["direct"];
        assert_eq!(network.defined.forward.as_deref(), Some(mode));
        assert_eq!(
            (network.defined.nics.as_slice(), network.defined.bridge.as_str()),
            (&["eno2".to_string()][..], "")
        );
        let node = &seen.domains["web-0"].recorded;
        let nic = &node.interfaces[1];
        assert_eq!((&nic.attachment, nic.ipv4), (&Attachment::Direct, Ipv4Setup::Off));
        // The guest is told, and libvirt is not.
        assert_eq!((nic.mtu.map(Mtu::bytes), nic.told_mtu()), (Some(9000), None));
        assert_eq!(node.access.address, Some([10, 9, 0, 2].into()));
        let down = plan::destroy(&seen, &EnvName::default());
        apply(&mut seen, &down.steps);
        assert!(seen.networks.is_empty() && seen.domains.is_empty());
    }
}

/// Somebody puts them on another NIC.
#[test]
fn another_nic_in_libvirts_definition_is_noticed() {
    let wanted = both(1, "forward: vepa, nic: eno2");
    let mut seen = machine(&["eno1", "eno2"]);
    let plan = plan_of(&wanted, &seen);
    apply(&mut seen, &plan.steps);
    seen.networks.get_mut("direct").unwrap().defined.nics = vec!["eno1".into()];
    let drifts = plan::drifts(&seen);
    assert_eq!(drifts[0].what, "its definition was changed outside Maquette");
    let plan = plan_of(&wanted, &seen);
    let change = plan.changes.iter().find(|c| c.name == "direct").unwrap();
    let what = "its list of NICs was changed outside Maquette";
    assert!(change.reason.all.iter().any(|reason| reason == what), "{:?}", change.reason);
}

#[test]
fn nodes_are_reached_elsewhere() {
    const KEYS: &str = "forward: private, nic: eno2";
    let said = "nodes of type `web` cannot be reached on network `direct`: with `forward: private`";
    for keys in [
        "interfaces: [direct]",
        "interfaces: [management, direct], external_network: direct",
        "interfaces: [management, direct], provision_network: direct",
    ] {
        let found = wrong(keys, KEYS);
        assert!(matches!(&found[..], [one] if one.contains(said)), "{keys}: {found:#?}");
    }
    // Without a `static` subnet or with one: the address leads nowhere from the hypervisor.
    let fixed = "static: {subnet: 10.7.0.0/24, range: {start: 10.7.0.5, end: 10.7.0.9}}";
    let found = wrong("interfaces: [direct]", &format!("{KEYS}, {fixed}"));
    assert!(found[0].contains(said), "{found:#?}");
    for keys in [
        "interfaces: [management, direct]",
        "interfaces: [direct, management]",
        "interfaces: [direct], deploy_os: no",
    ] {
        assert!(wrong(keys, KEYS).is_empty(), "{keys}: {:#?}", wrong(keys, KEYS));
    }
}

/// The LAN may well lead to the outside.
#[test]
fn the_default_route_may_go_through_a_nic_where_another_network_leads_to_the_node() {
    let keys =
        "interfaces: [management, direct], external_network: direct, provision_network: management";
    let wanted = input(&[(&node(keys), 1)], &networks("forward: private, nic: eno2"), &[]);
    let node = &blueprint_of(&wanted, &machine(&["eno1", "eno2"])).nodes[0];
    let lan = &node.interfaces[1];
    assert_eq!((lan.ipv4, lan.default_route), (Ipv4Setup::Dhcp { reserved: None }, true));
    assert_eq!(node.access.address, Some([10, 9, 0, 2].into()));
    assert_eq!(node.way_in().unwrap().name.as_str(), "eth0");
    assert!(!node.access.direct && !node.is_leased());
}

#[test]
fn what_the_hypervisor_cannot_do_there_is_refused_by_name() {
    for (keys, said) in [
        ("ip_address: 10.8.0.1", "the hypervisor has no address on network `direct`"),
        ("subnet: 10.8.0.0/24", "the subnet of network `direct` is the LAN's"),
        ("dhcp: yes", "libvirt serves neither DHCP nor IPv6 on the network `direct`"),
        ("ipv6: {ip_address: 'fd00::1'}", "libvirt serves neither DHCP nor IPv6 on the network"),
        ("domain: a.example", "libvirt has no name server on network `direct`"),
        ("dns: {forwarders: [192.0.2.53]}", "libvirt has no name server on network `direct`"),
        ("tftp_root: /srv/tftp", "libvirt serves nothing on network `direct`"),
        ("bootp: {file: pxelinux.0}", "libvirt has no DHCP server on network `direct`"),
        ("stp: yes", "network `direct` has no bridge"),
        ("dhcp_guard: yes", "network `direct` has no bridge"),
        ("virtualport_type: openvswitch", "is on Open vSwitch and not `forward: bridge`"),
        ("portgroups: [{name: a, vlan_id: 4}]", "has portgroups and no bridge"),
        ("ipv4_address: 10.8.0.1/24", "is not a bridge of Open vSwitch"),
    ] {
        let found = wrong("interfaces: [management]", &format!("forward: vepa, nic: eno2, {keys}"));
        assert!(found.iter().any(|f| f.contains(said)), "{keys}: {found:#?}");
    }
    let blank = node("interfaces: [management, direct], deploy_os: no, bmc: redfish");
    let mut asked = input(&[(&blank, 1)], &networks("forward: vepa, nic: eno2"), &[]);
    asked.request.settings.bmc_network = "direct".parse().ok();
    let found = conflicts(&asked, &machine(&["eno1", "eno2"]));
    assert!(found.iter().any(|f| f.contains("BMCs cannot be on network `direct`")), "{found:#?}");
}

#[test]
fn nics_are_named_once_and_a_whole_one_by_its_name() {
    for (keys, said) in [
        ("forward: passthrough", "has `forward: passthrough` and no `nic`"),
        ("forward: vepa, nic: [eno2, eno2]", "the NIC `eno2` is named twice"),
        ("forward: vepa, nic: [eno2, 'a b']", "`a b` is not a valid network interface"),
        ("forward: bridge, nic: [eno2, eno3]", "has several NICs, and its bridge takes one"),
    ] {
        let found = wrong("interfaces: [management]", keys);
        assert!(matches!(&found[..], [one] if one.contains(said)), "{keys}: {found:#?}");
    }
}

#[test]
fn nics_that_nodes_cannot_be_on_are_refused() {
    let refused = |keys: &str, change: fn(&mut Observed)| {
        let mut seen = machine(&["eno1", "eno2", "eno3"]);
        change(&mut seen);
        conflicts(&both(1, keys), &seen).join("\n")
    };
    let says = |keys: &str, change: fn(&mut Observed), said: &str| {
        let found = refused(keys, change);
        assert!(found.contains(said), "{keys}: {found}");
    };
    says("forward: vepa, nic: eno9", |_| {}, "the hypervisor has no NIC `eno9`");
    let enslaved =
        |s: &mut Observed| s.host.links.get_mut("eno2").unwrap().master = Some("br0".into());
    says("forward: vepa, nic: eno2", enslaved, "the NIC `eno2` is in `br0` already");
    says(
        "forward: vepa, nic: lo",
        |s| drop(s.host.links.insert("lo".into(), Default::default())),
        "`lo` has no Ethernet",
    );
    // The hypervisor would lose what it reaches through them.
    let taken = "would take the NIC `eno1` from the hypervisor";
    says("forward: passthrough, nic: eno1", |_| {}, taken);
    let routed =
        |s: &mut Observed| s.host.routes.push(("10.1.0.0/24".parse().unwrap(), "eno2".into()));
    says("forward: passthrough, nic: eno2", routed, "would take the NIC `eno2`");
    assert_eq!(refused("forward: vepa, nic: eno2", routed), "");
    // Whoever names none shares that of the default route with the hypervisor.
    assert_eq!(refused("forward: private", |_| {}), "");
    let seen = machine(&["eno1", "eno2"]);
    assert_eq!(
        detail(&both(1, "forward: private"), &seen),
        "private on eno1, the NIC of the default route, without a bridge"
    );
}

#[test]
fn a_whole_nic_is_for_one_interface() {
    let seen = machine(&["eno1", "eno2", "eno3"]);
    let found = conflicts(&both(2, "forward: passthrough, nic: eno2"), &seen);
    let said = "network `direct` has 1 of the hypervisor's NICs, and nodes have 2 interfaces on it";
    assert!(matches!(&found[..], [one] if one.contains(said)), "{found:#?}");
    let enough = both(2, "forward: passthrough, nic: [eno2, eno3]");
    assert!(conflicts(&enough, &seen).is_empty(), "{:#?}", conflicts(&enough, &seen));
    assert!(conflicts(&both(2, "forward: vepa, nic: eno2"), &seen).is_empty());
}

#[test]
fn a_nic_in_a_bridge_or_taken_whole_is_of_one_network() {
    let seen = machine(&["eno1", "eno2"]);
    let two = |one: &str, other: &str| {
        let text = format!("networks: {{net1: {{name: a, {one}}}, net2: {{name: b, {other}}}}}");
        conflicts(&input(&[], &text, &[]), &seen)
    };
    for (one, other) in [
        ("forward: bridge, nic: eno2", "forward: private, nic: eno2"),
        ("forward: vepa, nic: [eno1, eno2]", "forward: passthrough, nic: eno2"),
    ] {
        let found = two(one, other);
        let said = "networks `a` and `b` would share the NIC eno2";
        assert!(matches!(&found[..], [one] if one.contains(said)), "{found:#?}");
    }
    let found = two("forward: vepa, nic: eno2", "forward: private, nic: eno2");
    assert!(found.is_empty(), "{found:#?}");
}

/// The kernel refused the bridge, or libvirt the node, after half of the environment was made.
#[test]
fn a_nic_of_others_is_not_taken_and_one_that_they_took_is_not_shared() {
    let found = |keys: &str, whole: bool| {
        let mut seen = machine(&["eno1", "eno2", "eno3"]);
        seen.claims.note_nics("theirs", ["eno2".to_string()], whole);
        let text = format!("networks: {{net1: {{name: a, {keys}}}}}");
        conflicts(&input(&[], &text, &[]), &seen)
    };
    let said = "network `a` would share the NIC `eno2` with network `theirs`";
    for (keys, whole) in [
        ("forward: bridge, nic: eno2", false),
        ("forward: bridge, nic: eno2", true),
        ("forward: passthrough, nic: [eno3, eno2]", false),
        ("forward: passthrough, nic: eno2", true),
        ("forward: private, nic: eno2", true),
        ("forward: vepa, nic: eno2", true),
    ] {
        let found = found(keys, whole);
        assert!(matches!(&found[..], [one] if one.contains(said)), "{keys}: {found:#?}");
    }
    for (keys, whole) in [
        ("forward: private, nic: eno2", false),
        ("forward: vepa, nic: eno2", false),
        ("forward: bridge, nic: eno3", true),
        ("forward: passthrough, nic: eno3", true),
    ] {
        let found = found(keys, whole);
        assert!(found.is_empty(), "{keys}: {found:#?}");
    }
}

/// A network that somebody has only defined keeps nobody from changing what is there.
#[test]
fn what_has_its_nic_already_keeps_it() {
    for mode in ["bridge", "vepa", "passthrough"] {
        let wanted = both(1, &format!("forward: {mode}, nic: eno2"));
        let mut seen = machine(&["eno1", "eno2"]);
        let plan = plan_of(&wanted, &seen);
        apply(&mut seen, &plan.steps);
        seen.claims.note_nics("theirs", ["eno2".to_string()], true);
        let shared = |seen: &Observed| conflicts(&wanted, seen).join("\n").contains("`theirs`");
        assert!(!shared(&seen), "{mode}");
        seen.networks.get_mut("direct").unwrap().active = false;
        seen.host.links.get_mut("eno2").unwrap().master = None;
        assert!(shared(&seen), "{mode}");
    }
}
