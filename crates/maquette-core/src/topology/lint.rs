//! Checks that need the whole topology: references, overlaps, sizes.

mod devices;
mod ips;
mod links;
mod names;
mod systems;
mod user_data;

use ipnet::IpNet;

use super::{ConnectTo, Interface, Network, Role, Topology};
use crate::defaults::{self, Kind};
use crate::diagnostic::{Diagnostic, Diagnostics, WITHOUT_EFFECT};
use crate::syntax::{Span, Spanned};
use crate::units::{ByteSize, MIB};
use crate::values::{DiskKey, Group, NodeType};
pub use systems::unknown_system;

/// Shown wherever a node has no address to be reached at.
pub const ADDRESS_RULE: &str =
    "a node with an operating system is reached on its external network, which needs DHCP";

/// Room on the system disk, besides swap, below which there is a warning: some images need less.
const SYSTEM_ROOM: u64 = 8192 * MIB;

/// Reports every contradiction in `topology`.
pub fn lint(topology: &Topology, diags: &mut Diagnostics) {
    networks(topology, diags);
    for role in &topology.roles {
        if topology.networks_complete {
            interfaces(topology, role, diags);
        }
        disks(role, diags);
        names::check(topology, role, diags);
        systems::check(topology, role, diags);
        memory(role, diags);
        devices::check(topology, role, diags);
        first_boot(role, diags);
        user_data::check(topology, role, diags);
    }
    image(topology, diags);
    same_numbers(topology, diags);
    same_groups(topology, diags);
    if topology.networks_complete {
        ips::check(topology, diags);
        querier(topology, diags);
    }
}

fn networks(topology: &Topology, diags: &mut Diagnostics) {
    let list = &topology.networks;
    // A network that no subnet was free for has one that says nothing.
    let without = diags.iter().filter(|d| d.code == "topology::no-free-subnet");
    let without: Vec<Span> = without.flat_map(|d| &d.labels).map(|label| label.span).collect();
    let subnets = |network: &Network| {
        let mut all = network.subnets();
        all.retain(|(_, span)| !without.contains(span));
        all
    };
    for (i, network) in list.iter().enumerate() {
        if let Some(first) = list[..i].iter().find(|n| n.name.value == network.name.value) {
            diags.push(
                Diagnostic::error(
                    "topology::duplicate-network",
                    format!("two networks are called `{}`", network.name.value),
                )
                .at(network.name.span, "")
                .at(first.name.span, "the first is here"),
            );
        }
        for (net, span) in subnets(network) {
            for earlier in &list[..i] {
                for (other, other_span) in subnets(earlier) {
                    if overlap(&net, &other) {
                        diags.push(
                            Diagnostic::error(
                                "topology::overlap",
                                format!(
                                    "networks `{}` and `{}` overlap: {} and {}",
                                    earlier.name.value,
                                    network.name.value,
                                    other.trunc(),
                                    net.trunc()
                                ),
                            )
                            .at(span, "")
                            .at(other_span, "overlaps with this"),
                        );
                    }
                }
            }
        }
    }
}

/// Whether two subnets share an address.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

fn interfaces(topology: &Topology, role: &Role, diags: &mut Diagnostics) {
    let names: Vec<&str> = topology.networks.iter().map(|n| n.name.value.as_str()).collect();
    for (i, interface) in role.every_interface().enumerate() {
        links::check(topology, role, interface, diags);
        if let Some(link) = &interface.connect_to {
            linked(topology, role, link, diags);
            continue;
        }
        let name = &interface.network.value;
        match topology.network(name) {
            Some(network) => portgroup(topology, network, interface, diags),
            // It may be a bridge of the hypervisor's, or one that is made for these nodes.
            None if interface.bridged => {}
            None => diags.push(
                Diagnostic::error(
                    "topology::unknown-network",
                    format!(
                        "interface {} of node type `{}` names a network that does not exist",
                        i + 1,
                        role.file
                    ),
                )
                .at(interface.network.span, format!("there is no network `{name}`"))
                .suggest(name, names.iter().copied())
                .help(format!("the networks are {}", crate::decode::quoted_list(&names))),
            ),
        }
    }
    provisioned(role, diags);
    contradicted(topology, role, diags);
    // What is wrong with a network has been reported: that it gives no address may follow from it.
    let flawed = |i: &Interface| topology.flawed.contains(i.network.value.as_str());
    if role.deploy_os && !role.flawed_interfaces && !role.every_interface().any(flawed) {
        reached(topology, role, diags);
    }
}

