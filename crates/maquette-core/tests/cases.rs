//! Inputs that people have, by kinds of what an earlier version made of them: the kind's least input, and others of it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use maquette_core::diagnostic::Diagnostics;
use maquette_core::expand;
use maquette_core::names::EnvName;
use maquette_core::observed::Observed;
use maquette_core::plan::Action;
use maquette_core::topology::{Allocation, Bus, Settings};
use maquette_core::values::Login;
use maquette_testkit::{Input, blueprint_of, expand, input, mistakes, plan_of, topology};

/// What is in the way of an input on a hypervisor, with what helps.
fn conflicts(input: &Input, seen: &Observed) -> Vec<String> {
    let topology = topology(input, seen);
    let (blueprint, mut diags) = expand(&topology, seen);
    expand::conflicts(&topology, &blueprint, seen, &mut diags);
    diags.iter().map(|d| format!("{} [{}]", d.message, d.help.join("; "))).collect()
}

/// A hypervisor with routes.
fn routed(routes: &[&str]) -> Observed {
    let mut seen = Observed::default();
    let all = routes.iter().map(|net| (net.parse().unwrap(), "interface tun0".to_string()));
    seen.claims.routes.extend(all);
    seen
}

/// A network file with one network, of these keys.
fn network(keys: &str) -> String {
    format!(
        "networks:\n  net1: {{name: lan, {keys}}}\nnodes:\n  default:\n    interfaces: [lan]\n    external_network: lan\n"
    )
}

fn node(keys: &str) -> String {
    format!(
        "web={{name: web, cpu: 1, memory: 512, disks: {{disk1: {{size: 20G}}}}, groups: [web]{keys}}}"
    )
}

const SERVED: &str =
    "forward: nat, ip_address: 10.9.0.1, dhcp: {range: {start: 10.9.0.2, end: 10.9.0.99}}";

/// What is wrong with a node type on a network, `code message` each.
fn wrong(node_keys: &str, network_keys: &str) -> Vec<String> {
    let found = mistakes(&mut input(&[(&node(node_keys), 1)], &network(network_keys), &[]));
    let without_place = |said: &String| {
        let (code, rest) = said.split_once(' ').unwrap();
        format!("{code} {}", rest.split_once(' ').unwrap().1)
    };
    found.iter().map(without_place).collect()
}

#[test]
fn a_route_that_is_wider_than_a_subnet_is_not_in_its_way() {
    for routes in [
        &["0.0.0.0/1", "128.0.0.0/1"][..],
        &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
        &["2000::/3"],
        &["172.16.0.0/23", "2620:52::/32"],
    ] {
        let found = conflicts(&input(&[("controller", 1)], "3_nets", &[]), &routed(routes));
        assert!(found.is_empty(), "{routes:?}: {found:#?}");
    }
    // With a prefix, the first subnets are as free as any.
    let mut wanted = input(&[("controller", 1)], "3_nets", &[]);
    wanted.request.settings.environment = EnvName::from_prefix("lab").unwrap();
    let blueprint = blueprint_of(&wanted, &routed(&["0.0.0.0/1", "128.0.0.0/1"]));
    assert_eq!(blueprint.networks[0].ipv4.unwrap().to_string(), "192.168.24.254/24");
}

#[test]
fn a_route_as_narrow_as_a_subnet_or_narrower_is_in_its_way() {
    for (route, subnet) in [
        ("172.16.0.0/24", "172.16.0.0/24"),
        ("172.16.0.128/25", "172.16.0.0/24"),
        ("10.0.0.7/32", "10.0.0.0/24"),
        ("2620:52:0:13b8::1:0/112", "2620:52:0:13b8::/64"),
    ] {
        let found = conflicts(&input(&[("controller", 1)], "3_nets", &[]), &routed(&[route]));
        assert_eq!(found.len(), 1, "{route}: {found:#?}");
        assert!(found[0].starts_with(&format!("{subnet} is already in use")), "{found:#?}");
    }
    // All of them are told at once, and what the host has an address in counts whatever its size.
    let mut seen = routed(&["172.16.0.0/24"]);
    seen.claims.subnets.push(("10.1.2.3/8".parse().unwrap(), "interface eth0".into()));
    assert_eq!(conflicts(&input(&[("controller", 1)], "3_nets", &[]), &seen).len(), 2);
}

