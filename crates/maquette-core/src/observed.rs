//! What the hypervisor has: objects of this environment, and what others claim.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::blueprint::{self, DhcpHost};
use crate::object::ObjectKind;
use crate::start_times::Starts;
use crate::topology::{self, Allocation};
use crate::units::MacAddr;
use crate::values::{Directory, Mtu, Name, NetworkName, NetworkPart, NodeName, PublicKey};

mod bmcs;
mod claims;
mod left_over;
mod pools;

pub use bmcs::{Bmcs, Listening};
pub use claims::{Claims, NicClaim, ReservedMemory, is_overlay};
pub use left_over::LeftOver;
pub use pools::{Access, DirectoryFacts, HostPool, OpenTo, open};

/// A disk of a domain, as libvirt has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DiskDevice {
    /// Its file on the hypervisor, or what else libvirt names; empty for a drive with nothing in it.
    pub file: String,
    /// Target device: `vda`.
    pub device: String,
    /// Bus, in libvirt's word: `virtio`.
    pub bus: String,
    /// Cache mode; empty for libvirt's default.
    pub cache: String,
}

/// An interface of a domain, as libvirt has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nic {
    /// MAC address.
    pub mac: MacAddr,
    /// libvirt network, or `bridge/NAME`; empty if it is attached to something else.
    pub network: String,
    /// Portgroup of the network; empty for none.
    pub portgroup: String,
    /// Model, in libvirt's word: `virtio`.
    pub model: String,
}

/// What a domain is made of: as defined, as running, or as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hardware {
    /// Most memory that it can have without a restart, in MiB.
    pub maximum_mib: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Number of virtual CPUs.
    pub vcpus: u32,
    /// Disks and the seed, whatever that is in, sorted by device.
    pub disks: Vec<DiskDevice>,
    /// Interfaces in order.
    pub nics: Vec<Nic>,
}

impl Hardware {
    /// What a node is made of right after its definition.
    pub fn of(node: &blueprint::Node, pool: &blueprint::Pool) -> Self {
        let disks = node.disks.iter().map(|d| DiskDevice {
            file: d.file(pool),
            device: d.device.to_string(),
            bus: d.bus.as_str().into(),
            cache: d.cache.to_string(),
        });
        let seed = node.guest.iter().map(|g| DiskDevice {
            file: pool.file(&g.seed),
            device: g.drive.device().into(),
            bus: g.drive.bus().as_str().into(),
            cache: String::new(),
        });
        let nic = |i: &blueprint::Interface| Nic {
            mac: i.mac,
            network: i.source(),
            portgroup: i.attachment.portgroup().map(Name::to_string).unwrap_or_default(),
            model: i.model.to_string(),
        };
        let mut disks: Vec<DiskDevice> = disks.chain(seed).collect();
        disks.sort_by(|a, b| a.device.cmp(&b.device));
        Self {
            maximum_mib: node.maximum_mib(),
            memory_mib: node.memory_mib,
            vcpus: node.vcpus.get(),
            disks,
            nics: node.interfaces.iter().map(nic).collect(),
        }
    }
}

/// What a network is made of, as libvirt has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wiring {
    /// Name of its bridge; empty if it has none.
    pub bridge: String,
    /// Forward mode; none is isolated.
    pub forward: Option<String>,
    /// NICs that its nodes are on without a bridge.
    pub nics: Vec<String>,
    /// The hypervisor's addresses.
    pub addresses: Vec<IpNet>,
    /// DHCP ranges: first and last address, both included.
    pub ranges: Vec<(IpAddr, IpAddr)>,
    /// Addresses that DHCP keeps for interfaces.
    pub hosts: BTreeSet<DhcpHost>,
    /// MTU in bytes; none if the definition says none.
    pub mtu: Option<u32>,
    /// Whether it is on Open vSwitch.
    pub vswitch: bool,
    /// Its TFTP root, its boot file and server, and its lines for dnsmasq.
    pub boot: Vec<String>,
    /// Portgroups; none where one is nothing that Maquette makes.
    pub portgroups: Option<BTreeSet<blueprint::Portgroup>>,
}

