//! What a hypervisor has of BMCs, and which ports are in their way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::Observed;
use crate::values::NodeName;

/// BMCs of an environment, as a hypervisor serves them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bmcs {
    /// Whether all of them are served now.
    pub run: bool,
    /// Whether a process has their addresses, but for those of the unreached.
    pub holds: bool,
    /// Nodes whose BMC that process cannot reach, since another program has its address.
    pub unreached: BTreeSet<NodeName>,
    /// What each of them is, by its node: see [`crate::blueprint::BmcNode`].
    pub digests: BTreeMap<NodeName, String>,
}

impl Bmcs {
    /// Whether a node's BMC is served now.
    pub fn serve(&self, node: &NodeName) -> bool {
        self.holds && self.digests.contains_key(node) && !self.unreached.contains(node)
    }
}

/// A port that some program on the hypervisor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    /// Whether it is UDP's; else it is TCP's.
    pub udp: bool,
    /// The address; none for all of both families, an unspecified one for all of its family.
    pub address: Option<IpAddr>,
    /// The port's number.
    pub port: u16,
}

impl Listening {
    /// Whether nobody else can have an address and port.
    fn is_in_the_way(&self, udp: bool, at: SocketAddr) -> bool {
        let here = self.address.is_none_or(|address| match address.is_unspecified() {
            true => address.is_ipv4() == at.is_ipv4(),
            false => address == at.ip(),
        });
        here && self.udp == udp && self.port == at.port()
    }
}

impl Observed {
    /// Whether a program that does not serve the environment's BMCs has an address and port.
    pub fn is_port_taken(&self, udp: bool, at: SocketAddr) -> bool {
        let taken = self.host.listening.iter().any(|l| l.is_in_the_way(udp, at));
        let ours = |bmcs: &Bmcs| {
            let served = self.domains.values().filter(|d| bmcs.serve(&d.name));
            let mut places = served.filter_map(|d| d.recorded.bmc.as_ref());
            places.any(|bmc| if udp { bmc.ipmi() } else { bmc.redfish() } == Some(at))
        };
        taken && !self.bmcs.as_ref().is_some_and(ours)
    }

    /// Addresses that BMCs of this environment have of their own on a network.
    pub(super) fn bmc_addresses(&self, network: &str) -> impl Iterator<Item = IpAddr> {
        let bmcs = self.domains.values().filter_map(|domain| domain.recorded.bmc.as_ref());
        bmcs.filter(move |bmc| bmc.own_address && *bmc.network == *network).map(|bmc| bmc.address)
    }
}
