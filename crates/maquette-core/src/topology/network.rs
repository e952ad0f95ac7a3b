//! One network: addresses, DHCP, DNS.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::interface::unsupported;
use crate::decode::{self, Fields, wrong_type};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::check_name;
use crate::syntax::{Entry, Node, Span, Spanned, Value};

/// How a network reaches the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// Not at all.
    Isolated,
    /// Through the hypervisor's address.
    Nat,
    /// By routing.
    Route,
}

impl Forward {
    /// libvirt's word; isolated networks have none.
    pub fn mode(self) -> Option<&'static str> {
        match self {
            Self::Isolated => None,
            Self::Nat => Some("nat"),
            Self::Route => Some("route"),
        }
    }
}

/// First and last address given out by DHCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dhcp<A> {
    /// First.
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

/// A DNS service record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    /// Service, such as `ldap`.
    pub name: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Domain it is found in.
    pub domain: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Host that offers it.
    pub target: Option<String>,
}

/// One network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Key in the file: `net1`.
    pub key: String,
    /// Name without prefix.
    pub name: Spanned<String>,
    /// How it reaches the outside.
    pub forward: Forward,
    /// IPv4, if it has any.
    pub ipv4: Option<Ipv4>,
    /// IPv6, if it has any.
    pub ipv6: Option<Ipv6>,
    /// DNS domain.
    pub domain: Option<String>,
    /// DNS service records.
    pub srvs: Vec<Srv>,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// Whether libvirt starts it with the hypervisor.
    pub autostart: bool,
}

/// Reads one entry of `networks`.
pub fn decode(entry: &Entry, default_mtu: Option<u32>, diags: &mut Diagnostics) -> Option<Network> {
    let key = &entry.key;
    if is_bgp(&entry.value) {
        diags.push(unsupported("a BGP network").at(entry.key_span, ""));
        return None;
    }
    let mut fields = Fields::new(&entry.value, format!("network `{key}`"), diags)?;
    let name = fields.need("name", diags).and_then(|n| decode::text(n, "name", diags));
    if let Some(name) = &name
        && let Err(error) = check_name(&name.value)
    {
        diags.push(Diagnostic::error("topology::name", error.to_string()).at(name.span, ""));
    }
    let virtualport = fields.text("virtualport_type", diags);
    if let Some(port) = &virtualport {
        diags.push(unsupported("an Open vSwitch network").at(port.span, ""));
    }
    let forward = fields
        .take("forward")
        .map_or(Some(Forward::Isolated), |n| forward(n, virtualport.is_none(), diags));
    let ipv4 = ipv4(&mut fields, diags);
    let ipv6 = fields.take("ipv6").and_then(|node| ipv6(node, key, diags));
    let domain = fields.text("domain", diags).map(|d| d.value);
    let srvs = fields.take("dns").map_or(Vec::new(), |node| srvs(node, key, diags));
    let mtu = fields.number("mtu", 68, "bytes", diags).map(|m| m as u32).or(default_mtu);
    let autostart = fields.bool("autostart", diags).unwrap_or(true);
    fields.ignore(&["external_connectivity", "floating_ip", "nic", "stp", "portgroups"]);
    fields.ignore(&["ipv4_address", "ipv6_address"]);
    fields.finish(diags);
    Some(Network {
        key: key.clone(),
        name: name?,
        forward: forward?,
        ipv4,
        ipv6,
        domain,
        srvs,
        mtu,
        autostart,
    })
}

/// The BGP files name networks by key and give them no `name`.
fn is_bgp(node: &Node) -> bool {
    node.value == Value::Null || (node.get("net").is_some() && node.get("name").is_none())
}

/// Plain text, or the manual's `{type: nat}`. `report` is off where another error already covers
/// the network.
fn forward(node: &Node, report: bool, diags: &mut Diagnostics) -> Option<Forward> {
    let node = match &node.value {
        Value::Map(_) => {
            let mut fields = Fields::new(node, "`forward`", diags)?;
            let inner = fields.need("type", diags);
            fields.finish(diags);
            inner?
        }
        _ => node,
    };
    let mode = decode::text(node, "forward", diags)?;
    match mode.value.as_str() {
        "nat" => Some(Forward::Nat),
        "route" => Some(Forward::Route),
        "none" => Some(Forward::Isolated),
        "bridge" => {
            if report {
                diags.push(unsupported("a bridged network (`forward: bridge`)").at(mode.span, ""));
            }
            None
        }
        other => {
            diags.push(
                Diagnostic::error("topology::forward", format!("`{other}` is no forward mode"))
                    .at(mode.span, "")
                    .suggest(other, ["nat", "route", "bridge"])
                    .help("modes are `nat` and `route`; leave the key out for an isolated network"),
            );
            None
        }
    }
}

