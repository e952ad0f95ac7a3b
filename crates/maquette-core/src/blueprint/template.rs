//! Templates: a node's image that has booted once, and its memory, from which nodes that are alike start.

use std::fmt;

use uuid::Uuid;

use super::{Checksums, Disk, Guest, Image, Interface, Node, Pool};
use crate::topology::{BootMode, Bus, FirstBoot, VirtType};
use crate::units::MacAddr;
use crate::values::{FileName, GuestPath, NodeName, Serial};

/// What every change of how templates are made or used changes, the words between agent and program included: those of
/// another version are not used.
const VERSION: &str = "maquette template 11";

/// How many digits of a key tell what a template is of use with; the others tell what it is of.
const EMULATOR_DIGITS: usize = 8;

/// What its name and those of its files begin with.
const STEM: &str = "maquette-warm-";

/// What nodes of one shape start from: a disk and a memory image in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Digest of everything that the memory image depends on, in hexadecimal.
    pub key: String,
    /// The image that its disk overlays.
    pub image: Image,
}

impl Template {
    /// Whether a domain is called as those are from which templates are made.
    pub fn is_called_so(domain: &str) -> bool {
        let key = domain.strip_prefix(STEM);
        key.is_some_and(|key| key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit()))
    }

    /// Whether the template that a domain makes is of use with an emulator, and with this version.
    pub fn is_of(domain: &str, emulator: &str) -> bool {
        let begin = format!("{STEM}{}", emulator_digits(emulator));
        Self::is_called_so(domain) && domain.starts_with(&begin)
    }

    /// Whether a domain makes the template of the same nodes for another emulator, or has made it by another version.
    pub fn is_for_another_emulator(&self, domain: &str) -> bool {
        let of_same = domain.strip_prefix(STEM).and_then(|key| key.get(EMULATOR_DIGITS..));
        let own = self.key.get(EMULATOR_DIGITS..);
        Self::is_called_so(domain) && domain != self.name() && of_same == own
    }

    /// The UUID of its domain while it is made, which is in its memory for guests to read.
    pub fn uuid(&self) -> Uuid {
        Self::uuid_of(&self.name())
    }

    /// The UUID of a domain from which a template is made: one that tools which read lines find in its memory.
    pub fn uuid_of(domain: &str) -> Uuid {
        let ends_lines = |uuid: &Uuid| uuid.as_bytes().iter().any(|byte| matches!(byte, 0 | b'\n'));
        let mut uuid = Uuid::new_v5(&Uuid::NAMESPACE_OID, domain.as_bytes());
        while ends_lines(&uuid) {
            uuid = Uuid::new_v5(&Uuid::NAMESPACE_OID, uuid.as_bytes());
        }
        uuid
    }

    /// The MACs of as many NICs of its domain, which nobody else has: every place in its memory that has one is a node's.
    pub fn macs(&self, nics: usize) -> Vec<MacAddr> {
        let own = |nic: usize| {
            let plain = |bytes: &[u8]| bytes.iter().all(|byte| !matches!(byte, 0 | b'\n'));
            let mut uuid = Uuid::new_v5(&self.uuid(), &nic.to_be_bytes());
            while !plain(&uuid.as_bytes()[..5]) {
                uuid = Uuid::new_v5(&self.uuid(), uuid.as_bytes());
            }
            let [a, b, c, d, e, ..] = *uuid.as_bytes();
            // Of one machine, and given out locally.
            MacAddr([0x62, a, b, c, d, e])
        };
        (0..nics).map(own).collect()
    }

    /// Name of its domain while it is made, and what the names of all of its files begin with.
    pub fn name(&self) -> String {
        format!("{STEM}{}", self.key)
    }

    /// Its domain while it is made.
    pub fn domain(&self) -> NodeName {
        NodeName::of_template(self.name())
    }

    /// Volume of its disk, an overlay of the image.
    pub fn disk(&self) -> FileName {
        self.part(TemplatePart::Disk)
    }

    /// Volume of a further disk, which is there in the definition alone: its number is not 1.
    pub fn further_disk(&self, number: usize) -> FileName {
        FileName::ending(&self.name(), &format!("-disk{number}.qcow2"))
    }

    /// File of its memory image in the pool's directory, in the format of `virsh save`.
    pub fn memory(&self) -> FileName {
        self.part(TemplatePart::Memory)
    }

    /// Volume of its seed while it is made.
    pub fn seed(&self) -> FileName {
        self.part(TemplatePart::Seed)
    }

    fn part(&self, part: TemplatePart) -> FileName {
        FileName::ending(&self.name(), part.suffix())
    }
}

