//! Networks beyond libvirt's own: NICs in bridges, VLANs, links between nodes, BGP.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::blueprint::{Blueprint, Ipv4Setup};
use maquette_core::defaults::{self, Kind};
use maquette_core::expand;
use maquette_core::names::EnvName;
use maquette_core::observed::{LinkKind, Observed};
use maquette_core::plan::{self, Action};
use maquette_core::seed::seed_files;
use maquette_core::values::Secret;
use maquette_testkit::{
    apply, blueprint_of, expand, input, machine, mistakes, plan_of, titles, topology, types_for,
};

/// Every NIC that a built-in network file names.
const NICS: [&str; 9] = [
    "eno0",
    "eno1",
    "eno2",
    "enp6s0f0",
    "enp6s0f1",
    "enp94s0f0",
    "enp94s0f1",
    "enp94s0f2",
    "enp94s0f3",
];

fn conflicts(input: &maquette_testkit::Input, seen: &Observed) -> Vec<String> {
    let topology = topology(input, seen);
    let (blueprint, mut diags) = expand(&topology, seen);
    expand::conflicts(&topology, &blueprint, seen, &mut diags);
    let said = |d: &maquette_core::diagnostic::Diagnostic| {
        format!("{} [{}]", d.message, d.help.join("; "))
    };
    diags.iter().map(said).collect()
}

#[test]
fn every_network_file_comes_up_is_kept_and_goes() {
    for name in defaults::names(Kind::Network) {
        for (types, bgp) in types_for(name) {
            for prefix in [None, Some("lab"), Some("a-rather-long-environment-name")] {
                let nodes: Vec<(&str, u32)> = types.iter().map(|t| (t.as_str(), 1)).collect();
                let mut input = input(&nodes, name, &[]);
                input.request.settings.bgp = bgp;
                if let Some(prefix) = prefix {
                    input.request.settings.environment = EnvName::from_prefix(prefix).unwrap();
                }
                let mut seen = machine(&NICS);
                let found = conflicts(&input, &seen);
                assert!(found.is_empty(), "{name}: {found:#?}");
                let plan = plan_of(&input, &seen);
                apply(&mut seen, &plan.steps);
                let again = plan_of(&input, &seen);
                assert!(again.is_empty(), "{name}, {prefix:?}: {:#?}", titles(&again));
                assert!(plan::drifts(&seen).is_empty(), "{name}: {:#?}", plan::drifts(&seen));
                for network in seen.networks.values() {
                    assert!(network.recorded.bridge.len() <= 15, "{}", network.recorded.bridge);
                }
                let down = plan::destroy(&seen, &EnvName::default());
                apply(&mut seen, &down.steps);
                assert!(seen.networks.is_empty() && seen.domains.is_empty());
                assert_eq!(seen.host, machine(&NICS).host, "{name}: something is left on the host");
            }
        }
    }
}

/// A run that is interrupted after any of its steps leaves what `up` finishes and `down` removes.
#[test]
fn a_bridged_network_survives_interruptions() {
    let wanted = input(&[("controller", 1), ("undercloud", 1)], "3_nets_hybrid", &[]);
    let whole = plan_of(&wanted, &machine(&NICS));
    for done in 0..whole.steps.len() {
        let mut seen = machine(&NICS);
        apply(&mut seen, &whole.steps[..done]);
        let mut other = seen.clone();
        let rest = plan_of(&wanted, &seen);
        apply(&mut seen, &rest.steps);
        assert!(plan_of(&wanted, &seen).is_empty());
        let down = plan::destroy(&other, &EnvName::default());
        apply(&mut other, &down.steps);
        assert_eq!(other.host, machine(&NICS).host);
    }
}