impl Wiring {
    /// What a network is made of right after its definition.
    pub fn of(network: &blueprint::Network) -> Self {
        let switched = network.carrier.vswitch().into_iter().flat_map(|v| v.portgroups.clone());
        let plain = network.groups.iter().map(blueprint::PlainGroup::portgroup);
        let portgroups = switched.chain(plain).collect();
        let v4 = network.ipv4.map(IpNet::V4);
        let v6 = network.ipv6.map(IpNet::V6);
        let range4 = network.ipv4.and(network.dhcp4).map(|d| (d.start.into(), d.end.into()));
        let range6 = network.ipv6.and(network.dhcp6).map(|d| (d.start.into(), d.end.into()));
        let served = network.carrier.is_served();
        Self {
            bridge: match network.carrier.has_bridge() {
                true => network.bridge.to_string(),
                false => String::new(),
            },
            nics: network.carrier.direct().map_or_else(Vec::new, |(_, own)| {
                own.nics.iter().map(ToString::to_string).collect()
            }),
            forward: network.carrier.forward().mode().map(String::from),
            addresses: v4.into_iter().chain(v6).collect(),
            ranges: range4.into_iter().chain(range6).collect(),
            hosts: network.dhcp_entries(),
            // libvirt sets that of its own bridges only.
            mtu: network.mtu.filter(|_| network.carrier.is_served()).map(Mtu::bytes),
            vswitch: network.carrier.vswitch().is_some(),
            boot: if served { network.boot_words() } else { Vec::new() },
            portgroups: Some(portgroups),
        }
    }
}

/// A domain that carries our mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// libvirt name, prefix included.
    pub name: NodeName,
    /// What it was made from, as recorded in its metadata.
    pub recorded: blueprint::Node,
    /// Pool of its volumes but for disks that name another, as recorded.
    pub pool: blueprint::Pool,
    /// Whether it runs; a paused one does.
    pub active: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it has a definition; one without goes when it stops.
    pub persistent: bool,
    /// Whether its first boot was seen to end; without a guest, whether it was ever started.
    pub ready: bool,
    /// Why its first boot failed, if that was seen.
    pub failed: Option<String>,
    /// Interfaces without a carrier: their cables are pulled. Only a running one has any.
    pub pulled: Vec<MacAddr>,
    /// What it is made of when it starts next.
    pub defined: Hardware,
    /// What it is made of now, if it runs.
    pub live: Option<Hardware>,
    /// TCP port of its VNC server, if it runs.
    pub vnc_port: Option<u16>,
}

impl Domain {
    /// Whether its seed may be half filled: the volume is there from the beginning of its upload, and only
    /// a guest that was seen to end its first boot tells that it was whole.
    pub fn is_unproven(&self) -> bool {
        self.recorded.guest.is_some() && !self.active && !self.ready
    }
}

/// A network that carries our mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// libvirt name, prefix included.
    pub name: NetworkName,
    /// What it was made from, as recorded in its metadata.
    pub recorded: blueprint::Network,
    /// The environment's allocation, as recorded with it.
    pub allocation: Allocation,
    /// Whether it runs.
    pub active: bool,
    /// What it is made of.
    pub defined: Wiring,
    /// Parts of its definition that Maquette does not write for what is recorded, nor libvirt by itself: somebody's,
    /// which go when it is defined again.
    pub added: BTreeSet<NetworkPart>,
}

/// Volumes of a node whose domain somebody undefined; that they are ours is recorded with the
/// networks that the node was on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The node, by its libvirt name.
    pub node: NodeName,
    /// Pool of its volumes but for disks that name another.
    pub pool: blueprint::Pool,
    /// Those that exist, each with its pool.
    pub volumes: BTreeSet<(blueprint::Pool, String)>,
}

impl Orphan {
    /// Whether one of that name exists.
    pub fn has(&self, volume: &str) -> bool {
        self.volumes.iter().any(|(_, name)| name == volume)
    }
}

/// An object with the mark of this environment whose record is not believed: somebody changed it by hand.
/// Nothing of what it says is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// A domain or a network.
    pub kind: ObjectKind,
    /// libvirt name, whatever somebody has made of it.
    pub name: String,
    /// Whether it runs; a paused one does.
    pub active: bool,
    /// Whether it is paused, so that its guest hears nothing; a network is not.
    pub paused: bool,
    /// Files of its disks as libvirt has them; a network has none.
    pub files: Vec<String>,
    /// Bridge of a network as libvirt has it, by whose name domains may be on it as well.
    pub bridge: Option<String>,
    /// What is the matter with its record.
    pub why: String,
}

