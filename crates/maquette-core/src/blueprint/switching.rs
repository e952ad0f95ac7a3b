//! What a network is besides libvirt's own: a NIC in its bridge, VLANs of Open vSwitch, a bridge that
//! behaves like a cable.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use crate::topology::{Dhcp, DirectMode, Forward};
use crate::values::{InterfaceName, Mtu, Name, VlanId};

/// Who carries a network's frames, and how they reach the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carrier {
    /// A bridge that libvirt makes.
    Libvirt(Outside),
    /// A bridge with a NIC of the hypervisor's in it.
    Nic(Uplink),
    /// A bridge of Open vSwitch.
    OpenVswitch(Vswitch),
    /// NICs of the hypervisor, without a bridge: each interface of a node is a macvtap on one of them.
    Direct(DirectMode, DirectNics),
}

/// How a network that libvirt serves reaches the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// Not at all.
    Isolated,
    /// Through the hypervisor's address.
    Nat,
    /// By routing, with libvirt's firewall rules.
    Route,
    /// By routing, and libvirt makes no firewall rules.
    Open,
}

impl Outside {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Isolated, Self::Nat, Self::Route, Self::Open];
}

impl Carrier {
    /// The forward mode that node and network files, libvirt and records have for it.
    pub fn forward(&self) -> Forward {
        match self {
            Self::Libvirt(Outside::Isolated) => Forward::Isolated,
            Self::Libvirt(Outside::Nat) => Forward::Nat,
            Self::Libvirt(Outside::Route) => Forward::Route,
            Self::Libvirt(Outside::Open) => Forward::Open,
            Self::Nic(_) => Forward::Bridge,
            Self::OpenVswitch(_) => Forward::OpenVswitch,
            Self::Direct(mode, _) => Forward::Direct(*mode),
        }
    }

    /// What a forward mode means together with what belongs to it; none if that is missing.
    pub fn of(
        forward: Forward,
        uplink: Option<Uplink>,
        vswitch: Option<Vswitch>,
        direct: Option<DirectNics>,
    ) -> Option<Self> {
        Some(match forward {
            Forward::Isolated => Self::Libvirt(Outside::Isolated),
            Forward::Nat => Self::Libvirt(Outside::Nat),
            Forward::Route => Self::Libvirt(Outside::Route),
            Forward::Open => Self::Libvirt(Outside::Open),
            Forward::Bridge => Self::Nic(uplink?),
            Forward::OpenVswitch => Self::OpenVswitch(vswitch?),
            Forward::Direct(mode) => Self::Direct(mode, direct?),
        })
    }

    /// Whether libvirt makes the bridge, and serves addresses and names on it.
    pub fn is_served(&self) -> bool {
        matches!(self, Self::Libvirt(_))
    }

    /// The NIC in the bridge.
    pub fn uplink(&self) -> Option<&Uplink> {
        match self {
            Self::Nic(uplink) => Some(uplink),
            Self::Libvirt(_) | Self::OpenVswitch(_) | Self::Direct(..) => None,
        }
    }

    /// What it is on Open vSwitch.
    pub fn vswitch(&self) -> Option<&Vswitch> {
        match self {
            Self::OpenVswitch(vswitch) => Some(vswitch),
            Self::Libvirt(_) | Self::Nic(_) | Self::Direct(..) => None,
        }
    }

    /// The NICs that nodes are on without a bridge, and how.
    pub fn direct(&self) -> Option<(DirectMode, &DirectNics)> {
        match self {
            Self::Direct(mode, own) => Some((*mode, own)),
            Self::Libvirt(_) | Self::Nic(_) | Self::OpenVswitch(_) => None,
        }
    }

    /// Whether there is a bridge, whoever makes it.
    pub fn has_bridge(&self) -> bool {
        self.direct().is_none()
    }

    /// The NICs of the hypervisor that it is on.
    pub fn nics(&self) -> &[InterfaceName] {
        match self {
            Self::Nic(uplink) => std::slice::from_ref(&uplink.nic),
            Self::Direct(_, own) => &own.nics,
            Self::Libvirt(_) | Self::OpenVswitch(_) => &[],
        }
    }

