//! Topologies from text, and a hypervisor that is a model with rules.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::collections::BTreeSet;

use maquette_core::blueprint::{self, Blueprint, Context, Image, ImageMap};
use maquette_core::defaults::{self, Kind};
use maquette_core::diagnostic::Diagnostics;
use maquette_core::guest::Secret;
use maquette_core::layers::{ExtraVar, extra_vars};
use maquette_core::observed::{self, Observed};
use maquette_core::plan::{self, Action, Plan, Step};
use maquette_core::syntax::{Node, Sources, parse};
use maquette_core::topology::{self, NodeRequest, Request, Settings, Topology, VirtType};

/// Input of a test.
pub struct Input {
    pub sources: Sources,
    pub request: Request,
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
            requests.push(NodeRequest { file, path, tree, count: *count, span });
        }
    }
    let text = defaults::get(Kind::Network, network).unwrap_or(network);
    let id = sources.add("network.yml", text);
    let whole = sources.whole(id);
    let network = parse(&sources, id, &mut diags).unwrap_or(Node::empty_map(whole));
    let list: Vec<ExtraVar> = extra
        .iter()
        .map(|text| {
            let id = sources.add("-e", *text);
            let span = sources.whole(id);
            let (path, value) = text.split_once('=').expect("KEY=VALUE");
            let span = maquette_core::syntax::Span { start: path.len() as u32 + 1, ..span };
            let path = path.split('.').map(String::from).collect();
            ExtraVar { path, value: Node::scalar(value, span), from_file: false, span }
        })
        .collect();
    let extra = extra_vars(&list, whole, &mut diags);
    let settings = Settings { image: Some("debian-12".into()), ..Settings::default() };
    let request =
        Request { nodes: requests, network, network_name: "network.yml".into(), extra, settings };
    Input { sources, request, diags }
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

pub fn topology(input: &Input, observed: &Observed) -> Topology {
    let mut diags = Diagnostics::default();
    let topology = blueprint::choose(&input.request, observed, &mut diags);
    assert!(!diags.has_errors(), "{diags:?}");
    topology.expect("no errors")
}

pub fn expand(topology: &Topology, observed: &Observed) -> (Blueprint, Diagnostics) {
    let images: ImageMap = blueprint::image_sources(topology)
        .into_iter()
        .map(|s| (s.clone(), Image { volume: format!("maquette-{s}.qcow2"), source: s }))
        .collect();
    let mut diags = Diagnostics::default();
    let context = Context {
        observed,
        virt: VirtType::Qemu,
        images: &images,
        authorized_key: "ssh-ed25519 AAAA maquette",
        host_keys: &|name, _| format!("ssh-ed25519 HOST{name} {name}"),
    };
    (blueprint::expand(topology, &context, &mut diags), diags)
}

/// The blueprint of an input on a hypervisor.
pub fn blueprint_of(input: &Input, observed: &Observed) -> Blueprint {
    let (blueprint, diags) = expand(&topology(input, observed), observed);
    assert!(!diags.has_errors(), "{diags:?}");
    blueprint
}

/// The plan that leads from what is there to an input.
pub fn plan_of(input: &Input, observed: &Observed) -> Plan {
    plan::create(&blueprint_of(input, observed), observed, &|_| Secret::new("private"))
}

/// Carries steps out on the model, which refuses what libvirt would refuse.
pub fn apply(observed: &mut Observed, steps: &[Step]) {
    for step in steps {
        perform(observed, &step.action);
    }
}

