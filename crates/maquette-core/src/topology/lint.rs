//! Checks that need the whole topology: references, overlaps, sizes.

use ipnet::IpNet;

use super::{Network, Role, Topology};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::Span;
use crate::units::{ByteSize, MIB};

/// Shown wherever a node has no address to be reached at.
pub const ADDRESS_RULE: &str =
    "a node with an operating system is reached on its external network, which needs DHCP";

/// Least room that swap may leave on the system disk (spec 02, section 3).
const SYSTEM_ROOM: u64 = 8192 * MIB;

/// Reports every contradiction in `topology`.
pub fn lint(topology: &Topology, diags: &mut Diagnostics) {
    networks(topology, diags);
    for role in &topology.roles {
        if topology.networks_complete {
            interfaces(topology, role, diags);
        }
        disks(role, diags);
    }
    image(topology, diags);
}

fn networks(topology: &Topology, diags: &mut Diagnostics) {
    let list = &topology.networks;
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

fn subnets(network: &Network) -> Vec<(IpNet, Span)> {
    let v4 = network.ipv4.iter().map(|i| (IpNet::V4(i.net), i.span));
    let v6 = network.ipv6.iter().map(|i| (IpNet::V6(i.net), i.span));
    v4.chain(v6).collect()
}

/// Whether two subnets share an address.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

fn interfaces(topology: &Topology, role: &Role, diags: &mut Diagnostics) {
    let names: Vec<&str> = topology.networks.iter().map(|n| n.name.value.as_str()).collect();
    for (i, interface) in role.interfaces.iter().enumerate() {
        let name = &interface.network.value;
        if !names.contains(&name.as_str()) {
            diags.push(
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
            );
        }
    }
    if !role.deploy_os {
        return;
    }
    let Some(external) =
        role.provision_network.as_ref().or(role.external_network.as_ref().map(|e| &e.network))
    else {
        diags.push(
            Diagnostic::error(
                "topology::no-external-network",
                format!("node type `{}` has no `external_network`", role.file),
            )
            .at(role.span, "")
            .help(ADDRESS_RULE),
        );
        return;
    };
    if !role.interfaces.iter().any(|i| i.network.value == external.value) {
        let own: Vec<&str> = role.interfaces.iter().map(|i| i.network.value.as_str()).collect();
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
    } else if let Some(network) = topology.network(&external.value)
        && network.ipv4.as_ref().is_none_or(|i| i.dhcp.is_none())
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

fn disks(role: &Role, diags: &mut Diagnostics) {
    let Some(system) = role.disks.first() else {
        if role.deploy_os {
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
    let Some(size) = &system.size else { return };
    let swap = role.swap_mib.saturating_mul(MIB);
    if size.value.0.saturating_sub(swap) < SYSTEM_ROOM {
        diags.push(
            Diagnostic::error(
                "topology::disk-too-small",
                format!(
                    "`{}` of node type `{}` is too small: {} less {} of swap leaves under {}",
                    system.key,
                    role.file,
                    size.value,
                    ByteSize(swap),
                    ByteSize(SYSTEM_ROOM)
                ),
            )
            .at(size.span, "")
            .help(format!("it needs {} or more", ByteSize(SYSTEM_ROOM.saturating_add(swap)))),
        );
    }
    for disk in role.disks.iter().filter(|d| d.path.is_some()) {
        let span = disk.path.as_ref().map_or(disk.span, |p| p.span);
        diags.push(
            super::interface::unsupported("a disk outside the storage pool (`path`)")
                .at(span, "")
                .help("choose the pool's directory with `--disk-pool`"),
        );
    }
}

fn image(topology: &Topology, diags: &mut Diagnostics) {
    let needs = |r: &&Role| {
        r.deploy_os
            && r.count > 0
            && r.import_url.is_none()
            && r.disks.first().is_some_and(|d| d.import_url.is_none())
    };
    if topology.settings.image.is_none()
        && let Some(role) = topology.roles.iter().find(needs)
    {
        diags.push(
            Diagnostic::error(
                "topology::no-image",
                format!("node type `{}` needs a base image and none is named", role.file),
            )
            .at(role.span, "it has an operating system")
            .help(
                "name one with `--image-url`: a URL, a file, or a name from `maquette image list`",
            )
            .help("without internet access, `maquette image build debian-12` makes one"),
        );
    }
}
