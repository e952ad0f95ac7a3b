//! `maquette schema`.

use maquette_core::schema::{self, File};

use crate::failure::Failure;
use crate::playbooks::settings_tree;
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
    let schema = settings_tree::json(&schema::schema(file));
    world.terminal.result(&format!("{schema:#}"));
    Ok(0)
}
