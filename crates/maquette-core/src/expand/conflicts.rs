//! What stands in the way on the hypervisor: names and subnets that others have.

use std::collections::BTreeSet;

use super::subnets::{taken, taken_error};
use super::{direct, pools};
use crate::blueprint::{Blueprint, Network, Uplink};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::LONGEST_HOST_NAME;
use crate::observed::{HostLink, LeftOver, LinkKind, Observed};
use crate::topology::{self, Topology};
use crate::values::NetworkName;

/// Reports every object that cannot be made because something of the same name or address exists
/// and is not ours.
pub fn conflicts(
    topology: &Topology,
    blueprint: &Blueprint,
    observed: &Observed,
    diags: &mut Diagnostics,
) {
    for (net, span, owner) in taken(topology, observed) {
        diags.push(taken_error(net, span, owner, topology));
    }
    for (i, network) in blueprint.networks.iter().enumerate() {
        names(network, observed, diags);
        shares_with_others(network, &blueprint.networks[..i], diags);
        ipv6(topology, network, observed, diags);
        if let Some(uplink) = network.carrier.uplink() {
            nic(topology, network, uplink, observed, diags);
        }
        direct::others(topology, network, observed, diags);
        direct::check(topology, (network, &blueprint.nodes), observed, diags);
    }
    serial_files(topology, blueprint, diags);
    // libvirt would say that the file exists.
    for left in observed.left_overs(&observed.host, |_| false) {
        diags.push(
            Diagnostic::error("hypervisor::left-over", left.to_string()).help(left.way_out()),
        );
    }
    conflicts_of_nodes(blueprint, observed, diags);
}

/// Consoles that are not logged where they were asked to be: their node would not start.
fn serial_files(topology: &Topology, blueprint: &Blueprint, diags: &mut Diagnostics) {
    if !topology.settings.serial_files || blueprint.nodes.iter().all(|node| node.serial_file) {
        return;
    }
    let message = "SELinux on the hypervisor does not let libvirt log consoles in /var/lib/libvirt/qemu, \
                   which `--serial-files` asks for: they are logged in /var/log/libvirt/qemu";
    diags.push(
        Diagnostic::warning("hypervisor::serial-files", message)
            .help("`maquette logs NODE` shows them wherever they are; without `--serial-files` this is not said"),
    );
}

/// What has a name that an object of ours is to have.
fn foreign(kind: &str, name: &str) -> Diagnostic {
    Diagnostic::error(
        "hypervisor::name-taken",
        format!("the {kind} `{name}` exists and does not belong to this environment"),
    )
    .help("remove or rename it, or build this environment under another `--prefix`")
}

/// What is said of a volume that nodes are to have and that domains of others have.
pub fn in_use(volume: &str, holders: &BTreeSet<&str>) -> Diagnostic {
    let names: Vec<&str> = holders.iter().copied().collect();
    let error = Diagnostic::error(
        "hypervisor::disk-in-use",
        format!("others use the volume `{volume}`: {}", names.join(", ")),
    );
    error
        .help("if one of them is the node under another name, `virsh domrename` gives it its own back")
        .help("or build this environment under another `--prefix`, and that domain keeps the disk")
}

/// Others' networks and interfaces of the names that a network and its bridges are to have.
fn names(network: &Network, observed: &Observed, diags: &mut Diagnostics) {
    let own = observed.networks.contains_key(&network.name);
    let taken = |name: &str| observed.claims.bridges.contains(name) && !own;
    let has_bridge = network.carrier.has_bridge();
    if observed.claims.networks.contains(network.name.as_str()) {
        diags.push(foreign("network", &network.name));
    } else if has_bridge && taken(&network.bridge) {
        let error = foreign("network interface", &network.bridge);
        diags.push(match observed.host.has_bridge(&network.bridge) {
            true => error.help(left_bridge(network)),
            false => error,
        });
    }
    for port in network.carrier.vswitch().into_iter().flat_map(|v| v.ports.iter().skip(1)) {
        if taken(&port.name) {
            diags.push(foreign("network interface", &port.name));
        }
    }
}

