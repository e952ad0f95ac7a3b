//! What is asked for of a device that cannot have it is said to have no effect, where it is.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::observed::{HostLink, LinkKind, Observed};
use maquette_core::topology::is_read;
use maquette_testkit::{expand, input, mistakes, topology};

const NETWORK: &str = "\
networks: {net1: {name: front, forward: nat, ip_address: 10.1.0.1, netmask: 255.255.255.0, \
dhcp: {range: {start: 10.1.0.2, end: 10.1.0.99}}}}
";

/// A node type with some keys.
fn node(keys: &str) -> String {
    format!(
        "web=name: web\ncpu: 1\nmemory: 1024\ndisks: {{disk1: {{size: 20G}}}}\ninterfaces: [front]\n{keys}\n"
    )
}

/// What of it has no effect.
fn without_effect(node: &str) -> Vec<String> {
    let spine = "spine=name: spine\ncpu: 1\nmemory: 1024\ndeploy_os: no\ndisks: {disk1: {size: 20G}}\ninterfaces: [front]\n";
    let mut given = input(&[(node, 1), (spine, 1)], NETWORK, &[]);
    let found = mistakes(&mut given);
    found.into_iter().filter(|mistake| !mistake.starts_with("topology::external")).collect()
}

/// `preallocation: full` of a system disk was dropped, in the example of the reference itself.
#[test]
fn a_disk_of_an_image_is_not_allocated_at_once() {
    for disks in [
        "disks: {disk1: {size: 20G, preallocation: full}}",
        "disks: {disk1: {size: 20G, preallocation: falloc}}",
    ] {
        let node = node("").replace("disks: {disk1: {size: 20G}}", disks);
        let found = without_effect(&node);
        assert!(
            matches!(&found[..], [one] if one.contains("`preallocation` has no effect")),
            "{found:?}"
        );
    }
    for disks in [
        "disks: {disk1: {size: 20G, preallocation: metadata}}",
        "disks: {disk1: {size: 20G}, disk2: {size: 5G, preallocation: full}}",
        "disks: {disk1: {import_url: debian-11, preallocation: full}}",
        "deploy_os: no\ndisks: {disk1: {size: 20G, preallocation: full}}",
    ] {
        let found = without_effect(&node("").replace("disks: {disk1: {size: 20G}}", disks));
        assert!(found.is_empty(), "{disks}: {found:?}");
    }
}

/// `hub` of an interface on a network was dropped, in the example of the reference itself; `portgroup` of a link, too.
#[test]
fn a_network_is_not_a_hub_and_a_link_has_no_portgroups() {
    for (interface, key) in [
        ("{network: front, hub: yes}", "hub"),
        ("{network: front, bridged: yes, hub: yes}", "hub"),
        ("{connect_to: spine, portgroup: a}", "portgroup"),
        ("{network: br0, bridged: yes, portgroup: a}", "portgroup"),
    ] {
        let found = without_effect(&node("").replace("[front]", &format!("[front, {interface}]")));
        let said = format!("`{key}` of node type `web` has no effect");
        assert!(matches!(&found[..], [one] if one.contains(&said)), "{interface}: {found:?}");
    }
    for interface in ["{connect_to: spine, hub: yes}", "{network: br0, bridged: yes, hub: yes}"] {
        let found = without_effect(&node("").replace("[front]", &format!("[front, {interface}]")));
        assert!(found.is_empty(), "{interface}: {found:?}");
    }
}

/// A bridge that is made for nodes is a hub, and one of the hypervisor's own stays as it is.
#[test]
fn a_bridge_that_is_there_does_not_become_a_hub() {
    let node = node("").replace("[front]", "[front, {network: br0, bridged: yes, hub: yes}]");
    let given = input(&[(&node, 1)], NETWORK, &[]);
    let said = |seen: &Observed| {
        let (_, diags) = expand(&topology(&given, seen), seen);
        diags.iter().map(|d| d.message.clone()).collect::<Vec<_>>()
    };
    let mut seen = Observed::default();
    assert_eq!(said(&seen), Vec::<String>::new());
    let link = HostLink { kind: LinkKind::Bridge, ..HostLink::default() };
    seen.host.links.insert("br0".into(), link);
    assert_eq!(
        said(&seen),
        [
            "`hub` of node type `web` has no effect: bridge `br0` is there already, and stays as it is"
        ]
    );
}

/// They were said to have no effect, and settings behind them were not there.
#[test]
fn an_extra_variable_that_another_one_names_has_an_effect() {
    let node = node("").replace("memory: 1024", "memory: \"{{ b }}\"");
    let extra = ["a=512", "b={{ c }}", "c={{ a }}", "d={{ provision.disk.bus }}"];
    let mut given = input(&[(&node, 1)], NETWORK, &extra);
    let found = mistakes(&mut given);
    assert!(matches!(&found[..], [one] if one.contains("`d` has no effect")), "{found:?}");
    assert!(!is_read(&given.request, "provision") && is_read(&given.request, "a"));
    let given = input(&[(&node, 1)], NETWORK, &["b={{ d }}", extra[3]]);
    assert!(is_read(&given.request, "provision"));
}
