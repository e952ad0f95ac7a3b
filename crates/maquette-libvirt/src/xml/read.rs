//! The little of libvirt's own XML that is read: what others claim, and what was changed by hand.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use maquette_core::blueprint::{DhcpHost, Portgroup, Tag};
use maquette_core::names::EnvName;
use maquette_core::observed::{DiskDevice, Hardware, Nic, Origin, Wiring};
use maquette_core::seed::report;
use maquette_core::topology::SeedDrive;
use maquette_core::units::MacAddr;
use maquette_core::values::NetworkPart;
use maquette_engine::ssh_keys::RecordKey;
use roxmltree::{Document, Node as Element};
use thiserror::Error;
use uuid::Uuid;

use super::domain::Mark;
use super::metadata::seal::{self, Seal};
use super::metadata::{
    self, MetadataError, NAMESPACE, NetworkRecord, NodeRecord, ORIGIN, ORIGIN_NAMESPACE,
    STATE_NAMESPACE,
};
use super::network::DNSMASQ;
use super::parts;

/// Why an object's XML cannot be used.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is not XML.
    #[error("libvirt's XML cannot be parsed")]
    Xml(#[from] roxmltree::Error),
    /// Something that libvirt always writes is missing.
    #[error("libvirt's XML has no usable `{0}`")]
    Missing(&'static str),
}

/// Our record on an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<R> {
    /// It is not ours.
    None,
    /// It is ours.
    Good(R),
    /// It says that it belongs to an environment, and the rest cannot be used.
    Bad(Option<EnvName>, MetadataError),
    /// The same of one that was written for an object of another name: an environment, and whose record it is, in words.
    Copied(EnvName, String),
}

impl<R> Record<R> {
    fn read(
        element: Option<Element<'_, '_>>,
        read: impl Fn(Element<'_, '_>) -> Result<R, MetadataError>,
        of_another: impl Fn(Element<'_, '_>, &EnvName) -> Option<String>,
    ) -> Self {
        match element.map(|e| (e, read(e))) {
            None => Self::None,
            Some((_, Ok(record))) => Self::Good(record),
            Some((element, Err(error))) => match metadata::environment(element) {
                // A later version may name objects as it likes.
                Some(of) if !matches!(error, MetadataError::Newer(_)) => {
                    match of_another(element, &of) {
                        Some(whose) => Self::Copied(of, whose),
                        None => Self::Bad(Some(of), error),
                    }
                }
                of => Self::Bad(of, error),
            },
        }
    }
}

/// A domain, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainXml {
    /// Our record in its metadata.
    pub record: Record<NodeRecord>,
    /// Base images that our record names, even one that cannot be used.
    pub images: Vec<String>,
    /// What is noted of its first boot.
    pub mark: Mark,
    /// Who made it, and when, where that was noted.
    pub origin: Option<Origin>,
    /// Interfaces without a carrier.
    pub pulled: Vec<MacAddr>,
    /// What it is made of.
    pub hardware: Hardware,
    /// Files of all its disks, of drives for removable media and of what overlays are over as well.
    pub files: Vec<String>,
    /// Those that are raw by its definition: they are over nothing, whatever their guest has written into them.
    pub raw: Vec<String>,
    /// TCP port of its VNC server, if it has one; only a running one has any.
    pub vnc_port: Option<u16>,
    /// Its taps on the host, each with its network; only a running one has any.
    pub taps: Vec<(String, String)>,
}

/// A network, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkXml {
    /// Our record in its metadata.
    pub record: Record<NetworkRecord>,
    /// What it is made of.
    pub wiring: Wiring,
    /// Parts of it that somebody has added to what its record says; nothing is known of one without a record that is
    /// believed.
    pub added: BTreeSet<NetworkPart>,
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

/// An object's XML, which is parsed once for all that is asked of it.
#[derive(Debug)]
pub struct Parsed<'a>(Document<'a>);