/// What is to be done about a bridge that libvirt has made for a network before it was killed, and forgotten.
fn left_bridge(network: &Network) -> String {
    let (network, bridge) = (network.name.as_str(), network.bridge.as_str());
    let left = LeftOver::Bridge { network, bridge };
    format!(
        "if no network in `virsh net-list --all` has that bridge, a libvirt that was killed has left it: {}",
        left.way_out()
    )
}

/// IPv6 where the hypervisor has none: libvirt would not start the network.
fn ipv6(topology: &Topology, network: &Network, observed: &Observed, diags: &mut Diagnostics) {
    let Some(net) = network.ipv6.filter(|_| observed.host.lacks_ipv6) else { return };
    let environment = &topology.settings.environment;
    let is = |n: &&topology::Network| NetworkName::of(environment, &n.name.value) == network.name;
    let message = format!(
        "network `{}` has {}, and IPv6 is off on the hypervisor",
        network.name,
        net.trunc()
    );
    let diagnostic = Diagnostic::error("hypervisor::ipv6", message)
        .help("`sysctl net.ipv6.conf.all.disable_ipv6=0` there turns it on, unless its kernel was started without it; or leave `ipv6` out");
    let span = topology.networks.iter().find(is).and_then(|n| n.ipv6.as_ref()).map(|i| i.span);
    diags.push(diagnostic.at_known(span));
}

/// Networks before this one that it would share a NIC or the name of its bridge with.
fn shares_with_others(network: &Network, before: &[Network], diags: &mut Diagnostics) {
    let both = |other: &Network| format!("`{}` and `{}`", other.name, network.name);
    if let Some((twin, nic)) = before.iter().find_map(|n| Some((n, direct::shared(n, network)?))) {
        let message = format!("networks {} would share the NIC {nic}", both(twin));
        let bridged = |n: &Network| n.carrier.uplink().is_some();
        let help = match bridged(twin) && bridged(network) {
            true => "a NIC can be in one bridge only; use another NIC for one of them",
            false => {
                "a NIC in a bridge, or with `forward: passthrough`, is of one network; use another NIC for one of them"
            }
        };
        diags.push(Diagnostic::error("topology::nic", message).help(help));
    }
    let same = |n: &&Network| n.bridge == network.bridge && n.carrier.has_bridge();
    if let Some(first) = before.iter().find(same).filter(|_| network.carrier.has_bridge()) {
        let message =
            format!("networks {} would share the bridge name `{}`", both(first), network.bridge);
        diags.push(Diagnostic::error("topology::bridge-name", message).help("rename one of them"));
    }
}

/// Others' domains and volumes of the names that nodes and their disks are to have. Networks are somebody else's business
/// then, a playbook's for instance, and may well be there.
pub fn conflicts_of_nodes(blueprint: &Blueprint, observed: &Observed, diags: &mut Diagnostics) {
    let orphans = observed.orphans();
    pools::conflicts(blueprint, observed, diags);
    for node in &blueprint.nodes {
        if observed.claims.domains.contains(node.name.as_str()) {
            diags.push(foreign("domain", &node.name));
        }
        if observed.domains.contains_key(&node.name) {
            continue;
        }
        if node.name.len() > LONGEST_HOST_NAME {
            let message = format!("`{}` is too long for a host name", node.name);
            let help = format!("host names have at most {LONGEST_HOST_NAME} characters");
            diags.push(Diagnostic::error("topology::host-name", message).help(help));
        }
        let own = orphans.get(&node.name);
        let recorded = observed.tenant(&node.name);
        for (pool, volume) in node.placed(&blueprint.pool) {
            let known = recorded.and_then(|t| t.placed().find(|(_, v)| *v == volume));
            let holders = match known {
                // Nobody has a volume that is gone, whatever libvirt does not say; a pool that was not looked into may have it.
                Some((pool, _)) if observed.lacks_volume(pool, volume) => {
                    observed.claims.holders(pool, volume)
                }
                Some((pool, _)) => observed.in_use(pool, volume),
                None => observed.claims.holders(pool, volume),
            };
            if !holders.is_empty() {
                diags.push(in_use(volume, &holders));
                continue;
            }
            let ours = own.is_some_and(|o| o.has(volume))
                || observed.is_in_edited(&node.name, pool, volume);
            // What is in a directory that a disk names is looked at there.
            if !ours && *pool == blueprint.pool && observed.has_volume(pool, volume) {
                let what = "`maquette image prune` removes it if it stayed for a linked clone that has gone since";
                diags.push(foreign("volume", volume).help(what));
            }
        }
    }
}

