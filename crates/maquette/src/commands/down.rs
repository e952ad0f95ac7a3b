//! `maquette down`.

use std::collections::BTreeSet;
use std::time::Duration;

use maquette_core::blueprint::Node;
use maquette_core::diagnostic::{Diagnostic, Diagnostics, closest};
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_core::syntax::Sources;
use maquette_core::topology::VirtType;

use super::run::Runner;
use crate::cli::{Down, Locking};
use crate::failure::Failure;
use crate::inventory::Inventory;
use crate::load::Located;
use crate::{connection, load, outputs, pipeline, print, render};

/// Removes an environment: its domains, volumes and networks, then its workspace; or some nodes.
pub fn run(args: &Down) -> Result<u8, Failure> {
    let located = load::located(&args.place)?;
    if !args.nodes.is_empty() {
        remove_nodes(&located, &args.nodes, args.json, args.locking)?;
        return Ok(0);
    }
    remove(&located, args.json, args.locking)?;
    outputs::remove(&located.workspace)
        .map_err(|e| Failure::because("cannot remove the workspace", &e))?;
    Ok(0)
}

/// Removes what is on the hypervisor.
pub fn remove(located: &Located, json: bool, locking: Locking) -> Result<(), Failure> {
    let connection = connection::open(&located.host)?;
    let mut runner = Runner::new(json, &connection, &located.workspace, Duration::from_secs(60))?;
    runner.lock(&located.environment, "down", locking)?;
    let mut hypervisor = pipeline::running(&connection, &located.environment, &located.pool)?;
    let plan = plan::destroy(&hypervisor.observed());
    if !json {
        let title = format!("environment `{}` on {}", located.environment, connection.label);
        print::talk(render::plan(&plan, &title).trim_end());
    }
    if plan.is_empty() {
        return Ok(());
    }
    let client = hypervisor.client.take();
    runner.run(&plan, &hypervisor.facts, VirtType::Qemu, client)?;
    if !json {
        print::talk("base images stay in the pool; `maquette image prune` removes unused ones");
    }
    Ok(())
}

/// Removes some nodes with their disks and reservations, and writes the outputs without them.
pub fn remove_nodes(
    located: &Located,
    words: &[String],
    json: bool,
    locking: Locking,
) -> Result<(), Failure> {
    let connection = connection::open(&located.host)?;
    let mut runner = Runner::new(json, &connection, &located.workspace, Duration::from_secs(60))?;
    runner.lock(&located.environment, "down", locking)?;
    let mut hypervisor = pipeline::running(&connection, &located.environment, &located.pool)?;
    let observed = hypervisor.observed();
    let names = resolve(words, located, &observed)?;
    let plan = plan::remove_nodes(&observed, &located.environment, &names);
    if !json {
        let title = format!("environment `{}` on {}", located.environment, connection.label);
        print::talk(render::plan(&plan, &title).trim_end());
    }
    let written = |observed: &Observed| {
        let kept = observed.domains.values().filter(|d| !names.contains(&d.name));
        let nodes: Vec<&Node> = kept.map(|d| &d.recorded).collect();
        outputs::write(&located.workspace, &nodes, connection.remote.as_ref())
            .map_err(|e| Failure::because("cannot write the workspace", &e))
    };
    if !plan.is_empty() {
        let client = hypervisor.client.take();
        runner.run(&plan, &hypervisor.facts, VirtType::Qemu, client)?;
    }
    written(&observed)
}

/// libvirt's names of nodes, which are given with or without the prefix, or by their names in the
/// user's own inventory. A node that has gone already is fine; a name that no node can have is not.
fn resolve(
    words: &[String],
    located: &Located,
    observed: &Observed,
) -> Result<BTreeSet<String>, Failure> {
    let environment = &located.environment;
    let noted = observed.networks.values().flat_map(|n| &n.recorded.tenants).map(|t| &t.node);
    let known: BTreeSet<&str> = observed.domains.keys().chain(noted).map(String::as_str).collect();
    let inventory =
        Inventory::read(&located.workspace.file(outputs::INVENTORY)).unwrap_or_default();
    let original = |word: &str| Some(inventory.find(word)?.var("original_name")?.to_string());
    let mut names = BTreeSet::new();
    let mut diags = Diagnostics::default();
    for word in words {
        let candidates = [Some(word.clone()), Some(environment.qualify(word)), original(word)];
        let found = candidates.iter().flatten().find(|name| known.contains(name.as_str()));
        if let Some(name) = found {
            names.insert(name.clone());
            continue;
        }
        let roles = observed.domains.values().map(|d| environment.qualify(&d.recorded.role));
        let gone = candidates.iter().flatten().any(|name| {
            let role = name.rsplit_once('-').filter(|(_, number)| number.parse::<u32>().is_ok());
            role.is_some_and(|(role, _)| roles.clone().any(|r| r == role))
        });
        if gone {
            print::talk(&format!("`{word}` is not there; it may have been removed before"));
            continue;
        }
        let message = format!("environment `{environment}` has no node `{word}`");
        let list = known.iter().copied().collect::<Vec<_>>().join(", ");
        let mut error = Diagnostic::error("node::unknown", message);
        if let Some(name) = closest(&environment.qualify(word), known.iter().copied()) {
            error = error.help(format!("did you mean `{name}`?"));
        }
        diags.push(error.help(format!("there are: {list}")));
    }
    match diags.has_errors() {
        true => Err(Failure::Input(diags, Sources::default())),
        false => Ok(names),
    }
}
