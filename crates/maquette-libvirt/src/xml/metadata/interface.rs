//! How a domain's record has its interfaces: flat, as the first version wrote them.

use std::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};
use maquette_core::blueprint::{Attachment, Checksums, Interface, Ipv4Setup};
use maquette_core::units::MacAddr;
use maquette_core::values::{DeviceModel, InterfaceName, Mtu, Name, NetworkName};

use super::MetadataError;
use super::fields::{
    Field, Named, Names, Optional, OptionalOtherwise, Otherwise, Required, Set, Source, Tree,
    record,
};

/// An interface, an attribute for each of these.
struct Flat {
    name: InterfaceName,
    mac: MacAddr,
    network: NetworkName,
    model: DeviceModel,
    portgroup: Option<Name>,
    host_bridge: bool,
    ipv4: Option<Ipv4Net>,
    ipv6: Option<Ipv6Net>,
    default_route: bool,
    dhcp: bool,
    gateway: Option<Ipv4Addr>,
    nameserver: Option<Ipv4Addr>,
    mtu: Option<Mtu>,
    foreign_bridge: bool,
    direct: bool,
    plain_frames: bool,
}

record!(FlatFields: Flat {
    name: Required("name"),
    mac: Required("mac"),
    network: Required("network"),
    model: Required("model"),
    portgroup: Optional("portgroup"),
    host_bridge: Set("host-bridge"),
    ipv4: Optional("ipv4"),
    ipv6: Optional("ipv6"),
    default_route: Required("default-route"),
    dhcp: Otherwise("dhcp", had_default_route),
    gateway: Optional("gateway"),
    nameserver: Optional("nameserver"),
    mtu: OptionalOtherwise("mtu", mtu_of_guest),
    foreign_bridge: Set("foreign-bridge"),
    direct: Set("direct"),
    plain_frames: Set("plain-frames"),
});

/// An interface of a record.
pub(super) struct InterfaceFields;

impl Named for InterfaceFields {
    fn names(&self, element: &'static str, names: &mut Names) {
        FlatFields.names(element, names);
    }
}

impl Field<Interface> for InterfaceFields {
    fn write(&self, value: &Interface, tree: &mut Tree) {
        FlatFields.write(&Flat::from(value), tree);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Interface, MetadataError> {
        FlatFields.read(from).map(Interface::from)
    }
}

impl From<&Interface> for Flat {
    fn from(interface: &Interface) -> Self {
        let Interface { name, mac, network, attachment, model, ipv4, ipv6, default_route, mtu } =
            interface;
        let (gateway, nameserver) = match *ipv4 {
            Ipv4Setup::Static { address: _, gateway, nameserver } => (gateway, nameserver),
            Ipv4Setup::Off | Ipv4Setup::Dhcp { .. } => (None, None),
        };
        Self {
            name: name.clone(),
            mac: *mac,
            network: network.clone(),
            model: model.clone(),
            portgroup: attachment.portgroup().cloned(),
            host_bridge: *attachment == Attachment::HostBridge,
            ipv4: ipv4.address(),
            ipv6: *ipv6,
            default_route: *default_route,
            dhcp: ipv4.asks_dhcp(),
            gateway,
            nameserver,
            mtu: *mtu,
            foreign_bridge: !matches!(attachment, Attachment::Network { .. } | Attachment::Direct),
            direct: *attachment == Attachment::Direct,
            plain_frames: attachment.checksums() == Checksums::Guest,
        }
    }
}

impl From<Flat> for Interface {
    fn from(flat: Flat) -> Self {
        let Flat {
            name,
            mac,
            network,
            model,
            portgroup,
            host_bridge,
            ipv4,
            ipv6,
            default_route,
            dhcp,
            gateway,
            nameserver,
            mtu,
            foreign_bridge,
            direct,
            plain_frames,
        } = flat;
        let attachment = if host_bridge {
            Attachment::HostBridge
        } else if direct {
            Attachment::Direct
        } else if foreign_bridge {
            let checksums = if plain_frames { Checksums::Guest } else { Checksums::Hypervisor };
            Attachment::OtherBridge { portgroup, checksums }
        } else {
            Attachment::Network { portgroup }
        };
        let ipv4 = match ipv4 {
            reserved if dhcp => Ipv4Setup::Dhcp { reserved },
            Some(address) => Ipv4Setup::Static { address, gateway, nameserver },
            None => Ipv4Setup::Off,
        };
        Self { name, mac, network, attachment, model, ipv4, ipv6, default_route, mtu }
    }
}

/// Interfaces of the first version asked DHCP where they had the default route.
fn had_default_route(from: Source<'_, '_>) -> Result<bool, MetadataError> {
    let route: Option<bool> = from.get("default-route")?;
    Ok(route == Some(true) && from.element.has_attribute("ipv4"))
}

/// The first version recorded one MTU, that of all interfaces, with the guest.
fn mtu_of_guest(from: Source<'_, '_>) -> Result<Option<Mtu>, MetadataError> {
    let guest = from.parent().and_then(|node| node.child("guest"));
    Ok(guest.map(|guest| guest.get("mtu")).transpose()?.flatten())
}
