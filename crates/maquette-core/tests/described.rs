//! Node types and networks that the project file describes, and addresses that a user chooses.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::blueprint::{Blueprint, Ipv4Setup};
use maquette_core::expand;
use maquette_core::names::EnvName;
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_core::syntax::{self, Sources, Tree};
use maquette_core::topology::{self, NodeRequest};
use maquette_core::values::Secret;
use maquette_testkit::{
    Input, apply, blueprint_of, expand, input, machine, mistakes, plan_of, titles,
};
use proptest::prelude::*;

/// A tree among the sources of an input.
fn tree(sources: &mut Sources, name: &str, text: &str, diags: &mut Input) -> Tree {
    let id = sources.add(name, text);
    syntax::parse(sources, id, &mut diags.diags).unwrap_or_else(|| panic!("{text}"))
}

/// What a project file describes, as it is read: each node type with its number of nodes and its keys.
fn described(nodes: &[(&str, u32, &str)], networks: &str) -> Input {
    let mut input = input(&[], "networks: {}", &[]);
    let mut sources = std::mem::take(&mut input.sources);
    for (place, (name, count, keys)) in nodes.iter().enumerate() {
        let tree = tree(&mut sources, name, keys, &mut input);
        let span = tree.span;
        let path = format!("nodes/{place:05}/{name}");
        let (file, count) = ((*name).to_string(), *count);
        input.request.nodes.push(NodeRequest { file, path, tree, count, span, described: true });
    }
    let networks = tree(&mut sources, "maquette.yaml", networks, &mut input);
    input.request.networks = Some(networks);
    input.sources = sources;
    input
}

