//! What keeps nodes, an undercloud for one, from BMCs.

use std::net::{IpAddr, Ipv4Addr};

use super::firewall::{Dropped, Hook, Keeper, Packet};
use super::{Finding, HostSigns, Layer, Subject};
use crate::blueprint::Bmc;
use crate::observed::{Network, Observed};
use crate::topology::Forward;

/// A port of BMCs: protocol, number, and the address that it is at.
type Door = (&'static str, u16, Ipv4Addr);

/// Where a BMC is reached. What is known of the firewall is about IPv4.
fn doors(bmc: &Bmc) -> impl Iterator<Item = Door> {
    let both = [("tcp", bmc.redfish()), ("udp", bmc.ipmi())];
    both.into_iter().filter_map(|(protocol, at)| match (at?.ip(), at?.port()) {
        (IpAddr::V4(address), port) => Some((protocol, port, address)),
        (IpAddr::V6(_), _) => None,
    })
}

/// That the hypervisor's firewall drops what a network's nodes send to BMCs there.
pub(super) fn filtered(
    host: &HostSigns,
    observed: &Observed,
    network: &Network,
) -> Option<Finding> {
    let source = network.recorded.ipv4.filter(|_| network.active)?.addr();
    let bridge = network.recorded.bridge.as_str();
    let bmcs = observed.domains.values().filter_map(|domain| domain.recorded.bmc.as_ref());
    let doors = bmcs.filter(|bmc| bmc.network == network.name).flat_map(doors);
    let dropped = |(protocol, port, address): Door| {
        let packet = Packet {
            input: Some(bridge),
            output: None,
            source,
            destination: Some(address),
            service: Some((protocol, port)),
            from_port: None,
        };
        let by = host.firewall.dropped(Hook::Input, &packet)?;
        Some(((protocol, port), by))
    };
    let (closed, by): (Vec<_>, Vec<_>) = doors.filter_map(dropped).unzip();
    let Dropped { keeper, by } = by.into_iter().next()?;
    let finding = Finding::new(
        Subject::Network(network.name.to_string()),
        Layer::Network,
        "bmc-filtered",
        "the hypervisor's firewall drops what its nodes send to BMCs",
    );
    Some(finding.seen([by]).advise(advice(
        keeper,
        (bridge, network.recorded.carrier.forward()),
        &closed,
    )))
}

/// What lets ports be reached, by who keeps the rules.
fn advice(
    keeper: Keeper,
    (bridge, forward): (&str, Forward),
    closed: &[(&'static str, u16)],
) -> String {
    let mut spans = Vec::new();
    for protocol in ["tcp", "udp"] {
        let ports = || closed.iter().filter(|(of, _)| *of == protocol).map(|(_, port)| *port);
        if let (Some(first), Some(last)) = (ports().min(), ports().max()) {
            spans.push((protocol, first, last));
        }
    }
    let each = |parted: char, say: &dyn Fn(&str, &str) -> String| -> Vec<String> {
        let span = |first: u16, last: u16| match first == last {
            true => first.to_string(),
            false => format!("{first}{parted}{last}"),
        };
        spans.iter().map(|(protocol, first, last)| say(protocol, &span(*first, *last))).collect()
    };
    match keeper {
        Keeper::Firewalld => {
            let ports = each('-', &|protocol, span| format!("--add-port={span}/{protocol}"));
            // Where libvirt puts the bridge; before 8.10 it has no zone for `route` alone.
            let zone = match forward {
                Forward::Route => " --zone=libvirt-routed",
                Forward::Open => "",
                _ => " --zone=libvirt",
            };
            format!(
                "firewalld keeps these rules; `firewall-cmd --permanent{zone} {} && firewall-cmd --reload` lets them pass",
                ports.join(" ")
            )
        }
        Keeper::Ufw => {
            let rules = each(':', &|protocol, span| {
                format!("`ufw allow in on {bridge} proto {protocol} to any port {span}`")
            });
            format!("ufw keeps these rules; let them pass by {}", rules.join(" and "))
        }
        Keeper::Docker | Keeper::Unknown => {
            let ports = each('-', &|protocol, span| format!("{span}/{protocol}"));
            format!(
                "let what comes in through `{bridge}` to {} pass in the hypervisor's firewall",
                ports.join(" and ")
            )
        }
    }
}