/// A NIC that must not be put into a bridge.
fn nic(
    topology: &Topology,
    network: &Network,
    uplink: &Uplink,
    observed: &Observed,
    diags: &mut Diagnostics,
) {
    let nic = &uplink.nic;
    // One whose name is missing was reported.
    if nic.is_empty() || observed.host.is_port(nic, &network.bridge) {
        return;
    }
    let environment = &topology.settings.environment;
    let is = |n: &&topology::Network| NetworkName::of(environment, &n.name.value) == network.name;
    let declared = topology.networks.iter().find(is);
    let span = declared
        .map(|n| n.uplink.as_ref().and_then(|u| u.nic.as_ref()).map_or(n.name.span, |s| s.span));
    let mut report = |message: String, help: String| {
        let diagnostic = Diagnostic::error("hypervisor::nic", message).help(help);
        diags.push(diagnostic.at_known(span));
    };
    let Some(link) = observed.host.links.get(nic.as_str()) else {
        let free = crate::decode::quoted_list(&observed.host.free_nics());
        let key = declared.map_or("KEY", |n| n.key.as_str());
        return report(
            format!("the hypervisor has no NIC `{nic}`"),
            format!("it has {free}; say which with `-e override.networks.{key}.nic=…`"),
        );
    };
    let name = declared.map_or(network.name.as_str(), |n| &n.name.value);
    if let Some((message, help)) = unsuitable(nic.as_str(), link, name, observed) {
        report(message, help);
    }
}

/// Why a link of the hypervisor's is not put into the bridge of a network, and what to do about it.
fn unsuitable(
    nic: &str,
    link: &HostLink,
    network: &str,
    observed: &Observed,
) -> Option<(String, String)> {
    if let Some(master) = &link.master {
        return Some((
            format!("the NIC `{nic}` is in `{master}` already"),
            format!(
                "to use that bridge as it is, leave network `{network}` out and write \
                 `{{network: {master}, bridged: yes}}` where nodes are on it"
            ),
        ));
    }
    let (message, help) = match link.kind {
        LinkKind::Wireless => (
            format!("the NIC `{nic}` is wireless"),
            "an access point takes frames from its own station only; use a wired NIC, or `nat`"
                .into(),
        ),
        LinkKind::Bridge => (
            format!("`{nic}` is a bridge, not a NIC"),
            "name the NIC that is in it, or use it as it is with `bridged: yes`".into(),
        ),
        _ if link.kind == LinkKind::Foreign || nic == "lo" => {
            let free = crate::decode::quoted_list(&observed.host.free_nics());
            (
                format!("`{nic}` has no Ethernet, and no bridge takes it"),
                format!("name a wired NIC of the hypervisor, which has {free}"),
            )
        }
        _ if link.carries_root => (
            format!("the hypervisor's root file system is reached through `{nic}`"),
            "the hypervisor would hang if the NIC were gone for a moment; use another one".into(),
        ),
        _ => return None,
    };
    Some((message, help))
}
