//! Definitions of templates and of nodes that start from them.

use std::ops::Range;

use maquette_core::blueprint::{Node, Pool, Template, Vnc};
use maquette_core::topology::SeedDrive;
use maquette_core::units::MacAddr;
use roxmltree::{Document, Node as Element};

use super::read::ReadError;

/// A template's domain is a node's with other files and nobody's name: libvirt gives its devices the same addresses.
pub fn template(node: &Node, template: &Template, pool: &Pool) -> String {
    let mut node = node.clone();
    node.name = template.domain();
    node.uuid = template.uuid();
    node.serial_file = false;
    node.vnc = Vnc::default();
    for (at, disk) in node.disks.iter_mut().enumerate() {
        disk.volume = match at {
            0 => template.disk(),
            _ => template.further_disk(at + 1),
        };
    }
    if let Some(guest) = &mut node.guest {
        guest.seed = template.seed();
    }
    super::domain::unrecorded(&node, pool)
}

/// What a domain's memory image has of it besides what every domain has: which of its NICs, and whether the CD-ROM that its
/// seed is in. Whatever else it has is plugged into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    macs: Vec<String>,
    seed: Option<&'static str>,
}

impl Kept {
    /// What is kept of a node.
    pub fn of(node: &Node) -> Self {
        let nics = node.interfaces.iter().filter(|nic| nic.is_in_template());
        let drive = node.guest.as_ref().map(|guest| guest.drive);
        Self {
            macs: nics.map(|nic| nic.mac.to_string()).collect(),
            // A disk has its size from the start, and a guest does not ask for it again.
            seed: drive.filter(|drive| *drive == SeedDrive::CdRom).map(SeedDrive::device),
        }
    }

    fn has_nic(&self, interface: Element<'_, '_>) -> bool {
        mac(interface).is_some_and(|mac| self.macs.iter().any(|own| own == mac))
    }

    fn has_disk(&self, disk: Element<'_, '_>) -> bool {
        self.seed == Some(target(disk))
    }
}

/// A domain's definition without what is plugged in before it runs.
pub fn bare(xml: &str, kept: &Kept) -> Result<String, ReadError> {
    edited(xml, |device| match device.has_tag_name("interface") {
        true if kept.has_nic(device) => None,
        false if kept.has_disk(device) => None,
        _ => Some(String::new()),
    })
}

/// The same for the domain that a template is made of: its seed is in it, whatever that is in, and its NICs are connected
/// to nothing and have addresses of their own.
pub fn unconnected(xml: &str, node: &Node, template: &Template) -> Result<String, ReadError> {
    let kept = Kept::of(node);
    let own = template.macs(kept.macs.len());
    edited(xml, |device| {
        if !device.has_tag_name("interface") {
            return (!is_seed(target(device))).then(String::new);
        }
        let at = kept.macs.iter().position(|own| Some(own.as_str()) == mac(device));
        Some(at.map(|at| cut_off(xml, device, own[at])).unwrap_or_default())
    })
}

/// An interface whose TAP device is in no bridge. What its guest learns of it stays as the definition has it: QEMU takes no memory
/// of a guest that counts on more than a node's NIC offers, such as an MTU.
fn cut_off(xml: &str, interface: Element<'_, '_>, mac: MacAddr) -> String {
    let stays = |child: &Element<'_, '_>| {
        ["model", "driver", "mtu", "rom", "boot", "address"].contains(&child.tag_name().name())
    };
    let kept = interface.children().filter(stays).map(|child| &xml[child.range()]);
    let kept: String = kept.collect();
    format!("<interface type='ethernet'><mac address='{mac}'/>{kept}</interface>")
}

/// A definition in which interfaces and disks but for the first one are others, where `edit` says so.
fn edited(
    xml: &str,
    edit: impl Fn(Element<'_, '_>) -> Option<String>,
) -> Result<String, ReadError> {
    let document = Document::parse(xml)?;
    let devices = devices(&document)?;
    let mut edits: Vec<(Range<usize>, String)> = interfaces(devices)
        .chain(disks(devices).skip(1))
        .filter_map(|device| Some((device.range(), edit(device)?)))
        .collect();
    edits.sort_by_key(|(range, _)| range.start);
    let mut bare = String::new();
    let mut at = 0;
    for (range, other) in edits {
        bare.push_str(&xml[at..range.start]);
        bare.push_str(&other);
        at = range.end;
    }
    bare.push_str(&xml[at..]);
    Ok(bare)
}

