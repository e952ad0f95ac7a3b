//! Everything made concrete: each domain, volume, interface, address, host name.
//!
//! A blueprint leaves nothing to decide. It is a pure function of the topology, the environment's
//! name and what the hypervisor already has: a node that exists keeps its MAC and IP addresses.

mod bmc;
mod interface;
mod links;
mod netboot;
mod pool;
mod switching;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use ipnet::{Ipv4Net, Ipv6Net};
use uuid::Uuid;

pub(crate) use bmc::port;
pub use bmc::{Bmc, BmcNode};
pub use interface::{Attachment, Checksums, Interface, Ipv4Setup};
pub use links::far_end;
pub use pool::{DiskPool, LOST_AND_FOUND, Pool, Volume};
pub use switching::{
    BridgeOptions, Carrier, DirectNics, Fixed, HostPort, Outside, PlainGroup, Portgroup, Route,
    Tag, Uplink, Vswitch,
};
pub use template::{ColdReason, Earlier, Template, TemplatePart, has_generation_id, template};

use crate::hardware::CacheMode;
use crate::names::{EnvName, identifier, interface_name};
use crate::settings::StartChoice;
use crate::topology::{
    Allocation, BootDevice, BootDigest, BootMode, Bootp, Bus, Dhcp, FirstBoot, Preallocation,
    SeedDrive, Srv, VirtType,
};
use crate::units::{ByteSize, MacAddr};
use crate::values::{
    BmcCredentials, ConnectionPlugin, Directory, DnsName, FileName, Group, InterfaceName, Login,
    MachineName, Mtu, Name, NetworkName, NodeName, NodeType, PublicKey, Secret, Serial,
    TargetDevice, TftpRoot, TimeZone,
};
use crate::virtopts::{VirtOpt, VirtOpts};

/// Derives the public host key of a node from its name, its identifier and its generation.
pub type HostKeys<'a> = &'a dyn Fn(&str, Uuid, Option<u64>) -> PublicKey;

/// One environment, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blueprint {
    /// The environment's name, with which all names on the hypervisor begin.
    pub environment: EnvName,
    /// Third octets of its subnets.
    pub allocation: Allocation,
    /// The storage pool that images and seeds live in, and disks that name no directory of their own.
    pub pool: Pool,
    /// Base images, each once, sorted by volume.
    pub images: Vec<Image>,
    /// Where images come from that were looked up in this run; others are in the pool already.
    pub image_origins: BTreeMap<Image, ImageOrigin>,
    /// Images that are downloaded again for new nodes, though they are there.
    pub refresh_images: BTreeSet<Image>,
    /// Images of which it matters whether they have cloud-init, and is found out only when they are fetched.
    pub looked_into: BTreeSet<Image>,
    /// How long a guest may take to shut down before it is switched off, in seconds.
    pub shutdown_s: u64,
    /// Whether it is what was there and some nodes more.
    pub extend: bool,
    /// Networks, in file order.
    pub networks: Vec<Network>,
    /// Nodes, by node type and index.
    pub nodes: Vec<Node>,
    /// The nodes that a run is about, if it is not about all: others stay as they are.
    pub only: Option<BTreeSet<String>>,
    /// How new nodes start.
    pub start: StartChoice,
    /// What nodes can start from instead of booting, or why they cannot, by their names.
    pub templates: BTreeMap<NodeName, Result<Template, ColdReason>>,
    /// What first boots do besides setting nodes up, by its digest.
    pub first_boots: BTreeMap<Uuid, FirstBoot>,
    /// What the seeds of nodes are in, where their owner has chosen that.
    pub seed_drives: BTreeMap<NodeName, SeedDrive>,
    /// Tells the secrets of its BMCs, and the program that serves them, from others; none in a workspace without the
    /// environment's secret, where BMCs stay as they are.
    pub bmc_tag: Option<String>,
    /// Whether its BMCs may lead to the hypervisor itself.
    pub bmc_hypervisor_urls: bool,
    /// The accounts of its BMCs.
    pub bmc_credentials: BmcCredentials,
    /// Whether somebody has asked for BMCs; else blank nodes have them, and do without where they cannot.
    pub bmcs_asked: bool,
    /// What opens the hypervisor for connections to its nodes, and for nothing else; none leaves that as it is.
    pub forwarding: Option<Forwarding>,
}