#[test]
fn the_plan_says_what_happens_to_which_nic() {
    let wanted = input(&[("undercloud", 1)], "2_nets_1_bridge", &[]);
    let mut seen = machine(&NICS);
    let plan = plan_of(&wanted, &seen);
    let change = plan.changes.iter().find(|c| c.name == "br-ctlplane").unwrap();
    assert_eq!(change.detail, "bridge br-ctlplane with eno2");
    let steps = titles(&plan);
    let place = |title: &str| steps.iter().position(|t| t == title).unwrap();
    assert!(place("define network br-ctlplane") < place("put eno2 into bridge br-ctlplane"));
    assert!(place("put eno2 into bridge br-ctlplane") < place("start network br-ctlplane"));
    assert!(plan.chosen_nics().is_empty(), "the file names it");
    apply(&mut seen, &plan.steps);
    // Somebody flushes all firewall rules.
    seen.host.guarded.clear();
    assert_eq!(plan::drifts(&seen)[0].what, "its DHCP guard is gone");
    let mend = plan_of(&wanted, &seen);
    assert_eq!(titles(&mend), ["stop network br-ctlplane", "start network br-ctlplane"]);
    apply(&mut seen, &mend.steps);
    // Somebody takes it out.
    seen.host.links.get_mut("eno2").unwrap().master = None;
    let drifts = plan::drifts(&seen);
    assert_eq!(drifts[0].what, "eno2 is not in its bridge");
    assert_eq!(titles(&plan_of(&wanted, &seen))[..1], ["put eno2 into bridge br-ctlplane"],);
}

#[test]
fn without_a_name_it_is_the_nic_of_the_default_route_and_stays_so() {
    let wanted = input(&[("compute", 1)], "3_nets_1_bridge", &[]);
    let mut seen = machine(&["eth7", "eth8"]);
    let plan = plan_of(&wanted, &seen);
    assert_eq!(plan.chosen_nics(), ["eth7"]);
    apply(&mut seen, &plan.steps);
    // The bridge has the default route now.
    seen.host.default_nic = Some("br1".into());
    assert!(plan_of(&wanted, &seen).is_empty());
    let nowhere = machine(&[]);
    let topology = topology(&wanted, &nowhere);
    let (_, diags) = expand(&topology, &nowhere);
    assert!(diags.iter().any(|d| d.message == "network `br1` names no `nic`"), "{diags:?}");
}

/// The kernel takes names that no record of a network has: it would have counted as edited for ever.
#[test]
fn a_default_route_by_a_nic_with_an_odd_name_asks_for_another() {
    let wanted = input(&[("compute", 1)], "3_nets_1_bridge", &[]);
    for odd in ["wan+1", "wan\u{1b}[2J", "a-name-of-16-char"] {
        let seen = machine(&[odd]);
        let (_, diags) = expand(&topology(&wanted, &seen), &seen);
        let said = diags.iter().find(|d| d.code == "hypervisor::nic").unwrap();
        assert!(!said.message.contains('\u{1b}') && said.message.contains("default route"));
    }
}

#[test]
fn a_nic_that_must_not_be_bridged_is_refused() {
    let wanted = input(&[("undercloud", 1)], "2_nets_1_bridge", &[]);
    let refused = |change: fn(&mut Observed)| {
        let mut seen = machine(&["eno1", "eno2"]);
        change(&mut seen);
        conflicts(&wanted, &seen).join("\n")
    };
    insta::assert_snapshot!(
        [
            refused(|s| {
                s.host.links.remove("eno2");
            }),
            refused(|s| s.host.links.get_mut("eno2").unwrap().master = Some("br0".into())),
            refused(|s| s.host.links.get_mut("eno2").unwrap().kind = LinkKind::Wireless),
            refused(|s| s.host.links.get_mut("eno2").unwrap().kind = LinkKind::Bridge),
            refused(|s| s.host.links.get_mut("eno2").unwrap().carries_root = true),
            refused(|s| {
                s.claims.bridges.insert("br-ctlplane".into());
            }),
        ]
        .join("\n")
    );
}

/// The kernel refused them, after networks were defined.
#[test]
fn what_has_no_ethernet_is_not_put_into_a_bridge() {
    let wanted = |nic: &str| {
        let nic = format!("override.networks.net1.nic={nic}");
        input(&[("undercloud", 1)], "2_nets_1_bridge", &[&nic])
    };
    let mut seen = machine(&["eno1", "lo", "wg0"]);
    seen.host.links.get_mut("wg0").unwrap().kind = LinkKind::Foreign;
    for nic in ["lo", "wg0"] {
        let found = conflicts(&wanted(nic), &seen).join("\n");
        assert!(found.contains(&format!("`{nic}` has no Ethernet")), "{found}");
        assert!(found.contains("which has `eno1`]"), "{found}");
    }
}

