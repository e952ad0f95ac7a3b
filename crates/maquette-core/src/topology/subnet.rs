//! Addresses of a network: the hypervisor's own, and those that are given out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::usable::{
    begins_with_host, ends_are_hosts, is_host, is_of_hosts, is_of_no_host, own_is_host,
    router_is_host,
};
use crate::decode::{self, Fields};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file_keys::{DHCP_ADDRESS, Form, IPV4_ADDRESS, Key, key, unread};
use crate::syntax::{Span, Spanned, Tree, Value};

/// The word that leaves the choice of a subnet to Maquette.
pub(super) const AUTO: &str = "auto";

const ADDRESS: Form = IPV4_ADDRESS;

/// Keys of a range of addresses.
pub(super) const ENDS: &[Key] = &[
    key("start", DHCP_ADDRESS, "First address").needed(),
    key("end", DHCP_ADDRESS, "Last address, itself included").example("10.9.0.200").needed(),
];

/// Keys of `dhcp`.
pub(super) const DHCP: &[Key] = &[
    key("range", Form::Map(ENDS), "First and last address that are given out")
        .example("{start: 10.9.0.100, end: 10.9.0.200}")
        .needed(),
    unread("subnet_cidr").example("10.9.0.0/24"),
    unread("subnet_gateway").example("10.9.0.254"),
];

/// Keys of `ipv6`.
pub(super) const IPV6: &[Key] = &[
    key("ip_address", Form::Parsed("an IPv6 address", "2001:db8::1"), "Address of the hypervisor")
        .example("10.9.0.254")
        .needed(),
    key("prefix", Form::Number(1, 128, "bits"), "Length of the prefix in bits [default: 64]")
        .example("64"),
    key("dhcp", Form::Map(DHCP), "Addresses that libvirt gives out [default: none]").example("yes"),
];

/// Keys of `static`.
pub(super) const STATIC: &[Key] = &[
    key("subnet", Form::Parsed("a subnet such as 10.1.2.0/24", "10.1.2.0/24"), "Subnet of the LAN")
        .example("10.9.0.0/24")
        .needed(),
    key("range", Form::Map(ENDS), "Addresses that nodes get")
        .example("{start: 10.9.0.100, end: 10.9.0.200}")
        .needed(),
    key("gateway", ADDRESS, "Router [default: none]"),
    key("nameserver", ADDRESS, "Name server [default: none]"),
];

/// First and last address given out by DHCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dhcp<A> {
    /// First address.
    pub start: A,
    /// Last, itself included.
    pub end: A,
}

/// The hypervisor's IPv4 address on a network, with the subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv4 {
    /// Address and prefix length; the address is the bridge's own.
    pub net: Ipv4Net,
    /// Range given out, if any.
    pub dhcp: Option<Dhcp<Ipv4Addr>>,
    /// Whether the choice of the subnet is left to Maquette.
    pub chosen: bool,
    /// Where it was written.
    pub span: Span,
}

/// The same for IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv6 {
    /// Address and prefix length; the address is the bridge's own.
    pub net: Ipv6Net,
    /// Range given out, if any.
    pub dhcp: Option<Dhcp<Ipv6Addr>>,
    /// Where it was written.
    pub span: Span,
}

/// What DHCP gives out.
enum Serves {
    /// All addresses but the hypervisor's own.
    All,
    /// These.
    Range(Spanned<Dhcp<Ipv4Addr>>),
    /// Nothing.
    Nothing,
}

/// Both ends of a range in one text, as `10.9.0.50-10.9.0.90`, `10.9.0.50,10.9.0.90` or with blanks.
fn ends_of_text(text: &str) -> Option<(&str, &str)> {
    let ends: Vec<&str> = text
        .split(|c: char| c == '-' || c == ',' || c.is_whitespace())
        .filter(|end| !end.is_empty())
        .collect();
    let [first, last] = ends.as_slice() else { return None };
    let is_address = |end: &str| end.parse::<IpAddr>().is_ok();
    (is_address(first) && is_address(last)).then_some((*first, *last))
}

