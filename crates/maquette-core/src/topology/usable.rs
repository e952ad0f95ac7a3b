//! Which addresses a host can have: not what stands for a subnet, for a group of hosts or for no network at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::{Span, Spanned};

/// Whether an address can be somebody's in a subnet.
pub(super) fn is_host(net: Ipv4Net, address: Ipv4Addr) -> bool {
    let ends = [net.network(), net.broadcast()];
    net.contains(&address) && (net.prefix_len() > 30 || !ends.contains(&address))
}

/// What an address stands for instead of a host on a network (RFC 6890), whatever the subnet is.
fn stands_for(address: IpAddr) -> Option<&'static str> {
    Some(match address {
        IpAddr::V4(v4) if v4.octets()[0] == 0 => "is of 0.0.0.0/8, which stands for no network",
        IpAddr::V4(v4) if v4.is_broadcast() => "stands for all hosts that hear it",
        IpAddr::V4(v4) if v4.octets()[0] >= 240 => "is of 240.0.0.0/4, which is reserved",
        _ if address.is_unspecified() => "stands for no address",
        _ if address.is_loopback() => "never leaves the machine that has it",
        _ if address.is_multicast() => "is a multicast address, which stands for a group of hosts",
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "stands for an IPv4 address",
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80 => {
            "is link-local, and reaching it takes the name of a NIC"
        }
        _ => return None,
    })
}

/// Reports an address that no host can have on any network; `whose` it was to be.
pub(super) fn is_of_no_host(
    address: IpAddr,
    whose: &str,
    span: Span,
    diags: &mut Diagnostics,
) -> bool {
    let Some(what) = stands_for(address) else { return false };
    let message = format!("`{address}` {what}: it cannot be {whose}");
    let diagnostic = Diagnostic::error("topology::address", message).at(span, "");
    diags.push(
        diagnostic
            .help("private networks are 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fd00::/8"),
    );
    true
}

/// Whose an address is that the hypervisor has.
pub(super) const OWN: &str = "the hypervisor's";

/// Reports an address of the hypervisor's that no host can have, or that stands for the subnet itself, or for all in it.
pub(super) fn own_is_host(net: IpNet, span: Span, diags: &mut Diagnostics) -> bool {
    !is_of_no_host(net.addr(), OWN, span, diags) && is_no_end(net, OWN, span, diags)
}

/// Reports the first and the last address of an IPv4 subnet; `whose` it was to be.
fn is_no_end(net: IpNet, whose: &str, span: Span, diags: &mut Diagnostics) -> bool {
    let IpNet::V4(net) = net else { return true };
    if is_host(net, net.addr()) {
        return true;
    }
    let what = if net.addr() == net.network() { "the subnet itself" } else { "all its addresses" };
    let message = format!("`{}` stands for {what}: it cannot be {whose}", net.addr());
    let mut diagnostic = Diagnostic::error("topology::address", message).at(span, "");
    if let Some(first) = net.hosts().next() {
        diagnostic = diagnostic.help(format!("the first address of {} is {first}", net.trunc()));
    }
    diags.push(diagnostic);
    false
}

/// Reports a subnet of others that no host can have an address of.
pub(super) fn is_of_hosts(net: Ipv4Net, span: Span, diags: &mut Diagnostics) -> bool {
    !is_of_no_host(net.network().into(), "a network of hosts", span, diags)
}

/// Reports a router that no host in its subnet can be.
pub(super) fn router_is_host(net: Ipv4Net, router: &Spanned<Ipv4Addr>, diags: &mut Diagnostics) {
    if !net.contains(&router.value) {
        let message = format!("the gateway {} is not inside {}", router.value, net.trunc());
        diags.push(Diagnostic::error("topology::gateway", message).at(router.span, ""));
    } else if let Ok(at) = Ipv4Net::new(router.value, net.prefix_len()) {
        is_no_end(at.into(), "a router's", router.span, diags);
    }
}

/// Reports a range with an address that no host can have. One that is outside of the subnet is reported elsewhere.
pub(super) fn ends_are_hosts(
    net: Ipv4Net,
    (start, end): (Ipv4Addr, Ipv4Addr),
    span: Span,
    diags: &mut Diagnostics,
) {
    let wrong = [start, end].into_iter().find(|a| net.contains(a) && !is_host(net, *a));
    if let Some(address) = wrong.filter(|_| net.contains(&start) && net.contains(&end)) {
        let what = if address == net.network() { "itself" } else { "as a whole" };
        let message =
            format!("the DHCP range has {address}, which stands for {} {what}", net.trunc());
        diags.push(
            Diagnostic::error("topology::dhcp-range", message)
                .at(span, "")
                .help("no host can have the first and the last address of a subnet"),
        );
    }
}

/// Reports an IPv6 range that begins with the address which all routers of the subnet have (RFC 4291, 2.6.1): what is sent to
/// it stays on the hypervisor.
pub(super) fn begins_with_host(
    net: ipnet::Ipv6Net,
    first: Ipv6Addr,
    span: Span,
    diags: &mut Diagnostics,
) {
    if first == net.network() && net.prefix_len() < 127 {
        let message =
            format!("the DHCP range has {first}, which stands for the routers of {}", net.trunc());
        diags.push(
            Diagnostic::error("topology::dhcp-range", message)
                .at(span, "")
                .help("begin it with a later address"),
        );
    }
}
