//! Kinds that settings of the whole environment choose from.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The bus that disks are attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bus {
    /// `vda`, `vdb`, …
    #[default]
    Virtio,
    /// `sda`, …, on a virtio-scsi controller.
    Scsi,
    /// `hda`, `hdb`, …
    Ide,
    /// `sda`, …, on an AHCI controller.
    Sata,
}

impl Bus {
    /// libvirt's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Virtio => "virtio",
            Self::Scsi => "scsi",
            Self::Ide => "ide",
            Self::Sata => "sata",
        }
    }

    /// The device that a disk is, by its number among those whose devices begin alike.
    pub fn device(self, number: u32) -> String {
        format!("{}{}", self.device_prefix(), letters(number))
    }

    /// Start of the device names on this bus.
    pub fn device_prefix(self) -> &'static str {
        match self {
            Self::Virtio => "vd",
            Self::Scsi | Self::Sata => "sd",
            Self::Ide => "hd",
        }
    }
}

/// How libvirt has QEMU cache a disk.
/// <https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheMode {
    /// As QEMU likes it.
    Default,
    /// Past the hypervisor's cache.
    None,
    /// Written to the disk before the guest hears of it.
    Writethrough,
    /// Written when the guest asks for it.
    Writeback,
    /// Past the cache, and written before the guest hears of it.
    Directsync,
    /// The guest's wish that something is on the disk is passed over: InfraRed's choice everywhere.
    #[default]
    Unsafe,
}

/// The words of [`CacheMode`].
pub(crate) const CACHE_MODES: [&str; 6] =
    ["default", "none", "writethrough", "writeback", "directsync", "unsafe"];

impl CacheMode {
    const ALL: [Self; 6] = [
        Self::Default,
        Self::None,
        Self::Writethrough,
        Self::Writeback,
        Self::Directsync,
        Self::Unsafe,
    ];

    /// libvirt's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::None => "none",
            Self::Writethrough => "writethrough",
            Self::Writeback => "writeback",
            Self::Directsync => "directsync",
            Self::Unsafe => "unsafe",
        }
    }
}

impl FromStr for CacheMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or("it is not one of libvirt's cache modes")
    }
}

impl fmt::Display for CacheMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Bus {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "virtio" => Ok(Self::Virtio),
            "scsi" => Ok(Self::Scsi),
            "ide" => Ok(Self::Ide),
            "sata" => Ok(Self::Sata),
            _ => Err("known buses are `virtio`, `scsi`, `sata` and `ide`"),
        }
    }
}

/// What a guest finds its first-boot configuration in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeedDrive {
    /// A disk on virtio, as all nodes of version 0.1 have it: Linux counts it among the other disks.
    Disk,
    /// A CD-ROM on a virtio-scsi controller, which takes no letter from any disk.
    #[default]
    CdRom,
}

impl SeedDrive {
    /// The word of node files and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::CdRom => "cdrom",
        }
    }

    /// What a device is, if a seed is in it.
    pub fn of_device(device: &str) -> Option<Self> {
        [Self::Disk, Self::CdRom].into_iter().find(|drive| drive.device() == device)
    }

    /// Its device, which no other disk has.
    pub fn device(self) -> &'static str {
        match self {
            Self::Disk => "vdz",
            Self::CdRom => "sdz",
        }
    }

    /// The bus that it is on.
    pub fn bus(self) -> Bus {
        match self {
            Self::Disk => Bus::Virtio,
            Self::CdRom => Bus::Scsi,
        }
    }

    /// What libvirt calls such a device.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::CdRom => "cdrom",
        }
    }
}

/// How `seed` of a node type is written.
pub(crate) const SEED_DRIVES: [&str; 2] = ["cdrom", "disk"];

impl FromStr for SeedDrive {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "disk" => Ok(Self::Disk),
            "cdrom" => Ok(Self::CdRom),
            _ => Err("a seed is in a `cdrom`, or on a `disk`"),
        }
    }
}

impl fmt::Display for SeedDrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a node can boot from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    /// Its first disk.
    Disk,
    /// The network, by PXE.
    Network,
    /// A CD-ROM.
    CdRom,
}

/// How each is written.
pub(crate) const BOOT_DEVICES: [&str; 3] = ["hd", "network", "cdrom"];

impl BootDevice {
    /// libvirt's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "hd",
            Self::Network => "network",
            Self::CdRom => "cdrom",
        }
    }
}

impl FromStr for BootDevice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Disk, Self::Network, Self::CdRom];
        let found = all.into_iter().find(|device| device.as_str() == text);
        found.ok_or("a node boots from `hd`, `network` or `cdrom`")
    }
}

