//! What a network's record says of the hypervisor's side: NIC, VLANs, how its bridge behaves.

use std::str::FromStr;

use maquette_core::blueprint::{
    Fixed, HostPort, Network, Portgroup, Route, Tag, Tuning, Uplink, Vswitch,
};
use maquette_core::topology::Dhcp;
use maquette_core::values::{Line, Name};
use roxmltree::Node as Element;

use super::super::Writer;
use super::{Attributes, MetadataError, children, maybe, need, text};

/// What a network has on the hypervisor besides libvirt's own. The hook on the hypervisor reads
/// `tuning`, `port` and `route`: `assets/network-hook.sh` of the engine.
pub(super) fn switching(w: &mut Writer, network: &Network) {
    if let Some(uplink) = &network.uplink {
        let attributes = Attributes::new()
            .put("nic", &uplink.nic)
            .put("chosen", uplink.chosen)
            .maybe("address", uplink.address)
            .put("stp", uplink.stp)
            .maybe("mtu", uplink.mtu);
        w.empty("maquette:uplink", &attributes.refs());
    }
    if let Some(fixed) = &network.fixed {
        let attributes = Attributes::new()
            .put("net", fixed.net)
            .maybe("start", fixed.range.map(|r| r.start))
            .maybe("end", fixed.range.map(|r| r.end))
            .maybe("gateway", fixed.gateway)
            .maybe("nameserver", fixed.nameserver);
        w.empty("maquette:static", &attributes.refs());
    }
    if let Some(vswitch) = &network.vswitch {
        w.empty("maquette:vswitch", &[("userspace", &vswitch.userspace.to_string())]);
        for group in &vswitch.portgroups {
            let tags: Vec<String> = group
                .tags
                .iter()
                .map(|t| format!("{}{}", t.id, if t.native { "n" } else { "" }))
                .collect();
            let attributes = Attributes::new()
                .put("name", &group.name)
                .put("default", group.default)
                .put("trunk", group.trunk)
                .put("tags", tags.join(" "));
            w.empty("maquette:portgroup", &attributes.refs());
        }
    }
    if !network.needs_hook() {
        return;
    }
    let tuning = &network.tuning;
    let guard = network.uplink.as_ref().filter(|u| u.guard).map(|u| &u.nic);
    let attributes = Attributes::new()
        .put("bridge", &network.bridge)
        .put("link-local", tuning.link_local)
        .put("hub", tuning.hub)
        .put("querier", tuning.querier)
        .maybe("guard", guard);
    w.empty("maquette:tuning", &attributes.refs());
    for port in network.vswitch.iter().flat_map(|v| &v.ports) {
        let addresses: Vec<String> = port.addresses.iter().map(ToString::to_string).collect();
        let attributes = Attributes::new()
            .put("name", &port.name)
            .maybe("tag", port.tag)
            .put("addresses", addresses.join(" "));
        w.empty("maquette:port", &attributes.refs());
    }
    for route in &tuning.routes {
        let attributes = Attributes::new().put("net", route.net).maybe("via", route.via);
        w.empty("maquette:route", &attributes.refs());
    }
}

pub(super) fn read_tuning(network: Element<'_, '_>) -> Result<Tuning, MetadataError> {
    let Some(element) = children(network, "tuning").next() else { return Ok(Tuning::default()) };
    let route = |r| Ok(Route { net: need(r, "net")?, via: maybe(r, "via")? });
    Ok(Tuning {
        link_local: need(element, "link-local")?,
        hub: need(element, "hub")?,
        querier: need(element, "querier")?,
        routes: children(network, "route").map(route).collect::<Result<_, MetadataError>>()?,
    })
}

pub(super) fn read_uplink(
    element: Element<'_, '_>,
    network: Element<'_, '_>,
) -> Result<Uplink, MetadataError> {
    let guard = children(network, "tuning").any(|t| t.has_attribute("guard"));
    Ok(Uplink {
        nic: text::<Name>(element, "nic")?,
        chosen: need(element, "chosen")?,
        address: maybe(element, "address")?,
        stp: need(element, "stp")?,
        guard,
        mtu: maybe(element, "mtu")?,
    })
}

pub(super) fn read_vswitch(
    element: Element<'_, '_>,
    network: Element<'_, '_>,
) -> Result<Vswitch, MetadataError> {
    fn words<T: FromStr>(element: Element<'_, '_>, key: &str) -> Result<Vec<T>, MetadataError> {
        let text: String = need(element, key)?;
        let parse = |w: &str| w.parse().map_err(|_| MetadataError::Attribute(key.into()));
        text.split_whitespace().map(parse).collect()
    }
    let port = |p| {
        Ok(HostPort {
            name: text::<Name>(p, "name")?,
            tag: maybe(p, "tag")?,
            addresses: words(p, "addresses")?,
        })
    };
    let tag = |text: &String| {
        let id = text.trim_end_matches('n').parse();
        let id = id.map_err(|_| MetadataError::Attribute("tags".into()))?;
        Ok(Tag { id, native: text.ends_with('n') })
    };
    let portgroup = |p| {
        Ok(Portgroup {
            name: text::<Line>(p, "name")?,
            default: need(p, "default")?,
            trunk: need(p, "trunk")?,
            tags: words::<String>(p, "tags")?
                .iter()
                .map(tag)
                .collect::<Result<_, MetadataError>>()?,
        })
    };
    Ok(Vswitch {
        userspace: need(element, "userspace")?,
        ports: children(network, "port").map(port).collect::<Result<_, MetadataError>>()?,
        portgroups: children(network, "portgroup")
            .map(portgroup)
            .collect::<Result<_, MetadataError>>()?,
    })
}

pub(super) fn read_fixed(element: Element<'_, '_>) -> Result<Fixed, MetadataError> {
    let range = maybe(element, "start")?.zip(maybe(element, "end")?);
    Ok(Fixed {
        net: need(element, "net")?,
        range: range.map(|(start, end)| Dhcp { start, end }),
        gateway: maybe(element, "gateway")?,
        nameserver: maybe(element, "nameserver")?,
    })
}
