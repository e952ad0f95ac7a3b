//! Definitions of templates and of nodes that start from them.

use std::ops::Range;

use maquette_core::blueprint::{Node, Pool, Template, Vnc};
use maquette_core::topology::SeedDrive;
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
            _ => format!("{}-disk{}.qcow2", template.name(), at + 1),
        };
    }
    if let Some(guest) = &mut node.guest {
        guest.seed = template.seed();
    }
    super::domain::unrecorded(&node, pool)
}

/// A domain's definition without what is plugged in once it runs: its interfaces, and its disks but for the first one.
pub fn bare(xml: &str) -> Result<String, ReadError> {
    without_plugs(xml, |_| false)
}

/// The same with its seed in it, for the domain that a template is made of.
pub fn bare_with_seed(xml: &str) -> Result<String, ReadError> {
    without_plugs(xml, is_seed)
}

fn without_plugs(xml: &str, is_kept: impl Fn(&str) -> bool) -> Result<String, ReadError> {
    let document = Document::parse(xml)?;
    let devices = devices(&document)?;
    let mut gone: Vec<Range<usize>> = interfaces(devices).map(|e| e.range()).collect();
    let further = disks(devices).skip(1);
    gone.extend(further.filter(|d| !is_kept(target(*d))).map(|d| d.range()));
    gone.sort_by_key(|range| range.start);
    let mut bare = String::new();
    let mut at = 0;
    for range in gone {
        bare.push_str(&xml[at..range.start]);
        at = range.end;
    }
    bare.push_str(&xml[at..]);
    Ok(bare)
}

/// What is plugged into a node once it runs, as it is in its definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plugs {
    /// Its seed.
    pub seed: Option<String>,
    /// Its interfaces, in order.
    pub interfaces: Vec<String>,
    /// Its disks but for the first one, in order.
    pub disks: Vec<String>,
}

/// What is plugged into a node, by its definition.
pub fn plugs(xml: &str) -> Result<Plugs, ReadError> {
    let document = Document::parse(xml)?;
    let devices = devices(&document)?;
    let text = |element: Element<'_, '_>| xml[element.range()].to_string();
    let further: Vec<_> = disks(devices).skip(1).collect();
    Ok(Plugs {
        seed: further.iter().find(|d| is_seed(target(**d))).map(|d| text(*d)),
        interfaces: interfaces(devices).map(text).collect(),
        disks: further.iter().filter(|d| !is_seed(target(**d))).map(|d| text(*d)).collect(),
    })
}

/// Whether two domains have the same devices at the same places, but for what is plugged in, and both a generation ID or none:
/// the memory of one is of no use to the other if they have not.
pub fn fit(xml: &str, other: &str) -> Result<bool, ReadError> {
    Ok(places(xml)? == places(other)?)
}

/// Every device that is not plugged in and that has an address, with its kind. Others are there with every domain, and
/// libvirt leaves them out of what it saves.
fn places(xml: &str) -> Result<Vec<String>, ReadError> {
    let document = Document::parse(xml)?;
    let devices = devices(&document)?;
    let first = disks(devices).next().map(|d| d.range());
    let fixed = devices.children().filter(|e| match e.tag_name().name() {
        "disk" => Some(e.range()) == first,
        "interface" => false,
        _ => e.is_element(),
    });
    let place = |device: Element<'_, '_>| {
        let attributes = |e: Element<'_, '_>| {
            let all = e.attributes().map(|a| format!(" {}={}", a.name(), a.value()));
            let mut all: Vec<String> = all.collect();
            all.sort();
            all.concat()
        };
        // Attributes that say what it is; others say where its files are.
        let kind = ["type", "index", "model", "bus"].map(|a| device.attribute(a).unwrap_or(""));
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

    const NODE: &str = "<domain><name>n</name><devices>\
        <disk type='file'><target dev='vda'/><address bus='4'/></disk>\
        <disk type='file'><target dev='vdb'/></disk>\
        <disk type='file' device='cdrom'><target dev='sdz'/></disk>\
        <controller type='pci' index='1'><address slot='1'/></controller>\
        <interface type='network'><mac address='a'/></interface>\
        <serial type='pty'><log file='x'/></serial>\
        </devices></domain>";

    #[test]
    fn what_is_plugged_in_is_taken_out_and_kept() {
        let bare = bare(NODE).unwrap();
        assert!(
            !bare.contains("interface") && !bare.contains("vdb") && !bare.contains("sdz"),
            "{bare}"
        );
        assert!(bare.contains("vda") && bare.ends_with("</devices></domain>"));
        assert!(bare_with_seed(NODE).unwrap().contains("sdz"));
        let old = NODE.replace("sdz", "vdz");
        assert!(
            bare_with_seed(&old).unwrap().contains("vdz") && plugs(&old).unwrap().seed.is_some()
        );
        let plugs = plugs(NODE).unwrap();
        let seed = "<disk type='file' device='cdrom'><target dev='sdz'/></disk>";
        assert_eq!(plugs.seed.as_deref(), Some(seed));
        assert_eq!(plugs.interfaces, ["<interface type='network'><mac address='a'/></interface>"]);
        assert_eq!(plugs.disks, ["<disk type='file'><target dev='vdb'/></disk>"]);
    }

    #[test]
    fn devices_at_other_places_do_not_fit() {
        assert!(fit(NODE, &bare(NODE).unwrap()).unwrap());
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
