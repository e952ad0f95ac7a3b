//! A domain: <https://libvirt.org/formatdomain.html>.

use std::net::IpAddr;

use maquette_core::blueprint::{self, Checksums, Disk, Interface, Node, Pool, Vnc};
use maquette_core::image::redact_words;
use maquette_core::names::EnvName;
use maquette_core::observed::{DiskDevice, Nic, Origin};
use maquette_core::seed::READY_PORT;
use maquette_core::topology::virtopts::{VirtOpt, VirtOpts};
use maquette_core::topology::{BootMode, Bus, SeedDrive, VirtType};
use maquette_core::values::printable;
use maquette_engine::ssh_keys::RecordKey;
use roxmltree::{Document, Node as Element};

use super::Writer;
use super::metadata::{self, NAMESPACE, NodeRecord, ORIGIN, ORIGIN_NAMESPACE, STATE_NAMESPACE};

/// Where serial consoles are logged on the hypervisor: beside QEMU's own logs, or where `--serial-files` of InfraRed
/// puts them.
pub const SERIAL_LOGS: [&str; 2] = ["/var/log/libvirt/qemu", "/var/lib/libvirt/qemu"];

/// Both places where a domain's serial console may be logged.
pub fn serial_logs(domain: &str) -> [String; 2] {
    SERIAL_LOGS.map(|directory| format!("{directory}/{domain}-serial.log"))
}

/// Where a node's serial console is logged.
pub fn serial_log(node: &Node) -> String {
    let [usual, file] = serial_logs(&node.name);
    if node.serial_file { file } else { usual }
}

/// Everything that libvirt logs of a domain on the hypervisor: its console and QEMU's own messages, and
/// what virtlogd has rotated of them.
pub fn logs(domain: &str) -> Vec<String> {
    let emulator = format!("/var/log/libvirt/qemu/{domain}.log");
    let rotated = |file: String| (0..3).map(move |n| format!("{file}.{n}"));
    let all = serial_logs(domain).into_iter().chain([emulator]);
    all.flat_map(|file| std::iter::once(file.clone()).chain(rotated(file))).collect()
}

/// What is noted of a node's first boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// Whether it was seen to end.
    pub ready: bool,
    /// The address that the guest got from somebody on the LAN, where a login has worked.
    pub address: Option<IpAddr>,
    /// The address that the guest says it got, where none has. Nothing goes by it but the next wait.
    pub said: Option<IpAddr>,
    /// Why it failed; none if it did not.
    pub failed: Option<String>,
}

impl Mark {
    /// That of a first boot that was seen to end.
    pub fn ready() -> Self {
        Self { ready: true, ..Self::default() }
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        let address = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string());
        let given = [
            ("address", address(self.address)),
            ("said", address(self.said)),
            ("failed", self.failed.as_deref().map(reason)),
        ];
        given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// As libvirt takes an element of metadata: without a namespace, which libvirt adds.
    pub fn write(&self) -> String {
        let given = self.attributes();
        let given: Vec<(&str, &str)> = given.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let mut w = Writer::default();
        w.empty(metadata::state_name(self.ready), &given);
        w.finish()
    }
}

/// Writes a domain, with what is noted of its first boot.
pub fn domain(node: &Node, environment: &EnvName, pool: &Pool, mark: &Mark) -> String {
    domain_made(node, environment, pool, mark, None)
}

/// The same, with who made it.
pub fn domain_made(
    node: &Node,
    environment: &EnvName,
    pool: &Pool,
    mark: &Mark,
    origin: Option<&Origin>,
) -> String {
    let record =
        NodeRecord { environment: environment.clone(), pool: pool.clone(), node: node.clone() };
    write(node, pool, |w| {
        metadata::write_node(w, &record);
        if *mark != Mark::default() {
            let name = format!("state:{}", metadata::state_name(mark.ready));
            let given = mark.attributes();
            let mut attributes = vec![("xmlns:state", STATE_NAMESPACE)];
            attributes.extend(given.iter().map(|(key, value)| (*key, value.as_str())));
            w.empty(&name, &attributes);
        }
        if let Some(Origin { by, at_s }) = origin {
            let (name, by, at) = (format!("origin:{ORIGIN}"), reason(by), at_s.to_string());
            let attributes = [("xmlns:origin", ORIGIN_NAMESPACE), ("by", &by), ("at", &at)];
            w.empty(&name, &attributes);
        }
    })
}