/// What a template has in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplatePart {
    /// The disk, an overlay of the image.
    Disk,
    /// The memory image.
    Memory,
    /// The seed, while the template is made.
    Seed,
}

impl TemplatePart {
    fn suffix(self) -> &'static str {
        match self {
            Self::Disk => ".qcow2",
            Self::Memory => ".save",
            Self::Seed => "-seed.img",
        }
    }

    /// Volume of the template that a domain makes.
    pub fn of(self, domain: &str) -> String {
        format!("{domain}{}", self.suffix())
    }

    /// The domain that makes the template to which a volume belongs as this part; none for what is called otherwise.
    pub fn domain(self, volume: &str) -> Option<&str> {
        volume.strip_suffix(self.suffix()).filter(|domain| Template::is_called_so(domain))
    }
}

/// What there is of a template that would have to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// Nothing.
    None,
    /// One of the same nodes, which is of no use with the libvirt, QEMU, CPU or Maquette that there is now.
    OfAnotherEmulator,
}

impl fmt::Display for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::OfAnotherEmulator => {
                ", and the one that is there was made with another libvirt, QEMU, CPU or Maquette"
            }
        })
    }
}

/// Why a node boots instead of starting from a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColdReason {
    /// It was asked for.
    Asked,
    /// Nothing is set up in it.
    NoGuest,
    /// It could not be told who it is.
    NoAgent,
    /// The same, and nobody knows whether its image has an agent, or of which version.
    OtherAgent,
    /// Its cloud-config has what only cloud-init does.
    UserData,
    /// It has options of virt-install.
    Options,
    /// It says what it boots from.
    Boot,
    /// It has a tablet, for a screen that others look at.
    Tablet,
    /// Its firmware is UEFI, for which no image with an agent has a loader: these have one partition, and GRUB before it.
    Uefi,
    /// libvirt's test driver has no memory.
    TestDriver,
    /// It has no disk that overlays an image.
    NoImage,
    /// It has a disk that cannot be plugged into a running domain, or whose size such a one would not learn.
    Bus(Bus),
    /// It has a NIC of a model that cannot be plugged into a running domain of its machine type.
    Nic(String),
    /// Its machine type cannot have a generation ID.
    Machine,
    /// Its disks are in another pool than the one in which images are.
    Pool,
    /// A disk of it is in the pool of a directory that it names.
    DiskPool,
    /// There is no room in the pool for memory images.
    NoRoom,
    /// libvirt does not say which QEMU there is.
    NoEmulator,
    /// Nobody could tell when it is up.
    NoAddress,
    /// Its first boot writes a file that only a system which starts would read.
    File(GuestPath),
    /// To make a template for one node takes longer than to boot it.
    Alone(Earlier),
    /// The same where nodes like it have booted here before, so that others may start from its template.
    Sooner(Earlier),
    /// To make a template takes as long as to boot all of its nodes side by side.
    AtOnce(Earlier),
    /// There is no memory for its template's domain besides what runs.
    NoMemory,
    /// QEMU did not take its template's memory, for this reason, and disks overlay what is left of the template.
    MemoryGone(String),
    /// An earlier run has tried, and this is what came of it.
    Failed(String),
}

