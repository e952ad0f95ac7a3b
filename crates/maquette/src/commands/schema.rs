//! `maquette schema`.

use clap::builder::PossibleValuesParser;
use maquette_core::schema::{self, File};

use crate::failure::Failure;
use crate::render::outputs::{self, OUTPUTS};
use crate::world::World;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file that Maquette reads; `events`, a line of what it prints while it does something; or the verb whose `--json`
    /// it is
    #[arg(value_name = "OF", value_parser = PossibleValuesParser::new(words()))]
    pub of: String,
}

/// The files that have a schema, by the words for them.
const FILES: [(&str, File); 3] =
    [("project", File::Project), ("nodes", File::Nodes), ("network", File::Network)];

const EVENTS: &str = "events";

/// What has a schema.
fn words() -> Vec<String> {
    let files = FILES.iter().map(|(word, _)| (*word).to_string());
    files.chain([EVENTS.to_string()]).chain(OUTPUTS.iter().map(outputs::Output::word)).collect()
}

/// Prints a schema.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let file = FILES.iter().find(|(word, _)| *word == args.of);
    let output = OUTPUTS.iter().find(|output| output.word() == args.of);
    let schema = match (file, output) {
        (Some((_, file)), _) => serde_json::to_string_pretty(&schema::schema(*file)),
        (None, Some(output)) => serde_json::to_string_pretty(&output.schema()),
        (None, None) => serde_json::to_string_pretty(&outputs::events_schema()),
    };
    let schema = schema.map_err(|e| Failure::because("cannot print the schema", e))?;
    world.terminal.result(&schema);
    Ok(0)
}
