//! `maquette start`: starts nodes, and waits until they answer.

use maquette_core::plan::Power;

use super::power::{self, PowerArgs};
use crate::cli::seconds;
use crate::failure::Failure;
use crate::world::World;

/// Arguments of `start`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which nodes.
    #[command(flatten)]
    pub power: PowerArgs,
    /// How long a node may take to answer after its start, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, env = "MAQUETTE_TIMEOUT", default_value_t = power::START_TIMEOUT)]
    pub timeout: u64,
}

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    power::run_for(world, &args.power, "start", Power::Start, args.timeout)
}
