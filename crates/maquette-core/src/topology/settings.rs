//! Settings of the whole environment; in the command line's words.

use std::str::FromStr;

use crate::names::EnvName;
use crate::values::Secret;
use crate::values::{Login, TimeZone};

/// The bus that disks are attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bus {
    /// `vda`, `vdb`, …
    #[default]
    Virtio,
    /// `sda`, …, on a virtio-scsi controller.
    Scsi,
    /// `hda`, …
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

    /// Start of the device names on this bus.
    pub fn device_prefix(self) -> &'static str {
        match self {
            Self::Virtio => "vd",
            Self::Scsi | Self::Sata => "sd",
            Self::Ide => "hd",
        }
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

/// Settings of the whole environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The environment, and with it the prefix of all names.
    pub environment: EnvName,
    /// Whether the nodes come in addition to those that are there (`--topology-extend`).
    pub extend: bool,
    /// Base image of nodes with an operating system, as given: URL, path or catalogue name.
    pub image: Option<String>,
    /// Whether images that are there are downloaded again.
    pub force_image_download: bool,
    /// Where appliance images come from (`--image-mirror-url`).
    pub mirror_url: String,
    /// User made on every deployed node.
    pub username: Login,
    /// Time zone of deployed nodes, such as `Europe/Prague`; absent: the image's.
    pub timezone: Option<TimeZone>,
    /// MTU of every network, in bytes.
    pub mtu: Option<u32>,
    /// MTU of the NICs of bridged networks, in bytes.
    pub nic_mtu: Option<u32>,
    /// Whether network `external` asks who listens to multicast.
    pub querier: bool,
    /// Whether node types list what they have for each index (`--bgp-topology-mode basic`).
    pub bgp: bool,
    /// Bus of disks that do not name one.
    pub disk_bus: Bus,
    /// Firmware of nodes without an operating system.
    pub boot_mode: BootMode,
    /// Whether serial consoles are logged where InfraRed's users look for them.
    pub serial_files: bool,
    /// Whether VNC servers listen on all addresses.
    pub vnc_external: bool,
    /// Password of VNC servers, as given.
    pub vnc_password: Option<Secret>,
    /// Options of virt-install, as given; they were checked.
    pub virtopts: String,
    /// How long a guest may take to shut down before the plug is pulled, in seconds.
    pub shutdown_s: u64,
    /// libvirt storage pool.
    pub pool_name: String,
    /// Its directory.
    pub pool_path: String,
    /// Third octet for `{{ net }}`, when the user fixed it.
    pub net_subnet: Option<u8>,
    /// Third octet for `{{ data_net }}`, when the user fixed it.
    pub data_subnet: Option<u8>,
}

impl Default for Settings {
    /// The defaults of InfraRed's option table.
    fn default() -> Self {
        Self {
            environment: EnvName::default(),
            extend: false,
            image: None,
            force_image_download: false,
            mirror_url: String::new(),
            username: Login::known("cloud-user"),
            timezone: None,
            mtu: None,
            nic_mtu: None,
            querier: false,
            bgp: false,
            disk_bus: Bus::Virtio,
            boot_mode: BootMode::Bios,
            serial_files: false,
            vnc_external: false,
            vnc_password: None,
            virtopts: String::new(),
            shutdown_s: 60,
            pool_name: "images".into(),
            pool_path: "/var/lib/libvirt/images".into(),
            net_subnet: None,
            data_subnet: None,
        }
    }
}
