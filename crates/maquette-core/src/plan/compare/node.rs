//! Nodes.

use super::Class::{Live, Record, Replace, Restart};
use super::{Class, Differences, What, first_boot, list, or};
use crate::blueprint::{
    Access, Attachment, Bmc, Checksums, Disk, DiskPool, Guest, Image, Interface, Ipv4Setup, Node,
    Vnc,
};
use crate::values::{Serial, TimeZone};

/// What differs between a node as recorded and as wanted.
pub(in crate::plan) fn node(old: &Node, new: &Node) -> Differences {
    let Node {
        // Who it is; objects are matched by it.
        name: _,
        uuid: _,
        role,
        index,
        virt,
        vcpus,
        cpu_model,
        memory_mib,
        memory_max_mib,
        machine,
        firmware,
        vnc,
        serial_file,
        virtopts,
        boot,
        bmc,
        deploy_os,
        disks,
        interfaces,
        groups,
        guest,
        access,
    } = old;
    let mut found = Differences::default();
    found.note(
        *deploy_os != new.deploy_os,
        Replace,
        match new.deploy_os {
            true => "it gets an operating system",
            false => "it no longer has an operating system",
        },
    );
    all_disks(disks, &new.disks, &mut found);
    all_interfaces(interfaces, &new.interfaces, new.guest.is_some(), &mut found);
    of_access(access, &new.access, new.guest.is_some(), &mut found);
    of_guest(guest.as_ref(), new.guest.as_ref(), &mut found);
    found.change(Restart, "vCPUs", vcpus, &new.vcpus);
    let mib = |mib: u64| format!("{mib} MiB");
    found.change(Live, "memory", &mib(*memory_mib), &mib(new.memory_mib));
    let most = |mib: Option<u64>| mib.map_or("its memory".to_string(), |mib| format!("{mib} MiB"));
    found.change(Restart, "most memory", &most(*memory_max_mib), &most(new.memory_max_mib));
    found.change(Restart, "CPU model", cpu_model, &new.cpu_model);
    found.change(Restart, "machine type", machine, &new.machine);
    found.note(*boot != new.boot, Restart, "what it boots from changes");
    of_bmc(bmc.as_ref(), new.bmc.as_ref(), &mut found);
    found.note(*firmware != new.firmware, Restart, "its firmware changes");
    let (from, to) = (virtopts, &new.virtopts);
    found.note(from != to, Restart, format!("virtopts: `{from}` → `{to}`"));
    found.change(Restart, "virtualization", &virt.as_str(), &new.virt.as_str());
    of_vnc(vnc, &new.vnc, &mut found);
    found.note(*serial_file != new.serial_file, Restart, "its serial log moves");
    found.change(Record, "groups", &list(groups), &list(&new.groups));
    found.note(*role != new.role || *index != new.index, Record, "its node type changes");
    found
}

fn of_vnc(old: &Vnc, new: &Vnc, found: &mut Differences) {
    // What was read from a hypervisor knows no password, only its tag.
    let Vnc { external, password: _, tag } = old;
    let which = if new.external { "all addresses" } else { "the hypervisor alone" };
    found.note(*external != new.external, Restart, format!("VNC: listens on {which}"));
    // QEMU has to be told at its start that there is one.
    let appears = tag.is_some() != new.tag.is_some();
    found.note(appears, Restart, "whether VNC asks for a password changes");
    found.note(!appears && *tag != new.tag, Live, "the VNC password changes");
}

fn of_bmc(old: Option<&Bmc>, new: Option<&Bmc>, found: &mut Differences) {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, None) => return,
        (None, Some(_)) => return found.note(true, Record, "it gets a BMC"),
        (Some(_), None) => return found.note(true, Record, "it no longer has a BMC"),
    };
    // Where it is served it is served again (`plan/bmcs.rs`); its node goes on.
    let Bmc { protocol, network, address, own_address, redfish_port, ipmi_port, provisioning } =
        old;
    found.change(Record, "its BMC speaks", &protocol.as_str(), &new.protocol.as_str());
    found.change(Record, "network of its BMC", network, &new.network);
    found.change(Record, "address of its BMC", address, &new.address);
    let whose = |own: bool| if own { "its own" } else { "the hypervisor's" };
    found.change(Record, "address of its BMC is", &whose(*own_address), &whose(new.own_address));
    found.change(Record, "Redfish port of its BMC", redfish_port, &new.redfish_port);
    found.change(Record, "IPMI port of its BMC", ipmi_port, &new.ipmi_port);
    let (from, to) = (or(provisioning.as_ref(), "any"), or(new.provisioning.as_ref(), "any"));
    found.change(Record, "NIC that it is provisioned on", &from, &to);
}