/// A login of the hypervisor, and the key that opens it for connections to nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// The login whose `authorized_keys` has the key.
    pub user: Login,
    /// The workspace's public key.
    pub key: PublicKey,
}

impl Blueprint {
    /// An environment without nodes and networks.
    pub fn nothing() -> Self {
        Self {
            environment: EnvName::default(),
            allocation: Allocation::UNPREFIXED,
            pool: Pool { name: Name::known("images"), path: Directory::known("/") },
            images: Vec::new(),
            image_origins: BTreeMap::new(),
            refresh_images: BTreeSet::new(),
            looked_into: BTreeSet::new(),
            shutdown_s: 60,
            extend: false,
            networks: Vec::new(),
            nodes: Vec::new(),
            only: None,
            start: StartChoice::default(),
            templates: BTreeMap::new(),
            first_boots: BTreeMap::new(),
            seed_drives: BTreeMap::new(),
            bmc_tag: None,
            bmc_hypervisor_urls: false,
            bmc_credentials: BmcCredentials::Node,
            bmcs_asked: false,
            forwarding: None,
        }
    }

    /// Whether a node of a (libvirt) name is looked at in this run.
    pub fn is_about(&self, node: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(node))
    }

    /// Whether a network is: one that a node is on which is looked at.
    pub fn is_about_network(&self, network: &str) -> bool {
        let on_it = |node: &&Node| node.interfaces.iter().any(|i| i.network == network);
        self.only.is_none() || self.nodes.iter().filter(on_it).any(|n| self.is_about(&n.name))
    }

    /// The node of a (libvirt) name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|n| n.name == name)
    }
}

/// A base image in the pool's cache.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// What the user wrote: URL, path or catalogue name.
    pub source: String,
    /// Volume it is cached as.
    pub volume: FileName,
}

/// How the volume of an image ends that virt-customize has worked on. The name tells it, so that records of disks do.
const CUSTOMIZED: &str = ".customized.qcow2";

impl Image {
    /// The same image, once virt-customize has made it ready for being set up from a seed: a volume of its own.
    pub fn customized(&self) -> Self {
        if self.is_customized() || self.volume.is_empty() {
            return self.clone();
        }
        let stem = self.volume.strip_suffix(".qcow2").unwrap_or(&self.volume);
        Self { source: self.source.clone(), volume: FileName::ending(stem, CUSTOMIZED) }
    }

    /// The image as it comes, without what virt-customize does to it.
    pub fn as_it_comes(&self) -> Self {
        let stem = self.volume.strip_suffix(CUSTOMIZED);
        let volume = stem.map(|stem| FileName::ending(stem, ".qcow2"));
        let volume = volume.unwrap_or_else(|| self.volume.clone());
        Self { source: self.source.clone(), volume }
    }

    /// Whether virt-customize makes it ready for being set up from a seed.
    pub fn is_customized(&self) -> bool {
        self.volume.ends_with(CUSTOMIZED)
    }

    /// Its source without what may be secret in an address.
    pub fn shown(&self) -> String {
        crate::image::redact(&self.source)
    }
}

/// Where a base image comes from, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageOrigin {
    /// A server. How large the image is shows when the download begins.
    Download {
        /// Its name or address.
        server: String,
    },
    /// A file that `maquette image build` made on the machine that Maquette runs on.
    Built {
        /// Its size in bytes.
        bytes: u64,
    },
    /// Another file of that machine.
    File {
        /// Its size in bytes.
        bytes: u64,
    },
}

impl fmt::Display for ImageOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download { server } => write!(f, "is downloaded from {server}"),
            Self::Built { bytes } => write!(f, "was built on this machine, {}", ByteSize(*bytes)),
            Self::File { bytes } => write!(f, "is copied from this machine, {}", ByteSize(*bytes)),
        }
    }
}

