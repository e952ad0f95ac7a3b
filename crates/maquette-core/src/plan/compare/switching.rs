//! What a network is besides libvirt's own, and its DNS records.

use std::net::Ipv4Addr;

use super::Class::{Live, Record, Replace};
use super::{Differences, or};
use crate::blueprint::{
    BridgeOptions, Carrier, DirectNics, Fixed, HostPort, PlainGroup, Portgroup, Route, Tag, Uplink,
    Vswitch,
};
use crate::topology::{Dhcp, Srv};

pub(super) fn carrier(old: &Carrier, new: &Carrier, found: &mut Differences) {
    nic(old.uplink(), new.uplink(), found);
    vswitch(old.vswitch(), new.vswitch(), found);
    direct(old.direct().map(|(_, own)| own), new.direct().map(|(_, own)| own), found);
}

/// How nodes are on them, the forward mode says.
fn direct(old: Option<&DirectNics>, new: Option<&DirectNics>, found: &mut Differences) {
    let names =
        |own: Option<&DirectNics>| own.map_or_else(|| "none".to_string(), DirectNics::names);
    let (from, to) = (names(old), names(new));
    found.change(Replace, "NICs of its nodes", &from, &to);
    let (Some(DirectNics { nics: _, chosen }), Some(new)) = (old, new) else { return };
    let named = if new.chosen { "no longer named" } else { "named now" };
    found.note(*chosen != new.chosen && from == to, Record, format!("its NIC is {named}"));
}

fn nic(old: Option<&Uplink>, new: Option<&Uplink>, found: &mut Differences) {
    let name = |uplink: Option<&Uplink>| or(uplink.map(|u| &u.nic), "none");
    let (from, to) = (name(old), name(new));
    found.change(Replace, "NIC", &from, &to);
    let (Some(old), Some(new)) = (old, new) else { return };
    // With another NIC, how the old one was bridged does not matter.
    if from != to {
        return;
    }
    let Uplink { nic: _, chosen, address, stp, guard, mtu } = old;
    let named = if new.chosen { "no longer named" } else { "named now" };
    found.note(*chosen != new.chosen, Record, format!("its NIC is {named}"));
    let text = |address: Option<&_>| or::<ipnet::Ipv4Net>(address, "those of its NIC");
    let (from, to) = (text(address.as_ref()), text(new.address.as_ref()));
    found.change(Replace, "address of its bridge", &from, &to);
    spanning_tree(*stp, new.stp, found);
    switched(*guard, new.guard, "DHCP guard", found);
    let (from, to) = (or(mtu.as_ref(), "as it is"), or(new.mtu.as_ref(), "as it is"));
    found.change(Replace, "MTU of its NIC", &from, &to);
}

pub(super) fn spanning_tree(old: bool, new: bool, found: &mut Differences) {
    switched(old, new, "spanning tree protocol", found);
}

pub(super) fn tuning(old: &BridgeOptions, new: &BridgeOptions, found: &mut Differences) {
    let BridgeOptions { link_local, hub, querier, routes } = old;
    switched(*link_local, new.link_local, "passing of link-local frames", found);
    switched(*hub, new.hub, "sending of every frame to every port", found);
    switched(*querier, new.querier, "multicast querier", found);
    let pairs = paired(routes, &new.routes, |a, b| a.net == b.net);
    pairs.note(Replace, |route| format!("route to {}", route.net), found);
    for (old, new) in pairs.both {
        let Route { net, via } = old;
        let (from, to) = (or(via.as_ref(), "no router"), or(new.via.as_ref(), "no router"));
        found.change(Replace, &format!("route to {net}"), &from, &to);
    }
}

fn vswitch(old: Option<&Vswitch>, new: Option<&Vswitch>, found: &mut Differences) {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, None) => return,
        (None, Some(_)) => return found.note(true, Replace, "it moves to Open vSwitch"),
        (Some(_), None) => return found.note(true, Replace, "it leaves Open vSwitch"),
    };
    let Vswitch { userspace, ports, portgroups } = old;
    let place = |userspace: bool| if userspace { "a process" } else { "the kernel" };
    found.change(Replace, "Open vSwitch forwards in", &place(*userspace), &place(new.userspace));
    let pairs = paired(ports, &new.ports, |a, b| a.name == b.name);
    pairs.note(Replace, |port| format!("the hypervisor's interface {}", port.name), found);
    for (old, new) in pairs.both {
        port(old, new, found);
    }
    let pairs = paired(portgroups, &new.portgroups, |a, b| a.name == b.name);
    pairs.note(Replace, |group| format!("portgroup {}", group.name), found);
    for (old, new) in pairs.both {
        portgroup(old, new, found);
    }
}

/// Portgroups on a bridge of Linux.
pub(super) fn groups(old: &[PlainGroup], new: &[PlainGroup], found: &mut Differences) {
    let pairs = paired(old, new, |a, b| a.name == b.name);
    pairs.note(Replace, |group| format!("portgroup {}", group.name), found);
    for (old, new) in pairs.both {
        let PlainGroup { name, default } = old;
        switched(*default, new.default, &format!("portgroup {name} as the default"), found);
    }
}

