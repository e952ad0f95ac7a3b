//! What Maquette, `ssh` and Ansible interpret of a workspace is rewritten from checked values.

use std::collections::BTreeSet;
use std::fmt::Write;

use maquette_core::names::EnvName;
use maquette_engine::public_keys;
use maquette_engine::ssh_keys::KEY_FILE;

use super::contents::{Node, Tree};
use super::{arguments, hosts, words};
use crate::workspace::outputs;
use crate::workspace::{SAVED, Saved};

/// What of the content is not taken, in words.
pub type LeftOut = Vec<String>;

/// Names that Ansible or Git would run or evaluate if they lay beside an inventory.
const RUN: [&str; 6] =
    ["ansible.cfg", "group_vars", "host_vars", "library", "module_utils", "collections"];

/// The content with all that is interpreted rewritten, for a workspace at `path`.
pub fn check(tree: Tree, path: &str) -> (Tree, LeftOut) {
    let mut left_out = Vec::new();
    let mut checked = directory(&tree, "", path, &mut left_out);
    if let Some(text) = config(&tree) {
        checked.set(outputs::SSH_CONFIG, file(text.replace(words::PLACEHOLDER, path)));
    }
    (checked, left_out)
}

fn file(text: String) -> Node {
    Node::File(text.into_bytes())
}

fn directory(tree: &Tree, at: &str, path: &str, left_out: &mut LeftOut) -> Tree {
    let mut checked = Tree::default();
    let linked = linked(tree);
    for (name, node) in tree.iter() {
        let shown = format!("{at}{name}");
        let lower = name.to_lowercase();
        let run = RUN.contains(&lower.as_str()) || lower.ends_with("_plugins");
        // A file system may take `hoſts` for `hosts`: what is interpreted has a plain name, and is here.
        let odd = at.is_empty() && !name.is_ascii();
        // It would be how long an environment lasts, or with whom it is shared, that is another one here.
        let told = at.is_empty() && super::LEFT_OUT.contains(&lower.as_str());
        if run || odd || told || (name.starts_with('.') && name != ".registry") {
            left_out.push(shown);
            continue;
        }
        match node {
            Node::Link(target) => match link(tree, name, target, path, left_out, &shown) {
                Some(taken) => checked.set(name, taken),
                None => left_out.push(shown),
            },
            Node::Directory(_) if is_special(&lower) => left_out.push(shown),
            Node::Directory(inner) => {
                let inner = directory(inner, &format!("{shown}/"), path, left_out);
                checked.set(name, Node::Directory(inner));
            }
            Node::File(bytes) => match content(tree, &linked, &lower, bytes, left_out, &shown) {
                Some(Content::Same) => checked.set(name, Node::File(bytes.clone())),
                Some(Content::Anew(text)) => {
                    checked.set(name, file(text.replace(words::PLACEHOLDER, path)));
                }
                None => left_out.push(shown),
            },
        }
    }
    checked
}

/// What the links with names of inventories lead to, in lower case.
fn linked(tree: &Tree) -> BTreeSet<String> {
    let links = tree.iter().filter(|(_, node)| matches!(node, Node::Link(_)));
    let inventories = links.filter(|(name, _)| is_inventory(&name.to_lowercase()));
    inventories.filter_map(|(name, _)| Some(tree.end(name)?.0.to_lowercase())).collect()
}

/// What stands for a link, if anything: what is interpreted has to be a file, whose content is checked under
/// each name that leads to it.
fn link(
    tree: &Tree,
    name: &str,
    target: &str,
    path: &str,
    left_out: &mut LeftOut,
    shown: &str,
) -> Option<Node> {
    let lower = name.to_lowercase();
    let end = tree.end(name);
    let Some((end, bytes)) = end.and_then(|(end, node)| match node {
        Node::File(bytes) => Some((end, bytes)),
        _ => None,
    }) else {
        return (!is_special(&lower)).then(|| Node::Link(target.into()));
    };
    let ends = end.to_lowercase();
    if is_inventory(&lower) {
        // The file is checked as an inventory, and could not be something else as well.
        return (is_inventory(&ends) || !is_special(&ends)).then(|| Node::Link(end.into()));
    }
    if !is_special(&lower) {
        return Some(Node::Link(end.into()));
    }
    match content(tree, &BTreeSet::new(), &lower, bytes, left_out, shown)? {
        Content::Same => Some(Node::File(bytes.clone())),
        Content::Anew(text) => Some(file(text.replace(words::PLACEHOLDER, path))),
    }
}

enum Content {
    Same,
    Anew(String),
}

/// Inventories, and what a link named `hosts` may lead to. A public key is one, whatever its name begins with.
fn is_inventory(lower: &str) -> bool {
    let named = lower.starts_with(outputs::INVENTORY) || lower == outputs::LOCAL;
    named && !lower.ends_with(".pub")
}

fn is_special(lower: &str) -> bool {
    is_inventory(lower)
        || [outputs::SSH_CONFIG, outputs::KNOWN_HOSTS, SAVED].contains(&lower)
        || lower.ends_with(".pub")
}