/// Whether `dhcp` is a range without its key `range`.
fn is_misplaced_range(node: &Tree) -> bool {
    match &node.value {
        Value::Scalar(text, _) => ends_of_text(text).is_some(),
        Value::Map(_) => {
            node.get("range").is_none()
                && ["start", "end"].iter().any(|key| node.get(key).is_some())
        }
        _ => false,
    }
}

/// Reports a range in another shape than it has, with how that is written.
fn shaped<T>(
    node: &Tree,
    what: &str,
    expected: &str,
    write: impl FnOnce(&str) -> String,
    diags: &mut Diagnostics,
) -> Option<T> {
    let end = |key: &str| match &node.get(key)?.value {
        Value::Scalar(text, _) if !node.span.secret => Some(text.trim().to_string()),
        _ => None,
    };
    let of_text = match &node.value {
        Value::Scalar(text, _) if !node.span.secret => ends_of_text(text),
        _ => None,
    };
    let (start, last) = match of_text {
        Some((start, last)) => (Some(start.to_string()), Some(last.to_string())),
        None => (end("start"), end("end")),
    };
    let or = |end: Option<String>| end.unwrap_or_else(|| "…".into());
    let quoted = |end: String| if end.contains(':') { format!("\"{end}\"") } else { end };
    let ends = format!("{{start: {}, end: {}}}", quoted(or(start)), quoted(or(last)));
    diags.push(decode::wrong_type(node, what, expected).help(format!("write `{}`", write(&ends))));
    None
}

/// `dhcp`: yes, no, or a range.
fn serves(node: &Tree, diags: &mut Diagnostics) -> Option<Serves> {
    if is_misplaced_range(node) {
        return shaped(
            node,
            "`dhcp`",
            "yes, no or a range",
            |ends| format!("dhcp: {{range: {ends}}}"),
            diags,
        );
    }
    if let Value::Scalar(..) = node.value {
        let yes = decode::boolean(node, "dhcp", diags)?;
        return Some(if yes { Serves::All } else { Serves::Nothing });
    }
    range::<Ipv4Addr>(node, "an IPv4 address", diags).map(Serves::Range)
}

/// `subnet`, `ip_address`, `netmask` and `dhcp` of a network; `is_served` says whether libvirt serves DHCP there.
pub(super) fn ipv4(
    fields: &mut Fields<'_>,
    is_served: bool,
    diags: &mut Diagnostics,
) -> Option<Ipv4> {
    let wanted = fields.text("subnet", diags);
    let raw = fields.text("ip_address", diags);
    let mask = fields.parsed::<Ipv4Addr>("netmask", diags);
    let dhcp = fields.take("dhcp");
    let serves = dhcp.map_or(Some(Serves::Nothing), |n| serves(n, diags));
    let Some(span) = wanted.as_ref().or(raw.as_ref()).map(|t| t.span) else {
        // What is wrong with one that is there has been said.
        let is_served = is_served && !fields.has_any(&["subnet", "ip_address"]);
        if let Some(dhcp) = dhcp.filter(|_| is_served && !matches!(serves, Some(Serves::Nothing))) {
            diags.push(
                Diagnostic::error("topology::dhcp-without-address", "DHCP needs an `ip_address`")
                    .at(dhcp.span, "")
                    .help("give the network the address that the hypervisor has on it")
                    .help("or a `subnet`, of which the hypervisor gets the first address"),
            );
        }
        return None;
    };
    let chosen = wanted.as_ref().is_some_and(|w| w.value == AUTO);
    let net = match (&wanted, &raw) {
        (Some(wanted), raw) => {
            excluded(wanted, raw.as_ref(), mask.as_ref(), serves.as_ref(), diags)?;
            if chosen { provisional() } else { of_subnet(wanted, raw.as_ref(), diags)? }
        }
        (None, Some(raw)) => subnet(raw, mask.as_ref(), diags)?,
        (None, None) => return None,
    };
    let dhcp = match serves? {
        Serves::Nothing => None,
        Serves::All => whole(net),
        Serves::Range(range) => {
            check_range(&range, |a| net.contains(a), &net.trunc().to_string(), diags);
            let Dhcp { start, end } = range.value;
            let inside = net.contains(&start) && net.contains(&end);
            ends_are_hosts(net, (start, end), range.span, diags);
            if inside && u32::from(end).saturating_sub(u32::from(start)) >= MOST_ADDRESSES {
                let message = format!("a DHCP range has at most {MOST_ADDRESSES} addresses");
                let diagnostic = Diagnostic::error("topology::dhcp-range", message);
                diags.push(diagnostic.at(range.span, "").help("libvirt takes no larger one"));
            }
            Some(range.value)
        }
    };
    (chosen || own_is_host(net.into(), span, diags)).then_some(Ipv4 { net, dhcp, chosen, span })
}

