//! ssh config and known_hosts. Host keys are looked up by node name, so that environments with the
//! same addresses on different hypervisors never mix.

use std::fmt::Write;

use maquette_core::blueprint::Node;

use super::Files;
use crate::host_args::Remote;

/// Limits of every connection, in seconds, unless the user says something else: without them TCP tries for two minutes
/// where nothing answers, and `ssh` waits for ever for who no longer answers. It gives up at the fourth question without an
/// answer.
pub const LIMITS: [(&str, &str); 2] = [("ConnectTimeout", "20"), ("ServerAliveInterval", "30")];

/// The limits as lines of a block.
fn limits(out: &mut String) {
    for (keyword, value) in LIMITS {
        let _ = writeln!(out, "  {keyword} {value}");
    }
}

/// `ssh -F`: a block for each node that can be logged in to, and one for the hypervisor that leads
/// there.
pub fn config(nodes: &[&Node], files: &Files<'_>) -> String {
    let mut out = String::new();
    if let Some(remote) = files.remote {
        hypervisor(&mut out, remote, files);
    }
    for node in nodes.iter().filter(|n| n.deploy_os) {
        // One that is yet to report its address has its key here already.
        if node.access.address.is_none() && node.guest.is_none() {
            continue;
        }
        let _ = writeln!(out, "Host {}", node.name);
        if let Some(address) = node.access.address {
            let _ = writeln!(out, "  HostName {address}");
        }
        let _ = writeln!(out, "  User {}", node.access.user);
        limits(&mut out);
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
        if files.remote.is_some() && !node.access.direct {
            out.push_str("  ProxyJump hypervisor\n");
        }
        out.push('\n');
    }
    if files.remote.is_some() {
        // `-F` leaves the user's own configuration out, and the hypervisor may be known only there.
        out.push_str("Match all\n  Include ~/.ssh/config\n");
    }
    out
}

/// The hypervisor as the user's configuration describes it, written out.
fn hypervisor(out: &mut String, remote: &Remote, files: &Files<'_>) {
    let (target, effective) = (&remote.target, &remote.effective);
    let _ = write!(
        out,
        "Host hypervisor\n  HostName {}\n  User {}\n",
        literal(&effective.hostname),
        target.user
    );
    limits(out);
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(out, "  {key} {value}");
    };
    if let Some(port) = effective.port {
        line("Port", &port.to_string());
    }
    if let Some(alias) = &effective.host_key_alias {
        line("HostKeyAlias", alias);
    }
    if let Some(jump) = &effective.proxy_jump {
        line("ProxyJump", jump);
    } else if let Some(command) = &effective.proxy_command {
        line("ProxyCommand", command);
    }
    if let Some(key) = &target.key {
        line("IdentityFile", &format!("\"{key}\""));
        line("IdentitiesOnly", "yes");
    } else {
        for key in &effective.identity_files {
            line("IdentityFile", &format!("\"{key}\""));
        }
        if effective.identities_only {
            line("IdentitiesOnly", "yes");
        }
    }
    line("GlobalKnownHostsFile", &format!("\"{}\"", files.known_hosts));
    line("StrictHostKeyChecking", "yes");
    out.push('\n');
}

/// A value in which `ssh` would take `%` for the start of a token: the zone of an IPv6 address.
pub(super) fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

/// Host keys: of nodes by their names, which is how everybody looks for them, and of the hypervisor as it is known here.
/// Not by address: a guest says itself what that is, and it may name the hypervisor's. No node is known by the hypervisor's
/// name.
pub fn known_hosts(nodes: &[&Node], remote: Option<&Remote>) -> String {
    let mut out = String::new();
    for line in remote.map_or(&[][..], |r| &r.host_keys) {
        let _ = writeln!(out, "{line}");
    }
    for node in nodes {
        let Some(guest) = &node.guest else { continue };
        // The guest would be taken for the hypervisor by whoever goes through that.
        if remote.is_some_and(|remote| remote.is_called(&node.name)) {
            continue;
        }
        // The key's comment is the node's name again.
        let key: Vec<&str> = guest.host_key.split(' ').take(2).collect();
        let _ = writeln!(out, "{} {}", node.name, key.join(" "));
    }
    out
}

#[cfg(test)]
mod tests {
    use maquette_engine::host::ssh::{Effective, Target};

    use super::*;
    use crate::workspace::Workspace;

    /// Whoever writes a topology chooses names, and a guest that has the hypervisor's address on its LAN got its logins.
    #[test]
    fn no_key_of_a_guest_is_known_by_a_name_of_the_hypervisors() {
        let node = |name: &str| Node {
            guest: Some(maquette_testkit::guest()),
            ..maquette_testkit::node(name)
        };
        let nodes = ["hv-1", "alias-2", "key-3", "web-0"].map(node);
        let target =
            Target { address: "HV-1".parse().unwrap(), user: "root".parse().unwrap(), key: None };
        let effective = Effective {
            host_key_alias: "alias-2".parse().ok(),
            ..Effective::plain("192.0.2.1".parse().unwrap())
        };
        let host_keys = vec!["key-3 ssh-ed25519 HHHH".parse().unwrap()];
        let remote = Remote { target, effective, host_keys };
        let text = known_hosts(&nodes.each_ref(), Some(&remote));
        assert_eq!(text, "key-3 ssh-ed25519 HHHH\nweb-0 ssh-ed25519 BBBB\n");
        assert_eq!(known_hosts(&nodes.each_ref(), None).lines().count(), 4);
    }

    /// `%` begins a token of ssh's, and one that it does not know ends it.
    #[test]
    fn an_ipv6_address_with_a_zone_is_what_ssh_connects_to_within_limits() {
        let home = tempfile::tempdir().unwrap();
        let target = Target {
            address: "fe80::1%eth0".parse().unwrap(),
            user: "root".parse().unwrap(),
            key: None,
        };
        let effective = Effective::plain(target.address.clone());
        let remote = Remote { target, effective, host_keys: Vec::new() };
        let files = Files::new(&Workspace::at(home.path()), Some(&remote), None).unwrap();
        let text = config(&[], &files);
        // What follows is the user's own.
        let (own, _) = text.split_once("Match all").unwrap();
        let file = home.path().join("config");
        std::fs::write(&file, own).unwrap();
        let mut ssh = std::process::Command::new("ssh");
        let output = ssh.arg("-F").arg(&file).args(["-G", "hypervisor"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        // On the way to a node, too, who does not answer ends it.
        for wanted in ["hostname fe80::1%eth0", "connecttimeout 20", "serveraliveinterval 30"] {
            assert!(said.lines().any(|line| line == wanted), "{wanted}: {output:?}");
        }
    }
}
