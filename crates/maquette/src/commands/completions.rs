//! `maquette completions`: what a shell completes.

use clap::CommandFactory;

use crate::cli::Cli;
use crate::failure::Failure;

use crate::world::World;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Prints them.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "maquette", &mut text);
    world.terminal.result(&String::from_utf8_lossy(&text));
    Ok(0)
}
