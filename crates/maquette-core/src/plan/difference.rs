//! What differs, in words: each function returns the reason, or none where nothing differs.

use crate::blueprint::{Disk, Network, Node};
use crate::observed::{self, Wiring};
use crate::topology::Forward;
use crate::values::TimeZone;

/// What cannot change after the first boot.
pub(super) fn first_boot(old: &Node, new: &Node) -> Option<String> {
    if old.deploy_os != new.deploy_os {
        return Some(if new.deploy_os {
            "it shall have an operating system now".into()
        } else {
            "it shall have no operating system any more".into()
        });
    }
    for (a, b) in old.disks.iter().zip(&new.disks) {
        let source = |d: &Disk| d.backing.as_ref().map(|i| i.source.clone()).unwrap_or_default();
        if source(a) != source(b) {
            return Some(format!("image of {}: {} → {}", b.volume, source(a), source(b)));
        }
        if let (Some(from), Some(to)) = (a.size, b.size)
            && to < from
        {
            return Some(format!("{} cannot shrink: {from} → {to}", b.volume));
        }
    }
    // Interfaces at the end come and go; the guest was set up for the others.
    let same = old.interfaces.iter().zip(&new.interfaces).all(|(a, b)| a == b);
    if new.guest.is_some() && (!same || old.access.address != new.access.address) {
        return Some(interfaces(old, new));
    }
    match (&old.guest, &new.guest) {
        (Some(a), Some(b)) => {
            let text = |v: &Option<TimeZone>| {
                v.as_ref().map_or("the image's".to_string(), ToString::to_string)
            };
            if a.user != b.user {
                Some(format!("user: {} → {}", a.user, b.user))
            } else if a.authorized_key != b.authorized_key {
                Some("it was made with another SSH key than this workspace has".into())
            } else if a.timezone != b.timezone {
                Some(format!("time zone: {} → {}", text(&a.timezone), text(&b.timezone)))
            } else if a.swap_mib != b.swap_mib {
                Some(format!("swap: {} MiB → {} MiB", a.swap_mib, b.swap_mib))
            } else {
                None
            }
        }
        (None, None) => None,
        _ => Some("its first-boot set-up changes".into()),
    }
}

pub(super) fn interfaces(old: &Node, new: &Node) -> String {
    let networks =
        |n: &Node| n.interfaces.iter().map(|i| i.network.as_str()).collect::<Vec<_>>().join(", ");
    let (from, to) = (networks(old), networks(new));
    if from != to {
        return format!("interfaces: {from} → {to}");
    }
    let mtu = |n: &Node| n.interfaces.iter().map(|i| i.mtu).collect::<Vec<_>>();
    if mtu(old) != mtu(new) {
        return "the MTU of its interfaces changes".into();
    }
    "its addresses change".into()
}

/// What only a restart changes, apart from memory, vCPUs and devices.
pub(super) fn machine(old: &Node, new: &Node) -> Option<String> {
    if old.cpu_model != new.cpu_model {
        return Some(format!("CPU model: {} → {}", old.cpu_model, new.cpu_model));
    }
    if old.machine != new.machine {
        return Some(format!("machine type: {} → {}", old.machine, new.machine));
    }
    if old.firmware != new.firmware {
        return Some("its firmware changes".into());
    }
    if old.virtopts != new.virtopts {
        return Some(format!("virtopts: `{}` → `{}`", old.virtopts, new.virtopts));
    }
    if old.vnc.external != new.vnc.external {
        let which = if new.vnc.external { "all addresses" } else { "this host only" };
        return Some(format!("VNC: listens on {which}"));
    }
    if old.serial_file != new.serial_file {
        return Some("its serial log moves".into());
    }
    None
}

/// What is written down and nothing else.
pub(super) fn record(old: &Node, new: &Node) -> Option<String> {
    if old.groups != new.groups {
        return Some("its groups change".into());
    }
    if old.access != new.access {
        return Some("how it is reached changes".into());
    }
    None
}

/// What a running network cannot take on.
pub(super) fn network(existing: &observed::Network, new: &Network) -> Option<String> {
    let old = &existing.recorded;
    if let Some(what) = edited(&existing.defined, &Wiring::of(old)) {
        return Some(format!("its {what} was changed outside Maquette"));
    }
    let plain = |n: &Network| Network {
        reservations: Vec::new(),
        tenants: Vec::new(),
        srvs: Vec::new(),
        autostart: true,
        ..n.clone()
    };
    let (a, b) = (plain(old), plain(new));
    if a == b {
        return None;
    }
    let show = |v: &Option<ipnet::Ipv4Net>| v.map_or("none".to_string(), |n| n.to_string());
    Some(if a.ipv4 != b.ipv4 {
        format!("address: {} → {}", show(&a.ipv4), show(&b.ipv4))
    } else if a.forward != b.forward {
        format!("forward mode: {} → {}", mode(a.forward), mode(b.forward))
    } else if a.mtu != b.mtu {
        "its MTU changes".into()
    } else if a.dhcp4 != b.dhcp4 || a.dhcp6 != b.dhcp6 {
        "its DHCP range changes".into()
    } else if a.ipv6 != b.ipv6 {
        "its IPv6 address changes".into()
    } else if a.bridge != b.bridge {
        format!("bridge: {} → {}", a.bridge, b.bridge)
    } else if let (Some(from), Some(to)) = (&a.uplink, &b.uplink)
        && from != to
    {
        match from.nic == to.nic {
            true => "how its NIC is bridged changes".into(),
            false => format!("NIC: {} → {}", from.nic, to.nic),
        }
    } else if a.vswitch != b.vswitch {
        "its portgroups change".into()
    } else if a.tuning != b.tuning || a.stp != b.stp {
        "how its bridge behaves changes".into()
    } else if a.fixed != b.fixed {
        "addresses of its nodes change".into()
    } else {
        "its DNS domain changes".into()
    })
}

/// What somebody changed in a network's definition, apart from reservations.
fn edited(defined: &Wiring, expected: &Wiring) -> Option<&'static str> {
    if defined.bridge != expected.bridge {
        Some("bridge")
    } else if defined.forward != expected.forward {
        Some("forward mode")
    } else if defined.addresses != expected.addresses {
        Some("address")
    } else if defined.ranges != expected.ranges {
        Some("DHCP range")
    } else if defined.mtu != expected.mtu {
        Some("MTU")
    } else if defined.portgroups != expected.portgroups || defined.vswitch != expected.vswitch {
        Some("portgroups")
    } else {
        None
    }
}

pub(super) fn mode(forward: Forward) -> &'static str {
    forward.mode().unwrap_or("isolated")
}
