//! `maquette graph`.

use std::path::PathBuf;

use maquette_core::blueprint::{Network, Node, Vnc};
use maquette_core::expand::{self, Context, ImageMap};
use maquette_core::observed::Observed;
use maquette_core::topology::{self, VirtType};
use maquette_core::values::PublicKey;
use maquette_engine::probe::Daemons;

use crate::cli::Wanted;
use crate::failure::Failure;
use crate::load::Loaded;
use crate::render::graph::{self, State};
use crate::session::Session;
use crate::userfile::{self, Content};
use crate::world::World;
use crate::{load, pipeline};

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Picture {
    /// Text for a terminal.
    Text,
    /// A drawing.
    Svg,
    /// Mermaid, for Markdown.
    Mermaid,
    /// Graphviz.
    Dot,
}

/// Arguments of `graph`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to draw; what is there already is drawn with its state.
    #[command(flatten)]
    pub wanted: Wanted,
    /// How [default: as the file's name ends, else text]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Picture>,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Draws what is wanted, with the state of what is there. It is drawn even if the
/// hypervisor cannot be reached; then it is said that nothing is known of that state.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let mut loaded = load::described(&world.environment, &args.wanted)?;
    pipeline::check(world, &mut loaded)?;
    let observed = observed(world, &loaded)?;
    let asked = args.wanted.flags.0.has("topology-nodes") || !loaded.request.nodes.is_empty();
    let (networks, nodes) = match asked || observed.domains.is_empty() {
        true => wanted(&loaded, &observed)?,
        // Nothing is asked for: it is about what there is.
        false => (
            observed.networks.values().map(|n| n.recorded.clone()).collect(),
            observed.domains.values().map(|d| d.recorded.clone()).collect(),
        ),
    };
    let picture = graph::picture(&networks, &nodes, &|kind, name| state(&observed, kind, name));
    let ending = args.output.as_ref().and_then(|p| p.extension()?.to_str());
    let format = args.format.unwrap_or(match ending {
        Some("svg") => Picture::Svg,
        Some("dot" | "gv") => Picture::Dot,
        Some("mmd" | "mermaid" | "md") => Picture::Mermaid,
        _ => Picture::Text,
    });
    let text = match format {
        Picture::Text => graph::text(&picture),
        Picture::Svg => graph::svg(&picture),
        Picture::Mermaid => graph::mermaid(&picture),
        Picture::Dot => graph::dot(&picture),
    };
    match &args.output {
        Some(path) => userfile::write(&world.terminal, path, text.as_bytes(), Content::Plain)?,
        None => world.terminal.result(&text),
    }
    Ok(0)
}

/// What is there. Why it cannot be seen is said, and is nobody's mistake unless the input is.
fn observed(world: &World, loaded: &Loaded) -> Result<Observed, Failure> {
    let found = Session::open(world, loaded.located()).and_then(|session| session.find());
    let why = match found {
        Ok(found) if found.libvirt.is_none() && found.facts.daemons != Daemons::Missing => {
            "libvirt does not answer".to_string()
        }
        Ok(found) => return Ok(found.observed()),
        Err(Failure::Failed(error)) => error.in_one_line(),
        Err(other) => return Err(other),
    };
    let nothing = "everything is drawn as not built, since it cannot be seen what is there";
    world.terminal.talk(&format!("warning: {nothing}: {why}"));
    Ok(Observed::default())
}

/// What is there of an object.
fn state(observed: &Observed, kind: graph::Kind, name: &str) -> State {
    match kind {
        graph::Kind::Network => match observed.networks.get(name) {
            None => State::Planned,
            Some(network) if network.active => State::Active,
            Some(_) => State::Off,
        },
        graph::Kind::Node => match observed.domains.get(name) {
            None => State::Planned,
            Some(domain) if domain.active && !domain.paused => State::Active,
            Some(_) => State::Off,
        },
    }
}

/// Stands where a picture needs no key.
const NO_KEY: &str = "ssh-ed25519 none";

/// What the files describe. Images and keys are left out of the picture.
pub(super) fn wanted(
    loaded: &Loaded,
    observed: &Observed,
) -> Result<(Vec<Network>, Vec<Node>), Failure> {
    let mut diags = loaded.diags.fresh();
    let mut seen = observed.clone();
    // Without a hypervisor, the NIC of its default route has no name.
    seen.host.default_nic.get_or_insert_with(|| "NIC".into());
    let topology: Option<topology::Topology> = expand::choose(&loaded.request, &seen, &mut diags);
    let Some(topology) = topology.filter(|_| !diags.has_errors()) else {
        return Err(Failure::Input(diags, loaded.sources.clone()));
    };
    let context = Context {
        observed: &seen,
        virt: VirtType::Qemu,
        images: &ImageMap::new(),
        authorized_key: &PublicKey::known(NO_KEY),
        host_keys: &|_, _, _| PublicKey::known(NO_KEY),
        generation: 0,
        vnc: &Vnc::default(),
        // What is drawn has no first boot.
        tag: &|_| String::new(),
    };
    let blueprint = expand::expand(&topology, &context, &mut diags);
    if diags.has_errors() {
        return Err(Failure::Input(diags, loaded.sources.clone()));
    }
    Ok((blueprint.networks, blueprint.nodes))
}
