//! `maquette virsh`: InfraRed's provisioner.

use clap::{Command, CommandFactory};

use crate::commands::Cli;
use crate::failure::Failure;
use crate::infrared;
use crate::world::World;

/// Arguments of `virsh`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// InfraRed's arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    pub args: Vec<String>,
    /// Whether it is left out of the command log; `--no-log-commands` before the verb.
    #[arg(skip)]
    pub unlogged: bool,
}

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    infrared::run(world, &args.args, !args.unlogged)
}

/// The command line for completions and manual pages: with InfraRed's options, which `virsh` takes as raw words and reads
/// by itself.
pub fn documented() -> Command {
    Cli::command().mut_subcommand("virsh", |_| infrared::command())
}
