//! Networks of the BGP files: named by their key, with addresses that nodes set up by themselves.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::forward::Forward;
use super::network::Network;
use super::subnet::{Fixed, Ipv4, lenient_ipv4, lenient_net};
use super::usable::{is_of_hosts, is_of_no_host, own_is_host};
use crate::decode::{self, Fields};
use crate::diagnostic::{Diagnostic, Diagnostics, WITHOUT_EFFECT};
use crate::file_keys::{Form, IPV4_ADDRESS, Key, key, unread};
use crate::syntax::{Entry, Spanned, Tree, Value};
use crate::values::{Mtu, Name};

/// Networks that the hypervisor has an address on, if the file gives one. Of the others InfraRed leaves it out, too.
const ADDRESSED: [&str; 4] = ["uc-external", "external", "ctlplane", "management"];

const ADDRESS: Form = IPV4_ADDRESS;

/// Keys of a network of the BGP files.
pub(crate) const NETWORK: &[Key] = &[
    key("net", Form::Text, "Its address, without a length").example("10.9.0.1").needed(),
    key("prefix", Form::Number(1, 32, "bits"), "Length of its prefix in bits [default: 24]")
        .example("64"),
    key("hypervisor", ADDRESS, "Address of the hypervisor on it [default: none]"),
    key("gw", ADDRESS, "Router [default: none]"),
    unread("net_v6"),
    unread("prefix_v6"),
    unread("hypervisor_v6"),
    unread("gw_v6"),
];

/// Keys of an entry of `cidrs`.
pub(crate) const CIDR: &[Key] = &[
    key(
        "cidr",
        Form::Parsed("a subnet such as 10.0.0.0/8", "10.0.0.0/8"),
        "Addresses that are let through and masqueraded",
    )
    .needed(),
    key("hv_route", ADDRESS, "Router that they are behind [default: none]"),
    unread("cidr_v6"),
    unread("hv_route_v6"),
];

/// What the hypervisor forwards for the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cidr {
    /// Addresses that are let through and masqueraded.
    pub net: Ipv4Net,
    /// Router that they are behind; none where they are reached directly.
    pub via: Option<Ipv4Addr>,
}

/// Whether an entry of `networks` is of this kind.
pub(super) fn is_bgp(node: &Tree) -> bool {
    node.value == Value::Null || (node.get("net").is_some() && node.get("name").is_none())
}

/// Reads one entry of `networks`.
pub(super) fn decode(entry: &Entry, mtu: Option<Mtu>, diags: &mut Diagnostics) -> Option<Network> {
    let key = &entry.key;
    let name = match key.parse::<Name>() {
        Ok(name) => Spanned::new(name, entry.key_span),
        Err(error) => {
            let diagnostic = Diagnostic::error("topology::name", error.to_string());
            diags.push(diagnostic.at(entry.key_span, ""));
            return None;
        }
    };
    let mut network = Network { stp: true, mtu, ..Network::bare(key, name, Forward::Isolated) };
    if entry.value.value == Value::Null {
        return Some(network);
    }
    let mut fields = Fields::new(&entry.value, format!("network `{key}`"), NETWORK, diags)?;
    let raw = fields.text("net", diags);
    let length = fields.number("prefix", diags).unwrap_or(24);
    let hypervisor = fields.parsed::<Ipv4Addr>("hypervisor", diags);
    let gateway = fields.parsed::<Ipv4Addr>("gw", diags);
    fields.finish(diags);
    let raw = raw?;
    let length = u8::try_from(length).ok().filter(|l| *l <= 32);
    let net = lenient_ipv4(raw.value.trim()).zip(length);
    let net = net.and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    // One of InfraRed's own files has the length twice.
    let twice = lenient_net(raw.value.trim()).filter(|net| Some(net.prefix_len()) == length);
    let Some(net) = net.or(twice) else {
        diags.push(
            Diagnostic::error(
                "topology::address",
                format!("`{}` is not a valid network", raw.value),
            )
            .at(raw.span, "")
            .help("write its address without a length, such as 10.0.0.0, and `prefix` beside it"),
        );
        return None;
    };
    if !is_of_hosts(net, raw.span, diags) {
        return None;
    }
    let own = hypervisor.filter(|_| ADDRESSED.contains(&key.as_str()));
    network.ipv4 = own.and_then(|own| {
        let net = Ipv4Net::new(own.value, net.prefix_len()).ok()?;
        let is_host = own_is_host(net.into(), own.span, diags);
        is_host.then_some(Ipv4 { net, dhcp: None, chosen: false, span: own.span })
    });
    if let Some(gateway) = &gateway {
        is_of_no_host(gateway.value.into(), "a router's", gateway.span, diags);
    }
    network.fixed = Some(Fixed {
        net,
        range: None,
        gateway: gateway.map(|g| g.value),
        nameserver: network.ipv4.as_ref().map(|i| i.net.addr()),
        span: raw.span,
    });
    Some(network)
}

/// Says that nobody reads what BGP files have of IPv6: InfraRed, which has it in a file that was never finished, does not, either.
pub(super) fn without_ipv6<'a>(mappings: impl Iterator<Item = &'a Tree>, diags: &mut Diagnostics) {
    let unread = NETWORK.iter().chain(CIDR).filter(|key| !key.read);
    let names: Vec<&str> = unread.map(|key| key.name).collect();
    let mut found = mappings.flat_map(Tree::entries).filter(|e| names.contains(&e.key.as_str()));
    if let Some(first) = found.next() {
        let message =
            format!("`{}` has no effect: nodes of BGP networks get IPv4 addresses", first.key);
        let message = match found.count() {
            0 => message,
            more => format!("{message}, and so it is with {more} more such keys"),
        };
        let diagnostic = Diagnostic::warning(WITHOUT_EFFECT, message).at(first.key_span, "");
        diags.push(diagnostic.help("networks with `ip_address` have `ipv6`"));
    }
}

/// Reads `cidrs`.
pub(super) fn cidrs(node: &Tree, diags: &mut Diagnostics) -> Vec<Cidr> {
    let items = decode::list(node, "cidrs", diags);
    items.iter().filter_map(|item| cidr(item, diags)).collect()
}

fn cidr(node: &Tree, diags: &mut Diagnostics) -> Option<Cidr> {
    let mut fields = Fields::new(node, "an entry of `cidrs`", CIDR, diags)?;
    let net = fields.parsed::<Ipv4Net>("cidr", diags);
    let via = fields.parsed::<Ipv4Addr>("hv_route", diags);
    fields.finish(diags);
    Some(Cidr { net: net?.value, via: via.map(|v| v.value) })
}