fn of_access(old: &Access, new: &Access, guest: bool, found: &mut Differences) {
    let Access { address, user, connection, direct } = old;
    // A guest was set up for its address; its user is compared where it was made.
    let (from, to) = (or(address.as_ref(), "none"), or(new.address.as_ref(), "none"));
    // Where an interface tells of it, once is enough.
    if guest && !found.tells(What::Address) {
        found.change(Replace, "reached at", &from, &to);
    }
    let reached = (!guest && (*address != new.address || *user != new.user))
        || *connection != new.connection
        || *direct != new.direct;
    found.note(reached, Record, "how it is reached changes");
}

fn of_guest(old: Option<&Guest>, new: Option<&Guest>, found: &mut Differences) {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, None) => return,
        _ => return found.note(true, Replace, "its first-boot set-up changes"),
    };
    // The seed's name follows from the node's, and stays in the drive that it is in; a generation comes with being made again, and colleagues' keys come while
    // it runs (`plan/share.rs`).
    let Guest {
        seed: _,
        drive: _,
        generation: _,
        user,
        authorized_key,
        shared: _,
        host_key,
        timezone,
        swap_mib,
        first_boot,
        // They are what the digest is of, and tell what of it changes.
        first_boot_parts: _,
    } = old;
    found.change(Replace, "user", user, &new.user);
    let key = "it was made with another SSH key than this workspace has";
    found.note(*authorized_key != new.authorized_key, Replace, key);
    let zone = |zone: Option<&TimeZone>| or(zone, "the image's");
    let (from, to) = (zone(timezone.as_ref()), zone(new.timezone.as_ref()));
    found.change(Record, "time zone", &from, &to);
    let mib = |mib: u64| format!("{mib} MiB");
    if *first_boot != new.first_boot {
        found.note(true, Replace, first_boot::change(old, new));
    }
    found.change(Replace, "swap", &mib(*swap_mib), &mib(new.swap_mib));
    // Whatever is made again has another host key; that alone is a reason only if nothing else is.
    let alone = found.worst() < Some(Replace);
    let key = "its host key is not the one that this workspace's secret gives it";
    found.note(alone && *host_key != new.host_key, Replace, key);
}

fn all_disks(old: &[Disk], new: &[Disk], found: &mut Differences) {
    for disk in old {
        match new.iter().find(|d| d.volume == disk.volume) {
            Some(other) => of_disk(disk, other, found),
            None => found.note(true, Live, format!("disk {} goes", disk.device)),
        }
    }
    for disk in new.iter().filter(|d| !old.iter().any(|o| o.volume == d.volume)) {
        found.note(true, Live, format!("disk {} comes", disk.device));
    }
}

fn of_disk(old: &Disk, new: &Disk, found: &mut Differences) {
    // A volume is preallocated when it is made, and not again.
    let Disk { volume, device, bus, cache, size, backing, preallocation: _, serial, pool } = old;
    // Whose the pool is changes nothing of the disk.
    let place = |pool: &Option<DiskPool>| {
        or(pool.as_ref().map(|own| &own.pool.path), "the environment's pool")
    };
    found.change(Replace, &format!("place of {volume}"), &place(pool), &place(&new.pool));
    of_image(volume, backing.as_ref(), new.backing.as_ref(), found);
    match (size, new.size) {
        (Some(from), Some(to)) if to < *from => {
            found.note(true, Replace, format!("{volume} cannot shrink: {from} → {to}"));
        }
        (from, Some(to)) if *from != Some(to) => {
            let from = or(from.as_ref(), "the image's size");
            found.note(true, Live, format!("size of {volume}: {from} → {to}"));
        }
        // It keeps the size that it has.
        (from, to) => found.note(*from != to, Record, format!("size of {volume}: as it is")),
    }
    found.change(Restart, &format!("device of {volume}"), device, &new.device);
    found.change(Restart, &format!("bus of {volume}"), &bus.as_str(), &new.bus.as_str());
    found.change(Restart, &format!("cache of {volume}"), cache, &new.cache);
    match (serial, &new.serial) {
        // Nobody has to restart nodes for what earlier versions did not give them.
        (None, Some(_)) => {
            found.note(true, Record, "its disks have serial numbers when it starts next")
        }
        (from, to) => {
            let shown = |serial: &Option<Serial>| or(serial.as_ref(), "none");
            let what = format!("serial number of {volume}");
            found.change(Restart, &what, &shown(from), &shown(to));
        }
    }
}

/// Records have no secrets of an address. The volume of such an image tells whether these differ, since
/// its name is made from the whole address. Otherwise the volume it is cached as may be another one for new
/// nodes: a disk stays on the one that it overlays.
fn of_image(disk: &str, old: Option<&Image>, new: Option<&Image>, found: &mut Differences) {
    let shown = |image: Option<&Image>| image.map(Image::shown).unwrap_or_default();
    let (from, to) = (shown(old), shown(new));
    found.change(Replace, &format!("image of {disk}"), &from, &to);
    if let (Some(Image { source: _, volume: had }), Some(Image { source, volume })) = (old, new) {
        let hidden = from == to && to != *source && had != volume;
        let words = format!("image of {disk}: what `***` stands for in {to} changes");
        found.note(hidden, Replace, words);
    }
    if let (Some(had), Some(has)) = (old, new) {
        let differs = from == to && had.is_customized() != has.is_customized();
        let words = match has.is_customized() {
            true => "its image is to be prepared by virt-customize",
            false => "its image is to be used as it comes, without virt-customize",
        };
        found.note(differs, Replace, words);
    }
}

