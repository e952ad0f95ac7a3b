//! Where the kernel sends what is for an address, by the main table of its routes.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Flags of a route (`linux/route.h`): it refuses what it is for.
const REJECT: u32 = 0x200;

#[derive(Debug, Clone)]
struct Route {
    to: IpAddr,
    /// How many bits of `to` count.
    bits: u32,
    metric: u32,
    interface: String,
}

impl Route {
    fn is_for(&self, address: IpAddr) -> bool {
        match (self.to, address) {
            (IpAddr::V4(to), IpAddr::V4(address)) => {
                let rest = 32_u32.saturating_sub(self.bits);
                let start = |ip: Ipv4Addr| u32::from(ip).checked_shr(rest).unwrap_or(0);
                start(to) == start(address)
            }
            (IpAddr::V6(to), IpAddr::V6(address)) => {
                let rest = 128_u32.saturating_sub(self.bits);
                let start = |ip: Ipv6Addr| u128::from(ip).checked_shr(rest).unwrap_or(0);
                start(to) == start(address)
            }
            _ => false,
        }
    }
}

/// The hypervisor's routes.
#[derive(Debug, Clone, Default)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// Those that there are now; none if nobody can tell.
    pub fn read() -> Option<Self> {
        let v4 = std::fs::read_to_string("/proc/self/net/route").ok()?;
        // There is none where IPv6 is switched off.
        let v6 = std::fs::read_to_string("/proc/self/net/ipv6_route").unwrap_or_default();
        Some(Self::of(&v4, &v6))
    }

    /// Those of the two files (proc_net(5)). Lines that are something else are left out.
    pub fn of(v4: &str, v6: &str) -> Self {
        let all = v4.lines().filter_map(route_v4).chain(v6.lines().filter_map(route_v6));
        Self(all.collect())
    }

    /// The interface that leads to an address.
    pub fn interface(&self, address: IpAddr) -> Option<&str> {
        let fit = self.0.iter().filter(|route| route.is_for(address));
        let best = fit.min_by_key(|route| (u32::MAX - route.bits, route.metric));
        best.map(|route| route.interface.as_str())
    }

    /// Interfaces that lead to the LAN and to what is behind it: those with a default route. On a hypervisor that has none
    /// these are its NICs, and what they are plugged into.
    pub fn outside(&self) -> BTreeSet<&str> {
        let default = self.0.iter().filter(|route| route.bits == 0);
        let default: BTreeSet<&str> = default.map(|route| route.interface.as_str()).collect();
        if !default.is_empty() {
            return default;
        }
        let all = self.0.iter().map(|route| route.interface.as_str());
        all.filter(|name| is_of_hardware(Path::new("/sys/class/net"), name, 0)).collect()
    }
}

/// Deepest stack of interfaces that is looked into: a bridge of a VLAN of a bond of NICs.
const DEEPEST: usize = 4;

/// Whether an interface is a NIC, or has one below it. Only whether files are there is asked, which needs no right to read them.
fn is_of_hardware(directory: &Path, name: &str, depth: usize) -> bool {
    let at = directory.join(name);
    if at.join("device").exists() {
        return true;
    }
    let interfaces = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let names = interfaces.lines().filter_map(|line| Some(line.split_once(':')?.0.trim()));
    let mut below = names.filter(|other| at.join(format!("lower_{other}")).exists());
    depth < DEEPEST && below.any(|other| is_of_hardware(directory, other, depth + 1))
}

/// `eth0 0000A8C0 00000000 0001 0 0 100 00FFFFFF …`: addresses as they lie in memory.
fn route_v4(line: &str) -> Option<Route> {
    let [interface, to, _, flags, _, _, metric, mask, ..] = *words(line) else { return None };
    let number = |text| u32::from_str_radix(text, 16).ok();
    let address = |text| number(text).map(|number| u32::from_be_bytes(number.to_ne_bytes()));
    if number(flags)? & REJECT != 0 {
        return None;
    }
    Some(Route {
        to: Ipv4Addr::from(address(to)?).into(),
        bits: address(mask)?.leading_ones(),
        metric: metric.parse().ok()?,
        interface: interface.into(),
    })
}

/// `fd00…00 40 00…00 00 00…00 00000400 00000002 00000000 00000001 eth0`: all numbers in hexadecimal.
fn route_v6(line: &str) -> Option<Route> {
    let [to, bits, _, _, _, metric, _, _, flags, interface] = *words(line) else { return None };
    let number = |text| u32::from_str_radix(text, 16).ok();
    // What is for nobody is sent to the loopback interface.
    if number(flags)? & REJECT != 0 || (interface == "lo" && number(bits)? == 0) {
        return None;
    }
    Some(Route {
        to: Ipv6Addr::from(u128::from_str_radix(to, 16).ok()?).into(),
        bits: number(bits)?,
        metric: number(metric)?,
        interface: interface.into(),
    })
}

fn words(line: &str) -> Box<[&str]> {
    line.split_ascii_whitespace().collect()
}
