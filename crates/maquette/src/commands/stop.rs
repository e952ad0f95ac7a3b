//! `maquette stop`: shuts nodes down, and switches them off if that takes too long.

use maquette_core::plan::{Power, Shutdown};

use super::power::{self, PowerArgs};
use crate::cli::seconds;
use crate::failure::Failure;
use crate::world::World;

/// Arguments of `stop` and `restart`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which nodes.
    #[command(flatten)]
    pub power: PowerArgs,
    /// How long a guest may take to shut down before it is switched off, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, env = "MAQUETTE_POWER_TIMEOUT", default_value_t = 60)]
    pub timeout: u64,
    /// Switch them off at once
    #[arg(long)]
    pub force: bool,
}

impl Args {
    /// Whether guests have time to shut down.
    pub fn shutdown(&self) -> Shutdown {
        if self.force { Shutdown::PullPlug } else { Shutdown::within(self.timeout) }
    }
}

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    power::run(world, &args.power, "stop", Power::Stop(args.shutdown()))
}