/// InfraRed's templates ask whether a key says something.
#[test]
fn what_says_nothing_of_a_network_is_as_if_it_were_not_there() {
    for empty in ["portgroups: []", "virtualport_type: ''", "forward: ''", "domain: ''"] {
        let forward = if empty.starts_with("forward") { "" } else { "forward: nat, " };
        let network =
            format!("networks: {{net1: {{name: a, {forward}ip_address: 10.1.0.1, {empty}}}}}");
        let found = mistakes(&mut input(&[], &network, &[]));
        assert!(found.is_empty(), "{empty}: {found:#?}");
    }
}

/// libvirt refused it when the network was defined.
#[test]
fn a_service_record_has_no_port_0() {
    let network = "networks: {net1: {name: a, forward: nat, ip_address: 10.1.0.1, dns: {srvs: [{name: ldap, protocol: tcp, port: 0}]}}}";
    let found = mistakes(&mut input(&[], network, &[]));
    assert!(found.iter().any(|said| said.contains("`port` must be a port number")), "{found:#?}");
}

#[test]
fn a_subnet_that_would_have_been_free_is_not_the_reason() {
    let mut wanted = input(&[("ironic", 1)], "3_nets_ipv4", &[]);
    wanted.request.settings.environment = EnvName::from_prefix("lab").unwrap();
    wanted.request.settings.net_subnet = Some(10);
    let mut seen = Observed::default();
    for (subnet, owner) in
        [("192.168.24.0/24", "network `data`"), ("172.16.10.0/24", "interface x")]
    {
        seen.claims.subnets.push((subnet.parse().unwrap(), owner.into()));
    }
    insta::assert_snapshot!(conflicts(&wanted, &seen).join("\n"));
    // With both given, both are in the way.
    wanted.request.settings.data_subnet = Some(24);
    assert_eq!(conflicts(&wanted, &seen).len(), 2);
}

/// Networks by interface, of each node.
fn wiring(blueprint: &Blueprint) -> Vec<String> {
    let nodes = blueprint.nodes.iter();
    nodes
        .map(|node| {
            let nics = node.interfaces.iter().map(|i| format!("{}({})", i.source(), i.model));
            format!("{}: {}", node.name, nics.collect::<Vec<_>>().join(" "))
        })
        .collect()
}

#[test]
fn links_are_wired_as_infrared_wired_them() {
    let nodes = [("controller", 2), ("ironic", 2), ("ovsvswitch", 1), ("undercloud", 1)];
    let wanted = input(&nodes, "3_nets_vswitch", &[]);
    let blueprint = blueprint_of(&wanted, &machine(&NICS));
    let switch = wiring(&blueprint).into_iter().find(|w| w.starts_with("ovsvswitch-0")).unwrap();
    assert_eq!(
        switch,
        "ovsvswitch-0: management(virtio) cont0ovsv0(e1000) cont1ovsv0(e1000) iron0ovsv0(e1000) \
         iron1ovsv0(e1000) unde0ovsv0(e1000)"
    );
    let link = blueprint.networks.iter().find(|n| n.name == "cont1ovsv0").unwrap();
    assert!(link.tuning.hub && link.tuning.link_local && link.ipv4.is_none());
    assert!(wiring(&blueprint).contains(
        &"controller-1: data(virtio) management(virtio) external(virtio) cont1ovsv0(virtio)".into()
    ));
}

