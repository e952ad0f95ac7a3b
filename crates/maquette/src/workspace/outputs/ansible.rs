//! The inventory: one line for each host, then the groups, as InfraRed's readers expect; and
//! the same as Ansible's dynamic inventory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use maquette_core::blueprint::{Bmc, Node};
use maquette_core::values::{BmcCredentials, Group};
use maquette_engine::bmc::BmcSecrets;
use serde_json::{Map, Value, json};

use super::{Files, ssh_config};
use crate::workspace::inventory::quoted;

/// Whom an inventory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Users of Ansible: nodes that can be logged in to, with a group for each node type, so that `all` means just these.
    Nodes,
    /// InfraRed's plug-ins and playbooks at its injection points: `localhost`, the hypervisor and nodes without an
    /// operating system, too, in the groups that the topology has.
    Everything,
}

impl Scope {
    /// Whether a node is in it: as long as nobody knows its address, or if it has no operating system, it cannot be logged
    /// in to.
    pub fn has(self, node: &Node) -> bool {
        self == Self::Everything || (node.deploy_os && node.access.address.is_some())
    }
}

/// A host with its variables, in the order in which they are written.
struct Host {
    name: String,
    vars: Vec<(&'static str, String)>,
}

/// The group of nodes with a BMC.
const BMCS: &str = "bmcs";

/// What the hypervisor is called.
pub const HYPERVISOR: &str = "hypervisor";

/// Local hosts run modules with the Python that runs Ansible, as its implicit localhost does.
const LOCAL_PYTHON: &str = "{{ ansible_playbook_python }}";

/// Ansible's INI form, which is not quite INI.
pub fn inventory(nodes: &[&Node], files: &Files<'_>, scope: Scope) -> String {
    let nodes: Vec<&Node> = nodes.iter().copied().filter(|node| scope.has(node)).collect();
    let mut out = String::from("\n");
    for host in hosts(&nodes, files, scope) {
        // Two blanks, since readers look for them.
        let _ = write!(out, "{} ", host.name);
        for (name, value) in &host.vars {
            let _ = write!(out, " {name}={}", quoted(value));
        }
        out.push('\n');
    }
    for (name, members) in groups(&nodes, scope) {
        let _ = write!(out, "\n[{name}]\n{}\n", members.join("\n"));
    }
    let shared = vbmc_vars(&nodes, scope);
    if !shared.is_empty() {
        out.push_str("\n[all:vars]\n");
        shared.iter().for_each(|(name, value)| {
            let _ = writeln!(out, "{name}={value}");
        });
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
pub fn dynamic(nodes: &[&Node], files: &Files<'_>, scope: Scope) -> Value {
    let nodes: Vec<&Node> = nodes.iter().copied().filter(|node| scope.has(node)).collect();
    let vars: Map<String, Value> = hosts(&nodes, files, scope)
        .into_iter()
        .map(|host| {
            let vars = host.vars.into_iter().map(|(k, v)| (k.to_string(), Value::String(v)));
            (host.name, Value::Object(vars.collect()))
        })
        .collect();
    let mut out = Map::new();
    out.insert("_meta".into(), json!({"hostvars": vars}));
    let groups = groups(&nodes, scope);
    // Ansible knows no host that is in no group; in the INI form it puts them here by itself.
    let is_alone = |name: &&str| !groups.iter().any(|(_, members)| members.contains(name));
    let alone: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).filter(is_alone).collect();
    for (name, members) in &groups {
        out.insert(name.clone(), json!({"hosts": members}));
    }
    if !alone.is_empty() {
        out.insert("ungrouped".into(), json!({"hosts": alone}));
    }
    let shared = vbmc_vars(&nodes, scope);
    if !shared.is_empty() {
        out.insert("all".into(), json!({"vars": shared}));
    }
    Value::Object(out)
}

fn hosts(nodes: &[&Node], files: &Files<'_>, scope: Scope) -> Vec<Host> {
    let mut all = match scope {
        Scope::Nodes => Vec::new(),
        Scope::Everything => machines(files),
    };
    all.extend(nodes.iter().map(|node| host(node, files)));
    all
}

/// Machines that are not nodes.
fn machines(files: &Files<'_>) -> Vec<Host> {
    let local = |name: &str| Host {
        name: name.into(),
        vars: vec![
            ("ansible_connection", "local".into()),
            ("ansible_python_interpreter", LOCAL_PYTHON.into()),
        ],
    };
    let mut all = vec![local("localhost")];
    all.push(match files.jump() {
        None => local(HYPERVISOR),
        Some(target) => {
            let mut vars = vec![
                ("ansible_host", target.address.to_string()),
                ("ansible_connection", "ssh".into()),
                ("ansible_user", target.user.to_string()),
            ];
            if let Some(key) = &target.key {
                vars.push(("ansible_ssh_private_key_file", key.to_string()));
            }
            vars.push(("ansible_python_interpreter", "auto_silent".into()));
            Host { name: HYPERVISOR.into(), vars }
        }
    });
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
    // Nodes without an operating system, and appliances, are nobody's to connect to directly: from here, their
    // addresses may be a stranger's.
    vars.push(("ansible_ssh_private_key_file", files.key.to_string()));
    vars.push(("ansible_ssh_common_args", common_args(node, files)));
    if !is_appliance(node) {
        vars.push(("ansible_python_interpreter", "auto_silent".into()));
    }
    if let Some(bmc) = &node.bmc {
        vars.extend(bmc_vars(node, bmc, files.bmcs.as_ref()));
    }
    Host { name: node.name.to_string(), vars }
}

/// Where a node's BMC is, and its account, if that is known here.
fn bmc_vars(node: &Node, bmc: &Bmc, secrets: Option<&BmcSecrets>) -> Vec<(&'static str, String)> {
    let mut vars = vec![("bmc_address", bmc.address.to_string())];
    vars.extend(bmc.redfish_url().map(|url| ("bmc_redfish_url", url)));
    vars.extend(bmc.ipmi().map(|at| ("bmc_ipmi_port", at.port().to_string())));
    vars.push(("bmc_user", secrets.map_or(BmcCredentials::USER, BmcSecrets::user).into()));
    vars.extend(secrets.map(|s| ("bmc_password", s.password(node.uuid).reveal().into())));
    vars
}

/// What InfraRed's role `vbmc` tells its templates and its overcloud plug-in of BMCs: the one address that all have, and the port
/// of each. Nothing where each has an address of its own, or none speaks IPMI.
fn vbmc_vars(nodes: &[&Node], scope: Scope) -> Map<String, Value> {
    let bmcs =
        nodes.iter().filter_map(|node| Some((node.name.to_string(), node.bmc.as_ref()?.ipmi()?)));
    let ports: Map<String, Value> =
        bmcs.clone().map(|(name, at)| (name, at.port().into())).collect();
    let addresses: BTreeSet<_> = bmcs.map(|(_, at)| at.ip()).collect();
    let mut vars = Map::new();
    if let (Scope::Everything, Some(address), 1) = (scope, addresses.first(), addresses.len()) {
        vars.insert("vbmc_management_address".into(), address.to_string().into());
        vars.insert("vbmc_ports".into(), ports.into());
    }
    vars
}

/// Whether it has an operating system that nobody set up: its host key is not known, nor what logs in to it.
fn is_appliance(node: &Node) -> bool {
    node.guest.is_none() && node.deploy_os
}

/// Options of `ssh`. The way through the hypervisor is a ProxyCommand, since readers look for the
/// hypervisor's address and key in it.
fn common_args(node: &Node, files: &Files<'_>) -> String {
    let checks = match is_appliance(node) {
        true => "-o StrictHostKeyChecking=accept-new",
        false => "-o IdentitiesOnly=yes -o StrictHostKeyChecking=yes",
    };
    let mut args = format!(
        " -o BatchMode=yes -o ServerAliveInterval=30 -o ControlMaster=auto \
         -o ControlPersist=30m {checks} \
         -o HostKeyAlias={name} -o UserKnownHostsFile=\"{known}\"",
        name = node.name,
        known = files.known_hosts,
    );
    if let Some(target) = files.jump().filter(|_| !node.access.direct) {
        let key = target.key.as_ref().map_or(String::new(), |k| format!("-i {k} "));
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

/// Groups in the order of their first use. Of everything `local` and `hypervisor` come before all; of nodes each is in a
/// group for its type, too.
fn groups<'a>(nodes: &[&'a Node], scope: Scope) -> Vec<(String, Vec<&'a str>)> {
    let mut groups: Vec<(String, Vec<&str>)> = match scope {
        Scope::Nodes => Vec::new(),
        Scope::Everything => {
            vec![("local".into(), vec!["localhost"]), ("hypervisor".into(), vec!["hypervisor"])]
        }
    };
    // Looked up once for each type: there may be thousands of nodes.
    let types: BTreeSet<&str> = nodes.iter().map(|node| node.role.as_str()).collect();
    let of_types: BTreeMap<&str, Option<Group>> = match scope {
        Scope::Nodes => types.iter().map(|role| (*role, group_of_type(role, &types))).collect(),
        Scope::Everything => BTreeMap::new(),
    };
    for node in nodes {
        let of_type = of_types.get(node.role.as_str()).cloned().flatten();
        let given: Vec<&str> = node.groups.iter().map(|group| group.as_str()).collect();
        let own = of_type.as_ref().map(Group::as_str).filter(|name| !given.contains(name));
        let bmcs = node.bmc.as_ref().filter(|_| scope == Scope::Everything).map(|_| BMCS);
        for group in own.into_iter().chain(given.iter().copied()).chain(bmcs) {
            match groups.iter_mut().find(|(name, _)| name == group) {
                Some((_, members)) if members.contains(&node.name.as_str()) => {}
                Some((_, members)) => members.push(&node.name),
                None => groups.push((group.into(), vec![&node.name])),
            }
        }
    }
    groups
}

/// The group of a node type; none where another type has the same.
fn group_of_type(role: &str, types: &BTreeSet<&str>) -> Option<Group> {
    let group = Group::of_type(role)?;
    let mut others = types.iter().filter(|other| **other != role).filter_map(|o| Group::of_type(o));
    others.all(|other| other != group).then_some(group)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use maquette_core::blueprint::Access;
    use maquette_core::names::EnvName;
    use maquette_core::topology::BmcProtocol;
    use maquette_engine::ssh_keys::RecordKey;
    use maquette_testkit as testkit;

    use super::*;
    use crate::workspace::Workspace;

    fn node(name: &str, role: &str, groups: &[&str]) -> Node {
        let plain = testkit::node(name);
        let address = Some("10.0.0.2".parse().unwrap());
        Node {
            role: role.parse().unwrap(),
            groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
            deploy_os: true,
            access: Access { address, ..plain.access.clone() },
            ..plain
        }
    }

    #[test]
    fn nodes_with_a_bmc_are_in_a_group_and_say_where_that_is() {
        let bmc = Bmc {
            protocol: BmcProtocol::Both,
            network: "lab-front".parse().unwrap(),
            address: "10.9.0.1".parse().unwrap(),
            own_address: false,
            redfish_port: 8443.try_into().unwrap(),
            ipmi_port: 6230.try_into().unwrap(),
            provisioning: None,
        };
        let blank = Node { deploy_os: false, bmc: Some(bmc), ..node("blank-0", "blank", &["x"]) };
        let mut files = Files::new(&Workspace::at(Path::new("/w")), None, None).unwrap();
        let without = inventory(&[&blank], &files, Scope::Everything);
        assert!(without.contains("\n[bmcs]\nblank-0\n"), "{without}");
        assert!(
            without.contains(" bmc_user=admin") && !without.contains("bmc_password"),
            "{without}"
        );
        let key = RecordKey::made_of([1; 32]);
        files.bmcs = Some(BmcSecrets::new(&key, &EnvName::default(), &BmcCredentials::Node));
        let text = inventory(&[&blank], &files, Scope::Everything);
        let own = " bmc_address=10.9.0.1 bmc_redfish_url=https://10.9.0.1:8443 bmc_ipmi_port=6230 \
                   bmc_user=admin bmc_password=";
        assert!(text.contains(own), "{text}");
    }

    /// Templates of InfraRed's overcloud plug-in have an address and `vbmc_ports[name]` of each node.
    #[test]
    fn variables_of_infrareds_vbmc_role_say_where_bmcs_are() {
        let at = |number: u16, last: u8, own_address| Bmc {
            protocol: BmcProtocol::Both,
            network: "lab-front".parse().unwrap(),
            address: std::net::Ipv4Addr::new(10, 9, 0, last).into(),
            own_address,
            redfish_port: (8443 + number).try_into().unwrap(),
            ipmi_port: (6230 + number).try_into().unwrap(),
            provisioning: None,
        };
        let files = Files::new(&Workspace::at(Path::new("/w")), None, None).unwrap();
        let shown = |first: Bmc, second: Bmc, scope| {
            let with = |name, bmc| Node { bmc: Some(bmc), ..node(name, "blank", &["x"]) };
            let nodes =
                [with("blank-0", first), with("blank-1", second), node("web-0", "web", &[])];
            let nodes: Vec<&Node> = nodes.iter().collect();
            (inventory(&nodes, &files, scope), dynamic(&nodes, &files, scope)["all"].clone())
        };
        let (text, all) = shown(at(0, 1, false), at(1, 1, false), Scope::Everything);
        let vars = json!({"vbmc_management_address": "10.9.0.1", "vbmc_ports": {"blank-0": 6230, "blank-1": 6231}});
        assert_eq!(all, json!({"vars": vars}));
        // Ansible reads the values as Python, in which such JSON is a dictionary.
        let own = "\n[all:vars]\nvbmc_management_address=\"10.9.0.1\"\nvbmc_ports={\"blank-0\":6230,\"blank-1\":6231}\n";
        assert!(text.ends_with(own), "{text}");
        // There is no address that is that of all.
        let (text, all) = shown(at(0, 1, true), at(1, 2, true), Scope::Everything);
        assert!(all.is_null() && !text.contains("vbmc"), "{all} {text}");
        let (text, all) = shown(at(0, 1, false), at(1, 1, false), Scope::Nodes);
        assert!(all.is_null() && !text.contains("vbmc"), "{all} {text}");
        let redfish = |number| Bmc { protocol: BmcProtocol::Redfish, ..at(number, 1, false) };
        let (text, all) = shown(redfish(0), redfish(1), Scope::Everything);
        assert!(all.is_null() && !text.contains("vbmc"), "{all} {text}");
    }

    /// A play for one would run on the other.
    #[test]
    fn two_types_never_share_a_group() {
        let nodes = [node("db-main-0", "db-main", &[]), node("db_main-0", "db_main", &[])];
        let nodes: Vec<&Node> = nodes.iter().collect();
        let files = Files::new(&Workspace::at(Path::new("/w")), None, None).unwrap();
        let found = dynamic(&nodes, &files, Scope::Nodes);
        assert!(found.get("db_main").is_none(), "{found}");
        assert_eq!(found["ungrouped"]["hosts"], json!(["db-main-0", "db_main-0"]));
    }

    /// InfraRed's vbmc role and its overcloud plug-in look for the hypervisor in the arguments of every node.
    #[test]
    fn every_node_has_key_and_arguments_whatever_is_in_it() {
        let blank = Node { deploy_os: false, ..node("blank-0", "blank", &[]) };
        let nodes = [blank, node("appliance-0", "appliance", &[])];
        let nodes: Vec<&Node> = nodes.iter().collect();
        let files = Files::new(&Workspace::at(Path::new("/w")), None, None).unwrap();
        let text = inventory(&nodes, &files, Scope::Everything);
        for name in ["blank-0", "appliance-0"] {
            let line = text.lines().find(|l| l.starts_with(&format!("{name} "))).unwrap();
            assert!(line.contains(" ansible_ssh_private_key_file=/w/id_rsa "), "{line}");
            assert!(line.contains(&format!("HostKeyAlias={name} ")), "{line}");
        }
        // Nobody has seen its host key.
        assert!(text.contains("StrictHostKeyChecking=accept-new -o HostKeyAlias=appliance-0"));
    }

    /// `all` of a user of Ansible's is what that user asked for, and nothing else.
    #[test]
    fn users_of_ansible_get_nodes_that_can_be_logged_in_to_in_a_group_for_their_type() {
        let blank = Node { deploy_os: false, ..node("blank-0", "blank", &["blanks"]) };
        let mut unknown = node("lan-0", "lan", &[]);
        unknown.access.address = None;
        let nodes = [
            node("web-0", "web", &["web", "front"]),
            node("openshift-master-0", "openshift-master", &[]),
            node("local-0", "local", &[]),
            blank,
            unknown,
        ];
        let nodes: Vec<&Node> = nodes.iter().collect();
        let files = Files::new(&Workspace::at(Path::new("/w")), None, None).unwrap();
        let found = dynamic(&nodes, &files, Scope::Nodes);
        let groups = found.as_object().unwrap().iter().filter(|(name, _)| *name != "_meta");
        let groups: Vec<String> =
            groups.map(|(name, group)| format!("{name}: {}", group["hosts"])).collect();
        assert_eq!(
            groups,
            [
                "front: [\"web-0\"]",
                "openshift_master: [\"openshift-master-0\"]",
                "ungrouped: [\"local-0\"]",
                "web: [\"web-0\"]",
            ]
        );
        let text = inventory(&nodes, &files, Scope::Nodes);
        for word in ["localhost", "hypervisor", "blank", "lan-0"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
        let everything = inventory(&nodes, &files, Scope::Everything);
        for word in
            ["\nlocalhost ", "\nhypervisor ", "\nblank-0 ", "\nlan-0 ", "[blanks]\nblank-0\n"]
        {
            assert!(everything.contains(word), "{word}: {everything}");
        }
        assert!(!everything.contains("[openshift_master]"), "{everything}");
    }
}
