//! The little of libvirt's own XML that is read: what others claim, and what was changed by hand.

use std::net::IpAddr;

use ipnet::IpNet;
use maquette_core::units::MacAddr;
use roxmltree::{Document, Node as Element};
use thiserror::Error;
use uuid::Uuid;

use super::metadata::{self, MetadataError, NAMESPACE, NetworkRecord, NodeRecord, STATE_NAMESPACE};

/// Why an object's XML cannot be used.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is not XML.
    #[error("libvirt's XML cannot be parsed")]
    Xml(#[from] roxmltree::Error),
    /// Our metadata in it cannot be read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Something that libvirt always writes is missing.
    #[error("libvirt's XML has no usable `{0}`")]
    Missing(&'static str),
}

/// A domain, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainXml {
    /// Our record; none on a domain that is not ours.
    pub record: Option<NodeRecord>,
    /// Whether it carries the mark of a first boot that was seen to end.
    pub ready: bool,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// vCPUs.
    pub vcpus: u32,
    /// MAC addresses.
    pub macs: Vec<MacAddr>,
}

/// A network, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkXml {
    /// Our record; none on a network that is not ours.
    pub record: Option<NetworkRecord>,
    /// Its bridge.
    pub bridge: Option<String>,
    /// Its subnets.
    pub subnets: Vec<IpNet>,
}

fn child<'a, 'i>(element: Element<'a, 'i>, name: &str) -> Option<Element<'a, 'i>> {
    element.children().find(|c| c.has_tag_name(name))
}

fn text(element: Element<'_, '_>, name: &'static str) -> Result<String, ReadError> {
    child(element, name)
        .and_then(|c| c.text())
        .map(|t| t.trim().to_string())
        .ok_or(ReadError::Missing(name))
}

fn identity(root: Element<'_, '_>) -> Result<(String, Uuid), ReadError> {
    let uuid = text(root, "uuid")?.parse().map_err(|_| ReadError::Missing("uuid"))?;
    Ok((text(root, "name")?, uuid))
}

fn ours<'a, 'i>(root: Element<'a, 'i>, name: &str) -> Option<Element<'a, 'i>> {
    child(root, "metadata")?.children().find(|c| c.has_tag_name((NAMESPACE, name)))
}

/// Reads a domain's XML.
pub fn domain(xml: &str) -> Result<DomainXml, ReadError> {
    let document = Document::parse(xml)?;
    let root = document.root_element();
    let (name, uuid) = identity(root)?;
    let record = ours(root, "node").map(|e| metadata::read_node(e, &name, uuid)).transpose()?;
    let ready = child(root, "metadata")
        .is_some_and(|m| m.children().any(|c| c.has_tag_name((STATE_NAMESPACE, "ready"))));
    let memory = child(root, "memory").ok_or(ReadError::Missing("memory"))?;
    let amount: u64 =
        memory.text().and_then(|t| t.trim().parse().ok()).ok_or(ReadError::Missing("memory"))?;
    let unit = match memory.attribute("unit") {
        Some("b" | "bytes") => 1,
        Some("KB") => 1000,
        Some("MB") => 1_000_000,
        Some("GB") => 1_000_000_000,
        Some("M" | "MiB") => 1 << 20,
        Some("G" | "GiB") => 1 << 30,
        _ => 1024,
    };
    let vcpus = text(root, "vcpu")?.parse().map_err(|_| ReadError::Missing("vcpu"))?;
    let macs = child(root, "devices")
        .into_iter()
        .flat_map(|d| d.children())
        .filter(|c| c.has_tag_name("interface"))
        .filter_map(|i| child(i, "mac")?.attribute("address")?.parse().ok())
        .collect();
    Ok(DomainXml { record, ready, memory_mib: (amount * unit) >> 20, vcpus, macs })
}

/// Reads a network's XML.
pub fn network(xml: &str) -> Result<NetworkXml, ReadError> {
    let document = Document::parse(xml)?;
    let root = document.root_element();
    let (name, uuid) = identity(root)?;
    let record =
        ours(root, "network").map(|e| metadata::read_network(e, &name, uuid)).transpose()?;
    let bridge = child(root, "bridge").and_then(|b| b.attribute("name")).map(str::to_string);
    let subnets = root.children().filter(|c| c.has_tag_name("ip")).filter_map(subnet).collect();
    Ok(NetworkXml { record, bridge, subnets })
}

fn subnet(ip: Element<'_, '_>) -> Option<IpNet> {
    let address: IpAddr = ip.attribute("address")?.parse().ok()?;
    if let Some(mask) = ip.attribute("netmask") {
        return IpNet::with_netmask(address, mask.parse().ok()?).ok();
    }
    // libvirt fills in the class of an address that comes without a length.
    let full = if address.is_ipv4() { 32 } else { 128 };
    let length = ip.attribute("prefix").map_or(Some(full), |p| p.parse().ok())?;
    IpNet::new(address, length).ok()
}

/// Directory of a pool.
pub fn pool_path(xml: &str) -> Result<String, ReadError> {
    let document = Document::parse(xml)?;
    let target = child(document.root_element(), "target").ok_or(ReadError::Missing("target"))?;
    text(target, "path")
}
