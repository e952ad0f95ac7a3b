//! Kinds that settings of the whole environment choose from.

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
    fn disks_are_lettered_like_the_kernel_does() {
        assert_eq!(letters(0), "a");
        assert_eq!(letters(25), "z");
        assert_eq!(letters(26), "aa");
        assert_eq!(letters(53), "bb");
        assert_eq!(letters(701), "zz");
        assert_eq!(letters(702), "aaa");
    }
}
