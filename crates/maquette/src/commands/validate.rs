//! `maquette validate`.

use std::path::Path;

use maquette_core::diagnostic::{Diagnostic, Diagnostics, Severity};
use maquette_core::observed::Observed;
use maquette_core::syntax::Sources;
use serde_json::json;

use super::graph;
use crate::cli::TopologyArgs;
use crate::failure::Failure;
use crate::load::{self, Loaded, PROJECT};
use crate::playbooks::Hooks;
use crate::session::authorities::authorities;
use crate::world::World;
use crate::{pipeline, render};

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("strict", |arg| arg.help("Take all warnings for errors")))]
pub struct Args {
    /// What would be built.
    #[command(flatten)]
    pub wanted: TopologyArgs,
    /// Print all that was found as JSON
    #[arg(long)]
    pub json: bool,
}

/// Numbers of nodes and of networks.
type Counts = (usize, usize);

/// Says what is wrong with the input, or how much it asks for.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let (found, sources, counts) = examined(world, args)?;
    let diags = if args.wanted.strict { strict(&found) } else { found };
    let valid = counts.filter(|_| !diags.has_errors());
    if args.json {
        let value = json!({
            "schema": 1,
            "valid": valid.is_some(),
            "nodes": valid.map(|(nodes, _)| nodes),
            "networks": valid.map(|(_, networks)| networks),
            "diagnostics": render::diagnostics_json(&diags, &sources),
        });
        world.terminal.result(&format!("{value:#}"));
        return Ok(if valid.is_some() { 0 } else { 2 });
    }
    let Some((nodes, networks)) = valid else { return Err(Failure::Input(diags, sources)) };
    if !diags.is_empty() {
        world.terminal.painted_talk(&render::diagnostics(&diags, &sources));
    }
    let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let (nodes, networks) = (count(nodes, "node"), count(networks, "network"));
    world.terminal.result(&format!("{} is valid: {nodes}, {networks}", subject(args)));
    Ok(0)
}

/// What is checked.
fn subject(args: &Args) -> String {
    match &args.wanted.place.project {
        Some(path) => path.display().to_string(),
        None if Path::new(PROJECT).is_file() => PROJECT.into(),
        None => "the topology".into(),
    }
}

/// All that is wrong as far as no hypervisor is needed to see it.
fn examined(world: &World, args: &Args) -> Result<(Diagnostics, Sources, Option<Counts>), Failure> {
    let mut loaded = load::wanted(&world.environment, &args.wanted);
    let (mut diags, _) = pipeline::examine(&world.environment, &mut loaded);
    besides(world, &loaded, &mut diags)?;
    if diags.has_errors() {
        return Ok((diags, loaded.sources, None));
    }
    if !loaded.nodes_named && !loaded.request.settings.extend {
        diags.push(nodes_unnamed());
    }
    // What runs out on a hypervisor without anything else runs out on any.
    let counts = match graph::wanted(&loaded, &Observed::default(), &mut diags) {
        Ok((networks, nodes)) => Some((nodes.len(), networks.len())),
        Err(Failure::Input(more, _)) => {
            diags.extend(more);
            None
        }
        Err(other) => return Err(other),
    };
    Ok((diags, loaded.sources, counts))
}

/// What `plan` and `up` refuse where there are nodes.
fn nodes_unnamed() -> Diagnostic {
    let message = "nothing says which nodes the environment is to have";
    Diagnostic::warning("project::no-nodes-named", message)
        .help("`nodes:` in the project file does, or `--topology-nodes TYPE:COUNT,…`")
        .help("`nodes: {}` has it without nodes; otherwise `plan` and `up` refuse it where it has some")
}

/// Files that are named besides: playbooks, and certificates, as far as nothing has to be downloaded.
fn besides(world: &World, loaded: &Loaded, diags: &mut Diagnostics) -> Result<(), Failure> {
    match Hooks::read(world, &loaded.request, &loaded.vars, &[]) {
        Ok(_) => {}
        Err(Failure::Input(more, _)) => diags.extend(more),
        Err(other) => return Err(other),
    }
    let here = loaded.request.settings.tls_ca.iter().filter(|word| !word.contains("://"));
    let here: Vec<String> = here.cloned().collect();
    match authorities(&world.terminal, &loaded.called("tls-ca"), &here) {
        Ok(_) => {}
        Err(Failure::Failed(error)) => {
            diags.push(Diagnostic::error("validate::authority", error.in_one_line()));
        }
        Err(other) => return Err(other),
    }
    Ok(())
}

/// The same with errors in the place of warnings, but for those of files that come with Maquette: their user cannot mend them.
fn strict(diags: &Diagnostics) -> Diagnostics {
    let mut all = diags.fresh();
    for diagnostic in diags.iter() {
        let severity = match diags.is_never_strict(diagnostic) {
            true => diagnostic.severity,
            false => Severity::Error,
        };
        all.push(Diagnostic { severity, ..diagnostic.clone() });
    }
    all
}