/// The record of a domain alone, as libvirt takes an element of metadata: without a namespace, which libvirt adds.
pub fn record(node: &Node, environment: &EnvName, pool: &Pool, key: Option<&RecordKey>) -> String {
    let whole = super::sealed(domain(node, environment, pool, &Mark::default()), key);
    let found = Document::parse(&whole).ok().and_then(|document| {
        let named = |e: &Element<'_, '_>| e.tag_name().namespace() == Some(NAMESPACE);
        let record = document.descendants().find(named)?;
        whole.get(record.range()).map(String::from)
    });
    let prefix = metadata::PREFIX;
    let declared = format!(" xmlns:{prefix}='{NAMESPACE}'");
    // No value has such a bracket in it.
    let record = found.unwrap_or_default().replacen(&declared, "", 1);
    record.replace(&format!("<{prefix}:"), "<").replace(&format!("</{prefix}:"), "</")
}

/// Words of others as one line for people: why a first boot failed, in the guest's words; who made a domain. Everybody who
/// uses the hypervisor reads them, so addresses are without passwords and tokens.
pub fn reason(words: &str) -> String {
    const MOST: usize = 300;
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    printable(&redact_words(&words)).chars().take(MOST).collect()
}

/// Writes a domain that belongs to no environment.
pub fn unrecorded(node: &Node, pool: &Pool) -> String {
    write(node, pool, |_| {})
}

fn write(node: &Node, pool: &Pool, metadata: impl FnOnce(&mut Writer)) -> String {
    let options = &node.virtopts;
    let mut root = vec![("type", node.virt.as_str())];
    if options.iter().any(|o| matches!(o, VirtOpt::Qemu(_))) {
        root.push(("xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0"));
    }
    let mut w = Writer::default();
    w.element("domain", &root, |w| {
        w.text("name", &[], &node.name);
        w.text("uuid", &[], &node.uuid.to_string());
        if has_generation_id(node) {
            w.empty("genid", &[]);
        }
        w.element("metadata", &[], metadata);
        w.text("memory", &[("unit", "MiB")], &node.maximum_mib().to_string());
        if node.memory_max_mib.is_some() {
            w.text("currentMemory", &[("unit", "MiB")], &node.memory_mib.to_string());
        }
        options.iter().for_each(|o| {
            if let VirtOpt::Memory(names) = o {
                w.element("memoryBacking", &[], |w| names.iter().for_each(|n| w.empty(n, &[])));
            }
        });
        w.text("vcpu", &[], &node.vcpus.to_string());
        options.iter().for_each(|o| {
            if let VirtOpt::IoThreads(count) = o {
                w.text("iothreads", &[], &count.to_string());
            }
        });
        os(w, node);
        features(w, options);
        cpu(w, node);
        clock(w);
        w.element("devices", &[], |w| devices(w, node, pool));
        for option in options.iter() {
            let VirtOpt::Qemu(words) = option else { continue };
            w.element("qemu:commandline", &[], |w| {
                words.iter().for_each(|word| w.empty("qemu:arg", &[("value", word)]));
            });
        }
    });
    w.finish()
}

/// Whether a domain has a generation ID: libvirt gives it another one whenever it is restored from a memory image, of which its
/// kernel hears as it goes on, and draws other random numbers than before (Linux since 5.18, with `CONFIG_VMGENID`). Its
/// device is one of ACPI.
fn has_generation_id(node: &Node) -> bool {
    let is_without = |o: &VirtOpt| matches!(o, VirtOpt::Feature(name, false) if name == "acpi");
    let can = blueprint::has_generation_id(&node.machine);
    can && node.virt != VirtType::Test && !node.virtopts.iter().any(is_without)
}

