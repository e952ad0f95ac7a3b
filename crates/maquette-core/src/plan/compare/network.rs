//! Networks.

use super::Class::{Live, Replace};
use super::{Differences, or};
use crate::blueprint::{Network, Uplink};
use crate::observed::Wiring;
use crate::topology::Forward;

/// What differs between a network as recorded and as wanted. What its nodes bring along — reservations
/// and tenants — is updated whenever it differs, and is counted there.
pub(in crate::plan) fn network(old: &Network, new: &Network) -> Differences {
    let Network {
        // What it is found by.
        name: _,
        bridge,
        uuid,
        forward,
        ipv4,
        dhcp4,
        ipv6,
        dhcp6,
        domain,
        srvs,
        forwarders,
        mtu,
        autostart,
        stp,
        tuning,
        uplink,
        vswitch,
        fixed,
        reservations: _,
        tenants: _,
    } = old;
    let mut found = Differences::default();
    let (from, to) = (or(ipv4.as_ref(), "none"), or(new.ipv4.as_ref(), "none"));
    found.change(Replace, "address", &from, &to);
    found.change(Replace, "forward mode", &mode(*forward), &mode(new.forward));
    found.note(*mtu != new.mtu, Replace, "its MTU changes");
    let ranges = *dhcp4 != new.dhcp4 || *dhcp6 != new.dhcp6;
    found.note(ranges, Replace, "its DHCP range changes");
    found.note(*ipv6 != new.ipv6, Replace, "its IPv6 address changes");
    found.change(Replace, "bridge", bridge, &new.bridge);
    nic(uplink.as_ref(), new.uplink.as_ref(), &mut found);
    found.note(*vswitch != new.vswitch, Replace, "its portgroups change");
    let behaves = *tuning != new.tuning || *stp != new.stp;
    found.note(behaves, Replace, "how its bridge behaves changes");
    found.note(*fixed != new.fixed, Replace, "addresses of its nodes change");
    found.note(*domain != new.domain, Replace, "its DNS domain changes");
    found.note(*forwarders != new.forwarders, Replace, "its DNS forwarders change");
    found.note(*uuid != new.uuid, Replace, "its identifier was changed outside Maquette");
    let records =
        srvs.iter().any(|s| !new.srvs.contains(s)) || new.srvs.iter().any(|s| !srvs.contains(s));
    found.note(records, Live, "its DNS records change");
    let word = if new.autostart { "starts" } else { "does not start" };
    let starts = format!("it {word} with the hypervisor now");
    found.note(*autostart != new.autostart, Live, starts);
    found
}

fn nic(old: Option<&Uplink>, new: Option<&Uplink>, found: &mut Differences) {
    let name = |uplink: Option<&Uplink>| or(uplink.map(|u| &u.nic), "none");
    let (from, to) = (name(old), name(new));
    found.change(Replace, "NIC", &from, &to);
    found.note(from == to && old != new, Replace, "how its NIC is bridged changes");
}

/// What somebody changed in a network's definition, apart from reservations.
pub(in crate::plan) fn outside(defined: &Wiring, expected: &Wiring) -> Vec<String> {
    // Reservations are put right while it runs.
    let Wiring { bridge, forward, addresses, ranges, hosts: _, mtu, vswitch, portgroups } = defined;
    let changed = [
        ("bridge", *bridge != expected.bridge),
        ("forward mode", *forward != expected.forward),
        ("address", *addresses != expected.addresses),
        ("DHCP range", *ranges != expected.ranges),
        ("MTU", *mtu != expected.mtu),
        ("portgroups", *portgroups != expected.portgroups || *vswitch != expected.vswitch),
    ];
    let changed = changed.into_iter().filter(|(_, differs)| *differs);
    changed.map(|(what, _)| format!("its {what} was changed outside Maquette")).collect()
}

/// libvirt's word for a forward mode.
pub(in crate::plan) fn mode(forward: Forward) -> &'static str {
    forward.mode().unwrap_or("isolated")
}
