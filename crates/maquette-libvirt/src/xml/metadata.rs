//! What we record in libvirt's metadata: whose an object is, and what it was made from.
//!
//! The form is versioned by its namespace and a `schema` attribute; readers refuse a schema that is
//! newer than theirs rather than guess.

use std::str::FromStr;

use maquette_core::blueprint::{
    Access, Disk, Guest, Image, Interface, Network, Node, Pool, Reservation, Tenant, Vnc,
};
use maquette_core::names::EnvName;
use maquette_core::topology::{Allocation, BootMode, Dhcp, Forward, Preallocation, Srv, VirtType};
use maquette_core::units::ByteSize;
use roxmltree::Node as Element;
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use super::Writer;

/// Namespace of what an object was made from.
pub const NAMESPACE: &str = "https://maquette.dev/xmlns/libvirt/1";
/// Namespace of what became of it.
pub const STATE_NAMESPACE: &str = "https://maquette.dev/xmlns/state/1";
/// Version of the form.
pub const SCHEMA: u32 = 1;

/// Why metadata cannot be read.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum MetadataError {
    /// Written by a later version.
    #[error("it was made by a newer Maquette (schema {0}); use that one")]
    Newer(u32),
    /// An attribute is missing or makes no sense.
    #[error("attribute `{0}` of its metadata is missing or broken")]
    Attribute(String),
    /// It is not what was written.
    #[error("its metadata was changed by hand")]
    Edited,
}

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

