//! Where node and network files are found: as a path, below `topology/` here, in the user's
//! directory, built in; each first as written, then with `.yml`.

use std::path::{Path, PathBuf};

use maquette_core::defaults::{self, Kind};
use maquette_core::diagnostic::Diagnostic;
use maquette_core::syntax::{Span, Tree, parse};
use maquette_core::values::NodeType;

use super::Reader;
use crate::world::Environment;

/// A file that was found.
pub struct Found {
    /// Base name without ending.
    pub name: String,
    /// Absolute path, or the built-in's name; types are ordered by it.
    pub path: String,
    /// Its content, as it was read.
    pub tree: Tree,
}

/// Finds and reads a network file; `node` holds its name.
pub fn network(reader: &mut Reader<'_>, node: &Tree) -> Option<(String, Tree)> {
    let name = maquette_core::decode::text(node, "network", &mut reader.diags)?;
    let found = find(reader, Kind::Network, &name.value, name.span)?;
    Some((found.name, found.tree))
}

/// Finds and reads a file.
pub fn find(reader: &mut Reader<'_>, kind: Kind, name: &str, span: Span) -> Option<Found> {
    find_or_describe(reader, kind, name, span, 1)
}

/// The same for a node type of which there are to be so many.
pub fn find_or_describe(
    reader: &mut Reader<'_>,
    kind: Kind,
    name: &str,
    span: Span,
    count: u32,
) -> Option<Found> {
    let folder = Path::new("topology").join(kind.folder());
    let user = reader.environment.config_directory().map(|d| d.join(&folder));
    let endings: &[&str] = if name.ends_with(".yml") { &[""] } else { &["", ".yml"] };
    let files: Vec<String> = endings.iter().map(|ending| format!("{name}{ending}")).collect();
    for (ending, file) in endings.iter().zip(&files) {
        let places = [Some(PathBuf::from(file)), Some(folder.join(file))]
            .into_iter()
            .chain([user.as_ref().map(|d| d.join(file))])
            .flatten();
        for place in places {
            if place.is_file() {
                if !name.contains('/') && place == Path::new(file) {
                    let shadowed = shadowed(kind, name, &place, span);
                    shadowed.into_iter().for_each(|warning| reader.diags.push(warning));
                }
                return read(reader, &place, span);
            }
        }
        if let Some(text) =
            defaults::get(kind, file).filter(|_| !ending.is_empty() || name.ends_with(".yml"))
        {
            return built_in(reader, kind, name, text);
        }
    }
    let missing = unknown(reader, kind, name, count.max(1)).at(span, "");
    let folders = [Some(folder), user].into_iter().flatten();
    let folders: Vec<String> = folders.map(|folder| reader.environment.at_home(&folder)).collect();
    reader.diags.push(
        missing.help("`maquette topology list` shows the built-in ones").help(format!(
            "looked for {} here, in {}",
            files.join(" and "),
            folders.join(" and ")
        )),
    );
    None
}

/// A file that is nowhere, and how to do without it.
fn unknown(reader: &Reader<'_>, kind: Kind, name: &str, count: u32) -> Diagnostic {
    let known = defaults::names(kind);
    let what = match kind {
        Kind::Nodes => "node type",
        Kind::Network => "network file",
    };
    let diagnostic = Diagnostic::error(
        match kind {
            Kind::Nodes => "topology::unknown-node-type",
            Kind::Network => "topology::unknown-network-file",
        },
        format!("there is no {what} `{name}`"),
    )
    .suggest(name, known);
    let described = match kind {
        Kind::Nodes => {
            let own = if name.parse::<NodeType>().is_ok() { name } else { "NAME" };
            format!(
                "`nodes: {{{own}: {{count: {count}, memory: 1024}}}}` in maquette.yaml describes it"
            )
        }
        Kind::Network => {
            "`networks: {NAME: {}}` in maquette.yaml describes networks without a file".into()
        }
    };
    if reader.lenient { diagnostic } else { diagnostic.help(described) }
}

/// Names of the user's own files, below `topology/` here and in the user's directory.
pub fn own(environment: &Environment, kind: Kind) -> Vec<String> {
    let folder = Path::new("topology").join(kind.folder());
    let user = environment.config_directory().map(|d| d.join(&folder));
    let folders = [Some(folder), user].into_iter().flatten();
    let entries = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
    files.filter_map(|file| file.strip_suffix(".yml").map(String::from)).collect()
}

/// A file that happens to lie in the current directory and has the name of a built-in one is likely not meant.
fn shadowed(kind: Kind, name: &str, place: &Path, span: Span) -> Option<Diagnostic> {
    defaults::get(kind, &format!("{}.yml", stem(name)))?;
    let place = place.display();
    let message = format!("`{name}` is the file {place} here, and not the built-in one");
    let help =
        format!("`./{place}` says that this one is meant; under another name it is not in the way");
    Some(Diagnostic::warning("topology::shadowed", message).at(span, "").help(help))
}

fn read(reader: &mut Reader<'_>, path: &Path, span: Span) -> Option<Found> {
    let shown = path.display().to_string();
    match crate::reading::text(path) {
        Ok(text) => {
            let id = reader.foreign(&shown, text);
            let tree = parse(&reader.sources, id, &mut reader.diags)?;
            let absolute = reader.environment.absolute(path);
            Some(Found { name: stem(&shown), path: absolute.display().to_string(), tree })
        }
        Err(error) => {
            reader.diags.push(
                Diagnostic::error("topology::unreadable", format!("cannot read {shown}: {error}"))
                    .at(span, ""),
            );
            None
        }
    }
}

fn built_in(reader: &mut Reader<'_>, kind: Kind, name: &str, text: &str) -> Option<Found> {
    let stem = stem(name);
    let shown = format!("{}{}/{stem}.yml", super::built_in::MARK, kind.folder());
    let id = reader.foreign(&shown, text);
    reader.diags.be_never_strict_in(id);
    let tree = parse(&reader.sources, id, &mut reader.diags)?;
    Some(Found { name: stem, path: shown, tree })
}

fn stem(path: &str) -> String {
    Path::new(path).file_stem().map_or(path.into(), |s| s.to_string_lossy().into_owned())
}