impl<'a> Parsed<'a> {
    /// Parses an object's XML. An error if it is not well-formed.
    pub fn of(xml: &'a str) -> Result<Self, ReadError> {
        Ok(Self(Document::parse(xml)?))
    }

    /// What the seal of its record says.
    pub fn seal(&self, key: Option<&RecordKey>) -> Seal {
        seal::of(&self.0, key)
    }
}

/// Reads a domain's XML.
pub fn domain(xml: &str) -> Result<DomainXml, ReadError> {
    domain_in(&Parsed::of(xml)?)
}

/// The same of one that was parsed before.
pub fn domain_in(xml: &Parsed<'_>) -> Result<DomainXml, ReadError> {
    let root = xml.0.root_element();
    let (name, uuid) = identity(root)?;
    let read = |e: Element<'_, '_>| metadata::read_node(e, &name, uuid);
    let of_another =
        |e: Element<'_, '_>, of: &EnvName| metadata::node_of_another(e, of, (&name, uuid));
    let record = Record::read(ours(root, "node"), read, of_another);
    let images = ours(root, "node").into_iter().flat_map(|e| e.descendants());
    let images = images.filter_map(|e| e.attribute("image-volume")).map(String::from).collect();
    let marks = || child(root, "metadata").into_iter().flat_map(|m| m.children());
    let marks = || marks().filter(|c| c.tag_name().namespace() == Some(STATE_NAMESPACE));
    let ready = marks().any(|c| c.tag_name().name() == metadata::state_name(true));
    let failed = marks().find_map(|m| m.attribute("failed")).map(super::reason);
    let noted = |key| marks().find_map(|m| report::address(m.attribute(key)?));
    // Version 0.1 noted before a login had worked, too, what a guest said.
    let known = ready || failed.is_some();
    let address = noted("address").filter(|_| known);
    let said = noted("said").or_else(|| noted("address").filter(|_| !known));
    let mark = Mark { ready, address, said, failed };
    let origin = child(root, "metadata").into_iter().flat_map(|m| m.children());
    let origin = origin.filter(|c| c.has_tag_name((ORIGIN_NAMESPACE, ORIGIN))).find_map(origin_of);
    let maximum_mib = memory(child(root, "memory").ok_or(ReadError::Missing("memory"))?)?;
    let memory_mib = child(root, "currentMemory").map_or(Ok(maximum_mib), memory)?;
    let vcpus = text(root, "vcpu")?.parse().map_err(|_| ReadError::Missing("vcpu"))?;
    let devices = || child(root, "devices").into_iter().flat_map(|d| d.children());
    let mut disks: Vec<DiskDevice> =
        devices().filter(|c| c.has_tag_name("disk")).filter_map(disk).collect();
    disks.sort_by(|a, b| a.device.cmp(&b.device));
    let files = devices().filter(|c| c.has_tag_name("disk")).flat_map(|disk| disk.descendants());
    let files = files.filter(|e| e.has_tag_name("source")).filter_map(place).map(String::from);
    let files = files.collect();
    let raw = devices().filter(|c| c.has_tag_name("disk")).filter_map(raw).collect();
    let interfaces = || devices().filter(|c| c.has_tag_name("interface"));
    let nics = interfaces().filter_map(nic).collect();
    let pulled = interfaces()
        .filter(|i| child(*i, "link").is_some_and(|link| link.attribute("state") == Some("down")));
    let pulled = pulled.filter_map(nic).map(|nic| nic.mac).collect();
    let taps = interfaces()
        .filter_map(|i| {
            let tap = child(i, "target")?.attribute("dev")?;
            Some((tap.to_string(), child(i, "source")?.attribute("network")?.to_string()))
        })
        .collect();
    let mut graphics = devices().filter(|c| c.has_tag_name("graphics"));
    let vnc_port = graphics.find_map(|g| g.attribute("port")?.parse().ok());
    let hardware = Hardware { maximum_mib, memory_mib, vcpus, disks, nics };
    Ok(DomainXml { record, images, mark, origin, pulled, hardware, files, raw, vnc_port, taps })
}

