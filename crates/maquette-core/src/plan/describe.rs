//! Objects in a few words.

use super::compare;
use crate::blueprint::{Blueprint, Carrier, Disk, Image, Network, Node};
use crate::observed::Observed;
use crate::units::{ByteSize, MIB};

/// A node's size and address.
pub(super) fn size(node: &Node) -> String {
    let disk = |d: &Disk| {
        let size = d.size.map_or("image".into(), |s| s.to_string());
        match &d.pool {
            Some(own) => format!("{size} in {}", own.pool.path),
            None => size,
        }
    };
    let disks: Vec<String> = node.disks.iter().map(disk).collect();
    let disks = if disks.is_empty() { "no disk".into() } else { disks.join(" + ") };
    let mib = |mib: u64| ByteSize(mib.saturating_mul(MIB));
    let memory = match node.memory_max_mib {
        Some(most) => format!("{} of at most {}", mib(node.memory_mib), mib(most)),
        None => mib(node.memory_mib).to_string(),
    };
    let cpus =
        if node.vcpus.get() == 1 { "1 vCPU".into() } else { format!("{} vCPUs", node.vcpus) };
    let address = match (node.deploy_os, node.access.address) {
        (true, Some(address)) => address.to_string(),
        (false, _) => format!("boots from {}", node.boot_order().first().unwrap_or(&"hd")),
        (true, None) if node.interfaces.iter().any(|i| i.ipv4.asks_dhcp()) => {
            "address from the LAN".into()
        }
        (true, None) => "no address".into(),
    };
    format!("{cpus}, {memory}, {disks}, {address}")
}

/// Why an image is fetched that the pool does not have, and where it comes from.
pub(super) fn missing_image(blueprint: &Blueprint, observed: &Observed, image: &Image) -> String {
    let begin = "it is not in the pool yet";
    let end = match (image.is_customized(), blueprint.looked_into.contains(image)) {
        (true, _) => "; virt-customize has it set up from the seed, unless it has cloud-init",
        (false, true) => "; if it has no cloud-init, virt-customize makes it ready",
        (false, false) => "",
    };
    let plain = image.as_it_comes();
    if image.is_customized() && observed.has_volume(&blueprint.pool, &plain.volume) {
        return format!("{begin}, and is made of a copy of {}{end}", plain.volume);
    }
    match blueprint.image_origins.get(&plain) {
        Some(origin) => format!("{begin}, and {origin}{end}"),
        None => format!("{begin}{end}"),
    }
}

/// A network's addresses and mode.
pub(super) fn network(network: &Network) -> String {
    let mut parts = Vec::new();
    if let Some(net) = network.ipv4 {
        parts.push(net.trunc().to_string());
    }
    parts.push(match &network.carrier {
        Carrier::Nic(uplink) => {
            let chosen = if uplink.chosen { ", the NIC of the default route" } else { "" };
            let guard = if uplink.guard { "" } else { ", no DHCP guard" };
            format!("bridge {} with {}{chosen}{guard}", network.bridge, uplink.nic)
        }
        Carrier::OpenVswitch(vswitch) => {
            let own = vswitch.ports.iter().skip(1).map(|p| p.name.as_str());
            let own: Vec<&str> = std::iter::once(network.bridge.as_str()).chain(own).collect();
            format!("Open vSwitch, {}", own.join(", "))
        }
        Carrier::Direct(mode, own) => {
            let chosen = if own.chosen { ", the NIC of the default route" } else { "" };
            format!("{} on {}{chosen}, without a bridge", mode.as_str(), own.names())
        }
        Carrier::Libvirt(_) if network.tuning.link_local => "link".into(),
        Carrier::Libvirt(_) => compare::mode(network.carrier.forward()).to_string(),
    });
    if network.tuning.hub {
        parts.push("hub".into());
    }
    if let Some(range) = network.dhcp4 {
        let is_large = network.ipv4.is_some_and(|net| net.prefix_len() < 24);
        let shown = |a: std::net::Ipv4Addr| match is_large {
            true => a.to_string(),
            // Its last part is all that differs from the subnet's address.
            false => format!(".{}", a.octets()[3]),
        };
        parts.push(format!("dhcp {}-{}", shown(range.start), shown(range.end)));
    }
    if let Some(net) = network.ipv6 {
        parts.push(net.trunc().to_string());
    }
    if let Some(mtu) = network.mtu {
        parts.push(format!("mtu {mtu}"));
    }
    parts.join(", ")
}