/// Clocks, and no sleep: as virt-install has them.
fn clock(w: &mut Writer) {
    w.element("clock", &[("offset", "utc")], |w| {
        w.empty("timer", &[("name", "rtc"), ("tickpolicy", "catchup")]);
        w.empty("timer", &[("name", "pit"), ("tickpolicy", "delay")]);
        w.empty("timer", &[("name", "hpet"), ("present", "no")]);
    });
    w.element("pm", &[], |w| {
        w.empty("suspend-to-mem", &[("enabled", "no")]);
        w.empty("suspend-to-disk", &[("enabled", "no")]);
    });
}

fn features(w: &mut Writer, options: &VirtOpts) {
    let wanted = |name: &str| {
        options.iter().rev().find_map(|o| match o {
            VirtOpt::Feature(n, on) if n == name => Some(*on),
            _ => None,
        })
    };
    w.element("features", &[], |w| {
        // These two are there or not; the others have a state.
        for name in ["acpi", "apic", "pae"] {
            if wanted(name).unwrap_or(name != "pae") {
                w.empty(name, &[]);
            }
        }
        for name in ["smm", "pmu", "vmport"] {
            if let Some(on) = wanted(name) {
                w.empty(name, &[("state", if on { "on" } else { "off" })]);
            }
        }
    });
}

fn os(w: &mut Writer, node: &Node) {
    // `firmware` lets libvirt choose the files; paths differ on every distribution.
    let firmware: &[(&str, &str)] = match node.firmware {
        BootMode::Bios => &[],
        BootMode::Uefi => &[("firmware", "efi")],
    };
    w.element("os", firmware, |w| {
        match node.virt {
            // All machines of libvirt's test driver are alike.
            VirtType::Test => w.text("type", &[("arch", "i686")], "hvm"),
            _ => w.text("type", &[("arch", "x86_64"), ("machine", &node.machine)], "hvm"),
        }
        node.boot_order().iter().for_each(|dev| w.empty("boot", &[("dev", dev)]));
        let menu = node.virtopts.iter().rev().find_map(|o| match o {
            VirtOpt::Boot { menu, .. } => *menu,
            _ => None,
        });
        if let Some(menu) = menu {
            w.empty("bootmenu", &[("enable", if menu { "yes" } else { "no" })]);
        }
    });
}

/// What an emulated CPU can do that costs time and that no program sees: each time that a kernel reaches for a program's memory
/// it says so, for which QEMU makes code again, and page tables have a fifth level.
const SLOW_FEATURES: [&str; 2] = ["smap", "la57"];

fn cpu(w: &mut Writer, node: &Node) {
    match (node.virt, node.cpu_model.as_str()) {
        // The emulator has no host CPU to pass through; "maximum" is all it can do.
        (VirtType::Qemu, "host-passthrough" | "host-model") => {
            w.element("cpu", &[("mode", "maximum")], |w| {
                for name in SLOW_FEATURES {
                    w.empty("feature", &[("policy", "disable"), ("name", name)]);
                }
            });
        }
        (_, mode @ ("host-passthrough" | "host-model" | "maximum")) => {
            w.empty("cpu", &[("mode", mode)]);
        }
        (_, model) => {
            w.element("cpu", &[("mode", "custom"), ("match", "exact")], |w| {
                w.text("model", &[("fallback", "allow")], model);
            });
        }
    }
}

/// A VNC server, as part of a domain or for changing its password.
fn write_vnc(w: &mut Writer, vnc: &Vnc) {
    let listen = if vnc.external { "0.0.0.0" } else { "127.0.0.1" };
    let mut attributes =
        vec![("type", "vnc"), ("port", "-1"), ("autoport", "yes"), ("listen", listen)];
    attributes.extend(vnc.password.as_ref().map(|p| ("passwd", p.reveal())));
    w.empty("graphics", &attributes);
}

/// A VNC server, for changing its password.
pub fn vnc(vnc: &Vnc) -> String {
    let mut w = Writer::default();
    write_vnc(&mut w, vnc);
    w.finish()
}