/// Nodes are provisioned over a network that each of them is on.
fn provisioned(role: &Role, diags: &mut Diagnostics) {
    let Some(network) = role.pxe_network.as_ref().filter(|_| !role.flawed_interfaces) else {
        return;
    };
    let named = |i: &Interface| i.connect_to.is_none() && i.network.value == network.value;
    let lists = role.interfaces.rows.iter().flatten();
    let (all, mut rows) = (role.interfaces.all.iter().any(named), lists.clone());
    if !all && (lists.count() == 0 || !rows.all(|row| row.iter().any(named))) {
        let message = format!(
            "nodes of type `{}` cannot be provisioned on `{}`: they have no NIC there",
            role.file, network.value
        );
        let diagnostic = Diagnostic::error("topology::pxe-network", message).at(network.span, "");
        diags.push(diagnostic.help("`pxe_network` names one of the networks of its `interfaces`"));
    }
}

/// Whether nodes are reached on a LAN follows from their network, whatever is said of it beside.
fn contradicted(topology: &Topology, role: &Role, diags: &mut Diagnostics) {
    let Some(external) = &role.external_network else { return };
    let Some(network) = topology.network(&external.network.value) else { return };
    // On NICs without a bridge, too, it is somebody on the LAN who gives addresses.
    let is_bridged = !network.forward.is_served();
    if let Some(said) = external.bridged.as_ref().filter(|said| said.value != is_bridged) {
        let is = if is_bridged { "is" } else { "is not" };
        let message = format!(
            "`external_network.bridged` of node type `{}` has no effect: network `{}` {is} bridged",
            role.file, external.network.value
        );
        let diagnostic = Diagnostic::warning(WITHOUT_EFFECT, message).at(said.span, "");
        diags.push(diagnostic.help("`forward` of the network decides on that; leave it out here"));
    }
}

/// A node with an operating system has to be reached somehow.
fn reached(topology: &Topology, role: &Role, diags: &mut Diagnostics) {
    let Some(external) =
        role.provision_network.as_ref().or(role.external_network.as_ref().map(|e| &e.network))
    else {
        return unnamed(topology, role, diags);
    };
    let on_it = |i: &&Interface| i.connect_to.is_none() && i.network.value == external.value;
    let interface = role.every_interface().find(on_it);
    if interface.is_none() {
        let own: Vec<&str> = role.every_interface().map(|i| i.network.value.as_str()).collect();
        diags.push(
            Diagnostic::error(
                "topology::external-network",
                format!(
                    "node type `{}` has no interface on its external network `{}`",
                    role.file, external.value
                ),
            )
            .at(external.span, "")
            .suggest(&external.value, own)
            .help(ADDRESS_RULE),
        );
    } else if let Some(network) = direct(topology, &external.value) {
        diags.push(unreached(role, network, external.span));
    } else if let Some(network) = topology.network(&external.value)
        && network.forward.is_served()
        && network.fixed.is_none()
        && interface.is_some_and(|i| i.ip.is_none())
        && network.ipv4.as_ref().is_none_or(|i| i.dhcp.is_none())
        && network.ipv6.as_ref().is_none_or(|i| i.dhcp.is_none())
    {
        diags.push(
            Diagnostic::error(
                "topology::external-network",
                format!(
                    "node type `{}` is reached on network `{}`, which has no DHCP range",
                    role.file, external.value
                ),
            )
            .at(network.name.span, "")
            .help(ADDRESS_RULE),
        );
    }
}

/// A node that does not say what it is reached on, and is on nothing that it could be reached on.
fn unnamed(topology: &Topology, role: &Role, diags: &mut Diagnostics) {
    // A network that does not exist has been reported.
    let plugged = || role.every_interface().filter(|i| i.connect_to.is_none());
    let unknown = |i: &Interface| topology.network(&i.network.value).is_none() && !i.bridged;
    if plugged().any(unknown) {
        return;
    }
    if let Some(network) = plugged().find_map(|i| direct(topology, &i.network.value)) {
        diags.push(unreached(role, network, role.span));
        return;
    }
    diags.push(
        Diagnostic::error(
            "topology::no-external-network",
            format!("node type `{}` is on no network that gives it an address", role.file),
        )
        .at(role.span, "")
        .help("give one of its networks DHCP, or name the one it is reached on: `external_network: NETWORK`")
        .help(ADDRESS_RULE),
    );
}