/// A libvirt network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// libvirt name, prefix included.
    pub name: NetworkName,
    /// Name of its bridge.
    pub bridge: InterfaceName,
    /// Its UUID in libvirt, which follows from the environment's name and its own.
    pub uuid: Uuid,
    /// Who carries its frames, and how they reach the outside.
    pub carrier: Carrier,
    /// The hypervisor's IPv4 address on it, with the subnet's length; none if it has none.
    pub ipv4: Option<Ipv4Net>,
    /// IPv4 addresses given out to whoever asks; none where libvirt serves no DHCP.
    pub dhcp4: Option<Dhcp<Ipv4Addr>>,
    /// The hypervisor's IPv6 address on it, with the subnet's length; none if it has none.
    pub ipv6: Option<Ipv6Net>,
    /// IPv6 addresses given out to whoever asks; none where libvirt serves no DHCPv6.
    pub dhcp6: Option<Dhcp<Ipv6Addr>>,
    /// DNS domain that its nodes' names are in; none if it has none.
    pub domain: Option<DnsName>,
    /// DNS service records.
    pub srvs: Vec<Srv>,
    /// Name servers that are asked what libvirt's does not know; none are the hypervisor's own.
    pub forwarders: Vec<IpAddr>,
    /// Directory of the hypervisor whose files libvirt serves over TFTP, if it serves any.
    pub tftp_root: Option<TftpRoot>,
    /// What DHCP tells machines that boot from it, if it tells them anything.
    pub bootp: Option<Bootp>,
    /// MTU; none leaves the kernel's, 1500 bytes.
    pub mtu: Option<Mtu>,
    /// Whether it starts with the hypervisor.
    pub autostart: bool,
    /// Spanning tree protocol of its bridge, where libvirt makes that.
    pub stp: bool,
    /// Portgroups where it is not on Open vSwitch, in file order.
    pub groups: Vec<PlainGroup>,
    /// What its bridge does that libvirt knows nothing of.
    pub tuning: BridgeOptions,
    /// Addresses that nodes set up by themselves, where nobody gives them any.
    pub fixed: Option<Fixed>,
    /// Addresses reserved for nodes, sorted by name.
    pub reservations: Vec<Reservation>,
    /// Nodes on it with their volumes, sorted by name: should somebody undefine a domain, it is still
    /// known whose these are.
    pub tenants: Vec<NodeVolumes>,
}

impl Network {
    /// Whether its bridge wants more than libvirt does, so that a hook has to do it.
    pub fn needs_hook(&self) -> bool {
        !self.tuning.is_plain()
            || self.carrier.uplink().is_some_and(|u| u.guard)
            || self.carrier.vswitch().is_some()
    }

    /// Whether it may have been made under its name: who copies a network gives it another name and another identifier, and
    /// what is recorded of its bridge is as it was. Without a prefix no name tells whose it is.
    pub fn is_under_its_name(&self, environment: &EnvName) -> bool {
        self.name.starts_with(&environment.qualify(""))
            && (self.uuid == identifier("network", environment, &self.name)
                || self.bridge == interface_name(&self.name))
    }

    /// Its reservations as DHCP's entries, of the families that it serves.
    pub fn dhcp_entries(&self) -> BTreeSet<DhcpHost> {
        let serves4 = self.ipv4.is_some() && self.dhcp4.is_some();
        let serves6 = self.ipv6.is_some() && self.dhcp6.is_some();
        let entry = |r: &Reservation, mac, ip| DhcpHost { name: Some(r.name.clone()), mac, ip };
        let v4 = self.reservations.iter().filter(|_| serves4);
        let v4 = v4.filter_map(|r| Some(entry(r, Some(r.mac), r.ipv4?.into())));
        let v6 = self.reservations.iter().filter(|_| serves6);
        // libvirt takes no MAC address here: DHCPv6 knows clients by other means.
        let v6 = v6.filter_map(|r| Some(entry(r, None, r.ipv6?.into())));
        v4.chain(v6).collect()
    }
}

/// Whether a domain has the identifier that a node of an environment gets by its name. libvirt defines no copy with the same one.
pub fn has_own_identifier(environment: &EnvName, name: &str, uuid: Uuid) -> bool {
    uuid == identifier("domain", environment, name)
}

/// Whether a network whose record cannot be used may be one of an environment's; `bridge` is what is recorded of it, if that
/// is called otherwise. Renaming it in its definition renames what is in its record as well, and only its identifier tells that
/// where no name does.
pub fn may_be_under_its_name(
    environment: &EnvName,
    name: &str,
    uuid: Uuid,
    bridge: Option<&str>,
) -> bool {
    let is_known = uuid == identifier("network", environment, name);
    let own_bridge = interface_name(name);
    match environment.prefix() {
        Some(_) => {
            name.starts_with(&environment.qualify(""))
                && (is_known || bridge.is_none_or(|bridge| bridge == own_bridge))
        }
        None => is_known,
    }
}