fn port(old: &HostPort, new: &HostPort, found: &mut Differences) {
    let HostPort { name, tag, addresses } = old;
    let (from, to) = (or(tag.as_ref(), "none"), or(new.tag.as_ref(), "none"));
    found.change(Replace, &format!("VLAN of {name}"), &from, &to);
    found.change(Replace, &format!("addresses of {name}"), &list(addresses), &list(&new.addresses));
}

fn portgroup(old: &Portgroup, new: &Portgroup, found: &mut Differences) {
    let Portgroup { name, default, trunk, tags } = old;
    switched(*default, new.default, &format!("portgroup {name} as the default"), found);
    switched(*trunk, new.trunk, &format!("portgroup {name} as a trunk"), found);
    let vlans = |tags: &[Tag]| list(&tags.iter().map(vlan).collect::<Vec<_>>());
    found.change(Replace, &format!("VLANs of portgroup {name}"), &vlans(tags), &vlans(&new.tags));
}

fn vlan(tag: &Tag) -> String {
    let Tag { id, native } = tag;
    format!("{id}{}", if *native { " (native)" } else { "" })
}

pub(super) fn fixed(old: Option<&Fixed>, new: Option<&Fixed>, found: &mut Differences) {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, None) => return,
        (None, Some(_)) => {
            return found.note(true, Replace, "its nodes get addresses of their own");
        }
        (Some(_), None) => return found.note(true, Replace, "its nodes lose their own addresses"),
    };
    let Fixed { net, range, gateway, nameserver } = old;
    found.change(Replace, "subnet of its nodes", net, &new.net);
    let text = |range: Option<Dhcp<_>>| {
        let text = |Dhcp { start, end }: Dhcp<Ipv4Addr>| format!("{start} to {end}");
        range.map_or_else(|| "none".into(), text)
    };
    found.change(Replace, "addresses of its nodes", &text(*range), &text(new.range));
    let (from, to) = (or(gateway.as_ref(), "none"), or(new.gateway.as_ref(), "none"));
    found.change(Replace, "gateway of its nodes", &from, &to);
    let (from, to) = (or(nameserver.as_ref(), "none"), or(new.nameserver.as_ref(), "none"));
    found.change(Replace, "name server of its nodes", &from, &to);
}

/// DNS records change while the network runs. Several may be of one service.
pub(super) fn srvs(old: &[Srv], new: &[Srv], found: &mut Differences) {
    let gone: Vec<&Srv> = old.iter().filter(|s| !new.contains(s)).collect();
    let come: Vec<&Srv> = new.iter().filter(|s| !old.contains(s)).collect();
    let service = |s: &Srv| (s.name.clone(), s.protocol.clone(), s.domain.clone());
    let pairs = paired(&gone, &come, |a, b| service(a) == service(b));
    pairs.note(Live, |srv| named(srv), found);
    for (old, new) in pairs.both {
        let Srv { name: _, protocol: _, domain: _, port, target } = *old;
        let name = named(old);
        let (from, to) = (or(port.as_ref(), "none"), or(new.port.as_ref(), "none"));
        found.change(Live, &format!("port of {name}"), &from, &to);
        let (from, to) = (or(target.as_ref(), "none"), or(new.target.as_ref(), "none"));
        found.change(Live, &format!("host of {name}"), &from, &to);
    }
}

fn named(srv: &Srv) -> String {
    let domain = srv.domain.as_ref().map(|d| format!(".{d}")).unwrap_or_default();
    format!("DNS record _{}._{}{domain}", srv.name, srv.protocol)
}

/// Notes that something was switched on or off.
fn switched(old: bool, new: bool, what: &str, found: &mut Differences) {
    let word = |on: bool| if on { "on" } else { "off" };
    found.change(Replace, what, &word(old), &word(new));
}

fn list<T: ToString>(items: &[T]) -> String {
    match items {
        [] => "none".into(),
        items => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// The items of two lists: those that are in both, by whatever they are known by, and the others.
struct Pairs<'a, T> {
    both: Vec<(&'a T, &'a T)>,
    gone: Vec<&'a T>,
    come: Vec<&'a T>,
}

fn paired<'a, T>(old: &'a [T], new: &'a [T], same: impl Fn(&T, &T) -> bool) -> Pairs<'a, T> {
    let mut pairs = Pairs { both: Vec::new(), gone: Vec::new(), come: new.iter().collect() };
    for item in old {
        match pairs.come.iter().position(|other| same(item, other)) {
            Some(at) => pairs.both.push((item, pairs.come.remove(at))),
            None => pairs.gone.push(item),
        }
    }
    pairs
}

impl<T> Pairs<'_, T> {
    /// Notes what goes and what comes.
    fn note(&self, class: super::Class, name: impl Fn(&T) -> String, found: &mut Differences) {
        for item in &self.gone {
            found.note(true, class, format!("{} goes", name(item)));
        }
        for item in &self.come {
            found.note(true, class, format!("{} comes", name(item)));
        }
    }
}

#[cfg(test)]
mod tests;
