//! The project file, `maquette.yaml`.

use std::collections::BTreeMap;

use maquette_core::decode::{self, Fields};
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::image::{Sum, Word};
use maquette_core::settings::{self, Kind, SETTINGS, Setting, Settings};
use maquette_core::syntax::{Node, Value};

/// What the file says; everything is optional, and flags win.
#[derive(Debug, Default)]
pub struct Project {
    /// Whether there is such a file at all.
    pub given: bool,
    /// Its values by the settings' names.
    values: BTreeMap<&'static str, Node>,
}

impl Project {
    /// A file that could not be read as YAML.
    pub fn unread() -> Self {
        Self { given: true, ..Self::default() }
    }

    /// The value of a setting.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.values.get(name)
    }
}

/// Reads the file's content, and has `settings` hold what takes no more than that.
pub fn decode(node: &Node, settings: &mut Settings, diags: &mut Diagnostics) -> Project {
    let mut values = BTreeMap::new();
    keys(node, "", "the project file", (&mut values, &mut *settings), diags);
    with_checksum(&mut values, diags);
    if let (Some(row), Some(image)) = (settings::find(IMAGE), values.get(IMAGE)) {
        // What is wrong with it has been said.
        assign(row, settings, image, "", &mut Diagnostics::default());
    }
    Project { given: true, values }
}

/// The setting that a checksum belongs to.
pub const IMAGE: &str = "image-url";

/// Takes the keys of a mapping, and of those in it; `prefix` is where it is (`hypervisor.`).
fn keys(
    node: &Node,
    prefix: &str,
    what: &str,
    (values, settings): (&mut BTreeMap<&'static str, Node>, &mut Settings),
    diags: &mut Diagnostics,
) {
    let Some(mut fields) = Fields::open(node, what, diags) else { return };
    let mut inner: Vec<&'static str> = Vec::new();
    for row in SETTINGS {
        let Some(key) = row.key.and_then(|key| key.strip_prefix(prefix)) else { continue };
        if let Some((mapping, _)) = key.split_once('.') {
            if !inner.contains(&mapping) {
                inner.push(mapping);
            }
            continue;
        }
        let Some(node) = fields.take(key) else { continue };
        values.insert(row.name, node.clone());
        let what = format!("`{key}`");
        assign(row, settings, node, &what, diags);
        let expected = match row.kind {
            Kind::Changes => "a mapping of node types",
            Kind::Networks => "a mapping of networks",
            _ => continue,
        };
        if !matches!(node.value, Value::Map(_)) {
            diags.push(decode::wrong_type(node, &what, expected));
        }
    }
    for mapping in inner {
        if let Some(node) = fields.take(mapping) {
            let (prefix, what) = (format!("{prefix}{mapping}."), format!("`{mapping}`"));
            keys(node, &prefix, &what, (&mut *values, &mut *settings), diags);
        }
    }
    fields.finish(diags);
}

/// Reads the text of a setting; a mistake in it is reported at its place. `what` is how the user knows the
/// setting: as a flag or a key.
pub fn assign(
    row: &Setting,
    settings: &mut Settings,
    node: &Node,
    what: &str,
    diags: &mut Diagnostics,
) {
    let Some(set) = row.set else { return };
    let Value::Scalar(text, _) = &node.value else {
        diags.push(decode::wrong_type(node, what, &row.kind.expected()));
        return;
    };
    match row.kind {
        Kind::Words(_) if !row.kind.takes(text) => diags.push(
            Diagnostic::error("project::choice", format!("{what} cannot be `{text}`"))
                .at(node.span, "")
                .help(format!("it is {}", row.kind.expected())),
        ),
        Kind::YesNo | Kind::Number(..) if !row.kind.takes(text) => {
            diags.push(decode::wrong_type(node, what, &row.kind.expected()));
        }
        _ => {
            if let Err(why) = set(settings, text) {
                let message = format!("{what}: {why}");
                diags.push(Diagnostic::error("project::value", message).at(node.span, ""));
            }
        }
    }
}

/// Gives the image its checksum, as `--image-url` would take it.
fn with_checksum(values: &mut BTreeMap<&'static str, Node>, diags: &mut Diagnostics) {
    let Some(checksum) = values.remove("checksum") else { return };
    let Some(text) = decode::text(&checksum, "checksum", diags) else { return };
    let mut wrong = |message: String, help: &str| {
        diags.push(Diagnostic::error("project::checksum", message).at(text.span, "").help(help));
    };
    let sum = match text.value.parse::<Sum>() {
        Ok(sum) => sum,
        Err(error) => {
            let help = "such as `checksum: sha256:0123…`, with all its digits";
            return wrong(error.to_string(), help);
        }
    };
    let Some(image) = values.get_mut(IMAGE) else {
        return wrong(
            "`checksum` needs an `image`, and there is none here".into(),
            "write `image: URL`; an image that a node type imports has it after `#`",
        );
    };
    let Value::Scalar(word, _) = &image.value else { return };
    match Word::parse(word).ok().and_then(|w| w.sum) {
        Some(other) if other != sum => wrong(
            format!("`image` has the checksum {other}, and `checksum` is another"),
            "leave one of them out",
        ),
        Some(_) => {}
        None => *image = Node::scalar(format!("{word}#{sum}"), image.span),
    }
}
