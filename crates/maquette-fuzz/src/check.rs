//! What must hold of everything that other programs read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use maquette::fuzzing::{self, Outputs, Way};
use maquette_core::blueprint::Node;
use maquette_core::seed::seed_files;
use maquette_core::syntax::Plain;
use maquette_core::topology::FirstBoot;
use maquette_core::values::{Secret, is_unprintable};

/// Keywords of an ssh config that Maquette writes.
const SSH_WORDS: [&str; 10] = [
    "Host",
    "HostName",
    "User",
    "ConnectTimeout",
    "ServerAliveInterval",
    "IdentityFile",
    "IdentitiesOnly",
    "HostKeyAlias",
    "UserKnownHostsFile",
    "StrictHostKeyChecking",
];

/// Variables of an inventory that Maquette writes.
const VARIABLES: [&str; 11] = [
    "ansible_host",
    "ansible_connection",
    "ansible_user",
    "ansible_ssh_private_key_file",
    "ansible_ssh_common_args",
    "ansible_python_interpreter",
    "bmc_address",
    "bmc_redfish_url",
    "bmc_ipmi_port",
    "bmc_user",
    "bmc_password",
];

/// What every host is told, where nodes have BMCs.
const SHARED: [&str; 2] = ["vbmc_management_address", "vbmc_ports"];

/// The one template in an inventory.
const LOCAL_PYTHON: &str = "{{ ansible_playbook_python }}";

/// The nodes' workspace, which is never made.
const WORKSPACE: &str = "/w/maquette";

/// Nothing that a terminal, a parser of lines, or a person would read as something else.
pub fn no_controls(what: &str, text: &str) {
    let bad = |c: char| is_unprintable(c) && c != '\n';
    assert!(!text.contains(bad), "{what}: {text:?}");
}

/// What a user is told may have colours, which are ours, and tabs, and nothing else for the terminal.
pub fn told(drawn: &str) {
    let drawn = drawn.replace('\t', " ");
    let mut rest = drawn.as_str();
    while let Some(at) = rest.find("\u{1b}[") {
        no_controls("what is told", &rest[..at]);
        rest = rest[at + 2..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest.strip_prefix('m').unwrap_or_else(|| panic!("what is told: {drawn:?}"));
    }
    no_controls("what is told", rest);
}

/// No text that is a template for Ansible.
fn no_templates(what: &str, text: &str) {
    for mark in ["{{", "{%", "{#"] {
        assert!(!text.contains(mark), "{what}: {text:?}");
    }
}

/// A word that means itself to ssh, Ansible and every shell.
fn plain_word(what: &str, text: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:+/[]".contains(c);
    let fine = !text.is_empty() && !text.starts_with('-') && text.chars().all(plain);
    assert!(fine, "{what}: {text:?}");
}

/// All outputs about nodes that are there for other programs on the operator's machine, however nodes are reached.
pub fn operators_files(nodes: &[&Node]) {
    let machines = ["localhost", "hypervisor"];
    assert!(nodes.iter().all(|n| !machines.contains(&n.name.as_str())), "a node in their place");
    for way in Way::ALL {
        reached(nodes, way);
    }
}

fn reached(nodes: &[&Node], way: Way) {
    let Ok(texts) = fuzzing::outputs(nodes, Path::new(WORKSPACE), way) else { return };
    let Outputs { ssh_config, known_hosts, inventory, dynamic, of_nodes } = texts;
    // What is there without nodes is the user's own, and stays as it is.
    let own = fuzzing::outputs(&[], Path::new(WORKSPACE), way).expect("the user's own is fit");
    let (before, after) =
        own.ssh_config.split_at(own.ssh_config.find("Match all\n").unwrap_or_default());
    let middle = ssh_config.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    ssh(middle.expect("the user's own blocks are as they were"), nodes, way);
    let known_nodes = known_hosts.strip_prefix(&own.known_hosts);
    known(known_nodes.expect("the user's own keys are as they were"), nodes);
    ansible(&inventory, &own.inventory, nodes, way);
    ansible_of_nodes(&of_nodes.0, &of_nodes.1, nodes);
    let hosts = dynamic["_meta"]["hostvars"].as_object().expect("hosts have variables");
    let wanted: BTreeSet<&str> =
        nodes.iter().map(|n| n.name.as_str()).chain(["localhost", "hypervisor"]).collect();
    assert_eq!(hosts.keys().map(String::as_str).collect::<BTreeSet<_>>(), wanted);
    for (host, vars) in hosts {
        if host == "hypervisor" {
            assert_eq!(*vars, own.dynamic["_meta"]["hostvars"][host]);
            continue;
        }
        for (name, value) in vars.as_object().expect("variables are a mapping") {
            assert!(VARIABLES.contains(&name.as_str()), "{host}: {name}");
            let value = value.as_str().expect("values are texts");
            no_controls(name, value);
            if value != LOCAL_PYTHON {
                no_templates(name, value);
            }
        }
    }
}

fn ssh(config: &str, nodes: &[&Node], way: Way) {
    no_controls("ssh config", config);
    let mut hosts = Vec::new();
    for line in config.lines().filter(|l| !l.is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(key), Some(value), None) = (words.next(), words.next(), words.next()) else {
            panic!("ssh config: {line:?} is not a keyword with one value");
        };
        let jump = way != Way::Local && line == "  ProxyJump hypervisor";
        let known = SSH_WORDS.contains(&key) || jump || line == "  UpdateHostKeys no";
        assert!(known, "ssh config: {line:?}");
        assert_eq!(key == "Host", !line.starts_with(' '), "ssh config: {line:?}");
        plain_word("ssh config", value.trim_matches('"'));
        if key == "Host" {
            hosts.push(value);
        }
        if key == "IdentityFile" || key == "UserKnownHostsFile" {
            assert!(value.starts_with(&format!("\"{WORKSPACE}/")), "ssh config: {line:?}");
        }
    }
    let mut once = hosts.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), hosts.len(), "a host twice: {hosts:?}");
    for host in hosts {
        assert!(nodes.iter().any(|n| n.name == host), "a host that nobody asked for: {host:?}");
    }
}

