//! Addresses out of a network's DHCP ranges.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::blueprint::Network;
use crate::observed::Observed;
use crate::topology::Dhcp;
use crate::units::MacAddr;

/// The free addresses of one network, lowest first.
pub struct Addresses {
    /// Its IPv4 subnet; none if it has none.
    pub net4: Option<Ipv4Net>,
    /// Its IPv6 subnet; none if it has none.
    pub net6: Option<Ipv6Net>,
    /// Subnet in which a node's own number is its address.
    pub numbered: Option<Ipv4Net>,
    /// Addresses that users have chosen for nodes.
    pub chosen: BTreeSet<Ipv4Addr>,
    v4: Option<Range<u32>>,
    v6: Option<Range<u128>>,
}

/// Addresses in order. Those that another NIC has a lease of are the last resort: the server would not give them out yet.
struct Range<N> {
    next: Option<N>,
    end: N,
    taken: BTreeSet<N>,
    leases: BTreeMap<N, MacAddr>,
    passed_over: VecDeque<N>,
}

impl<N: Copy + Ord> Range<N> {
    fn new(
        (start, end): (N, N),
        taken: BTreeSet<N>,
        leases: impl Iterator<Item = (N, MacAddr)>,
    ) -> Self {
        let leases = leases.filter(|(address, _)| (start..=end).contains(address)).collect();
        Self { next: Some(start), end, taken, leases, passed_over: VecDeque::new() }
    }

    /// The lowest address that a NIC can have and that is `free` for all else that is known.
    fn take(
        &mut self,
        mac: MacAddr,
        following: impl Fn(N) -> Option<N>,
        free: impl Fn(N) -> bool,
    ) -> Option<N> {
        // What is kept from all others is for whoever has it.
        let holds = |address: &N| self.leases.get(address) == Some(&mac) && free(*address);
        if let Some(at) = self.passed_over.iter().position(holds) {
            return self.passed_over.remove(at);
        }
        while let Some(candidate) = self.next.filter(|next| *next <= self.end) {
            self.next = following(candidate);
            if self.taken.contains(&candidate) || !free(candidate) {
                continue;
            }
            if self.leases.get(&candidate).is_none_or(|holder| *holder == mac) {
                return Some(candidate);
            }
            self.passed_over.push_back(candidate);
        }
        self.passed_over.pop_front()
    }
}

/// IPv4 addresses on a network that are the hypervisor's, the router's and the name server's.
fn of_others(network: &Network) -> impl Iterator<Item = Ipv4Addr> {
    let fixed = network.fixed.iter().flat_map(|f| [f.gateway, f.nameserver]).flatten();
    let nic = network.carrier.uplink().and_then(|u| u.address).map(|net| net.addr());
    let ports = network.carrier.vswitch().into_iter().flat_map(|v| &v.ports);
    let own = ports.flat_map(|port| &port.addresses).filter_map(|net| match net {
        IpNet::V4(net) => Some(net.addr()),
        IpNet::V6(_) => None,
    });
    fixed.chain(nic).chain(own)
}

impl Addresses {
    /// What is free on a network, given what existing nodes hold.
    pub fn new(network: &Network, observed: &Observed) -> Self {
        let fixed = network.fixed.as_ref();
        let own = fixed.and_then(|f| Some((f.net, f.range?)));
        let v4 = network.ipv4.zip(network.dhcp4).or(own).map(|(net, Dhcp { start, end })| {
            let mut taken: BTreeSet<u32> =
                observed.taken_v4(&network.name).into_iter().map(u32::from).collect();
            taken.insert(u32::from(net.addr()));
            taken.extend(of_others(network).map(u32::from));
            let leases = observed.dhcp_leases.iter().filter_map(|(address, mac)| match address {
                IpAddr::V4(address) => Some((u32::from(*address), *mac)),
                IpAddr::V6(_) => None,
            });
            Range::new((u32::from(start), u32::from(end)), taken, leases)
        });
        let v6 = network.ipv6.zip(network.dhcp6).map(|(net, Dhcp { start, end })| {
            let mut taken: BTreeSet<u128> =
                observed.taken_v6(&network.name).into_iter().map(u128::from).collect();
            taken.insert(u128::from(net.addr()));
            let leases = observed.dhcp_leases.iter().filter_map(|(address, mac)| match address {
                IpAddr::V6(address) => Some((u128::from(*address), *mac)),
                IpAddr::V4(_) => None,
            });
            Range::new((u128::from(start), u128::from(end)), taken, leases)
        });
        let numbered = fixed.filter(|f| f.range.is_none()).map(|f| f.net);
        let net4 = network.ipv4.or(fixed.map(|f| f.net));
        Self { net4, net6: network.ipv6, numbered, chosen: BTreeSet::new(), v4, v6 }
    }

    /// Whether it gives out IPv4 addresses.
    pub fn gives_v4(&self) -> bool {
        self.v4.is_some() || self.numbered.is_some()
    }

    /// Whether it gives out IPv4 addresses from a range.
    pub fn has_range(&self) -> bool {
        self.v4.is_some()
    }

    /// Whether it gives out IPv6 addresses.
    pub fn gives_v6(&self) -> bool {
        self.v6.is_some()
    }

    /// The lowest IPv4 address that is free for a NIC; none where there is no range, or nothing left in it.
    pub fn next_v4(&mut self, mac: MacAddr) -> Option<Ipv4Addr> {
        let chosen = &self.chosen;
        let free = |address: u32| !chosen.contains(&Ipv4Addr::from(address));
        let address = self.v4.as_mut()?.take(mac, |address| address.checked_add(1), free)?;
        Some(Ipv4Addr::from(address))
    }

    /// The lowest IPv6 address that is free for a NIC.
    pub fn next_v6(&mut self, mac: MacAddr) -> Option<Ipv6Addr> {
        let address = self.v6.as_mut()?.take(mac, |address| address.checked_add(1), |_| true)?;
        Some(Ipv6Addr::from(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_leased_is_better_than_none() {
        let (own, other) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
        let mut range = Range::new((2u32, 4), BTreeSet::from([3]), [(2, other)].into_iter());
        let mut take = |mac| range.take(mac, |n| n.checked_add(1), |_| true);
        assert_eq!([take(own), take(own), take(own)], [Some(4), Some(2), None]);
        let mut range = Range::new((2u32, 4), BTreeSet::new(), [(2, other)].into_iter());
        assert_eq!(range.take(other, |n| n.checked_add(1), |_| true), Some(2));
        // What was passed over for others is its holder's.
        let leases = [(2, other), (3, own)].into_iter();
        let mut range = Range::new((2u32, 6), BTreeSet::new(), leases);
        let mut take = |mac| range.take(mac, |n| n.checked_add(1), |_| true);
        let third = MacAddr([2, 0, 0, 0, 0, 3]);
        assert_eq!(
            [take(third), take(other), take(own), take(third)],
            [Some(4), Some(2), Some(3), Some(5)]
        );
        // The last of all numbers has none after it.
        let mut range = Range::new((u32::MAX, u32::MAX), BTreeSet::new(), std::iter::empty());
        let mut take = || range.take(own, |n| n.checked_add(1), |_| true);
        assert_eq!([take(), take()], [Some(u32::MAX), None]);
    }
}
