//! What kinds of objects there are on a hypervisor.

use std::fmt;

/// A kind of object that a plan is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// The hypervisor itself.
    Host,
    /// A base image.
    Image,
    /// A network.
    Network,
    /// A domain: libvirt's word for a virtual machine.
    Domain,
    /// A volume: a disk, or a seed.
    Volume,
    /// A node's BMC.
    Bmc,
}

impl ObjectKind {
    /// The word for it, also in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Image => "image",
            Self::Network => "network",
            Self::Domain => "domain",
            Self::Volume => "volume",
            Self::Bmc => "bmc",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