#[test]
fn types_that_begin_alike_have_links_of_their_own() {
    let sources = ["compute", "computehci", "veos"].map(|n| (n, 1));
    let network = defaults::get(Kind::Network, "3_nets_vswitch").unwrap();
    let mut wanted = input(&sources, network, &[]);
    wanted.request.settings.environment = EnvName::from_prefix("lab").unwrap();
    let blueprint = blueprint_of(&wanted, &machine(&NICS));
    let names: Vec<&str> = blueprint.networks.iter().map(|n| n.name.as_str()).collect();
    assert!(names.contains(&"lab-compute0veos0"), "{names:?}");
    assert!(names.contains(&"lab-computehci0veos0"), "{names:?}");
    let bridges: std::collections::BTreeSet<&str> =
        blueprint.networks.iter().map(|n| n.bridge.as_str()).collect();
    assert_eq!(bridges.len(), blueprint.networks.len());
}

#[test]
fn a_link_without_its_switch_is_a_mistake() {
    let found = mistakes(&mut input(&[("controller", 1)], "3_nets_vswitch", &[]));
    assert!(
        found[0].contains("links to `None`, which is not in this run [add a switch"),
        "{found:#?}"
    );
}

#[test]
fn a_bridge_of_the_hypervisors_own_is_used_as_it_is() {
    let network = "
networks:
  net1: {name: management, forward: nat, ip_address: 172.16.0.1, dhcp: {range: {start: 172.16.0.2, end: 172.16.0.9}}}
nodes:
  default:
    interfaces: [{network: management}, {network: br-lan, bridged: yes}, {network: cable, bridged: yes}]
    external_network: {network: management}
";
    let mut seen = machine(&["eth0"]);
    seen.host.links.entry("br-lan".into()).or_default().kind = LinkKind::Bridge;
    seen.claims.bridges.extend(["eth0".to_string(), "br-lan".to_string()]);
    let wanted = input(&[("compute", 2)], network, &[]);
    let before = seen.host.clone();
    let plan = plan_of(&wanted, &seen);
    apply(&mut seen, &plan.steps);
    assert_eq!(
        wiring(&blueprint_of(&wanted, &seen))[0],
        "compute-0: management(virtio) bridge/br-lan(virtio) cable(virtio)"
    );
    assert!(plan_of(&wanted, &seen).is_empty());
    let down = plan::destroy(&seen, &EnvName::default());
    apply(&mut seen, &down.steps);
    assert_eq!(seen.host, before);
}

#[test]
fn bgp_nodes_have_their_own_interfaces_numbers_and_macs() {
    let nodes =
        [("controllerbgp", 3), ("leaf", 2), ("spine", 2), ("routerbgp", 1), ("extvmbgp", 1)];
    let mut wanted = input(&nodes, "bgp_networks", &[]);
    wanted.request.settings.bgp = true;
    let blueprint = blueprint_of(&wanted, &machine(&NICS));
    let node = blueprint.node("controllerbgp-1").unwrap();
    assert_eq!(
        wiring(&blueprint).into_iter().find(|w| w.starts_with("controllerbgp-1")).unwrap(),
        "controllerbgp-1: l21-provis(virtio) l21-host-1(virtio) l22-host-1(virtio) external(virtio)"
    );
    assert_eq!(node.interfaces[0].mac.to_string(), "52:54:00:76:c7:12");
    assert_eq!(node.access.address, Some([192, 168, 14, 12].into()));
    let router = blueprint.node("routerbgp-0").unwrap();
    let external = router.interfaces.iter().find(|i| i.network == "uc-external").unwrap();
    let Ipv4Setup::Static { address, gateway, .. } = external.ipv4 else { panic!() };
    assert_eq!(address.to_string(), "10.0.0.31/24");
    assert_eq!(gateway, Some([10, 0, 0, 1].into()));
    let guest = router.guest.as_ref().unwrap();
    let seed = seed_files(router, guest, &Secret::new("k"), None);
    let config =
        seed.iter().find(|f| f.name == "network-config").unwrap().content.reveal().to_string();
    assert!(config.contains("routes: [{to: 0.0.0.0/0, via: 10.0.0.1}]"), "{config}");
    let network = blueprint.networks.iter().find(|n| n.name == "uc-external").unwrap();
    assert!(network.stp && network.tuning.routes.len() == 4);
    let mut many = input(&[("controllerbgp", 4)], "bgp_networks", &[]);
    many.request.settings.bgp = true;
    let found = mistakes(&mut many);
    assert!(found[0].contains("describes 3 nodes, and 4 are asked for"), "{found:#?}");
    let mut twins = input(&[("cephbgp", 1), ("networkerbgp", 1)], "bgp_networks", &[]);
    twins.request.settings.bgp = true;
    let found = mistakes(&mut twins);
    assert!(found.iter().any(|m| m.contains("both have a node number 41")), "{found:#?}");
}

