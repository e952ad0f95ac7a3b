//! `cifmw_networking_definition`: subnets, and which addresses groups of nodes have in them.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::idle::Idle;
use crate::decode::{self, Fields, wrong_type};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file_keys::{Form, IPV4_ADDRESS, Key, key};
use crate::syntax::{Entry, Span, Spanned, Tree, Value};
use crate::values::Name;

/// All of it, as far as nodes get addresses from it.
#[derive(Debug, Default)]
pub(super) struct Definition {
    /// Its networks, with what nodes' addresses need of them.
    pub networks: Vec<Network>,
    /// Its group templates.
    pub groups: Vec<Group>,
    /// Its instances: name of the node, network, address.
    pub instances: Vec<(String, String, Spanned<Ipv4Addr>)>,
}

/// A network.
#[derive(Debug)]
pub(super) struct Network {
    /// Its name in the definition.
    pub name: String,
    /// Its IPv4 subnet; none if the definition has none that can be read.
    pub v4: Option<Ipv4Net>,
    /// Whether it is a VLAN inside of another.
    pub vlan: bool,
}

/// What the nodes of a type have.
#[derive(Debug)]
pub(super) struct Group {
    /// Its name: that of the kind with an `s`.
    pub name: String,
    /// What holds for networks that say nothing else, if there is a template at all.
    pub template: Option<Option<Range>>,
    /// Networks, each with its own range.
    pub networks: Vec<(String, Option<Range>)>,
}

/// Addresses, or numbers of addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    start: Bound,
    end: Option<Bound>,
    length: Option<u64>,
    /// Where it was written.
    pub span: Span,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    Address(IpAddr),
    Number(u64),
}

const fn idle(name: &'static str) -> Key {
    Key { read: false, ..key(name, Form::Anything, "") }
}

const DEFINITION: &[Key] = &[
    key("networks", Form::Anything, "").needed(),
    key("group-templates", Form::Anything, ""),
    key("instances", Form::Anything, ""),
    idle("routers"),
];
const NETWORK: &[Key] = &[
    key("network", Form::Parsed("a subnet such as 10.9.0.0/24", "10.9.0.0/24"), ""),
    key("network-v4", Form::Parsed("an IPv4 subnet such as 10.9.0.0/24", "10.9.0.0/24"), ""),
    key("network-v6", Form::Parsed("an IPv6 subnet such as fd00::/64", "fd00::/64"), ""),
    key("vlan", Form::Number(1, 4094, ""), ""),
    idle("gateway"),
    idle("gateway-v4"),
    idle("gateway-v6"),
    idle("dns"),
    idle("dns-v4"),
    idle("dns-v6"),
    idle("search-domain"),
    idle("mtu"),
    key("tools", Form::Anything, ""),
];
const TOOLS: &[Key] = &[idle("multus"), idle("metallb"), idle("netconfig")];
const GROUP: &[Key] = &[
    key("network-template", Form::Anything, ""),
    key("networks", Form::Anything, ""),
    idle("skip-nm-configuration"),
];
const TEMPLATE: &[Key] =
    &[key("range", Form::Anything, ""), key("range-v4", Form::Anything, ""), idle("range-v6")];
const GROUP_NETWORK: &[Key] = &[
    key("range", Form::Anything, ""),
    key("range-v4", Form::Anything, ""),
    idle("range-v6"),
    idle("trunk-parent"),
    idle("is-trunk-parent"),
    idle("skip-nm-configuration"),
];
const INSTANCE: &[Key] = &[key("networks", Form::Anything, ""), idle("skip-nm-configuration")];
const INSTANCE_NETWORK: &[Key] = &[
    key("ip", Form::Parsed("an IP address", "192.0.2.53"), ""),
    key("ip-v4", IPV4_ADDRESS, ""),
    idle("ip-v6"),
    idle("trunk-parent"),
    idle("is-trunk-parent"),
    idle("skip-nm-configuration"),
];
const RANGE: &[Key] = &[
    key("start", Form::Anything, ""),
    key("end", Form::Anything, ""),
    key("length", Form::Number(1, u32::MAX as u64, ""), ""),
];

/// What only those read who deploy something on the nodes.
const FOR_DEPLOYMENT: &str =
    "for what is deployed on the nodes, which have addresses in networks that are not VLANs";
/// What is about IPv6.
const OF_IPV6: &str = "IPv6 addresses of nodes are those that Maquette chooses";

/// Notes the keys of a mapping that nothing is made of.
fn note_unread(node: &Tree, keys: &[Key], idle: &mut Idle) {
    let is_unread = |name: &str| keys.iter().any(|key| key.name == name && !key.read);
    for entry in node.entries().iter().filter(|e| is_unread(&e.key) && !e.value.is_empty()) {
        let why = match entry.key.as_str() {
            "range-v6" | "ip-v6" => OF_IPV6,
            _ => FOR_DEPLOYMENT,
        };
        idle.note(&entry.key, why, entry.value.span);
    }
}

