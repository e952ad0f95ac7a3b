//! `maquette image`: base images and templates.

use std::path::{Path, PathBuf};
use std::time::Duration;

use maquette_core::diagnostic::Diagnostic;
use maquette_core::plan;
use maquette_core::settings::StartChoice;
use maquette_engine::host::Local;
use maquette_engine::image::build::{self, BUILDABLE, BuildError};
use maquette_engine::image::{RECORDS, catalogue};
use maquette_libvirt::Cached;
use serde_json::{Value, json};

use crate::cli::{EnvironmentArgs, Locking, TopologyArgs, seconds};
use crate::failure::{Failure, PREPARED};
use crate::pipeline::Scope;
use crate::session::{Session, authorities};
use crate::world::World;
use crate::{load, pipeline, render, userfile};

/// What to do with images.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// List the images that can be named, and the images and templates that the pool holds
    List {
        /// Which hypervisor and pool.
        #[command(flatten)]
        place: EnvironmentArgs,
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
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make templates that new nodes start from (`--start auto` or `warm`), before they are needed
    Warm(Warming),
    /// Remove cached base images and templates that no domain uses
    Prune {
        /// Which hypervisor and pool.
        #[command(flatten)]
        place: EnvironmentArgs,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `image warm`.
#[derive(Debug, clap::Args)]
pub struct Warming {
    /// The nodes that will start from them.
    #[command(flatten)]
    wanted: TopologyArgs,
    /// What to do if somebody else is changing the environment.
    #[command(flatten)]
    locking: Locking,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    json: bool,
    /// How long the boot of a template may take, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value_t = 600, env = "MAQUETTE_TIMEOUT")]
    timeout: u64,
}

/// Lists, builds or removes base images.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    match args {
        Args::List { json, place } => list(world, place, *json),
        Args::Build { name, output, force, json } => {
            build(world, name, output.as_deref(), *force, *json)
        }
        Args::Warm(warming) => warm(world, warming),
        Args::Prune { place, json } => prune(world, place, *json),
    }
}

/// Removes what nobody uses.
fn prune(world: &World, place: &EnvironmentArgs, as_json: bool) -> Result<u8, Failure> {
    let mut session = Session::at(world, place)?;
    // An image that an `up` has just fetched is not named by any domain yet.
    session.lock_hypervisor("image prune")?;
    // Who begins from now on waits until we are done, and who began before is seen.
    session.lock_images("image prune")?;
    session.running()?;
    session.must_be_idle()?;
    let pool = &session.located.pool.name;
    let pruned = session.prune(pool)?;
    if as_json {
        let text = json!({
            "schema": 1,
            "pool": pool,
            "removed": pruned.removed,
            "swept": pruned.swept,
            "unrecorded": pruned.unrecorded,
        });
        world.terminal.result(&format!("{text:#}"));
        return Ok(0);
    }
    for file in pruned.removed.iter().chain(&pruned.swept) {
        world.terminal.result(&format!("removed {file}"));
    }
    for volume in &pruned.unrecorded {
        world.terminal.talk(&format!(
            "{volume} looks like an image and is not recorded as one of ours, so it stays; \
             `virsh vol-delete {volume} {pool}` removes it"
        ));
    }
    if pruned.removed.is_empty() && pruned.swept.is_empty() {
        world.terminal.talk("the pool has no unused image");
    }
    Ok(0)
}

/// Makes the templates that nodes of the project can start from; the hypervisor is prepared for that.
fn warm(world: &World, args: &Warming) -> Result<u8, Failure> {
    let mut loaded = load::wanted(&world.environment, &args.wanted);
    loaded.request.settings.start = StartChoice::Warm;
    let requirements = pipeline::check(world, &mut loaded)?;
    let mut session = Session::open(world, loaded.located())?;
    session.prepare_runs(args.json, Duration::from_secs(args.timeout))?;
    let settings = &loaded.request.settings;
    let authorities =
        authorities::authorities(&world.terminal, &loaded.called("tls-ca"), &settings.tls_ca)?;
    session.lock("image warm", args.locking)?;
    let mut hypervisor = session.prepared_for(&requirements)?;
    let mut prepared = false;
    if !hypervisor.preparation.is_empty() {
        session.lock_hypervisor("image warm")?;
        hypervisor = session.prepared_for(&requirements)?;
        if !args.json {
            world.terminal.plan(&hypervisor.preparation, &hypervisor.title());
        }
        prepared = !hypervisor.preparation.is_empty();
        session.run(&hypervisor.preparation)?;
        hypervisor = session.prepared_for(&requirements).map_err(|e| e.after(PREPARED))?;
        session.unlock_hypervisor();
    }
    let scope = Scope { all_templates: true, ..Scope::USUAL };
    let planned = pipeline::plan(world, &loaded, &hypervisor, scope)
        .map_err(|failure| if prepared { failure.after(PREPARED) } else { failure })?;
    session.fetch(!planned.blueprint.refresh_images.is_empty(), authorities);
    let plan = plan::templates(&planned.blueprint, &planned.observed);
    if !args.json {
        world.terminal.plan(&plan, &session.title());
    }
    if !plan.is_empty() {
        session.run(&plan)?;
    }
    Ok(0)
}