/// What is plugged into a node before it runs, as it is in its definition: disks, its seed, interfaces.
pub fn plugs(xml: &str, kept: &Kept) -> Result<Vec<String>, ReadError> {
    let document = Document::parse(xml)?;
    let devices = devices(&document)?;
    let text = |element: Element<'_, '_>| xml[element.range()].to_string();
    let further = disks(devices).skip(1).filter(|disk| !kept.has_disk(*disk));
    let (seed, further): (Vec<_>, Vec<_>) = further.partition(|disk| is_seed(target(*disk)));
    let nics = interfaces(devices).filter(|nic| !kept.has_nic(*nic));
    Ok(further.into_iter().chain(seed).chain(nics).map(text).collect())
}

/// The MAC of a NIC in a memory image whose cable is pulled, if there is one: QEMU takes what its cable was from there.
pub fn pulled(xml: &str, kept: &Kept) -> Result<Option<String>, ReadError> {
    let document = Document::parse(xml)?;
    let is_down = |nic: &Element<'_, '_>| {
        nic.children().any(|c| c.has_tag_name("link") && c.attribute("state") == Some("down"))
    };
    let mut nics = interfaces(devices(&document)?).filter(|nic| kept.has_nic(*nic));
    Ok(nics.find(is_down).and_then(mac).map(String::from))
}

/// The drive that a node's seed is in, as it is in its definition, if that is a CD-ROM.
pub fn disc(xml: &str) -> Result<Option<String>, ReadError> {
    let document = Document::parse(xml)?;
    let mut discs = disks(devices(&document)?)
        .filter(|disk| SeedDrive::of_device(target(*disk)) == Some(SeedDrive::CdRom));
    Ok(discs.next().map(|disk| xml[disk.range()].to_string()))
}

/// The XML of a drive, with nothing in it.
pub fn without_source(disk: &str) -> Result<String, ReadError> {
    let document = Document::parse(disk)?;
    let source = document.root_element().children().find(|c| c.has_tag_name("source"));
    Ok(match source {
        Some(source) => {
            let range = source.range();
            format!("{}{}", &disk[..range.start], &disk[range.end..])
        }
        None => disk.to_string(),
    })
}

/// The device of a running domain's first disk: `vda`; none if it has no disk.
pub fn first_disk(xml: &str) -> Result<Option<String>, ReadError> {
    let document = Document::parse(xml)?;
    Ok(disks(devices(&document)?).next().map(|disk| target(disk).to_string()))
}

/// Whether two domains without what is plugged in have the same devices at the same places, and both a generation ID or none:
/// the memory of one is of no use to the other if they have not.
pub fn fit(xml: &str, other: &str) -> Result<bool, ReadError> {
    Ok(places(xml)? == places(other)?)
}

/// Every device that is not plugged in and that has an address, with its kind. Others are there with every domain, and
/// libvirt leaves them out of what it saves.
fn places(xml: &str) -> Result<Vec<String>, ReadError> {
    let document = Document::parse(xml)?;
    let devices = devices(&document)?;
    let fixed = devices.children().filter(Element::is_element);
    let place = |device: Element<'_, '_>| {
        let attributes = |e: Element<'_, '_>| {
            let all = e.attributes().map(|a| format!(" {}={}", a.name(), a.value()));
            let mut all: Vec<String> = all.collect();
            all.sort();
            all.concat()
        };
        // Attributes that say what it is; others say where its files are, and a NIC's what it is connected to.
        let kind = match device.has_tag_name("interface") {
            true => [model(device), "", "", ""],
            false => ["type", "index", "model", "bus"].map(|a| device.attribute(a).unwrap_or("")),
        };
        let address = device.children().find(|c| c.has_tag_name("address"));
        Some(format!("{} {}{}", device.tag_name().name(), kind.join(" "), attributes(address?)))
    };
    let mut places: Vec<String> = fixed.filter_map(place).collect();
    // A device that libvirt does not list among these.
    let generation = document.root_element().children().find(|c| c.has_tag_name("genid"));
    places.extend(generation.map(|id| id.tag_name().name().to_string()));
    places.sort();
    Ok(places)
}

