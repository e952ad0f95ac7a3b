//! Which servers users of a BMC may send its hypervisor to: images are read, and events are sent, from there, and not from
//! where the user is. They may not have it reach what only the hypervisor can: itself above all, networks of other environments,
//! and its own. They may have it reach what the nodes' environment has, and what its default route leads to: the LAN
//! and the internet. What counts is the address that a name leads to when somebody connects, not its name.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

mod routes;

use routes::Routes;

/// Finds the addresses of a name.
pub type Resolver = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Most names that one service has looked up at once: users of one BMC who name servers that nobody answers for take nobody
/// else's turn.
const LOOKED_UP: usize = 4;

/// Has this process look names up, by the system's files and servers.
pub fn system_resolver() -> Resolver {
    Arc::new(|host: &str, port: u16| Ok((host, port).to_socket_addrs()?.collect()))
}

/// A name that is looked up, until this is dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One service's share of a resolver, which is asked for names only: an address is known without it.
fn share_of(resolver: Resolver) -> Resolver {
    let asked = AtomicUsize::new(0);
    Arc::new(move |host: &str, port: u16| {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let before = asked.fetch_add(1, Ordering::Relaxed);
        let _place = Place(&asked);
        if before >= LOOKED_UP {
            let why = "too many names are looked up for this BMC already";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
        }
        resolver(host, port)
    })
}

/// Why a server is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Nobody knows its name.
    Unknown,
    /// It is the hypervisor itself, or something that only the hypervisor can reach.
    Own,
}

/// Looks at the hypervisor's routes; none if nobody can tell.
type Looker = Arc<dyn Fn() -> Option<Routes> + Send + Sync>;

/// Looks names up, and says which addresses are fit.
#[derive(Clone)]
pub struct Reach {
    resolve: Resolver,
    own: bool,
    /// Interfaces of the environment's networks, and where the hypervisor's routes lead; none if that does not matter.
    routes: Option<(Vec<String>, Looker)>,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Reach {
    /// Asks the system for names and routes; `networks` are interfaces of the environment's. With `own` all addresses are fit.
    pub fn system(own: bool, networks: Vec<String>) -> Self {
        let routes: Looker = Arc::new(Routes::read);
        Self { routes: Some((networks, routes)), ..Self::with(system_resolver(), own) }
    }

    /// The same, with names from somebody else, who is asked for a few at once and for no addresses.
    pub fn asking(self, resolver: Resolver) -> Self {
        Self { resolve: share_of(resolver), ..self }
    }

    /// Asks somebody else for names, and nobody for routes.
    pub fn with(resolve: Resolver, own: bool) -> Self {
        Self { resolve, own, routes: None }
    }

    /// The addresses of a server, if all of them are fit: nobody knows which one another program would take.
    pub fn check(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unfit> {
        let all = (self.resolve)(host, port).map_err(|_| Unfit::Unknown)?;
        if all.is_empty() {
            return Err(Unfit::Unknown);
        }
        let is_unfit = |address: IpAddr| is_own(address) || self.is_others(address);
        let fit = self.own || !all.iter().any(|address| is_unfit(address.ip()));
        if fit { Ok(all) } else { Err(Unfit::Own) }
    }

    /// Whether an address is on a network of somebody else's on this hypervisor, or behind one.
    fn is_others(&self, address: IpAddr) -> bool {
        let Some((networks, look)) = &self.routes else { return false };
        let Some(routes) = look() else { return true };
        // IPv6 has addresses that lead to IPv4.
        let address = match address {
            IpAddr::V6(v6) => within(v6).map_or(address, IpAddr::V4),
            IpAddr::V4(_) => address,
        };
        // Where no route leads, nobody is reached.
        let Some(interface) = routes.interface(address) else { return false };
        !networks.iter().any(|own| own == interface) && !routes.outside().contains(interface)
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

    /// A hypervisor on a LAN, with a second NIC, two environments and somebody's containers.
    const V4: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
eth1\t0000100A\t00000000\t0001\t0\t0\t101\t0000FFFF\t0\t0\t0
mq-own\t0000280A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
mq-other\t0001280A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
mq-other\t0002280A\t0901280A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t0003280A\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
    const V6: &str = "\
fd000077000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 mq-other
fd000078000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001   mq-own
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    #[test]
    fn networks_of_others_are_refused_and_the_nodes_own_the_lan_and_the_internet_are_not() {
        let routes = |v4: &'static str| -> Looker { Arc::new(move || Some(Routes::of(v4, V6))) };
        let reach = |own, look: Looker| {
            let resolve: Resolver =
                Arc::new(|host, port| Ok(vec![SocketAddr::new(host.parse().unwrap(), port)]));
            Reach { routes: Some((vec!["mq-own".into()], look)), ..Reach::with(resolve, own) }
        };
        for (address, fit) in [
            ("10.40.0.10", true),
            ("192.168.1.9", true),
            ("198.51.100.1", true),
            ("10.40.3.1", true),
            ("fd00:78::10", true),
            ("2001:db8::1", true),
            ("10.40.1.10", false),
            ("10.40.2.10", false),
            ("172.17.0.2", false),
            ("10.16.9.9", false),
            ("::ffff:10.40.1.10", false),
            ("64:ff9b::a28:10a", false),
            ("fd00:77::10", false),
        ] {
            assert_eq!(reach(false, routes(V4)).check(address, 80).is_ok(), fit, "{address}");
            assert!(reach(true, routes(V4)).check(address, 80).is_ok(), "{address}");
        }
        // Nobody knows where anything leads.
        let blind = reach(false, Arc::new(|| None));
        assert_eq!(blind.check("192.168.1.9", 80), Err(Unfit::Own));
        // This machine's own are readable.
        assert!(Routes::read().is_some());
    }

    #[test]
    fn a_service_asks_for_a_few_names_at_once_and_for_no_addresses() {
        let (began, begun) = std::sync::mpsc::channel();
        let goes_on = Arc::new(std::sync::Barrier::new(LOOKED_UP + 1));
        let (waiting, began) = (goes_on.clone(), std::sync::Mutex::new(began));
        let slow: Resolver = Arc::new(move |host, port| {
            assert_eq!(host, "slow");
            began.lock().unwrap().send(()).unwrap();
            waiting.wait();
            Ok(vec![([192, 0, 2, 1], port).into()])
        });
        let reach = Reach::with(slow.clone(), false).asking(slow);
        std::thread::scope(|scope| {
            let asking = || reach.check("slow", 80).is_ok();
            let asked: Vec<_> = (0..LOOKED_UP).map(|_| scope.spawn(asking)).collect();
            (0..LOOKED_UP).for_each(|_| begun.recv().unwrap());
            assert_eq!(reach.check("slow", 80), Err(Unfit::Unknown));
            for address in ["192.0.2.9", "2001:db8::1"] {
                assert!(reach.check(address, 80).is_ok(), "{address}");
            }
            goes_on.wait();
            assert!(asked.into_iter().all(|one| one.join().unwrap()));
        });
        // Their places are free again.
        std::thread::scope(|scope| {
            let last: Vec<_> =
                (0..LOOKED_UP).map(|_| scope.spawn(|| reach.check("slow", 80).is_ok())).collect();
            goes_on.wait();
            assert!(last.into_iter().all(|one| one.join().unwrap()));
        });
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
