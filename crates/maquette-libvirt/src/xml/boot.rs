//! What a node's BMC reads of a domain and changes in it: what it is made of, its order of boot devices, its firmware, and
//! what is in its CD-ROM drive. Everything else of a domain stays as it is written.

use std::collections::BTreeMap;
use std::ops::Range;

use maquette_bmc::machine::{Device, Disk, Firmware, Hardware, Image, Nic};
use maquette_bmc::redfish::address;
use roxmltree::{Document, Node as Element};

use super::Writer;

/// Changes of a text, each of a part of it.
#[derive(Default)]
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    fn remove(&mut self, element: &Element<'_, '_>) {
        self.0.push((element.range(), String::new()));
    }

    /// Puts something first into an element that has others in it; nothing if it has none.
    fn put_into(&mut self, element: &Element<'_, '_>, text: &str) {
        if let Some(first) = element.children().find(Element::is_element) {
            let at = first.range().start;
            self.0.push((at..at, text.to_string()));
        }
    }

    fn apply(mut self, text: &str) -> String {
        // From the end, so that what is before keeps its place; what is put in comes before what is removed there.
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        let mut changed = text.to_string();
        for (range, new) in self.0.into_iter().rev() {
            changed.replace_range(range, &new);
        }
        changed
    }
}

fn child<'a, 'i>(element: Element<'a, 'i>, name: &str) -> Option<Element<'a, 'i>> {
    element.children().find(|child| child.has_tag_name(name))
}

fn part<'a, 'i>(document: &'a Document<'i>, name: &str) -> Option<Element<'a, 'i>> {
    child(document.root_element(), name)
}

fn devices<'a, 'i>(document: &'a Document<'i>) -> impl Iterator<Item = Element<'a, 'i>> {
    part(document, "devices").into_iter().flat_map(|all| all.children())
}

/// Kinds of devices that can be booted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Disk,
    Cdrom,
    Nic,
}

fn kind(element: &Element<'_, '_>) -> Option<Kind> {
    match (element.tag_name().name(), element.attribute("device").unwrap_or("disk")) {
        ("disk", "disk") => Some(Kind::Disk),
        ("disk", "cdrom") => Some(Kind::Cdrom),
        ("interface", _) => Some(Kind::Nic),
        _ => None,
    }
}

fn boot_order(element: &Element<'_, '_>) -> Option<u32> {
    child(*element, "boot")?.attribute("order")?.parse().ok()
}

/// A domain's devices in the order in which they are booted from, all of them: those that are not named come last.
fn own_order<'a, 'i>(document: &'a Document<'i>) -> Vec<Element<'a, 'i>> {
    let mut all: Vec<Element<'_, '_>> =
        devices(document).filter(|device| kind(device).is_some()).collect();
    let os = part(document, "os");
    let classes: Vec<Kind> = os
        .into_iter()
        .flat_map(|os| os.children())
        .filter(|boot| boot.has_tag_name("boot"))
        .filter_map(|boot| match boot.attribute("dev")? {
            "hd" => Some(Kind::Disk),
            "cdrom" => Some(Kind::Cdrom),
            "network" => Some(Kind::Nic),
            _ => None,
        })
        .collect();
    // The sort is stable: devices of a class stay in their order.
    all.sort_by_key(|device| match boot_order(device) {
        Some(order) => (0, order),
        None => {
            let class = classes.iter().position(|class| Some(*class) == kind(device));
            (1, class.map_or(u32::MAX, |class| u32::try_from(class).unwrap_or(u32::MAX)))
        }
    });
    all
}

/// Whether what a domain says on a serial console is logged to a file.
pub fn logs_console_to(xml: &str, file: &str) -> bool {
    let Ok(document) = Document::parse(xml) else { return false };
    let lines =
        devices(&document).filter(|d| d.has_tag_name("serial") || d.has_tag_name("console"));
    let logs = lines.filter_map(|line| child(line, "log"));
    logs.filter_map(|log| log.attribute("file")).any(|known| known == file)
}

/// The drive that belongs to the BMC: one that is empty, or has an image from the network. One with a file has the node's
/// seed in it.
fn drive<'a, 'i>(document: &'a Document<'i>) -> Option<Element<'a, 'i>> {
    let ours = |device: &Element<'_, '_>| {
        let file = child(*device, "source").is_some_and(|source| source.has_attribute("file"));
        kind(device) == Some(Kind::Cdrom) && !file
    };
    devices(document).find(ours)
}

