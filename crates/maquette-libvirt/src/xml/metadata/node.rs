//! A domain's record.

use maquette_core::blueprint::{Access, Disk, Guest, Image, Interface, Node, Pool, Vnc};
use maquette_core::names::EnvName;
use maquette_core::topology::{BootMode, Preallocation, VirtType};
use maquette_core::units::ByteSize;
use maquette_core::values::{DiskKey, FileName, Group, Line, Name};
use roxmltree::Node as Element;
use uuid::Uuid;

use super::super::Writer;
use super::{
    Attributes, DIGEST, MetadataError, NAMESPACE, SCHEMA, children, maybe, need, own_name, pool,
    schema, sealed, some_text, text,
};

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
/// Writes a domain's record.
pub fn write_node(w: &mut Writer, record: &NodeRecord) {
    sealed(w, |w, digest| node_element(w, record, digest));
}

fn node_element(w: &mut Writer, record: &NodeRecord, digest: Option<String>) {
    let NodeRecord { environment, pool, node } = record;
    let attributes = Attributes::new()
        .put("xmlns:maquette", NAMESPACE)
        .put("schema", SCHEMA)
        .maybe(DIGEST, digest)
        .put("environment", environment)
        .put("pool", &pool.name)
        .put("pool-path", &pool.path)
        .put("role", &node.role)
        .put("index", node.index)
        .put("virt", node.virt.as_str())
        .put("vcpus", node.vcpus)
        .put("cpu-model", &node.cpu_model)
        .put("memory-mib", node.memory_mib)
        .put("machine", &node.machine)
        .put("firmware", firmware_word(node.firmware))
        .put("deploy-os", node.deploy_os)
        .put("vnc-external", node.vnc.external)
        .maybe("vnc-tag", node.vnc.tag.as_ref())
        .put("serial-file", node.serial_file)
        .maybe("virtopts", Some(&node.virtopts).filter(|v| !v.is_empty()))
        .maybe("address", node.access.address)
        .put("user", &node.access.user)
        .put("connection", &node.access.connection)
        .maybe("direct", node.access.direct.then_some(true));
    w.element("maquette:node", &attributes.refs(), |w| {
        for disk in &node.disks {
            let attributes = Attributes::new()
                .put("volume", &disk.volume)
                .put("device", &disk.device)
                .put("bus", disk.bus.as_str())
                .put("cache", &disk.cache)
                .maybe("bytes", disk.size.map(|s| s.0))
                .maybe("image", disk.backing.as_ref().map(Image::shown))
                .maybe("image-volume", disk.backing.as_ref().map(|i| &i.volume))
                .put("preallocation", preallocation_word(disk.preallocation));
            w.empty("maquette:disk", &attributes.refs());
        }
        for interface in &node.interfaces {
            let attributes = Attributes::new()
                .put("name", &interface.name)
                .put("mac", interface.mac)
                .put("network", &interface.network)
                .put("model", &interface.model)
                .maybe("portgroup", interface.portgroup.as_ref())
                .maybe("host-bridge", interface.host_bridge.then_some(true))
                .maybe("ipv4", interface.ipv4)
                .maybe("ipv6", interface.ipv6)
                .put("default-route", interface.default_route)
                .put("dhcp", interface.dhcp)
                .maybe("gateway", interface.gateway)
                .maybe("nameserver", interface.nameserver)
                .maybe("mtu", interface.mtu)
                .maybe("foreign-bridge", interface.foreign_bridge.then_some(true))
                .maybe("plain-frames", interface.plain_frames.then_some(true));
            w.empty("maquette:interface", &attributes.refs());
        }
        for group in &node.groups {
            w.empty("maquette:group", &[("name", group)]);
        }
        if let Some(guest) = &node.guest {
            let attributes = Attributes::new()
                .put("seed", &guest.seed)
                .put("user", &guest.user)
                .put("authorized-key", &guest.authorized_key)
                .put("host-key", &guest.host_key)
                .maybe("generation", guest.generation)
                .maybe("timezone", guest.timezone.as_ref())
                .put("swap-mib", guest.swap_mib);
            w.empty("maquette:guest", &attributes.refs());
        }
    });
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

/// Reads a domain's record; the domain's own name and identifier come from libvirt.
pub fn read_node(
    element: Element<'_, '_>,
    name: &str,
    uuid: Uuid,
) -> Result<NodeRecord, MetadataError> {
    schema(element)?;
    let broken = |key: &str| MetadataError::Attribute(key.into());
    let disks = children(element, "disk").map(read_disk).collect::<Result<_, _>>()?;
    let mtu = children(element, "guest").next().map(|g| maybe(g, "mtu")).transpose()?.flatten();
    let interfaces = children(element, "interface");
    let interfaces = interfaces.map(|i| read_interface(i, mtu)).collect::<Result<_, _>>()?;
    let groups =
        children(element, "group").map(|g| need::<Group>(g, "name")).collect::<Result<_, _>>()?;
    let guest = children(element, "guest").next().map(read_guest).transpose()?;
    let node = Node {
        name: own_name(name)?,
        role: text::<Name>(element, "role")?,
        index: need(element, "index")?,
        uuid,
        virt: need::<VirtType>(element, "virt")?,
        vcpus: need(element, "vcpus")?,
        cpu_model: need(element, "cpu-model")?,
        memory_mib: need(element, "memory-mib")?,
        machine: need(element, "machine")?,
        firmware: match need::<String>(element, "firmware")?.as_str() {
            "bios" => BootMode::Bios,
            "uefi" => BootMode::Uefi,
            _ => return Err(broken("firmware")),
        },
        deploy_os: need(element, "deploy-os")?,
        // Records of the first version have none of these.
        vnc: Vnc {
            external: maybe(element, "vnc-external")?.unwrap_or(false),
            password: None,
            tag: some_text::<FileName>(element, "vnc-tag")?,
        },
        serial_file: maybe(element, "serial-file")?.unwrap_or(false),
        virtopts: some_text::<Line>(element, "virtopts")?.unwrap_or_default(),
        disks,
        interfaces,
        groups,
        guest,
        access: Access {
            address: maybe(element, "address")?,
            user: need(element, "user")?,
            connection: need(element, "connection")?,
            direct: maybe(element, "direct")?.unwrap_or(false),
        },
    };
    Ok(NodeRecord { environment: need(element, "environment")?, pool: pool(element)?, node })
}

fn read_disk(element: Element<'_, '_>) -> Result<Disk, MetadataError> {
    let source = some_text::<Line>(element, "image")?;
    let volume = some_text::<FileName>(element, "image-volume")?;
    Ok(Disk {
        volume: text::<FileName>(element, "volume")?,
        device: text::<DiskKey>(element, "device")?,
        bus: need(element, "bus")?,
        cache: text::<DiskKey>(element, "cache")?,
        size: maybe(element, "bytes")?.map(ByteSize),
        backing: source.zip(volume).map(|(source, volume)| Image { source, volume }),
        preallocation: match need::<String>(element, "preallocation")?.as_str() {
            "off" => Preallocation::Off,
            "metadata" => Preallocation::Metadata,
            "full" => Preallocation::Full,
            _ => return Err(MetadataError::Attribute("preallocation".into())),
        },
    })
}

/// `guest_mtu` is where the first records had the MTU of all interfaces.
fn read_interface(
    element: Element<'_, '_>,
    guest_mtu: Option<u32>,
) -> Result<Interface, MetadataError> {
    let (ipv4, default_route) = (maybe(element, "ipv4")?, need(element, "default-route")?);
    let flag = |key| maybe(element, key).map(|v| v.unwrap_or(false));
    Ok(Interface {
        name: text::<FileName>(element, "name")?,
        mac: need(element, "mac")?,
        network: text::<Name>(element, "network")?,
        portgroup: some_text::<Line>(element, "portgroup")?,
        host_bridge: flag("host-bridge")?,
        model: need(element, "model")?,
        ipv4,
        ipv6: maybe(element, "ipv6")?,
        default_route,
        dhcp: maybe(element, "dhcp")?.unwrap_or(default_route && ipv4.is_some()),
        gateway: maybe(element, "gateway")?,
        nameserver: maybe(element, "nameserver")?,
        mtu: maybe(element, "mtu")?.or(guest_mtu),
        foreign_bridge: flag("foreign-bridge")?,
        plain_frames: flag("plain-frames")?,
    })
}

fn read_guest(element: Element<'_, '_>) -> Result<Guest, MetadataError> {
    Ok(Guest {
        seed: text::<FileName>(element, "seed")?,
        user: need(element, "user")?,
        authorized_key: need(element, "authorized-key")?,
        host_key: need(element, "host-key")?,
        generation: maybe(element, "generation")?,
        timezone: maybe(element, "timezone")?,
        swap_mib: need(element, "swap-mib")?,
    })
}