fn ipv4(fields: &mut Fields<'_>, diags: &mut Diagnostics) -> Option<Ipv4> {
    const ADDRESS: &str = "an IPv4 address";
    let raw = fields.text("ip_address", diags);
    let mask = fields.parsed::<Ipv4Addr>("netmask", "a netmask such as 255.255.255.0", diags);
    let dhcp = fields.take("dhcp");
    let range = dhcp.and_then(|n| range::<Ipv4Addr>(n, ADDRESS, diags));
    let Some(raw) = raw else {
        if let Some(dhcp) = dhcp {
            diags.push(
                Diagnostic::error("topology::dhcp-without-address", "DHCP needs an `ip_address`")
                    .at(dhcp.span, "")
                    .help("give the network the address that the hypervisor has on it"),
            );
        }
        return None;
    };
    let net = subnet(&raw, mask.as_ref(), diags)?;
    if let Some(range) = &range {
        check_range(range, |a| net.contains(a), &net.trunc().to_string(), diags);
    }
    Some(Ipv4 { net, dhcp: range.map(Spanned::into_value), span: raw.span })
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
            Diagnostic::error("topology::address", format!("`{text}` is no IPv4 address"))
                .at(raw.span, "")
                .help(why),
        );
    };
    if text.contains('/') {
        return match text.parse::<Ipv4Net>() {
            Ok(net) => Some(net),
            Err(_) => {
                bad(diags, "write four numbers and a length, such as 192.168.24.254/24".into());
                None
            }
        };
    }
    let Ok(address) = lenient_ipv4(text) else {
        bad(diags, "write four numbers from 0 to 255, such as 192.168.24.254".into());
        return None;
    };
    let mask_value = mask.map_or(Ipv4Addr::new(255, 255, 255, 0), |m| m.value);
    match Ipv4Net::with_netmask(address, mask_value) {
        Ok(net) => Some(net),
        Err(_) => {
            let span = mask.map_or(raw.span, |m| m.span);
            diags.push(
                Diagnostic::error("topology::netmask", format!("`{mask_value}` is no netmask"))
                    .at(span, "")
                    .help("its ones must come first, as in 255.255.255.0"),
            );
            None
        }
    }
}

/// Octets with leading zeros are decimal, as libvirt reads them (the older tool produced `01`).
fn lenient_ipv4(text: &str) -> Result<Ipv4Addr, ()> {
    let octets: Result<Vec<u8>, ()> =
        text.split('.').map(|o| o.parse::<u8>().map_err(|_| ())).collect();
    <[u8; 4]>::try_from(octets?).map(Ipv4Addr::from).map_err(|_| ())
}

fn ipv6(node: &Node, key: &str, diags: &mut Diagnostics) -> Option<Ipv6> {
    const ADDRESS: &str = "an IPv6 address";
    let mut fields = Fields::new(node, format!("`ipv6` of network `{key}`"), diags)?;
    let address = fields
        .need("ip_address", diags)
        .and_then(|n| decode::parsed::<Ipv6Addr>(n, "ip_address", ADDRESS, diags));
    let prefix = fields.take("prefix");
    let length = match prefix {
        None => Some(64),
        Some(node) => decode::number(node, "prefix", 1, "bits", diags),
    };
    let range = fields.take("dhcp").and_then(|n| range::<Ipv6Addr>(n, ADDRESS, diags));
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
    if let Some(range) = &range {
        check_range(range, |a| net.contains(a), &net.trunc().to_string(), diags);
    }
    Some(Ipv6 { net, dhcp: range.map(Spanned::into_value), span: address.span })
}

fn range<A>(node: &Node, expected: &str, diags: &mut Diagnostics) -> Option<Spanned<Dhcp<A>>>
where
    A: std::str::FromStr,
    A::Err: std::fmt::Display,
{
    let mut fields = Fields::new(node, "`dhcp`", diags)?;
    fields.ignore(&["subnet_cidr", "subnet_gateway"]);
    let range = fields.need("range", diags);
    fields.finish(diags);
    let range = range?;
    let mut fields = Fields::new(range, "`range`", diags)?;
    let start =
        fields.need("start", diags).and_then(|n| decode::parsed::<A>(n, "start", expected, diags));
    let end =
        fields.need("end", diags).and_then(|n| decode::parsed::<A>(n, "end", expected, diags));
    fields.finish(diags);
    let (start, end) = (start?, end?);
    let span = Span { end: end.span.end.max(start.span.end), ..start.span };
    let span = if start.span.source == end.span.source { span } else { end.span };
    Some(Spanned::new(Dhcp { start: start.value, end: end.value }, span))
}

fn check_range<A: Ord + std::fmt::Display + Copy>(
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

fn srvs(node: &Node, key: &str, diags: &mut Diagnostics) -> Vec<Srv> {
    let Some(mut fields) = Fields::new(node, format!("`dns` of network `{key}`"), diags) else {
        return Vec::new();
    };
    let items = fields.take("srvs").map_or(&[][..], |n| decode::list(n, "srvs", diags));
    fields.finish(diags);
    items.iter().filter_map(|item| srv(item, diags)).collect()
}

fn srv(node: &Node, diags: &mut Diagnostics) -> Option<Srv> {
    let mut fields = Fields::new(node, "an SRV record", diags)?;
    let name = fields.need("name", diags).and_then(|n| decode::text(n, "name", diags));
    let protocol = fields.need("protocol", diags).and_then(|n| decode::text(n, "protocol", diags));
    if let Some(protocol) = &protocol
        && !matches!(protocol.value.as_str(), "tcp" | "udp")
    {
        diags.push(wrong_type(node.get("protocol")?, "`protocol`", "`tcp` or `udp`"));
    }
    let domain = fields.text("domain", diags).map(|d| d.value);
    let port = fields.parsed::<u16>("port", "a port number", diags).map(|p| p.value);
    let target = fields.text("target", diags).map(|t| t.value);
    fields.finish(diags);
    Some(Srv { name: name?.value, protocol: protocol?.value, domain, port, target })
}
