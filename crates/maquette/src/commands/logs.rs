//! `maquette logs`.

use maquette_engine::StepError;
use maquette_engine::host;

use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::session::Session;
use crate::session::nodes;
use crate::world::World;

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// The node
    pub node: String,
    /// Go on printing what it writes
    #[arg(short, long)]
    pub follow: bool,
    /// How many lines from the end [default: all]
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub lines: Option<u64>,
}

/// Prints a node's serial log.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let mut session = Session::at(world, &args.place)?;
    let observed = session.running()?.observed();
    let domain = nodes::one(world, &args.node, &session.located, &observed)?;
    let name = &domain.name;
    let log = maquette_libvirt::serial_log(&domain.recorded);
    let take = &mut |bytes: &[u8]| world.terminal.output(bytes);
    let host = session.connection.host.as_ref();
    let found = host::read_log(host, &log, args.lines, args.follow, take)
        .map_err(|e| Failure::because(format!("cannot read {log}"), e))?;
    if !found {
        let error = StepError::new(format!("`{name}` has no serial log yet, at {log}"));
        return Err(Failure::Failed(error.hint("it begins when the node is started")));
    }
    Ok(0)
}
