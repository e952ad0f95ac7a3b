//! What keys of ci-framework's layouts become.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::diagnostic::{Diagnostics, Severity};
use maquette_core::expr::{Scope, Variables};
use maquette_core::layout::{self, Layout, NetworkXml};
use maquette_core::syntax::{Plain, Sources, parse};

/// Networks are written `NAME MODE BRIDGE ADDRESS/LENGTH` here, `-` being nothing: XML is another crate's.
fn xml(text: &str) -> Result<NetworkXml, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [name, mode, bridge, address] = words.as_slice() else { return Err("four words".into()) };
    let said = |word: &str| (word != "-").then(|| word.to_string());
    Ok(NetworkXml {
        name: (*name).into(),
        forward: said(mode),
        bridge: said(bridge),
        ipv4: said(address).and_then(|a| a.parse().ok()),
        ipv6: said(address).and_then(|a| a.parse().ok()),
        dhcp6: address.contains(':').then(|| ("fd00::9".into(), "fd00::20".into())),
        ..NetworkXml::default()
    })
}

fn read(text: &str) -> (Option<Layout>, Diagnostics) {
    let mut sources = Sources::default();
    let id = sources.add("layout.yml", text);
    let mut diags = Diagnostics::default();
    let tree = parse(&sources, id, &mut diags).unwrap();
    let layout = layout::read(&tree, &xml, &mut diags);
    (layout, diags)
}

/// A layout with one node type `web`, which has these keys, on network `lan`, and with further variables.
fn with(keys: &str, more: &str) -> (Plain, Diagnostics) {
    let text = format!(
        "cifmw_libvirt_manager_configuration:\n  networks: {{lan: lan nat lan 10.1.0.1/24, trunk: trunk nat trunk 10.2.0.1/24, \
         pr: 'pr bridge pr -'}}\n  vms: {{web: {keys}}}\n{more}\n"
    );
    let (layout, diags) = read(&text);
    (layout.map_or(Plain::Null, nodes), diags)
}

/// Its node types, as they are in an environment without a prefix.
fn nodes(mut layout: Layout) -> Plain {
    let (vswitch_type, mirror_url) = Default::default();
    let (file, extra, hidden) = (Plain::map(), Plain::map(), Default::default());
    let variables =
        Variables { net: 0, data_net: 24, vswitch_type, mirror_url, file, hidden, extra };
    Scope::new(variables).resolve(&mut layout.nodes, &mut Diagnostics::default());
    Plain::of(&layout.nodes)
}

