//! Networks.

use super::Class::{Live, Replace};
use super::{Differences, list, or, switching};
use crate::blueprint::Network;
use crate::image::redact;
use crate::observed::Wiring;
use crate::topology::{Bootp, Dhcp, Forward};

/// What differs between a network as recorded and as wanted. What its nodes bring along — reservations
/// and tenants — is updated whenever it differs, and is counted there.
pub(in crate::plan) fn network(old: &Network, new: &Network) -> Differences {
    let Network {
        // What it is found by.
        name: _,
        bridge,
        uuid,
        carrier,
        ipv4,
        dhcp4,
        ipv6,
        dhcp6,
        domain,
        srvs,
        forwarders,
        tftp_root,
        bootp,
        mtu,
        autostart,
        stp,
        groups,
        tuning,
        fixed,
        reservations: _,
        tenants: _,
    } = old;
    let mut found = Differences::default();
    let (from, to) = (or(ipv4.as_ref(), "none"), or(new.ipv4.as_ref(), "none"));
    found.change(Replace, "address", &from, &to);
    found.change(Replace, "forward mode", &mode(carrier.forward()), &mode(new.carrier.forward()));
    let (from, to) = (or(mtu.as_ref(), "the default"), or(new.mtu.as_ref(), "the default"));
    found.change(Replace, "MTU", &from, &to);
    found.change(Replace, "DHCP range", &range(dhcp4.as_ref()), &range(new.dhcp4.as_ref()));
    found.change(Replace, "DHCPv6 range", &range(dhcp6.as_ref()), &range(new.dhcp6.as_ref()));
    let (from, to) = (or(ipv6.as_ref(), "none"), or(new.ipv6.as_ref(), "none"));
    found.change(Replace, "IPv6 address", &from, &to);
    found.change(Replace, "bridge", bridge, &new.bridge);
    switching::carrier(carrier, &new.carrier, &mut found);
    switching::groups(groups, &new.groups, &mut found);
    switching::tuning(tuning, &new.tuning, &mut found);
    switching::spanning_tree(*stp, new.stp, &mut found);
    switching::fixed(fixed.as_ref(), new.fixed.as_ref(), &mut found);
    let (from, to) = (or(domain.as_ref(), "none"), or(new.domain.as_ref(), "none"));
    found.change(Replace, "DNS domain", &from, &to);
    found.change(Replace, "DNS forwarders", &list(forwarders), &list(&new.forwarders));
    let (from, to) = (or(tftp_root.as_ref(), "none"), or(new.tftp_root.as_ref(), "none"));
    found.change(Replace, "TFTP root", &from, &to);
    of_bootp(bootp.as_ref(), new.bootp.as_ref(), &mut found);
    found.note(*uuid != new.uuid, Replace, "its identifier was changed outside Maquette");
    switching::srvs(srvs, &new.srvs, &mut found);
    let word = if new.autostart { "starts" } else { "does not start" };
    let starts = format!("it {word} with the hypervisor now");
    found.note(*autostart != new.autostart, Live, starts);
    found
}

/// What DHCP tells machines to boot. An address may have a token in it, which plans do not show.
fn of_bootp(old: Option<&Bootp>, new: Option<&Bootp>, found: &mut Differences) {
    let nothing = Bootp::default();
    let Bootp { file, server, uefi, ipxe, http } = old.unwrap_or(&nothing);
    let new = new.unwrap_or(&nothing);
    let shown = |word: Option<&str>| word.map_or_else(|| "none".to_string(), redact);
    let files = [
        ("boot file", file.as_deref(), new.file.as_deref()),
        ("boot file of UEFI", uefi.as_deref(), new.uefi.as_deref()),
        ("boot file of iPXE", ipxe.as_deref(), new.ipxe.as_deref()),
        ("boot file of UEFI over HTTP", http.as_deref(), new.http.as_deref()),
    ];
    for (what, from, to) in files {
        let words = match (shown(from), shown(to)) {
            (from, to) if from == to => format!("{what}: what `***` stands for in {to} changes"),
            (from, to) => format!("{what}: {from} → {to}"),
        };
        found.note(from != to, Replace, words);
    }
    let (from, to) =
        (or(server.as_ref(), "the hypervisor"), or(new.server.as_ref(), "the hypervisor"));
    found.change(Replace, "server of boot files", &from, &to);
}

/// What somebody changed in a network's definition, apart from reservations.
pub(in crate::plan) fn outside(defined: &Wiring, expected: &Wiring) -> Vec<String> {
    // Reservations are put right while it runs.
    let Wiring {
        bridge,
        forward,
        nics,
        addresses,
        ranges,
        hosts: _,
        mtu,
        vswitch,
        portgroups,
        boot,
    } = defined;
    let changed = [
        ("bridge", *bridge != expected.bridge),
        ("forward mode", *forward != expected.forward),
        ("list of NICs", *nics != expected.nics),
        ("address", *addresses != expected.addresses),
        ("DHCP range", *ranges != expected.ranges),
        // What somebody added where Maquette was asked for nothing is theirs.
        ("network boot", !expected.boot.is_empty() && *boot != expected.boot),
        ("MTU", *mtu != expected.mtu),
        ("portgroups", *portgroups != expected.portgroups || *vswitch != expected.vswitch),
    ];
    let changed = changed.into_iter().filter(|(_, differs)| *differs);
    changed.map(|(what, _)| format!("its {what} was changed outside Maquette")).collect()
}

fn range<A: std::fmt::Display>(dhcp: Option<&Dhcp<A>>) -> String {
    dhcp.map_or_else(|| "none".into(), |dhcp| format!("{}-{}", dhcp.start, dhcp.end))
}

/// libvirt's word for a forward mode.
pub(in crate::plan) fn mode(forward: Forward) -> &'static str {
    forward.mode().unwrap_or("isolated")
}