/// Nodes with their addresses, a line each.
fn addresses(blueprint: &Blueprint) -> String {
    let line = |node: &maquette_core::blueprint::Node| {
        let all: Vec<String> = node
            .interfaces
            .iter()
            .map(|i| {
                let address = i.ipv4.address().map_or("-".into(), |n| n.addr().to_string());
                format!("{} {address}", i.network)
            })
            .collect();
        format!("{}: {}", node.name, all.join(", "))
    };
    blueprint.nodes.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_left_out_has_a_default() {
    let mut input = described(
        &[("web", 2, "{networks: [front, back]}"), ("db", 1, "{memory: 2048, disks: [30G, 5G]}")],
        "{front: {}, back: {subnet: 10.9.0.0/24, forward: none, dhcp: no}}",
    );
    assert!(mistakes(&mut input).is_empty(), "{:?}", input.diags);
    let blueprint = blueprint_of(&input, &Observed::default());
    insta::assert_snapshot!(addresses(&blueprint), @r"
    web-0: front 10.100.0.2, back -
    web-1: front 10.100.0.3, back -
    db-0: front 10.100.0.4
    ");
    let [web, _, db] = blueprint.nodes.as_slice() else { panic!() };
    assert_eq!((web.vcpus.get(), web.memory_mib, web.disks.len()), (1, 1024, 1));
    assert_eq!((db.memory_mib, db.disks[1].size.unwrap().0), (2048, 5 << 30));
    assert_eq!(web.groups.iter().map(|g| g.as_str()).collect::<Vec<_>>(), ["web"]);
    assert!(web.interfaces[0].default_route && !web.interfaces[1].default_route);
    let back = blueprint.networks.iter().find(|n| n.name == "back").unwrap();
    assert_eq!((back.ipv4.unwrap().to_string().as_str(), back.dhcp4), ("10.9.0.1/24", None));
}

#[test]
fn a_subnet_that_was_chosen_stays() {
    let web = ("web", 1, "{networks: [b]}");
    let mut seen = machine(&[]);
    let two = described(&[web], "{a: {}, b: {}}");
    let plan = plan_of(&two, &seen);
    apply(&mut seen, &plan.steps);
    let net = |blueprint: &Blueprint, name: &str| {
        let network = blueprint.networks.iter().find(|n| n.name == name).unwrap();
        network.ipv4.unwrap().trunc().to_string()
    };
    let kept = blueprint_of(&described(&[web], "{c: {}, b: {}}"), &seen);
    assert_eq!(net(&kept, "b"), "10.100.1.0/24");
    // Also where somebody has undefined the network: its nodes have addresses in it.
    let mut undefined = seen.clone();
    undefined.networks.clear();
    assert_eq!(net(&blueprint_of(&two, &undefined), "b"), "10.100.1.0/24");
    let alone = blueprint_of(&described(&[web], "{b: {}}"), &undefined);
    assert_eq!(net(&alone, "b"), "10.100.1.0/24");
    // That of `a` is free only when `a` is gone.
    assert_eq!(net(&kept, "c"), "10.100.2.0/24");
    // What is there keeps the subnet that it was given by name, too.
    let named = described(&[web], "{a: {}, b: {subnet: 10.100.0.0/24}}");
    let moved = blueprint_of(&named, &seen);
    assert_eq!(
        (net(&moved, "a"), net(&moved, "b")),
        ("10.100.1.0/24".into(), "10.100.0.0/24".into())
    );
}

#[test]
fn a_subnet_that_somebody_has_is_not_chosen() {
    let mut seen = Observed::default();
    let mut take = |net: &str| seen.claims.subnets.push((net.parse().unwrap(), "others".into()));
    take("10.100.0.0/23");
    take("10.100.2.128/25");
    let mut given = described(&[("web", 1, "{}")], "{a: {}, b: {subnet: 10.100.3.0/24}}");
    given.request.settings.environment = EnvName::from_prefix("lab").unwrap();
    let blueprint = blueprint_of(&given, &seen);
    assert_eq!(blueprint.networks[0].ipv4.unwrap().to_string(), "10.100.4.1/24");
}

#[test]
fn addresses_are_those_that_were_chosen() {
    let networks = "{front: {subnet: 10.9.0.0/24}, back: {subnet: 10.8.0.0/24, dhcp: no}}";
    let web =
        "{networks: [{network: front, ip: 10.9.0.3}, {network: back, ip: [10.8.0.9, 10.8.0.5]}]}";
    let mut given = described(&[("db", 2, "{}"), ("web", 2, web)], networks);
    assert!(mistakes(&mut given).is_empty(), "{:?}", given.diags);
    let mut seen = machine(&[]);
    insta::assert_snapshot!(addresses(&blueprint_of(&given, &seen)), @r"
    db-0: front 10.9.0.2
    db-1: front 10.9.0.5
    web-0: front 10.9.0.3, back 10.8.0.9
    web-1: front 10.9.0.4, back 10.8.0.5
    ");
    let plan = plan_of(&given, &seen);
    apply(&mut seen, &plan.steps);
    assert!(plan_of(&given, &seen).is_empty());
    // Who has an address that is another's by choice gets another one.
    let chosen = described(&[("db", 2, "{}"), ("web", 2, &web.replace("0.3", "0.5"))], networks);
    insta::assert_snapshot!(addresses(&blueprint_of(&chosen, &seen)), @r"
    db-0: front 10.9.0.2
    db-1: front 10.9.0.7
    web-0: front 10.9.0.5, back 10.8.0.9
    web-1: front 10.9.0.6, back 10.8.0.5
    ");
    let plan = plan_of(&chosen, &seen);
    let changed: Vec<String> = titles(&plan);
    assert!(changed.iter().any(|t| t.contains("web-0")), "{changed:#?}");
    assert!(!changed.iter().any(|t| t.contains("db-0")), "{changed:#?}");
}

/// libvirt refuses larger ones when they are defined.
#[test]
fn ranges_of_large_subnets_are_as_large_as_libvirt_takes_them() {
    let range = |subnet: &str| {
        let given = described(&[("web", 1, "{}")], &format!("{{a: {{subnet: {subnet}}}}}"));
        let network = blueprint_of(&given, &Observed::default()).networks.remove(0);
        let range = network.dhcp4.unwrap();
        format!("{} {}-{}", network.ipv4.unwrap(), range.start, range.end)
    };
    assert_eq!(range("10.16.0.0/12"), "10.16.0.1/12 10.16.0.2-10.16.255.255");
    assert_eq!(range("10.16.0.0/16"), "10.16.0.1/16 10.16.0.2-10.16.255.254");
    assert_eq!(range("10.16.0.0/30"), "10.16.0.1/30 10.16.0.2-10.16.0.2");
    assert_eq!(range("10.9.0.0/24, ip_address: 10.9.0.254"), "10.9.0.254/24 10.9.0.1-10.9.0.253");
    for (end, fits) in [("10.16.255.255", true), ("10.17.0.0", false)] {
        let dhcp = format!("dhcp: {{range: {{start: 10.16.0.2, end: {end}}}}}");
        let net = format!("{{a: {{subnet: 10.16.0.0/12, {dhcp}}}}}");
        assert_eq!(mistakes(&mut described(&[], &net)).is_empty(), fits, "{end}");
    }
}

/// Without DHCP nobody tells a node its router.
#[test]
fn a_node_with_an_address_of_its_own_is_reached_without_dhcp() {
    let web = "{networks: [{network: front, ip: 10.9.0.20}]}";
    let networks = "{front: {subnet: 10.9.0.0/24, dhcp: no}}";
    let mut given =
        described(&[("web", 1, &web.replace("}]", "}], external_network: front"))], networks);
    for given in [&mut given, &mut described(&[("web", 1, web)], networks)] {
        assert!(mistakes(given).is_empty(), "{:?}", given.diags);
        let blueprint = blueprint_of(given, &Observed::default());
        let node = &blueprint.nodes[0];
        assert_eq!(node.access.address.unwrap().to_string(), "10.9.0.20");
        let interface = &node.interfaces[0];
        assert!(interface.default_route);
        let Ipv4Setup::Static { gateway, nameserver, .. } = interface.ipv4 else { panic!() };
        assert_eq!(gateway.unwrap().to_string(), "10.9.0.1");
        assert_eq!(nameserver.unwrap().to_string(), "10.9.0.1");
    }
}

#[test]
fn an_extension_does_not_take_an_address_that_is_there() {
    let networks = "{front: {subnet: 10.9.0.0/24}}";
    let mut seen = machine(&[]);
    let plan = plan_of(&described(&[("db", 1, "{}")], networks), &seen);
    apply(&mut seen, &plan.steps);
    let web = "{networks: [{network: front, ip: 10.9.0.2}]}";
    let mut more = described(&[("web", 1, web)], networks);
    more.request.settings.extend = true;
    let mut diags = more.diags.fresh();
    let topology = expand::choose(&more.request, &seen, &mut diags).unwrap();
    let (_, diags) = expand(&topology, &seen);
    let said: Vec<&str> = diags.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(said, ["`db-0` and `web-0` would both have 10.9.0.2"]);
}

#[test]
fn mistakes_are_told_where_they_are() {
    let mut given = described(
        &[
            (
                "web",
                2,
                "{memroy: 1, networks: [frnot, {network: front, ip: 10.9.0.255}], deploy_os: no}",
            ),
            ("db", 2, "networks: [{network: front, ip: [10.9.0.1]}, {network: any, ip: 10.9.0.7}]"),
            ("app", 2, "{networks: [{network: front, ip: 10.9.0.7}], interfaces: [front]}"),
            ("etc", 2, "{networks: [{network: front, ip: 10.9.0.8}, {network: front, ip: ten}]}"),
            ("off", 1, "{networks: [dry]}"),
            ("odd", 1, "{networks: front}"),
        ],
        "{front: {subnet: 10.9.0.0/24}, auto: {netmask: 255.255.0.0}, dry: {dhcp: no}, any: {},\n\
         host: {subnet: 10.7.0.9/24}, wide: {subnet: 10.6.0.0/31}, out: {subnet: 10.5.0.0/24, ip_address: 10.4.0.1},\n\
         lan: {forward: bridge, subnet: 10.3.0.0/24}, rng: {dhcp: {range: {start: 10.2.0.2, end: 10.2.0.3}}}}",
    );
    insta::assert_snapshot!(mistakes(&mut given).join("\n"));
    // An override comes too late to say how many there are.
    let mut given = described(&[("web", 1, "{count: 3}")], "{net: {}}");
    insta::assert_snapshot!(mistakes(&mut given).join("\n"), @"topology::count web:1:9 an override does not change the number of nodes of type `web` [`--topology-nodes web:2` does, with all other node types beside it]");
}

/// A network in both forms: as a project file describes it, and as a network file does.
fn any_network() -> impl Strategy<Value = (String, String)> {
    let subnet = prop::option::of(0u8..3);
    (subnet, any::<bool>(), prop::sample::select(vec!["", "nat", "route", "none"]), any::<bool>())
        .prop_map(|(subnet, dhcp, forward, mtu)| {
            let mut short = Vec::new();
            let mut long = Vec::new();
            if mtu {
                short.push("mtu: 1400".to_string());
                long.push("mtu: 1400".to_string());
            }
            match subnet {
                Some(second) => {
                    short.push(format!("subnet: 10.NUMBER.{second}.0/24"));
                    long.push(format!("ip_address: 10.NUMBER.{second}.1, netmask: 255.255.255.0"));
                    if dhcp {
                        let range =
                            format!("{{start: 10.NUMBER.{second}.2, end: 10.NUMBER.{second}.254}}");
                        long.push(format!("dhcp: {{range: {range}}}"));
                    }
                }
                None => {
                    long.push("subnet: auto".into());
                    long.extend(dhcp.then(|| "dhcp: yes".to_string()));
                }
            }
            short.extend((!dhcp).then(|| "dhcp: no".to_string()));
            short.extend((!forward.is_empty()).then(|| format!("forward: {forward}")));
            long.push(format!("forward: {}", if forward.is_empty() { "nat" } else { forward }));
            (format!("{{{}}}", short.join(", ")), format!("{{name: NAME, {}}}", long.join(", ")))
        })
}

/// A node type in both forms; it has an interface on network `a`, which has DHCP.
fn any_node() -> impl Strategy<Value = (u32, String, String)> {
    let two = any::<(bool, bool)>();
    (0u32..3, prop::option::of(1u8..9), prop::option::of(512u32..4096), two).prop_map(
        |(count, cpu, memory, (groups, disks))| {
            let mut short = Vec::new();
            short.extend(cpu.map(|n| format!("cpu: {n}")));
            short.extend(memory.map(|n| format!("memory: {n}")));
            short.extend(groups.then(|| "groups: [x, y]".to_string()));
            short.extend(disks.then(|| "disks: [9G, 1G]".to_string()));
            short.push("networks: [a, {network: z, model: e1000}]".into());
            let long = format!(
                "name: NAME\ncpu: {}\nmemory: {}\ngroups: [{}]\ndisks: {}\nexternal_network: {{network: a}}\n\
                 interfaces:\n- network: a\n- {{network: z, model: e1000}}\n",
                cpu.unwrap_or(1),
                memory.unwrap_or(1024),
                if groups { "x, y" } else { "NAME" },
                if disks { "{disk1: {size: 9G}, disk2: {size: 1G}}" } else { "{disk1: {size: 20G}}" },
            );
            (count, format!("{{{}}}", short.join(", ")), long)
        },
    )
}

#[test]
fn a_network_may_have_ipv6_alone() {
    let of = |network: &str| {
        let networks = format!("{{a: {network}}}");
        let input = described(&[("web", 1, "{networks: [a]}")], &networks);
        blueprint_of(&input, &Observed::default())
    };
    let ipv6 = "ipv6: {ip_address: \"fd00:9::1\", prefix: 64, dhcp: {range: {start: \"fd00:9::10\", end: \"fd00:9::99\"}}}";
    let both = of(&format!("{{{ipv6}}}"));
    assert!(both.networks[0].ipv4.is_some() && both.networks[0].ipv6.is_some());
    let alone = of(&format!("{{subnet: none, {ipv6}}}"));
    assert!(alone.networks[0].ipv4.is_none() && alone.networks[0].ipv6.is_some());
    assert!(alone.nodes[0].access.address.is_some_and(|a| a.is_ipv6()));
    let nothing = of("{subnet: none, forward: none}");
    assert!(nothing.networks[0].ipv4.is_none() && nothing.networks[0].dhcp4.is_none());
}

/// Two types with two distributions are what comes after the first three nodes.
#[test]
fn a_type_may_name_its_own_image_as_the_file_names_that_of_all() {
    let of =
        |keys| blueprint_of(&described(&[("leaf-sw", 1, keys)], "{a: }"), &Observed::default());
    let named = of("{image: \"https://h.example/x.qcow2\", networks: [a]}");
    let image = named.nodes[0].disks[0].backing.as_ref().unwrap();
    assert_eq!(image.shown(), "https://h.example/x.qcow2");
    let other = of("{import_url: \"https://h.example/x.qcow2\", networks: [a]}");
    assert_eq!(named.nodes[0].disks, other.nodes[0].disks);
    // A mapping is InfraRed's.
    let reached =
        of("{image: {ssh_user: ann}, import_url: \"https://h.example/x.qcow2\", networks: [a]}");
    assert_eq!(reached.nodes[0].access.user.as_str(), "ann");
    // Ansible warns of dashes in groups.
    let groups: Vec<&str> = named.nodes[0].groups.iter().map(|g| g.as_str()).collect();
    assert_eq!(groups, ["leaf_sw"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Where things are described makes no difference to what is built.
    #[test]
    fn a_description_and_the_same_in_files_give_equal_blueprints(
        nodes in prop::collection::vec(any_node(), 0..4),
        networks in prop::collection::vec(any_network(), 1..5),
        prefix in any::<bool>(),
    ) {
        let names = ["n0", "n1", "n2", "n3"];
        let mut short = "a: {subnet: 10.77.0.0/24}\n".to_string();
        let mut long = "networks:\n  a: {name: a, forward: nat, ip_address: 10.77.0.1, dhcp: {range: {start: 10.77.0.2, end: 10.77.0.254}}}\n".to_string();
        let last = networks.len() - 1;
        for (number, (own, file)) in networks.iter().enumerate() {
            let name = if number == last { "z" } else { names[number] };
            let fill = |text: &str| text.replace("NAME", name).replace("NUMBER", &(number + 1).to_string());
            short.push_str(&format!("{name}: {}\n", fill(own)));
            long.push_str(&format!("  {name}: {}\n", fill(file)));
        }
        let own: Vec<(&str, u32, &str)> = nodes
            .iter()
            .zip(names)
            .map(|((count, short, _), name)| (name, *count, short.as_str()))
            .collect();
        let files: Vec<(String, u32)> = nodes
            .iter()
            .zip(names)
            .map(|((count, _, long), name)| (format!("{name}={}", long.replace("NAME", name)), *count))
            .collect();
        let files: Vec<(&str, u32)> = files.iter().map(|(text, count)| (text.as_str(), *count)).collect();
        let mut given = [described(&own, &short), input(&files, &long, &[])];
        if prefix {
            for given in &mut given {
                given.request.settings.environment = EnvName::from_prefix("lab").unwrap();
            }
        }
        for given in &mut given {
            let found = mistakes(given);
            prop_assert!(found.is_empty(), "{found:#?}");
        }
        let seen = Observed::default();
        let [own, file] = given.map(|given| blueprint_of(&given, &seen));
        prop_assert_eq!(&own, &file);
        let plan = plan::create(&own, &seen, &|_| Secret::new("private"));
        prop_assert_eq!(plan.is_empty(), own.nodes.is_empty() && own.networks.is_empty());
    }
}

/// Only that a topology is asked for counts.
#[test]
fn nodes_without_a_network_get_one() {
    let mut sources = Sources::default();
    let id = sources.add("maquette.yaml", "");
    let mut given = described(&[("web", 1, "{}")], "{}");
    given.request.networks = Some(topology::only_network(sources.whole(id)));
    let blueprint = blueprint_of(&given, &Observed::default());
    assert_eq!(addresses(&blueprint), "web-0: net 10.100.0.2");
    // An empty list is as if it was not there; where a network file has something to say, that counts.
    let mut given = described(&[("web", 1, "networks: []")], "{front: {}}");
    assert_eq!(addresses(&blueprint_of(&given, &Observed::default())), "web-0: front 10.100.0.2");
    let file = input(
        &[],
        "networks: {a: {name: a, subnet: auto, dhcp: yes}}\nnodes: {default: {interfaces: [a]}}",
        &[],
    );
    given.request.network = file.request.network;
    assert!(mistakes(&mut given).is_empty(), "{:?}", given.diags);
    assert_eq!(addresses(&blueprint_of(&given, &Observed::default())), "web-0: a 10.100.0.2");
}