fn known(known_hosts: &str, nodes: &[&Node]) {
    no_controls("known_hosts", known_hosts);
    for line in known_hosts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, kind, key] = words.as_slice() else { panic!("known_hosts: {line:?}") };
        // No address: a guest says what its own is, and it may be the hypervisor's.
        assert!(nodes.iter().any(|n| n.name == *name), "known_hosts: {line:?}");
        plain_word("known_hosts", kind);
        assert!(!kind.starts_with('@'), "known_hosts: {line:?}");
        let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        assert!(key.chars().all(base64), "known_hosts: {line:?}");
    }
}

fn ansible(inventory: &str, own: &str, nodes: &[&Node], way: Way) {
    no_controls("inventory", inventory);
    no_templates("inventory", &inventory.replace(LOCAL_PYTHON, ""));
    let hosts = fuzzing::inventory(inventory);
    let own = fuzzing::inventory(own);
    let mut wanted: BTreeSet<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
    wanted.extend(["localhost", "hypervisor"]);
    assert_eq!(hosts.iter().map(|h| h.0.as_str()).collect::<BTreeSet<_>>(), wanted);
    for (name, vars, groups) in &hosts {
        if let Some((_, as_before, _)) = own.iter().find(|host| host.0 == *name) {
            assert_eq!(vars, as_before, "{name} is the user's own");
            continue;
        }
        for (key, value) in vars {
            assert!(VARIABLES.contains(&key.as_str()), "inventory: {name} {key}={value}");
        }
        for key in ["ansible_host", "ansible_connection", "ansible_user"] {
            if let Some(value) = vars.get(key) {
                plain_word(key, value);
            }
        }
        let Some(node) = nodes.iter().find(|n| n.name == *name) else { continue };
        if let Some(args) = vars.get("ansible_ssh_common_args") {
            options(args, way != Way::Local && !node.access.direct);
        }
        let mut own: Vec<String> = node.groups.iter().map(ToString::to_string).collect();
        own.push("ungrouped".into());
        own.extend(node.bmc.as_ref().map(|_| "bmcs".into()));
        let read: BTreeSet<&str> = groups.iter().map(String::as_str).collect();
        assert_eq!(read, own.iter().map(String::as_str).collect(), "groups of {name}");
    }
    // What all are told comes last.
    let (_, shared) = inventory.split_once("\n[all:vars]\n").unwrap_or_default();
    for (key, _) in shared.lines().filter_map(|line| line.split_once('=')) {
        assert!(SHARED.contains(&key), "all: {key}");
    }
    let sections = inventory.lines().filter(|l| l.starts_with('[') && *l != "[all:vars]");
    for line in sections {
        let group = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')).unwrap_or_default();
        plain_word("group", group);
        assert!(!group.contains(':'), "a section that is not a group: {line:?}");
    }
}