#[test]
fn what_helps_against_a_subnet_that_is_taken_is_what_can_help() {
    let taken = |address: &str, prefix: Option<&str>, net: Option<u8>| {
        let file = network(&format!("forward: nat, ip_address: \"{address}\""));
        let mut wanted = input(&[("controller", 0)], &file, &[]);
        if let Some(prefix) = prefix {
            wanted.request.settings.environment = EnvName::from_prefix(prefix).unwrap();
        }
        wanted.request.settings.net_subnet = net;
        let mut seen = Observed::default();
        seen.claims.subnets.push(("172.16.0.0/16".parse().unwrap(), "interface eth0".into()));
        conflicts(&wanted, &seen).concat()
    };
    let moves = "172.16.{{ net }}.1";
    for (address, prefix, net, help) in [
        ("172.16.5.1", None, None, "the address is fixed"),
        ("172.16.5.1", Some("lab"), Some(10), "the address is fixed"),
        (moves, None, None, "`--net_subnet` and `--data_subnet`, or a `--prefix`"),
        (moves, Some("lab"), Some(10), "choose another `--net_subnet`"),
        (moves, Some("lab"), None, "nothing is free of what a prefix chooses from"),
    ] {
        let found = taken(address, prefix, net);
        assert!(found.contains(help), "{address} {prefix:?} {net:?}: {found}");
    }
}

#[test]
fn a_path_is_that_of_the_pool_or_of_a_pool_of_its_own_and_no_system_directory() {
    let disk = |path: &str| format!(", disks: {{disk1: {{size: 20G, path: {path}}}}}");
    let wrong = |path: &str| {
        let node = node("").replace(", disks: {disk1: {size: 20G}}", &disk(path));
        mistakes(&mut input(&[(&node, 1)], &network(SERVED), &[]))
    };
    let pools = |path: &str| {
        let node = node("").replace(", disks: {disk1: {size: 20G}}", &disk(path));
        let wanted = input(&[(&node, 1)], &network(SERVED), &[]);
        let blueprint = blueprint_of(&wanted, &Observed::default());
        blueprint.nodes[0].disk_pools().map(|own| own.pool.path.to_string()).collect::<Vec<_>>()
    };
    for path in ["/var/lib/libvirt/images", "/var/lib/libvirt/images/", "''", "~"] {
        assert_eq!((wrong(path), pools(path)), (Vec::new(), Vec::new()), "{path}");
    }
    for path in ["/srv/disks", "/var/lib/libvirt/images/sub"] {
        assert_eq!((wrong(path), pools(path)), (Vec::new(), vec![path.to_string()]), "{path}");
    }
    for path in ["/", "images", "/etc", "/srv/../etc"] {
        let found = wrong(path);
        assert!(found.len() == 1 && found[0].contains("`/srv/disks`"), "{path}: {found:#?}");
    }
}

#[test]
fn expressions_see_every_extra_variable() {
    for (address, extra, expected) in [
        ("172.{{ x }}.0.1", &["x=20"][..], "172.20.0.1/24"),
        ("172.16.{{ net }}.1", &["net=220"], "172.16.220.1/24"),
        ("172.{{ x | default(16) }}.0.1", &["x=21"], "172.21.0.1/24"),
        ("172.{{ x | default(16) }}.0.1", &["y=21"], "172.16.0.1/24"),
        ("172.16.{{ data_net }}.1", &["data_net=9"], "172.16.9.1/24"),
        ("172.16.{{ provision.site }}.1", &["provision.site=5"], "172.16.5.1/24"),
        ("{{ site.net }}.1", &["site.net=10.7.7"], "10.7.7.1/24"),
    ] {
        let file = network(&format!("forward: nat, ip_address: \"{address}\""));
        let blueprint =
            blueprint_of(&input(&[("controller", 0)], &file, extra), &Observed::default());
        let subnet = blueprint.networks[0].ipv4.unwrap().to_string();
        assert_eq!(subnet, expected, "{address} {extra:?}");
    }
    for (extra, expected) in [
        (&[][..], ["192.168.24.254/24", "172.16.0.1/24", "10.0.0.1/24"]),
        (&["net=220"], ["192.168.24.254/24", "172.16.220.1/24", "10.0.220.1/24"]),
        (&["data_net=7"], ["192.168.7.254/24", "172.16.0.1/24", "10.0.0.1/24"]),
        (&["data_net=7", "net=8"], ["192.168.7.254/24", "172.16.8.1/24", "10.0.8.1/24"]),
    ] {
        let wanted = input(&[("controller", 1)], "3_nets", extra);
        let networks = blueprint_of(&wanted, &Observed::default()).networks;
        let subnets: Vec<String> =
            networks.iter().map(|network| network.ipv4.unwrap().to_string()).collect();
        assert_eq!(subnets, expected, "{extra:?}");
    }
}