fn devices(w: &mut Writer, node: &Node, pool: &Pool) {
    for disk in &node.disks {
        write_disk(w, disk, pool);
    }
    if let Some(guest) = &node.guest {
        write_seed(w, &format!("{}/{}", pool.path, guest.seed), guest.drive);
    }
    write_drive(w, node);
    let has_cdrom = node.guest.as_ref().is_some_and(|g| g.drive == SeedDrive::CdRom);
    // libvirt adds what is missing, in a model that guests have no driver for.
    let on_scsi = node.disks.iter().filter(|d| d.bus == Bus::Scsi);
    let controllers = on_scsi.filter_map(|d| Some(disk_number(&d.device)? / DISKS_OF_CONTROLLER));
    for index in 0..=controllers.chain(has_cdrom.then_some(0)).max().map_or(-1, i64::from) {
        let index = index.to_string();
        w.empty("controller", &[("type", "scsi"), ("index", &index), ("model", "virtio-scsi")]);
    }
    usb(w, node);
    let boots_from_disk = !node.boot_order().contains(&"network");
    for interface in &node.interfaces {
        write_interface(w, interface, boots_from_disk);
    }
    w.element("serial", &[("type", "pty")], |w| {
        let file = serial_log(node);
        w.empty("log", &[("file", &file), ("append", "on")]);
        w.empty("target", &[("port", "0")]);
    });
    w.element("console", &[("type", "pty")], |w| {
        w.empty("target", &[("type", "serial"), ("port", "0")]);
    });
    for port in ["org.qemu.guest_agent.0", READY_PORT] {
        w.element("channel", &[("type", "unix")], |w| {
            w.empty("target", &[("type", "virtio"), ("name", port)]);
        });
    }
    for option in node.virtopts.iter() {
        if let VirtOpt::Tpm(model, version) = option {
            w.element("tpm", &[("model", model)], |w| {
                w.empty("backend", &[("type", "emulator"), ("version", version)]);
            });
        }
    }
    write_vnc(w, &node.vnc);
    let mut video = "vga";
    for option in node.virtopts.iter() {
        match option {
            VirtOpt::Sound(model) => w.empty("sound", &[("model", model)]),
            VirtOpt::Video(model) => video = model,
            VirtOpt::Watchdog(model, action) => {
                w.empty("watchdog", &[("model", model), ("action", action)]);
            }
            VirtOpt::Balloon(model) => w.empty("memballoon", &[("model", model)]),
            _ => {}
        }
    }
    w.element("video", &[], |w| w.empty("model", &[("type", video)]));
    w.element("rng", &[("model", "virtio")], |w| {
        w.text("backend", &[("model", "random")], "/dev/urandom");
    });
}

/// Nothing here is on USB, and looking for it takes firmware and guest a while; only a pointer that is where somebody's is on
/// their screen has to be.
fn usb(w: &mut Writer, node: &Node) {
    if !node.vnc.external {
        return w.empty("controller", &[("type", "usb"), ("model", "none")]);
    }
    w.empty("controller", &[("type", "usb"), ("model", "qemu-xhci")]);
    w.empty("input", &[("type", "tablet"), ("bus", "usb")]);
}

/// Disks that libvirt puts on one SCSI controller (`virDomainDiskDefAssignAddress`).
const DISKS_OF_CONTROLLER: u32 = 7;

/// The number of a disk among those whose devices begin alike, from its device: 26 of `sdaa`.
fn disk_number(device: &str) -> Option<u32> {
    let letters = device.get(2..).filter(|letters| !letters.is_empty())?;
    let digit = |c: char| c.is_ascii_lowercase().then(|| u32::from(c) - u32::from('a') + 1);
    let all = letters.chars().try_fold(0u32, |all, c| all.checked_mul(26)?.checked_add(digit(c)?));
    all.and_then(|all| all.checked_sub(1))
}

fn write_seed(w: &mut Writer, file: &str, drive: SeedDrive) {
    w.element("disk", &[("type", "file"), ("device", drive.kind())], |w| {
        w.empty("driver", &[("name", "qemu"), ("type", "raw")]);
        w.empty("source", &[("file", file)]);
        w.empty("target", &[("dev", drive.device()), ("bus", drive.bus().as_str())]);
        w.empty("readonly", &[]);
        if drive == SeedDrive::CdRom {
            // Disks on this bus are on target 0, and the name of its device would put it on another controller.
            let place = [("controller", "0"), ("bus", "0"), ("target", "1"), ("unit", "0")];
            let kind = std::iter::once(("type", "drive"));
            w.empty("address", &kind.chain(place).collect::<Vec<_>>());
        }
    });
}

