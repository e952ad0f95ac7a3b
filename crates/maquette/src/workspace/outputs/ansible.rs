//! The inventory: one line for each host, then the groups, as InfraRed's readers expect; and
//! the same as Ansible's dynamic inventory.

use std::fmt::Write;

use maquette_core::blueprint::Node;
use serde_json::{Map, Value, json};

use super::{Files, ssh_config};

/// A host with its variables, in the order in which they are written.
struct Host {
    name: String,
    vars: Vec<(&'static str, String)>,
}

/// Local hosts run modules with the Python that runs Ansible, as its implicit localhost does.
const LOCAL_PYTHON: &str = "{{ ansible_playbook_python }}";

/// Ansible's INI form, which is not quite INI.
pub fn inventory(nodes: &[&Node], files: &Files<'_>) -> String {
    let mut out = String::from("\n");
    for host in hosts(nodes, files) {
        // Two blanks, since readers look for them.
        let _ = write!(out, "{} ", host.name);
        for (name, value) in &host.vars {
            let _ = write!(out, " {name}={}", quoted(value));
        }
        out.push('\n');
    }
    for (name, members) in groups(nodes) {
        let _ = write!(out, "\n[{name}]\n{}\n", members.join("\n"));
    }
    out
}

/// The inventory of this machine alone.
pub fn local() -> String {
    format!(
        "localhost ansible_connection=local ansible_python_interpreter='{LOCAL_PYTHON}'\n\n\
         [local]\nlocalhost\n"
    )
}

/// What `--list` answers.
/// <https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html>
pub fn dynamic(nodes: &[&Node], files: &Files<'_>) -> Value {
    let vars: Map<String, Value> = hosts(nodes, files)
        .into_iter()
        .map(|host| {
            let vars = host.vars.into_iter().map(|(k, v)| (k.to_string(), Value::String(v)));
            (host.name, Value::Object(vars.collect()))
        })
        .collect();
    let mut out = Map::new();
    out.insert("_meta".into(), json!({"hostvars": vars}));
    for (name, members) in groups(nodes) {
        out.insert(name.into(), json!({"hosts": members}));
    }
    // Ansible knows no host that is in no group; in the INI form it puts them here by itself.
    let alone: Vec<&str> =
        nodes.iter().filter(|n| n.groups.is_empty()).map(|n| n.name.as_str()).collect();
    if !alone.is_empty() {
        out.insert("ungrouped".into(), json!({"hosts": alone}));
    }
    Value::Object(out)
}

/// A value with blanks is put in single quotes. None has such a quote in it: they are made of checked
/// values.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:[]@+".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.into();
    }
    format!("'{value}'")
}

fn hosts(nodes: &[&Node], files: &Files<'_>) -> Vec<Host> {
    let local = |name: &str| Host {
        name: name.into(),
        vars: vec![
            ("ansible_connection", "local".into()),
            ("ansible_python_interpreter", LOCAL_PYTHON.into()),
        ],
    };
    let mut all = vec![local("localhost")];
    all.push(match files.jump() {
        None => local("hypervisor"),
        Some(target) => {
            let mut vars = vec![
                ("ansible_host", target.address.to_string()),
                ("ansible_connection", "ssh".into()),
                ("ansible_user", target.user.to_string()),
            ];
            if let Some(key) = &target.key {
                vars.push(("ansible_ssh_private_key_file", key.display().to_string()));
            }
            vars.push(("ansible_python_interpreter", "auto_silent".into()));
            Host { name: "hypervisor".into(), vars }
        }
    });
    all.extend(nodes.iter().map(|node| host(node, files)));
    all
}

fn host(node: &Node, files: &Files<'_>) -> Host {
    let address = match node.access.address {
        Some(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        Some(address) => address.to_string(),
        None => "NA".into(),
    };
    let mut vars = vec![
        ("ansible_host", address),
        ("ansible_connection", node.access.connection.to_string()),
        ("ansible_user", node.access.user.to_string()),
    ];
    // Nodes without an operating system are nobody's to connect to directly: from here, their addresses may
    // be a stranger's.
    if node.guest.is_some() || !node.deploy_os {
        vars.push(("ansible_ssh_private_key_file", files.key.to_string()));
        vars.push(("ansible_ssh_common_args", common_args(node, files)));
        vars.push(("ansible_python_interpreter", "auto_silent".into()));
    }
    Host { name: node.name.clone(), vars }
}

/// Options of `ssh`. The way through the hypervisor is a ProxyCommand, since readers look for the
/// hypervisor's address and key in it.
fn common_args(node: &Node, files: &Files<'_>) -> String {
    let mut args = format!(
        " -o BatchMode=yes -o ServerAliveInterval=30 -o ControlMaster=auto \
         -o ControlPersist=30m -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes \
         -o HostKeyAlias={name} -o UserKnownHostsFile=\"{known}\"",
        name = node.name,
        known = files.known_hosts,
    );
    if let Some(target) = files.jump().filter(|_| !node.access.direct) {
        let key = target.key.as_ref().map_or(String::new(), |k| format!("-i {} ", k.display()));
        let _ = write!(
            args,
            " -o ProxyCommand=\"ssh -o BatchMode=yes -o StrictHostKeyChecking=yes \
             -o GlobalKnownHostsFile={known} -W %h:%p {key}{user}@{address}\"",
            known = files.known_hosts,
            user = target.user,
            address = ssh_config::literal(target.address.as_str()),
        );
    }
    args
}

/// Groups in the order of their first use, `local` and `hypervisor` before all.
fn groups<'a>(nodes: &[&'a Node]) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> =
        vec![("local", vec!["localhost"]), ("hypervisor", vec!["hypervisor"])];
    for node in nodes {
        for group in &node.groups {
            match groups.iter_mut().find(|(name, _)| *name == group.as_str()) {
                Some((_, members)) => members.push(&node.name),
                None => groups.push((group, vec![&node.name])),
            }
        }
    }
    groups
}