#[test]
fn keys_that_nobody_reads_are_no_reason_to_stop() {
    for (node_keys, network_keys) in [
        ("", "renew: yes"),
        (", amount: 1", "mode: nat"),
        (", image: {ssh_user: root, url: x}", "dns: {ttl: 5}"),
        (", os: {type: linux, version: 7}", "external_connectivity: yes, comment: ours"),
    ] {
        let text = network(&format!("{SERVED}, {network_keys}"));
        let mut wanted = input(&[(&node(node_keys), 1)], &text, &[]);
        wanted.diags = Diagnostics::lenient();
        let found = mistakes(&mut wanted);
        assert!(!wanted.diags.has_errors(), "{found:#?}");
        assert!(!found.is_empty(), "{node_keys} {network_keys}");
    }
}

#[test]
fn networks_larger_than_24_bits_are_shown_as_they_are() {
    let shown = |address: &str, start: &str, end: &str| {
        let keys = format!(
            "forward: nat, ip_address: {address}, dhcp: {{range: {{start: {start}, end: {end}}}}}"
        );
        let wanted = input(&[("controller", 0)], &network(&keys), &[]);
        let plan = plan_of(&wanted, &Observed::default());
        plan.changes.iter().find(|c| &*c.name == "lan").unwrap().detail.clone()
    };
    for (address, start, end, range) in [
        ("172.16.0.1/16", "172.16.0.2", "172.16.127.254", "172.16.0.2-172.16.127.254"),
        ("10.0.0.1/8", "10.0.1.2", "10.0.1.9", "10.0.1.2-10.0.1.9"),
        ("10.4.0.1/22", "10.4.2.2", "10.4.3.9", "10.4.2.2-10.4.3.9"),
        ("10.4.0.1/24", "10.4.0.2", "10.4.0.9", ".2-.9"),
    ] {
        let detail = shown(address, start, end);
        assert!(detail.contains(&format!("dhcp {range}")), "{detail}");
    }
}

#[test]
fn one_mistake_is_told_once() {
    let good = "dhcp: {range: {start: 172.22.0.2, end: 172.22.0.99}}";
    for (network_keys, said) in [
        (format!("forward: nat, ip_address: 172.22.0.300, {good}"), "topology::address"),
        (
            format!("forward: nat, ip_address: 172.22.0.1, netmask: 255.0.255.0, {good}"),
            "topology::netmask",
        ),
        (format!("forward: nat, ip_address: 172.22.0, {good}"), "topology::address"),
        ("forward: nat, ipv6: {ip_address: 'fd00::g'}".into(), "topology::wrong-type"),
        ("forward: nta, ip_address: 172.22.0.1".into(), "topology::forward"),
    ] {
        let found = wrong("", &network_keys);
        let hints: Vec<&String> = found.iter().filter(|f| !f.starts_with(said)).collect();
        assert!(found.len() == 1 && hints.is_empty(), "{network_keys}: {found:#?}");
    }
}

#[test]
fn a_network_of_ipv6_alone_reaches_its_nodes() {
    for keys in [
        "ipv6: {ip_address: 'fd00:9::1', dhcp: {range: {start: 'fd00:9::10', end: 'fd00:9::20'}}}",
        "forward: nat, ipv6: {ip_address: 'fd00:9::1', prefix: 64, dhcp: {range: {start: 'fd00:9::10', end: 'fd00:9::20'}}}",
        "forward: route, ipv6: {ip_address: '2001:db8::1', prefix: 64, dhcp: {range: {start: '2001:db8::10', end: '2001:db8::20'}}}",
        "forward: open, ipv6: {ip_address: '2001:db8::1', prefix: 120, dhcp: {range: {start: '2001:db8::10', end: '2001:db8::20'}}}",
    ] {
        assert_eq!(wrong("", keys), Vec::<String>::new(), "{keys}");
        let wanted = input(&[(&node(""), 1)], &network(keys), &[]);
        let blueprint = blueprint_of(&wanted, &Observed::default());
        let address = blueprint.nodes[0].access.address.unwrap();
        assert!(address.is_ipv6() && blueprint.networks[0].reservations.len() == 1, "{address}");
    }
    assert!(wrong("", "ipv6: {ip_address: 'fd00:9::1'}").concat().contains("has no DHCP range"));
}

