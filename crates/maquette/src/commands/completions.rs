//! `maquette completions`: the script that has a shell complete words of our command line.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::commands::Cli;
use crate::failure::Failure;
use crate::world::World;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    pub shell: Shell,
}

/// The part of the script that completes names of nodes, environments and images, by calling `maquette complete-names`;
/// empty for shells that have none.
fn names(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../../assets/completions/names.bash"),
        Shell::Fish => include_str!("../../assets/completions/names.fish"),
        Shell::Zsh => include_str!("../../assets/completions/names.zsh"),
        _ => "",
    }
}

/// Prints the script.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "maquette", &mut text);
    text.extend(names(args.shell).bytes());
    world.terminal.result(&String::from_utf8_lossy(&text));
    Ok(0)
}