/// Reads all of it.
pub(super) fn read(node: &Tree, idle: &mut Idle, diags: &mut Diagnostics) -> Definition {
    let what = "`cifmw_networking_definition`";
    let Some(mut fields) = Fields::new(node, what, DEFINITION, diags) else {
        return Definition::default();
    };
    let networks = fields.need("networks", diags).map_or(&[][..], Tree::entries);
    let groups = fields.take("group-templates").map_or(&[][..], Tree::entries);
    let instances = fields.take("instances").map_or(&[][..], Tree::entries);
    fields.finish(diags);
    note_unread(node, DEFINITION, idle);
    let mut all = Definition {
        networks: networks.iter().filter_map(|entry| network(entry, idle, diags)).collect(),
        groups: groups.iter().filter_map(|entry| group(entry, idle, diags)).collect(),
        instances: Vec::new(),
    };
    all.instances = instances.iter().flat_map(|entry| instance(entry, idle, diags)).collect();
    all.known(groups.iter().chain(instances), diags);
    all
}

impl Definition {
    /// The network of a name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }

    /// Reports groups and nodes on networks that do not exist.
    fn known<'a>(&self, all: impl Iterator<Item = &'a Entry>, diags: &mut Diagnostics) {
        let names = || self.networks.iter().map(|n| n.name.as_str());
        for entry in all {
            for network in entry.value.get("networks").map_or(&[][..], Tree::entries) {
                if self.network(&network.key).is_none() {
                    let message = format!(
                        "`{}` is on network `{}`, which the definition does not have",
                        entry.key, network.key
                    );
                    diags.push(
                        Diagnostic::error("layout::unknown-network", message)
                            .at(network.key_span, "")
                            .suggest(&network.key, names()),
                    );
                }
            }
        }
    }
}

fn network(entry: &Entry, idle: &mut Idle, diags: &mut Diagnostics) -> Option<Network> {
    let what = format!("network `{}` of the definition", entry.key);
    let mut fields = Fields::new(&entry.value, &what, NETWORK, diags)?;
    let any = fields.parsed::<IpNet>("network", diags);
    let v4 = fields.parsed::<Ipv4Net>("network-v4", diags);
    let v6 = fields.parsed::<ipnet::Ipv6Net>("network-v6", diags);
    let written = |key: &str| entry.value.get(key).is_some();
    if !written("network") && v4.is_none() && v6.is_none() && !written("network-v4") {
        fields.need("network", diags);
    }
    let vlan = fields.number("vlan", diags).is_some();
    if let Some(tools) = fields.take("tools") {
        idle.note("tools", FOR_DEPLOYMENT, tools.span);
        if let Some(fields) = Fields::new(tools, format!("`tools` of {what}"), TOOLS, diags) {
            fields.finish(diags);
        }
    }
    fields.finish(diags);
    for key in ["vlan", "network-v6"] {
        if let Some(node) = entry.value.get(key) {
            idle.note(key, FOR_DEPLOYMENT, node.span);
        }
    }
    note_unread(&entry.value, NETWORK, idle);
    if let Some(any) = any.as_ref().filter(|net| matches!(net.value, IpNet::V6(_))) {
        idle.note("network", OF_IPV6, any.span);
    }
    let of_any = any.and_then(|net| match net.value {
        IpNet::V4(net) => Some(net),
        IpNet::V6(_) => None,
    });
    Some(Network { name: entry.key.clone(), v4: of_any.or(v4.map(|v| v.value)), vlan })
}

fn group(entry: &Entry, idle: &mut Idle, diags: &mut Diagnostics) -> Option<Group> {
    let what = format!("group template `{}`", entry.key);
    let mut fields = Fields::new(&entry.value, &what, GROUP, diags)?;
    let template = fields.take("network-template").map(|node| {
        let mut fields =
            Fields::new(node, format!("`network-template` of {what}"), TEMPLATE, diags)?;
        let range = range_of(&mut fields, idle, diags);
        fields.finish(diags);
        note_unread(node, TEMPLATE, idle);
        range
    });
    let networks = fields.take("networks").map_or(&[][..], Tree::entries);
    fields.finish(diags);
    note_unread(&entry.value, GROUP, idle);
    let mut list = Vec::new();
    for network in networks {
        note_unread(&network.value, GROUP_NETWORK, idle);
        let range = match &network.value.value {
            Value::Null => None,
            _ => {
                let what = format!("network `{}` of {what}", network.key);
                Fields::new(&network.value, what, GROUP_NETWORK, diags).and_then(|mut fields| {
                    let range = range_of(&mut fields, idle, diags);
                    fields.finish(diags);
                    range
                })
            }
        };
        list.push((network.key.clone(), range));
    }
    Some(Group { name: entry.key.clone(), template, networks: list })
}