#[test]
fn ipv6_addresses_that_run_out_are_an_error() {
    let range = |end: &str| {
        format!(
            "{SERVED}, ipv6: {{ip_address: 'fd00:9::1', dhcp: {{range: {{start: 'fd00:9::2', end: '{end}'}}}}}}"
        )
    };
    for (end, count, missing) in [
        ("fd00:9::2", 2, 1),
        ("fd00:9::4", 5, 2),
        ("fd00:9::3", 9, 7),
        ("fd00:9::10", 20, 5),
        ("fd00:9::4", 3, 0),
        ("fd00:9::10:0", 9, 0),
    ] {
        let wanted = input(&[(&node(""), count)], &network(&range(end)), &[]);
        let (_, diags) = expand(&topology(&wanted, &Observed::default()), &Observed::default());
        let said = "the IPv6 range of network `lan` has no address left for `web-";
        assert!(diags.iter().all(|d| d.message.starts_with(said)), "{diags:?}");
        assert_eq!(diags.errors(), missing, "{end}");
    }
}

#[test]
fn a_network_where_no_node_is_reached_may_have_fewer_addresses_than_nodes() {
    let external = "{name: external, forward: nat, ip_address: 10.9.0.1, netmask: 255.255.255.0, \
        dhcp: {range: {start: 10.9.0.2, end: 10.9.0.2}}, ipv6: {ip_address: 'fd00:9::1', \
        dhcp: {range: {start: 'fd00:9::2', end: 'fd00:9::3'}}}}";
    let networks =
        network(SERVED).replacen("networks:", &format!("networks:\n  net9: {external}"), 1);
    let node = node(", interfaces: [{network: lan}, {network: external}], external_network: lan");
    let wanted = input(&[(&node, 4)], &networks, &[]);
    let (_, diags) = expand(&topology(&wanted, &Observed::default()), &Observed::default());
    let said: Vec<_> = diags.iter().map(|d| d.message.as_str()).collect();
    let fewer = "of network `external` gives out fewer addresses than it has nodes";
    let wanted = [
        format!("`dhcp.range` {fewer}: `web-1` and 2 more have no IPv4 address there"),
        format!("`ipv6.dhcp.range` {fewer}: `web-2` and 1 more have no IPv6 address there"),
    ];
    assert_eq!(said, wanted);
    assert_eq!(diags.errors(), 0);
}

#[test]
fn models_of_nics_follow_the_operating_system_where_nobody_names_one() {
    for (keys, model) in [
        ("", "virtio"),
        (", os: {variant: rhel7.0}", "virtio"),
        (", os: {variant: freebsd10.0}", "e1000"),
        (", os: {variant: win2k22}", "e1000"),
        (
            ", os: {variant: freebsd10.0}, interfaces: [{network: lan, model: virtio}], external_network: lan",
            "virtio",
        ),
    ] {
        let wanted = input(&[(&node(keys), 1)], &network(SERVED), &[]);
        let blueprint = blueprint_of(&wanted, &Observed::default());
        assert_eq!(blueprint.nodes[0].interfaces[0].model.as_str(), model, "{keys}");
    }
    let found = wrong(", os: {variant: rehl7}", SERVED);
    assert!(found.len() == 1 && found[0].starts_with("topology::os-variant"), "{found:#?}");
    // A hypervisor's libosinfo may know it.
    let mut wanted = input(&[(&node(", os: {variant: rehl7}"), 1)], &network(SERVED), &[]);
    wanted.request.systems_asked = true;
    assert_eq!(mistakes(&mut wanted), [""; 0]);
}

#[test]
fn the_login_user_of_a_node_is_the_one_that_its_file_names() {
    for (keys, user, connection) in [
        ("", "cloud-user", "ssh"),
        (", image: {ssh_user: core}", "core", "ssh"),
        (", ansible_user: root, ansible_connection: netconf", "root", "netconf"),
        (
            ", ansible_user: x, image: {ssh_user: admin, ansible_connection: network_cli}",
            "admin",
            "network_cli",
        ),
        (", supports_libguestfs: no, image: {ssh_user: admin}", "admin", "ssh"),
    ] {
        let wanted = input(&[(&node(keys), 1)], &network(SERVED), &[]);
        let node = &blueprint_of(&wanted, &Observed::default()).nodes[0];
        assert_eq!(
            (node.access.user.as_str(), node.access.connection.as_str()),
            (user, connection)
        );
        let made = node.guest.as_ref().map_or(user, |guest| guest.user.as_str());
        assert_eq!(made, user, "{keys}");
    }
}