fn is_first(device: &Element<'_, '_>, first: Device, drive: Option<Element<'_, '_>>) -> bool {
    match first {
        Device::Pxe | Device::Http => kind(device) == Some(Kind::Nic),
        Device::Hdd => kind(device) == Some(Kind::Disk),
        Device::Cd => drive.is_some_and(|drive| drive.range() == device.range()),
        Device::Setup => false,
    }
}

/// How long a menu waits for somebody, in milliseconds.
const MENU_MS: u32 = 60_000;

/// A domain that tries something first, and then all else in its own order; none if it is not a domain.
pub fn ordered(xml: &str, first: Option<Device>) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let os = part(&document, "os")?;
    let drive = drive(&document);
    let mut order = own_order(&document);
    if let Some(first) = first {
        order.sort_by_key(|device| !is_first(device, first, drive));
    }
    let mut edits = Edits::default();
    for boot in os.children().filter(|element| element.has_tag_name("boot")) {
        edits.remove(&boot);
    }
    for (number, device) in (1..).zip(&order) {
        child(*device, "boot").iter().for_each(|boot| edits.remove(boot));
        edits.put_into(device, &format!("<boot order='{number}'/>"));
        let network = matches!(first, Some(Device::Pxe | Device::Http));
        // A node with an operating system has NICs without a boot ROM.
        if let (true, Some(rom)) =
            (network && kind(device) == Some(Kind::Nic), child(*device, "rom"))
        {
            edits.remove(&rom);
        }
    }
    if first == Some(Device::Setup) {
        child(os, "bootmenu").iter().for_each(|menu| edits.remove(menu));
        edits.put_into(&os, &format!("<bootmenu enable='yes' timeout='{MENU_MS}'/>"));
    }
    Some(edits.apply(xml))
}

/// Devices of a running domain whose place in the order of boot devices is another one than in `own`, its own definition:
/// each as it should be.
pub fn reordered(live: &str, own: &str) -> Vec<String> {
    let Some(wanted) = ordered(own, None) else { return Vec::new() };
    let (Ok(live_document), Ok(wanted)) = (Document::parse(live), Document::parse(&wanted)) else {
        return Vec::new();
    };
    let name = |device: &Element<'_, '_>| {
        let named = child(*device, "target").filter(|_| kind(device) != Some(Kind::Nic));
        let named = named.or(child(*device, "mac"))?;
        named.attribute("dev").or(named.attribute("address")).map(String::from)
    };
    let wanted: Vec<(Option<String>, Option<u32>)> = devices(&wanted)
        .filter(|d| kind(d).is_some())
        .map(|d| (name(&d), boot_order(&d)))
        .collect();
    let changed = devices(&live_document).filter(|d| kind(d).is_some()).filter_map(|device| {
        let (_, order) = wanted.iter().find(|(known, _)| *known == name(&device))?;
        let (now, order) = (child(device, "boot")?, (*order)?);
        if boot_order(&device) == Some(order) {
            return None;
        }
        let at = device.range().start;
        let boot = now.range().start - at..now.range().end - at;
        let mut text = live[device.range()].to_string();
        text.replace_range(boot, &format!("<boot order='{order}'/>"));
        Some(text)
    });
    changed.collect()
}

/// A domain with another firmware, or with Secure Boot on or off; none if it is not a domain.
pub fn with_firmware(
    xml: &str,
    firmware: Option<Firmware>,
    secure_boot: Option<bool>,
) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let os = part(&document, "os")?;
    let uefi = firmware.unwrap_or(hardware(xml)?.firmware) == Firmware::Uefi;
    let mut edits = Edits::default();
    // What libvirt has chosen for the firmware before.
    for name in ["loader", "nvram", "firmware"] {
        child(os, name).iter().for_each(|element| edits.remove(element));
    }
    let head = os.range().start..os.range().start + xml[os.range()].find('>')? + 1;
    edits.0.push((head, if uefi { "<os firmware='efi'>" } else { "<os>" }.into()));
    if let (true, Some(on)) = (uefi, secure_boot) {
        let on = if on { "yes" } else { "no" };
        let mut w = Writer::default();
        w.element("firmware", &[], |w| {
            for feature in ["enrolled-keys", "secure-boot"] {
                w.empty("feature", &[("enabled", on), ("name", feature)]);
            }
        });
        edits.put_into(&os, &w.finish());
    }
    if let (true, Some(features)) = (uefi && secure_boot == Some(true), part(&document, "features"))
    {
        // Without it whoever is in the guest could write where only the firmware may.
        child(features, "smm").iter().for_each(|smm| edits.remove(smm));
        edits.put_into(&features, "<smm state='on'/>");
    }
    Some(edits.apply(xml))
}

