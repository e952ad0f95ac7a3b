//! Node types and networks that are described in the project file itself. They have the keys of node and network
//! files; what they leave out gets the defaults here, after overrides were merged. From there on, nothing tells them
//! from those of files.

use super::forward::Forward;
use super::network;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::{Entry, Span, Tree, Value};
use crate::values::Group;

/// What a node that says nothing of it has.
const VCPUS: &str = "1";
const MEMORY_MIB: &str = "1024";
/// Images that `maquette image list` names have 2 to 10 GiB.
const DISK: &str = "20G";

/// What a network that says nothing of it has.
const NAT: &str = "nat";
const YES: &str = "yes";

/// How a network reaches the outside that says nothing of it, for people.
const FORWARD: &str = "nat, or bridge with `nic`";

/// The network of nodes that are described where no network is.
const ONLY_NETWORK: &str = "net";

/// What holds for keys of a node type that are left out, for people.
pub(crate) const NODE_DEFAULTS: &[(&str, &str)] = &[
    ("name", "its key"),
    ("cpu", VCPUS),
    ("memory", MEMORY_MIB),
    ("disks", DISK),
    ("networks", "the first of `networks`"),
    ("groups", "its name"),
];

/// The same for a network; those of bridges have no subnet and no DHCP of the hypervisor's.
pub(crate) const NETWORK_DEFAULTS: &[(&str, &str)] =
    &[("name", "its key"), ("forward", FORWARD), ("subnet", network::AUTO), ("dhcp", YES)];

/// The `networks` of a project file that describes nodes and names no network: one network.
pub fn only_network(span: Span) -> Tree {
    let entry = Entry { key: ONLY_NETWORK.into(), key_span: span, value: Tree::empty_map(span) };
    Tree { value: Value::Map(vec![entry]), span }
}

/// Puts the networks of the project file beside those of a network file.
pub(super) fn put_beside(file: &mut Tree, networks: &Tree, diags: &mut Diagnostics) {
    let Value::Map(top) = &mut file.value else { return };
    if !top.iter().any(|e| e.key == "networks") {
        let value = Tree::empty_map(networks.span);
        top.push(Entry { key: "networks".into(), key_span: networks.span, value });
    }
    let list = top.iter_mut().find(|e| e.key == "networks");
    let Some(Value::Map(list)) = list.map(|e| &mut e.value.value) else { return };
    for entry in networks.entries() {
        if let Some(first) = list.iter().find(|e| e.key == entry.key) {
            let message = format!("the network file has a network with the key `{}`", entry.key);
            diags.push(
                Diagnostic::error("topology::duplicate-network", message)
                    .at(entry.key_span, "")
                    .at(first.key_span, "it is here")
                    .help("give this one another key; `overrides: {networks: …}` changes those of the file"),
            );
            continue;
        }
        let mut entry = entry.clone();
        if entry.value.value == Value::Null {
            entry.value = Tree::empty_map(entry.key_span);
        }
        list.push(entry);
    }
}

/// The `subnet` of a network that has no IPv4.
const NO_SUBNET: &str = "none";

/// Gives networks of the project file what they leave out: they are nat, with DHCP on a subnet that nobody has.
pub(super) fn complete_networks(file: &mut Tree, described: &Tree) {
    let Some(list) = file.get_mut("networks") else { return };
    let Value::Map(list) = &mut list.value else { return };
    for entry in list {
        if described.get(&entry.key).is_some() {
            complete_network(entry);
        }
    }
}

fn complete_network(entry: &mut Entry) {
    let span = entry.key_span;
    let has = |node: &Tree, key: &str| node.get(key).is_some_and(|n| n.value != Value::Null);
    let node = &mut entry.value;
    // Networks of the BGP files are named by their key.
    if !matches!(node.value, Value::Map(_)) || (has(node, "net") && !has(node, "name")) {
        return;
    }
    let put = |node: &mut Tree, key: &str, text: &str| {
        if !has(node, key) {
            set(node, key, Tree::scalar(text, span), span);
        }
    };
    put(node, "name", &entry.key);
    let on_bridge = has(node, "virtualport_type") || has(node, "nic");
    put(node, "forward", if on_bridge { "bridge" } else { NAT });
    let mode = node.get("forward").map(|f| f.get("type").unwrap_or(f));
    let mode = mode.and_then(|m| match &m.value {
        Value::Scalar(text, _) => Some(text.as_str()),
        _ => None,
    });
    // These have no subnet of the hypervisor's.
    if mode.and_then(Forward::of_word).is_some_and(|forward| !forward.is_served()) {
        return;
    }
    // IPv6 alone, or nothing of ours at all.
    let is_none = |n: &Tree| matches!(&n.value, Value::Scalar(text, _) if text == NO_SUBNET);
    if node.get("subnet").is_some_and(is_none) {
        remove(node, "subnet");
        return;
    }
    if !has(node, "ip_address") {
        put(node, "subnet", network::AUTO);
    }
    put(node, "dhcp", YES);
}

fn remove(node: &mut Tree, key: &str) {
    if let Value::Map(entries) = &mut node.value {
        entries.retain(|e| e.key != key);
    }
}

/// Gives a node type of the project file what it leaves out. `key` is what the project file calls it.
pub(super) fn complete_node(node: &mut Tree, key: &str, span: Span) {
    let put = |node: &mut Tree, key: &str, value: Tree| {
        if node.get(key).is_none_or(|n| n.value == Value::Null) {
            set(node, key, value, span);
        }
    };
    let one = |node| Tree { value: Value::List(vec![node]), span };
    put(node, "name", Tree::scalar(key, span));
    put(node, "cpu", Tree::scalar(VCPUS, span));
    put(node, "memory", Tree::scalar(MEMORY_MIB, span));
    put(node, "disks", one(Tree::scalar(DISK, span)));
    // With the characters that Ansible takes; a type may also be called like a group that has a meaning of its own.
    if let Some(group) = Group::of_type(key) {
        put(node, "groups", one(Tree::scalar(group.as_str(), span)));
    }
    own_image(node);
}

/// Takes an `image` that is no mapping for that of the node type: it is what names the image of all of them.
fn own_image(node: &mut Tree) {
    let has_other = node.get("import_url").is_some();
    let Value::Map(entries) = &mut node.value else { return };
    let is_named = |e: &&mut Entry| e.key == "image" && matches!(e.value.value, Value::Scalar(..));
    if let Some(entry) = entries.iter_mut().find(is_named)
        && !has_other
    {
        entry.key = "import_url".into();
    }
}

/// The interfaces of a node that names none: one, on the first of the networks.
pub(super) fn first_of(networks: &Tree, span: Span) -> Option<Tree> {
    let first = networks.entries().first()?;
    let name = match first.value.get("name").map(|n| &n.value) {
        Some(Value::Scalar(name, _)) => name,
        _ => &first.key,
    };
    Some(Tree { value: Value::List(vec![Tree::scalar(name, span)]), span })
}

/// Puts a key into a mapping.
pub(super) fn set(node: &mut Tree, key: &str, value: Tree, span: Span) {
    remove(node, key);
    if let Value::Map(entries) = &mut node.value {
        entries.push(Entry { key: key.into(), key_span: span, value });
    }
}
