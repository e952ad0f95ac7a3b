//! What a BMC can do with the domain that it belongs to. Redfish and IPMI know this, and nothing of libvirt.

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

/// What a domain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Power {
    /// It runs.
    On,
    /// It does not.
    Off,
    /// Its processors stand still, by somebody's order.
    Paused,
    /// Its guest has crashed; QEMU is still there.
    Crashed,
}

impl Power {
    /// Whether a real machine would draw power.
    pub fn is_on(self) -> bool {
        self != Self::Off
    }
}

/// The firmware that a domain boots with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Firmware {
    /// A PC's BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

/// What may be tried first at a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Device {
    /// The first NIC, by PXE.
    Pxe,
    /// The first NIC, by HTTP.
    Http,
    /// The first disk.
    Hdd,
    /// The CD-ROM drive.
    Cd,
    /// The firmware's own menu.
    Setup,
}

/// How a domain is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// What is tried first; the domain's own order if none.
    pub first: Option<Device>,
    /// Whether that holds for one boot only: when the guest reboots by itself, the domain's own order is back, if it
    /// [can be](Started::in_own_order).
    pub once: bool,
    /// The firmware, if it is to be another one than before. It stays.
    pub firmware: Option<Firmware>,
    /// Whether Secure Boot is on, if that is to change. It stays.
    pub secure_boot: Option<bool>,
}

impl Start {
    /// As the domain itself says.
    pub const PLAIN: Self = Self { first: None, once: false, firmware: None, secure_boot: None };
}

/// What a machine runs with, once it has been started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Whether the image in its drive was left out, since it cannot be read: a firmware goes on without a medium.
    pub without_image: bool,
    /// Whether the next boot of its guest's own is in the domain's order. One that was started with a device for one boot may
    /// keep that until it ends.
    pub in_own_order: bool,
}

impl Started {
    /// With all that it has, and in its own order from the next boot on.
    pub const WHOLE: Self = Self { without_image: false, in_own_order: true };
}

/// What is put into the CD-ROM drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Where QEMU reads it, while it is used: `http` or `https`.
    pub url: String,
    /// Whether a server's certificate has to be valid.
    pub verify: bool,
}

/// A disk or a CD-ROM drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What the domain calls it, as in `vda`.
    pub name: String,
    /// Its bus, as in `virtio`.
    pub bus: String,
    /// Its serial number; none if it has none.
    pub serial: Option<String>,
}

/// A NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Its address, in lower case with colons.
    pub mac: String,
    /// Its model, as in `virtio`.
    pub model: String,
    /// Whether its link is up.
    pub up: bool,
}

/// What a domain is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// Its architecture, as libvirt has it: `x86_64`.
    pub architecture: String,
    /// Its machine type, as in `pc-q35-7.2`.
    pub machine: String,
    /// How many processors it has.
    pub vcpus: u32,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// Its firmware.
    pub firmware: Firmware,
    /// Whether Secure Boot is on; none if its firmware has no such thing.
    pub secure_boot: Option<bool>,
    /// Its disks, without CD-ROM drives.
    pub disks: Vec<Disk>,
    /// Its NICs.
    pub nics: Vec<Nic>,
    /// Whether it has a CD-ROM drive.
    pub cdrom: bool,
    /// Whether it has a serial console.
    pub console: bool,
}

impl Hardware {
    /// Whether it can boot from a device.
    pub fn boots_from(&self, device: Device) -> bool {
        match device {
            Device::Cd => self.cdrom,
            Device::Pxe | Device::Http => !self.nics.is_empty(),
            Device::Hdd => !self.disks.is_empty(),
            Device::Setup => true,
        }
    }
}

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such domain any more.
    #[error("the domain does not exist any more")]
    Gone,
    /// It is not in the state for it.
    #[error("{0}")]
    State(String),
    /// Somebody else has it.
    #[error("{0}")]
    Taken(String),
    /// The domain cannot do that.
    #[error("{0}")]
    Unsupported(String),
    /// libvirt answers, and does not do it: there is no such file, or too little memory.
    #[error("{0}")]
    Refused(String),
    /// libvirt does not answer, or nobody knows why it did not do it.
    #[error("{0}")]
    Failed(String),
}

/// A serial console: what is typed, and what the guest writes.
pub trait Console: Send {
    /// What ends both directions, also while somebody waits in one of them.
    fn closer(&self) -> Box<dyn Fn() + Send + Sync>;
    /// The two directions, each for a thread of its own. Reading ends when the console does, or the other direction is
    /// dropped.
    fn split(self: Box<Self>) -> (Box<dyn Read + Send>, Box<dyn Write + Send>);
}

/// The end of what a console has said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// How many bytes were said before it.
    pub from: u64,
    /// What was said.
    pub bytes: Vec<u8>,
}

/// The longest end that is of use.
pub const SAID: u64 = 64 << 10;

/// A domain, as its BMC sees it. Calls may take seconds, and are made from threads that may wait.
pub trait Machine: Send + Sync {
    /// What it is made of.
    fn hardware(&self) -> Result<Hardware, Fault>;
    /// The sizes of its disks in bytes, in the order of [`Hardware::disks`]; none of those that cannot be asked. Takes longer:
    /// some disks QEMU has to be asked for.
    fn sizes(&self) -> Result<Vec<Option<u64>>, Fault>;
    /// What it does now.
    fn power(&self) -> Result<Power, Fault>;
    /// Starts it, without the image in its drive if that cannot be read. An error if it runs.
    fn start(&self, how: Start) -> Result<Started, Fault>;
    /// Ends it at once. An error if it does not run.
    fn destroy(&self) -> Result<(), Fault>;
    /// Asks its guest to shut down (ACPI), and does not wait.
    fn shutdown(&self) -> Result<(), Fault>;
    /// Resets it at once, as the button does. False if it would not boot in its own order then, and was left alone.
    fn reset(&self) -> Result<bool, Fault>;
    /// Whether it is to run when its hypervisor has started again: whoever pressed a button last decides.
    fn runs_with_hypervisor(&self, on: bool) -> Result<(), Fault>;
    /// Whether libvirt starts it with its hypervisor.
    fn starts_with_hypervisor(&self) -> Result<bool, Fault>;
    /// Ends it with its memory kept: when it is started [plainly](Start::PLAIN), it goes on from there.
    fn suspend(&self) -> Result<(), Fault>;
    /// Sends it a non-maskable interrupt.
    fn nmi(&self) -> Result<(), Fault>;
    /// Lets its processors run or stand still.
    fn pause(&self, paused: bool) -> Result<(), Fault>;
    /// Puts something into its CD-ROM drive, or empties it.
    fn insert(&self, image: Option<&Image>) -> Result<(), Fault>;
    /// Opens its serial console, if nobody else [has](Fault::Taken) it.
    fn console(&self) -> Result<Box<dyn Console>, Fault>;
    /// The end of what its serial console has said, also while it is off; nothing where that is not kept.
    fn console_log(&self) -> Result<Said, Fault>;
}