fn devices<'a, 'i>(document: &'a Document<'i>) -> Result<Element<'a, 'i>, ReadError> {
    let found = document.root_element().children().find(|c| c.has_tag_name("devices"));
    found.ok_or(ReadError::Missing("devices"))
}

fn interfaces<'a, 'i: 'a>(devices: Element<'a, 'i>) -> impl Iterator<Item = Element<'a, 'i>> {
    devices.children().filter(|e| e.has_tag_name("interface"))
}

fn disks<'a, 'i: 'a>(devices: Element<'a, 'i>) -> impl Iterator<Item = Element<'a, 'i>> {
    devices.children().filter(|e| e.has_tag_name("disk"))
}

fn mac<'a>(interface: Element<'a, '_>) -> Option<&'a str> {
    interface.children().find(|c| c.has_tag_name("mac"))?.attribute("address")
}

fn model<'a>(interface: Element<'a, '_>) -> &'a str {
    let model = interface.children().find(|c| c.has_tag_name("model"));
    model.and_then(|m| m.attribute("type")).unwrap_or_default()
}

/// Whether a device is a seed's.
fn is_seed(device: &str) -> bool {
    SeedDrive::of_device(device).is_some()
}

fn target<'a>(disk: Element<'a, '_>) -> &'a str {
    let target = disk.children().find(|c| c.has_tag_name("target"));
    target.and_then(|t| t.attribute("dev")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_core::blueprint::{Attachment, Checksums, Interface};
    use maquette_testkit as nodes;

    const SEED: &str = "<disk type='file' device='cdrom'><target dev='sdz'/></disk>";
    const NODE: &str = "<domain><name>n</name><devices>\
        <disk type='file'><target dev='vda'/><address bus='4'/></disk>\
        <disk type='file'><target dev='vdb'/></disk>\
        <disk type='file' device='cdrom'><target dev='sdz'/></disk>\
        <controller type='pci' index='1'><address slot='1'/></controller>\
        <interface type='network'><mac address='a'/><model type='virtio'/></interface>\
        <serial type='pty'><log file='x'/></serial>\
        </devices></domain>";

    fn kept(macs: &[&str], seed: Option<&'static str>) -> Kept {
        Kept { macs: macs.iter().map(|mac| (*mac).to_string()).collect(), seed }
    }

    #[test]
    fn what_is_plugged_in_is_taken_out_and_kept() {
        let none = Kept::default();
        let bare = bare(NODE, &none).unwrap();
        assert!(
            !bare.contains("interface") && !bare.contains("vdb") && !bare.contains("sdz"),
            "{bare}"
        );
        assert!(bare.contains("vda") && bare.ends_with("</devices></domain>"));
        let disk = "<disk type='file'><target dev='vdb'/></disk>";
        let nic = "<interface type='network'><mac address='a'/><model type='virtio'/></interface>";
        assert_eq!(plugs(NODE, &none).unwrap(), [disk, SEED, nic]);
    }

    #[test]
    fn what_is_in_memory_stays() {
        let all = kept(&["a"], Some("sdz"));
        let bare = bare(NODE, &all).unwrap();
        assert!(bare.contains("<interface type='network'") && bare.contains("sdz"), "{bare}");
        assert_eq!(plugs(NODE, &all).unwrap(), ["<disk type='file'><target dev='vdb'/></disk>"]);
        // A seed that is a disk is plugged in.
        let old = NODE.replace("sdz", "vdz");
        assert_eq!(plugs(&old, &all).unwrap().len(), 2);
        assert_eq!(pulled(NODE, &all).unwrap(), None);
        let down = NODE.replace("<model type='virtio'/>", "<link state='down'/>");
        assert_eq!(pulled(&down, &all).unwrap().as_deref(), Some("a"));
        assert_eq!(pulled(&down, &Kept::default()).unwrap(), None);
        assert_eq!(disc(NODE).unwrap().as_deref(), Some(SEED));
        let full = SEED.replace("<target", "<source file='/a'/><target");
        assert_eq!(without_source(&full).unwrap(), SEED);
        assert_eq!(first_disk(NODE).unwrap().as_deref(), Some("vda"));
    }

    /// Each NIC's place and what a guest sees of it are those of a node, and its address is nobody's.
    #[test]
    fn nics_of_templates_are_connected_to_nothing() {
        let nic = |n: u8, model: &str, mtu: &str| Interface {
            model: model.parse().unwrap(),
            mtu: mtu.parse().ok(),
            ..nodes::interface(&format!("eth{n}"), n, "net")
        };
        let node = Node {
            interfaces: vec![
                nic(1, "virtio", ""),
                nic(2, "e1000", ""),
                nic(3, "virtio", "9000"),
                nic(4, "virtio", "1500"),
                Interface {
                    attachment: Attachment::OtherBridge {
                        portgroup: None,
                        checksums: Checksums::Hypervisor,
                    },
                    ..nic(5, "virtio", "1400")
                },
            ],
            ..nodes::node("n-0")
        };
        let of = Template {
            key: "0".repeat(32),
            image: maquette_core::blueprint::Image {
                source: "x".into(),
                volume: "maquette-x-0.qcow2".parse().unwrap(),
            },
        };
        let pool = Pool {
            name: "images".parse().unwrap(),
            path: "/var/lib/libvirt/images".parse().unwrap(),
        };
        let xml = unconnected(&template(&node, &of, &pool), &node, &of).unwrap();
        let document = Document::parse(&xml).unwrap();
        let own = of.macs(4).iter().map(MacAddr::to_string).collect::<Vec<_>>();
        let mtu = |nic: Element<'_, '_>| {
            nic.children().find(|c| c.has_tag_name("mtu"))?.attribute("size").map(String::from)
        };
        let found: Vec<_> = interfaces(devices(&document).unwrap())
            .map(|nic| (nic.attribute("type"), mac(nic).map(String::from), mtu(nic)))
            .collect();
        let wanted = |at: usize, mtu: Option<&str>| {
            (Some("ethernet"), Some(own[at].clone()), mtu.map(String::from))
        };
        // libvirt is told the MTU of a bridge that it did not make.
        let others = [wanted(0, None), wanted(1, None), wanted(2, None)];
        assert_eq!(found, [&others[..], &[wanted(3, Some("1400"))]].concat());
        assert!(!xml.contains("<source network"), "{xml}");
        // Those of a node are where these are.
        let bare = bare(&super::super::domain::unrecorded(&node, &pool), &Kept::of(&node)).unwrap();
        assert_eq!(Document::parse(&bare).map(|d| interfaces(devices(&d).unwrap()).count()), Ok(4));
    }

    #[test]
    fn devices_at_other_places_do_not_fit() {
        let at =
            NODE.replace("<model type='virtio'/>", "<model type='virtio'/><address slot='7'/>");
        let cut = at.replace("'network'", "'ethernet'").replace("'a'", "'b'");
        assert!(fit(&at, &cut).unwrap());
        assert!(!fit(&at, &cut.replace("slot='7'", "slot='8'")).unwrap());
        assert!(!fit(&at, &cut.replace("type='virtio'", "type='e1000'")).unwrap());
        assert!(!fit(&at, &bare(&at, &Kept::default()).unwrap()).unwrap());
        assert!(fit(NODE, &NODE.replace("file='x'", "file='y'")).unwrap());
        assert!(fit(NODE, &NODE.replace("<serial", "<input bus='ps2'/><serial")).unwrap());
        for (from, to) in
            [("bus='4'", "bus='5'"), ("slot='1'", "slot='2'"), ("index='1'", "index='2'")]
        {
            assert!(!fit(NODE, &NODE.replace(from, to)).unwrap(), "{to}");
        }
        let counted = |id: &str| NODE.replace("</name>", &format!("</name><genid>{id}</genid>"));
        assert!(fit(&counted("1"), &counted("2")).unwrap() && !fit(NODE, &counted("1")).unwrap());
    }
}