/// What stands for a subnet until one is chosen, which knows what others have.
fn provisional() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 100, 0, 1), 24)
}

/// What does not go with a `subnet`.
fn excluded(
    subnet: &Spanned<String>,
    address: Option<&Spanned<String>>,
    mask: Option<&Spanned<Ipv4Addr>>,
    serves: Option<&Serves>,
    diags: &mut Diagnostics,
) -> Option<()> {
    let mut refuse = |key: &str, span, help: &str| {
        let message = format!("`{key}` does not go with `subnet: {}`", subnet.value.trim());
        diags.push(Diagnostic::error("topology::subnet", message).at(span, "").help(help));
        None
    };
    if let Some(mask) = mask {
        return refuse("netmask", mask.span, "`subnet` has its length, such as 10.9.0.0/24");
    }
    if subnet.value != AUTO {
        return Some(());
    }
    let help = "name the subnet, such as `subnet: 10.9.0.0/24`";
    match (address, serves) {
        (Some(address), _) => refuse("ip_address", address.span, help),
        (None, Some(Serves::Range(range))) => refuse("dhcp.range", range.span, help),
        _ => Some(()),
    }
}

/// A subnet, with the hypervisor's address in it: the first, unless another is given.
fn of_subnet(
    wanted: &Spanned<String>,
    address: Option<&Spanned<String>>,
    diags: &mut Diagnostics,
) -> Option<Ipv4Net> {
    let text = wanted.value.trim();
    let mut refuse = |message: String, span, help: String| {
        diags.push(Diagnostic::error("topology::subnet", message).at(span, "").help(help));
        None
    };
    let Some(net) = lenient_net(text).filter(|n| (8..=30).contains(&n.prefix_len())) else {
        let message = format!("`{text}` is not a valid IPv4 subnet");
        let help = "write its address and a length from 8 to 30, such as 10.9.0.0/24; \
                    `ipv6` gives the network IPv6 addresses";
        return refuse(message, wanted.span, help.into());
    };
    if net.addr() != net.network() {
        let message = format!("`{text}` is an address and not a subnet");
        let help = format!(
            "the subnet is {}; the hypervisor's own address in it is `ip_address: {}`",
            net.trunc(),
            net.addr()
        );
        return refuse(message, wanted.span, help);
    }
    let Some(address) = address else {
        return Ipv4Net::new(net.hosts().next()?, net.prefix_len()).ok();
    };
    let own = lenient_ipv4(address.value.trim());
    match own.filter(|a| is_host(net, *a)) {
        Some(own) => Ipv4Net::new(own, net.prefix_len()).ok(),
        None => {
            let message = format!("`{}` is not an address in {net}", address.value.trim());
            let help = "with `subnet`, `ip_address` is written without a length".to_string();
            refuse(message, address.span, help)
        }
    }
}

/// Most addresses of a range that libvirt takes (`virSocketAddrGetRange`).
const MOST_ADDRESSES: u32 = 65_534;