/// The inventory of nodes alone: nobody but them, with the same variables, in groups with plain names.
fn ansible_of_nodes(inventory: &str, dynamic: &serde_json::Value, nodes: &[&Node]) {
    no_controls("inventory of nodes", inventory);
    no_templates("inventory of nodes", inventory);
    let hosts = fuzzing::inventory(inventory);
    let told = dynamic["_meta"]["hostvars"].as_object().expect("hosts have variables");
    assert_eq!(told.len(), hosts.len());
    for (name, vars, groups) in &hosts {
        assert!(nodes.iter().any(|n| n.name == *name), "a host that nobody asked for: {name:?}");
        assert!(vars.keys().all(|key| VARIABLES.contains(&key.as_str())), "{vars:?}");
        for (key, value) in vars {
            assert_eq!(told[name][key].as_str(), Some(value.as_str()), "{name}: {key}");
        }
        groups.iter().for_each(|group| plain_word("group", group));
    }
}

/// Options of `ssh`: those that Maquette writes, each a word, and a program only where there is a way to go.
fn options(args: &str, through: bool) {
    const KNOWN: [&str; 10] = [
        "BatchMode",
        "ServerAliveInterval",
        "ControlMaster",
        "ControlPersist",
        "IdentitiesOnly",
        "StrictHostKeyChecking",
        "HostKeyAlias",
        "UserKnownHostsFile",
        "GlobalKnownHostsFile",
        "ProxyCommand",
    ];
    let mut rest = args;
    while let Some(at) = rest.find("-o ") {
        let (name, value) = rest[at + 3..].split_once('=').unwrap_or_default();
        assert!(KNOWN.contains(&name), "options of ssh: {args:?}");
        rest = value;
    }
    for word in args.split([' ', '"', '=']).filter(|word| !word.is_empty()) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:+/[]%".contains(c);
        assert!(word.chars().all(plain), "options of ssh: {args:?}");
    }
    assert_eq!(args.matches("ProxyCommand=").count(), usize::from(through), "{args:?}");
    assert_eq!(args.matches('"').count(), if through { 4 } else { 2 }, "{args:?}");
}

