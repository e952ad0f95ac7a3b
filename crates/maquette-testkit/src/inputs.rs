//! Topologies from text, and what they become.

use std::cell::RefCell;
use std::collections::HashMap;

use maquette_core::blueprint::{self, Blueprint, Image};
use maquette_core::defaults::{self, Kind};
use maquette_core::diagnostic::Diagnostics;
use maquette_core::expand::{self, CloudInit, Context, ImageMap};
use maquette_core::layers::{ExtraVar, extra_vars};
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Plan};
use maquette_core::syntax::{self, SourceId, Sources, Tree};
use maquette_core::topology::{
    self, BmcChoice, NodeRequest, Request, Settings, Topology, VirtType,
};
use maquette_core::values::{PublicKey, Secret};

thread_local! {
    /// Trees of texts without mistakes, by their places among sources: tests read the same files thousands of times.
    static READ: RefCell<HashMap<(SourceId, String), Tree>> = RefCell::default();
}

fn parse(sources: &Sources, id: SourceId, diags: &mut Diagnostics) -> Option<Tree> {
    let key = (id, sources.get(id).text.clone());
    if let Some(tree) = READ.with_borrow(|read| read.get(&key).cloned()) {
        return Some(tree);
    }
    let mut found = diags.fresh();
    let tree = syntax::parse(sources, id, &mut found);
    if let (Some(tree), true) = (&tree, found.is_empty()) {
        READ.with_borrow_mut(|read| read.insert(key, tree.clone()));
    }
    diags.extend(found);
    tree
}

/// Input of a test.
pub struct Input {
    /// Its texts.
    pub sources: Sources,
    /// What is asked for.
    pub request: Request,
    /// What is wrong with it.
    pub diags: Diagnostics,
}

/// Node types (built-in names, or `name=YAML`) with counts, a network file (name or YAML), and
/// overrides.
pub fn input(nodes: &[(&str, u32)], network: &str, extra: &[&str]) -> Input {
    let mut sources = Sources::default();
    let mut diags = Diagnostics::default();
    let mut requests = Vec::new();
    for (what, count) in nodes {
        let (file, text) = match what.split_once('=') {
            Some((file, text)) => (file, text),
            None => (*what, defaults::get(Kind::Nodes, what).expect("a built-in type")),
        };
        let id = sources.add(format!("{file}.yml"), text);
        let span = sources.whole(id);
        if let Some(tree) = parse(&sources, id, &mut diags) {
            let (file, path) = (file.to_string(), format!("/{file}.yml"));
            let described = false;
            requests.push(NodeRequest { file, path, tree, count: *count, span, described });
        }
    }
    let text = defaults::get(Kind::Network, network).unwrap_or(network);
    let id = sources.add("network.yml", text);
    let whole = sources.whole(id);
    let network = parse(&sources, id, &mut diags).unwrap_or(Tree::empty_map(whole));
    let list: Vec<ExtraVar> = extra
        .iter()
        .map(|text| {
            let id = sources.add("-e", *text);
            let span = sources.whole(id);
            let (path, value) = text.split_once('=').expect("KEY=VALUE");
            let span = syntax::Span { start: path.len() as u32 + 1, ..span };
            let path = path.split('.').map(String::from).collect();
            ExtraVar { path, value: Tree::scalar(value, span), from_file: false, span }
        })
        .collect();
    let extra = extra_vars(&list, whole, &mut diags);
    // What is about BMCs asks for them.
    let bmc = Some(BmcChoice::Off);
    let settings = Settings { image: Some("debian-12".into()), bmc, ..Settings::default() };
    let request = Request {
        network_unread: false,
        nodes: requests,
        network,
        network_name: "network.yml".into(),
        networks: None,
        extra,
        settings,
        systems_asked: false,
    };
    Input { sources, request, diags }
}

/// The input of node types with a count each, a network file, and the `networks` of a project file, which describes the node
/// types then.
pub fn described_input(nodes: &[(&str, u32)], network: &str, networks: &str) -> Input {
    let mut input = input(nodes, network, &[]);
    if networks.is_empty() {
        return input;
    }
    let id = input.sources.add("maquette.yaml", networks);
    input.request.networks = parse(&input.sources, id, &mut input.diags);
    input.request.nodes.iter_mut().for_each(|node| node.described = true);
    input
}

