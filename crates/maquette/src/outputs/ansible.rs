//! The inventory: one line for each host, then the groups, as the older tool's readers expect.

use std::fmt::Write;

use maquette_core::blueprint::Node;

use super::Files;

/// Ansible's INI form, which is not quite INI.
pub fn inventory(nodes: &[&Node], files: &Files) -> String {
    let mut out = String::from("\n");
    out.push_str("localhost ansible_connection=local\nhypervisor ansible_connection=local\n");
    for node in nodes {
        out.push_str(&host(node, files));
    }
    out.push_str("\n[local]\nlocalhost\n\n[hypervisor]\nhypervisor\n");
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for node in nodes {
        for group in &node.groups {
            match groups.iter_mut().find(|(name, _)| *name == group.as_str()) {
                Some((_, members)) => members.push(&node.name),
                None => groups.push((group, vec![&node.name])),
            }
        }
    }
    for (name, members) in groups {
        let _ = write!(out, "\n[{name}]\n{}\n", members.join("\n"));
    }
    out
}

fn host(node: &Node, files: &Files) -> String {
    let address = match node.access.address {
        Some(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        Some(address) => address.to_string(),
        None => "NA".into(),
    };
    let mut line = format!(
        "{name}  ansible_host={address} ansible_connection={connection} ansible_user={user}",
        name = node.name,
        connection = node.access.connection,
        user = node.access.user,
    );
    if node.guest.is_some() {
        let _ = write!(
            line,
            " ansible_ssh_private_key_file=\"{key}\" ansible_ssh_common_args='-o BatchMode=yes \
             -o ServerAliveInterval=30 -o ControlMaster=auto -o ControlPersist=30m \
             -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o HostKeyAlias={name} \
             -o UserKnownHostsFile=\"{known}\"' ansible_python_interpreter=auto_silent",
            key = files.key,
            name = node.name,
            known = files.known_hosts,
        );
    }
    line.push('\n');
    line
}