/// Who made an object, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// A user and a machine: `ann@desk`. Nobody vouches for it.
    pub by: String,
    /// Seconds since 1970.
    pub at_s: u64,
}

/// What an interface of the hypervisor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkKind {
    /// A bridge.
    Bridge,
    /// A wireless NIC, which no bridge takes.
    Wireless,
    /// Something without Ethernet, as loopback, tunnels and WireGuard are, which no bridge takes; or a node's macvtap, which is
    /// no NIC of the hypervisor's.
    Foreign,
    /// Anything else.
    #[default]
    Other,
}

/// A network interface of the hypervisor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostLink {
    /// What it is.
    pub kind: LinkKind,
    /// The bridge or bond that it is a port of, if it is one.
    pub master: Option<String>,
    /// Whether the root file system is reached through it.
    pub carries_root: bool,
}

/// The hypervisor's own side of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostNetwork {
    /// All its interfaces, by name.
    pub links: BTreeMap<String, HostLink>,
    /// Addresses of all of them, but for those that each machine has.
    pub addresses: BTreeSet<IpAddr>,
    /// The interface of its IPv4 default route; none if it has none.
    pub default_nic: Option<String>,
    /// Bridges that are kept from passing on what DHCP servers of nodes say.
    pub guarded: BTreeSet<String>,
    /// Whether its kernel has Open vSwitch's datapath.
    pub kernel_vswitch: bool,
    /// Where its routes lead, but for those by default, with their interfaces.
    pub routes: Vec<(IpNet, String)>,
    /// Whether its kernel has no IPv6, or has it switched off.
    pub lacks_ipv6: bool,
    /// Ports that its programs have.
    pub listening: BTreeSet<Listening>,
}

impl HostNetwork {
    /// The NIC that a bridged network means.
    pub fn nic<'a>(&'a self, uplink: &'a topology::Uplink) -> Option<&'a str> {
        uplink.nic.as_ref().map(|n| n.value.as_str()).or(self.default_nic.as_deref())
    }

    /// NICs that are in no bridge. Macvtaps of nodes are none.
    pub fn free_nics(&self) -> Vec<&str> {
        let free = self.links.iter().filter(|(name, link)| {
            link.master.is_none() && link.kind == LinkKind::Other && name.as_str() != "lo"
        });
        free.map(|(name, _)| name.as_str()).collect()
    }

    /// Whether an interface is a port of a bridge.
    pub fn is_port(&self, nic: &str, bridge: &str) -> bool {
        self.links.get(nic).is_some_and(|l| l.master.as_deref() == Some(bridge))
    }

    /// Whether there is a bridge of a name.
    pub fn has_bridge(&self, name: &str) -> bool {
        self.links.get(name).is_some_and(|l| l.kind == LinkKind::Bridge)
    }
}

/// The hypervisor's state, as far as one environment is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Domains of this environment, by libvirt name.
    pub domains: BTreeMap<NodeName, Domain>,
    /// Networks of this environment, by libvirt name.
    pub networks: BTreeMap<NetworkName, Network>,
    /// Objects of this environment whose records are not believed.
    pub edited: Vec<Edited>,
    /// Names of all volumes, by pool.
    pub volumes: BTreeMap<String, BTreeSet<String>>,
    /// Pools that there are, by name; asked for only where a disk names a directory.
    pub pools: BTreeMap<String, HostPool>,
    /// What is in directories that disks name.
    pub directories: BTreeMap<Directory, DirectoryFacts>,
    /// Space that is free in the environment's pool, in bytes, if the pool is there.
    pub pool_free: Option<u64>,
    /// Who may do what in the directory of that pool, and in those above it, as of a directory that disks name.
    pub pool_access: Vec<Access>,
    /// What others have.
    pub claims: Claims,
    /// Its own network interfaces.
    pub host: HostNetwork,
    /// How long nodes took to start there.
    pub starts: Starts,
    /// DHCP leases of libvirt's networks that are not over, whoever they are for. A server gives no reserved address to a
    /// node as long as another has a lease of it, and a node that was removed has given none back.
    pub dhcp_leases: BTreeMap<IpAddr, MacAddr>,
    /// CPUs that are online; 0 where nobody has counted them.
    pub cpus: usize,
    /// Whether SELinux keeps libvirt from logging consoles where `--serial-files` has them.
    pub refuses_serial_files: bool,
    /// The environment's BMCs, if there are any.
    pub bmcs: Option<Bmcs>,
    /// What opens the hypervisor for connections to its nodes, if anything is recorded to.
    pub forwarding: Option<Forwarding>,
}