#[test]
fn the_image_of_one_disk_is_downloaded_again() {
    let disks = |again: &str| {
        format!(
            "web={{name: web, cpu: 1, memory: 512, groups: [], disks: {{disk1: {{size: 20G}}, disk2: {{import_url: 'http://x/a.qcow2'{again}}}}}}}"
        )
    };
    for (again, expected) in [
        ("", &[][..]),
        (", force_image_download: no", &[]),
        (", force_image_download: yes", &["http://x/a.qcow2"]),
    ] {
        let wanted = input(&[(&disks(again), 1)], &network(SERVED), &[]);
        let mut seen = maquette_testkit::machine(&[]);
        let all = plan_of(&wanted, &seen);
        maquette_testkit::apply(&mut seen, &all.steps);
        let more = input(&[(&disks(again), 2)], &network(SERVED), &[]);
        assert_eq!(maquette_testkit::fetched(&plan_of(&more, &seen)), expected, "{again}");
    }
}

#[test]
fn a_password_is_for_consoles_and_only_where_somebody_gave_one() {
    let first_boot = |password: Option<&str>, keys: &str| {
        let mut wanted = input(&[(&node(keys), 1)], &network(SERVED), &[]);
        wanted.request.settings.password = password.map(maquette_core::values::Secret::new);
        let topology = topology(&wanted, &Observed::default());
        let user = &blueprint_of(&wanted, &Observed::default()).nodes[0].access.user;
        let first_boot = topology.roles[0].first_boot.of_user(user);
        let commands = first_boot.commands.iter().map(|c| c.reveal().to_string());
        let files = first_boot.files.iter().map(|f| f.content.reveal().to_string());
        commands.chain(files).collect::<Vec<_>>()
    };
    assert!(first_boot(None, "").is_empty());
    let found = first_boot(Some("it's; rm"), "");
    assert_eq!(found[0], "printf '%s\\n' \"cloud-user:it's; rm\" | chpasswd");
    assert!(found[1].contains("PasswordAuthentication no"), "{found:#?}");
    // What nobody sets up has none, and whoever has cloud-init do it says so there.
    assert!(first_boot(Some("x"), ", supports_libguestfs: no").is_empty());
    assert_eq!(first_boot(Some("x"), ", user_data: {ssh_pwauth: true}").len(), 1);
    let mut digests = Vec::new();
    for password in [None, Some("a"), Some("b")] {
        let mut wanted = input(&[(&node(""), 1)], &network(SERVED), &[]);
        wanted.request.settings.password = password.map(maquette_core::values::Secret::new);
        let node = blueprint_of(&wanted, &Observed::default()).nodes[0].clone();
        digests.push(node.guest.unwrap().first_boot);
    }
    digests.dedup();
    assert_eq!(digests.len(), 3);
}

#[test]
fn the_mode_of_forward_that_takes_functions_of_a_nic_is_refused_by_name() {
    let found = wrong("", "forward: hostdev, nic: eno2");
    assert!(found[0].contains("`forward: hostdev` is not supported"), "{found:#?}");
    assert!(
        found[0].contains("SR-IOV") && found[0].contains("`forward: passthrough`"),
        "{found:#?}"
    );
    assert!(wrong("", &SERVED.replace("nat", "open")).is_empty());
}

#[test]
fn settings_reach_nodes_and_networks() {
    let node_of = |change: &dyn Fn(&mut Settings)| {
        let mut wanted = input(&[("undercloud", 1)], "3_nets", &[]);
        change(&mut wanted.request.settings);
        let blueprint = blueprint_of(&wanted, &Observed::default());
        (blueprint.nodes[0].clone(), blueprint.networks[0].clone())
    };
    let (node, network) = node_of(&|_| {});
    assert_eq!(node.access.user.as_str(), "cloud-user");
    assert_eq!(network.ipv4.unwrap().to_string(), "192.168.24.254/24");
    let (node, network) = node_of(&|settings| {
        settings.username = Login::known("ann");
        settings.data_subnet = Some(77);
        settings.disk_bus = Bus::Scsi;
    });
    assert_eq!(node.access.user.as_str(), "ann");
    assert_eq!(node.guest.unwrap().user.as_str(), "ann");
    assert_eq!(network.ipv4.unwrap().to_string(), "192.168.77.254/24");
    assert!(node.disks.iter().all(|d| d.bus == Bus::Scsi && d.device.starts_with("sd")));
}

