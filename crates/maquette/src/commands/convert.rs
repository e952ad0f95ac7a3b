//! `maquette topology convert`: what is asked for, or what there is, as files of our own.

use std::io::Write;
use std::path::{Path, PathBuf};

use maquette_core::convert::{self, Files};
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::syntax::{Sources, written};

use maquette_engine::StepError;

use crate::cli::TopologyArgs;
use crate::failure::Failure;
use crate::load::{self, PROJECT};
use crate::session::Session;
use crate::world::World;
use crate::{pipeline, render};

/// Arguments of `topology convert`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is asked for
    #[command(flatten)]
    pub wanted: TopologyArgs,
    /// Take what there is instead of what is asked for
    #[arg(long)]
    pub running: bool,
    /// Directory that the files are written to; they are printed otherwise
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Writes the files, or prints them.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let files = if args.running { there(world, args)? } else { asked(world, args)? };
    let network = files.network.as_ref().map(|(name, tree)| (network_path(name), written(tree)));
    let all = [(PathBuf::from(PROJECT), written(&files.project))].into_iter().chain(network);
    let Some(directory) = &args.output else {
        for (path, text) in all {
            world.terminal.result(&format!("# {}\n{text}", path.display()));
        }
        return Ok(0);
    };
    let all: Vec<_> = all.map(|(path, text)| (directory.join(path), text)).collect();
    if let Some((path, _)) = all.iter().find(|(path, _)| path.exists()) {
        let message = format!("{} is there already", path.display());
        let error = Diagnostic::error("convert::exists", message);
        return Err(Failure::input(error.help("name another directory, or remove it")));
    }
    for (path, text) in &all {
        write(path, text).map_err(|error| {
            let message = format!("cannot write {}: {error}", path.display());
            Failure::Failed(StepError::new(message))
        })?;
        world.terminal.talk(&format!("wrote {}", path.display()));
    }
    Ok(0)
}

fn network_path(name: &str) -> PathBuf {
    Path::new("topology/network").join(format!("{name}.yml"))
}

/// A new file, in a directory that is made if there is none.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn asked(world: &World, args: &Args) -> Result<Files, Failure> {
    let mut loaded = load::wanted(&world.environment, &args.wanted);
    pipeline::check(world, &mut loaded)?;
    let mut diags = Diagnostics::default();
    let files = convert::of_request(&loaded.request, &loaded.given, &mut diags);
    tell(world, &diags, &loaded.sources);
    Ok(files)
}

fn there(world: &World, args: &Args) -> Result<Files, Failure> {
    let mut session = Session::open(world, load::located_of(&world.environment, &args.wanted)?)?;
    let observed = session.running()?.observed();
    let environment = &session.located.environment;
    if observed.domains.is_empty() && observed.networks.is_empty() {
        let message = format!("there is no environment `{environment}`");
        let error = Diagnostic::error("convert::nothing", message);
        return Err(Failure::input(error.help("`maquette list` shows all of a hypervisor")));
    }
    let mut sources = Sources::default();
    let id = sources.add("the environment", "");
    let mut diags = Diagnostics::default();
    let files = convert::of_environment(environment, &observed, sources.whole(id), &mut diags);
    tell(world, &diags, &sources);
    Ok(files)
}

/// Says what is not in the files.
fn tell(world: &World, diags: &Diagnostics, sources: &Sources) {
    if !diags.is_empty() {
        world.terminal.painted_talk(&render::diagnostics(diags, sources));
    }
}