/// A node on a network, and what it has in a pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeVolumes {
    /// The node, by its libvirt name.
    pub node: NodeName,
    /// Pool of those that are in no pool of a disk.
    pub pool: Pool,
    /// Its volumes: disks and seed.
    pub volumes: Vec<Volume>,
    /// Whether it came with the latest extension of the environment: should that be interrupted, the same
    /// command goes on with it instead of adding others.
    pub extension: bool,
}

/// One entry of a network's DHCP server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DhcpHost {
    /// Node; none where libvirt has an entry that is nobody's of ours.
    pub name: Option<NodeName>,
    /// Interface; none for IPv6.
    pub mac: Option<MacAddr>,
    /// The address that is given out.
    pub ip: IpAddr,
}

/// An address that DHCP keeps for one interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reservation {
    /// The node that has it, by its libvirt name.
    pub name: NodeName,
    /// MAC address of the interface.
    pub mac: MacAddr,
    /// Its IPv4 address; none if none is reserved.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address; none if none is reserved.
    pub ipv6: Option<Ipv6Addr>,
}

/// A domain with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// libvirt name and host name.
    pub name: NodeName,
    /// Its node type.
    pub role: NodeType,
    /// Number within the node type, from 0.
    pub index: u32,
    /// Its UUID in libvirt, which follows from the environment's name and its own.
    pub uuid: Uuid,
    /// How it is run.
    pub virt: VirtType,
    /// Number of virtual CPUs.
    pub vcpus: NonZeroU32,
    /// libvirt CPU mode or a named model.
    pub cpu_model: MachineName,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Most memory that it can have while it runs, in MiB, if that is more.
    pub memory_max_mib: Option<u64>,
    /// libvirt's machine type: `pc`, `q35`, or one with a version.
    pub machine: MachineName,
    /// Firmware that it boots with.
    pub firmware: BootMode,
    /// Its VNC server.
    pub vnc: Vnc,
    /// Whether its serial console is logged where InfraRed's users look for it.
    pub serial_file: bool,
    /// Options of virt-install.
    pub virtopts: VirtOpts,
    /// What it boots from, in order, if that was chosen.
    pub boot: Vec<BootDevice>,
    /// Its BMC, if it has one.
    pub bmc: Option<Bmc>,
    /// Whether an operating system is deployed (else it boots from the network).
    pub deploy_os: bool,
    /// Disks in order.
    pub disks: Vec<Disk>,
    /// Interfaces in order.
    pub interfaces: Vec<Interface>,
    /// Ansible groups, as its node file lists them.
    pub groups: Vec<Group>,
    /// First-boot set-up; none for appliances and nodes without an operating system.
    pub guest: Option<Guest>,
    /// How Ansible and SSH reach it.
    pub access: Access,
}

/// A VNC server.
#[derive(Debug, Clone, Default)]
pub struct Vnc {
    /// Whether it listens on all addresses, not just the hypervisor's own.
    pub external: bool,
    /// Its password; what was read from a hypervisor knows none.
    pub password: Option<Secret>,
    /// Tells passwords apart without telling them; none where there is no password.
    pub tag: Option<String>,
}

impl PartialEq for Vnc {
    /// A password is known by its tag.
    fn eq(&self, other: &Self) -> bool {
        (self.external, &self.tag) == (other.external, &other.tag)
    }
}

impl Eq for Vnc {}

impl Node {
    /// Most memory that it can have without a restart, in MiB.
    pub fn maximum_mib(&self) -> u64 {
        self.memory_max_mib.unwrap_or(self.memory_mib)
    }

    /// What it boots from, in order: libvirt's words.
    pub fn boot_order(&self) -> Vec<&str> {
        // The last counts, as with virt-install.
        let given = self.virtopts.iter().rev().find_map(|option| match option {
            VirtOpt::Boot { order, .. } if !order.is_empty() => {
                Some(order.iter().map(String::as_str).collect())
            }
            // What else is said beside the devices is for virt-xml.
            VirtOpt::Edit { name, value, .. } if name == "--boot" => {
                let device = |word: &&str| ["hd", "network", "cdrom"].contains(word);
                let order: Vec<&str> = value.split(',').filter(device).collect();
                (!order.is_empty()).then_some(order)
            }
            _ => None,
        });
        match given {
            Some(order) => order,
            None if !self.boot.is_empty() => self.boot.iter().map(|d| d.as_str()).collect(),
            None if self.deploy_os => vec!["hd"],
            None => vec!["network", "hd"],
        }
    }