#[test]
fn nodes_on_a_lan_get_fixed_addresses_or_report_theirs() {
    let network = |more: &str| {
        format!(
            "
networks:
  net1: {{name: lan, forward: bridge, nic: eth1{more}}}
nodes:
  default:
    interfaces: [{{network: lan, bridged: yes}}]
    external_network: {{network: lan, bridged: yes}}
"
        )
    };
    let fixed = ", static: {subnet: 10.9.0.0/16, range: {start: 10.9.1.1, end: 10.9.1.2}, gateway: 10.9.0.1, nameserver: 10.9.0.2}";
    let seen = machine(&["eth0", "eth1"]);
    let text = network(fixed);
    let wanted = input(&[("undercloud", 2)], &text, &[]);
    let blueprint = blueprint_of(&wanted, &seen);
    let node = &blueprint.nodes[1];
    assert_eq!(node.access.address, Some([10, 9, 1, 2].into()));
    assert!(node.access.direct && !node.interfaces[0].ipv4.asks_dhcp());
    let topology = topology(&input(&[("undercloud", 3)], &text, &[]), &seen);
    let (_, diags) = expand(&topology, &seen);
    assert!(
        diags
            .iter()
            .any(|d| d.message.contains("the static range of network `lan` has no address left")),
        "{diags:?}"
    );
    // What is the router's, the name server's or the hypervisor's is no node's.
    let others = "{subnet: 10.9.0.0/16, range: {start: 10.9.1.1, end: 10.9.1.9}, gateway: 10.9.1.1, nameserver: 10.9.1.2}";
    let vswitch = "virtualport_type: openvswitch, ipv4_address: 10.9.1.3/16";
    for (more, first) in [
        (format!(", static: {others}"), [10, 9, 1, 3]),
        (format!(", {vswitch}, static: {others}"), [10, 9, 1, 4]),
    ] {
        let text = network(&more).replace("nic: eth1, virtualport", "virtualport");
        let blueprint = blueprint_of(&input(&[("undercloud", 1)], &text, &[]), &seen);
        assert_eq!(blueprint.nodes[0].access.address, Some(first.into()), "{more}");
    }
    let text = network("");
    let blueprint = blueprint_of(&input(&[("undercloud", 1)], &text, &[]), &seen);
    let node = &blueprint.nodes[0];
    assert!(node.access.address.is_none() && node.interfaces[0].ipv4.asks_dhcp());
    let seed = seed_files(node, node.guest.as_ref().unwrap(), &Secret::new("k"), None);
    let data = seed.iter().find(|f| f.name == "user-data").unwrap().content.reveal().to_string();
    assert!(data.contains("say address $4"), "{data}");
}

#[test]
fn mistakes_in_networks_are_all_reported() {
    let network = "
networks:
  a: {name: a, virtualport_type: openvswitch}
  b: {name: b, forward: bridge, virtualport_type: openvswitch, portgroups: [{name: p, vlans: [{id: 1}, {id: 4095}]}, {name: q, trunk: yes, ipv4_address: 10.0.0.1/24, vlans: [{id: 1, native: yes}, {id: 2, native: yes}]}]}
  c: {name: c, forward: bridge, nic: not/a/nic, ip_address: 10.1.0.1, dhcp: {range: {start: 10.1.0.2, end: 10.1.0.3}}}
  d: {name: d, forward: nat, ip_address: 10.2.0.1, portgroups: [{name: x, vlan_id: 1}], static: {subnet: 10.2.0.0/24}}
  e: {name: e, forward: nat, ip_address: 10.3.0.1, dhcp: {range: {start: 10.3.0.2, end: 10.3.0.100}}, floating_ip: {start: 10.3.0.90, end: 10.3.0.110}}
nodes:
  default:
    interfaces: [{network: e}, {network: b, portgroup: r}, {network: e, connect_to: compute}]
    external_network: {network: e}
";
    insta::assert_snapshot!(mistakes(&mut input(&[("compute", 1)], network, &[])).join("\n"));
}