/// Whether an image of this name was built on this machine.
fn built(world: &World, name: &str) -> bool {
    world.environment.built_images().join(format!("{name}.qcow2")).is_file()
}

fn list(world: &World, place: &EnvironmentArgs, as_json: bool) -> Result<u8, Failure> {
    // The names are known without a hypervisor, too.
    if !as_json {
        world
            .terminal
            .result(&render::images(|name| built(world, name), world.terminal.result_width()));
    }
    let (held, unknown) = match held(world, place) {
        Ok(held) => (Some(held), None),
        Err(failure @ Failure::Interrupted { .. }) => return Err(failure),
        Err(failure) => (None, Some(words(&failure))),
    };
    if as_json {
        let images: Vec<_> = catalogue::ENTRIES
            .iter()
            .map(|e| json!({"name": e.name, "url": e.url, "checksums": e.checksums, "built": built(world, e.name)}))
            .collect();
        let cached = held.map(|all| all.iter().map(described).collect::<Vec<_>>());
        let text = json!({"schema": 1, "images": images, "cached": cached});
        world.terminal.result(&format!("{text:#}"));
    } else if let Some(cached) = held.filter(|cached| !cached.is_empty()) {
        world.terminal.result("");
        world.terminal.result(&render::cached(&cached));
    }
    if let Some(why) = unknown {
        world.terminal.talk(&format!("what the pool holds is not known: {why}"));
    }
    Ok(0)
}

/// A failure in one line.
fn words(failure: &Failure) -> String {
    match failure {
        Failure::Failed(error) | Failure::Status(_, error) => error.in_one_line(),
        Failure::Input(diagnostics, _) => {
            diagnostics.iter().next().map(|d| d.message.clone()).unwrap_or_default()
        }
        _ => "it was not asked".into(),
    }
}

fn described(cached: &Cached) -> Value {
    let kind = match &cached.image {
        _ if cached.kept => "disk",
        Some(_) => "template",
        None => "image",
    };
    json!({
        "volume": cached.volume,
        "kind": kind,
        "image": cached.image,
        "usable": cached.whole && cached.current,
        "bytes": cached.bytes,
        "overlays": cached.overlays,
    })
}

/// The images and templates in a hypervisor's pool.
fn held(world: &World, place: &EnvironmentArgs) -> Result<Vec<Cached>, Failure> {
    let mut session = Session::at(world, place)?;
    session.running()?;
    let host = session.connection.host.as_ref();
    Ok(session.libvirt()?.cached(host, RECORDS, &session.located.pool.name)?)
}

fn build(
    world: &World,
    name: &str,
    output: Option<&Path>,
    force: bool,
    as_json: bool,
) -> Result<u8, Failure> {
    let named = world.environment.built_images().join(format!("{name}.qcow2"));
    let target = &userfile::replaceable(output.unwrap_or(&named))?;
    let described = |built: bool, current: bool| {
        let text =
            json!({"schema": 1, "image": name, "file": target, "built": built, "current": current});
        world.terminal.result(&format!("{text:#}"));
    };
    if target.is_file() && !force {
        let current = build::is_current(target);
        let age = if current { "" } else { ", built by another version" };
        let file = target.display();
        world.terminal.talk(&format!("{file} is there already{age}; `--force` builds it again"));
        if as_json {
            described(false, current);
        }
        return Ok(0);
    }
    let begun = (world.clock)();
    build::build(&Local, name, target, &mut |stage| world.terminal.talk(&format!("  {stage}")))
        .map_err(|error| match error {
            BuildError::Unknown(_) => not_buildable(name),
            other => Failure::because(format!("cannot build image `{name}`"), other),
        })?;
    let took = (world.clock)().duration_since(begun).unwrap_or_default();
    world.terminal.talk(&format!("built in {:.0} s", took.as_secs_f64()));
    match as_json {
        true => described(true, true),
        false => world.terminal.result(&target.display().to_string()),
    }
    Ok(0)
}

/// An image that there is no recipe for.
fn not_buildable(name: &str) -> Failure {
    let known: Vec<&str> = BUILDABLE.iter().map(|(name, _)| *name).collect();
    let message = format!("image `{name}` cannot be built: there is no recipe for it");
    let error = Diagnostic::error("image::not-buildable", message);
    let list = format!("these can be built: {}", known.join(", "));
    Failure::input(error.suggest(name, known).help(list))
}