impl fmt::Display for BootDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the BMC of a node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BmcProtocol {
    /// Redfish.
    Redfish,
    /// IPMI 2.0.
    Ipmi,
    /// Redfish and IPMI 2.0.
    Both,
}

impl BmcProtocol {
    /// The word of node files and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redfish => "redfish",
            Self::Ipmi => "ipmi",
            Self::Both => "both",
        }
    }

    /// Whether it speaks Redfish.
    pub fn has_redfish(self) -> bool {
        self != Self::Ipmi
    }

    /// Whether it speaks IPMI.
    pub fn has_ipmi(self) -> bool {
        self != Self::Redfish
    }
}

/// Whether a node has a BMC, and what that speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BmcChoice {
    /// It has none.
    #[default]
    Off,
    /// It has one.
    On(BmcProtocol),
}

impl BmcChoice {
    /// What its BMC speaks, if it has one.
    pub fn protocol(self) -> Option<BmcProtocol> {
        match self {
            Self::Off => None,
            Self::On(protocol) => Some(protocol),
        }
    }

    /// The word of node and project files.
    pub fn as_str(self) -> &'static str {
        self.protocol().map_or("off", BmcProtocol::as_str)
    }
}

/// How `bmc` of a node type is written.
pub(crate) const BMC_CHOICES: [&str; 4] = ["redfish", "ipmi", "both", "off"];

impl FromStr for BmcProtocol {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Redfish, Self::Ipmi, Self::Both];
        let found = all.into_iter().find(|protocol| protocol.as_str() == text);
        found.ok_or("a BMC speaks `redfish`, `ipmi` or `both`")
    }
}

impl FromStr for BmcChoice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::On).map_err(|_: &str| {
                "a BMC speaks `redfish`, `ipmi` or `both`; `off` is for nodes without one"
            }),
        }
    }
}

/// An operating system by libosinfo's name, such as `rhel7.0`, in small letters. Whether libosinfo knows it, its database says
/// where there is one ([`Self::is_known`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsVariant(String);

/// Words of virt-install's in the place of such a name.
const OF_VIRTINST: [&str; 6] = ["detect", "generic", "generic24", "generic26", "vista", "virtio26"];

/// Names in files of InfraRed's, which databases of libosinfo have had for ten years.
const OLD: [&str; 2] = ["freebsd10.0", "rhel7.0"];

/// Beginnings of libosinfo's names: <https://gitlab.com/libosinfo/osinfo-db>.
const OS_FAMILIES: [&str; 62] = [
    "almalinux",
    "alpinelinux",
    "alt",
    "android-x86",
    "archlinux",
    "asianux",
    "caasp",
    "centos",
    "cirros",
    "clearlinux",
    "debian",
    "detect",
    "dragonflybsd",
    "elementary",
    "endless",
    "eurolinux",
    "fedora",
    "freebsd",
    "generic",
    "gentoo",
    "gnome",
    "guix",
    "haiku",
    "hyperbola",
    "linux",
    "macosx",
    "mageia",
    "mandrake",
    "mandriva",
    "manjaro",
    "mbs",
    "mes",
    "miraclelinux",
    "msdos",
    "netbsd",
    "netware",
    "nixos",
    "ol",
    "openbsd",
    "openeuler",
    "opensolaris",
    "opensuse",
    "popos",
    "pureos",
    "rhel",
    "rhl",
    "rocky",
    "scientificlinux",
    "silverblue",
    "slackware",
    "sle",
    "slitaz",
    "solaris",
    "solus",
    "trisquel",
    "ubuntu",
    "unknown",
    "voidlinux",
    "win",
    "winxp",
    "xfce",
    "zorin",
];

impl OsVariant {
    /// The model of its NICs, if that is not virtio: it may have no driver for them.
    pub fn nic(&self) -> Option<&'static str> {
        (self.0.starts_with("freebsd") || self.0.starts_with("win")).then_some("e1000")
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of libosinfo's: by a database of libosinfo's, or by its family, whatever its version: a hypervisor's
    /// database is as old as its system, and knows nothing of later releases.
    pub fn is_known(&self, database: Option<&BTreeSet<String>>) -> bool {
        self.is_listed(database) || self.is_of_family()
    }

    /// Whether a database of libosinfo's, if there is one, or virt-install itself has just this name.
    pub fn is_listed(&self, database: Option<&BTreeSet<String>>) -> bool {
        database.is_some_and(|names| names.contains(&self.0))
            || OF_VIRTINST.contains(&self.0.as_str())
    }

