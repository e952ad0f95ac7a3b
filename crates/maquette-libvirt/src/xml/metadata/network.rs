//! A network's record.

use maquette_core::blueprint::{Network, Reservation, Tenant};
use maquette_core::names::EnvName;
use maquette_core::topology::{Allocation, Dhcp, Forward, Srv};
use maquette_core::values::{FileName, Name};
use roxmltree::Node as Element;
use uuid::Uuid;

use super::super::Writer;
use super::switching::{read_fixed, read_tuning, read_uplink, read_vswitch, switching};
use super::{
    Attributes, DIGEST, MetadataError, NAMESPACE, SCHEMA, children, maybe, need, own_name, pool,
    schema, sealed, some_text, text,
};

/// A network's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRecord {
    /// Environment it belongs to.
    pub environment: EnvName,
    /// The environment's allocation.
    pub allocation: Allocation,
    /// What it was made from.
    pub network: Network,
}
/// Writes a network's record. Reservations and addresses are read back from here too, so that no
/// form of libvirt's own needs understanding.
pub fn write_network(w: &mut Writer, record: &NetworkRecord) {
    sealed(w, |w, digest| network_element(w, record, digest));
}

fn network_element(w: &mut Writer, record: &NetworkRecord, digest: Option<String>) {
    let NetworkRecord { environment, allocation, network } = record;
    let attributes = Attributes::new()
        .put("xmlns:maquette", NAMESPACE)
        .put("schema", SCHEMA)
        .maybe(DIGEST, digest)
        .put("bridge", &network.bridge)
        .put("environment", environment)
        .put("net", allocation.net)
        .put("data-net", allocation.data_net)
        .put("forward", forward_word(network.forward))
        .maybe("ipv4", network.ipv4)
        .maybe("dhcp4-start", network.dhcp4.map(|d| d.start))
        .maybe("dhcp4-end", network.dhcp4.map(|d| d.end))
        .maybe("ipv6", network.ipv6)
        .maybe("dhcp6-start", network.dhcp6.map(|d| d.start))
        .maybe("dhcp6-end", network.dhcp6.map(|d| d.end))
        .maybe("domain", network.domain.as_ref())
        .maybe("mtu", network.mtu)
        .put("autostart", network.autostart)
        .maybe("stp", network.stp.then_some(true));
    w.element("maquette:network", &attributes.refs(), |w| {
        switching(w, network);
        for srv in &network.srvs {
            let attributes = Attributes::new()
                .put("name", &srv.name)
                .put("protocol", &srv.protocol)
                .maybe("domain", srv.domain.as_ref())
                .maybe("port", srv.port)
                .maybe("target", srv.target.as_ref());
            w.empty("maquette:srv", &attributes.refs());
        }
        for reservation in &network.reservations {
            let attributes = Attributes::new()
                .put("name", &reservation.name)
                .put("mac", reservation.mac)
                .maybe("ipv4", reservation.ipv4)
                .maybe("ipv6", reservation.ipv6);
            w.empty("maquette:reservation", &attributes.refs());
        }
        for tenant in &network.tenants {
            let attributes = Attributes::new()
                .put("node", &tenant.node)
                .put("pool", &tenant.pool.name)
                .put("pool-path", &tenant.pool.path);
            w.element("maquette:tenant", &attributes.refs(), |w| {
                for volume in &tenant.volumes {
                    w.empty("maquette:volume", &[("name", volume)]);
                }
            });
        }
    });
}

fn read_tenant(element: Element<'_, '_>) -> Result<Tenant, MetadataError> {
    Ok(Tenant {
        node: text::<Name>(element, "node")?,
        pool: pool(element)?,
        volumes: children(element, "volume")
            .map(|v| text::<FileName>(v, "name"))
            .collect::<Result<_, _>>()?,
    })
}

/// Reads a network's record; the network's own name and identifier come from libvirt.
pub fn read_network(
    element: Element<'_, '_>,
    name: &str,
    uuid: Uuid,
) -> Result<NetworkRecord, MetadataError> {
    schema(element)?;
    let dhcp =
        |start: Option<_>, end: Option<_>| start.zip(end).map(|(start, end)| Dhcp { start, end });
    let network = Network {
        name: own_name(name)?,
        bridge: some_text::<Name>(element, "bridge")?.unwrap_or_else(|| name.into()),
        uuid,
        forward: match need::<String>(element, "forward")?.as_str() {
            "isolated" => Forward::Isolated,
            "nat" => Forward::Nat,
            "route" => Forward::Route,
            "bridge" => Forward::Bridge,
            "openvswitch" => Forward::OpenVswitch,
            _ => return Err(MetadataError::Attribute("forward".into())),
        },
        ipv4: maybe(element, "ipv4")?,
        dhcp4: dhcp(maybe(element, "dhcp4-start")?, maybe(element, "dhcp4-end")?),
        ipv6: maybe(element, "ipv6")?,
        dhcp6: maybe(element, "dhcp6-start")?
            .zip(maybe(element, "dhcp6-end")?)
            .map(|(start, end)| Dhcp { start, end }),
        domain: maybe(element, "domain")?,
        srvs: children(element, "srv")
            .map(|s| {
                Ok(Srv {
                    name: need(s, "name")?,
                    protocol: need(s, "protocol")?,
                    domain: maybe(s, "domain")?,
                    port: maybe(s, "port")?,
                    target: maybe(s, "target")?,
                })
            })
            .collect::<Result<_, MetadataError>>()?,
        mtu: maybe(element, "mtu")?,
        autostart: need(element, "autostart")?,
        stp: maybe(element, "stp")?.unwrap_or(false),
        tuning: read_tuning(element)?,
        uplink: children(element, "uplink").next().map(|u| read_uplink(u, element)).transpose()?,
        vswitch: children(element, "vswitch")
            .next()
            .map(|v| read_vswitch(v, element))
            .transpose()?,
        fixed: children(element, "static").next().map(read_fixed).transpose()?,
        reservations: children(element, "reservation")
            .map(|r| {
                Ok(Reservation {
                    name: text::<Name>(r, "name")?,
                    mac: need(r, "mac")?,
                    ipv4: maybe(r, "ipv4")?,
                    ipv6: maybe(r, "ipv6")?,
                })
            })
            .collect::<Result<_, MetadataError>>()?,
        tenants: children(element, "tenant").map(read_tenant).collect::<Result<_, _>>()?,
    };
    Ok(NetworkRecord {
        environment: need(element, "environment")?,
        allocation: Allocation { net: need(element, "net")?, data_net: need(element, "data-net")? },
        network,
    })
}

fn forward_word(forward: Forward) -> &'static str {
    match forward {
        Forward::Isolated => "isolated",
        Forward::Nat => "nat",
        Forward::Route => "route",
        Forward::Bridge => "bridge",
        Forward::OpenVswitch => "openvswitch",
    }
}