/// The BMC's CD-ROM drive with an image in it, or empty, as a device; none if a domain has no such drive.
pub fn with_image(xml: &str, image: Option<&Image>) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let drive = drive(&document)?;
    let image = match image {
        Some(image) => {
            let address = address(&image.url)?;
            // libvirt encodes the path, and takes the query as it is.
            let plain = address.plain()?;
            Some((address, plain, image.verify))
        }
        None => None,
    };
    let mut w = Writer::default();
    let kind = if image.is_some() { "network" } else { "file" };
    w.element("disk", &[("type", kind), ("device", "cdrom")], |w| {
        w.empty("driver", &[("name", "qemu"), ("type", "raw")]);
        if let Some((address, (path, query), verify)) = &image {
            let protocol = if address.secure { "https" } else { "http" };
            let mut source = vec![("protocol", protocol), ("name", path.as_str())];
            source.extend(query.map(|query| ("query", query)));
            w.element("source", &source, |w| {
                w.empty("host", &[("name", address.host), ("port", &address.port.to_string())]);
                if address.secure && !verify {
                    w.empty("ssl", &[("verify", "no")]);
                }
            });
        }
        w.empty("readonly", &[]);
    });
    // Where it is plugged in, and its place in the order, are as they were.
    let mut kept = String::new();
    for name in ["target", "boot", "alias", "address"] {
        kept.extend(child(drive, name).map(|element| &xml[element.range()]));
    }
    Some(w.finish().replacen("<readonly/>", &format!("<readonly/>{kept}"), 1))
}

/// A domain whose BMC's drive is empty; none if there is no image from the network in it.
pub fn without_image(xml: &str) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let full = drive(&document).filter(|drive| drive.attribute("type") == Some("network"))?;
    let mut without = xml.to_string();
    without.replace_range(full.range(), &with_image(xml, None)?);
    Some(without)
}

/// A new definition with what a BMC has made of the old one: what is in its drive and, where that is to stay, its firmware with
/// Secure Boot; none if one of both is not a domain.
pub fn carried(new: &str, old: &str, firmware: bool) -> Option<String> {
    let (before, now) = (hardware(old)?, hardware(new)?);
    let mut xml = new.to_string();
    // What is written counts: where nothing is, libvirt chooses, and often firmware with Secure Boot.
    let written =
        (secure_boot(&Document::parse(old).ok()?), secure_boot(&Document::parse(new).ok()?));
    let secure = written.0.filter(|_| now.machine.contains("q35"));
    if firmware && (before.firmware != now.firmware || (secure.is_some() && secure != written.1)) {
        xml = with_firmware(new, Some(before.firmware), secure)?;
    }
    let (had, document) = (Document::parse(old).ok()?, Document::parse(&xml).ok()?);
    // Only from the network does a BMC have its discs.
    let network = |drive: &Element<'_, '_>| drive.attribute("type") == Some("network");
    let source = drive(&had).filter(network).and_then(|drive| child(drive, "source"));
    let (Some(source), Some(empty), Some(place)) =
        (source, with_image(&xml, None), drive(&document))
    else {
        return Some(xml);
    };
    let source = format!("{}<readonly/>", &old[source.range()]);
    let full = empty.replacen("type='file'", "type='network'", 1);
    let full = full.replacen("<readonly/>", &source, 1);
    let mut carried = xml.clone();
    carried.replace_range(place.range(), &full);
    Some(carried)
}

/// Whether a definition says that Secure Boot is on, or off.
fn secure_boot(document: &Document<'_>) -> Option<bool> {
    let firmware = child(part(document, "os")?, "firmware")?;
    let mut features = firmware.children().filter(|f| f.has_tag_name("feature"));
    let feature = features.find(|f| f.attribute("name") == Some("secure-boot"))?;
    Some(feature.attribute("enabled") == Some("yes"))
}

