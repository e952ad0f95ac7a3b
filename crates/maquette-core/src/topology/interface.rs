//! The network interfaces of a node type.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::decode::{self, Fields, wrong_type};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file_keys::Class::{Later, Replace, Restart};
use crate::file_keys::{Form, IPV4_ADDRESS, Key, key, unread};
use crate::syntax::{Span, Spanned, Tree, Value};
use crate::values::{DeviceModel, Name};

/// One network interface; its position is its number in the guest (`eth0`, `eth1`, …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Network, without prefix; or with `bridged` a bridge of the hypervisor.
    pub network: Spanned<Name>,
    /// Model, where the file names one.
    pub model: Option<DeviceModel>,
    /// Portgroup of its network; none is the network's default.
    pub portgroup: Option<Spanned<String>>,
    /// Whether the network may be a bridge of the hypervisor's own.
    pub bridged: bool,
    /// Whether the bridge floods everything, as a hub does.
    pub hub: bool,
    /// The node type that it links to, instead of a network.
    pub connect_to: Option<ConnectTo>,
    /// IPv4 addresses that the nodes have on it, where their owner chooses.
    pub ip: Option<Ips>,
}

/// Addresses that a node type's nodes have on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ips {
    /// The node with number 0 has this one, and each further node the next.
    From(Spanned<Ipv4Addr>),
    /// One for each node, by its number.
    Each(Vec<Spanned<Ipv4Addr>>, Span),
}

impl Ips {
    /// The address of the node with a number, if there is one.
    pub fn of(&self, number: u32) -> Option<Ipv4Addr> {
        match self {
            Self::From(first) => u32::from(first.value).checked_add(number).map(Ipv4Addr::from),
            Self::Each(all, _) => all.get(number as usize).map(|a| a.value),
        }
    }

    /// Where the address of the node with a number was written.
    pub fn span(&self, number: u32) -> Span {
        match self {
            Self::From(first) => first.span,
            Self::Each(all, whole) => all.get(number as usize).map_or(*whole, |a| a.span),
        }
    }
}

/// A link to each node of another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectTo {
    /// Name of the other type.
    pub to: Spanned<String>,
    /// Model on this side, where the file names one.
    pub model: Option<DeviceModel>,
}

/// Interfaces of a node type: the same for all nodes, or a list for each index (BGP).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Those of every node.
    pub all: Vec<Interface>,
    /// Those of each index instead.
    pub rows: Option<Vec<Vec<Interface>>>,
}

const ADDRESS: Form = IPV4_ADDRESS;
const MODEL: Form = Form::Parsed("a model of a NIC", "e1000");

/// Keys of an interface.
const INTERFACE: &[Key] = &[
    key(
        "network",
        Form::Text,
        "Network; with `bridged` it may be a bridge of the hypervisor's own [default: none, with `connect_to`; else required]",
    ).example("front").takes(Replace),
    key("connect_to", Form::Text, "Node type whose nodes it links to, instead of a network [default: none]").example("spine").takes(Replace),
    key("bridged", Form::YesNo, "Whether the network may be a bridge of the hypervisor's own [default: no]").takes(Later),
    key("hub", Form::YesNo, "Whether the bridge floods everything, as a hub does [default: no]").takes(Restart),
    key("portgroup", Form::Text, "Portgroup of its network [default: the network's default one, if it has one]").example("blue").takes(Replace),
    key("model", MODEL, "Model of the NIC [default: virtio; e1000 where `os` is FreeBSD or Windows]").takes(Replace),
    key("src_model", MODEL, "With `connect_to`, the model on this side [default: virtio; e1000 where `os` is FreeBSD or Windows]").takes(Replace),
    key(
        "ip",
        Form::Either(&[ADDRESS, Form::List(&ADDRESS)]),
        "IPv4 address of the first node, from which further nodes count up; or a list with one for each node [default: the \
         lowest that is free when a node is made, which it keeps]",
    ).takes(Replace),
    // What InfraRed's own wiring wrote.
    unread("needs_formatting").example("no"),
];

/// How one of them is written: with its keys, or as nothing but the network's name.
const ONE: Form = Form::Either(&[Form::Text, Form::Map(INTERFACE)]);