fn perform(seen: &mut Observed, action: &Action) {
    let title = action.title();
    match action {
        Action::InstallPackages { .. }
        | Action::OpenKvm
        | Action::StartDaemons
        | Action::Apply(_)
        | Action::Undo(_)
        | Action::EnsurePool(_) => {}
        Action::FetchImage { image, pool, .. } => {
            seen.volumes.entry(pool.name.clone()).or_default().insert(image.volume.clone());
        }
        Action::DefineNetwork { network, allocation, .. } => {
            let active = seen.networks.get(&network.name).is_some_and(|n| n.active);
            let network = observed::Network {
                name: network.name.clone(),
                recorded: (**network).clone(),
                allocation: *allocation,
                active,
            };
            seen.networks.insert(network.name.clone(), network);
        }
        Action::UpdateReservations { network, .. } => {
            let existing = seen.networks.get_mut(&network.name).expect("it exists");
            existing.recorded = (**network).clone();
            existing.active = true;
        }
        Action::StartNetwork { name, .. } => {
            seen.networks.get_mut(name).expect("a network is defined before it starts").active =
                true;
        }
        Action::StopNetwork { name } => {
            let users = seen
                .domains
                .values()
                .filter(|d| d.active && d.recorded.interfaces.iter().any(|i| i.network == *name))
                .count();
            assert_eq!(users, 0, "{title}: domains still use it");
            if let Some(network) = seen.networks.get_mut(name) {
                network.active = false;
            }
        }
        Action::UndefineNetwork { name } => {
            seen.networks.remove(name);
        }
        Action::DefineDomain { node, pool, .. } => {
            let old = seen.domains.get(&node.name);
            let domain = observed::Domain {
                name: node.name.clone(),
                recorded: (**node).clone(),
                pool: pool.clone(),
                active: old.is_some_and(|d| d.active),
                ready: old.is_some_and(|d| d.ready),
                memory_mib: node.memory_mib,
                vcpus: node.vcpus,
            };
            seen.domains.insert(node.name.clone(), domain);
        }
        Action::CreateVolume { disk, pool } => {
            let named = seen
                .domains
                .values()
                .any(|d| d.recorded.disks.iter().any(|own| own.volume == disk.volume));
            assert!(named, "{title}: no domain names it yet, a crash would lose it");
            if let Some(image) = &disk.backing {
                assert!(seen.has_volume(pool, &image.volume), "{title}: its image is missing");
            }
            seen.volumes.entry(pool.name.clone()).or_default().insert(disk.volume.clone());
        }
        Action::CreateSeed { volume, pool, files } => {
            assert!(!files.is_empty());
            seen.volumes.entry(pool.name.clone()).or_default().insert(volume.clone());
        }
        Action::ResizeVolume { volume, pool, .. } => {
            assert!(seen.has_volume(pool, volume), "{title}: it does not exist");
        }
        Action::DeleteVolume { volume, pool } => {
            let used = seen
                .domains
                .values()
                .any(|d| d.active && d.recorded.disks.iter().any(|own| own.volume == *volume));
            assert!(!used, "{title}: a running domain uses it");
            seen.volumes.entry(pool.name.clone()).or_default().remove(volume);
        }
        Action::StartDomain { name, ready } => {
            let domain = seen.domains.get(name).expect("a domain is defined before it starts");
            let node = domain.recorded.clone();
            let seed = node.guest.iter().map(|g| &g.seed);
            for volume in node.disks.iter().map(|d| &d.volume).chain(seed) {
                assert!(seen.has_volume(&domain.pool, volume), "{title}: {volume} is missing");
            }
            for interface in &node.interfaces {
                let network = seen.networks.get(&interface.network);
                assert!(network.is_some_and(|n| n.active), "{title}: its network is off");
            }
            let domain = seen.domains.get_mut(name).expect("just seen");
            domain.active = true;
            domain.ready |= ready.is_some();
        }
        Action::AwaitDomain { name, .. } => {
            seen.domains.get_mut(name).expect("it exists").ready = true;
        }
        Action::StopDomain { name, .. } => {
            if let Some(domain) = seen.domains.get_mut(name) {
                domain.active = false;
            }
        }
        Action::UndefineDomain { name } => {
            assert!(seen.domains.get(name).is_none_or(|d| !d.active), "{title}: it runs");
            seen.domains.remove(name);
        }
    }
}

/// Volumes other than base images.
pub fn node_volumes(seen: &Observed) -> BTreeSet<String> {
    seen.volumes.values().flatten().filter(|v| !v.starts_with("maquette-")).cloned().collect()
}