fn number(element: Element<'_, '_>) -> Option<u64> {
    element.text()?.trim().parse().ok()
}

/// What a domain is made of, but for the sizes of its disks; none if it is not a domain.
pub fn hardware(xml: &str) -> Option<Hardware> {
    let document = Document::parse(xml).ok()?;
    let (os, memory) = (part(&document, "os")?, part(&document, "memory")?);
    let kind_of = child(os, "type")?;
    let loader = child(os, "loader");
    let flash = loader.is_some_and(|loader| loader.attribute("type") == Some("pflash"));
    let uefi = os.attribute("firmware") == Some("efi") || flash;
    let secure = loader.is_some_and(|loader| loader.attribute("secure") == Some("yes"));
    let feature = os.descendants().find(|f| f.attribute("name") == Some("secure-boot"));
    let secure = secure || feature.is_some_and(|f| f.attribute("enabled") == Some("yes"));
    let kib = match memory.attribute("unit").unwrap_or("KiB") {
        "MiB" => number(memory)?.checked_mul(1024)?,
        "GiB" => number(memory)?.checked_mul(1 << 20)?,
        "b" | "bytes" => number(memory)? / 1024,
        _ => number(memory)?,
    };
    let machine = kind_of.attribute("machine").unwrap_or("pc");
    Some(Hardware {
        architecture: kind_of.attribute("arch").unwrap_or("x86_64").to_string(),
        machine: machine.to_string(),
        vcpus: part(&document, "vcpu")
            .and_then(number)
            .and_then(|n| n.try_into().ok())
            .unwrap_or(1),
        memory_mib: kib / 1024,
        firmware: if uefi { Firmware::Uefi } else { Firmware::Bios },
        // Only that machine type keeps guests away from where the firmware has its keys.
        secure_boot: (uefi && machine.contains("q35")).then_some(secure),
        disks: devices(&document).filter(|d| kind(d) == Some(Kind::Disk)).map(disk).collect(),
        nics: devices(&document).filter(|d| kind(d) == Some(Kind::Nic)).filter_map(nic).collect(),
        cdrom: drive(&document).is_some(),
        console: devices(&document).any(|d| d.has_tag_name("serial") || d.has_tag_name("console")),
    })
}

fn disk(device: Element<'_, '_>) -> Disk {
    let target = |name| child(device, "target").and_then(|target| target.attribute(name));
    let serial = child(device, "serial").and_then(|serial| serial.text());
    Disk {
        name: target("dev").unwrap_or_default().to_string(),
        bus: target("bus").unwrap_or_default().to_string(),
        serial: serial.map(String::from),
    }
}

/// Files that disks are in, by what the domain calls the disks.
pub fn disk_files(xml: &str) -> BTreeMap<String, String> {
    let Ok(document) = Document::parse(xml) else { return BTreeMap::new() };
    let of = |disk, part, name| child(disk, part).and_then(|part| part.attribute(name));
    let disks = devices(&document).filter(|d| kind(d) == Some(Kind::Disk));
    let files =
        disks.filter_map(|disk| Some((of(disk, "target", "dev")?, of(disk, "source", "file")?)));
    files.map(|(name, file)| (name.to_string(), file.to_string())).collect()
}

