//! `maquette topology`.

use maquette_core::defaults::{self, Kind};
use maquette_core::diagnostic::Diagnostic;

use super::convert;
use crate::failure::Failure;

use crate::world::World;

/// What to do with built-in files.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// List node types and network files
    List,
    /// Write what is asked for, or what there is, as files of one's own
    Convert(Box<convert::Args>),
    /// Print one file
    Show {
        /// Its name
        name: String,
    },
}

/// Lists built-in files, or prints one.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    match args {
        Args::List => {
            let list = |kind| defaults::names(kind).join("\n  ");
            world.terminal.result(&format!(
                "node types (--topology-nodes):\n  {}\n\nnetwork files (--topology-network):\n  {}\n",
                list(Kind::Nodes),
                list(Kind::Network)
            ));
            Ok(0)
        }
        Args::Convert(args) => convert::run(world, args),
        Args::Show { name } => {
            let found = defaults::get(Kind::Nodes, name).or(defaults::get(Kind::Network, name));
            match found {
                Some(text) => {
                    world.terminal.result(text);
                    Ok(0)
                }
                None => {
                    let mut names = defaults::names(Kind::Nodes);
                    names.extend(defaults::names(Kind::Network));
                    let message = format!("there is no built-in file `{name}`");
                    let error = Diagnostic::error("topology::unknown-file", message);
                    Err(Failure::input(
                        error
                            .suggest(name, names)
                            .help("`maquette topology list` has the names of all"),
                    ))
                }
            }
        }
    }
}
