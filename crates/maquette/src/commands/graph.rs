//! `maquette graph`: a picture of what is there, with what `up` would add to it, change or remove.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use maquette_core::blueprint::{Network, Node, Vnc};
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::expand::{self, CloudInit, Context, ImageMap};
use maquette_core::observed::Observed;
use maquette_core::topology::{self, VirtType};
use maquette_core::values::PublicKey;
use maquette_engine::probe::Daemons;

use crate::cli::TopologyArgs;
use crate::failure::Failure;
use crate::load::Loaded;
use crate::render::graph::{self, PlannedChange, Scene, State};
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
    /// What is asked for. What is there already is drawn as it is, with its state.
    #[command(flatten)]
    pub wanted: TopologyArgs,
    /// How [default: what the file's name ends in, else text]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Picture>,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The format of a picture: the one that was asked for, or the one that the file's name ends in.
fn format(args: &Args) -> Result<Picture, Failure> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    // What is not UTF-8 is the end of no format's name, and not the same as none.
    let ending = args.output.as_ref().and_then(|path| path.extension());
    match ending.map(|end| end.to_string_lossy().to_ascii_lowercase()).as_deref() {
        None | Some("txt") => Ok(Picture::Text),
        Some("svg") => Ok(Picture::Svg),
        Some("dot" | "gv") => Ok(Picture::Dot),
        Some("mmd" | "mermaid" | "md") => Ok(Picture::Mermaid),
        Some(other) => {
            let message = format!("no format of pictures ends in `.{other}`");
            Err(Failure::input(
                Diagnostic::error("graph::format", message)
                    .help("name a file that ends in .svg, .mmd (Mermaid), .dot (Graphviz) or .txt")
                    .help("`--format` chooses one of them for any file"),
            ))
        }
    }
}

/// Networks and nodes that are drawn: what is there as it is, and what is asked for beside it.
struct Drawn {
    networks: Vec<Network>,
    nodes: Vec<Node>,
    /// What becomes of those that do not stay as they are, by kind and name.
    marks: BTreeMap<(graph::Kind, String), PlannedChange>,
}

impl Drawn {
    /// What is there alone.
    fn there(observed: &Observed) -> Self {
        let networks = observed.networks.values().map(|n| n.recorded.clone()).collect();
        let nodes = observed.domains.values().map(|d| d.recorded.clone()).collect();
        Self { networks, nodes, marks: BTreeMap::new() }
    }

    /// What is there, beside what is asked for.
    fn both(observed: &Observed, (networks, nodes): &(Vec<Network>, Vec<Node>)) -> Self {
        let there = Self::there(observed);
        let (networks, of_networks) =
            beside(there.networks, networks, |n| &n.name, graph::same_network);
        let (nodes, of_nodes) = beside(there.nodes, nodes, |n| &n.name, graph::same_node);
        let of = |kind, marks: Vec<(String, PlannedChange)>| {
            marks.into_iter().map(move |(name, mark)| ((kind, name), mark))
        };
        let marks = of(graph::Kind::Network, of_networks).chain(of(graph::Kind::Node, of_nodes));
        Self { networks, nodes, marks: marks.collect() }
    }
}

/// Objects of one kind that are `there` or are `asked` for, in the order of the files, with what those do not name at the
/// end; and what becomes of those that do not stay as they are.
fn beside<T: Clone>(
    there: Vec<T>,
    asked: &[T],
    name: fn(&T) -> &str,
    alike: fn(&T, &T) -> bool,
) -> (Vec<T>, Vec<(String, PlannedChange)>) {
    let places: BTreeMap<&str, usize> =
        asked.iter().enumerate().map(|(place, object)| (name(object), place)).collect();
    let mark = |object: &T| match places.get(name(object)) {
        None => Some(PlannedChange::Goes),
        Some(place) => (!alike(&asked[*place], object)).then_some(PlannedChange::Changes),
    };
    let marks = there.iter().filter_map(|o| Some((name(o).to_string(), mark(o)?))).collect();
    let known: BTreeSet<&str> = there.iter().map(name).collect();
    let new: Vec<T> = asked.iter().filter(|o| !known.contains(name(o))).cloned().collect();
    let mut all = there;
    all.extend(new);
    all.sort_by_key(|object| places.get(name(object)).copied().unwrap_or(usize::MAX));
    (all, marks)
}

