//! `maquette start`: starts nodes, and waits until they answer.

use maquette_core::plan::Power;

use super::power;
pub use super::power::StartArgs as Args;
use crate::failure::Failure;
use crate::world::World;

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    power::run_for(world, &args.power, "start", Power::Start, args.timeout)
}
