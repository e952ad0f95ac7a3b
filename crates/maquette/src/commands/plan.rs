//! `maquette plan`.

use crate::cli::{FlagsOfUp, TopologyArgs};
use crate::failure::Failure;
use crate::lifecycle::show::{How, show};
use crate::playbooks::Hooks;
use crate::playbooks::stages::Stages;
use crate::session::nodes;
use crate::world::World;
use crate::{load, pipeline};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to build.
    #[command(flatten)]
    pub wanted: TopologyArgs,
    /// What `maquette up NODE…` would do
    #[arg(value_name = "NODE", help = nodes::WANTED)]
    pub nodes: Vec<String>,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with 3 if there is something to do
    #[arg(long)]
    pub exit_code: bool,
    /// Flags of `up`, which are taken and say nothing.
    #[command(flatten)]
    pub up: FlagsOfUp,
}

/// Exit code of `--exit-code` when there is something to do.
const CHANGES: u8 = 3;

/// Shows what `up` would do.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let mut loaded = load::wanted(&world.environment, &args.wanted);
    let requirements = pipeline::check(world, &mut loaded)?;
    let hooks = Hooks::read(world, &loaded.request, &loaded.vars, &[])?;
    hooks.tell_replaced(world);
    let stages = Stages::all().without(hooks.replaced());
    let how = How { stages: &stages, nodes: &args.nodes, json: args.json, aside: false };
    let changes = show(world, &loaded, &requirements, &how)?;
    Ok(if changes && args.exit_code { CHANGES } else { 0 })
}