fn nic(device: Element<'_, '_>) -> Option<Nic> {
    let of = |element, name| child(device, element).and_then(|e| e.attribute(name));
    Some(Nic {
        mac: of("mac", "address")?.to_lowercase(),
        model: of("model", "type").unwrap_or_default().to_string(),
        up: of("link", "state") != Some("down"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "<domain type='kvm'>
  <name>n</name><memory unit='KiB'>2097152</memory><vcpu>2</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='network'/><boot dev='hd'/></os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'><source file='/p/a'/><target dev='vda' bus='virtio'/><serial>s1</serial></disk>
    <disk type='file' device='cdrom'><source file='/p/seed'/><target dev='sda' bus='scsi'/></disk>
    <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
    <interface type='network'><mac address='52:54:00:AA:00:01'/><model type='virtio'/><rom enabled='no'/></interface>
    <interface type='network'><mac address='52:54:00:aa:00:02'/><link state='down'/></interface>
    <serial type='pty'/>
  </devices>
</domain>";

    /// Names of devices in the order of their numbers.
    fn order(xml: &str) -> Vec<String> {
        let document = Document::parse(xml).unwrap();
        let mut all: Vec<(u32, String)> = devices(&document)
            .filter_map(|d| {
                let name = child(d, "target").and_then(|t| t.attribute("dev"));
                let name = name.or(child(d, "mac").and_then(|m| m.attribute("address")))?;
                Some((boot_order(&d)?, name.to_string()))
            })
            .collect();
        all.sort();
        all.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn what_a_bmc_has_changed_stays_in_a_new_definition() {
        let own = DOMAIN.replace(" firmware='efi'", "");
        let old = with_firmware(&own, Some(Firmware::Uefi), Some(true)).unwrap();
        let image = Image { url: "https://192.0.2.1:8443/a/b.iso?x=1".into(), verify: false };
        let full = with_image(&own, Some(&image)).unwrap();
        let empty =
            "<disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>";
        let old = old.replace(empty, &full);
        let new = own.replace("2097152", "4194304");
        let stays = carried(&new, &old, true).unwrap();
        let made = hardware(&stays).unwrap();
        assert_eq!((made.firmware, made.secure_boot), (Firmware::Uefi, Some(true)), "{stays}");
        assert_eq!(made.memory_mib, 4096);
        let source = |xml: &str| {
            let document = Document::parse(xml).unwrap();
            let drive = drive(&document).unwrap();
            assert_eq!(child(drive, "target").unwrap().attribute("dev"), Some("sdb"));
            assert_eq!(drive.attribute("type"), Some("network"));
            xml[child(drive, "source").unwrap().range()].to_string()
        };
        assert_eq!(source(&stays), source(&old));
        // Where the disc cannot be read, a node runs without.
        let without = without_image(&stays).unwrap();
        assert!(!without.contains("type='network' device='cdrom'") && without.contains("'sdb'"));
        assert_eq!((without_image(&without), without_image(&own)), (None, None));
        // Somebody wants another firmware: the disc stays all the same.
        let other = carried(&new, &old, false).unwrap();
        assert_eq!(hardware(&other).unwrap().firmware, Firmware::Bios);
        assert_eq!(source(&other), source(&old));
        // Where a BMC has changed nothing, nothing is carried.
        assert_eq!(carried(&new, &own, true).as_deref(), Some(new.as_str()));
        // A disc that somebody else has put there is not the BMC's.
        let disc = "<disk type='block' device='cdrom'><source dev='/dev/sr0'/><target dev='sdb' bus='sata'/><readonly/></disk>";
        let strange = own.replace(empty, disc);
        assert_eq!(carried(&new, &strange, true).as_deref(), Some(new.as_str()));
    }

    /// Where nothing is written libvirt takes the first firmware that fits, which may be one with Secure Boot.
    #[test]
    fn secure_boot_stays_as_a_bmc_has_written_it_where_there_is_such_a_thing() {
        let features = |xml: &str| secure_boot(&Document::parse(xml).unwrap());
        for on in [true, false] {
            let old = with_firmware(DOMAIN, Some(Firmware::Uefi), Some(on)).unwrap();
            assert_eq!(features(&carried(DOMAIN, &old, true).unwrap()), Some(on));
            let other = DOMAIN.replace("pc-q35-7.2", "pc-i440fx-7.2");
            assert_ne!(other, DOMAIN);
            let stays = carried(&other, &old, true).unwrap();
            assert_eq!(features(&stays), None, "{stays}");
            assert!(!stays.contains("<smm"), "{stays}");
        }
    }

    #[test]
    fn something_is_tried_first_and_all_else_in_its_own_order() {
        let (one, two) = ("52:54:00:AA:00:01", "52:54:00:aa:00:02");
        assert_eq!(order(&ordered(DOMAIN, None).unwrap()), [one, two, "vda", "sda", "sdb"]);
        let hdd = ordered(DOMAIN, Some(Device::Hdd)).unwrap();
        assert_eq!(order(&hdd), ["vda", one, two, "sda", "sdb"]);
        assert!(!hdd.contains("boot dev") && hdd.contains("<rom"));
        // The BMC's drive, and not the one with the seed.
        let cd = ordered(DOMAIN, Some(Device::Cd)).unwrap();
        assert_eq!(order(&cd), ["sdb", one, two, "vda", "sda"]);
        assert!(!ordered(DOMAIN, Some(Device::Pxe)).unwrap().contains("<rom"));
        assert!(ordered(DOMAIN, Some(Device::Setup)).unwrap().contains("<bootmenu enable='yes'"));
        // What has numbers keeps them.
        assert_eq!(order(&ordered(&cd, None).unwrap()), ["sdb", one, two, "vda", "sda"]);
        assert_eq!(ordered("<x/>", None), None);
    }

    #[test]
    fn a_running_domain_gets_its_own_order_back() {
        let live = ordered(DOMAIN, Some(Device::Hdd)).unwrap();
        let back = reordered(&live, DOMAIN);
        assert_eq!(back.len(), 3, "{back:?}");
        assert!(back[0].starts_with("<disk") && back[0].contains("<boot order='3'/>"), "{back:?}");
        assert!(reordered(&ordered(DOMAIN, None).unwrap(), DOMAIN).is_empty());
    }

    #[test]
    fn firmware_and_secure_boot_change_what_libvirt_chooses() {
        let bios = with_firmware(DOMAIN, Some(Firmware::Bios), None).unwrap();
        let read = hardware(&bios).unwrap();
        assert_eq!((read.firmware, read.secure_boot), (Firmware::Bios, None));
        let secure = with_firmware(&bios, Some(Firmware::Uefi), Some(true)).unwrap();
        let read = hardware(&secure).unwrap();
        assert_eq!((read.firmware, read.secure_boot), (Firmware::Uefi, Some(true)));
        assert!(secure.contains("<smm state='on'/>"));
        let off = with_firmware(&secure, None, Some(false)).unwrap();
        assert_eq!(hardware(&off).unwrap().secure_boot, Some(false));
    }

    #[test]
    fn an_image_is_read_from_where_it_is() {
        let image = |url: &str| Image { url: url.into(), verify: false };
        let disk = with_image(DOMAIN, Some(&image("https://h:8443/a/b.iso?x=1&y=2"))).unwrap();
        let document = Document::parse(&disk).unwrap();
        let source = child(document.root_element(), "source").unwrap();
        let of = |name| source.attribute(name);
        assert_eq!(
            (of("protocol"), of("name"), of("query")),
            (Some("https"), Some("a/b.iso"), Some("x=1&y=2"))
        );
        let coded = with_image(DOMAIN, Some(&image("http://h/My%20Images/a%2Bb:c.iso?x=a%2Fb")));
        let coded = coded.unwrap();
        assert!(coded.contains("name='My Images/a+b:c.iso'") && coded.contains("query='x=a%2Fb'"));
        assert_eq!(with_image(DOMAIN, Some(&image("http://h/a%2Fb.iso"))), None);
        assert!(disk.contains("verify='no'") && disk.contains("<target dev='sdb' bus='sata'/>"));
        assert!(!with_image(DOMAIN, None).unwrap().contains("source"));
        assert_eq!(with_image(DOMAIN, Some(&image("file:///etc/shadow"))), None);
        assert_eq!(with_image(&DOMAIN.replace("cdrom", "floppy"), None), None);
    }

    #[test]
    fn hardware_is_read() {
        let read = hardware(DOMAIN).unwrap();
        assert_eq!((read.vcpus, read.memory_mib, read.machine.as_str()), (2, 2048, "pc-q35-7.2"));
        assert_eq!((read.disks.len(), read.disks[0].serial.as_deref()), (1, Some("s1")));
        assert_eq!((read.nics[0].mac.as_str(), read.nics[1].up), ("52:54:00:aa:00:01", false));
        assert!(read.cdrom && read.console && read.secure_boot == Some(false));
        // No firmware that there is has Secure Boot with the older machine type.
        let older = hardware(&DOMAIN.replace("pc-q35-7.2", "pc-i440fx-7.2")).unwrap();
        assert_eq!((older.firmware, older.secure_boot), (Firmware::Uefi, None));
        assert_eq!(hardware("<domain/>"), None);
        assert_eq!(disk_files(DOMAIN), [("vda".to_string(), "/p/a".to_string())].into());
    }
}
