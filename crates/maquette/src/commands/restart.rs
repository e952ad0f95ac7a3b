//! `maquette restart`: shuts nodes down and starts them.

use maquette_core::plan::Power;

use super::power;
pub use super::stop::Args;
use crate::failure::Failure;
use crate::world::World;

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    power::run(world, &args.power, "restart", Power::Restart(args.shutdown()))
}