/// All addresses that DHCP can give out in a subnet: those on the longer side of the hypervisor's own.
pub(super) fn whole(net: Ipv4Net) -> Option<Dhcp<Ipv4Addr>> {
    let own = u32::from(net.addr());
    let first = u32::from(net.network()).checked_add(1)?;
    let last = u32::from(net.broadcast()).saturating_sub(1);
    let (start, end) = match own.saturating_sub(first) > last.saturating_sub(own) {
        true => (first, own.checked_sub(1)?),
        false => (own.checked_add(1)?, last),
    };
    let end = end.min(start.saturating_add(MOST_ADDRESSES - 1));
    (start <= end).then(|| Dhcp { start: start.into(), end: end.into() })
}

/// `a.b.c.d` with a netmask (255.255.255.0 where there is none), or `a.b.c.d/length`.
fn subnet(
    raw: &Spanned<String>,
    mask: Option<&Spanned<Ipv4Addr>>,
    diags: &mut Diagnostics,
) -> Option<Ipv4Net> {
    let text = raw.value.trim();
    let bad = |diags: &mut Diagnostics, why: String| {
        diags.push(
            Diagnostic::error("topology::address", format!("`{text}` is not a valid IPv4 address"))
                .at(raw.span, "")
                .help(why),
        );
    };
    if text.contains('/') {
        return match lenient_net(text) {
            Some(net) => Some(net),
            None => {
                bad(diags, "write four numbers and a length, such as 192.168.24.254/24".into());
                None
            }
        };
    }
    let Some(address) = lenient_ipv4(text) else {
        bad(diags, "write four numbers from 0 to 255, such as 192.168.24.254".into());
        return None;
    };
    let mask_value = mask.map_or(Ipv4Addr::new(255, 255, 255, 0), |m| m.value);
    match Ipv4Net::with_netmask(address, mask_value) {
        Ok(net) => Some(net),
        Err(_) => {
            let span = mask.map_or(raw.span, |m| m.span);
            diags.push(
                Diagnostic::error(
                    "topology::netmask",
                    format!("`{mask_value}` is not a valid netmask"),
                )
                .at(span, "")
                .help("in binary, its ones come first and then its zeros, as in 255.255.255.0"),
            );
            None
        }
    }
}

/// An IPv4 address; its numbers may have zeros in front.
pub(super) fn lenient_ipv4(text: &str) -> Option<Ipv4Addr> {
    decode::decimal(text)?.parse().ok()
}

/// The same with a length.
pub(super) fn lenient_net(text: &str) -> Option<Ipv4Net> {
    decode::decimal(text)?.parse().ok()
}

/// What dnsmasq takes (2.90 "prefix length must be at least 64"): it does not start with less.
const SHORTEST_WITH_DHCP: u8 = 64;

/// `ipv6` of a network.
pub(super) fn ipv6(node: &Tree, key: &str, diags: &mut Diagnostics) -> Option<Ipv6> {
    let what = format!("`ipv6` of network `{key}`");
    let write = |_: &str| "ipv6: {ip_address: \"fd00:9::1\", prefix: 64}".to_string();
    let mut fields = Fields::or_else(node, what, IPV6, write, diags)?;
    let address = fields.parsed::<Ipv6Addr>("ip_address", diags);
    let prefix = fields.take("prefix");
    let length = match prefix {
        None => Some(64),
        Some(node) => decode::number(node, "prefix", 1, "bits", diags),
    };
    let range = fields.take("dhcp").and_then(|n| range::<Ipv6Addr>(n, "an IPv6 address", diags));
    let span = fields.span();
    fields.finish(diags);
    let length = u8::try_from(length?).ok().filter(|l| *l <= 128);
    let Some(length) = length else {
        diags.push(
            Diagnostic::error("topology::prefix", "an IPv6 prefix has at most 128 bits")
                .at(prefix.map_or(span, |p| p.span), ""),
        );
        return None;
    };
    let address = address?;
    let net = Ipv6Net::new(address.value, length).ok()?;
    if !own_is_host(net.into(), address.span, diags) {
        return None;
    }
    if let Some(range) = &range {
        check_range(range, |a| net.contains(a), &net.trunc().to_string(), diags);
        begins_with_host(net, range.value.start, range.span, diags);
        if length < SHORTEST_WITH_DHCP {
            let message = format!("DHCP over IPv6 needs a prefix of 64 bits or more, not {length}");
            let diagnostic = Diagnostic::error("topology::prefix", message)
                .at(prefix.map_or(span, |p| p.span), "")
                .at(range.span, "it is for this");
            diags.push(diagnostic.help("`prefix: 64`, or leave `dhcp` out"));
        }
    }
    Some(Ipv6 { net, dhcp: range.map(Spanned::into_value), span: address.span })
}