    /// Whether no other network can be on its NICs: they are in its bridge, or taken whole.
    pub fn takes_nics(&self) -> bool {
        matches!(self, Self::Nic(_) | Self::Direct(DirectMode::Passthrough, _))
    }
}

/// NICs of the hypervisor that nodes are on without a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectNics {
    /// Their names on the hypervisor, at least one. libvirt takes the one with the fewest interfaces on it.
    pub nics: Vec<InterfaceName>,
    /// Whether nobody named one: it is the NIC of the default route.
    pub chosen: bool,
}

impl DirectNics {
    /// Their names, for people.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.nics.iter().map(|nic| nic.as_str()).collect();
        names.join(", ")
    }
}

/// A NIC of the hypervisor in a network's bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// The NIC's name on the hypervisor.
    pub nic: InterfaceName,
    /// Whether nobody named it: it is the NIC of the default route.
    pub chosen: bool,
    /// An address of the bridge besides those that the NIC had, if there is one.
    pub address: Option<Ipv4Net>,
    /// Spanning tree protocol.
    pub stp: bool,
    /// Whether nodes are kept from serving DHCP and routes on the LAN.
    pub guard: bool,
    /// MTU of the NIC, if it is to be changed.
    pub mtu: Option<Mtu>,
}

/// A VLAN of a portgroup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// The number of the VLAN.
    pub id: VlanId,
    /// Whether its frames have no tag.
    pub native: bool,
}

/// Which VLANs interfaces are in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Portgroup {
    /// Name by which interfaces ask for it.
    pub name: Name,
    /// Whether interfaces that name none are in it.
    pub default: bool,
    /// Whether frames keep their tags.
    pub trunk: bool,
    /// Its VLANs, in file order.
    pub tags: Vec<Tag>,
}

/// A portgroup on a bridge of Linux, which has no VLANs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlainGroup {
    /// Name by which interfaces ask for it.
    pub name: Name,
    /// Whether interfaces that name none are in it.
    pub default: bool,
}

impl PlainGroup {
    /// As libvirt has it: all frames pass as they are.
    pub fn portgroup(&self) -> Portgroup {
        let Self { name, default } = self;
        Portgroup { name: name.clone(), default: *default, trunk: true, tags: Vec::new() }
    }
}

/// An interface of the hypervisor on a bridge of Open vSwitch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Its name on the hypervisor.
    pub name: InterfaceName,
    /// VLAN; none for the bridge's own.
    pub tag: Option<VlanId>,
    /// The hypervisor's addresses on it, with their subnets' lengths.
    pub addresses: Vec<IpNet>,
}

/// A bridge of Open vSwitch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vswitch {
    /// Whether it forwards in a process, since the kernel has no datapath.
    pub userspace: bool,
    /// The hypervisor's interfaces on it; the bridge's own comes first.
    pub ports: Vec<HostPort>,
    /// Portgroups, in file order.
    pub portgroups: Vec<Portgroup>,
}

/// Addresses of the nodes' own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// Subnet, and in it any address.
    pub net: Ipv4Net,
    /// What nodes get of it, in turn; without a range, a node's own number decides (BGP).
    pub range: Option<Dhcp<Ipv4Addr>>,
    /// Router that nodes set up; none if they set up none.
    pub gateway: Option<Ipv4Addr>,
    /// Name server that nodes set up; none if they set up none.
    pub nameserver: Option<Ipv4Addr>,
}

/// Addresses that the hypervisor forwards to and masquerades.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The addresses, as a subnet.
    pub net: Ipv4Net,
    /// Router that they are behind; none where they are reached directly.
    pub via: Option<Ipv4Addr>,
}

/// What a bridge does that libvirt knows nothing of. It is set whenever libvirt starts the network, also
/// after the hypervisor did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BridgeOptions {
    /// Frames of link-local protocols such as LLDP pass.
    pub link_local: bool,
    /// Every frame goes to every port.
    pub hub: bool,
    /// It asks who listens to multicast.
    pub querier: bool,
    /// What is forwarded through it.
    pub routes: Vec<Route>,
}

impl BridgeOptions {
    /// Whether there is nothing to be done.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}