#[test]
fn two_hundred_networks_and_nodes_are_planned_at_once() {
    use std::fmt::Write;
    let mut text = String::from("networks:\n");
    for n in 0..200 {
        let (a, b) = (n / 250, n % 250);
        let _ = writeln!(
            text,
            "  net{n}: {{name: net{n}, forward: nat, ip_address: 10.{a}.{b}.1, dhcp: {{range: {{start: 10.{a}.{b}.2, end: 10.{a}.{b}.250}}}}}}"
        );
    }
    text.push_str("nodes:\n  default:\n    interfaces: [{network: net0}, {network: net40}, {network: net80}, {network: net120}, {network: net199}]\n    external_network: {network: net0}\n");
    let wanted = input(&[("undercloud", 200)], &text, &[]);
    let plan = plan_of(&wanted, &Observed::default());
    let starts =
        plan.steps.iter().filter(|s| matches!(s.action, Action::StartDomain { .. })).count();
    assert_eq!(starts, 200);
}

/// Links come and go with the nodes at their ends; who stays is changed and not made again.
#[test]
fn links_follow_their_nodes() {
    let asked = |count| {
        let nodes = [("controller", count), ("ovsvswitch", 1), ("undercloud", 1)];
        input(&nodes, "3_nets_vswitch", &[])
    };
    let mut seen = machine(&NICS);
    let mut before = 0;
    for count in [1, 2, 1, 3, 0, 2] {
        let wanted = asked(count);
        let plan = plan_of(&wanted, &seen);
        let replaced = plan.changes.iter().filter(|c| c.op == plan::Op::Replace);
        let replaced: Vec<&str> = replaced.map(|c| c.name.as_str()).collect();
        // A switch numbers its ports: taking one out of the middle moves the others.
        let moved = replaced.iter().all(|n| *n == "ovsvswitch-0") && count < before;
        assert!(replaced.is_empty() || moved, "{count}: {replaced:?}");
        before = count;
        apply(&mut seen, &plan.steps);
        assert!(
            plan_of(&wanted, &seen).is_empty(),
            "{count}: {:#?}",
            titles(&plan_of(&wanted, &seen))
        );
        let fresh = plan_of(&wanted, &machine(&NICS));
        let mut other = machine(&NICS);
        apply(&mut other, &fresh.steps);
        let names = |s: &Observed| s.networks.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&seen), names(&other), "{count}");
    }
}

