//! What others have on the hypervisor.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::Hardware;
use crate::blueprint::{self, Template};
use crate::topology;
use crate::units::MacAddr;

/// What a domain of somebody else may use at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedMemory {
    /// Its name in libvirt.
    pub name: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Number of virtual CPUs.
    pub vcpus: u32,
    /// Whether it runs.
    pub active: bool,
}

/// A NIC of the hypervisor that a network of somebody else's puts domains on by macvtaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicClaim {
    /// The NIC's name on the hypervisor.
    pub nic: String,
    /// The network's name in libvirt.
    pub network: String,
    /// Whether each domain takes a whole NIC (`passthrough`).
    pub whole: bool,
}

/// What is on the hypervisor and not ours; nothing of it is ever changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Names of other domains.
    pub domains: BTreeSet<String>,
    /// Memory and vCPUs of other domains.
    pub promises: Vec<ReservedMemory>,
    /// Names of other networks.
    pub networks: BTreeSet<String>,
    /// Bridge names and other interfaces of the host.
    pub bridges: BTreeSet<String>,
    /// Subnets of other networks and of the host's own addresses, with who has them.
    pub subnets: Vec<(IpNet, String)>,
    /// Where the host's routes lead, with their interfaces.
    pub routes: Vec<(IpNet, String)>,
    /// NICs that other networks put domains on.
    pub nics: Vec<NicClaim>,
    /// MAC addresses of other domains.
    pub macs: BTreeSet<MacAddr>,
    /// Other domains by the network that they are plugged into, or by `bridge/NAME`.
    pub plugged: BTreeMap<String, BTreeSet<String>>,
    /// Other domains by the files of their disks, now and when they start next.
    pub files: BTreeMap<String, BTreeSet<String>>,
    /// Files that disks of others are over, with whose these are: domains, and volumes of nobody, `volume x`.
    pub below: BTreeMap<String, BTreeSet<String>>,
    /// Domains of which libvirt does not say what they are made of.
    pub unread: BTreeSet<String>,
}

impl Claims {
    /// Who has a subnet already, if anybody does but the owner `without`. A route that is wider than the subnet, as a VPN's
    /// is, takes nothing away: the kernel and libvirt prefer the narrower one.
    pub fn owner(&self, net: &IpNet, without: Option<&str>) -> Option<&str> {
        let counts = |owner: &str| Some(owner) != without;
        let subnets = self.subnets.iter().filter(|(other, _)| topology::overlap(net, other));
        let routes = self.routes.iter().filter(|(route, _)| net.contains(route));
        subnets.chain(routes).map(|(_, owner)| owner.as_str()).find(|owner| counts(owner))
    }

    /// Whether a route leads to some of a subnet's addresses.
    pub fn is_routed(&self, net: &IpNet) -> bool {
        self.routes.iter().any(|(route, _)| topology::overlap(net, route))
    }

    /// Notes a domain of somebody else: what it may use, what it is plugged into and which disks it has. What is plugged in while
    /// it runs may be nowhere in its definition.
    pub fn domain(
        &mut self,
        name: &str,
        defined: &Hardware,
        live: Option<&Hardware>,
        active: bool,
    ) {
        let nics = || std::iter::once(defined).chain(live).flat_map(|hardware| &hardware.nics);
        // What a killed run left of a template is defined for a moment, with the networks of the node that it was for, and
        // never runs with them.
        if active || !Template::is_called_so(name) {
            nics().for_each(|nic| self.plug(&nic.network, name));
            let hardware = std::iter::once(defined).chain(live);
            hardware.flat_map(|h| &h.disks).for_each(|disk| self.hold(&disk.file, name));
        }
        self.macs.extend(nics().map(|nic| nic.mac));
        self.domains.insert(name.into());
        self.promises.push(ReservedMemory {
            name: name.into(),
            memory_mib: defined.maximum_mib,
            vcpus: defined.vcpus,
            active,
        });
    }

    /// Notes NICs that a network of somebody else's puts domains on, and whether each of these takes a whole one.
    pub fn note_nics(
        &mut self,
        network: &str,
        nics: impl IntoIterator<Item = String>,
        whole: bool,
    ) {
        let claim = |nic| NicClaim { nic, network: network.into(), whole };
        self.nics.extend(nics.into_iter().map(claim));
    }

    /// Notes what an interface of somebody else's domain is plugged into.
    pub fn plug(&mut self, source: &str, domain: &str) {
        if !source.is_empty() {
            self.plugged.entry(source.into()).or_default().insert(domain.into());
        }
    }

    /// Notes a file of a disk of somebody else's domain, or the volume's name where its definition names no path.
    pub fn hold(&mut self, file: &str, domain: &str) {
        if !file.is_empty() {
            self.files.entry(file.into()).or_default().insert(domain.into());
        }
    }

    /// Notes a file that a disk of others is over: of a domain, or one that no domain has, `volume x`.
    pub fn hold_below(&mut self, file: &str, whose: &str) {
        if !file.is_empty() {
            self.below.entry(file.into()).or_default().insert(whose.into());
        }
    }

    /// Domains of others that have a volume, or an overlay of it, on a disk, and what else is over it.
    pub fn holders(&self, pool: &blueprint::Pool, volume: &str) -> BTreeSet<&str> {
        let mut all = named(&self.files, pool, volume);
        all.extend(named(&self.below, pool, volume));
        all
    }

    /// Whether others have only clones of a volume, and nobody the volume itself.
    pub fn is_only_cloned(&self, pool: &blueprint::Pool, volume: &str) -> bool {
        named(&self.files, pool, volume).is_empty() && !named(&self.below, pool, volume).is_empty()
    }

    /// Domains of others that use a network, by its name or by that of its bridge.
    pub fn users(&self, network: &str, bridge: &str) -> BTreeSet<&str> {
        let sources = [network.to_string(), format!("bridge/{bridge}")];
        sources.iter().filter_map(|s| self.plugged.get(s)).flatten().map(String::as_str).collect()
    }
}

/// Who has a volume, or an overlay of it: libvirt calls the overlay of `x.qcow2` that a snapshot makes `x.SNAPSHOT`, in the
/// same directory.
fn named<'a>(
    files: &'a BTreeMap<String, BTreeSet<String>>,
    pool: &blueprint::Pool,
    volume: &str,
) -> BTreeSet<&'a str> {
    let stem = volume.rsplit_once('.').map_or(volume, |(stem, _)| stem);
    let begin = format!("{}/{stem}.", pool.path.trim_end_matches('/'));
    let there = files.range(begin.clone()..).take_while(|(file, _)| file.starts_with(&begin));
    let names = there.map(|(_, names)| names).chain(files.get(volume));
    names.flatten().map(String::as_str).collect()
}

/// Whether a volume is the overlay of another that a snapshot made: `x-disk1.SNAPSHOT` is that of `x-disk1.qcow2`. What ends
/// like a volume may be that of another node, and `x-disk1.qcow2.bak` is what somebody has put aside.
pub fn is_overlay(name: &str, volume: &str) -> bool {
    let snapshot = volume.rsplit_once('.').and_then(|(stem, ending)| {
        let snapshot = name.strip_prefix(stem)?.strip_prefix('.')?;
        let aside = snapshot == ending || snapshot.starts_with(&format!("{ending}."));
        Some(!aside && !snapshot.ends_with(&format!(".{ending}")))
    });
    snapshot == Some(true)
}
