//! `maquette screenshot`.

use std::path::PathBuf;

use maquette_core::diagnostic::Diagnostic;
use maquette_engine::StepError;

use super::nodes;
use crate::cli::Place;
use crate::failure::Failure;
use crate::render;
use crate::userfile::{self, Content};
use crate::world::World;

/// Arguments of `screenshot`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// The node
    pub node: String,
    /// File to write, in PNG [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Takes a picture of what is on a node's screen.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    if args.output.is_none() && world.terminal.shows_results() {
        let error = Diagnostic::error("screenshot::terminal", "a terminal cannot show a PNG file");
        return Err(Failure::input(error.help("write it to a file with `-o FILE.png`")));
    }
    let node = nodes::running(world, &args.place, &args.node)?;
    let name = &node.domain.name;
    let failed = format!("cannot take a picture of the screen of `{name}`");
    let taken = node.libvirt.screenshot(name).map_err(|e| Failure::because(failed.clone(), e))?;
    let picture = render::png(&taken).ok_or_else(|| {
        Failure::Failed(StepError::new(format!(
            "{failed}: libvirt returned it in a format that Maquette does not know"
        )))
    })?;
    match &args.output {
        // What is on a screen may be secret.
        Some(path) => userfile::write(&world.terminal, path, &picture, Content::Private)?,
        None => {
            world.terminal.bytes(&picture);
        }
    }
    Ok(0)
}
