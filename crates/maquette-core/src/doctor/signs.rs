//! What was found out about a hypervisor and its nodes, for whoever names what is wrong.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::firewall::Ruleset;
use crate::node_state::Evidence;
use crate::units::MacAddr;

/// Room in a directory's file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The directory on the hypervisor.
    pub path: String,
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that the file system has, used ones included.
    pub size: u64,
}

/// How much a hypervisor has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// How many processes ran or waited over the last minute, rounded.
    pub average: u64,
    /// How many CPUs it has.
    pub cpus: u64,
}

/// What libvirt's network was found to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkSigns {
    /// Whether its DHCP server runs; none if it could not be told.
    pub dnsmasq: Option<bool>,
    /// Addresses that it gave out and that are valid.
    pub leases: BTreeMap<MacAddr, IpAddr>,
}

/// What was found on the hypervisor's own side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSigns {
    /// Room in the pool's directory; none if it could not be told.
    pub pool: Option<Space>,
    /// Room in directories of disks that name another pool (`path`), by their directories.
    pub disk_pools: BTreeMap<String, Space>,
    /// Room in the directory of libvirt's logs; none if it could not be told.
    pub logs: Option<Space>,
    /// All memory and what could be used now, in MiB; none if it could not be told.
    pub memory_mib: Option<(u64, u64)>,
    /// How much it has to do; none if it could not be told.
    pub load: Option<Load>,
    /// How often its kernel ended a process because memory was used up, since it was started.
    pub oom_kills: Option<u64>,
    /// Lines of the kernel's and audit's logs about processes that were killed for memory, and about denials.
    pub kernel_log: Vec<String>,
    /// Whether the kernel forwards IPv4; none if it could not be told.
    pub forwards: Option<bool>,
    /// Whether frames within a bridge pass the rules for packets.
    pub bridge_filtered: bool,
    /// The interface of its default route; none if it has none.
    pub uplink: Option<String>,
    /// The firewall's rules.
    pub firewall: Ruleset,
    /// libvirt's networks, by their libvirt names.
    pub networks: BTreeMap<String, NetworkSigns>,
}

/// What libvirt says of a domain's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Power {
    /// It runs.
    Running,
    /// Somebody paused it.
    Paused,
    /// QEMU stopped it since a disk could not be read or written.
    IoError,
    /// QEMU stopped it since its guest crashed.
    GuestCrashed,
    /// A watchdog stopped it.
    Watchdog,
    /// It was shut down or switched off, in libvirt's word.
    Off(String),
    /// Its QEMU ended by itself.
    EmulatorDied,
    /// It could not be started.
    StartFailed,
}

/// When a domain was started last, on the clocks of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Seconds after the hypervisor itself was.
    pub uptime_s: u64,
    /// Seconds since 1970.
    pub epoch_s: u64,
}

/// Frames of an interface, as its guest counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Frames {
    /// Frames that the guest sent.
    pub sent: u64,
    /// Frames that the guest received.
    pub received: u64,
}

/// What the hypervisor knows of who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// Nobody answered for it.
    Nobody,
    /// This one did.
    Has(MacAddr),
}

/// What a guest says of itself, over SSH.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inside {
    /// Errors in cloud-init's result; none if there is no result yet.
    pub errors: Option<Vec<String>>,
    /// What `cloud-init status --long` says.
    pub status: Vec<String>,
    /// File systems without room: where they are mounted, and what is used of them in percent.
    pub full: Vec<(String, u64)>,
}

/// How a login ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginTried {
    /// It worked; with what the guest then said.
    In(Inside),
    /// The guest shows another host key than the one that was made for it; `ssh`'s words.
    OtherHostKey(String),
    /// The guest does not take the environment's key; `ssh`'s words.
    Refused(String),
    /// It failed otherwise; why.
    Failed(String),
    /// There is no key here to log in with.
    NoKey,
}

/// What was found out about one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeSigns {
    /// How it answers, and the end of its console.
    pub evidence: Evidence,
    /// What libvirt says of its state; none if it could not be asked.
    pub power: Option<Power>,
    /// How often QEMU read from its disks, without the seed.
    pub reads: Option<u64>,
    /// Frames of its interfaces.
    pub frames: BTreeMap<MacAddr, Frames>,
    /// Who has its address; none if that was not looked for.
    pub neighbour: Option<Neighbour>,
    /// Whether the first sector of its first disk has the signature of a boot sector; none if it was not read.
    pub boot_sector: Option<bool>,
    /// When it was started last, whether it runs now or not; none if it is not known.
    pub started: Option<Started>,
    /// The end of QEMU's log.
    pub emulator_log: Vec<String>,
    /// What the DHCP server logged of its interfaces.
    pub dhcp_log: Vec<String>,
    /// How a login ended; none if it was not tried.
    pub login: Option<LoginTried>,
}
