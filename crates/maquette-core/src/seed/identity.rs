//! `identity`: who a node is, for the agent of prepared images (`maquette-agent` in the engine's assets).
//!
//! Lines of a keyword and its values, separated by spaces, after one that names the format's version: the agent is
//! started before everything else and reads it without a parser. A later agent knows every keyword of an earlier
//! version; an agent that is older than the version leaves the node to cloud-init.

use std::fmt::Write;

use super::cloud_init::{READY_PORT, asks, instance};
use crate::blueprint::{Guest, Node};

/// Says that nobody is to be set up yet: the agent waits until it is told who it is. Nodes are thought to have an
/// account `user`, which takes long to make; one that has another loses this.
pub(super) fn template(user: &str) -> String {
    let account = if user == "root" { String::new() } else { format!("user {user}\n") };
    format!("maquette 1\ntemplate\nport {READY_PORT}\n{account}")
}

/// What an agent has to know to set a node up.
pub(super) fn text(node: &Node, guest: &Guest) -> String {
    // Agents of the first version would pass over what else there is to do.
    let version = if guest.first_boot.is_some() { 2 } else { 1 };
    let mut out = format!("maquette {version}\n");
    let mut line = |keyword: &str, values: &str| {
        let _ = writeln!(out, "{keyword} {values}");
    };
    line("instance", &instance(node));
    line("hostname", &node.name);
    line("port", READY_PORT);
    let mut users = vec!["root"];
    if guest.user != "root" {
        line("user", &format!("{} sudo", guest.user));
        users.push(&guest.user);
    }
    for user in users {
        guest.keys().for_each(|key| line("key", &format!("{user} {key}")));
    }
    line("host-key", &guest.host_key);
    if let Some(zone) = &guest.timezone {
        line("timezone", zone);
    }
    if guest.swap_mib > 0 {
        line("swap", &guest.swap_mib.to_string());
    }
    if let Some(size) = node.disks.first().and_then(|disk| disk.size) {
        line("disk", &size.0.to_string());
    }
    for interface in &node.interfaces {
        line("nic", &format!("{} {}", interface.name, interface.mac));
    }
    if let Some(interface) = asks(node) {
        line("asks", &interface.name);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_nobody_with_the_account_of_its_nodes() {
        assert_eq!(
            template("cloud-user"),
            "maquette 1\ntemplate\nport org.maquette.ready\nuser cloud-user\n"
        );
        // Every system has that.
        assert_eq!(template("root"), "maquette 1\ntemplate\nport org.maquette.ready\n");
    }
}