impl fmt::Display for ColdReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "as `--start` says",
            Self::NoGuest => "Maquette does not set it up",
            Self::NoAgent => "the image has no agent",
            Self::OtherAgent => "nothing tells that the image has an agent of this version",
            Self::UserData => "its `user_data` needs cloud-init",
            Self::Options => "no template has its options of virt-install (`--virtopts`)",
            Self::Boot => "it says what it boots from (`boot`)",
            Self::Tablet => "it has a USB tablet for external VNC",
            Self::Uefi => "images with an agent boot from BIOS, and it has UEFI",
            Self::TestDriver => "libvirt's test driver cannot save memory",
            Self::NoImage => "its first disk does not overlay an image",
            Self::Machine => "its machine type has no generation ID (those after 2.4 have)",
            Self::Pool => "its disks are in another pool",
            Self::DiskPool => "a disk of it names a directory of its own (`path`)",
            Self::NoRoom => "the pool has no room for its memory",
            Self::NoEmulator => "libvirt does not tell its version and that of QEMU",
            Self::NoAddress => "nothing tells under which address it answers",
            Self::NoMemory => "the hypervisor has no memory to make its template in",
            Self::Alone(earlier) => {
                return write!(f, "no other node would start from its template{earlier}");
            }
            Self::Sooner(earlier) => {
                return write!(f, "it boots sooner than its template would be made{earlier}");
            }
            Self::AtOnce(earlier) => {
                return write!(
                    f,
                    "nodes like it boot at once, in the time that a template takes{earlier}"
                );
            }
            Self::Bus(bus) => {
                return write!(f, "disks on {} cannot be plugged in while it runs", bus.as_str());
            }
            Self::Nic(model) => {
                return write!(f, "a NIC of model `{model}` cannot be plugged in while it runs");
            }
            Self::File(path) => return write!(f, "`{path}` is read while a system starts"),
            Self::MemoryGone(why) => {
                return write!(
                    f,
                    "its template's memory was of no use ({why}); another one is made once no node's disk overlays the \
                     template, and `maquette image prune` has removed that"
                );
            }
            Self::Failed(why) => {
                return write!(f, "it failed before ({why}); `--start warm` tries again");
            }
        })
    }
}

/// The template in a pool that a node starts from, whose first boot does `first_boot` besides. `has_agent` tells of which images
/// it is known that they have an agent, `emulator` names versions of libvirt and QEMU and the CPU, since all of them have a say in what a memory image is.
///
/// # Errors
///
/// Why it has to boot.
pub fn template(
    node: &Node,
    first_boot: Option<&FirstBoot>,
    pool: &Pool,
    has_agent: &dyn Fn(&Image) -> bool,
    emulator: &str,
) -> Result<Template, ColdReason> {
    if node.virt == VirtType::Test {
        return Err(ColdReason::TestDriver);
    }
    let Some(guest) = &node.guest else { return Err(ColdReason::NoGuest) };
    let Some(image) = node.disks.first().and_then(|d| d.backing.as_ref()) else {
        return Err(ColdReason::NoImage);
    };
    if !has_agent(image) {
        return Err(ColdReason::NoAgent);
    }
    if !node.virtopts.is_empty() {
        return Err(ColdReason::Options);
    }
    if !node.boot.is_empty() {
        return Err(ColdReason::Boot);
    }
    if node.vnc.external {
        return Err(ColdReason::Tablet);
    }
    if node.firmware != BootMode::Bios {
        return Err(ColdReason::Uefi);
    }
    if !has_generation_id(&node.machine) {
        return Err(ColdReason::Machine);
    }
    if let Some(disk) = node.disks.iter().find(|d| !matches!(d.bus, Bus::Virtio | Bus::Scsi)) {
        return Err(ColdReason::Bus(disk.bus));
    }
    if node.disk_pools().next().is_some() {
        return Err(ColdReason::DiskPool);
    }
    if let Some(nic) = node.interfaces.iter().find(|nic| !is_hot(&nic.model, &node.machine)) {
        return Err(ColdReason::Nic(nic.model.to_string()));
    }
    if first_boot.is_some_and(FirstBoot::needs_cloud_init) {
        return Err(ColdReason::UserData);
    }
    if let Some(path) = first_boot.and_then(FirstBoot::read_while_starting) {
        return Err(ColdReason::File(path.clone()));
    }
    let of = digits(&shape(node, guest, image, pool));
    let key = format!("{}{}", emulator_digits(emulator), &of[EMULATOR_DIGITS..]);
    Ok(Template { key, image: image.clone() })
}