/// `range` below `dhcp`.
fn range<A>(node: &Tree, expected: &str, diags: &mut Diagnostics) -> Option<Spanned<Dhcp<A>>>
where
    A: std::str::FromStr,
    A::Err: std::fmt::Display,
{
    if is_misplaced_range(node) {
        return shaped(node, "`dhcp`", "a range", |ends| format!("dhcp: {{range: {ends}}}"), diags);
    }
    let mut fields = Fields::new(node, "`dhcp`", DHCP, diags)?;
    let range = fields.need("range", diags);
    fields.finish(diags);
    ends(range?, "range", expected, diags)
}

/// A mapping of `start` and `end`.
fn ends<A>(
    node: &Tree,
    what: &str,
    expected: &str,
    diags: &mut Diagnostics,
) -> Option<Spanned<Dhcp<A>>>
where
    A: std::str::FromStr,
    A::Err: std::fmt::Display,
{
    if let Value::Scalar(..) = node.value {
        let expected = "a mapping of `start` and `end`";
        return shaped(
            node,
            &format!("`{what}`"),
            expected,
            |ends| format!("{what}: {ends}"),
            diags,
        );
    }
    let mut fields = Fields::new(node, format!("`{what}`"), ENDS, diags)?;
    let mut parsed = |key: &'static str| {
        let node = fields.need(key, diags)?;
        decode::parsed::<A>(node, key, expected, diags)
    };
    let (start, end) = (parsed("start"), parsed("end"));
    fields.finish(diags);
    let (start, end) = (start?, end?);
    let span = Span { end: end.span.end.max(start.span.end), ..start.span };
    let span = if start.span.source == end.span.source { span } else { end.span };
    Some(Spanned::new(Dhcp { start: start.value, end: end.value }, span))
}

/// Reports a range that is not inside its subnet, or ends before it starts.
pub(super) fn check_range<A: Ord + std::fmt::Display + Copy>(
    range: &Spanned<Dhcp<A>>,
    contains: impl Fn(&A) -> bool,
    subnet: &str,
    diags: &mut Diagnostics,
) {
    let Dhcp { start, end } = range.value;
    if !contains(&start) || !contains(&end) {
        diags.push(
            Diagnostic::error(
                "topology::dhcp-range",
                format!("the DHCP range {start} to {end} is not inside {subnet}"),
            )
            .at(range.span, "")
            .help("the range and the network's own address share one subnet"),
        );
    } else if end < start {
        diags.push(
            Diagnostic::error("topology::dhcp-range", "the DHCP range ends before it starts")
                .at(range.span, "")
                .help("swap `start` and `end`"),
        );
    }
}