/// How `networks` of a node type is written.
pub(super) const NETWORKS: Form = Form::List(&ONE);

/// How `interfaces` is written.
pub(super) const INTERFACES: Form = Form::Either(&[
    NETWORKS,
    Form::Entries("^nic[0-9]+$", &ONE),
    Form::Map(&[key(
        "basic",
        Form::List(&Form::List(&ONE)),
        "Interfaces of the node with each index (BGP)",
    )
    .needed()]),
]);

/// Reads `interfaces`: a list, the mapping in InfraRed's manual, of `nicN`, or a list for each index.
pub fn decode(node: &Tree, role: &str, diags: &mut Diagnostics) -> Interfaces {
    let same = |all: Vec<Interface>| Interfaces { all, rows: None };
    match &node.value {
        Value::Null => Interfaces::default(),
        Value::List(items) => same(several(items, role, diags)),
        Value::Map(entries) if entries.iter().any(|e| e.key == "basic") => {
            let items = node.get("basic").map_or(&[][..], |n| decode::list(n, "basic", diags));
            let rows =
                items.iter().map(|row| several(decode::list(row, "basic", diags), role, diags));
            Interfaces { all: Vec::new(), rows: Some(rows.collect()) }
        }
        Value::Map(entries) => {
            let mut numbered = Vec::new();
            for entry in entries {
                match entry.key.strip_prefix("nic").and_then(|n| n.parse::<u32>().ok()) {
                    Some(number) => numbered.push((number, &entry.value)),
                    None => diags.push(
                        Diagnostic::error(
                            "topology::interface-key",
                            format!("`{}` does not number an interface", entry.key),
                        )
                        .at(entry.key_span, "")
                        .help("write `nic1`, `nic2`, …, or a list"),
                    ),
                }
            }
            numbered.sort_by_key(|(number, _)| *number);
            let items = numbered.iter().enumerate();
            same(items.filter_map(|(i, (_, item))| interface(item, i, role, diags)).collect())
        }
        Value::Scalar(..) => {
            let error = wrong_type(node, "`interfaces`", "a list");
            diags.push(error.help(as_list(node, "interfaces")));
            Interfaces::default()
        }
    }
}

/// How `networks`, or `interfaces`, is written as a list that is a name, or a mapping by names.
pub(super) fn as_list(node: &Tree, key: &str) -> String {
    let names: Vec<String> = match &node.value {
        Value::Scalar(text, _) => decode::pieces(text).into_iter().map(String::from).collect(),
        _ => node
            .entries()
            .iter()
            .map(|entry| match entry.value.entries() {
                [] => entry.key.clone(),
                _ => format!("{{network: {}, …}}", entry.key),
            })
            .collect(),
    };
    match names.is_empty() || node.span.secret {
        true => "write `[NAME, …]`".into(),
        false => format!("write `{key}: [{}]`", names.join(", ")),
    }
}

fn several(items: &[Tree], role: &str, diags: &mut Diagnostics) -> Vec<Interface> {
    let items = items.iter().enumerate();
    items.filter_map(|(i, item)| interface(item, i, role, diags)).collect()
}

fn interface(node: &Tree, index: usize, role: &str, diags: &mut Diagnostics) -> Option<Interface> {
    let what = format!("interface {} of node type `{role}`", index + 1);
    if let Value::Scalar(..) = node.value {
        let network = decode::checked(node, &what, diags)?;
        return Some(Interface {
            network,
            model: None,
            portgroup: None,
            bridged: false,
            hub: false,
            connect_to: None,
            ip: None,
        });
    }
    let mut fields = Fields::new(node, what, INTERFACE, diags)?;
    let to = fields.text("connect_to", diags);
    let bridged = fields.bool("bridged", diags).unwrap_or(false);
    let hub = fields.bool("hub", diags).unwrap_or(false);
    let portgroup = fields.text("portgroup", diags);
    let src_model = known_model(&mut fields, "src_model", diags);
    let model = known_model(&mut fields, "model", diags);
    let network = match &to {
        // A wire needs no network; it makes its own.
        Some(to) => {
            let given = fields.take("network").and_then(|n| decode::checked(n, "network", diags));
            given.or_else(|| Some(Spanned::new(to.value.parse().ok()?, to.span)))
        }
        // It could not be read, and needs none.
        None if fields.has_any(&["connect_to"]) => {
            fields.take("network");
            None
        }
        None => fields.need("network", diags).and_then(|n| decode::checked(n, "network", diags)),
    };
    let ip = fields.take("ip").and_then(|n| ips(n, diags));
    fields.finish(diags);
    let connect_to = to.map(|to| ConnectTo { to, model: src_model });
    Some(Interface { network: network?, model, portgroup, bridged, hub, connect_to, ip })
}