/// The drive that a BMC puts images into: of nodes that have nothing to boot from but what their BMC says. It is where the
/// drivers of every installer look, in the last place of the controller that the machine has anyhow.
fn write_drive(w: &mut Writer, node: &Node) {
    let speaks = node.bmc.as_ref().is_some_and(|bmc| bmc.protocol.has_redfish());
    if !speaks || node.deploy_os {
        return;
    }
    let q35 = node.machine.contains("q35");
    let (device, bus, unit) = if q35 { ("sdy", "sata", "5") } else { ("hdd", "ide", "1") };
    let taken = node.disks.iter().any(|disk| disk.device == device);
    if taken {
        return;
    }
    w.element("disk", &[("type", "file"), ("device", "cdrom")], |w| {
        w.empty("driver", &[("name", "qemu"), ("type", "raw")]);
        w.empty("target", &[("dev", device), ("bus", bus)]);
        w.empty("readonly", &[]);
        let channel = if q35 { "0" } else { "1" };
        let place = [("controller", "0"), ("bus", channel), ("target", "0"), ("unit", unit)];
        let kind = std::iter::once(("type", "drive"));
        w.empty("address", &kind.chain(place).collect::<Vec<_>>());
    });
}

/// One disk, for plugging it in.
pub fn disk(disk: &Disk, pool: &Pool) -> String {
    let mut w = Writer::default();
    write_disk(&mut w, disk, pool);
    w.finish()
}

/// One interface, for plugging it in.
pub fn interface(interface: &Interface, boots_from_disk: bool) -> String {
    let mut w = Writer::default();
    write_interface(&mut w, interface, boots_from_disk);
    w.finish()
}

/// A disk as libvirt has it, for unplugging it.
pub fn found_disk(disk: &DiskDevice) -> String {
    let mut w = Writer::default();
    let kind = SeedDrive::of_device(&disk.device).map_or("disk", SeedDrive::kind);
    w.element("disk", &[("type", "file"), ("device", kind)], |w| {
        w.empty("source", &[("file", &disk.file)]);
        w.empty("target", &[("dev", &disk.device), ("bus", &disk.bus)]);
    });
    w.finish()
}

/// An interface as libvirt has it, for unplugging it.
pub fn found_nic(nic: &Nic) -> String {
    let mut w = Writer::default();
    let (kind, name) = match nic.network.strip_prefix("bridge/") {
        Some(bridge) => ("bridge", bridge),
        None => ("network", nic.network.as_str()),
    };
    w.element("interface", &[("type", kind)], |w| {
        w.empty("mac", &[("address", &nic.mac.to_string())]);
        w.empty("source", &[(kind, name)]);
        w.empty("model", &[("type", &nic.model)]);
    });
    w.finish()
}

/// Disks are given by file: AppArmor's helper denies `type='volume'`.
fn write_disk(w: &mut Writer, disk: &Disk, pool: &Pool) {
    let file = disk.file(pool);
    w.element("disk", &[("type", "file"), ("device", "disk")], |w| {
        w.empty("driver", &[("name", "qemu"), ("type", "qcow2"), ("cache", disk.cache.as_str())]);
        w.empty("source", &[("file", &file)]);
        w.empty("target", &[("dev", &disk.device), ("bus", disk.bus.as_str())]);
        if let Some(serial) = &disk.serial {
            w.text("serial", &[], serial);
        }
    });
}