#[test]
fn the_mtu_of_a_nic_in_a_bridge_is_the_settings() {
    let text = network("forward: bridge, nic: eno2");
    let mut wanted = input(&[("controller", 0)], &text, &[]);
    wanted.request.settings.nic_mtu = "9000".parse().ok();
    let seen = maquette_testkit::machine(&["eno2"]);
    let plan = plan_of(&wanted, &seen);
    let mtu = plan.steps.iter().find_map(|s| match &s.action {
        Action::BridgeNic { uplink, .. } => uplink.mtu,
        _ => None,
    });
    assert_eq!(mtu.map(maquette_core::values::Mtu::bytes), Some(9000));
}

#[test]
fn a_type_with_an_image_of_its_own_has_that() {
    let wanted = input(&[(&node(", import_url: 'http://x/own.qcow2'"), 1)], &network(SERVED), &[]);
    let disk = &blueprint_of(&wanted, &Observed::default()).nodes[0].disks[0];
    assert_eq!(disk.backing.as_ref().unwrap().source, "http://x/own.qcow2");
    assert!(disk.size.is_some(), "it grows to the size that the file gives it");
}

#[test]
fn an_appliance_is_set_up_by_nobody_and_not_waited_for() {
    let keys =
        ", supports_libguestfs: no, image: {ssh_user: admin, ansible_connection: network_cli}";
    let wanted = input(&[(&node(keys), 1)], &network(SERVED), &[]);
    let node = &blueprint_of(&wanted, &Observed::default()).nodes[0];
    assert!(node.guest.is_none() && node.access.address.is_some());
    let plan = plan_of(&wanted, &Observed::default());
    let waits = |s: &maquette_core::plan::Step| match &s.action {
        Action::StartDomain { ready, .. } => ready.is_some(),
        _ => false,
    };
    assert!(!plan.steps.iter().any(waits));
}

#[test]
fn vlans_of_portgroups_are_for_open_vswitch() {
    for (keys, what) in [
        ("vlan_id: 4", "VLANs"),
        ("vlans: [{id: 4}]", "VLANs"),
        ("trunk: yes, vlans: [{id: 4}]", "VLANs"),
        ("ipv4_address: 10.8.0.1/24", "an address of the hypervisor"),
    ] {
        for network in [SERVED, "forward: bridge, nic: eno1"] {
            let found =
                wrong("", &format!("{network}, portgroups: [{{name: a, default: yes, {keys}}}]"));
            let said = format!("`a` has {what}, and network `lan` is not on Open vSwitch");
            let is_told = |found: &String| found.contains(&said);
            assert_eq!(found.iter().filter(|found| is_told(found)).count(), 1, "{found:#?}");
        }
    }
}

#[test]
fn portgroups_without_vlans_are_on_any_network() {
    let groups = "portgroups: [{name: a, default: yes}, {name: b, trunk: yes}]";
    let on = |group: &str| {
        node(&format!(
            ", interfaces: [{{network: lan, portgroup: {group}}}], external_network: lan"
        ))
    };
    let wanted = input(&[(&on("b"), 1)], &network(&format!("{SERVED}, {groups}")), &[]);
    let blueprint = blueprint_of(&wanted, &Observed::default());
    let named: Vec<(&str, bool)> =
        blueprint.networks[0].groups.iter().map(|g| (g.name.as_str(), g.default)).collect();
    assert_eq!(named, [("a", true), ("b", false)]);
    let attachment = &blueprint.nodes[0].interfaces[0].attachment;
    assert_eq!(attachment.portgroup().map(|name| name.as_str()), Some("b"));
    let found = |group: &str, groups: &str| {
        mistakes(&mut input(&[(&on(group), 1)], &network(&format!("{SERVED}, {groups}")), &[]))
    };
    assert!(found("c", groups).concat().contains("has no portgroup `c`"));
    assert!(found("a", "mtu: 1400").concat().contains("has no portgroup `a`"));
    let twice = "portgroups: [{name: a, default: yes}, {name: b, default: yes}]";
    assert!(found("a", twice).concat().contains("two default portgroups"));
}

