//! Interfaces of nodes that are there, as a node type tells them: one list for all its nodes, or one for each.

use super::{Map, list, lost};
use crate::blueprint::{Attachment, BridgeOptions, Interface, Node};
use crate::diagnostic::Diagnostics;
use crate::names::EnvName;
use crate::observed::Observed;
use crate::syntax::{Span, Tree};
use crate::values::Name;

/// What the names of an environment's networks mean in files.
pub(super) struct Names<'a> {
    /// The environment.
    pub environment: &'a EnvName,
    /// What there is of it.
    pub observed: &'a Observed,
}

impl Names<'_> {
    /// A name without the prefix.
    pub fn bare(&self, name: &str) -> String {
        let prefix = self.environment.prefix().map(|prefix| format!("{prefix}-"));
        prefix.and_then(|p| name.strip_prefix(&p)).unwrap_or(name).to_string()
    }

    /// How a bridge behaves that was made for its nodes alone; no network file has it.
    fn link(&self, name: &str) -> Option<&BridgeOptions> {
        let tuning = &self.observed.networks.get(name)?.recorded.tuning;
        tuning.link_local.then_some(tuning)
    }
}

/// `interfaces` of a node type: where each node has networks of its own, as links are, a list for each.
pub(super) fn of_nodes(
    all: &[&Node],
    names: &Names<'_>,
    span: Span,
    diags: &mut Diagnostics,
) -> Tree {
    let is_alike = all.windows(2).all(|pair| matches!(pair, [a, b] if plugs(a) == plugs(b)));
    let mut lists = Vec::new();
    let described = if is_alike { &all[..all.len().min(1)] } else { all };
    for node in described {
        let numbers = 0..node.interfaces.len();
        let own = numbers.filter_map(|number| interface(all, node, number, names, span));
        lists.push(list(own.collect(), span));
    }
    untold(all, diags);
    match (is_alike, lists.pop()) {
        (true, same) => same.unwrap_or_else(|| list(Vec::new(), span)),
        (false, last) => {
            lists.extend(last);
            let mut map = Map(Vec::new(), span);
            map.put("basic", list(lists, span));
            map.node()
        }
    }
}

/// What a node is plugged into.
fn plugs(node: &Node) -> Vec<(String, &str, Option<&Name>)> {
    let interfaces = node.interfaces.iter();
    interfaces.map(|i| (i.source(), i.model.as_str(), i.attachment.portgroup())).collect()
}

/// The interfaces that nodes have at a position on the same network as one of them.
fn beside<'a>(all: &[&'a Node], own: &Interface, number: usize) -> Vec<Option<&'a Interface>> {
    let is_same = |other: &&Interface| other.source() == own.source();
    all.iter().copied().map(|node| node.interfaces.get(number).filter(is_same)).collect()
}

fn interface(
    all: &[&Node],
    node: &Node,
    number: usize,
    names: &Names<'_>,
    span: Span,
) -> Option<Tree> {
    let own = node.interfaces.get(number)?;
    let mut map = Map(Vec::new(), span);
    let bridge = own.attachment == Attachment::HostBridge;
    map.text("network", if bridge { own.network.to_string() } else { names.bare(&own.network) });
    let link = names.link(&own.network);
    if bridge || link.is_some() {
        map.text("bridged", "yes");
    }
    if link.is_some_and(|link| link.hub) {
        map.text("hub", "yes");
    }
    own.attachment.portgroup().into_iter().for_each(|group| map.text("portgroup", group));
    if own.model.as_str() != "virtio" {
        map.text("model", &own.model);
    }
    if let Some(ips) = addresses(all, own, number) {
        let ips = ips.into_iter().map(|ip| Tree::scalar(ip, span));
        map.put("ip", list(ips.collect(), span));
    }
    Some(map.node())
}

/// The addresses of all nodes of a type at a position, if each has one on the same network.
fn addresses(all: &[&Node], own: &Interface, number: usize) -> Option<Vec<String>> {
    let address = |i: Option<&Interface>| Some(i?.ipv4.address()?.addr().to_string());
    beside(all, own, number).into_iter().map(address).collect()
}

/// Says which addresses a node type does not tell, since not all of its nodes have one there.
fn untold(all: &[&Node], diags: &mut Diagnostics) {
    for node in all {
        for (number, own) in node.interfaces.iter().enumerate() {
            let Some(address) = own.ipv4.address() else { continue };
            if addresses(all, own, number).is_none() {
                let (name, ip) = (&node.name, address.addr());
                lost(format!("the address {ip} of `{name}` on {} is left out", own.network), diags);
            }
        }
    }
}

/// Says which cables of running nodes are pulled: that ends with the node, and is in no file.
pub(super) fn pulled(observed: &Observed, diags: &mut Diagnostics) {
    for domain in observed.domains.values() {
        let interfaces = domain.recorded.interfaces.iter();
        for interface in interfaces.filter(|interface| domain.pulled.contains(&interface.mac)) {
            let (name, interface) = (&domain.name, interface.shown());
            lost(
                format!(
                    "the cable of `{name}` {interface} is pulled, which no file tells: `maquette link down` pulls it"
                ),
                diags,
            );
        }
    }
}