/// Who made a domain: words that anybody may have put there, for people to see.
fn origin_of(element: Element<'_, '_>) -> Option<Origin> {
    let by = super::reason(element.attribute("by")?);
    let at_s = element.attribute("at")?.parse().ok()?;
    (!by.is_empty()).then_some(Origin { by, at_s })
}

/// An amount of memory, in MiB.
fn memory(element: Element<'_, '_>) -> Result<u64, ReadError> {
    let amount: u64 =
        element.text().and_then(|t| t.trim().parse().ok()).ok_or(ReadError::Missing("memory"))?;
    let unit: u128 = match element.attribute("unit") {
        Some("b" | "bytes") => 1,
        Some("KB") => 1000,
        Some("MB") => 1_000_000,
        Some("GB") => 1_000_000_000,
        Some("M" | "MiB") => 1 << 20,
        Some("G" | "GiB") => 1 << 30,
        _ => 1024,
    };
    Ok(u64::try_from((u128::from(amount) * unit) >> 20).unwrap_or(u64::MAX))
}

/// A hard disk, or the CD-ROM that a seed is in; other drives for removable media are the user's own business.
fn disk(element: Element<'_, '_>) -> Option<DiskDevice> {
    let device = child(element, "target")?.attribute("dev")?;
    let kind = element.attribute("device").unwrap_or("disk");
    if kind != "disk" && SeedDrive::of_device(device).map(SeedDrive::kind) != Some(kind) {
        return None;
    }
    let file = child(element, "source").and_then(place);
    let target = child(element, "target")?;
    let cache = child(element, "driver").and_then(|d| d.attribute("cache"));
    Some(DiskDevice {
        file: file.unwrap_or_default().into(),
        device: device.into(),
        bus: target.attribute("bus").unwrap_or_default().into(),
        cache: cache.unwrap_or_default().into(),
    })
}

/// The file of a disk's source, or what else it is.
fn place<'a>(source: Element<'a, '_>) -> Option<&'a str> {
    ["file", "dev", "volume", "name"].into_iter().find_map(|key| source.attribute(key))
}

/// The file of a disk that is raw.
fn raw(disk: Element<'_, '_>) -> Option<String> {
    let driver = child(disk, "driver").and_then(|driver| driver.attribute("type"));
    (driver == Some("raw")).then(|| place(child(disk, "source")?)).flatten().map(String::from)
}

fn nic(element: Element<'_, '_>) -> Option<Nic> {
    let source = |key| child(element, "source").and_then(|s| s.attribute(key));
    let bridge = || source("bridge").map(|b| format!("bridge/{b}"));
    let network = source("network").map(String::from).or_else(bridge);
    let model = child(element, "model").and_then(|m| m.attribute("type"));
    Some(Nic {
        mac: child(element, "mac")?.attribute("address")?.parse().ok()?,
        network: network.unwrap_or_default(),
        portgroup: source("portgroup").unwrap_or_default().into(),
        model: model.unwrap_or_default().into(),
    })
}

/// Reads a network's XML.
pub fn network(xml: &str) -> Result<NetworkXml, ReadError> {
    network_in(&Parsed::of(xml)?)
}