fn write_interface(w: &mut Writer, interface: &Interface, boots_from_disk: bool) {
    let kind = if interface.is_on_host_bridge() { "bridge" } else { "network" };
    w.element("interface", &[("type", kind)], |w| {
        w.empty("mac", &[("address", &interface.mac.to_string())]);
        let mut source = vec![(kind, interface.network.as_str())];
        source.extend(interface.attachment.portgroup().map(|p| ("portgroup", p.as_str())));
        w.empty("source", &source);
        w.empty("model", &[("type", &interface.model)]);
        if interface.attachment.checksums() == Checksums::Guest && interface.model == "virtio" {
            let host = ["csum", "gso", "tso4", "tso6", "ecn", "ufo"].map(|f| (f, "off"));
            let guest = ["csum", "tso4", "tso6", "ecn", "ufo"].map(|f| (f, "off"));
            w.element("driver", &[("name", "qemu")], |w| {
                w.empty("host", &host);
                w.empty("guest", &guest);
            });
        }
        if let Some(mtu) = interface.told_mtu() {
            w.empty("mtu", &[("size", &mtu.to_string())]);
        }
        if boots_from_disk {
            // It boots from its disk: the card's boot ROM would only cost time.
            w.empty("rom", &[("enabled", "no")]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_core::topology::{BootDevice, Preallocation};
    use maquette_testkit as nodes;

    fn pool() -> Pool {
        Pool { name: "images".parse().unwrap(), path: "/var/lib/libvirt/images".parse().unwrap() }
    }

    fn on_bus(bus: Bus, count: u32) -> Node {
        let disk = |number| Disk {
            volume: format!("n-0-disk{number}.qcow2").parse().unwrap(),
            device: bus.device(number).parse().unwrap(),
            bus,
            cache: "unsafe".parse().unwrap(),
            size: None,
            backing: None,
            preallocation: Preallocation::Off,
            serial: None,
            pool: None,
        };
        Node { disks: (0..count).map(disk).collect(), ..nodes::node("n-0") }
    }

    fn controllers(node: &Node) -> usize {
        unrecorded(node, &pool()).matches("model='virtio-scsi'").count()
    }

    #[test]
    fn disks_on_scsi_have_as_many_controllers_as_they_need() {
        for (bus, disks, expected) in [
            (Bus::Scsi, 1, 1),
            (Bus::Scsi, 7, 1),
            (Bus::Scsi, 8, 2),
            (Bus::Scsi, 15, 3),
            (Bus::Scsi, 25, 4),
            (Bus::Virtio, 25, 0),
            (Bus::Sata, 8, 0),
        ] {
            assert_eq!(controllers(&on_bus(bus, disks)), expected, "{disks} {}", bus.as_str());
        }
        // The seed's drive is on the first.
        let with_seed = |disks| Node { guest: Some(nodes::guest()), ..on_bus(Bus::Virtio, disks) };
        assert_eq!(controllers(&with_seed(1)), 1);
        assert_eq!(disk_number("sdaa"), Some(26));
    }

    #[test]
    fn a_screen_that_others_look_at_has_a_tablet() {
        let xml = |external| {
            let vnc = Vnc { external, ..Vnc::default() };
            unrecorded(&Node { vnc, ..nodes::node("n-0") }, &pool())
        };
        assert!(xml(true).contains("<input type='tablet' bus='usb'/>"), "{}", xml(true));
        assert!(xml(true).contains("type='usb' model='qemu-xhci'"), "{}", xml(true));
        assert!(!xml(false).contains("tablet") && xml(false).contains("type='usb' model='none'"));
    }

    #[test]
    fn a_node_boots_from_what_its_type_says_and_options_say_last() {
        let order = |node: &Node| {
            let xml = unrecorded(node, &pool());
            let devices = xml.split("<boot dev='").skip(1);
            let devices: Vec<_> =
                devices.map(|rest| rest.split('\'').next().unwrap().to_string()).collect();
            (devices.join(" "), xml.contains("<rom enabled='no'/>"))
        };
        let blank =
            Node { interfaces: vec![nodes::interface("eth0", 1, "net")], ..nodes::node("n-0") };
        assert_eq!(order(&blank), ("network hd".into(), false));
        let disk = Node { boot: vec![BootDevice::Disk], ..blank.clone() };
        assert_eq!(order(&disk), ("hd".into(), true));
        let installed = Node { deploy_os: true, ..blank };
        assert_eq!(order(&installed), ("hd".into(), true));
        // Its card needs the ROM then.
        let network = Node { boot: vec![BootDevice::Network, BootDevice::Disk], ..installed };
        assert_eq!(order(&network), ("network hd".into(), false));
        let options = Node { virtopts: "--boot cdrom,hd".parse().unwrap(), ..network };
        assert_eq!(order(&options), ("cdrom hd".into(), true));
    }
}
