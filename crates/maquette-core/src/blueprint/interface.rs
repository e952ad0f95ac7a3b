//! An interface of a domain: what it is plugged into, and how it gets its addresses.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::units::MacAddr;
use crate::values::{DeviceModel, InterfaceName, Mtu, Name, NetworkName};

/// A network interface of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Name in the guest: `eth0`.
    pub name: InterfaceName,
    /// MAC address.
    pub mac: MacAddr,
    /// libvirt network, or the bridge where it is plugged into one of the hypervisor's own.
    pub network: NetworkName,
    /// What it is plugged into.
    pub attachment: Attachment,
    /// Model of the NIC, in libvirt's word.
    pub model: DeviceModel,
    /// How it gets its IPv4 address.
    pub ipv4: Ipv4Setup,
    /// IPv6 address that is reserved for it, with the subnet's length; none if there is none.
    pub ipv6: Option<Ipv6Net>,
    /// Whether the default route goes through it.
    pub default_route: bool,
    /// MTU, as its network has it; none leaves the kernel's, 1500 bytes.
    pub mtu: Option<Mtu>,
}

/// What an interface is plugged into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// A network whose bridge libvirt makes, with the network's MTU.
    Network {
        /// Portgroup of the network; none is the network's default.
        portgroup: Option<Name>,
    },
    /// A network in a bridge that libvirt did not make: one with a NIC in it, or of Open vSwitch. libvirt has to be told
    /// the MTU.
    OtherBridge {
        /// Portgroup of the network; none is the network's default.
        portgroup: Option<Name>,
        /// Who computes checksums.
        checksums: Checksums,
    },
    /// A bridge of the hypervisor's own, without a network.
    HostBridge,
    /// A network on NICs of the hypervisor without a bridge. The interface has the NIC's MTU, and libvirt is told none.
    Direct,
}

/// Who computes the checksums of what a guest sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksums {
    /// The hypervisor, where a frame leaves it.
    Hypervisor,
    /// The guest: Open vSwitch without help of the kernel computes none.
    Guest,
}

/// How an interface gets its IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv4Setup {
    /// It has none.
    Off,
    /// It asks DHCP.
    Dhcp {
        /// Address that DHCP keeps for it, with the subnet's length; none where others give them out.
        reserved: Option<Ipv4Net>,
    },
    /// It sets it up by itself.
    Static {
        /// The address, with the subnet's length. Where the network has DHCP, it is reserved there.
        address: Ipv4Net,
        /// Router that it sets up; none if it sets up none.
        gateway: Option<Ipv4Addr>,
        /// Name server that it sets up; none if it sets up none.
        nameserver: Option<Ipv4Addr>,
    },
}

impl Ipv4Setup {
    /// The address, as far as it is known beforehand, with the subnet's length.
    pub fn address(&self) -> Option<Ipv4Net> {
        match *self {
            Self::Off => None,
            Self::Dhcp { reserved } => reserved,
            Self::Static { address, .. } => Some(address),
        }
    }

    /// Whether DHCP is asked.
    pub fn asks_dhcp(&self) -> bool {
        matches!(self, Self::Dhcp { .. })
    }
}

impl Attachment {
    /// Portgroup, if it has one.
    pub fn portgroup(&self) -> Option<&Name> {
        match self {
            Self::Network { portgroup } | Self::OtherBridge { portgroup, .. } => portgroup.as_ref(),
            Self::HostBridge | Self::Direct => None,
        }
    }

    /// Who computes checksums.
    pub fn checksums(&self) -> Checksums {
        match self {
            Self::OtherBridge { checksums, .. } => *checksums,
            Self::Network { .. } | Self::HostBridge | Self::Direct => Checksums::Hypervisor,
        }
    }
}

impl Interface {
    /// What it is attached to: a libvirt network, or `bridge/NAME`.
    pub fn source(&self) -> String {
        match self.attachment {
            Attachment::HostBridge => format!("bridge/{}", self.network),
            Attachment::Network { .. } | Attachment::OtherBridge { .. } | Attachment::Direct => {
                self.network.to_string()
            }
        }
    }

    /// What it is, for people: `eth1 (lab-back)`.
    pub fn shown(&self) -> String {
        format!("{} ({})", self.name, self.network)
    }

    /// Whether `network` is a bridge of the hypervisor's own instead.
    pub fn is_on_host_bridge(&self) -> bool {
        self.attachment == Attachment::HostBridge
    }

    /// Whether it is on a NIC of the hypervisor, without a bridge.
    pub fn is_direct(&self) -> bool {
        self.attachment == Attachment::Direct
    }

    /// The MTU that libvirt has to be told, since it did not make the bridge.
    pub fn told_mtu(&self) -> Option<Mtu> {
        let told = !matches!(self.attachment, Attachment::Network { .. } | Attachment::Direct);
        self.mtu.filter(|_| told)
    }

    /// Whether it is in the memory image of a node's template: virtio's addresses can be changed there, and the model's are
    /// known; what a bridge of the hypervisor's own offers guests is not, nor what a NIC does. Others are plugged in.
    pub fn is_in_template(&self) -> bool {
        self.model.starts_with("virtio") && !self.is_on_host_bridge() && !self.is_direct()
    }

    /// Whether an address is its own.
    pub fn has_address(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(ip) => self.ipv4.address().is_some_and(|net| net.addr() == ip),
            IpAddr::V6(ip) => self.ipv6.is_some_and(|net| net.addr() == ip),
        }
    }
}
