//! A network's record.

use maquette_core::blueprint::{
    Carrier, DirectNics, Network, NodeVolumes, Reservation, Volume, may_be_under_its_name,
};
use maquette_core::names::EnvName;
use maquette_core::topology::{Allocation, Bootp, DirectMode, Forward, Srv};
use roxmltree::Node as Element;
use uuid::Uuid;

use super::super::Writer;
use super::fields::{
    Few, Field, List, Many, NameOtherwiseOwn, Named, Names, One, Optional, OwnName, OwnUuid, Range,
    Required, Set, Source, Tree, Where, Words, record,
};
use super::pools::{DiskPoolFields, PoolFields};
use super::switching::{FixedFields, GroupFields, TuningFields, UplinkFields, VswitchFields, hook};
use super::{MetadataError, schema, sealed};

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

const ELEMENT: &str = "network";

/// Elements in the order that they have always been written in.
const ORDER: [&str; 14] = [
    "uplink",
    "macvtap",
    "static",
    "vswitch",
    "portgroup",
    "group",
    "tuning",
    "port",
    "route",
    "srv",
    "forwarder",
    "bootp",
    "reservation",
    "tenant",
];

/// Writes a network's record. Reservations and addresses are read back from here too, so that no
/// form of libvirt's own needs understanding.
pub fn write_network(w: &mut Writer, record: &NetworkRecord) {
    sealed(w, ELEMENT, |tree| {
        RecordFields.write(record, tree);
        hook::write(&record.network, tree);
        tree.order(&ORDER);
    });
}

/// Reads a network's record; the network's own name and identifier come from libvirt.
pub fn read_network(
    element: Element<'_, '_>,
    name: &str,
    uuid: Uuid,
) -> Result<NetworkRecord, MetadataError> {
    let from = Source { element, name, uuid };
    schema(from)?;
    RecordFields.read(from)
}

/// Whose record it is, in words, if not that of a network of this name; of one that cannot be used.
pub fn network_of_another(
    element: Element<'_, '_>,
    of: &EnvName,
    (name, uuid): (&str, Uuid),
) -> Option<String> {
    let bridge = element.attribute("bridge");
    (!may_be_under_its_name(of, name, uuid, bridge))
        .then(|| format!("a record of environment `{of}`"))
}

/// Tells the attributes of a network's record.
pub(super) fn names(names: &mut Names) {
    RecordFields.names(ELEMENT, names);
    hook::names(names);
}

record!(RecordFields: NetworkRecord {
    environment: Required("environment"),
    allocation: AllocationFields,
    network: NetworkFields,
});

record!(AllocationFields: Allocation { net: Required("net"), data_net: Required("data-net") });

record!(NetworkFields: Network {
    name: OwnName,
    uuid: OwnUuid,
    bridge: NameOtherwiseOwn("bridge"),
    carrier: CarrierFields,
    ipv4: Optional("ipv4"),
    dhcp4: Range("dhcp4-start", "dhcp4-end"),
    ipv6: Optional("ipv6"),
    dhcp6: Range("dhcp6-start", "dhcp6-end"),
    domain: Optional("domain"),
    tftp_root: Optional("tftp-root"),
    mtu: Optional("mtu"),
    autostart: Required("autostart"),
    stp: Set("stp"),
    groups: Few("group", GroupFields),
    fixed: One("static", FixedFields),
    tuning: TuningFields,
    srvs: Many("srv", SrvFields),
    forwarders: Many("forwarder", Required("address")),
    bootp: One("bootp", BootpFields),
    reservations: Many("reservation", ReservationFields),
    tenants: Many("tenant", TenantFields),
});

/// A word, and an element for what belongs to it.
struct CarrierFields;

const FORWARD: Words<Forward> = Words("forward", forward_word, &Forward::ALL);
const UPLINK: One<UplinkFields> = One("uplink", UplinkFields);
const VSWITCH: Where<VswitchFields> = Where("vswitch", VswitchFields);
const DIRECT: One<DirectFields> = One("macvtap", DirectFields);

impl Named for CarrierFields {
    fn names(&self, element: &'static str, names: &mut Names) {
        FORWARD.names(element, names);
        UPLINK.names(element, names);
        VSWITCH.names(element, names);
        DIRECT.names(element, names);
    }
}

impl Field<Carrier> for CarrierFields {
    fn write(&self, carrier: &Carrier, tree: &mut Tree) {
        FORWARD.write(&carrier.forward(), tree);
        UPLINK.write(&carrier.uplink().cloned(), tree);
        VSWITCH.write(&carrier.vswitch().cloned(), tree);
        DIRECT.write(&carrier.direct().map(|(_, own)| own.clone()), tree);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Carrier, MetadataError> {
        let forward = FORWARD.read(from)?;
        let (uplink, vswitch) = (UPLINK.read(from)?, VSWITCH.read(from)?);
        let direct: Option<DirectNics> = DIRECT.read(from)?;
        let direct = direct.filter(|own| !own.nics.is_empty());
        let carrier = Carrier::of(forward, uplink, vswitch, direct);
        carrier.ok_or_else(|| MetadataError::Attribute("forward".into()))
    }
}

record!(DirectFields: DirectNics { nics: List("nics"), chosen: Required("chosen") });

record!(SrvFields: Srv {
    name: Required("name"),
    protocol: Required("protocol"),
    domain: Optional("domain"),
    port: Optional("port"),
    target: Optional("target"),
});

record!(BootpFields: Bootp {
    file: Optional("file"),
    server: Optional("server"),
    uefi: Optional("uefi"),
    ipxe: Optional("ipxe"),
    http: Optional("http"),
});

record!(ReservationFields: Reservation {
    name: Required("name"),
    mac: Required("mac"),
    ipv4: Optional("ipv4"),
    ipv6: Optional("ipv6"),
});

record!(TenantFields: NodeVolumes {
    node: Required("node"),
    pool: PoolFields,
    volumes: Many("volume", VolumeFields),
    extension: Set("extension"),
});

record!(VolumeFields: Volume { name: Required("name"), pool: DiskPoolFields });

fn forward_word(forward: Forward) -> &'static str {
    match forward {
        Forward::Isolated => "isolated",
        Forward::Nat => "nat",
        Forward::Route => "route",
        Forward::Open => "open",
        Forward::Bridge => "bridge",
        Forward::OpenVswitch => "openvswitch",
        Forward::Direct(DirectMode::Private) => "private",
        Forward::Direct(DirectMode::Vepa) => "vepa",
        Forward::Direct(DirectMode::Passthrough) => "passthrough",
    }
}