    /// Names of its volumes: disks and seed.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        let seed = self.guest.iter().map(|g| g.seed.as_str());
        self.disks.iter().map(|d| d.volume.as_str()).chain(seed)
    }

    /// The same, each with the pool that it is in; `pool` is the one of those that name none.
    pub fn placed<'a>(&'a self, pool: &'a Pool) -> impl Iterator<Item = (&'a Pool, &'a str)> {
        let seed = self.guest.iter().map(move |g| (pool, g.seed.as_str()));
        self.disks.iter().map(move |d| (d.pool_or(pool), d.volume.as_str())).chain(seed)
    }

    /// The pools that its disks name.
    pub fn disk_pools(&self) -> impl Iterator<Item = &DiskPool> {
        self.disks.iter().filter_map(|disk| disk.pool.as_ref())
    }

    /// Whether its address is one that somebody on the LAN gave it, which is known from the node alone.
    pub fn is_leased(&self) -> bool {
        self.access.address.is_some_and(|ip| !self.interfaces.iter().any(|i| i.has_address(ip)))
    }

    /// The NIC through which it is reached: that which has its address, or where somebody on the LAN gives it one, that which
    /// asks for it.
    pub fn way_in(&self) -> Option<&Interface> {
        let has = |i: &&Interface| self.access.address.is_some_and(|ip| i.has_address(ip));
        let asks = |i: &&Interface| i.ipv4.asks_dhcp() && i.ipv4.address().is_none();
        let all = || self.interfaces.iter();
        let first = || all().find(|i| asks(i) && i.default_route).or_else(|| all().find(asks));
        all().find(has).or_else(first)
    }
}

/// How a node is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Its address, if one is known beforehand.
    pub address: Option<IpAddr>,
    /// Login that Ansible and SSH use.
    pub user: Login,
    /// Ansible's connection plug-in.
    pub connection: ConnectionPlugin,
    /// Whether it is on a LAN, and reached without going through the hypervisor.
    pub direct: bool,
}

/// A volume attached to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Volume name: `NODE-diskN.qcow2`.
    pub volume: FileName,
    /// Target device: `vda`.
    pub device: TargetDevice,
    /// Bus that it is attached to.
    pub bus: Bus,
    /// libvirt cache mode.
    pub cache: CacheMode,
    /// Virtual size; none keeps the image's.
    pub size: Option<ByteSize>,
    /// Base image that it overlays; none for an empty disk.
    pub backing: Option<Image>,
    /// qcow2 preallocation; overlays have none.
    pub preallocation: Preallocation,
    /// Serial number that the guest reads. None in records of version 0.1.
    pub serial: Option<Serial>,
    /// The pool of the directory that it names (`path`); none is the node's.
    pub pool: Option<DiskPool>,
}

impl Guest {
    /// All public keys that open user and root, that of the environment first.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        std::iter::once(&self.authorized_key).chain(&self.shared)
    }
}

/// What the first boot sets up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Volume with the NoCloud data: `NODE-seed.img`.
    pub seed: FileName,
    /// What the guest finds that in.
    pub drive: SeedDrive,
    /// User with passwordless sudo.
    pub user: Login,
    /// Public key that opens user and root.
    pub authorized_key: PublicKey,
    /// Further public keys that open both: those of colleagues.
    pub shared: Vec<PublicKey>,
    /// Public part of the SSH host key made for it.
    pub host_key: PublicKey,
    /// Drawn whenever the node is made again, and mixed into its host key, so that nobody who knew its
    /// predecessor's can be taken for it. None in records of version 0.1.
    pub generation: Option<u64>,
    /// Time zone that the first boot sets; none leaves that of the image.
    pub timezone: Option<TimeZone>,
    /// Swap file in MiB; 0 for none.
    pub swap_mib: u64,
    /// Digest of what its first boot does besides; none where that is nothing.
    pub first_boot: Option<Uuid>,
    /// The same part by part, for telling what changes. Records of earlier versions have none.
    pub first_boot_parts: Vec<BootDigest>,
}