fn instance(
    entry: &Entry,
    idle: &mut Idle,
    diags: &mut Diagnostics,
) -> Vec<(String, String, Spanned<Ipv4Addr>)> {
    let what = format!("instance `{}`", entry.key);
    let Some(mut fields) = Fields::new(&entry.value, &what, INSTANCE, diags) else {
        return Vec::new();
    };
    let networks = fields.take("networks").map_or(&[][..], Tree::entries);
    fields.finish(diags);
    note_unread(&entry.value, INSTANCE, idle);
    let mut list = Vec::new();
    for network in networks.iter().filter(|n| n.value.value != Value::Null) {
        let what = format!("network `{}` of {what}", network.key);
        let Some(mut fields) = Fields::new(&network.value, what, INSTANCE_NETWORK, diags) else {
            continue;
        };
        let any = fields.parsed::<IpAddr>("ip", diags);
        let v4 = fields.parsed::<Ipv4Addr>("ip-v4", diags);
        fields.finish(diags);
        note_unread(&network.value, INSTANCE_NETWORK, idle);
        let any = any.and_then(|ip| match ip.value {
            IpAddr::V4(address) => Some(Spanned::new(address, ip.span)),
            IpAddr::V6(_) => {
                idle.note("ip", OF_IPV6, ip.span);
                None
            }
        });
        if let Some(address) = any.or(v4) {
            list.push((entry.key.clone(), network.key.clone(), address));
        }
    }
    list
}

fn range_of(fields: &mut Fields<'_>, idle: &mut Idle, diags: &mut Diagnostics) -> Option<Range> {
    let (any, v4) = (fields.take("range"), fields.take("range-v4"));
    let is_v6 = |bound: Bound| matches!(bound, Bound::Address(IpAddr::V6(_)));
    let any = any.and_then(|node| range(node, diags));
    if let Some(range) = any.filter(|r| is_v6(r.start) || r.end.is_some_and(is_v6)) {
        idle.note("range", OF_IPV6, range.span);
    }
    any.filter(|r| !is_v6(r.start)).or_else(|| range(v4?, diags))
}

/// `A-B`, or `{start, end}`, or `{start, length}`.
fn range(node: &Tree, diags: &mut Diagnostics) -> Option<Range> {
    const EXPECTED: &str = "`FIRST-LAST`, or a mapping with `start` and `end` or `length`";
    if let Value::Scalar(text, _) = &node.value {
        let parts = text.split_once('-').map(|(a, b)| (bound(a), bound(b)));
        let Some((Some(start), Some(end))) = parts else {
            diags.push(wrong_type(node, "`range`", EXPECTED));
            return None;
        };
        return Some(Range { start, end: Some(end), length: None, span: node.span });
    }
    let mut fields = Fields::new(node, "`range`", RANGE, diags)?;
    let (start, end) = (fields.take("start"), fields.take("end"));
    let length = fields.number("length", diags);
    fields.finish(diags);
    let mut read = |node: Option<&Tree>| -> Result<Option<Bound>, ()> {
        let Some(node) = node else { return Ok(None) };
        let Value::Scalar(text, _) = &node.value else {
            diags.push(wrong_type(node, "`range`", EXPECTED));
            return Err(());
        };
        bound(text).map(Some).ok_or_else(|| {
            diags.push(wrong_type(
                node,
                "a bound of `range`",
                "an address, or its number in the network",
            ));
        })
    };
    let (start, end) = (read(start), read(end));
    let start = start.ok()?.unwrap_or(Bound::Number(1));
    Some(Range { start, end: end.ok()?, length, span: node.span })
}

fn bound(text: &str) -> Option<Bound> {
    let text = text.trim();
    let number = text.parse().ok().map(Bound::Number);
    number.or(text.parse().ok().map(Bound::Address))
}

impl Range {
    /// The address of the node with a number, in a subnet; none where the range or the subnet is over.
    pub fn address(&self, net: Ipv4Net, number: u32) -> Option<Ipv4Addr> {
        let at = |bound: Bound| match bound {
            Bound::Address(IpAddr::V4(address)) => Some(u32::from(address)),
            Bound::Address(IpAddr::V6(_)) => None,
            Bound::Number(n) => u32::from(net.network()).checked_add(u32::try_from(n).ok()?),
        };
        let address = at(self.start)?.checked_add(number)?;
        let within = match (self.end, self.length) {
            (Some(end), _) => address <= at(end)?,
            (None, Some(length)) => u64::from(number) < length,
            (None, None) => true,
        };
        let address = Ipv4Addr::from(address);
        (within && net.contains(&address)).then_some(address)
    }
}

/// Names below a variable: `{osp_trunk: [controlplane, ctlplane]}`.
pub(super) fn translations(node: &Tree, diags: &mut Diagnostics) -> Vec<(String, Vec<String>)> {
    let what = "`cifmw_networking_mapper_interfaces_info_translations`";
    if Fields::open(node, what, diags).is_none() {
        return Vec::new();
    }
    let names = |entry: &Entry, diags: &mut Diagnostics| {
        let items =
            decode::list_of::<Name>(&entry.value, (entry.key.as_str(), "names"), diags).iter();
        items.filter_map(|item| decode::text(item, &entry.key, diags)).map(|n| n.value).collect()
    };
    node.entries().iter().map(|entry| (entry.key.clone(), names(entry, diags))).collect()
}