/// The same of one that was parsed before.
pub fn network_in(xml: &Parsed<'_>) -> Result<NetworkXml, ReadError> {
    let root = xml.0.root_element();
    let (name, uuid) = identity(root)?;
    let read = |e: Element<'_, '_>| metadata::read_network(e, &name, uuid);
    let of_another =
        |e: Element<'_, '_>, of: &EnvName| metadata::network_of_another(e, of, (&name, uuid));
    let record = Record::read(ours(root, "network"), read, of_another);
    let bridge = child(root, "bridge").and_then(|b| b.attribute("name")).unwrap_or_default();
    let forward = child(root, "forward").map(|f| f.attribute("mode").unwrap_or("nat").to_string());
    let is_direct = |mode: &String| ["private", "vepa", "passthrough"].contains(&mode.as_str());
    let direct = child(root, "forward").filter(|_| forward.as_ref().is_some_and(is_direct));
    let nics = direct.into_iter().flat_map(|f| f.children());
    let nics = nics.filter(|c| c.has_tag_name("interface")).filter_map(|c| c.attribute("dev"));
    let ips = || root.children().filter(|c| c.has_tag_name("ip"));
    let served = || ips().filter_map(|ip| child(ip, "dhcp")).flat_map(|d| d.children());
    let mtu = child(root, "mtu").and_then(|m| m.attribute("size")?.parse().ok());
    let wiring = Wiring {
        bridge: bridge.into(),
        nics: nics.map(String::from).collect(),
        forward,
        addresses: ips().filter_map(subnet).collect(),
        ranges: served().filter(|c| c.has_tag_name("range")).filter_map(range).collect(),
        hosts: served().filter(|c| c.has_tag_name("host")).filter_map(host).collect(),
        mtu,
        boot: boot(root),
        vswitch: child(root, "virtualport").is_some(),
        portgroups: root
            .children()
            .filter(|c| c.has_tag_name("portgroup"))
            .map(portgroup)
            .collect(),
    };
    let added = match &record {
        Record::Good(record) => parts::added(root, &record.network),
        Record::None | Record::Bad(..) | Record::Copied(..) => BTreeSet::new(),
    };
    Ok(NetworkXml { record, wiring, added })
}

/// NICs of the hypervisor that a network puts domains on by macvtaps, whoever made it, and whether each domain takes a whole
/// one.
pub fn direct_nics(xml: &Parsed<'_>) -> (BTreeSet<String>, bool) {
    let forward = child(xml.0.root_element(), "forward");
    let mode = forward.and_then(|f| f.attribute("mode")).unwrap_or("nat");
    let is_direct = ["private", "vepa", "bridge", "passthrough"].contains(&mode);
    let direct = || forward.filter(|_| is_direct).into_iter();
    let listed = direct().flat_map(|f| f.children()).filter(|c| c.has_tag_name("interface"));
    let nics = direct().chain(listed).filter_map(|e| e.attribute("dev")).map(String::from);
    (nics.collect(), mode == "passthrough")
}

/// What a network says of booting from it, as [`maquette_core::blueprint::Network::boot_words`] has it.
fn boot(root: Element<'_, '_>) -> Vec<String> {
    let ips = || root.children().filter(|c| c.has_tag_name("ip"));
    let roots = ips().filter_map(|ip| child(ip, "tftp")?.attribute("root"));
    let files = ips().filter_map(|ip| child(child(ip, "dhcp")?, "bootp"));
    let files = files.flat_map(|b| ["file", "server"].map(|key| b.attribute(key)));
    let lines = root.children().filter(|c| c.has_tag_name((DNSMASQ, "options")));
    let lines = lines.flat_map(|o| o.children()).filter_map(|o| o.attribute("value"));
    roots.chain(files.flatten()).chain(lines).map(String::from).collect()
}

/// A portgroup, if it is one that Maquette may have made.
fn portgroup(element: Element<'_, '_>) -> Option<Portgroup> {
    let yes = |e: Element<'_, '_>, key: &str| e.attribute(key) == Some("yes");
    let vlan = child(element, "vlan");
    let tags = vlan.into_iter().flat_map(|v| v.children()).filter(|c| c.has_tag_name("tag"));
    let tag = |tag: Element<'_, '_>| {
        let native = tag.attribute("nativeMode") == Some("untagged");
        Some(Tag { id: tag.attribute("id")?.parse().ok()?, native })
    };
    Some(Portgroup {
        name: element.attribute("name")?.parse().ok()?,
        default: yes(element, "default"),
        trunk: vlan.is_none_or(|v| yes(v, "trunk")),
        tags: tags.map(tag).collect::<Option<_>>()?,
    })
}

fn range(element: Element<'_, '_>) -> Option<(IpAddr, IpAddr)> {
    let address = |key| element.attribute(key)?.parse().ok();
    Some((address("start")?, address("end")?))
}

