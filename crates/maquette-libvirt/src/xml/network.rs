//! A network: <https://libvirt.org/formatnetwork.html>.

use maquette_core::blueprint::{DhcpHost, DirectNics, Network, Portgroup};
use maquette_core::names::EnvName;
use maquette_core::topology::{Allocation, Dhcp, DirectMode, Srv};

use super::Writer;
use super::metadata::{self, NetworkRecord};

/// Where lines for dnsmasq have their place.
pub(super) const DNSMASQ: &str = "http://libvirt.org/schemas/network/dnsmasq/1.0";

/// Writes a network.
pub fn network(network: &Network, environment: &EnvName, allocation: Allocation) -> String {
    let mut w = Writer::default();
    let options = options(network);
    w.element("network", spaces(&options), |w| {
        w.text("name", &[], &network.name);
        w.text("uuid", &[], &network.uuid.to_string());
        w.element("metadata", &[], |w| {
            let record = NetworkRecord {
                environment: environment.clone(),
                allocation,
                network: network.clone(),
            };
            metadata::write_network(w, &record);
        });
        definition(w, network, &options);
    });
    w.finish()
}

/// The same without what the network is found by, and without its record.
pub(super) fn bare(network: &Network) -> String {
    let mut w = Writer::default();
    let options = options(network);
    w.element("network", spaces(&options), |w| definition(w, network, &options));
    w.finish()
}

/// Its lines for dnsmasq.
fn options(network: &Network) -> Vec<String> {
    if network.carrier.is_served() { network.dnsmasq_options() } else { Vec::new() }
}

/// The namespace that such lines take.
fn spaces(options: &[String]) -> &'static [(&'static str, &'static str)] {
    if options.is_empty() { &[] } else { &[("xmlns:dnsmasq", DNSMASQ)] }
}

/// What libvirt makes the network of.
fn definition(w: &mut Writer, network: &Network, options: &[String]) {
    if let Some((mode, own)) = network.carrier.direct() {
        return forward_to(w, mode, own);
    }
    if let Some(mode) = network.carrier.forward().mode() {
        w.empty("forward", &[("mode", mode)]);
    }
    if !network.carrier.is_served() {
        // The bridge is not libvirt's.
        w.empty("bridge", &[("name", &network.bridge)]);
        if let Some(vswitch) = network.carrier.vswitch() {
            w.empty("virtualport", &[("type", "openvswitch")]);
            vswitch.portgroups.iter().for_each(|p| portgroup(w, p));
        }
        network.groups.iter().for_each(|group| portgroup(w, &group.portgroup()));
        return;
    }
    let stp = if network.stp { "on" } else { "off" };
    w.empty("bridge", &[("name", &network.bridge), ("stp", stp), ("delay", "0")]);
    if let Some(mtu) = network.mtu {
        w.empty("mtu", &[("size", &mtu.to_string())]);
    }
    if let Some(domain) = &network.domain {
        w.empty("domain", &[("name", domain), ("localOnly", "yes")]);
    }
    network.groups.iter().for_each(|group| portgroup(w, &group.portgroup()));
    dns(w, network);
    ipv4(w, network);
    ipv6(w, network);
    if !options.is_empty() {
        w.element("dnsmasq:options", &[], |w| {
            options.iter().for_each(|line| w.empty("dnsmasq:option", &[("value", line)]));
        });
    }
}

/// NICs that nodes are on. libvirt takes none of its own beside them: no bridge, no addresses, no MTU.
fn forward_to(w: &mut Writer, mode: DirectMode, own: &DirectNics) {
    let mut attributes = vec![("mode", mode.as_str())];
    // It has to be the first of them.
    attributes.extend(own.nics.first().map(|nic| ("dev", nic.as_str())));
    w.element("forward", &attributes, |w| {
        own.nics.iter().for_each(|nic| w.empty("interface", &[("dev", nic.as_str())]));
    });
}

fn portgroup(w: &mut Writer, group: &Portgroup) {
    let mut attributes = vec![("name", group.name.as_str())];
    if group.default {
        attributes.push(("default", "yes"));
    }
    // The schema knows no other value; InfraRed wrote `no`, which means the same as nothing.
    let trunk: &[(&str, &str)] = if group.trunk { &[("trunk", "yes")] } else { &[] };
    w.element("portgroup", &attributes, |w| {
        if group.tags.is_empty() {
            // A trunk that names no VLAN carries them all.
            return;
        }
        w.element("vlan", trunk, |w| {
            for tag in &group.tags {
                let id = tag.id.to_string();
                let mut attributes = vec![("id", id.as_str())];
                if tag.native {
                    attributes.push(("nativeMode", "untagged"));
                }
                w.empty("tag", &attributes);
            }
        });
    });
}

fn dns(w: &mut Writer, network: &Network) {
    let Network { srvs, forwarders, .. } = network;
    if srvs.is_empty() && forwarders.is_empty() {
        return;
    }
    w.element("dns", &[], |w| {
        forwarders.iter().for_each(|ip| w.empty("forwarder", &[("addr", &ip.to_string())]));
        srvs.iter().for_each(|srv| write_srv(w, srv));
    });
}

