//! What `start`, `stop`, `restart`, `reset`, `pause` and `resume` share.

use std::time::Duration;

use maquette_core::diagnostic::Diagnostic;
use maquette_core::plan::{self, Power};
use maquette_engine::StepError;

use crate::cli::{EnvironmentArgs, Locking};
use crate::failure::Failure;
use crate::lifecycle::answering;
use crate::session::nodes::{self, Meaning};
use crate::session::{Ask, Session};
use crate::world::World;

/// How long a first boot or a start may take where no `--timeout` says so, in seconds.
pub const START_TIMEOUT: u64 = 600;

/// Arguments of `reset`, `pause` and `resume`, and part of the others'.
#[derive(Debug, clap::Args)]
pub struct PowerArgs {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// Which nodes.
    #[arg(value_name = "NODE", help = nodes::NODES)]
    pub nodes: Vec<String>,
    /// All nodes of the environment
    #[arg(long, conflicts_with = "nodes")]
    pub all: bool,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
}

/// Plans `what` for the nodes that are named, or for all, shows the plan and carries it out. `verb` is what the user
/// typed, for messages.
pub fn run(world: &World, args: &PowerArgs, verb: &str, what: Power) -> Result<u8, Failure> {
    run_for(world, args, verb, what, START_TIMEOUT)
}

/// The same; after a start nodes may take `timeout_s` seconds to answer.
pub fn run_for(
    world: &World,
    args: &PowerArgs,
    verb: &str,
    what: Power,
    timeout_s: u64,
) -> Result<u8, Failure> {
    if args.nodes.is_empty() && !args.all {
        return Err(nodes::unnamed(verb));
    }
    let mut session = Session::at(world, &args.place)?;
    session.prepare_runs(args.json, Duration::from_secs(timeout_s))?;
    session.lock(verb, args.locking)?;
    let observed = session.running()?.observed();
    if args.all && !observed.exists() {
        return Err(absent(&session.title()));
    }
    let names = match args.all {
        true => observed.domains.keys().map(ToString::to_string).collect(),
        false => nodes::resolve(world, &args.nodes, &session.located, &observed, Meaning::There)?,
    };
    let unproven = plan::unproven(&observed, &names, what);
    if !unproven.is_empty() {
        let error = StepError::new(format!(
            "{} did not finish its first boot, and its seed may be incomplete",
            unproven.join(", ")
        ));
        let hint =
            "`maquette up` makes the seed again and starts it; nothing was started or stopped";
        return Err(Failure::Failed(error.hint(hint)));
    }
    let mut plan = plan::power(&observed, &names, what);
    // Who starts what runs already goes on waiting for it.
    let unanswered = match what {
        Power::Start => {
            let mut asked = observed.clone();
            asked.domains.retain(|name, _| names.contains(name.as_str()));
            let found = session.evidence(&asked, Ask::Nodes)?;
            let silent = answering::silent(&asked, &found);
            plan.wait_for(&observed, &silent);
            asked.domains.retain(|name, _| !silent.contains(name.as_str()));
            answering::moved(&asked, &found).iter().for_each(|line| world.terminal.talk(line));
            answering::failed(&asked, &found)
        }
        _ => None,
    };
    if !args.json {
        world.terminal.plan(&plan, &session.title());
    }
    if !plan.is_empty() {
        if let Some(domain) = observed.domains.values().next() {
            session.starts(domain.recorded.virt);
        }
        session.run(&plan)?;
    }
    unanswered.map_or(Ok(0), |error| Err(Failure::Failed(error)))
}

/// The error of `--all` where there is no environment: most likely the prefix or the hypervisor is a slip.
fn absent(environment: &str) -> Failure {
    let error = Diagnostic::error("environment::unknown", format!("there is no {environment}"));
    Failure::input(error.help(
        "`maquette up` builds it; `--prefix NAME` and `--host-address ADDRESS` choose another one",
    ))
}
