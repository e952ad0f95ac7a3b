//! What `start`, `stop`, `restart`, `reset`, `pause` and `resume` share.

use std::time::Duration;

use maquette_core::plan::{self, Power};
use maquette_core::topology::VirtType;
use maquette_engine::StepError;

use super::nodes;
use crate::cli::{Locking, Place};
use crate::failure::Failure;
use crate::session::connection;
use crate::session::run::Runner;
use crate::world::World;
use crate::{load, render, session};

/// Arguments of `start`, `reset`, `pause` and `resume`.
#[derive(Debug, clap::Args)]
pub struct PowerArgs {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// The nodes
    #[arg(value_name = "NODE", required_unless_present = "all")]
    pub nodes: Vec<String>,
    /// All nodes of the environment
    #[arg(long, conflicts_with = "nodes")]
    pub all: bool,
    /// How long a guest may take to shut down (60), or to answer after its start (600), in seconds
    #[arg(long, value_name = "SECONDS", env = "MAQUETTE_POWER_TIMEOUT")]
    pub timeout: Option<u64>,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `stop` and `restart`.
#[derive(Debug, clap::Args)]
pub struct StopArgs {
    /// Which nodes.
    #[command(flatten)]
    pub power: PowerArgs,
    /// Pull the plug at once
    #[arg(long)]
    pub force: bool,
}

impl StopArgs {
    /// Seconds that a guest has to shut down before the plug is pulled.
    pub fn patience(&self) -> u64 {
        if self.force { 0 } else { self.power.timeout.unwrap_or(60) }
    }
}

/// Does it to the nodes that are named, or to all.
pub fn run(world: &World, args: &PowerArgs, verb: &str, what: Power) -> Result<u8, Failure> {
    let located = load::located(&args.place)?;
    let connection = connection::open(world, &located.host, &located.workspace)?;
    let boots = args.timeout.filter(|_| what == Power::Start).unwrap_or(600);
    let limit = Duration::from_secs(boots);
    let mut runner = Runner::new(world, args.json, &connection, &located.workspace, limit)?;
    runner.lock(&located.environment, verb, args.locking)?;
    let hypervisor = session::running(world, &connection, &located.environment, &located.pool)?;
    let observed = hypervisor.observed();
    let names = match args.all {
        true => observed.domains.keys().cloned().collect(),
        false => nodes::resolve(world, &args.nodes, &located, &observed, false)?,
    };
    let unproven = plan::unproven(&observed, &names, what);
    if !unproven.is_empty() {
        let error = StepError::new(format!(
            "{} never ended a first boot, and what it is set up from may be half there",
            unproven.join(", ")
        ));
        let hint = "`maquette up` makes that anew and starts it; nothing was started or stopped";
        return Err(Failure::Failed(error.hint(hint)));
    }
    let plan = plan::power(&observed, &names, what);
    if !args.json {
        let title = format!("environment `{}` on {}", located.environment, connection.label);
        world.terminal.talk(render::plan(&plan, &title).trim_end());
    }
    if plan.is_empty() {
        return Ok(0);
    }
    let virt = observed.domains.values().next().map_or(VirtType::Qemu, |d| d.recorded.virt);
    runner.run(&plan, &hypervisor.facts, virt, hypervisor.libvirt.as_ref())?;
    Ok(0)
}