/// The network of a name, if its nodes are on NICs of the hypervisor without a bridge.
fn direct<'a>(topology: &'a Topology, name: &str) -> Option<&'a Network> {
    topology.network(name).filter(|network| network.forward.is_direct())
}

/// What is said of nodes that would be reached on NICs of the hypervisor without a bridge: the kernel hands nothing from a NIC's
/// macvtaps to whoever has the NIC.
fn unreached(role: &Role, network: &Network, span: Span) -> Diagnostic {
    let (name, mode) = (&network.name.value, network.forward.mode().unwrap_or("none"));
    let message = format!(
        "nodes of type `{}` cannot be reached on network `{name}`: with `forward: {mode}` the hypervisor hears nothing of them",
        role.file
    );
    Diagnostic::error("topology::external-network", message)
        .at(span, "")
        .help("put them on another network, too, such as one with `forward: nat`, and name that: `external_network: NETWORK`")
}

/// A link leads to another type of the run.
fn linked(topology: &Topology, role: &Role, link: &ConnectTo, diags: &mut Diagnostics) {
    let to = &link.to;
    let others = topology.roles.iter().filter(|r| r.name.value != role.name.value);
    let names: Vec<&str> = others.map(|r| r.name.value.as_str()).collect();
    let message = if to.value == role.name.value {
        format!("node type `{}` links to itself", role.file)
    } else if topology.roles_complete && !names.contains(&to.value.as_str()) {
        format!("node type `{}` links to `{}`, which is not in this run", role.file, to.value)
    } else {
        return;
    };
    let diagnostic = Diagnostic::error("topology::connect-to", message).at(to.span, "");
    // What `{{ vswitch_type }}` stands for where there is no switch.
    diags.push(match to.value.as_str() {
        "None" => {
            diagnostic.help("add a switch to --topology-nodes: `ovsvswitch:1`")
        }
        other => {
            let diagnostic = diagnostic.suggest(other, names.iter().copied());
            let is_built_in = defaults::names(Kind::Nodes).contains(&other);
            // A number is most likely a mistake, though a type may be called so.
            let can_be = other.parse::<NodeType>().is_ok() && other.parse::<u64>().is_err();
            match (can_be, is_built_in) {
                (false, _) => diagnostic.help("it names a node type of the same run"),
                (true, true) => diagnostic.help(format!(
                    "add `{other}: 1` to `nodes` in maquette.yaml, or `{other}:1` to --topology-nodes"
                )),
                (true, false) => diagnostic
                    .help(format!("`nodes: {{{other}: {{}}}}` in maquette.yaml describes it")),
            }
        }
    });
}

fn portgroup(
    topology: &Topology,
    network: &Network,
    interface: &Interface,
    diags: &mut Diagnostics,
) {
    // One that could not be read may be the one that is meant.
    let unread = match &network.vswitch {
        Some(vswitch) => vswitch.lacks_portgroups,
        None => topology.flawed.contains(network.name.value.as_str()),
    };
    let Some(wanted) = interface.portgroup.as_ref().filter(|_| !unread) else { return };
    let groups = network.vswitch.iter().flat_map(|v| &v.portgroups).chain(&network.portgroups);
    let names: Vec<&str> = groups.map(|g| g.name.value.as_str()).collect();
    if !names.contains(&wanted.value.as_str()) {
        let message =
            format!("network `{}` has no portgroup `{}`", network.name.value, wanted.value);
        let known = match names.is_empty() {
            true => "it has none at all".to_string(),
            false => format!("it has {}", crate::decode::quoted_list(&names)),
        };
        diags.push(
            Diagnostic::error("topology::unknown-portgroup", message)
                .at(wanted.span, "")
                .suggest(&wanted.value, names.iter().copied())
                .help(known),
        );
    }
}

