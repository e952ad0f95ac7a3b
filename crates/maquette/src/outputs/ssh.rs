//! ssh config and known_hosts. Host keys are looked up by node name, so that environments with the
//! same addresses on different hypervisors never mix.

use std::fmt::Write;

use maquette_core::blueprint::Node;

use super::Files;

/// `ssh -F`: a block for each node that can be logged in to.
pub fn config(nodes: &[&Node], files: &Files) -> String {
    let mut out = String::new();
    for node in nodes.iter().filter(|n| n.deploy_os) {
        let Some(address) = node.access.address else { continue };
        let _ = write!(
            out,
            "Host {name}\n  HostName {address}\n  User {user}\n",
            name = node.name,
            user = node.access.user
        );
        if node.guest.is_some() {
            let _ = write!(
                out,
                "  IdentityFile \"{key}\"\n  IdentitiesOnly yes\n  HostKeyAlias {name}\n  \
                 UserKnownHostsFile \"{known}\"\n  StrictHostKeyChecking yes\n  \
                 UpdateHostKeys no\n",
                key = files.key,
                name = node.name,
                known = files.known_hosts,
            );
        }
        out.push('\n');
    }
    out
}

/// Host keys, by name and by address.
pub fn known_hosts(nodes: &[&Node]) -> String {
    let mut out = String::new();
    for node in nodes {
        let Some(guest) = &node.guest else { continue };
        // The key's comment is the node's name again.
        let key: Vec<&str> = guest.host_key.split(' ').take(2).collect();
        let address = node.access.address.map_or(String::new(), |a| format!(",{a}"));
        let _ = writeln!(out, "{}{address} {}", node.name, key.join(" "));
    }
    out
}