fn digits(text: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple().to_string()
}

/// What the keys of all templates begin with that are of use with an emulator.
fn emulator_digits(emulator: &str) -> String {
    let mut digits = digits(&format!("{VERSION}\0{emulator}"));
    digits.truncate(EMULATOR_DIGITS);
    digits
}

/// Whether NICs of a model can be plugged into a running domain, and are seen by its guest: on PCI Express what is not for
/// it is behind a bridge of another kind, and `ne2k_isa` and `usb-net` are on no such bus.
fn is_hot(model: &str, machine: &str) -> bool {
    const PCI: &[&str] = &["e1000", "i8255", "ne2k_pci", "pcnet", "rtl8139", "virtio", "vmxnet3"];
    match machine.contains("q35") {
        true => model.starts_with("virtio") || model == "e1000e",
        false => PCI.iter().any(|begin| model.starts_with(begin)),
    }
}

/// Whether a machine type can have a generation ID (`vmgenid`): QEMU writes where it is into fw_cfg, and gives that no DMA in
/// machine types up to 2.4, nor in those of RHEL up to 7.2, which are made of these. Nodes of such a type start without it.
pub fn has_generation_id(machine: &str) -> bool {
    let version = machine.rsplit('-').next().unwrap_or_default();
    let (version, first) = match version.strip_prefix("rhel") {
        Some(version) => (version, (7, 3)),
        None => (version, (2, 5)),
    };
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= first,
        // `pc`, `q35`, and names of distributions.
        _ => true,
    }
}

/// Everything of a node that shows in its memory image, and where libvirt puts its devices: that depends on which
/// and how many there are. And the pool: a template's files are in one, and its domain has the name of one.
fn shape(node: &Node, guest: &Guest, image: &Image, pool: &Pool) -> String {
    // Every field is one or the other; what is a node's own comes when it starts.
    let Node {
        name: _,
        role: _,
        index: _,
        uuid: _,
        virt,
        vcpus,
        cpu_model,
        memory_mib,
        memory_max_mib: _,
        machine,
        // Nodes with another than BIOS boot.
        firmware: _,
        vnc: _,
        serial_file: _,
        // Nodes that have any boot.
        virtopts: _,
        // So do nodes that are to boot from something else.
        boot: _,
        // It has a drive for one only where nothing boots.
        bmc: _,
        deploy_os: _,
        disks,
        interfaces,
        groups: _,
        guest: _,
        access: _,
    } = node;
    let Pool { name: _, path } = pool;
    let mut parts = vec![
        path.to_string(),
        // Its name has a digest of its content.
        image.volume.to_string(),
        // Its account is made beforehand.
        guest.user.to_string(),
        guest.drive.to_string(),
        virt.as_str().to_string(),
        vcpus.to_string(),
        memory_mib.to_string(),
        node.maximum_mib().to_string(),
        cpu_model.to_string(),
        machine.to_string(),
    ];
    parts.extend(disks.iter().map(disk_shape));
    // The others are plugged in.
    parts.extend(disks.first().and_then(|d| d.serial.as_ref()).map(Serial::to_string));
    parts.extend(interfaces.iter().map(interface_shape));
    parts.join("\0")
}

