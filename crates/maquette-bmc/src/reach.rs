//! Which servers users of a BMC may send its hypervisor to: images are read, and events are sent, from there, and not from
//! where the user is. What only the hypervisor can reach, itself above all, is not for them.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

/// Finds the addresses of a name.
pub type Resolver = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Why a server is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Nobody knows its name.
    Unknown,
    /// It is the hypervisor itself, or something that only the hypervisor can reach.
    Own,
}

/// Looks names up, and says which addresses are fit.
#[derive(Clone)]
pub struct Reach {
    resolve: Resolver,
    own: bool,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Reach {
    /// Asks the system for names. With `own` all addresses are fit.
    pub fn system(own: bool) -> Self {
        Self::with(Arc::new(|host, port| Ok((host, port).to_socket_addrs()?.collect())), own)
    }

    /// Asks somebody else for names.
    pub fn with(resolve: Resolver, own: bool) -> Self {
        Self { resolve, own }
    }

    /// The addresses of a server, if all of them are fit: nobody knows which one another program would take.
    pub fn check(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unfit> {
        let all = (self.resolve)(host, port).map_err(|_| Unfit::Unknown)?;
        if all.is_empty() {
            return Err(Unfit::Unknown);
        }
        let fit = self.own || !all.iter().any(|address| is_own(address.ip()));
        if fit { Ok(all) } else { Err(Unfit::Own) }
    }
}

/// The IPv4 address in one of IPv6 that leads to it: mapped (RFC 4291), by NAT64 (RFC 6052), or by 6to4 (RFC 3056).
fn within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(v4(high, low)),
        [0x2002, ..] => Some(v4(b, c)),
        _ => None,
    }
}

/// Whether an address is the hypervisor's, or leads to nobody whom others could ask, too.
fn is_own(address: IpAddr) -> bool {
    let special = match address {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.octets()[0] == 0
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = within(v6) {
                return is_own(IpAddr::V4(v4));
            }
            let link_local = v6.segments()[0] & 0xffc0 == 0xfe80;
            v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || link_local
        }
    };
    // The system lets a socket have one of its own addresses, and no other.
    special || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(addresses: &[&str], own: bool) -> Result<Vec<SocketAddr>, Unfit> {
        let all: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let resolve: Resolver = Arc::new(move |_, port| {
            Ok(all.iter().map(|address| SocketAddr::new(*address, port)).collect())
        });
        Reach::with(resolve, own).check("server", 80)
    }

    #[test]
    fn the_hypervisor_and_what_only_it_can_reach_are_refused() {
        for own in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:a9fe:a9fe::1",
        ] {
            assert_eq!(found(&[own], false), Err(Unfit::Own), "{own}");
            assert_eq!(found(&["192.0.2.1", own], false), Err(Unfit::Own), "{own}");
            assert!(found(&[own], true).is_ok(), "{own}");
        }
        for other in ["192.0.2.1", "2001:db8::1", "64:ff9b::c000:201"] {
            assert!(found(&[other], false).is_ok(), "{other}");
        }
        assert_eq!(found(&[], false), Err(Unfit::Unknown));
    }
}
