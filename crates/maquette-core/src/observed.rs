//! What the hypervisor has: objects of this environment, and what others claim.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::blueprint;
use crate::topology::Allocation;
use crate::units::MacAddr;

/// A domain that carries our mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// libvirt name.
    pub name: String,
    /// What it was made from, as recorded in its metadata.
    pub recorded: blueprint::Node,
    /// Pool of its volumes, as recorded.
    pub pool: blueprint::Pool,
    /// Whether it runs.
    pub active: bool,
    /// Whether its first boot was seen to end.
    pub ready: bool,
    /// Memory in MiB, as defined now.
    pub memory_mib: u64,
    /// vCPUs, as defined now.
    pub vcpus: u32,
}

/// A network that carries our mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// libvirt name.
    pub name: String,
    /// What it was made from, as recorded in its metadata.
    pub recorded: blueprint::Network,
    /// The environment's allocation, as recorded with it.
    pub allocation: Allocation,
    /// Whether it runs.
    pub active: bool,
}

/// What a domain of somebody else may use at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// libvirt name.
    pub name: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// vCPUs.
    pub vcpus: u32,
    /// Whether it runs.
    pub active: bool,
}

/// What is on the hypervisor and not ours; nothing of it is ever changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Domain names.
    pub domains: BTreeSet<String>,
    /// Memory and vCPUs of other domains.
    pub promises: Vec<Promise>,
    /// Network names.
    pub networks: BTreeSet<String>,
    /// Bridge names and other interfaces of the host.
    pub bridges: BTreeSet<String>,
    /// Subnets of other networks and of the host's routes, with who has them.
    pub subnets: Vec<(IpNet, String)>,
    /// MAC addresses of other domains.
    pub macs: BTreeSet<MacAddr>,
}

/// The hypervisor's state, as far as one environment is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Domains of this environment, by libvirt name.
    pub domains: BTreeMap<String, Domain>,
    /// Networks of this environment, by libvirt name.
    pub networks: BTreeMap<String, Network>,
    /// Names of all volumes, by pool.
    pub volumes: BTreeMap<String, BTreeSet<String>>,
    /// Space that is free in the environment's pool, in bytes, if the pool is there.
    pub pool_free: Option<u64>,
    /// What others have.
    pub claims: Claims,
}

impl Observed {
    /// The allocation that this environment was built with, if it exists.
    pub fn allocation(&self) -> Option<Allocation> {
        self.networks.values().map(|n| n.allocation).next()
    }

    /// Whether a pool has a volume.
    pub fn has_volume(&self, pool: &blueprint::Pool, volume: &str) -> bool {
        self.volumes.get(&pool.name).is_some_and(|v| v.contains(volume))
    }

    /// The interface that a node of this name already has at a position.
    pub fn interface(&self, domain: &str, index: usize) -> Option<&blueprint::Interface> {
        self.domains.get(domain)?.recorded.interfaces.get(index)
    }

    /// IPv4 addresses that nodes of this environment hold on a network.
    pub fn taken_v4(&self, network: &str) -> BTreeSet<Ipv4Addr> {
        self.held(network).filter_map(|i| i.ipv4.map(|n| n.addr())).collect()
    }

    /// IPv6 addresses that nodes of this environment hold on a network.
    pub fn taken_v6(&self, network: &str) -> BTreeSet<Ipv6Addr> {
        self.held(network).filter_map(|i| i.ipv6.map(|n| n.addr())).collect()
    }

    fn held<'a>(&'a self, network: &'a str) -> impl Iterator<Item = &'a blueprint::Interface> {
        self.domains
            .values()
            .flat_map(|d| &d.recorded.interfaces)
            .filter(move |i| i.network == network)
    }
}
