//! `maquette image`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use maquette_engine::StepError;
use maquette_engine::host::Local;
use maquette_engine::image::build::{self, BUILDABLE, BuildError};
use maquette_engine::image::{RECORDS, catalogue};
use serde_json::json;

use crate::cli::Place;
use crate::failure::Failure;
use crate::session::Session;
use crate::session::locking;
use crate::{load, render};
use crate::world::World;

/// What to do with images.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// List the images that can be named
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Build an image from distribution packages, without downloading a cloud image
    Build {
        /// Which one
        name: String,
        /// File to write [default: where `--image-url NAME` finds it]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Build it even if it is there
        #[arg(long)]
        force: bool,
    },
    /// Remove cached base images that no domain uses
    Prune {
        /// Which hypervisor and pool.
        #[command(flatten)]
        place: Place,
    },
}

/// Lists, builds or removes base images.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    match args {
        Args::List { json } => list(world, *json),
        Args::Build { name, output, force } => build(world, name, output.as_deref(), *force),
        Args::Prune { place } => {
            let located = load::located(&world.environment, place)?;
            let session = Session::open(world, located.clone())?;
            let connection = &session.connection;
            // An image that an `up` has just fetched is not named by any domain yet.
            let cancelled = Arc::new(AtomicBool::new(false));
            let lock = locking::hypervisor(world, connection, "image prune", &cancelled)?;
            // Who begins from now on waits until we are done, and who began before is seen.
            let _images = locking::images(world, connection, "image prune", &cancelled)?;
            let hypervisor = session.running()?;
            locking::idle(connection)?;
            let Some(server) = &hypervisor.libvirt else { return Ok(0) };
            let host = lock.fence(connection.host.as_ref());
            let pruned = server.prune(&host, RECORDS, &located.pool.name)?;
            for file in pruned.removed.iter().chain(&pruned.swept) {
                world.terminal.result(&format!("removed {file}"));
            }
            for volume in &pruned.unrecorded {
                world.terminal.talk(&format!(
                    "{volume} looks like an image and is not recorded as one of ours, so it stays; \
                     `virsh vol-delete {volume} {}` removes it",
                    located.pool.name
                ));
            }
            if pruned.removed.is_empty() && pruned.swept.is_empty() {
                world.terminal.talk("no cached image is unused");
            }
            Ok(0)
        }
    }
}

fn built(world: &World, name: &str) -> bool {
    world.environment.built_images().join(format!("{name}.qcow2")).is_file()
}

fn list(world: &World, as_json: bool) -> Result<u8, Failure> {
    if as_json {
        let images: Vec<_> = catalogue::ENTRIES
            .iter()
            .map(|e| json!({"name": e.name, "url": e.url, "checksums": e.checksums, "built": built(world, e.name)}))
            .collect();
        world.terminal.result(&format!("{:#}", json!({"schema": 1, "images": images})));
    } else {
        world.terminal.result(&render::images(|name| built(world, name)));
    }
    Ok(0)
}

fn build(world: &World, name: &str, output: Option<&Path>, force: bool) -> Result<u8, Failure> {
    let named = world.environment.built_images().join(format!("{name}.qcow2"));
    let target = output.unwrap_or(&named);
    if target.is_file() && !force {
        let age = if build::is_current(target) { "" } else { ", built by another version" };
        let target = target.display();
        world.terminal.talk(&format!("{target} is there already{age}; `--force` builds it again"));
        return Ok(0);
    }
    let begun = (world.clock)();
    build::build(&Local, name, target, &mut |stage| world.terminal.talk(&format!("  {stage}"))).map_err(
        |error| {
            let unknown = matches!(error, BuildError::Unknown(_));
            let mut failure =
                StepError::new(format!("cannot build image `{name}`")).because(error);
            if unknown {
                let known: Vec<&str> = BUILDABLE.iter().map(|(name, _)| *name).collect();
                failure = failure.hint(format!("these can be built: {}", known.join(", ")));
            }
            Failure::Failed(failure)
        },
    )?;
    let took = (world.clock)().duration_since(begun).unwrap_or_default();
    world.terminal.talk(&format!("built in {:.0} s", took.as_secs_f64()));
    world.terminal.result(&target.display().to_string());
    Ok(0)
}
