//! What a network's record says of the hypervisor's side: NIC, VLANs, how its bridge behaves.

use std::fmt;
use std::str::FromStr;

use maquette_core::blueprint::{
    BridgeOptions, Fixed, HostPort, PlainGroup, Portgroup, Route, Tag, Uplink, Vswitch,
};
use maquette_core::values::ValueError;

use super::MetadataError;
use super::fields::{
    Field, List, Many, Named, Names, On, Optional, Range, Required, Set, Source, Tree, record,
};

record!(UplinkFields: Uplink {
    nic: Required("nic"),
    chosen: Required("chosen"),
    address: Optional("address"),
    stp: Required("stp"),
    guard: Guarded,
    mtu: Optional("mtu"),
});

record!(FixedFields: Fixed {
    net: Required("net"),
    range: Range("start", "end"),
    gateway: Optional("gateway"),
    nameserver: Optional("nameserver"),
});

record!(VswitchFields: Vswitch {
    userspace: On("vswitch", Required("userspace")),
    portgroups: Many("portgroup", PortgroupFields),
    ports: Many("port", PortFields),
});

record!(PortgroupFields: Portgroup {
    name: Required("name"),
    default: Required("default"),
    trunk: Required("trunk"),
    tags: Tags("tags"),
});

record!(GroupFields: PlainGroup { name: Required("name"), default: Set("default") });

record!(PortFields: HostPort {
    name: Required("name"),
    tag: Optional("tag"),
    addresses: List("addresses"),
});

record!(RouteFields: Route { net: Required("net"), via: Optional("via") });

/// VLANs in one attribute; `n` stands behind one whose frames have no tag.
struct Tags(&'static str);

/// A VLAN as a word.
struct Written(Tag);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tag { id, native } = self.0;
        write!(f, "{id}{}", if native { "n" } else { "" })
    }
}

impl FromStr for Written {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, native) = text.strip_suffix('n').map_or((text, false), |id| (id, true));
        Ok(Self(Tag { id: id.parse()?, native }))
    }
}

impl Named for Tags {
    fn names(&self, element: &'static str, names: &mut Names) {
        List(self.0).names(element, names);
    }
}

impl Field<Vec<Tag>> for Tags {
    fn write(&self, value: &Vec<Tag>, tree: &mut Tree) {
        List(self.0).write(&value.iter().cloned().map(Written).collect(), tree);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Vec<Tag>, MetadataError> {
        let tags: Vec<Written> = List(self.0).read(from)?;
        Ok(tags.into_iter().map(|Written(tag)| tag).collect())
    }
}

/// Whether a NIC is guarded: the hook is told, see [`hook`].
struct Guarded;

impl Named for Guarded {
    fn names(&self, _: &'static str, _: &mut Names) {}
}

impl Field<bool> for Guarded {
    fn write(&self, _: &bool, _: &mut Tree) {}

    fn read(&self, from: Source<'_, '_>) -> Result<bool, MetadataError> {
        let hook = from.parent().map(hook::read).transpose()?.flatten();
        Ok(hook.is_some_and(|hook| hook.guard.is_some()))
    }
}

/// What a bridge does that libvirt knows nothing of: the hook is told most of it, see [`hook`].
pub(super) struct TuningFields;

const ROUTES: Many<RouteFields> = Many("route", RouteFields);

impl Named for TuningFields {
    fn names(&self, element: &'static str, names: &mut Names) {
        ROUTES.names(element, names);
    }
}

impl Field<BridgeOptions> for TuningFields {
    fn write(&self, value: &BridgeOptions, tree: &mut Tree) {
        let BridgeOptions { link_local: _, hub: _, querier: _, routes } = value;
        ROUTES.write(routes, tree);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<BridgeOptions, MetadataError> {
        let Some(hook) = hook::read(from)? else { return Ok(BridgeOptions::default()) };
        let hook::Hook { bridge: _, network: _, link_local, hub, querier, guard: _ } = hook;
        Ok(BridgeOptions { link_local, hub, querier, routes: ROUTES.read(from)? })
    }
}

/// What the hook on the hypervisor reads, besides `port` and `route`: `assets/network-hook.sh` of the
/// engine.
pub(super) mod hook {
    use maquette_core::blueprint::{BridgeOptions, Network};
    use maquette_core::values::{InterfaceName, NetworkName};

    use super::super::MetadataError;
    use super::super::fields::{
        Field, Named, Names, One, Optional, Required, Source, Tree, record,
    };

    /// What it reads in one element.
    pub(in super::super) struct Hook {
        pub(super) bridge: InterfaceName,
        /// The network that this was written for: a copy has it, too. Earlier releases have not written it.
        pub(super) network: Option<NetworkName>,
        pub(super) link_local: bool,
        pub(super) hub: bool,
        pub(super) querier: bool,
        /// The NIC that is guarded.
        pub(super) guard: Option<InterfaceName>,
    }

    record!(HookFields: Hook {
        bridge: Required("bridge"),
        network: Optional("network"),
        link_local: Required("link-local"),
        hub: Required("hub"),
        querier: Required("querier"),
        guard: Optional("guard"),
    });

    const TUNING: One<HookFields> = One("tuning", HookFields);

    pub(in super::super) fn write(network: &Network, tree: &mut Tree) {
        let BridgeOptions { link_local, hub, querier, routes: _ } = network.tuning;
        let guarded = network.carrier.uplink().filter(|u| u.guard);
        let hook = Hook {
            bridge: network.bridge.clone(),
            network: Some(network.name.clone()),
            link_local,
            hub,
            querier,
            guard: guarded.map(|u| u.nic.clone()),
        };
        TUNING.write(&network.needs_hook().then_some(hook), tree);
    }

    pub(in super::super) fn read(from: Source<'_, '_>) -> Result<Option<Hook>, MetadataError> {
        TUNING.read(from)
    }

    pub(in super::super) fn names(names: &mut Names) {
        TUNING.names("", names);
    }
}