fn content(
    tree: &Tree,
    linked: &BTreeSet<String>,
    lower: &str,
    bytes: &[u8],
    left_out: &mut LeftOut,
    shown: &str,
) -> Option<Content> {
    if !is_special(lower) && !linked.contains(lower) {
        return Some(Content::Same);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let mut rest = Vec::new();
    let anew = match lower {
        // From the inventory, afterwards.
        outputs::SSH_CONFIG => String::new(),
        outputs::KNOWN_HOSTS => known_hosts(text, &mut rest),
        SAVED => saved(text)?,
        _ => match lower.strip_suffix(".pub") {
            Some(private) => public_key(tree, private, text)?,
            None => hosts::rewrite(text, &mut rest).0,
        },
    };
    left_out.extend(rest.into_iter().map(|what| format!("{shown}: {what}")));
    Some(Content::Anew(anew))
}

fn public_key(tree: &Tree, private: &str, text: &str) -> Option<String> {
    let derived = match tree.get(private) {
        Some(Node::File(bytes)) => public_keys::of_private(bytes),
        _ => None,
    };
    // An encrypted private key keeps its public half to itself.
    let line = match derived {
        Some(line) => line,
        None if private == KEY_FILE => return None,
        None => public_keys::line(text)?,
    };
    Some(format!("{line}\n"))
}

fn known_hosts(text: &str, left_out: &mut LeftOut) -> String {
    let mut out = String::new();
    for line in text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        match public_keys::known_host(line) {
            Some(line) => {
                let _ = writeln!(out, "{line}");
            }
            None => left_out.push(line.into()),
        }
    }
    out
}

/// What the workspace remembers of its environment.
fn saved(text: &str) -> Option<String> {
    let saved = Saved::parse(text)?;
    // A value that does not parse is not taken for none: that would be this machine.
    let given: serde_json::Value = serde_json::from_str(text).ok()?;
    let lost = |name: &str, read: bool| given["hypervisor"][name].is_string() && !read;
    if lost("address", saved.host.address.is_some()) || lost("user", saved.host.user.is_some()) {
        return None;
    }
    let fits = |value: Option<&str>, check: fn(&str) -> bool| value.is_none_or(check);
    let key = saved.host.key.as_ref().map(|k| k.display().to_string());
    let taken = fits(saved.prefix.as_deref(), |p| EnvName::from_prefix(p).is_ok())
        && fits(saved.host.address.as_deref(), words::is_host)
        && fits(saved.host.user.as_deref(), words::is_user)
        && fits(key.as_deref(), words::is_path)
        && fits(saved.pool_name.as_deref(), words::is_word)
        && fits(saved.pool_path.as_deref(), words::is_path);
    // Whose project file that was says nothing here.
    taken.then(|| Saved { project: None, imported: true, ..saved }.text())
}

/// The ssh config of the hosts of an archive that has one: what its inventory says of them.
fn config(tree: &Tree) -> Option<String> {
    tree.get(outputs::SSH_CONFIG)?;
    let Some((_, Node::File(bytes))) = tree.end(outputs::INVENTORY) else {
        return Some(String::new());
    };
    let text = String::from_utf8_lossy(bytes);
    // What is left out of the inventory has been named.
    let (_, hosts) = hosts::rewrite(&text, &mut Vec::new());
    Some(hosts.iter().map(block).collect())
}

/// A host's block; none for this machine and for what cannot be logged in to.
fn block(host: &hosts::Host) -> String {
    let address = host.var("ansible_host").or(host.var("ansible_ssh_host"));
    let connection = host.var("ansible_connection").unwrap_or("ssh");
    let Some(address) = address.filter(|a| *a != "NA" && connection == "ssh") else {
        return String::new();
    };
    let mut out = format!("Host {}\n  HostName {}\n", host.name, address.trim_matches(['[', ']']));
    for (keyword, names) in [
        ("User", ["ansible_user", "ansible_ssh_user"]),
        ("Port", ["ansible_port", "ansible_ssh_port"]),
        ("IdentityFile", ["ansible_ssh_private_key_file", "ansible_private_key_file"]),
    ] {
        if let Some(value) = names.iter().find_map(|n| host.var(n)) {
            let quote = if keyword == "IdentityFile" { "\"" } else { "" };
            let _ = writeln!(out, "  {keyword} {quote}{value}{quote}");
        }
    }
    for name in ["ansible_ssh_common_args", "ansible_ssh_extra_args"] {
        let text = host.var(name).unwrap_or_default();
        for (keyword, value) in arguments::read(text, &mut Vec::new()).options {
            let quote = if keyword.ends_with("File") { "\"" } else { "" };
            let _ = writeln!(out, "  {keyword} {quote}{value}{quote}");
        }
    }
    for (keyword, value) in outputs::LIMITS {
        if !out.contains(&format!("\n  {keyword} ")) {
            let _ = writeln!(out, "  {keyword} {value}");
        }
    }
    out.push('\n');
    out
}
