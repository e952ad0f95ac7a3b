//! Variables of InfraRed's role `vbmc`, which makes BMCs where Maquette does not. Where it does, they mean the same here, and
//! those without a counterpart are refused: nobody would find out otherwise that BMCs are another way.

use std::net::IpAddr;
use std::num::NonZeroU16;

use super::Topology;
use crate::diagnostic::{Diagnostic, Diagnostics, UNUSED_EXTRA};
use crate::scrub::is_secret_name;
use crate::syntax::{Plain, Spanned, Tree, Value};
use crate::values::BmcCredentials;

/// Where these variables have BMCs that share an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vbmc {
    /// The first of their IPMI ports, if it is given.
    pub start_port: Option<Spanned<NonZeroU16>>,
    /// The address, one of the hypervisor's on a network of the environment, if it is given.
    pub address: Option<Spanned<IpAddr>>,
}

const START_PORT: &str = "vbmc_start_port";
const ADDRESS: &str = "vbmc_management_address";
const USER: &[&str] = &["install", "vbmc", "username"];
const PASSWORD: &[&str] = &["install", "vbmc", "password"];

const HOST: &str = "they are served on the hypervisor alone";
const PORTS: &str =
    "`vbmc_start_port` is the first IPMI port; the others follow it in the order of the nodes";
const NODES: &str = "`bmc` of a node type says which nodes have one";

/// Those without a counterpart, and how what they say is said here.
const OTHERS: [(&[&str], &str); 4] = [
    (&["vbmc_ports"], PORTS),
    (&["vbmc_nodes"], NODES),
    (&["vbmc_host"], HOST),
    (&["install", "vbmc", "host"], HOST),
];

/// Whether an extra variable of this name is looked at here, once it is known whether there are BMCs.
pub(super) fn knows(name: &str) -> bool {
    [START_PORT, ADDRESS, USER[0]].contains(&name) || OTHERS.iter().any(|(path, _)| path[0] == name)
}

/// Takes out what no expression sees.
pub(super) fn hide(extra: &mut Plain) {
    let (last, above) = (PASSWORD[PASSWORD.len() - 1], &PASSWORD[..PASSWORD.len() - 1]);
    let found = above.iter().try_fold(extra, |node, key| match node {
        Plain::Map(map) => map.get_mut(*key),
        _ => None,
    });
    if let Some(Plain::Map(map)) = found {
        map.remove(last);
    }
}

/// Reads them if any node has a BMC; if none has, they are InfraRed's, and have no effect here. `is_read` tells those that
/// something else reads.
pub(super) fn read(
    topology: &mut Topology,
    extra: &Tree,
    is_read: &dyn Fn(&str) -> bool,
    diags: &mut Diagnostics,
) {
    let mut used = topology.roles.iter().filter(|role| role.count > 0);
    if !used.any(|role| topology.bmc_of(role).is_some()) {
        return idle(extra, is_read, diags);
    }
    for (path, help) in OTHERS {
        if let Some(found) = extra.at(path).filter(|node| !is_usual(path, node)) {
            diags.push(refusal(path, help).at(found.span, "").help(LEFT));
        }
    }
    account(topology, extra, diags);
    place(topology, extra, diags);
}

const LEFT: &str = "where `bmc` is `off` they are left to InfraRed's role `vbmc`, which reads it";

fn refusal(path: &[&str], help: &str) -> Diagnostic {
    let message = format!("`{}` does not say how Maquette's BMCs are", path.join("."));
    Diagnostic::error("bmc::vbmc", message).help(help)
}

fn idle(extra: &Tree, is_read: &dyn Fn(&str) -> bool, diags: &mut Diagnostics) {
    for entry in extra.entries() {
        if knows(&entry.key) && !is_read(&entry.key) {
            let message = format!("`{}` has no effect", entry.key);
            let diagnostic = Diagnostic::warning(UNUSED_EXTRA, message).at(entry.key_span, "");
            // It may be in the same line.
            diags.push(if has_secret(&entry.value) { diagnostic.secret() } else { diagnostic });
        }
    }
}

fn has_secret(tree: &Tree) -> bool {
    let mut entries = tree.entries().iter();
    entries.any(|entry| is_secret_name(&entry.key) || has_secret(&entry.value))
}

/// Whether it is what holds here, too.
fn is_usual(path: &[&str], node: &Tree) -> bool {
    let Value::Scalar(text, _) = &node.value else { return node.is_empty() };
    let host = matches!(path, ["vbmc_host"] | ["install", "vbmc", "host"]);
    text.is_empty() || (host && text == "hypervisor")
}

/// The account of all of them. The role has none of its own, and takes one without a password for a mistake.
fn account(topology: &mut Topology, extra: &Tree, diags: &mut Diagnostics) {
    let (user, password) = (extra.at(USER), extra.at(PASSWORD));
    let Some(found) = user.or(password) else { return };
    let (Some(user), Some(password)) = (user, password) else {
        let message = "`install.vbmc.username` and `install.vbmc.password` are one account";
        let diagnostic = Diagnostic::error("bmc::vbmc", message).at(found.span, "").secret();
        diags.push(diagnostic.help("give both, or neither"));
        return;
    };
    let text = |node: &Tree| match &node.value {
        Value::Scalar(text, _) => text.clone(),
        _ => String::new(),
    };
    match BmcCredentials::chosen(&text(user), &text(password)) {
        Ok(account) => topology.settings.bmc_credentials = account,
        Err(why) => {
            let message = "`install.vbmc` has no account that BMCs can have";
            let diagnostic = Diagnostic::error("bmc::vbmc", message).at(password.span, "");
            diags.push(diagnostic.secret().help(why).help(LEFT));
        }
    }
}

/// Where they are, if they are all at one address.
fn place(topology: &mut Topology, extra: &Tree, diags: &mut Diagnostics) {
    let given = |name: &str| extra.get(name).filter(|node| !is_usual(&[name], node));
    let mut wrong = |name: &str, node: &Tree, help: &str| {
        diags.push(refusal(&[name], help).at(node.span, "").help(LEFT));
    };
    let own = topology.settings.bmc_network.is_some();
    let used = topology.roles.iter().filter(|role| role.count > 0);
    let has_ipmi = used.filter_map(|role| topology.bmc_of(role)).any(|bmc| bmc.has_ipmi());
    if let Some(node) = given(START_PORT) {
        match parsed::<NonZeroU16>(node) {
            _ if own => wrong(
                START_PORT,
                node,
                "with `bmc-network` each has an address of its own, and port 623",
            ),
            _ if !has_ipmi => wrong(START_PORT, node, "they do not speak IPMI: `bmc` is `redfish`"),
            None => wrong(START_PORT, node, "a port is a number from 1 to 65535"),
            Some(port) => topology.vbmc.start_port = Some(Spanned::new(port, node.span)),
        }
    }
    if let Some(node) = given(ADDRESS) {
        match parsed::<IpAddr>(node) {
            _ if own => wrong(ADDRESS, node, "with `bmc-network` each has an address of its own"),
            None => wrong(ADDRESS, node, "an address is written like `172.16.0.1`"),
            Some(address) => topology.vbmc.address = Some(Spanned::new(address, node.span)),
        }
    }
}

fn parsed<T: std::str::FromStr>(node: &Tree) -> Option<T> {
    match &node.value {
        Value::Scalar(text, _) => text.trim().parse().ok(),
        _ => None,
    }
}
