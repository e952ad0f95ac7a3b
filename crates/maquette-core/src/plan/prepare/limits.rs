//! Limits of the kernel's that grow with what runs on a hypervisor: sysctls that are numbers. Each is a row, and
//! everything else follows from it: what the probe asks for, the plan, the file in `/etc/sysctl.d`, the record, the
//! way back.

/// What runs on a hypervisor once the environment is built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Networks of the environment with a dnsmasq.
    pub networks: usize,
    /// Networks that are there besides.
    pub other_networks: usize,
    /// Interfaces of the environment's nodes.
    pub interfaces: usize,
    /// Whether any of its networks has IPv6.
    pub ipv6: bool,
}

/// A limit of the kernel's.
#[derive(Debug)]
pub struct Limit {
    /// Its name for sysctl.
    pub key: &'static str,
    /// What it is about: in plans, and in the name of its file in `/etc/sysctl.d`. Stays as it is: hypervisors
    /// have such files.
    pub name: &'static str,
    /// What it is, after "set ".
    pub(super) title: &'static str,
    /// How many a load takes; 0 if it has nothing to do with the limit.
    pub(super) taken: fn(&Load) -> usize,
    /// Why that many are taken.
    pub(super) reason: &'static str,
}

/// Inotify instances that are left to everything but dnsmasq.
const SPARE: usize = 64;

/// Neighbours that are left to everything but the environment's nodes.
const OTHER_NEIGHBOURS: usize = 256;

/// Entries of a neighbour table. The hypervisor has one for each address that it speaks to: for each interface of
/// each node, since it is their gateway, DNS and DHCP server. A table that is full refuses new ones, and nodes are
/// unreachable by turns; the kernel's documentation has it raised "when communicating with large numbers of
/// directly-connected peers" (<https://docs.kernel.org/networking/ip-sysctl.html>, `neigh/default/gc_thresh3`).
fn neighbours(load: &Load) -> usize {
    match load.interfaces {
        0 => 0,
        interfaces => interfaces.saturating_add(OTHER_NEIGHBOURS),
    }
}

/// The same for IPv6, whose table is another. An interface has two addresses there: the one of its link, and the
/// one of its network. Networks without IPv6 are not told apart: a limit that is high costs nothing.
fn ipv6_neighbours(load: &Load) -> usize {
    match load.ipv6 {
        true => neighbours(&Load { interfaces: load.interfaces.saturating_mul(2), ..*load }),
        false => 0,
    }
}

/// All of them.
pub const LIMITS: &[Limit] = &[
    Limit {
        key: "fs.inotify.max_user_instances",
        name: "inotify",
        title: "the limit of inotify instances",
        taken: |load| match load.networks {
            0 => 0,
            networks => networks + load.other_networks + SPARE,
        },
        reason: "each network has a dnsmasq, and each of those takes one",
    },
    Limit {
        key: "net.ipv4.neigh.default.gc_thresh3",
        name: "neighbours",
        title: "the limit of IPv4 neighbours",
        taken: neighbours,
        reason: "each interface of a node takes one, and a full table leaves nodes unreachable",
    },
    Limit {
        key: "net.ipv6.neigh.default.gc_thresh3",
        name: "ipv6-neighbours",
        title: "the limit of IPv6 neighbours",
        taken: ipv6_neighbours,
        reason: "each interface of a node takes two, and a full table leaves nodes unreachable",
    },
];

impl PartialEq for Limit {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Limit {}

impl Limit {
    /// The limit of that name.
    pub fn of(key: &str) -> Option<&'static Self> {
        LIMITS.iter().find(|limit| limit.key == key)
    }

    /// Its file below `/proc/sys`, where the kernel shows and takes it.
    pub fn proc_file(&self) -> String {
        format!("/proc/sys/{}", self.key.replace('.', "/"))
    }

    /// The last part of its name.
    pub(super) fn short(&self) -> &'static str {
        self.key.rsplit('.').next().unwrap_or(self.key)
    }
}