    /// Whether every database of libosinfo has it.
    pub fn is_in_all(&self) -> bool {
        OF_VIRTINST.contains(&self.0.as_str()) || OLD.contains(&self.0.as_str())
    }

    /// Whether it begins with one of libosinfo's families, and goes on with a version or an edition.
    pub fn is_of_family(&self) -> bool {
        let known = |family: &&str| {
            let rest = self.0.strip_prefix(*family);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
        };
        // Names of Debian's and Ubuntu's releases, and those of SUSE's products, go on with letters.
        let named = ["debian", "ubuntu", "opensuse", "sle", "win", "linux"];
        OS_FAMILIES.iter().any(known) || named.iter().any(|family| self.0.starts_with(family))
    }

    /// That libosinfo does not know it, in words.
    pub fn unknown(&self) -> String {
        unknown(&self.0)
    }
}

fn unknown(name: &str) -> String {
    format!("`{name}` is not an operating system that libosinfo knows")
}

impl FromStr for OsVariant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim().to_lowercase();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        match !name.is_empty() && name.chars().all(fits) {
            true => Ok(Self(name)),
            false => Err(unknown(text.trim())),
        }
    }
}

/// Firmware of nodes without an operating system (`--bootmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BootMode {
    /// SeaBIOS.
    #[default]
    Bios,
    /// Whatever libvirt's firmware selection finds.
    Uefi,
}

/// How guests are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VirtType {
    /// Hardware virtualisation.
    Kvm,
    /// QEMU's emulation (TCG).
    Qemu,
    /// Not at all: libvirt's test driver, which has everything but guests.
    Test,
}

impl VirtType {
    /// libvirt's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Qemu => "qemu",
            Self::Test => "test",
        }
    }
}

impl FromStr for VirtType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "kvm" => Ok(Self::Kvm),
            "qemu" => Ok(Self::Qemu),
            "test" => Ok(Self::Test),
            _ => Err(format!("`{text}` is neither `kvm` nor `qemu`")),
        }
    }
}

/// `a` … `z`, `aa` …, as the kernel counts disks.
fn letters(index: u32) -> String {
    let letter = char::from(b'a' + (index % 26) as u8);
    match (index / 26).checked_sub(1) {
        None => letter.to_string(),
        Some(before) => format!("{}{letter}", letters(before)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operating_systems_are_known_by_libosinfos_families() {
        let is_known = |name: &str| name.parse::<OsVariant>().is_ok_and(|v| v.is_known(None));
        for known in
            ["rhel7.0", "rhel9-unknown", "debian12", "debiantesting", "ubuntu24.04", "win2k22"]
        {
            assert!(is_known(known), "{known}");
        }
        for unknown in ["", "rehl7", "rhell8", "debian 12", "os/2"] {
            assert!(!is_known(unknown), "{unknown}");
        }
        let nic = |name: &str| name.parse::<OsVariant>().unwrap().nic();
        assert_eq!(
            (nic("freebsd10.0"), nic("win10"), nic("rhel7.0")),
            (Some("e1000"), Some("e1000"), None)
        );
    }

    #[test]
    fn operating_systems_are_those_of_libosinfos_database_where_there_is_one() {
        let database: BTreeSet<String> = ["rhel7.0", "neon5"].map(String::from).into();
        let of = |name: &str| name.parse::<OsVariant>().unwrap();
        for (name, by_database, by_family) in [
            ("rhel7.0", true, true),
            ("RHEL7.0", true, true),
            ("rhel99", true, true),
            ("neon5", true, false),
            ("neon6", false, false),
            ("generic", true, true),
            ("detect", true, true),
            ("vista", true, true),
        ] {
            let known = (of(name).is_known(Some(&database)), of(name).is_known(None));
            assert_eq!(known, (by_database, by_family), "{name}");
        }
        let listed = |name: &str| of(name).is_listed(Some(&database));
        assert_eq!((listed("rhel7.0"), listed("rhel99")), (true, false));
        assert!(
            of("rhel7.0").is_in_all() && of("generic").is_in_all() && !of("rhel9.4").is_in_all()
        );
    }

    #[test]
    fn disks_are_lettered_like_the_kernel_does() {
        assert_eq!(letters(0), "a");
        assert_eq!(letters(25), "z");
        assert_eq!(letters(26), "aa");
        assert_eq!(letters(53), "bb");
        assert_eq!(letters(701), "zz");
        assert_eq!(letters(702), "aaa");
    }
}
