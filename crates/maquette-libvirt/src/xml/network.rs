//! A network: <https://libvirt.org/formatnetwork.html>.

use maquette_core::blueprint::{Network, Reservation};
use maquette_core::names::EnvName;
use maquette_core::topology::Allocation;

use super::Writer;
use super::metadata::{self, NetworkRecord};

/// Writes a network.
pub fn network(network: &Network, environment: &EnvName, allocation: Allocation) -> String {
    let mut w = Writer::default();
    w.element("network", &[], |w| {
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
        if let Some(mode) = network.forward.mode() {
            w.empty("forward", &[("mode", mode)]);
        }
        w.empty("bridge", &[("name", &network.name), ("stp", "off"), ("delay", "0")]);
        if let Some(mtu) = network.mtu {
            w.empty("mtu", &[("size", &mtu.to_string())]);
        }
        if let Some(domain) = &network.domain {
            w.empty("domain", &[("name", domain), ("localOnly", "yes")]);
        }
        dns(w, network);
        ipv4(w, network);
        ipv6(w, network);
    });
    w.finish()
}

fn dns(w: &mut Writer, network: &Network) {
    if network.srvs.is_empty() {
        return;
    }
    w.element("dns", &[], |w| {
        for srv in &network.srvs {
            let port = srv.port.map(|p| p.to_string());
            let mut attributes = vec![("service", srv.name.as_str()), ("protocol", &srv.protocol)];
            attributes.extend(srv.domain.as_deref().map(|d| ("domain", d)));
            attributes.extend(srv.target.as_deref().map(|t| ("target", t)));
            attributes.extend(port.as_deref().map(|p| ("port", p)));
            w.empty("srv", &attributes);
        }
    });
}

fn ipv4(w: &mut Writer, network: &Network) {
    let Some(net) = network.ipv4 else { return };
    let (address, mask) = (net.addr().to_string(), net.netmask().to_string());
    let attributes = [("address", address.as_str()), ("netmask", mask.as_str())];
    let Some(range) = network.dhcp4 else {
        w.empty("ip", &attributes);
        return;
    };
    w.element("ip", &attributes, |w| {
        w.element("dhcp", &[], |w| {
            let (start, end) = (range.start.to_string(), range.end.to_string());
            w.empty("range", &[("start", &start), ("end", &end)]);
            network.reservations.iter().for_each(|r| write_v4(w, r));
        });
    });
}

fn ipv6(w: &mut Writer, network: &Network) {
    let Some(net) = network.ipv6 else { return };
    let (address, length) = (net.addr().to_string(), net.prefix_len().to_string());
    let attributes =
        [("family", "ipv6"), ("address", address.as_str()), ("prefix", length.as_str())];
    let Some(range) = network.dhcp6 else {
        w.empty("ip", &attributes);
        return;
    };
    w.element("ip", &attributes, |w| {
        w.element("dhcp", &[], |w| {
            let (start, end) = (range.start.to_string(), range.end.to_string());
            w.empty("range", &[("start", &start), ("end", &end)]);
            network.reservations.iter().for_each(|r| write_v6(w, r));
        });
    });
}

fn write_v4(w: &mut Writer, reservation: &Reservation) {
    if let Some(ip) = reservation.ipv4 {
        let (mac, ip) = (reservation.mac.to_string(), ip.to_string());
        w.empty("host", &[("mac", &mac), ("name", &reservation.name), ("ip", &ip)]);
    }
}

/// libvirt takes no MAC address here: DHCPv6 knows clients by other means.
fn write_v6(w: &mut Writer, reservation: &Reservation) {
    if let Some(ip) = reservation.ipv6 {
        w.empty("host", &[("name", &reservation.name), ("ip", &ip.to_string())]);
    }
}

/// One IPv4 reservation, for changing a network while it runs.
pub fn reservation_v4(reservation: &Reservation) -> Option<String> {
    one(reservation, write_v4)
}

/// One IPv6 reservation.
pub fn reservation_v6(reservation: &Reservation) -> Option<String> {
    one(reservation, write_v6)
}

fn one(reservation: &Reservation, write: fn(&mut Writer, &Reservation)) -> Option<String> {
    let mut w = Writer::default();
    write(&mut w, reservation);
    Some(w.finish()).filter(|xml| !xml.is_empty())
}