fn write_srv(w: &mut Writer, srv: &Srv) {
    let port = srv.port.map(|p| p.to_string());
    let mut attributes = vec![("service", srv.name.as_str()), ("protocol", &srv.protocol)];
    attributes.extend(srv.domain.as_deref().map(|d| ("domain", d)));
    attributes.extend(srv.target.as_deref().map(|t| ("target", t)));
    attributes.extend(port.as_deref().map(|p| ("port", p)));
    w.empty("srv", &attributes);
}

/// One DNS service record, for changing a network while it runs.
pub fn srv(srv: &Srv) -> String {
    let mut w = Writer::default();
    write_srv(&mut w, srv);
    w.finish()
}

fn ipv4(w: &mut Writer, network: &Network) {
    let Some(net) = network.ipv4 else { return };
    let (address, mask) = (net.addr().to_string(), net.netmask().to_string());
    let attributes = [("address", address.as_str()), ("netmask", mask.as_str())];
    let entries = network.dhcp_entries();
    let reserved = entries.iter().filter(|h| h.ip.is_ipv4());
    if network.tftp_root.is_none() && network.dhcp4.is_none() {
        return w.empty("ip", &attributes);
    }
    w.element("ip", &attributes, |w| {
        network.tftp_root.iter().for_each(|root| w.empty("tftp", &[("root", root.as_str())]));
        if let Some(range) = network.dhcp4 {
            dhcp(w, range, reserved, |w| bootp(w, network));
        }
    });
}

fn bootp(w: &mut Writer, network: &Network) {
    let Some((file, server)) = network.boot_file() else { return };
    let server = server.map(|server| server.to_string());
    let mut attributes = vec![("file", file.as_str())];
    attributes.extend(server.as_deref().map(|server| ("server", server)));
    w.empty("bootp", &attributes);
}

fn ipv6(w: &mut Writer, network: &Network) {
    let Some(net) = network.ipv6 else { return };
    let (address, length) = (net.addr().to_string(), net.prefix_len().to_string());
    let attributes =
        [("family", "ipv6"), ("address", address.as_str()), ("prefix", length.as_str())];
    let entries = network.dhcp_entries();
    let reserved = entries.iter().filter(|h| h.ip.is_ipv6());
    let Some(range) = network.dhcp6 else { return w.empty("ip", &attributes) };
    w.element("ip", &attributes, |w| dhcp(w, range, reserved, |_| {}));
}

/// What DHCP gives out: a range, reservations, and `more`.
fn dhcp<'a, A: ToString>(
    w: &mut Writer,
    range: Dhcp<A>,
    reserved: impl Iterator<Item = &'a DhcpHost>,
    more: impl FnOnce(&mut Writer),
) {
    w.element("dhcp", &[], |w| {
        let (start, end) = (range.start.to_string(), range.end.to_string());
        w.empty("range", &[("start", &start), ("end", &end)]);
        reserved.for_each(|host| write_reservation(w, host));
        more(w);
    });
}

fn write_reservation(w: &mut Writer, host: &DhcpHost) {
    let ip = host.ip.to_string();
    let mac = host.mac.map(|m| m.to_string());
    let mut attributes: Vec<(&str, &str)> = mac.iter().map(|m| ("mac", m.as_str())).collect();
    attributes.extend(host.name.as_deref().map(|name| ("name", name)));
    attributes.push(("ip", &ip));
    w.empty("host", &attributes);
}

/// One reservation, for changing a network while it runs.
pub fn reservation(host: &DhcpHost) -> String {
    let mut w = Writer::default();
    write_reservation(&mut w, host);
    w.finish()
}

#[cfg(test)]
mod tests {
    use maquette_core::blueprint::PlainGroup;
    use maquette_core::observed::{Observed, Wiring};
    use maquette_testkit::{blueprint_of, input};

    use super::super::read;
    use super::*;

    #[test]
    fn portgroups_of_a_bridge_of_linux_are_read_back() {
        let blueprint =
            blueprint_of(&input(&[("controller", 0)], "3_nets", &[]), &Observed::default());
        assert!(!blueprint.networks.is_empty());
        for mut network in blueprint.networks {
            let group = |name: &str, default| PlainGroup { name: name.parse().unwrap(), default };
            network.groups = vec![group("a", true), group("b", false)];
            let environment = EnvName::from_prefix("lab").unwrap();
            let xml = super::network(&network, &environment, Allocation::UNPREFIXED);
            assert!(xml.contains("<portgroup name='a' default='yes'"), "{xml}");
            assert!(xml.contains("<portgroup name='b'") && !xml.contains("<vlan"), "{xml}");
            let wiring = read::network(&xml).unwrap().wiring;
            assert_eq!(wiring.portgroups, Wiring::of(&network).portgroups);
        }
    }
}
