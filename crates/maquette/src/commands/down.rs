//! `maquette down`: removes an environment, or some of its nodes.

use crate::cli::{EnvironmentArgs, FlagsOfUp, Locking};
use crate::failure::Failure;
use crate::lifecycle::removal::{self, Asking};
use crate::session::nodes;
use crate::world::World;
use crate::{consent, load};

/// Arguments of `down`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// Do not ask (or MAQUETTE_YES=1)
    #[arg(short, long)]
    pub yes: bool,
    /// Nodes to remove, node types, Ansible groups, or patterns such as 'web-*' [default: everything]
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
    /// Flags of `up`, which are taken and change nothing, but that it may ask.
    #[command(flatten)]
    pub up: FlagsOfUp,
}

/// Removes an environment: its domains, volumes and networks, then its workspace; or some nodes.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located_with(&world.environment, &args.place, &args.up.extra)?;
    let asking = asking(world, args);
    if !args.nodes.is_empty() {
        let words = (args.nodes.as_slice(), nodes::Meaning::Gone);
        removal::remove_nodes(world, &located, words, args.json, args.locking, asking)?;
        return Ok(0);
    }
    let left = removal::remove(world, &located, args.json, args.locking, asking)?;
    removal::forget(world, &located, &left)?;
    Ok(0)
}

/// Whether to ask; says which flags of `up` do not do here what one may think.
fn asking(world: &World, args: &Args) -> Asking {
    let agreed = args.yes || consent::yes_of_environment(&world.environment);
    if args.up.has_accept() && !agreed {
        let text =
            "warning: `--accept` agrees to nothing that `down` does; `--yes` agrees to all of it";
        world.terminal.talk(text);
    }
    match args.up.narrowing().filter(|_| args.nodes.is_empty()) {
        Some(flag) => {
            let text = format!(
                "warning: `--{flag}` does not narrow `down`, which removes the whole environment; \
                 `maquette down web` removes nodes of type `web`"
            );
            world.terminal.talk(&text);
            Asking::Despite(flag)
        }
        None if agreed => Asking::Agreed,
        None => Asking::First,
    }
}