fn messages(diags: &Diagnostics) -> String {
    let all = diags.iter().map(|d| format!("{}: {} ({})", d.code, d.message, d.help.join("; ")));
    all.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_key_of_a_node_type_has_its_effect() {
    for (keys, path, expected) in [
        ("{}", &["count"][..], "1"),
        ("{amount: 3}", &["count"], "3"),
        ("{}", &["cpu"], "2"),
        ("{cpus: 4}", &["cpu"], "4"),
        ("{disk_file_name: blank, uefi: true}", &["deploy_os"], "no"),
        // 8 GB are 7629.4 MiB.
        ("{memory: 8}", &["memory"], "7630"),
        ("{}", &["memory"], "1908"),
        ("{}", &["disks"], "[{size: 40G, bus: scsi}]"),
        ("{disksize: '50', disk_bus: virtio}", &["disks"], "[{size: 50G, bus: virtio}]"),
        (
            "{disksize: 9, extra_disks_num: 2, extra_disks_size: 30G}",
            &["disks"],
            "[{size: 9G, bus: scsi}, {size: 30G, bus: virtio}, {size: 30G, bus: virtio}]",
        ),
        (
            "{extra_disks_num: 1, extra_disks_size: 1G, extra_disks_bus: scsi}",
            &["disks"],
            "[{size: 40G, bus: scsi}, {size: 1G, bus: scsi}]",
        ),
        ("{image_url: http://x/i.qcow2}", &["import_url"], "http://x/i.qcow2"),
        (
            "{image_url: 'http://x/i', sha256_image_name: ab}",
            &["import_url"],
            "'http://x/i#sha256:ab'",
        ),
        ("{disk_file_name: blank}", &["deploy_os"], "no"),
        ("{disk_file_name: blank, admin_user: core}", &["image"], "{ssh_user: core}"),
        ("{}", &["groups"], "[webs]"),
        ("{parent_ansible_group: edge}", &["groups"], "[webs, edge]"),
        ("{boot_order: [network, disk]}", &["boot"], "[network, hd]"),
        ("{boot_order: [network, fd, hd, network]}", &["boot"], "[network, hd]"),
        ("{boot_order: [hd, network], disk_file_name: blank}", &["boot"], "[hd, network]"),
        ("{nets: [trunk, trunk]}", &["interfaces"], "[{network: trunk}, {network: trunk}]"),
        ("{nets: [pr]}", &["interfaces"], "[{network: cifmw-pr, bridged: yes}]"),
    ] {
        let (nodes, diags) = with(keys, "");
        assert!(!diags.has_errors(), "{keys}: {}", messages(&diags));
        let web = nodes.at(&["web"]).unwrap();
        assert_eq!(web.at(path), Some(&Plain::read(expected).unwrap()), "{keys}");
    }
}

#[test]
fn variables_beside_a_layout_have_their_effect() {
    let lan = "{network: lan, ip: 10.1.0.30}";
    for (variables, nets, path, expected) in [
        ("cifmw_libvirt_manager_pub_net: lan", "[lan]", &["interfaces"][..], format!("[{lan}]")),
        ("cifmw_libvirt_manager_pub_net: lan", "[lan]", &["external_network"], "lan".into()),
        (
            "cifmw_libvirt_manager_default_gw_nets: trunk",
            "[lan, trunk]",
            &["external_network"],
            "trunk".into(),
        ),
        (
            "cifmw_libvirt_manager_default_gw_nets: [lan, trunk]",
            "[trunk, lan]",
            &["external_network"],
            "trunk".into(),
        ),
        (
            "cifmw_libvirt_manager_net_prefix_add: false",
            "[pr]",
            &["interfaces"],
            "[{network: pr, bridged: yes}]".into(),
        ),
        (
            "cifmw_libvirt_manager_fixed_networks: [pr]",
            "[pr]",
            &["interfaces"],
            "[{network: pr, bridged: yes}]".into(),
        ),
        (
            "cifmw_libvirt_manager_configuration_patch_1: {vms: {web: {nets: [trunk]}}}",
            "[lan]",
            &["interfaces"],
            "[{network: trunk}]".into(),
        ),
        (
            "cifmw_networking_definition: {networks: {trunk: {network: 10.2.0.0/24}}, \
             group-templates: {webs: {networks: {trunk: {range: {start: 7, length: 3}}}}}}",
            "[trunk]",
            &["interfaces"],
            "[{network: trunk, ip: 10.2.0.7}]".into(),
        ),
        (
            "cifmw_networking_definition: {networks: {trunk: {network: 10.2.0.0/24}}, \
             instances: {web-0: {networks: {trunk: {ip: 10.2.0.9}}}}}",
            "[trunk]",
            &["interfaces"],
            "[{network: trunk, ip: 10.2.0.9}]".into(),
        ),
        (
            "cifmw_networking_definition: {networks: {ctl: {network-v4: 10.2.0.0/24}}, group-templates: {webs: \
             {network-template: {range-v4: 10.2.0.50-10.2.0.60}, networks: {ctl: null}}}}\n\
             cifmw_networking_mapper_interfaces_info_translations: {trunk: [ctl]}",
            "[trunk]",
            &["interfaces"],
            "[{network: trunk, ip: 10.2.0.50}]".into(),
        ),
        // A VLAN is set up inside of nodes.
        (
            "cifmw_networking_definition: {networks: {trunk: {network: 10.2.0.0/24, vlan: 7}}, \
             group-templates: {webs: {networks: {trunk: {range: {start: 7, length: 3}}}}}}",
            "[trunk]",
            &["interfaces"],
            "[{network: trunk}]".into(),
        ),
    ] {
        let (nodes, diags) = with(&format!("{{nets: {nets}}}"), variables);
        assert!(!diags.has_errors(), "{variables}: {}", messages(&diags));
        let web = nodes.at(&["web"]).unwrap();
        assert_eq!(web.at(path), Some(&Plain::read(&expected).unwrap()), "{variables}");
    }
}

#[test]
fn what_has_no_effect_is_said() {
    for (keys, key) in [
        ("{image_local_dir: /x}", "image_local_dir"),
        ("{root_part_id: 4}", "root_part_id"),
        ("{uefi: true}", "uefi"),
        ("{numa: 2}", "numa"),
        ("{bootmenu_enable: 'yes'}", "bootmenu_enable"),
        ("{networkconfig: {version: 2}}", "networkconfig"),
        ("{dhcp_options: ['3,x']}", "dhcp_options"),
        ("{fstrim_enabled: true}", "fstrim_enabled"),
        ("{add_iommu_device: true}", "add_iommu_device"),
        ("{password: x}", "password"),
        ("{start: false}", "start"),
        ("{manage: false}", "manage"),
        ("{target: hv2}", "target"),
        ("{admin_user: root}", "admin_user"),
        ("{spineleafnets: [[lan]]}", "spineleafnets"),
        ("{imgae_url: x}", "imgae_url"),
    ] {
        let (_, diags) = with(keys, "");
        assert!(!diags.has_errors(), "{keys}: {}", messages(&diags));
        assert!(messages(&diags).contains(&format!("`{key}`")), "{keys}: {}", messages(&diags));
    }
    let nothing = "{uefi: false, numa: 1, boot_order: [hd], bootmenu_enable: 'no', start: yes, manage: true, devices: {}}";
    let (_, diags) = with(nothing, "");
    assert!(diags.is_empty(), "{}", messages(&diags));
}

/// `open` was built as `route`, whose firewall rules refuse what comes in, and an IPv6 network gave nobody an address.
#[test]
fn a_network_has_the_mode_and_the_addresses_of_its_xml() {
    let (layout, diags) = read(
        "cifmw_libvirt_manager_configuration: {vms: {}, networks: {a: a open a 10.1.0.1/24, b: 'b - b fd00::1/64'}}\n",
    );
    assert!(diags.is_empty(), "{}", messages(&diags));
    let network = Plain::of(&layout.unwrap().network);
    let of = |path: &[&str]| network.at(&[&["networks"][..], path].concat()).cloned();
    assert_eq!(of(&["a", "forward"]), Some(Plain::text("open")));
    let ipv6 =
        "{ip_address: 'fd00::1', prefix: 64, dhcp: {range: {start: 'fd00::9', end: 'fd00::20'}}}";
    assert_eq!(of(&["b", "ipv6"]), Some(Plain::read(ipv6).unwrap()));
}

#[test]
fn what_has_no_effect_of_a_networking_definition_is_said() {
    let definition = |networks: &str, group: &str, instance: &str| {
        format!(
            "cifmw_networking_definition: {{networks: {{trunk: {networks}}}, group-templates: {{webs: {group}}}, \
             instances: {{web-0: {instance}}}}}"
        )
    };
    let v4 = "{network: 10.2.0.0/24}";
    for (networks, group, instance, key) in [
        ("{network: 'fd00:aaaa::/64'}", "{}", "{}", "network"),
        (v4, "{networks: {trunk: {range: 'fd00::40-fd00::50'}}}", "{}", "range"),
        (v4, "{networks: {trunk: {range-v6: {start: 4}}}}", "{}", "range-v6"),
        (v4, "{network-template: {range-v6: {start: 4}}}", "{}", "range-v6"),
        (v4, "{networks: {trunk: {trunk-parent: a}}}", "{}", "trunk-parent"),
        (v4, "{networks: {trunk: {is-trunk-parent: true}}}", "{}", "is-trunk-parent"),
        (v4, "{skip-nm-configuration: true}", "{}", "skip-nm-configuration"),
        (v4, "{}", "{networks: {trunk: {ip: 'fd00::77'}}}", "ip"),
        (v4, "{}", "{networks: {trunk: {ip-v6: 'fd00::77'}}}", "ip-v6"),
        (v4, "{}", "{skip-nm-configuration: true}", "skip-nm-configuration"),
    ] {
        let (_, diags) = with("{nets: [trunk]}", &definition(networks, group, instance));
        assert!(!diags.has_errors(), "{key}: {}", messages(&diags));
        assert!(messages(&diags).contains(&format!("`{key}`")), "{key}: {}", messages(&diags));
    }
}

/// They vanished: nothing was patched, and no node came.
#[test]
fn variables_that_are_nearly_called_as_one_are_told() {
    for (variable, help) in [
        (
            "cifmw_libvrt_manager_compute_amount: 5",
            "did you mean `cifmw_libvirt_manager_compute_amount`?",
        ),
        ("cifmw_networking_definition_patch_01: {}", "`cifmw_networking_mapper_definition_patch`"),
        (
            "cifmw_networking_mapper_defintion_patch_01: {}",
            "`cifmw_networking_mapper_definition_patch`",
        ),
        (
            "cifmw_libvirt_manager_configuraton_patch_1: {}",
            "`cifmw_libvirt_manager_configuration_patch`",
        ),
    ] {
        let (_, diags) = with("{}", variable);
        let name = variable.split(':').next().unwrap();
        assert!(messages(&diags).contains(&format!("`{name}`")), "{}", messages(&diags));
        assert!(messages(&diags).contains(help), "{}", messages(&diags));
    }
    for variable in [
        "cifmw_use_crc: true",
        "cifmw_use_uefi: false",
        "cifmw_networking_definition_gen: {networks: {}}",
        "cifmw_libvrt_manager_compute_amount: 5\nmine: '{{ cifmw_libvrt_manager_compute_amount }}'",
    ] {
        let (_, diags) = with("{}", variable);
        assert!(diags.is_empty(), "{variable}: {}", messages(&diags));
    }
}

#[test]
fn mistakes_have_a_place() {
    for (keys, more, code) in [
        ("{memory: much}", "", "topology::wrong-type"),
        ("{devices: {0: <hostdev/>}}", "", "layout::devices"),
        ("{extra_disks_num: 1}", "", "layout::extra-disks"),
        ("{cpus: '{{ nope }}'}", "", "expression::undefined"),
        ("{}", "cifmw_libvirt_manager_configuration_patch_1: 3", "topology::wrong-type"),
        (
            "{amount: 3, nets: [trunk]}",
            "cifmw_networking_definition: {networks: {trunk: {network: 10.2.0.0/24}}, group-templates: {webs: \
             {networks: {trunk: {range: {start: 7, length: 2}}}}}}",
            "layout::range",
        ),
        (
            "{}",
            "cifmw_networking_definition: {networks: {}, group-templates: {webs: {networks: {trunk: }}}}",
            "layout::unknown-network",
        ),
    ] {
        let (_, diags) = with(keys, more);
        let found = diags.iter().find(|d| d.severity == Severity::Error).unwrap();
        assert_eq!(found.code, code, "{}", messages(&diags));
        assert!(!found.labels.is_empty(), "{keys}");
    }
    let (layout, diags) = read("cifmw_basedir: x");
    assert!(layout.is_none() && diags.has_errors());
}

/// ci-framework's own names are what its playbooks look for.
#[test]
fn nodes_are_called_as_there() {
    let (layout, diags) = read(
        "cifmw_libvirt_manager_configuration:\n  networks: {public: public nat public 10.1.0.1/24}\n  vms:\n    \
         crc: {nets: [public]}\n    ocp_worker: {amount: 2, nets: [public]}\n    ocp: {nets: [public], image_url: x}\n    \
         controller: {nets: [public]}\n",
    );
    let nodes = nodes(layout.unwrap());
    assert!(!diags.has_errors(), "{}", messages(&diags));
    for (kind, name, group, ip, os) in [
        ("crc", "crc", "ocps", "10.1.0.30", Some(false)),
        ("ocp_worker", "ocp-worker", "ocp_workers", "10.1.0.32", Some(false)),
        ("ocp", "ocp-master", "ocps", "10.1.0.35", None),
        ("controller", "controller", "controllers", "10.1.0.9", None),
    ] {
        let node = nodes.at(&[kind]).unwrap();
        assert_eq!(node.at(&["name"]), Some(&Plain::text(name)));
        assert_eq!(node.at(&["groups"]), Some(&Plain::List(vec![Plain::text(group)])));
        assert_eq!(node.at(&["deploy_os"]), os.map(Plain::Bool).as_ref(), "{kind}");
        let interfaces = format!("[{{network: public, ip: {ip}}}]");
        assert_eq!(node.at(&["interfaces"]), Some(&Plain::read(&interfaces).unwrap()));
    }
}

#[test]
fn firmware_is_that_of_nodes_with_empty_disks() {
    let both = |first: &str, second: &str| {
        let text = format!(
            "cifmw_libvirt_manager_configuration: {{networks: {{}}, vms: {{ocp: {first}, crc: {second}}}}}\n"
        );
        let settings = read(&text).0.unwrap().settings;
        settings.into_iter().map(|(name, text)| (name, text.value)).collect::<Vec<_>>()
    };
    let uefi = vec![("bootmode", "uefi".to_string())];
    assert_eq!(both("{uefi: true}", "{uefi: true}"), uefi);
    assert_eq!(both("{uefi: true}", "{uefi: false, amount: 0}"), uefi);
    assert_eq!(both("{uefi: true}", "{}"), []);
}

#[test]
fn tenks_configuration_is_read() {
    let (layout, diags) = read(
        "node_types:\n  big: {memory_mb: 4096, vcpus: 2, volumes: [{capacity: 10GiB}, {capacity: 1.5GB}], \
         physical_networks: [one, two, three], console_log_enabled: true}\nspecs:\n- {type: big, count: 2}\n\
         - {type: big, count: \"{{ more }}\", node_name_prefix: ctl, ironic_config: {resource_class: x}}\n\
         - {type: big, count: 1}\nmore: 1\nphysnet_mappings: {one: br-ex, two: eth1}\nnova_flavors: []\n\
         default_boot_mode: bios\nbrige_type: linuxbridge\n",
    );
    let layout = layout.unwrap();
    assert!(!diags.has_errors(), "{}", messages(&diags));
    // Of what a spec says of Ironic the firmware counts.
    let modes = |first: &str, second: &str| {
        let text = format!(
            "node_types: {{a: {{memory_mb: 64, vcpus: 1}}}}\nspecs: [{{type: a, count: 1, {first}}}, {{type: a, count: 1, \
             node_name_prefix: b, {second}}}, {{type: a, count: 0, node_name_prefix: c}}]\n"
        );
        let (layout, diags) = read(&text);
        (layout.unwrap().settings[0].1.value.clone(), messages(&diags))
    };
    let of = |mode: &str| {
        format!("ironic_config: {{properties: {{capabilities: 'a:b,boot_mode:{mode}'}}}}")
    };
    assert_eq!(modes("", "").0, "uefi");
    assert_eq!(modes(&of("bios"), &of("bios")).0, "bios");
    let (mode, said) = modes(&of("bios"), &of("uefi"));
    assert!(mode == "uefi" && said.contains("`boot_mode`"), "{said}");
    let (mode, said) = modes(&of("bios"), "");
    assert!(mode == "uefi" && said.contains("`boot_mode`"), "{said}");
    let only = "ironic_config: {properties: {capabilities: 'boot_mode:bios'}}";
    assert_eq!(modes(only, only), ("bios".into(), String::new()));
    for word in
        ["`console_log_enabled`", "`ironic_config`", "`nova_flavors`", "did you mean `bridge_type`"]
    {
        assert!(messages(&diags).contains(word), "{word}: {}", messages(&diags));
    }
    assert_eq!(layout.settings[0].1.value, "bios");
    let networks = "{networks: {two: {name: two, forward: bridge, nic: eth1}, three: {name: three, forward: none}}}";
    assert_eq!(Plain::of(&layout.network), Plain::read(networks).unwrap());
    let node = |name: &str, count: u32| {
        format!(
            "{name}: {{name: {name}, count: {count}, memory: 4096, cpu: 2, deploy_os: no, groups: [big], \
             disks: [{{size: 10GiB}}, {{size: 1500000000}}], interfaces: [{{network: br-ex, bridged: yes}}, \
             {{network: two}}, {{network: three}}]}}"
        )
    };
    let nodes = format!("{{{}, {}, {}}}", node("tk", 2), node("ctl", 1), node("tk-big", 1));
    assert_eq!(Plain::of(&layout.nodes), Plain::read(&nodes).unwrap());
}
