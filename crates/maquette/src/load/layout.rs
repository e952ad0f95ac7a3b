//! `--layout FILE,…`: variables of these files, and of those that they build upon.

use std::path::{Path, PathBuf};

use maquette_core::decode;
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::layers::{self, ExtraVar};
use maquette_core::layout::{self, Layout, PARENT, SCENARIO};
use maquette_core::settings::{self, Settings};
use maquette_core::syntax::{Span, Spanned, Tree, Value, parse};

use super::{Reader, project};
use crate::reading;

/// What ci-framework reads besides wherever an architecture's scenario is named.
const COMMON: &str = "scenarios/reproducers/va-common.yml";

/// Reads a layout. The extra variables in `list` have the word; `extra` is all of them, and loses those that the layout is
/// made of.
pub fn read(
    reader: &mut Reader<'_>,
    names: &Tree,
    list: &[ExtraVar],
    extra: &mut Tree,
) -> Option<Layout> {
    let text = decode::text(names, "layout", &mut reader.diags)?;
    let paths: Vec<&str> = text.value.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
    let mut files = Vec::new();
    for path in &paths {
        files.push(file(reader, Path::new(path), text.span)?);
    }
    let own = layout::layered(&files)?;
    let mut below = Vec::new();
    for parent in parents(reader, &own) {
        let path = found(reader, &paths, &parent)?;
        let parent = file(reader, &path, parent.span)?;
        grandparents(reader, &parent);
        below.push(parent);
    }
    let scenario = layout::layered(below.iter().chain([&own]))?;
    if scenario.get(SCENARIO).is_some_and(|name| !name.is_empty())
        && let Some(path) = below_any(reader, &paths, COMMON)
    {
        below.push(file(reader, &path, text.span)?);
    }
    let mut variables = layout::layered(below.iter().chain(&files))?;
    for more in list {
        match more.path.is_empty() {
            // A file's variables take the place of others, as with Ansible.
            true => variables = layout::layered([&variables, &more.value])?,
            false => layers::put(&mut variables, [more], &mut Diagnostics::default()),
        }
    }
    let layout = layout::read(&variables, &maquette_libvirt::layout_network, &mut reader.diags);
    if let Value::Map(entries) = &mut extra.value {
        let used = |name: &str| layout.as_ref().is_none_or(|l| l.asked.contains(name));
        // A file has variables of other roles. What stands alone is meant to have an effect.
        let is_alone = |name: &str| list.iter().any(|v| v.path.first().is_some_and(|n| n == name));
        let told = |name: &str| !is_alone(name) || layout::tells_of(name);
        entries.retain(|e| !(used(&e.key) || e.key.starts_with("cifmw_") && told(&e.key)));
    }
    layout
}

/// One file of variables.
fn file(reader: &mut Reader<'_>, path: &Path, span: Span) -> Option<Tree> {
    let shown = path.display().to_string();
    let text = match reading::text(path) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot read layout {shown}: {error}");
            reader.diags.push(Diagnostic::error("layout::unreadable", message).at(span, ""));
            return None;
        }
    };
    let id = reader.foreign(&shown, text);
    let tree = parse(&reader.sources, id, &mut reader.diags)?;
    decode::Fields::open(&tree, format!("layout {shown}"), &mut reader.diags)?;
    Some(tree)
}

/// The files that a layout builds upon.
fn parents(reader: &mut Reader<'_>, layout: &Tree) -> Vec<Spanned<String>> {
    let Some(node) = layout.get(PARENT) else { return Vec::new() };
    let one = std::slice::from_ref(node);
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => one,
    };
    items.iter().filter_map(|item| decode::text(item, PARENT, &mut reader.diags)).collect()
}

/// Those of a parent are not read there, either.
fn grandparents(reader: &mut Reader<'_>, parent: &Tree) {
    if let Some(node) = parent.get(PARENT) {
        let message = format!("`{PARENT}` of a parent has no effect, as in ci-framework");
        let warning = Diagnostic::warning("layout::parent", message).at(node.span, "");
        reader.diags.push(warning.help("name all parents as a list in the layout itself"));
    }
}

/// A file that is named below ci-framework's directory: that is one of those that a layout is in.
fn below_any(reader: &Reader<'_>, layouts: &[&str], name: &str) -> Option<PathBuf> {
    let places = layouts.iter().flat_map(|layout| {
        let absolute = reader.environment.absolute(layout);
        let above: Vec<PathBuf> = absolute.ancestors().skip(1).map(|a| a.join(name)).collect();
        above
    });
    places.into_iter().find(|place| place.is_file())
}

fn found(reader: &mut Reader<'_>, layouts: &[&str], name: &Spanned<String>) -> Option<PathBuf> {
    let place = below_any(reader, layouts, &name.value);
    if place.is_none() {
        let message = format!("there is no file {}", name.value);
        let error = Diagnostic::error("layout::parent", message).at(name.span, "");
        reader.diags.push(error.help(
            "such a path begins in ci-framework's directory: one of those that the layout is in",
        ));
    }
    place
}

/// What a layout says of the whole environment, unless somebody has said otherwise.
pub fn settings(
    reader: &mut Reader<'_>,
    layout: &Layout,
    said: impl Fn(&str) -> bool,
    settings: &mut Settings,
) {
    for (name, text) in layout.settings.iter().filter(|(name, _)| !said(name)) {
        if let Some(row) = settings::find(name) {
            let node = Tree::scalar(text.value.clone(), text.span);
            project::assign(row, settings, &node, &format!("`{name}`"), &mut reader.diags);
        }
    }
}

/// A layout has networks of its own, which no network file goes with.
pub fn one_of(network: Option<&Tree>, layout: Span) -> Diagnostics {
    let mut diags = Diagnostics::default();
    if let Some(network) = network {
        let message = "a layout brings its networks, and no network file goes with it";
        diags.push(
            Diagnostic::error("layout::network", message)
                .at(network.span, "")
                .at(layout, "the layout")
                .help("leave one of them out; `networks` of the project file adds networks"),
        );
    }
    diags
}

/// Node types of the project file beside those of a layout.
pub fn beside(reader: &mut Reader<'_>, project: Option<&Tree>, layout: &Layout) -> Tree {
    let mut all = layout.nodes.clone();
    let Some(project) = project else { return all };
    let (Value::Map(into), Value::Map(more)) = (&mut all.value, &project.value) else {
        let message = "beside a layout, `nodes` has to be a mapping of node types";
        reader.diags.push(Diagnostic::error("layout::nodes", message).at(project.span, ""));
        return all;
    };
    for entry in more {
        if let Some(first) = into.iter().find(|known| known.key == entry.key) {
            let message = format!("the layout has a node type `{}`, too", entry.key);
            let error = Diagnostic::error("layout::nodes", message).at(entry.key_span, "");
            reader.diags.push(error.at(first.key_span, "it is here").help(
                "`overrides` changes its keys, and `--topology-nodes` the number of its nodes",
            ));
            continue;
        }
        into.push(entry.clone());
    }
    all
}