/// Two nodes of fixed addresses (BGP) must not have the same ones.
fn same_numbers(topology: &Topology, diags: &mut Diagnostics) {
    let mut octets: Vec<(u8, &Role)> = Vec::new();
    for role in topology.roles.iter().filter(|r| r.count > 0) {
        for octet in role.octets.iter().take(role.count as usize) {
            match octets.iter().find(|(o, _)| o == octet) {
                Some((_, first)) => {
                    let message = format!(
                        "node types `{}` and `{}` both have a node number {octet}",
                        first.file, role.file
                    );
                    diags.push(
                        Diagnostic::error("topology::same-address", message)
                            .at(role.span, "")
                            .help("they exclude each other, or need other `ips`"),
                    );
                    break;
                }
                None => octets.push((*octet, role)),
            }
        }
    }
}

/// A type whose group in inventories would be another's, too, has none.
fn same_groups(topology: &Topology, diags: &mut Diagnostics) {
    let mut seen: Vec<(Group, &Role)> = Vec::new();
    for role in topology.roles.iter().filter(|role| role.count > 0) {
        let Some(group) = Group::of_type(&role.name.value) else {
            no_group(role, diags);
            continue;
        };
        let first = seen.iter().find(|(known, _)| *known == group);
        if let Some((_, first)) = first.filter(|(_, first)| first.name.value != role.name.value) {
            let (one, other) = (&first.name.value, &role.name.value);
            let message = format!(
                "node types `{one}` and `{other}` would both be group `{group}` of Ansible's"
            );
            let warning = Diagnostic::warning("topology::same-group", message).at(role.span, "");
            diags.push(warning.help("neither is; `groups` of a node type names groups for it"));
        }
        seen.push((group, role));
    }
}

/// A play for `hosts: all` would not be for the nodes of that type alone.
fn no_group(role: &Role, diags: &mut Diagnostics) {
    let name = &role.name.value;
    let message = format!(
        "node type `{name}` has no group: that name has a meaning of its own in inventories"
    );
    let warning = Diagnostic::warning("topology::no-group", message).at(role.name.span, "");
    diags.push(warning.help("`groups` of a node type names groups for it"));
}

/// The querier goes where InfraRed put it.
fn querier(topology: &Topology, diags: &mut Diagnostics) {
    if !topology.settings.querier {
        return;
    }
    match topology.network("external") {
        None => {
            let message = "the multicast querier has no effect: no network is called `external`";
            diags.push(Diagnostic::warning("topology::querier", message));
        }
        Some(network) if network.forward.is_direct() => {
            let message = "the multicast querier has no effect: network `external` has no bridge";
            diags.push(Diagnostic::warning("topology::querier", message));
        }
        Some(_) => {}
    }
}

/// Nobody would do what a first boot is to do in a node that is not set up.
fn first_boot(role: &Role, diags: &mut Diagnostics) {
    let why = match (role.deploy_os, role.adapt_image) {
        (true, true) => return customized(role, diags),
        (false, _) => "it has no operating system (`deploy_os: no`)",
        (true, false) => "its image is used as it is (`supports_libguestfs: no`)",
    };
    if role.customize == Some(true) {
        let message = format!("`customize` of node type `{}` has no effect: {why}", role.file);
        diags.push(Diagnostic::error("topology::customize", message).at(role.span, ""));
    }
    if role.seed.is_some() {
        let message = format!("`seed` of node type `{}` has no effect: {why}", role.file);
        diags.push(Diagnostic::error("topology::seed", message).at(role.span, ""));
    }
    if !role.first_boot.is_empty() {
        let message = format!(
            "`packages`, `files`, `commands`, `user_data` and `console` of node type `{}` would have no effect: {why}",
            role.file
        );
        diags.push(Diagnostic::error("topology::first-boot", message).at(role.span, ""));
    }
}

/// What sets a customised image up knows packages, files and commands, and is no cloud-init.
fn customized(role: &Role, diags: &mut Diagnostics) {
    if role.customize == Some(true) && role.first_boot.needs_cloud_init() {
        let message = format!(
            "`user_data` of node type `{}` needs cloud-init, and `customize` is for images without",
            role.file
        );
        let diagnostic = Diagnostic::error("topology::customize", message).at(role.span, "");
        diags.push(diagnostic.help(
            "`packages`, `files` and `commands` do without; leave `customize` out if the image has cloud-init",
        ));
    }
}

