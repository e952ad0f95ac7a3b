//! A domain's record.

use maquette_core::blueprint::{Access, Bmc, Disk, Guest, Node, Pool, Vnc, has_own_identifier};
use maquette_core::expand::MOST_INDEX;
use maquette_core::names::EnvName;
use maquette_core::topology::{
    BmcProtocol, BootDigest, BootMode, Bus, Preallocation, SeedDrive, VirtType,
};
use maquette_core::values::{ConnectionPlugin, FileName, NodeName, NodeType};
use roxmltree::Node as Element;
use uuid::Uuid;

use super::super::Writer;
use super::fields::{
    Added, Backing, Bytes, Few, Field, Filled, Formerly, Groups, Many, Named, Names, One, Optional,
    OptionalWithin, Otherwise, OwnName, OwnUuid, Required, Set, Source, Unwritten, Within, Word,
    Words, optional_text, record,
};
use super::interface::InterfaceFields;
use super::pools::{DiskPoolFields, PoolFields};
use super::{MetadataError, schema, sealed};

/// A domain's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Environment it belongs to.
    pub environment: EnvName,
    /// Pool of its volumes.
    pub pool: Pool,
    /// What it was made from.
    pub node: Node,
}

impl NodeRecord {
    /// The name of the node that it is the record of: a copy of a domain has the record of what it is a copy of.
    pub fn node_name(&self) -> NodeName {
        NodeName::of(&self.environment, &self.node.role, self.node.index)
    }
}

const ELEMENT: &str = "node";

/// Writes a domain's record.
pub fn write_node(w: &mut Writer, record: &NodeRecord) {
    sealed(w, ELEMENT, |tree| RecordFields.write(record, tree));
}

/// Reads a domain's record; the domain's own name and identifier come from libvirt.
pub fn read_node(
    element: Element<'_, '_>,
    name: &str,
    uuid: Uuid,
) -> Result<NodeRecord, MetadataError> {
    let from = Source { element, name, uuid };
    schema(from)?;
    RecordFields.read(from)
}

/// Whose record it is, in words, if not that of a domain of this name; of one that cannot be used.
pub fn node_of_another(
    element: Element<'_, '_>,
    of: &EnvName,
    (name, uuid): (&str, Uuid),
) -> Option<String> {
    // Somebody has changed what the record says of itself, and not the domain.
    if of.may_call(name) && has_own_identifier(of, name, uuid) {
        return None;
    }
    let role: Option<NodeType> = element.attribute("role").and_then(|role| role.parse().ok());
    let index: Option<u32> = element.attribute("index").and_then(|index| index.parse().ok());
    match role.zip(index.filter(|index| *index <= MOST_INDEX)) {
        Some((role, index)) => {
            let own = NodeName::of(of, &role, index);
            (own.as_str() != name).then(|| format!("the record of `{own}`"))
        }
        None => (!of.may_call(name)).then(|| format!("a record of environment `{of}`")),
    }
}

/// Tells the attributes of a domain's record.
pub(super) fn names(names: &mut Names) {
    RecordFields.names(ELEMENT, names);
}

record!(RecordFields: NodeRecord {
    environment: Required("environment"),
    pool: PoolFields,
    node: NodeFields,
});

/// More bytes than a number holds are nobody's memory, in MiB.
pub(super) const MOST_MIB: u64 = u64::MAX >> 20;

record!(NodeFields: Node {
    name: OwnName,
    uuid: OwnUuid,
    role: Required("role"),
    index: Within("index", 0..=MOST_INDEX),
    virt: Word("virt", VirtType::as_str),
    vcpus: Required("vcpus"),
    cpu_model: Required("cpu-model"),
    memory_mib: Within("memory-mib", 1..=MOST_MIB),
    memory_max_mib: OptionalWithin("memory-max-mib", 1..=MOST_MIB),
    machine: Required("machine"),
    firmware: Words("firmware", firmware_word, &[BootMode::Bios, BootMode::Uefi]),
    deploy_os: Required("deploy-os"),
    vnc: VncFields,
    serial_file: Added("serial-file"),
    virtopts: Filled("virtopts"),
    boot: Many("boot", Required("device")),
    bmc: One("bmc", BmcFields),
    access: AccessFields,
    disks: Many("disk", DiskFields),
    interfaces: Many("interface", InterfaceFields),
    groups: Groups(Many("group", Required("name"))),
    guest: One("guest", GuestFields),
});

record!(VncFields: Vnc {
    external: Added("vnc-external"),
    // Its tag tells it from others, and everybody may read this.
    password: Unwritten,
    tag: optional_text::<FileName>("vnc-tag"),
});

record!(BmcFields: Bmc {
    protocol: Word("protocol", BmcProtocol::as_str),
    network: Required("network"),
    address: Required("address"),
    own_address: Set("own-address"),
    redfish_port: Required("redfish-port"),
    ipmi_port: Required("ipmi-port"),
    provisioning: Optional("provisioning"),
});

record!(AccessFields: Access {
    address: Optional("address"),
    user: Required("user"),
    connection: Formerly("connection", ConnectionPlugin::of_record),
    direct: Set("direct"),
});

record!(DiskFields: Disk {
    volume: Required("volume"),
    device: Required("device"),
    bus: Word("bus", Bus::as_str),
    cache: Required("cache"),
    size: Bytes("bytes"),
    backing: Backing("image", "image-volume"),
    preallocation: Words(
        "preallocation",
        preallocation_word,
        &[Preallocation::Off, Preallocation::Metadata, Preallocation::Full],
    ),
    serial: Optional("serial"),
    pool: DiskPoolFields,
});

record!(GuestFields: Guest {
    seed: Required("seed"),
    drive: Otherwise("seed-drive", had_a_disk),
    user: Required("user"),
    authorized_key: Required("authorized-key"),
    shared: Few("shared", Required("key")),
    host_key: Required("host-key"),
    generation: Optional("generation"),
    timezone: Optional("timezone"),
    swap_mib: Within("swap-mib", 0..=MOST_MIB),
    first_boot: Optional("first-boot"),
    first_boot_parts: Few("first-boot-part", BootDigestFields),
});

record!(BootDigestFields: BootDigest {
    part: Required("part"),
    content: Required("content"),
});

/// Seeds of the first version were disks.
fn had_a_disk(_: Source<'_, '_>) -> Result<SeedDrive, MetadataError> {
    Ok(SeedDrive::Disk)
}

fn firmware_word(mode: BootMode) -> &'static str {
    match mode {
        BootMode::Bios => "bios",
        BootMode::Uefi => "uefi",
    }
}

fn preallocation_word(preallocation: Preallocation) -> &'static str {
    match preallocation {
        Preallocation::Off => "off",
        Preallocation::Metadata => "metadata",
        Preallocation::Full => "full",
    }
}