fn host(element: Element<'_, '_>) -> Option<DhcpHost> {
    Some(DhcpHost {
        name: element.attribute("name").and_then(|name| name.parse().ok()),
        mac: element.attribute("mac").and_then(|m| m.parse().ok()),
        ip: element.attribute("ip")?.parse().ok()?,
    })
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

/// The file that a volume overlays, if there is one.
pub fn backing(xml: &str) -> Result<Option<String>, ReadError> {
    let document = Document::parse(xml)?;
    let store = child(document.root_element(), "backingStore");
    // Where nothing is overlaid, the element may be there and empty.
    let store = store.filter(|store| child(*store, "path").is_some());
    store.map(|store| text(store, "path")).transpose()
}

/// How much room a volume takes, in bytes.
pub fn allocation(xml: &str) -> Result<u64, ReadError> {
    let document = Document::parse(xml)?;
    let bytes = text(document.root_element(), "allocation")?;
    bytes.parse().map_err(|_| ReadError::Missing("allocation"))
}

/// Directory of a pool.
pub fn pool_path(xml: &str) -> Result<String, ReadError> {
    let document = Document::parse(xml)?;
    let target = child(document.root_element(), "target").ok_or(ReadError::Missing("target"))?;
    text(target, "path")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a stranger's domain, whose units are what they are.
    #[test]
    fn memory_that_does_not_fit_is_much_and_not_little() {
        let mib = |memory: &str| {
            let xml = format!(
                "<domain><name>a</name><uuid>5f0c8b9e-63f6-4a1c-8a54-8a2f2f5b0c11</uuid>{memory}\
                 <vcpu>1</vcpu></domain>"
            );
            domain(&xml).unwrap().hardware.memory_mib
        };
        assert_eq!(mib("<memory>2048</memory>"), 2);
        assert_eq!(mib("<memory unit='bytes'>3145728</memory>"), 3);
        assert_eq!(mib("<memory unit='GB'>1073741824</memory>"), 1_024_000_000_000);
        // 2^54 GiB and a little: what is beyond 64 bits in bytes would be little.
        assert_eq!(mib("<memory unit='GiB'>18014398509481985</memory>"), u64::MAX);
        assert_eq!(mib("<memory unit='KiB'>18446744073709551615</memory>"), (1 << 54) - 1);
    }

    #[test]
    fn files_of_a_domain_are_those_below_overlays_and_in_drives_as_well() {
        let xml = "<domain><name>a</name><uuid>5f0c8b9e-63f6-4a1c-8a54-8a2f2f5b0c11</uuid>\
                   <memory>1024</memory><vcpu>1</vcpu><devices>\
                   <disk type='file' device='disk'><source file='/p/x.two'/><target dev='vda'/>\
                   <backingStore type='file'><source file='/p/x.one'/><backingStore type='file'>\
                   <source file='/p/x.qcow2'/></backingStore></backingStore></disk>\
                   <disk type='volume' device='disk'><source pool='p' volume='y.qcow2'/><target dev='vdb'/></disk>\
                   <disk type='file' device='cdrom'><source file='/p/z.img'/><target dev='hdd'/></disk>\
                   <disk type='file' device='cdrom'><target dev='hdc'/></disk></devices></domain>";
        let files = domain(xml).unwrap().files;
        assert_eq!(files, ["/p/x.two", "/p/x.one", "/p/x.qcow2", "y.qcow2", "/p/z.img"]);
        let xml = xml.replace(
            "<source file='/p/z.img'/>",
            "<driver name='qemu' type='raw'/><source file='/p/z.img'/>",
        );
        let xml = xml.replace(
            "<source pool='p' volume='y.qcow2'/>",
            "<driver type='qcow2'/><source file='/p/y'/>",
        );
        assert_eq!(domain(&xml).unwrap().raw, ["/p/z.img"]);
    }

    /// A name of somebody else's went back to libvirt, and into dnsmasq's file, when the entry was taken out; one without a name
    /// could not be.
    #[test]
    fn what_others_made_of_a_network_is_seen_and_has_no_names_of_theirs_that_are_none() {
        let read = |host: &str, group: &str| {
            let xml = format!(
                "<network><name>a</name><uuid>5f0c8b9e-63f6-4a1c-8a54-8a2f2f5b0c11</uuid>\
                 <portgroup name='g'><vlan><tag id='4'/></vlan></portgroup>{group}<ip>\
                 <dhcp><host {host} ip='192.0.2.7'/></dhcp></ip></network>"
            );
            let wiring = network(&xml).unwrap().wiring;
            let hosts: Vec<_> = wiring.hosts.iter().map(crate::xml::reservation).collect();
            (hosts.concat().trim().to_string(), wiring.portgroups.map(|groups| groups.len()))
        };
        let named = "<host name='web-0' ip='192.0.2.7'/>";
        assert_eq!(read("name='web-0'", ""), (named.into(), Some(1)));
        let two = "<portgroup name='h'/>";
        assert_eq!(read("name='web-0'", two), (named.into(), Some(2)));
        for host in ["", "name=''", "name='a,b'", "name='a&#10;b'"] {
            assert_eq!(read(host, "").0, "<host ip='192.0.2.7'/>", "{host}");
        }
        for group in ["<portgroup/>", "<portgroup name='a b'/>"] {
            assert_eq!(read("", group).1, None, "{group}");
        }
        let out_of_bounds = "<portgroup name='h'><vlan><tag id='4095'/></vlan></portgroup>";
        assert_eq!(read("", out_of_bounds).1, None);
    }

    #[test]
    fn nics_of_anybodys_network_are_those_with_macvtaps() {
        let read = |forward: &str| {
            let xml = format!("<network><name>a</name>{forward}</network>");
            let (nics, whole) = direct_nics(&Parsed::of(&xml).unwrap());
            (nics.into_iter().collect::<Vec<_>>().join(" "), whole)
        };
        let eno = |names: &str, whole: bool| (names.to_string(), whole);
        for mode in ["private", "vepa", "bridge", "passthrough"] {
            let whole = mode == "passthrough";
            let short = format!("<forward dev='eno2' mode='{mode}'/>");
            assert_eq!(read(&short), eno("eno2", whole), "{mode}");
            let long = format!(
                "<forward dev='eno2' mode='{mode}'><interface dev='eno2'/><interface dev='eno3'/></forward>"
            );
            assert_eq!(read(&long), eno("eno2 eno3", whole), "{mode}");
        }
        for forward in [
            "",
            "<forward dev='eno2'/>",
            "<forward mode='nat' dev='eno2'><interface dev='eno2'/></forward>",
            "<forward mode='bridge'/><bridge name='br0'/>",
            "<forward mode='hostdev'><pf dev='eno2'/></forward>",
        ] {
            assert_eq!(read(forward), eno("", false), "{forward}");
        }
    }

    #[test]
    fn why_a_first_boot_failed_is_one_line_of_what_was_noted() {
        let failed = Some("no\n zone <a'b>\u{1b}".into());
        let noted = Mark { failed, ..Mark::default() }.write();
        let noted =
            noted.replace("<booting ", "<s:booting xmlns:s='https://maquette.dev/xmlns/state/1' ");
        let xml = format!(
            "<domain><name>a</name><uuid>5f0c8b9e-63f6-4a1c-8a54-8a2f2f5b0c11</uuid>\
             <metadata>{noted}</metadata><memory>1024</memory><vcpu>1</vcpu><devices>\
             <interface type='network'><mac address='52:54:00:00:00:01'/><link state='down'/></interface>\
             <interface type='network'><mac address='52:54:00:00:00:02'/><link state='up'/></interface>\
             </devices></domain>"
        );
        let read = domain(&xml).unwrap();
        assert_eq!(read.mark.failed.as_deref(), Some("no zone <a'b>\u{fffd}"));
        assert_eq!(read.pulled, ["52:54:00:00:00:01".parse().unwrap()]);
        assert!(!read.mark.ready);
    }
}
