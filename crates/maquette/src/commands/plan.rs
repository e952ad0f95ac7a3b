//! `maquette plan`.

use super::{lockout, nodes};
use crate::cli::Wanted;
use crate::failure::Failure;
use crate::session::{self, Session};
use crate::world::World;
use crate::{load, pipeline, render};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to build.
    #[command(flatten)]
    pub wanted: Wanted,
    /// What `maquette up NODE…` would do
    #[arg(value_name = "NODE", help = nodes::WANTED)]
    pub nodes: Vec<String>,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with 3 if there is something to do
    #[arg(long)]
    pub exit_code: bool,
}

/// Exit code of `--exit-code` when there is something to do.
const CHANGES: u8 = 3;

/// Shows what `up` would do.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let mut loaded = load::wanted(&world.environment, &args.wanted)?;
    let requirements = pipeline::check(world, &mut loaded)?;
    let environment = &loaded.request.settings.environment;
    let session = Session::open(world, loaded.located())?;
    let hypervisor = session.prepared_for(&requirements)?;
    let scope = pipeline::Scope { nodes: &args.nodes, ..pipeline::Scope::USUAL };
    let planned = pipeline::plan(world, &loaded, &hypervisor, scope)?;
    let preparation = &hypervisor.preparation;
    if args.json {
        let value = render::plan_json(&planned.plan, &environment.to_string(), preparation);
        world.terminal.result(&format!("{value:#}"));
    } else {
        if !preparation.is_empty() {
            let title = session::title(&hypervisor.facts);
            world.terminal.plan_as_result(preparation, &title);
            if hypervisor.libvirt.is_none() {
                world.terminal.talk(
                    "libvirt does not answer yet; what follows takes the hypervisor for empty",
                );
            }
        }
        let user = &world.environment;
        let lockout = lockout::of(&planned.observed, &loaded.workspace, user);
        if let Some(lockout) = lockout.filter(|_| !planned.plan.is_empty()) {
            world.terminal.talk(&lockout.text(environment, &loaded.workspace));
        }
        world.terminal.plan_as_result(&planned.plan, &session.title());
        if planned.shared.is_some() && !planned.plan.is_empty() {
            let text = "another workspace built this environment and shares it with this one: it is changed there only";
            world.terminal.talk(text);
        }
        if let Some(rest) = planned.rest() {
            world.terminal.talk(&rest);
        }
    }
    let changes = !preparation.is_empty() || !planned.plan.is_empty();
    Ok(if changes && args.exit_code { CHANGES } else { 0 })
}
