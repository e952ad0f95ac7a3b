//! `maquette plugin`: what InfraRed's users do about its provisioner before they use it.

use crate::failure::Failure;
use crate::infrared;
use crate::world::World;

/// Arguments of `plugin`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// InfraRed's arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<String>,
}

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    infrared::plugin::run(world, &args.args)
}