/// Attributes collected before they are written.
struct Attributes(Vec<(&'static str, String)>);

impl Attributes {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn put(mut self, key: &'static str, value: impl ToString) -> Self {
        self.0.push((key, value.to_string()));
        self
    }

    fn maybe(self, key: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    fn refs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(k, v)| (*k, v.as_str())).collect()
    }
}

/// Attribute with the digest of all others: what a record names is deleted one day, so a record that
/// somebody has changed must not be trusted.
const DIGEST: &str = "digest";

/// Writes an element with its digest: once to see what it is, and once for good.
fn sealed(w: &mut Writer, write: impl Fn(&mut Writer, Option<String>)) {
    let mut alone = Writer::default();
    write(&mut alone, None);
    let text = alone.finish();
    let digest = roxmltree::Document::parse(&text).map(|d| fingerprint(d.root_element()));
    write(w, digest.ok());
}

/// Digest of an element of ours, whatever order its attributes are in.
fn fingerprint(element: Element<'_, '_>) -> String {
    fn feed(element: Element<'_, '_>, hash: &mut Sha256) {
        hash.update(element.tag_name().name());
        let mut attributes: Vec<(&str, &str)> = element
            .attributes()
            .filter(|a| a.name() != DIGEST)
            .map(|a| (a.name(), a.value()))
            .collect();
        attributes.sort_unstable();
        for (name, value) in attributes {
            hash.update(format!("\0{name}\0{value}"));
        }
        for child in element.children().filter(|c| c.tag_name().namespace() == Some(NAMESPACE)) {
            hash.update("\x01");
            feed(child, hash);
            hash.update("\x02");
        }
    }
    let mut hash = Sha256::new();
    feed(element, &mut hash);
    hash.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect()
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
        .put("connection", &node.access.connection);
    w.element("maquette:node", &attributes.refs(), |w| {
        for disk in &node.disks {
            let attributes = Attributes::new()
                .put("volume", &disk.volume)
                .put("device", &disk.device)
                .put("bus", disk.bus.as_str())
                .put("cache", &disk.cache)
                .maybe("bytes", disk.size.map(|s| s.0))
                .maybe("image", disk.backing.as_ref().map(|i| &i.source))
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
                .maybe("ipv4", interface.ipv4)
                .maybe("ipv6", interface.ipv6)
                .put("default-route", interface.default_route);
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
                .maybe("timezone", guest.timezone.as_ref())
                .put("swap-mib", guest.swap_mib)
                .maybe("mtu", guest.mtu);
            w.empty("maquette:guest", &attributes.refs());
        }
    });
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
        .put("forward", network.forward.mode().unwrap_or("isolated"))
        .maybe("ipv4", network.ipv4)
        .maybe("dhcp4-start", network.dhcp4.map(|d| d.start))
        .maybe("dhcp4-end", network.dhcp4.map(|d| d.end))
        .maybe("ipv6", network.ipv6)
        .maybe("dhcp6-start", network.dhcp6.map(|d| d.start))
        .maybe("dhcp6-end", network.dhcp6.map(|d| d.end))
        .maybe("domain", network.domain.as_ref())
        .maybe("mtu", network.mtu)
        .put("autostart", network.autostart);
    w.element("maquette:network", &attributes.refs(), |w| {
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

/// The mark of a node whose first boot was seen to end.
pub const READY: &str = "<ready/>";

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

fn need<T: FromStr>(element: Element<'_, '_>, key: &str) -> Result<T, MetadataError> {
    maybe(element, key)?.ok_or_else(|| MetadataError::Attribute(key.into()))
}

fn maybe<T: FromStr>(element: Element<'_, '_>, key: &str) -> Result<Option<T>, MetadataError> {
    element
        .attribute(key)
        .map(|text| text.parse().map_err(|_| MetadataError::Attribute(key.into())))
        .transpose()
}

fn children<'a, 'i>(
    element: Element<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Element<'a, 'i>> {
    element.children().filter(move |c| c.has_tag_name((NAMESPACE, name)))
}

fn schema(element: Element<'_, '_>) -> Result<(), MetadataError> {
    let schema: u32 = need(element, "schema")?;
    if schema > SCHEMA {
        return Err(MetadataError::Newer(schema));
    }
    match element.attribute(DIGEST) {
        Some(digest) if digest != fingerprint(element) => Err(MetadataError::Edited),
        _ => Ok(()),
    }
}

/// The environment that an element of ours says it belongs to; it may say more that cannot be read.
pub fn environment(element: Element<'_, '_>) -> Option<EnvName> {
    element.attribute("environment")?.parse().ok()
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
    let interfaces =
        children(element, "interface").map(read_interface).collect::<Result<_, _>>()?;
    let groups = children(element, "group").map(|g| need(g, "name")).collect::<Result<_, _>>()?;
    let guest = children(element, "guest").next().map(read_guest).transpose()?;
    let node = Node {
        name: name.into(),
        role: need(element, "role")?,
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
            tag: maybe(element, "vnc-tag")?,
        },
        serial_file: maybe(element, "serial-file")?.unwrap_or(false),
        virtopts: maybe(element, "virtopts")?.unwrap_or_default(),
        disks,
        interfaces,
        groups,
        guest,
        access: Access {
            address: maybe(element, "address")?,
            user: need(element, "user")?,
            connection: need(element, "connection")?,
        },
    };
    let pool = Pool { name: need(element, "pool")?, path: need(element, "pool-path")? };
    Ok(NodeRecord { environment: need(element, "environment")?, pool, node })
}

fn read_disk(element: Element<'_, '_>) -> Result<Disk, MetadataError> {
    let source: Option<String> = maybe(element, "image")?;
    let volume: Option<String> = maybe(element, "image-volume")?;
    Ok(Disk {
        volume: need(element, "volume")?,
        device: need(element, "device")?,
        bus: need(element, "bus")?,
        cache: need(element, "cache")?,
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

fn read_interface(element: Element<'_, '_>) -> Result<Interface, MetadataError> {
    Ok(Interface {
        name: need(element, "name")?,
        mac: need(element, "mac")?,
        network: need(element, "network")?,
        model: need(element, "model")?,
        ipv4: maybe(element, "ipv4")?,
        ipv6: maybe(element, "ipv6")?,
        default_route: need(element, "default-route")?,
    })
}

fn read_guest(element: Element<'_, '_>) -> Result<Guest, MetadataError> {
    Ok(Guest {
        seed: need(element, "seed")?,
        user: need(element, "user")?,
        authorized_key: need(element, "authorized-key")?,
        host_key: need(element, "host-key")?,
        timezone: maybe(element, "timezone")?,
        swap_mib: need(element, "swap-mib")?,
        mtu: maybe(element, "mtu")?,
    })
}

fn read_tenant(element: Element<'_, '_>) -> Result<Tenant, MetadataError> {
    Ok(Tenant {
        node: need(element, "node")?,
        pool: Pool { name: need(element, "pool")?, path: need(element, "pool-path")? },
        volumes: children(element, "volume").map(|v| need(v, "name")).collect::<Result<_, _>>()?,
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
        name: name.into(),
        bridge: maybe(element, "bridge")?.unwrap_or_else(|| name.into()),
        uuid,
        forward: match need::<String>(element, "forward")?.as_str() {
            "isolated" => Forward::Isolated,
            "nat" => Forward::Nat,
            "route" => Forward::Route,
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
        reservations: children(element, "reservation")
            .map(|r| {
                Ok(Reservation {
                    name: need(r, "name")?,
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