/// Sets of node types that go with a built-in network file, each with whether it is a BGP one: those that
/// the file names, and one that it does not where it has a default.
pub fn types_for(network: &str) -> Vec<(Vec<String>, bool)> {
    let text = |names: &[&str]| names.iter().map(|n| (*n).to_string()).collect::<Vec<_>>();
    if network.starts_with("bgp") {
        let all =
            ["leaf", "spine", "routerbgp", "extvmbgp", "computebgp", "controllerbgp", "cephbgp"];
        return vec![
            (text(&all), true),
            (text(&["undercloudbgp", "freeipabgp", "networkerbgp"]), true),
        ];
    }
    if network == "3_nets_vswitch" {
        let with = |switch: &str| text(&["controller", "undercloud", "ironic", switch]);
        return vec![
            (with("ovsvswitch"), false),
            (with("veos"), false),
            (text(&["controller", "vqfx", "vqfx-pfe"]), false),
        ];
    }
    let mut sources = Sources::default();
    let id = sources.add(network, defaults::get(Kind::Network, network).expect("a built-in file"));
    let tree = parse(&sources, id, &mut Diagnostics::default()).expect("it is YAML");
    let roles = tree.get("nodes").expect("it has roles").entries();
    let mut types: Vec<String> =
        roles.iter().map(|r| r.key.clone()).filter(|r| r != "default").collect();
    // Nodes with an operating system on a network that nobody gives addresses on are the user's own affair.
    let open = network.contains("openvswitch");
    if roles.len() > types.len() {
        types.push(
            if open || types.iter().any(|t| t == "compute") { "diskless" } else { "compute" }
                .into(),
        );
    }
    // Its external network has one address.
    types.retain(|t| !(network == "3_nets_tiny_ext_pool" && t == "cfme_tester"));
    vec![(types, false)]
}

/// Everything wrong with an input: `code line:column message`, sorted as found.
pub fn mistakes(input: &mut Input) -> Vec<String> {
    let topology =
        topology::compile(&input.request, topology::Allocation::UNPREFIXED, &mut input.diags);
    if let Some(topology) = topology {
        topology::lint(&topology, &mut input.diags);
    }
    input
        .diags
        .iter()
        .map(|d| {
            let place = d.labels.first().map_or(String::new(), |l| {
                let (line, column) = input.sources.position(l.span);
                format!(" {}:{line}:{column}", input.sources.get(l.span.source).name)
            });
            let help = d.help.first().map_or(String::new(), |h| format!(" [{h}]"));
            format!("{}{place} {}{help}", d.code, d.message)
        })
        .collect()
}

/// The topology of an input on a hypervisor.
pub fn topology(input: &Input, observed: &Observed) -> Topology {
    let mut diags = Diagnostics::default();
    let topology = expand::choose(&input.request, observed, &mut diags);
    assert!(!diags.has_errors(), "{diags:?}");
    topology.expect("no errors")
}

/// The blueprint of a topology on a hypervisor, and what is wrong with it.
pub fn expand(topology: &Topology, observed: &Observed) -> (Blueprint, Diagnostics) {
    expanded(topology, observed, None)
}

fn expanded(
    topology: &Topology,
    observed: &Observed,
    names: Option<&[&str]>,
) -> (Blueprint, Diagnostics) {
    let images: ImageMap = expand::image_sources(topology)
        .into_iter()
        .map(|source| {
            let name = source.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
            // As far as a file's name may be long.
            let name: String = name.chars().take(200).collect();
            let volume = format!("maquette-{name}.qcow2").parse().expect("it is a file's name");
            (source.clone(), Image { source, volume })
        })
        .collect();
    let mut diags = Diagnostics::default();
    let context = Context {
        observed,
        virt: VirtType::Qemu,
        images: &images,
        cloud_init: &CloudInit::default(),
        authorized_key: &PublicKey::known("ssh-ed25519 AAAA maquette"),
        host_keys: &|name, _, _| {
            let key = format!("ssh-ed25519 HOST{} {name}", name.replace(['-', '_'], "/"));
            key.parse().expect("it is a public key")
        },
        generation: 1,
        vnc: &blueprint::Vnc::default(),
        tag: &|secret| format!("tag of {}", secret.reveal()),
    };
    let whole = expand::expand(topology, &context, &mut diags);
    let names = names.map(|names| names.iter().map(|name| (*name).to_string()).collect());
    let blueprint = match names {
        Some(names) => expand::narrow(whole, &names, &context, &mut diags),
        None => whole,
    };
    (blueprint, diags)
}

/// The blueprint of an input on a hypervisor.
pub fn blueprint_of(input: &Input, observed: &Observed) -> Blueprint {
    let (blueprint, diags) = expand(&topology(input, observed), observed);
    assert!(!diags.has_errors(), "{diags:?}");
    blueprint
}

/// The same for some of its nodes.
pub fn blueprint_of_nodes(input: &Input, observed: &Observed, names: &[&str]) -> Blueprint {
    let (blueprint, diags) = expanded(&topology(input, observed), observed, Some(names));
    assert!(!diags.has_errors(), "{diags:?}");
    blueprint
}

/// The plan that leads from what is there to an input.
pub fn plan_of(input: &Input, observed: &Observed) -> Plan {
    plan::create(&blueprint_of(input, observed), observed, &|_| Secret::new("private"))
}
