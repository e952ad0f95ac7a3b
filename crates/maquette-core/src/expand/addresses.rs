//! Addresses out of a network's DHCP ranges.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::blueprint::Network;
use crate::observed::Observed;
use crate::topology::Dhcp;

/// The free addresses of one network, lowest first.
pub struct Addresses {
    /// Its subnet.
    pub net4: Option<Ipv4Net>,
    /// Its subnet.
    pub net6: Option<Ipv6Net>,
    /// Subnet in which a node's own number is its address.
    pub numbered: Option<Ipv4Net>,
    /// Addresses that users have chosen for nodes.
    pub chosen: BTreeSet<Ipv4Addr>,
    v4: Option<Range<u32>>,
    v6: Option<Range<u128>>,
}

struct Range<N> {
    next: N,
    end: N,
    taken: BTreeSet<N>,
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
            let others = network.uplink.iter().filter_map(|u| u.address.map(|a| a.addr()));
            taken.extend(others.chain(fixed.and_then(|f| f.gateway)).map(u32::from));
            Range { next: u32::from(start), end: u32::from(end), taken }
        });
        let v6 = network.ipv6.zip(network.dhcp6).map(|(net, Dhcp { start, end })| {
            let mut taken: BTreeSet<u128> =
                observed.taken_v6(&network.name).into_iter().map(u128::from).collect();
            taken.insert(u128::from(net.addr()));
            Range { next: u128::from(start), end: u128::from(end), taken }
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

    /// The lowest free IPv4 address; none where there is no range, or nothing left in it.
    pub fn next_v4(&mut self) -> Option<Ipv4Addr> {
        let range = self.v4.as_mut()?;
        while range.next <= range.end {
            let candidate = range.next;
            range.next = range.next.checked_add(1)?;
            let address = Ipv4Addr::from(candidate);
            if !range.taken.contains(&candidate) && !self.chosen.contains(&address) {
                return Some(address);
            }
        }
        None
    }

    /// The lowest free IPv6 address.
    pub fn next_v6(&mut self) -> Option<Ipv6Addr> {
        let range = self.v6.as_mut()?;
        while range.next <= range.end {
            let candidate = range.next;
            range.next = range.next.checked_add(1)?;
            if !range.taken.contains(&candidate) {
                return Some(Ipv6Addr::from(candidate));
            }
        }
        None
    }
}