/// What a guest's first boot is told, `first_boot` included.
pub fn seed(node: &Node, first_boot: Option<&FirstBoot>) {
    let Some(guest) = &node.guest else { return };
    let resolved = first_boot.map(|first_boot| first_boot.of_user(&guest.user));
    let first_boot = resolved.as_ref();
    let is_own = first_boot.is_some_and(FirstBoot::needs_cloud_init);
    let files = seed_files(
        node,
        guest,
        &Secret::new("-----BEGIN X-----\nAAAA\n-----END X-----\n"),
        first_boot,
    );
    for file in &files {
        let text = file.content.reveal();
        no_controls(file.name, text);
        match file.name {
            "identity" => {
                identity(node, text);
                continue;
            }
            "host-key" => continue,
            _ => {}
        }
        let Ok(Plain::Map(map)) = Plain::read(text) else {
            panic!("{}: not a mapping: {text}", file.name);
        };
        if is_own && file.name == "user-data" {
            own(node, &map);
            continue;
        }
        let keys: Vec<&str> = map.keys().map(String::as_str).collect();
        let known: &[&str] = match file.name {
            "meta-data" => &["instance-id", "local-hostname"],
            "network-config" => &["version", "ethernets"],
            "first-boot" => &["packages", "files", "commands"],
            _ => &[
                "hostname",
                "disable_root",
                "ssh_pwauth",
                "users",
                "ssh_keys",
                "timezone",
                "swap",
                "bootcmd",
                "cloud_init_modules",
                "cloud_config_modules",
                "cloud_final_modules",
                "write_files",
                "package_update",
                "packages",
                "runcmd",
            ],
        };
        assert!(keys.iter().all(|k| known.contains(k)), "{}: {keys:?}", file.name);
        if let Some(Plain::Map(ethernets)) = map.get("ethernets") {
            let wanted: BTreeSet<&str> = node.interfaces.iter().map(|i| i.name.as_str()).collect();
            let read = ethernets.keys().map(String::as_str).collect::<BTreeSet<_>>();
            assert_eq!(read, wanted);
        }
        for key in ["files", "write_files"] {
            boot_files(map.get(key), first_boot);
        }
        if let Some(Plain::List(users)) = map.get("users") {
            assert!(users.len() <= 2, "{users:?}");
        }
    }
}

/// cloud-config with the user's own in it: what Maquette needs is there all the same.
fn own(node: &Node, map: &BTreeMap<String, Plain>) {
    assert_eq!(map.get("hostname"), Some(&Plain::text(node.name.as_str())));
    assert!(matches!(map.get("ssh_keys"), Some(Plain::Map(keys)) if keys.len() == 2));
    let Some(Plain::List(users)) = map.get("users") else { panic!("no users") };
    assert_eq!(users[0].at(&["name"]), Some(&Plain::text("root")));
    let Some(Plain::List(commands)) = map.get("bootcmd") else { panic!("no report") };
    assert!(matches!(&commands[0], Plain::List(words) if words.len() > 3));
}

/// The files of a first boot: those that were asked for, and their text to the letter.
fn boot_files(told: Option<&Plain>, first_boot: Option<&FirstBoot>) {
    let Some(Plain::List(told)) = told else { return };
    let wanted = first_boot.map_or(&[][..], |first_boot| &first_boot.files);
    assert_eq!(told.len(), wanted.len());
    for (told, wanted) in told.iter().zip(wanted) {
        let Plain::Map(told) = told else { panic!("not a mapping: {told:?}") };
        let text = |key| match told.get(key) {
            Some(Plain::Text(text)) => text.as_str(),
            other => panic!("`{key}` is not text: {other:?}"),
        };
        assert_eq!(text("path"), wanted.path.as_str());
        assert_eq!(text("content"), wanted.content.reveal());
    }
}

/// What the agent is told: known keywords only, no user but the node's and root, no interface but its own.
fn identity(node: &Node, text: &str) {
    let mut lines = text.lines();
    let more = node.guest.as_ref().is_some_and(|guest| guest.first_boot.is_some());
    assert_eq!(lines.next(), Some(if more { "maquette 2" } else { "maquette 1" }));
    let login = node.guest.as_ref().map_or("", |g| g.user.as_str());
    for line in lines {
        let (keyword, values) = line.split_once(' ').unwrap_or_default();
        let first = values.split(' ').next().unwrap_or_default();
        let count = values.split(' ').count();
        let holds = match keyword {
            "instance" | "port" | "timezone" | "swap" => count == 1,
            "disk" => {
                node.disks.first().is_some_and(|d| d.size.is_some())
                    && values.parse::<u64>().is_ok()
            }
            "hostname" => values == node.name,
            "user" => first == login && values == format!("{login} sudo"),
            "key" => first == login || first == "root",
            "host-key" => true,
            "nic" => count == 2 && node.interfaces.iter().any(|i| i.name == first),
            "asks" => node.interfaces.iter().any(|i| i.name == values),
            _ => false,
        };
        assert!(holds, "identity of {}: {line:?}", node.name);
    }
}
