//! `maquette up`.

use std::time::Duration;

use crate::cli::{Locking, TopologyArgs, seconds};
use crate::consent::{Consent, Kind};
use crate::failure::Failure;
use crate::lifecycle::build::{self, How};
use crate::playbooks::stages::Stages;
use crate::session::{Session, authorities, nodes};
use crate::world::World;
use crate::{load, pipeline, playbooks};

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to build.
    #[command(flatten)]
    pub wanted: TopologyArgs,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// What is built or changed.
    #[arg(value_name = "NODE", help = nodes::WANTED)]
    pub nodes: Vec<String>,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
    /// Do not ask before nodes lose their disks, edited networks go, or the environment expires sooner
    #[arg(short, long)]
    pub yes: bool,
    /// Do not ask before just that; may be given several times
    #[arg(long, value_name = "WHAT", value_delimiter = ',', env = "MAQUETTE_ACCEPT")]
    pub accept: Vec<Kind>,
    /// How long the first boot of a node may take, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value_t = 600, env = "MAQUETTE_TIMEOUT")]
    pub timeout: u64,
}

/// Brings an environment to what is asked for.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let mut loaded = load::wanted(&world.environment, &args.wanted);
    let requirements = pipeline::check(world, &mut loaded)?;
    let hooks = playbooks::Hooks::read(world, &loaded.request, &loaded.vars, &[])?;
    let stages = Stages::all().without(hooks.replaced());
    let limit = Duration::from_secs(args.timeout);
    let consent = Consent::new(&args.accept).yes(args.yes).doubted(loaded.doubted);
    let how = How {
        nodes: args.nodes.clone(),
        json: args.json,
        consent: match loaded.doubted {
            true => consent.json(args.json).hint(
                "mend the keys that are warned of: `--yes` does not agree to this beside them",
            ),
            false => consent.json(args.json).hint("or `--yes`"),
        },
        limit,
        stages,
        locking: args.locking,
        authorities: authorities::authorities(
            &world.terminal,
            &loaded.called("tls-ca"),
            &loaded.request.settings.tls_ca,
        )?,
    };
    let mut session = Session::open(world, loaded.located())?;
    build::build(world, &loaded, &requirements, &mut session, hooks, &how)?;
    Ok(0)
}