fn disk_shape(disk: &Disk) -> String {
    let Disk {
        volume: _,
        device,
        bus,
        cache,
        size: _,
        backing: _,
        preallocation: _,
        serial: _,
        // Nodes that have any boot.
        pool: _,
    } = disk;
    format!("{device} {} {cache}", bus.as_str())
}

fn interface_shape(interface: &Interface) -> String {
    let Interface {
        name: _,
        mac: _,
        network: _,
        attachment,
        model,
        ipv4: _,
        ipv6: _,
        default_route: _,
        mtu: _,
    } = interface;
    // One that is plugged in is so with its own MTU.
    let kept = interface.is_in_template().then(|| interface.told_mtu());
    format!("{model} {} {kept:?}", attachment.checksums() == Checksums::Guest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn files_are_named_after_the_key() {
        let image = Image { source: "x".into(), volume: FileName::known("maquette-x-0.qcow2") };
        let template = Template { key: "ab".into(), image };
        assert_eq!(template.disk(), "maquette-warm-ab.qcow2");
        assert_eq!(template.memory(), "maquette-warm-ab.save");
        let domain = format!("maquette-warm-{}", "0".repeat(32));
        for part in [TemplatePart::Disk, TemplatePart::Memory, TemplatePart::Seed] {
            let volume = part.of(&domain);
            let parts = [TemplatePart::Disk, TemplatePart::Memory, TemplatePart::Seed];
            let of: Vec<TemplatePart> =
                parts.into_iter().filter(|p| p.domain(&volume).is_some()).collect();
            assert_eq!((of, part.domain(&volume)), (vec![part], Some(domain.as_str())));
        }
        assert_eq!(TemplatePart::Disk.domain("maquette-warm-ab.qcow2"), None);
    }

    /// "vmgenid requires DMA write support in fw_cfg, which this machine type does not provide", and the domain did not start.
    #[test]
    fn old_machine_types_have_no_generation_id() {
        for machine in [
            "pc-i440fx-2.4",
            "pc-q35-2.4",
            "pc-i440fx-1.4",
            "pc-1.3",
            "rhel6.6.0",
            "pc-i440fx-rhel7.2.0",
        ] {
            assert!(!has_generation_id(machine), "{machine}");
        }
        for machine in [
            "pc",
            "q35",
            "pc-i440fx-2.5",
            "pc-i440fx-2.10",
            "pc-q35-7.2",
            "pc-i440fx-4.0.1",
            "pc-i440fx-rhel7.3.0",
            "pc-q35-rhel9.2.0",
            "pc-i440fx-noble",
        ] {
            assert!(has_generation_id(machine), "{machine}");
        }
    }

    /// What is searched for in memory by tools that read lines has no ends of lines.
    #[test]
    fn a_uuid_can_be_found_in_memory() {
        let names: Vec<String> = (0..500).map(|n| format!("maquette-warm-{n:032x}")).collect();
        assert!(names.iter().all(|name| Template::is_called_so(name)));
        let uuids: BTreeSet<Uuid> = names.iter().map(|name| Template::uuid_of(name)).collect();
        assert_eq!(uuids.len(), 500);
        assert!(uuids.iter().all(|uuid| !uuid.as_bytes().iter().any(|b| [0, b'\n'].contains(b))));
        let template = |n: u128| Template {
            key: format!("{n:032x}"),
            image: Image { source: "x".into(), volume: FileName::known("maquette-x-0.qcow2") },
        };
        let macs: BTreeSet<MacAddr> = (0..100).flat_map(|n| template(n).macs(40)).collect();
        assert_eq!(macs.len(), 4000);
        let found =
            |mac: &MacAddr| mac.0[0] & 3 == 2 && !mac.0.iter().any(|b| [0, b'\n'].contains(b));
        assert!(macs.iter().all(found));
        for other in ["maquette-warm-0", "web-0", "maquette-warm-0123456789abcdef0123456789abcdeg"]
        {
            assert!(!Template::is_called_so(other));
        }
    }
}