/// Interfaces at the end come and go; a guest was set up for the others.
fn all_interfaces(old: &[Interface], new: &[Interface], guest: bool, found: &mut Differences) {
    let networks =
        |list: &[Interface]| list.iter().map(Interface::source).collect::<Vec<_>>().join(", ");
    let lists = format!("interfaces: {} → {}", networks(old), networks(new));
    for (a, b) in old.iter().zip(new) {
        of_interface(a, b, guest, &lists, found);
    }
    for interface in old.iter().skip(new.len()) {
        found.note(true, Live, format!("unplug {}", interface.shown()));
    }
    for interface in new.iter().skip(old.len()) {
        found.note(true, Live, format!("plug in {}", interface.shown()));
    }
}

/// How an interface gets its IPv4 address, with all that tells it from another way.
fn of_ipv4(setup: &Ipv4Setup) -> String {
    match setup {
        Ipv4Setup::Off => "none".into(),
        Ipv4Setup::Dhcp { reserved: None } => "by DHCP".into(),
        Ipv4Setup::Dhcp { reserved: Some(address) } => format!("{address} by DHCP"),
        Ipv4Setup::Static { address, gateway, nameserver } => {
            let gateway = gateway.map_or_else(String::new, |ip| format!(", gateway {ip}"));
            let names = nameserver.map_or_else(String::new, |ip| format!(", name server {ip}"));
            format!("{address}, static{gateway}{names}")
        }
    }
}

fn of_interface(
    old: &Interface,
    new: &Interface,
    guest: bool,
    lists: &str,
    found: &mut Differences,
) {
    let Interface { name, mac, network, attachment, model, ipv4, ipv6, default_route, mtu } = old;
    let machine: Class = if guest { Replace } else { Restart };
    let inside: Class = if guest { Replace } else { Record };
    let (was, is) = (plugged(attachment), plugged(&new.attachment));
    let elsewhere = *network != new.network || was.on_host_bridge != is.on_host_bridge;
    found.note(elsewhere, machine, lists);
    // The MTU of libvirt's own bridges is the network's; libvirt is told that of others.
    let told = old.told_mtu() != new.told_mtu();
    let class = if told { machine } else { inside };
    let (from, to) = (or(mtu.as_ref(), "the default"), or(new.mtu.as_ref(), "the default"));
    let words = format!("MTU on {network}: {from} → {to}");
    found.note(told || *mtu != new.mtu, class, words);
    let what = format!("address on {network}");
    found.change_address(inside, &what, &of_ipv4(ipv4), &of_ipv4(&new.ipv4));
    let (from, to) = (or(ipv6.as_ref(), "none"), or(new.ipv6.as_ref(), "none"));
    found.change_address(inside, &format!("IPv6 address on {network}"), &from, &to);
    let route = |is: bool| if is { "yes" } else { "no" };
    let what = format!("default route through {network}");
    found.change(inside, &what, &route(*default_route), &route(new.default_route));
    found.note(*name != new.name, inside, "names of its interfaces change");
    found.note(*mac != new.mac, machine, format!("MAC address of {name}: {mac} → {}", new.mac));
    found.change(machine, &format!("model of {name}"), model, &new.model);
    let (from, to) = (was.portgroup.unwrap_or("none"), is.portgroup.unwrap_or("none"));
    found.change(machine, &format!("portgroup of {name}"), &from, &to);
    let frames = was.checksums != is.checksums;
    found.note(frames, machine, "checksum offloading of its interfaces changes");
    // What libvirt is told is the same, and its network is another.
    let now = if is.is_direct { "on a NIC of the hypervisor" } else { "on a bridge" };
    found.note(was.is_direct != is.is_direct, Record, format!("{name} is {now} now"));
}

/// What an interface is plugged into, as far as that is its own: which network it is of is compared with its name, and who carries
/// that with the network.
struct Plugged<'a> {
    on_host_bridge: bool,
    is_direct: bool,
    portgroup: Option<&'a str>,
    checksums: Checksums,
}

fn plugged(attachment: &Attachment) -> Plugged<'_> {
    let (on_host_bridge, portgroup, checksums) = match attachment {
        Attachment::Network { portgroup } => (false, portgroup.as_deref(), Checksums::Hypervisor),
        Attachment::Direct => (false, None, Checksums::Hypervisor),
        Attachment::HostBridge => (true, None, Checksums::Hypervisor),
        Attachment::OtherBridge { portgroup, checksums } => {
            (false, portgroup.as_deref(), *checksums)
        }
    };
    let is_direct = *attachment == Attachment::Direct;
    Plugged { on_host_bridge, is_direct, portgroup, checksums }
}
