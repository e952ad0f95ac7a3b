//! What networks have besides addresses, as network files have it: portgroups, and DNS.

use ipnet::IpNet;

use super::{Map, list};
use crate::blueprint::{HostPort, Network, PlainGroup, Portgroup, Vswitch};
use crate::names::EnvName;
use crate::syntax::{Span, Tree};
use crate::topology::Srv;
use crate::values::InterfaceName;

/// Puts portgroups of a bridge of Linux among the keys of a network.
pub(super) fn put_groups(groups: &[PlainGroup], network: &mut Map, span: Span) {
    let of = |group: &PlainGroup| {
        let mut map = Map(Vec::new(), span);
        map.text("name", &group.name);
        if group.default {
            map.text("default", "yes");
        }
        map.node()
    };
    if !groups.is_empty() {
        network.put("portgroups", list(groups.iter().map(of).collect(), span));
    }
}

/// Puts portgroups, and the hypervisor's addresses on the bridge, among the keys of a network.
pub(super) fn put_vswitch(vswitch: &Vswitch, environment: &EnvName, network: &mut Map, span: Span) {
    network.text("virtualport_type", "openvswitch");
    vswitch.ports.iter().filter(|port| port.tag.is_none()).for_each(|own| addresses(own, network));
    let groups = vswitch.portgroups.iter().map(|g| portgroup(g, vswitch, environment, span));
    let groups: Vec<Tree> = groups.collect();
    if !groups.is_empty() {
        network.put("portgroups", list(groups, span));
    }
}

fn portgroup(group: &Portgroup, vswitch: &Vswitch, environment: &EnvName, span: Span) -> Tree {
    let mut map = Map(Vec::new(), span);
    map.text("name", &group.name);
    for (key, is) in [("default", group.default), ("trunk", group.trunk)] {
        if is {
            map.text(key, "yes");
        }
    }
    let mut vlans = Vec::new();
    for tag in &group.tags {
        let mut vlan = Map(Vec::new(), span);
        vlan.text("id", tag.id);
        if tag.native {
            vlan.text("native", "yes");
        }
        // An interface of the hypervisor's is called like its portgroup, in a trunk with the VLAN's number.
        let number = if group.trunk { tag.id.to_string() } else { String::new() };
        let called = InterfaceName::of(&environment.qualify(&format!("{}{number}", group.name)));
        let ports = vswitch.ports.iter().filter(|port| port.tag == Some(tag.id));
        ports.filter(|port| port.name == called).for_each(|port| addresses(port, &mut vlan));
        vlans.push(vlan.node());
    }
    if !vlans.is_empty() {
        map.put("vlans", list(vlans, span));
    }
    map.node()
}

fn addresses(port: &HostPort, map: &mut Map) {
    for address in &port.addresses {
        let key = match address {
            IpNet::V4(_) => "ipv4_address",
            IpNet::V6(_) => "ipv6_address",
        };
        map.text(key, address);
    }
}

/// The value of `dns`, if a network has any.
pub(super) fn dns(network: &Network, span: Span) -> Option<Tree> {
    let mut dns = Map(Vec::new(), span);
    if !network.srvs.is_empty() {
        let srvs = network.srvs.iter().map(|record| srv(record, span));
        dns.put("srvs", list(srvs.collect(), span));
    }
    if !network.forwarders.is_empty() {
        let servers = network.forwarders.iter().map(|ip| Tree::scalar(ip.to_string(), span));
        dns.put("forwarders", list(servers.collect(), span));
    }
    (!dns.0.is_empty()).then(|| dns.node())
}

fn srv(srv: &Srv, span: Span) -> Tree {
    let mut map = Map(Vec::new(), span);
    map.text("name", &srv.name);
    map.text("protocol", &srv.protocol);
    srv.domain.iter().for_each(|domain| map.text("domain", domain));
    srv.port.iter().for_each(|port| map.text("port", port));
    srv.target.iter().for_each(|target| map.text("target", target));
    map.node()
}