/// A key that is recorded to open the hypervisor for connections to nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// Which, and whose login.
    pub recorded: blueprint::Forwarding,
    /// Whether it is among those that open that login.
    pub authorized: bool,
}

impl Observed {
    /// Whether there is anything of this environment.
    pub fn exists(&self) -> bool {
        let objects = self.domains.is_empty() && self.networks.is_empty() && self.edited.is_empty();
        !objects || self.bmcs.is_some() || self.forwarding.is_some()
    }

    /// The allocation that this environment was built with, if it exists.
    pub fn allocation(&self) -> Option<Allocation> {
        self.networks.values().map(|n| n.allocation).next()
    }

    /// Which making of a node there is: with another one it is another node under the same name. None of nodes without a
    /// system, and of those of version 0.1.
    pub fn generation(&self, node: &str) -> Option<u64> {
        self.domains.get(node)?.recorded.guest.as_ref()?.generation
    }

    /// What carries the mark of this environment, and a record that is not believed.
    pub fn edited(&self, kind: ObjectKind, name: &str) -> Option<&Edited> {
        self.edited.iter().find(|e| e.kind == kind && e.name == name)
    }

    /// Whether it is in an edited domain that a node's volume is: that is what it is called there, and what
    /// the node would call it.
    pub fn is_in_edited(&self, node: &str, pool: &blueprint::Pool, volume: &str) -> bool {
        let file = format!("{}/{volume}", pool.path);
        self.edited(ObjectKind::Domain, node).is_some_and(|e| e.files.contains(&file))
    }

    /// Nodes that are set up and logged in to, each with what is recorded of that.
    pub fn guests(&self) -> impl Iterator<Item = (&Domain, &blueprint::Guest)> + Clone {
        self.domains.values().filter_map(|d| Some((d, d.recorded.guest.as_ref()?)))
    }

    /// Public keys of colleagues that open a node, each once.
    pub fn shared_keys(&self) -> Vec<PublicKey> {
        let mut keys: Vec<PublicKey> = Vec::new();
        for key in self.guests().flat_map(|(_, guest)| &guest.shared) {
            if !keys.iter().any(|known| known.is_same(key)) {
                keys.push(key.clone());
            }
        }
        keys
    }

    /// Whether a pool has a volume.
    pub fn has_volume(&self, pool: &blueprint::Pool, volume: &str) -> bool {
        self.volumes.get(pool.name.as_str()).is_some_and(|v| v.contains(volume))
    }

    /// Whether it is known that a pool has no such volume: not of one that nobody has looked into.
    pub fn lacks_volume(&self, pool: &blueprint::Pool, volume: &str) -> bool {
        self.volumes.get(pool.name.as_str()).is_some_and(|v| !v.contains(volume))
    }

    /// The interface that a node of this name already has at a position.
    pub fn interface(&self, domain: &str, index: usize) -> Option<&blueprint::Interface> {
        self.domains.get(domain)?.recorded.interfaces.get(index)
    }

    /// What a network keeps for a node that has no domain any more, or none yet.
    pub fn reservation(
        &self,
        node: &str,
        network: &str,
        mac: MacAddr,
    ) -> Option<&blueprint::Reservation> {
        let network = self.networks.get(network)?;
        let absent = !self.domains.contains_key(node);
        network.recorded.reservations.iter().find(|r| absent && r.name == node && r.mac == mac)
    }