/// Models of NICs that QEMU has for x86-64, by libvirt's names and by QEMU's own.
/// <https://libvirt.org/formatdomain.html#setting-the-nic-model>, and `qemu-system-x86_64 -device help` of 7.2 to 10.1.
const NIC_MODELS: [&str; 33] = [
    "virtio",
    "virtio-transitional",
    "virtio-non-transitional",
    "virtio-net",
    "virtio-net-pci",
    "virtio-net-pci-transitional",
    "virtio-net-pci-non-transitional",
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "igb",
    "rtl8139",
    "vmxnet3",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "tulip",
    "usb-net",
    "i82550",
    "i82551",
    "i82557a",
    "i82557b",
    "i82557c",
    "i82558a",
    "i82558b",
    "i82559a",
    "i82559b",
    "i82559c",
    "i82559er",
    "i82562",
    "i82801",
];

/// A model of a NIC that there is.
fn known_model(
    fields: &mut Fields<'_>,
    key: &'static str,
    diags: &mut Diagnostics,
) -> Option<DeviceModel> {
    let model: Spanned<DeviceModel> = fields.parsed(key, diags)?;
    if !NIC_MODELS.contains(&model.value.as_str()) {
        let message = format!("QEMU has no NIC of model `{}`", model.value);
        let diagnostic = Diagnostic::error("topology::nic-model", message).at(model.span, "");
        let help = "`virtio` is the usual one, and `e1000` is for systems without its driver";
        diags.push(diagnostic.suggest(&model.value, NIC_MODELS).help(help));
    }
    Some(model.value)
}

/// An address, or a list of them.
fn ips(node: &Tree, diags: &mut Diagnostics) -> Option<Ips> {
    match &node.value {
        Value::List(items) => {
            let write = "an address is one text, such as `10.9.0.20`";
            let items = decode::singles(items, ("ip", "an IPv4 address"), write, diags);
            let all: Vec<_> = items.into_iter().filter_map(|n| ip(n, diags)).collect();
            Some(Ips::Each(all, node.span))
        }
        _ => ip(node, diags).map(Ips::From),
    }
}

/// One address, with how it is written where somebody writes more than that.
fn ip(node: &Tree, diags: &mut Diagnostics) -> Option<Spanned<Ipv4Addr>> {
    const EXPECTED: &str = "an IPv4 address, or a list of them";
    let Value::Scalar(text, _) = &node.value else {
        return decode::parsed(node, "ip", EXPECTED, diags);
    };
    let text = text.trim();
    let with_length = text.split_once('/').filter(|(address, length)| {
        address.parse::<Ipv4Addr>().is_ok() && length.parse::<u8>().is_ok()
    });
    let pieces = decode::pieces(text);
    let several = pieces.len() > 1 && pieces.iter().all(|ip| ip.parse::<Ipv4Addr>().is_ok());
    let is_v6 = text.split('/').next().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
    let help = match with_length {
        _ if node.span.secret => None,
        Some((address, _)) => Some(format!("write `ip: {address}`: the network has the length")),
        None if several => Some(format!("write `ip: [{}]`", pieces.join(", "))),
        None if is_v6 => {
            Some("`ip` is IPv4; IPv6 addresses are given out on networks with `ipv6`".into())
        }
        None => None,
    };
    let Some(help) = help else { return decode::parsed(node, "ip", EXPECTED, diags) };
    diags.push(wrong_type(node, "`ip`", EXPECTED).help(help));
    None
}