/// Each boot file is compared by itself, and what may be a token in its address is in no words.
#[test]
fn a_plan_names_each_boot_file_that_changes() {
    let asked = |bootp: &str| {
        let network = format!(
            "\nnetworks:\n  net1: {{name: lan, forward: nat, subnet: 10.1.0.0/24, dhcp: yes, {bootp}}}\n"
        );
        input(&[], &network, &[])
    };
    let old = asked(
        "tftp_root: /srv/tftp, bootp: {file: a.kpxe, uefi: a.efi, ipxe: 'http://b.example/x?profile=old-token'}",
    );
    let mut seen = machine(&["eth0"]);
    let plan = plan_of(&old, &seen);
    apply(&mut seen, &plan.steps);
    let reasons = |bootp: &str| {
        let plan = plan_of(&asked(bootp), &seen);
        let change = plan.changes.iter().find(|change| change.name == "lan").unwrap();
        change.reason.to_string()
    };
    let words = reasons(
        "tftp_root: /srv/tftp, bootp: {file: b.kpxe, uefi: a.efi, ipxe: 'http://b.example/x?profile=new-token', http: 'http://b.example/y'}",
    );
    assert_eq!(
        words,
        "boot file: a.kpxe → b.kpxe; \
         boot file of iPXE: what `***` stands for in http://b.example/x?*** changes; \
         boot file of UEFI over HTTP: none → http://b.example/y"
    );
    let words = reasons("bootp: {file: a.kpxe, server: 10.1.0.9}");
    for part in [
        "boot file of UEFI: a.efi → none",
        "boot file of iPXE: http://b.example/x?*** → none",
        "server of boot files: the hypervisor → 10.1.0.9",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(!words.contains("boot file: "), "{words}");
    let words = reasons("");
    assert!(words.contains("boot file: a.kpxe → none"), "{words}");
}

/// What is said twice may contradict itself; what has no effect is told.
#[test]
fn what_a_file_says_beside_what_counts_is_told() {
    let network = |keys: &str, external: &str| {
        format!(
            "networks:\n  net1: {{name: lan, {keys}}}\nnodes:\n  default: {{interfaces: [lan], external_network: {{network: lan{external}}}}}\n"
        )
    };
    let served =
        "forward: nat, ip_address: 10.9.0.1, dhcp: {range: {start: 10.9.0.2, end: 10.9.0.99}}";
    let lan = "forward: bridge, nic: eno2";
    for (keys, external, told) in [
        (served, "", false),
        (served, ", bridged: no", false),
        (served, ", bridged: yes", true),
        (lan, ", bridged: yes", false),
        (lan, ", bridged: no", true),
    ] {
        let mut wanted = input(&[("controller", 1)], &network(keys, external), &[]);
        let found = mistakes(&mut wanted);
        let said =
            found.iter().any(|said| said.contains("`external_network.bridged` of node type"));
        assert!(said == told && !wanted.diags.has_errors(), "{keys}{external}: {found:#?}");
    }
}

#[test]
fn what_bgp_files_have_of_ipv6_is_told_once() {
    let file = "networks:\n  uc-external: {net: 10.0.0.0, prefix: 24, net_v6: 'fd00::', gw_v6: 'fd00::1'}\n  other: {net: 10.1.0.0, net_v6: 'fd01::'}\ncidrs:\n- {cidr: 10.0.0.0/8, cidr_v6: 'fd00::/8'}\nnodes: {}\n";
    let found = mistakes(&mut input(&[], file, &[]));
    let told: Vec<_> = found.iter().filter(|said| said.contains("_v6` has no effect")).collect();
    assert!(told.len() == 1 && told[0].contains("3 more such keys"), "{found:#?}");
    let found = mistakes(&mut input(&[], &file.replace("_v6", "_v66").replace("v66", "x"), &[]));
    assert!(!found.iter().any(|said| said.contains("has no effect")), "{found:#?}");
}

#[test]
fn bgp_files_as_infrared_has_them_are_read() {
    let file = "networks:\n  external: {net: 192.168.14.0/24, prefix: 24, hypervisor: 192.168.14.1, net_v6: 'fd00::'}\n  \
                ctlplane: {net: 192.168.01.0, prefix: 24}\n  l11-provis:\nnodes:\n  default: {interfaces: {basic: [[l11-provis, ctlplane]]}}\n";
    let leaf = "leaf={name: leaf, cpu: 1, memory: 512, disks: {disk1: {size: 20G}}, groups: [leaf], deploy_os: no, \
                ips: {basic: [01]}, interfaces: {basic: [[l11-provis, ctlplane]]}}";
    let mut wanted = input(&[(leaf, 1)], file, &[]);
    wanted.request.settings.bgp = true;
    // Nobody has ever read it.
    let said = mistakes(&mut wanted);
    assert!(said.len() == 1 && said[0].contains("`net_v6` has no effect"), "{said:#?}");
    let blueprint = blueprint_of(&wanted, &Observed::default());
    let networks: Vec<&str> =
        blueprint.nodes[0].interfaces.iter().map(|i| i.network.as_str()).collect();
    assert_eq!(networks, ["l11-provis", "ctlplane"]);
    let odd = file.replace("192.168.14.0/24", "192.168.14.0/25");
    let mut odd = input(&[(leaf, 1)], &odd, &[]);
    odd.request.settings.bgp = true;
    let said = mistakes(&mut odd);
    assert!(
        said.iter().any(|s| s.contains("`192.168.14.0/25` is not a valid network")),
        "{said:#?}"
    );
}