/// Keeps addresses that are promised to others (`floating_ip`) out of what DHCP gives: what is left of
/// the range is its longer part.
pub(super) fn keep_free(node: &Tree, ipv4: Option<&mut Ipv4>, name: &str, diags: &mut Diagnostics) {
    let Some(free) = ends::<Ipv4Addr>(node, "floating_ip", "an IPv4 address", diags) else {
        return;
    };
    let (first, last) = (u32::from(free.value.start), u32::from(free.value.end));
    if last < first {
        let message = format!("`floating_ip` of network `{name}` ends before it starts");
        let diagnostic = Diagnostic::error("topology::floating-ip", message).at(free.span, "");
        diags.push(diagnostic.help("swap `start` and `end`"));
        return;
    }
    let Some(ipv4) = ipv4 else { return };
    let net = ipv4.net;
    if let Some(outside) = outside(net, &free, ipv4.chosen) {
        let message =
            format!("`floating_ip` of network `{name}`: {outside} is not inside {}", net.trunc());
        let diagnostic = Diagnostic::warning("topology::floating-ip", message).at(free.span, "");
        diags.push(diagnostic.help("hosts on this network do not reach it without a router"));
    }
    // A range that is wrong was reported.
    let inside = |r: &&mut Dhcp<Ipv4Addr>| net.contains(&r.start) && net.contains(&r.end);
    let Some(range) = ipv4.dhcp.as_mut().filter(inside) else { return };
    let (start, end) = (u32::from(range.start), u32::from(range.end));
    if last < start || end < first {
        return;
    }
    let (before, after) = (first.saturating_sub(start), end.saturating_sub(last));
    if before == 0 && after == 0 {
        let message = format!("`floating_ip` leaves network `{name}` nothing for DHCP");
        diags.push(Diagnostic::error("topology::floating-ip", message).at(free.span, ""));
        return;
    }
    if before >= after {
        range.end = Ipv4Addr::from(first - 1);
    } else {
        range.start = Ipv4Addr::from(last + 1);
    }
    let kept = format!("DHCP gives out {} to {} only", range.start, range.end);
    let message = format!("`floating_ip` of network `{name}` overlaps its DHCP range");
    diags.push(Diagnostic::warning("topology::floating-ip", message).at(free.span, kept));
}

/// The end of a range of floating addresses that is not in the subnet; one that is still to be chosen has none.
fn outside(net: Ipv4Net, free: &Spanned<Dhcp<Ipv4Addr>>, chosen: bool) -> Option<Ipv4Addr> {
    let Dhcp { start, end } = free.value;
    [start, end].into_iter().find(|address| !chosen && !net.contains(address))
}

/// Addresses that nodes set up by themselves, since nobody gives them any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// Subnet, and in it any address.
    pub net: Ipv4Net,
    /// What nodes get of it; without a range, a node's own number decides (BGP).
    pub range: Option<Dhcp<Ipv4Addr>>,
    /// Router that nodes set up; none if they set up none.
    pub gateway: Option<Ipv4Addr>,
    /// Name server that nodes set up; none if they set up none.
    pub nameserver: Option<Ipv4Addr>,
    /// Where it was written.
    pub span: Span,
}

/// `static` of a bridged network: addresses of the LAN that are the nodes' own.
pub(super) fn fixed(node: &Tree, name: &str, diags: &mut Diagnostics) -> Option<Fixed> {
    let what = format!("`static` of network `{name}`");
    let mut fields = Fields::new(node, what, STATIC, diags)?;
    let net = fields.parsed::<Ipv4Net>("subnet", diags);
    let range = fields.need("range", diags);
    let range = range.and_then(|n| ends::<Ipv4Addr>(n, "range", "an IPv4 address", diags));
    let gateway = fields.parsed::<Ipv4Addr>("gateway", diags);
    let nameserver = fields.parsed::<Ipv4Addr>("nameserver", diags);
    let span = fields.span();
    fields.finish(diags);
    let (net, range) = (net?, range?);
    if !is_of_hosts(net.value, net.span, diags) {
        return None;
    }
    let net = net.value;
    check_range(&range, |a| net.contains(a), &net.trunc().to_string(), diags);
    let Dhcp { start, end } = range.value;
    ends_are_hosts(net, (start, end), range.span, diags);
    if let Some(gateway) = &gateway {
        router_is_host(net, gateway, diags);
    }
    if let Some(server) = &nameserver {
        is_of_no_host(server.value.into(), "a name server's", server.span, diags);
    }
    Some(Fixed {
        net,
        range: Some(range.value),
        gateway: gateway.map(|g| g.value),
        nameserver: nameserver.map(|n| n.value),
        span,
    })
}