/// A system disk with little room is warned of, and refused if swap takes all of it. That it is smaller than its image is
/// refused where the image's size is known.
fn system_room(role: &Role, (disk, size): (&DiskKey, &Spanned<ByteSize>), diags: &mut Diagnostics) {
    let swap = role.swap_mib.saturating_mul(MIB);
    let room = size.value.0.saturating_sub(swap);
    if room >= SYSTEM_ROOM {
        return;
    }
    let which = format!("`{disk}` of node type `{}`", role.file);
    let (usual, swap) = (ByteSize(SYSTEM_ROOM), ByteSize(swap));
    let diagnostic = match (room, swap.0) {
        (_, 0) => {
            let message =
                format!("{which} has little room for an operating system: {}", size.value);
            Diagnostic::warning("topology::little-room", message)
                .help(format!("most need {usual}; a disk takes of the pool what the guest writes"))
        }
        (0, _) => {
            let message =
                format!("{which} is too small: {swap} of swap leave nothing of {}", size.value);
            Diagnostic::error("topology::disk-too-small", message)
                .help(format!("it needs room for the system besides: mostly {usual}"))
        }
        _ => {
            let message = format!(
                "{which} has little room: {} less {swap} of swap leaves under {usual}",
                size.value
            );
            Diagnostic::warning("topology::little-room", message)
                .help("a disk takes of the pool what the guest writes")
        }
    };
    diags.push(diagnostic.at(size.span, ""));
}

fn disks(role: &Role, diags: &mut Diagnostics) {
    let Some(system) = role.disks.first() else {
        if role.deploy_os && !role.flawed_disks {
            diags.push(
                Diagnostic::error(
                    "topology::no-disk",
                    format!("node type `{}` has no disk for its operating system", role.file),
                )
                .at(role.span, "")
                .help("add `disks`, or say `deploy_os: false`"),
            );
        }
        return;
    };
    // A disk that is empty is for whoever installs something.
    let is_blank = !role.deploy_os && system.import_url.is_none() && role.import_url.is_none();
    if let Some(size) = system.size.as_ref().filter(|_| !is_blank) {
        system_room(role, (&system.key, size), diags);
    }
}

/// Memory in MiB below which hardly a system with cloud-init boots.
const LITTLE_MIB: u64 = 192;
/// Up to this number of MiB, GiB were likely meant.
const MAYBE_GIB: u64 = 128;

/// A number that is too small for an operating system is likely one of GiB.
fn memory(role: &Role, diags: &mut Diagnostics) {
    let mib = role.memory_mib.value;
    if !role.deploy_os || !role.adapt_image || role.count == 0 || mib >= LITTLE_MIB {
        return;
    }
    let message =
        format!("`memory` of node type `{}` is {mib} MiB, too little for most systems", role.file);
    let mut warning =
        Diagnostic::warning("topology::little-memory", message).at(role.memory_mib.span, "");
    if mib <= MAYBE_GIB {
        warning = warning.help(format!("it counts MiB: `{}` is {mib} GiB", mib * 1024));
    }
    diags.push(warning.help("images of `maquette image list` need 512 or more"));
}

fn image(topology: &Topology, diags: &mut Diagnostics) {
    let needs = |r: &&Role| {
        r.deploy_os
            && r.count > 0
            && r.import_url.is_none()
            && !r.flawed_image
            && r.disks.first().is_some_and(|d| d.import_url.is_none())
    };
    if topology.settings.image.is_none()
        && let Some(role) = topology.roles.iter().find(needs)
    {
        let error = Diagnostic::error(
            "topology::no-image",
            format!("node type `{}` needs a base image and none is named", role.file),
        )
        .at(role.span, "it has an operating system");
        let names = "a URL, a file, or a name from `maquette image list`";
        diags.push(
            match role.described {
                true => {
                    error.help(format!("`image: debian-12` in maquette.yaml names one: {names}"))
                }
                false => error.help(format!("name one with `--image-url`: {names}")),
            }
            .help("without internet access, `maquette image build debian-12` makes one"),
        );
    }
}
