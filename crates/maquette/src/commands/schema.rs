//! `maquette schema`.

use maquette_core::schema::{self, File};

use crate::failure::Failure;
use crate::world::World;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What it describes
    pub file: Files,
}

/// Files that have a schema.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Files {
    /// `maquette.yaml`
    Project,
    /// Node files: node types
    Nodes,
    /// Network files
    Network,
}

/// Prints a schema.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let file = match args.file {
        Files::Project => File::Project,
        Files::Nodes => File::Nodes,
        Files::Network => File::Network,
    };
    let schema = serde_json::to_string_pretty(&schema::schema(file))
        .map_err(|e| Failure::because("cannot print the schema", e))?;
    world.terminal.result(&schema);
    Ok(0)
}