    fn reserved<'a>(
        &'a self,
        network: &'a str,
    ) -> impl Iterator<Item = &'a blueprint::Reservation> {
        let network = self.networks.get(network).into_iter();
        network
            .flat_map(|n| &n.recorded.reservations)
            .filter(|r| !self.domains.contains_key(&r.name))
    }

    /// IPv4 addresses that nodes of this environment, and their BMCs, hold on a network.
    pub fn taken_v4(&self, network: &str) -> BTreeSet<Ipv4Addr> {
        let held = self.held(network).filter_map(|i| i.ipv4.address().map(|n| n.addr()));
        let nodes = held.chain(self.reserved(network).filter_map(|r| r.ipv4));
        let bmcs = self.bmc_addresses(network).filter_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        nodes.chain(bmcs).collect()
    }

    /// IPv6 addresses that nodes of this environment, and their BMCs, hold on a network.
    pub fn taken_v6(&self, network: &str) -> BTreeSet<Ipv6Addr> {
        let held = self.held(network).filter_map(|i| i.ipv6.map(|n| n.addr()));
        let nodes = held.chain(self.reserved(network).filter_map(|r| r.ipv6));
        let bmcs = self.bmc_addresses(network).filter_map(|address| match address {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        });
        nodes.chain(bmcs).collect()
    }

    /// Forgets what nodes say of where they answer, if that is the hypervisor, or what another node was given: whatever is
    /// listed there would be meant by their names. Two that say the same are told apart by their host keys.
    pub fn forget_others_addresses(&mut self) {
        let nics = self.domains.values().flat_map(|d| &d.recorded.interfaces);
        let mut others = self.host.addresses.clone();
        others.extend(nics.flat_map(|i| {
            let v4 = i.ipv4.address().map(|net| IpAddr::V4(net.addr()));
            v4.into_iter().chain(i.ipv6.map(|net| IpAddr::V6(net.addr())))
        }));
        for domain in self.domains.values_mut().filter(|d| d.recorded.is_leased()) {
            let address = &mut domain.recorded.access.address;
            *address = address.filter(|ip| !others.contains(ip));
        }
    }

    /// What a network has recorded of a node's volumes.
    pub fn tenant(&self, node: &str) -> Option<&blueprint::NodeVolumes> {
        let mut tenants = self.networks.values().flat_map(|n| &n.recorded.tenants);
        tenants.find(|tenant| tenant.node == node)
    }

    /// Volumes of ours that no domain names any more, by node. Those of a node that somebody renamed, or defined again under
    /// another name, are that domain's.
    pub fn orphans(&self) -> BTreeMap<NodeName, Orphan> {
        let mut found = BTreeMap::new();
        for tenant in self.networks.values().flat_map(|n| &n.recorded.tenants) {
            let taken = self.domains.contains_key(&tenant.node)
                || self.claims.domains.contains(tenant.node.as_str());
            let free = |(pool, v): &(&blueprint::Pool, &str)| {
                self.has_volume(pool, v) && self.in_use(pool, v).is_empty()
            };
            let volumes: BTreeSet<_> =
                tenant.placed().filter(free).map(|(pool, v)| (pool.clone(), v.into())).collect();
            if !taken && !volumes.is_empty() {
                let orphan =
                    Orphan { node: tenant.node.clone(), pool: tenant.pool.clone(), volumes };
                found.insert(tenant.node.clone(), orphan);
            }
        }
        found
    }

    /// Domains of others that have a volume which no domain of ours has; those of which libvirt does not say what they have may.
    pub fn in_use(&self, pool: &blueprint::Pool, volume: &str) -> BTreeSet<&str> {
        let unread = self.claims.unread.iter().map(String::as_str);
        self.claims.holders(pool, volume).into_iter().chain(unread).collect()
    }

    /// Volumes of a node that should be there and are not.
    pub fn missing_volumes<'a>(
        &self,
        node: &'a blueprint::Node,
        pool: &'a blueprint::Pool,
    ) -> Vec<&'a str> {
        let missing = node.placed(pool).filter(|(pool, v)| !self.has_volume(pool, v));
        missing.map(|(_, v)| v).collect()
    }

    fn held<'a>(&'a self, network: &'a str) -> impl Iterator<Item = &'a blueprint::Interface> {
        self.domains
            .values()
            .flat_map(|d| &d.recorded.interfaces)
            .filter(move |i| i.network == network)
    }
}
