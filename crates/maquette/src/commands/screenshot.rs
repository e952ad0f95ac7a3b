//! `maquette screenshot`.

use std::path::PathBuf;

use maquette_core::diagnostic::Diagnostic;
use maquette_engine::StepError;
use serde_json::json;

use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::render;
use crate::session::nodes;
use crate::userfile::{self, Content};
use crate::world::World;

/// Arguments of `screenshot`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// The node
    pub node: String,
    /// File to write, in PNG [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// With `--output`: print what was written as JSON
    #[arg(long, requires = "output")]
    pub json: bool,
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
    let taken = node
        .session
        .libvirt()?
        .screenshot(name)
        .map_err(|e| Failure::because(failed.clone(), e))?;
    let picture = render::png(&taken).ok_or_else(|| {
        Failure::Failed(StepError::new(format!(
            "{failed}: libvirt returned it in a format that Maquette does not know"
        )))
    })?;
    match &args.output {
        // What is on a screen may be secret.
        Some(path) => {
            userfile::write(&world.terminal, path, &picture, Content::Private)?;
            if args.json {
                let file = path.display().to_string();
                let value = json!({"schema": 1, "node": name, "file": file, "format": "png"});
                world.terminal.result(&format!("{value:#}"));
            }
        }
        None => {
            world.terminal.bytes(&picture);
        }
    }
    Ok(0)
}
