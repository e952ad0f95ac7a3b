//! Changes of domains that run.

use crate::blueprint::{Disk, Interface, Pool, Vnc};
use crate::units::{ByteSize, MIB, MacAddr};
use crate::values::TargetDevice;

/// A change of a running domain that its guest lives through. What the domain starts with next time
/// is another matter: [`Action::DefineDomain`](super::Action::DefineDomain) says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveChange {
    /// Ask the guest to use this much memory.
    Memory {
        /// Memory in MiB.
        mib: u64,
    },
    /// Plug a disk in.
    AttachDisk {
        /// The disk; its volume is there.
        disk: Box<Disk>,
        /// Pool of its volume.
        pool: Pool,
    },
    /// Unplug a disk; the guest has to let go of it.
    DetachDisk {
        /// Its file on the hypervisor.
        file: String,
        /// Target device: `vdb`.
        device: String,
    },
    /// Tell the guest of more room on a disk.
    ResizeDisk {
        /// Target device: `vda`.
        device: TargetDevice,
        /// Its virtual size in bytes.
        bytes: u64,
    },
    /// Plug an interface in.
    AttachInterface {
        /// The interface.
        interface: Interface,
    },
    /// Give the VNC server another password, or none.
    Vnc {
        /// The server with its password from then on.
        vnc: Vnc,
    },
    /// Unplug an interface; the guest has to let go of it.
    DetachInterface {
        /// MAC address of the interface.
        mac: MacAddr,
        /// What it is, for people.
        what: String,
    },
}

impl LiveChange {
    /// What changes, for people: after `change NODE: `.
    pub fn describe(&self) -> String {
        match self {
            Self::Memory { mib } => format!("memory {}", ByteSize(mib.saturating_mul(MIB))),
            Self::AttachDisk { disk, .. } => format!("plug in disk {}", disk.device),
            Self::DetachDisk { device, .. } => format!("unplug disk {device}"),
            Self::ResizeDisk { device, bytes } => format!("{device} {}", ByteSize(*bytes)),
            Self::AttachInterface { interface } => {
                format!("plug in {}", interface.shown())
            }
            Self::Vnc { .. } => "VNC password".into(),
            Self::DetachInterface { what, .. } => format!("unplug {what}"),
        }
    }
}