#[test]
fn files_with_two_ipv6_subnets_have_both_move_on_with_the_prefix() {
    for file in ["4_nets", "5_nets"] {
        let subnets = |net: u8| {
            let mut wanted = input(&[("ironic", 0)], file, &[]);
            let allocation = Allocation { net, data_net: net.wrapping_add(14) };
            let topology =
                maquette_core::topology::compile(&wanted.request, allocation, &mut wanted.diags)
                    .unwrap();
            maquette_core::topology::lint(&topology, &mut wanted.diags);
            assert!(!wanted.diags.has_errors(), "{file}, {net}: {:?}", wanted.diags);
            let all = topology.networks.iter().flat_map(|n| n.subnets());
            all.map(|(net, _)| net.trunc())
                .filter(|net| net.to_string().contains(':'))
                .collect::<Vec<_>>()
        };
        let (unprefixed, first, second) = (subnets(0), subnets(10), subnets(20));
        assert_eq!(unprefixed.last().unwrap().to_string(), "2620:52:0:13b9::/64");
        assert!(first.iter().all(|net| !second.contains(net) && !unprefixed.contains(net)));
        // The second overlapped the first of the same file.
        assert_eq!(subnets(1).len(), unprefixed.len());
    }
}

#[test]
fn a_node_that_nobody_gives_an_address_is_shown_so() {
    let wanted = input(&[("tester", 1)], "3_net_openvswitch", &[]);
    let plan = plan_of(&wanted, &maquette_testkit::machine(&["eno2"]));
    let tester = plan.changes.iter().find(|c| &*c.name == "tester-0").unwrap();
    assert!(tester.detail.contains("no address"), "{}", tester.detail);
}

#[test]
fn ipv6_is_refused_where_the_hypervisor_has_none() {
    let wanted = input(&[("controller", 1)], "3_nets", &[]);
    let mut seen = Observed::default();
    assert!(conflicts(&wanted, &seen).is_empty());
    seen.host.lacks_ipv6 = true;
    let found = conflicts(&wanted, &seen);
    assert!(
        found.len() == 1 && found[0].contains("2620:52:0:13b8::/64, and IPv6 is off"),
        "{found:#?}"
    );
    // Networks without it are none of that.
    assert!(conflicts(&input(&[("controller", 1)], "3_nets_ipv4", &[]), &seen).is_empty());
}

/// A node whose console cannot be logged does not start.
#[test]
fn consoles_are_logged_where_selinux_lets_them_be() {
    let mut wanted = input(&[("controller", 2)], "3_nets", &[]);
    wanted.request.settings.serial_files = true;
    let mut seen = Observed::default();
    let logged = |seen: &Observed| {
        let nodes = blueprint_of(&wanted, seen).nodes;
        nodes.iter().map(|node| node.serial_file).collect::<Vec<_>>()
    };
    assert_eq!(logged(&seen), [true, true]);
    assert!(conflicts(&wanted, &seen).is_empty());
    seen.refuses_serial_files = true;
    assert_eq!(logged(&seen), [false, false]);
    let found = conflicts(&wanted, &seen);
    assert!(found.len() == 1 && found[0].contains("logged in /var/log/libvirt/qemu"), "{found:#?}");
}

#[test]
fn what_is_secret_in_an_address_is_in_no_word_of_a_plan() {
    for address in [
        "https://ann:hunter2@h.example/x.qcow2",
        "https://hunter2@h.example/x.qcow2",
        "https://h.example/x.qcow2?token=hunter2",
        "https://h.example/x.qcow2;key=hunter2",
    ] {
        let node = node(&format!(", import_url: '{address}'"));
        let plan = plan_of(&input(&[(&node, 1)], &network(SERVED), &[]), &Observed::default());
        assert_eq!(maquette_testkit::fetched(&plan), [address]);
        let changes = plan.changes.iter().map(|c| format!("{} {}", c.detail, c.reason));
        // Names of volumes are testkit's own.
        let titles = maquette_testkit::titles(&plan).into_iter();
        let fetches = titles.filter(|title| title.starts_with("fetch image"));
        let said: Vec<String> = changes.chain(fetches).collect();
        assert_eq!(said.iter().filter(|text| text.contains("h.example/x.qcow2")).count(), 2);
        assert!(said.iter().all(|text| !text.contains("hunter2")), "{said:#?}");
    }
}