/// Draws what is there and what is asked for. It is drawn even if the hypervisor cannot be reached; then everything is
/// drawn as not built, which is said.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let format = format(args)?;
    let mut loaded = load::described(&world.environment, &args.wanted);
    pipeline::check_drawn(world, without_image(&mut loaded))?;
    let observed = observed(world, &loaded)?;
    let picture = scene(&loaded, &observed, &|kind, name| state(&observed, kind, name))?;
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

/// No image is drawn, so that none has to be named.
pub(super) fn without_image(loaded: &mut Loaded) -> &mut Loaded {
    loaded.request.settings.image.get_or_insert_with(|| NO_IMAGE.into());
    loaded
}

/// What is drawn of an environment; `state` is asked what there is of an object.
pub(super) fn scene(
    loaded: &Loaded,
    observed: &Observed,
    state: &dyn Fn(graph::Kind, &str) -> State,
) -> Result<Scene, Failure> {
    let asked = loaded.nodes_named || !loaded.request.nodes.is_empty();
    let drawn = match asked || observed.domains.is_empty() {
        true => Drawn::both(observed, &wanted(loaded, observed, &mut Diagnostics::default())?),
        false => Drawn::there(observed),
    };
    let title = format!("environment {}", loaded.request.settings.environment);
    Ok(graph::picture(&title, &drawn.networks, &drawn.nodes, &|kind, name| {
        let mark = drawn.marks.get(&(kind, name.to_string())).copied();
        (state(kind, name), mark.unwrap_or_default())
    }))
}

/// What is there. Why it cannot be seen is said, and is nobody's mistake unless the input is.
fn observed(world: &World, loaded: &Loaded) -> Result<Observed, Failure> {
    let found = Session::open(world, loaded.located()).and_then(|mut session| session.find());
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

/// Stands where a picture needs no image: any name that there is.
const NO_IMAGE: &str = "debian-12";

/// Stands where a picture needs no key.
const NO_KEY: &str = "ssh-ed25519 none";

/// What the files describe. Images and keys are left out of the picture.
pub(super) fn wanted(
    loaded: &Loaded,
    observed: &Observed,
    warnings: &mut Diagnostics,
) -> Result<(Vec<Network>, Vec<Node>), Failure> {
    let mut diags = loaded.diags.fresh();
    let mut seen = observed.clone();
    // Without a hypervisor, the NIC of its default route has no name.
    seen.host.default_nic.get_or_insert_with(|| "NIC".into());
    let topology: Option<topology::Topology> = expand::choose(&loaded.request, &seen, &mut diags);
    let Some(topology) = topology.filter(|_| !diags.has_errors()) else {
        return Err(Failure::Input(diags, loaded.sources.clone()));
    };
    // Its warnings were shown when the input was checked.
    let mut diags = loaded.diags.fresh();
    let context = Context {
        observed: &seen,
        virt: VirtType::Qemu,
        images: &ImageMap::new(),
        cloud_init: &CloudInit::default(),
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
    warnings.extend(diags);
    Ok((blueprint.networks, blueprint.nodes))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_picture_has_the_format_that_its_files_name_ends_in() {
        let of = |name: &[u8]| {
            let output = Some(PathBuf::from(OsStr::from_bytes(name)));
            format(&Args { wanted: TopologyArgs::default(), format: None, output }).ok()
        };
        assert_eq!(of(b"a.SVG"), Some(Picture::Svg));
        assert_eq!(of(b"a\xff.svg"), Some(Picture::Svg));
        assert_eq!(of(b"a"), Some(Picture::Text));
        assert_eq!(of(b"a.png"), None);
        assert_eq!(of(b"a.s\xffvg"), None);
    }
}
