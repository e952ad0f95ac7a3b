//! The project file, `maquette.yaml`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use maquette_core::convert::HIDDEN;
use maquette_core::decode::{self, Fields};
use maquette_core::diagnostic::{Diagnostic, Diagnostics, closest};
use maquette_core::file_keys::own_word;
use maquette_core::image::{Checksum, ImageRef};
use maquette_core::scrub::scrub;
use maquette_core::settings::{self, SETTINGS, Setting, SettingKind, Settings};
use maquette_core::syntax::{Plain, Tree, Value};

use crate::cli::FlagTexts;

/// What the file says; everything is optional, and flags win.
#[derive(Debug, Default)]
pub struct Project {
    /// Whether there is such a file at all.
    pub given: bool,
    /// Where it is, by its absolute path.
    pub file: Option<PathBuf>,
    /// Its values by the settings' names.
    values: BTreeMap<&'static str, Tree>,
}

impl Project {
    /// A file that could not be read as YAML.
    pub fn unread() -> Self {
        Self { given: true, ..Self::default() }
    }

    /// Whether nothing stands in it but comments.
    pub fn is_empty(&self) -> bool {
        self.given && self.values.is_empty()
    }

    /// The value of a setting.
    pub fn node(&self, name: &str) -> Option<&Tree> {
        self.values.get(name)
    }
}

/// A file with nothing in it asks for nothing either: the built-in networks are nobody's wish.
pub fn empty(file: &str) -> Diagnostic {
    let message = format!("there is nothing in {file}; nothing is asked for");
    Diagnostic::error("project::nothing-asked", message)
        .help(
            "`nodes: {NAME: {}}` in it describes a node type; `maquette explain nodes` shows more",
        )
        .help("`maquette init` in an empty directory writes a project file to begin with")
}

/// Reads the file's content, and has `settings` hold what takes no more than that. It says nothing of settings that are `unset`.
pub fn decode(
    node: &Tree,
    unset: &[&'static str],
    settings: &mut Settings,
    diags: &mut Diagnostics,
) -> Project {
    let mut values = BTreeMap::new();
    let node = meant(node, diags);
    keys(&node, ("", "the project file"), unset, (&mut values, &mut *settings), diags);
    with_checksum(&mut values, diags);
    if let (Some(row), Some(image)) = (settings::find(IMAGE), values.get(IMAGE)) {
        // What is wrong with it has been said.
        assign(row, settings, image, "", &mut Diagnostics::default());
    }
    Project { given: true, values, file: None }
}

/// The file with nodes, networks and image under their own keys, where these are misspelt or words of other tools: otherwise
/// nothing would be left of what is described, and those who name one of the networks would be told that there is none.
fn meant<'a>(node: &'a Tree, diags: &mut Diagnostics) -> Cow<'a, Tree> {
    let keys = SETTINGS.iter().filter_map(|row| row.key);
    let known: Vec<&'static str> = keys.map(|key| key.split('.').next().unwrap_or(key)).collect();
    let mut whole = Cow::Borrowed(node);
    for (at, entry) in node.entries().iter().enumerate() {
        if known.contains(&entry.key.as_str()) || entry.key.starts_with("x-") {
            continue;
        }
        let own = own_word(&entry.key, &known);
        let key = own.or_else(|| closest(&entry.key, known.iter().copied()));
        let is_meant = |key: &&str| match (*key, &entry.value.value) {
            ("nodes" | "networks", Value::Map(_)) | ("image", Value::Scalar(..)) => {
                node.get(key).is_none()
            }
            _ => false,
        };
        let Some(key) = key.filter(is_meant) else { continue };
        let message = format!("the project file has no key `{}`", entry.key);
        diags.push(
            Diagnostic::error("project::unknown-key", message)
                .at(entry.key_span, "")
                .help(format!("did you mean `{key}`?")),
        );
        if let Value::Map(entries) = &mut whole.to_mut().value {
            entries[at].key = key.into();
        }
    }
    whole
}

/// Settings that somebody gave; flags and variables win over the project file. [`HIDDEN`] stands for a secret itself; the words and
/// the file that such a setting takes as well are as they are.
pub fn as_written(given: &FlagTexts, project: &Project) -> BTreeMap<&'static str, Plain> {
    let is_word = |text: &Plain| {
        matches!(text, Plain::Text(text) if text.starts_with('@')
            || ["node", "environment"].contains(&text.as_str()))
    };
    let of = |row: &Setting| {
        let text = given.told(row.name).map(|(_, text)| Plain::text(text));
        let text = text.or_else(|| Some(Plain::of(project.node(row.name)?)))?;
        let is_secret = row.kind == SettingKind::Secret && !is_word(&text);
        Some(if is_secret { Plain::text(HIDDEN) } else { text })
    };
    SETTINGS.iter().filter_map(|row| Some((row.name, of(row)?))).collect()
}

/// The setting that a checksum belongs to.
pub const IMAGE: &str = "image-url";

/// Takes the keys of a mapping, and of those in it; `prefix` is where it is (`hypervisor.`).
fn keys(
    node: &Tree,
    (prefix, what): (&str, &str),
    unset: &[&'static str],
    (values, settings): (&mut BTreeMap<&'static str, Tree>, &mut Settings),
    diags: &mut Diagnostics,
) {
    if let Some(help) = as_address(node, prefix) {
        return diags.push(decode::wrong_type(node, what, "a mapping").help(help));
    }
    let Some(fields) = Fields::open(node, what, diags) else { return };
    // A wrong one may be the one that says which hypervisor or environment is meant, to be changed or removed.
    let mut fields = fields.unknown_as("project::unknown-key");
    let mut inner: Vec<&'static str> = Vec::new();
    for row in SETTINGS {
        let Some(key) = row.key.and_then(|key| key.strip_prefix(prefix)) else { continue };
        if let Some((mapping, _)) = key.split_once('.') {
            if !inner.contains(&mapping) {
                inner.push(mapping);
            }
            continue;
        }
        // A checksum is its image's.
        let of = if row.name == "checksum" { IMAGE } else { row.name };
        let Some(node) = fields.take(key).filter(|_| !unset.contains(&of)) else { continue };
        values.insert(row.name, node.clone());
        let what = format!("`{key}`");
        assign(row, settings, node, &what, diags);
        let expected = match row.kind {
            SettingKind::Changes => "a mapping of node types",
            SettingKind::Networks => "a mapping of networks",
            _ => continue,
        };
        if !matches!(node.value, Value::Map(_)) {
            let error = decode::wrong_type(node, &what, expected);
            diags.push(error.help(decode::as_mapping(node, key)));
        }
    }
    for mapping in inner {
        if let Some(node) = fields.take(mapping) {
            let (prefix, what) = (format!("{prefix}{mapping}."), format!("`{mapping}`"));
            keys(node, (&prefix, &what), unset, (&mut *values, &mut *settings), diags);
        }
    }
    fields.finish(diags);
}

/// How a hypervisor is written that is named by a word, with a user before it as `ssh` takes it.
fn as_address(node: &Tree, prefix: &str) -> Option<String> {
    let Value::Scalar(text, _) = &node.value else { return None };
    let (text, is_it) = (text.trim(), prefix == "hypervisor." && !node.span.secret);
    if !is_it || text.is_empty() || text.contains(char::is_whitespace) {
        return None;
    }
    // An address of IPv6 is no mapping with quotes around it.
    let quoted = |text: &str| if text.contains(':') { format!("\"{text}\"") } else { text.into() };
    Some(match text.rsplit_once('@') {
        Some((user, address)) => {
            format!("write `hypervisor: {{address: {}, user: {}}}`", quoted(address), quoted(user))
        }
        None => format!("write `hypervisor: {{address: {}}}`", quoted(text)),
    })
}

/// The single value that is in a mapping or alone in a list, as in another tool's file.
fn single(node: &Tree) -> Option<&str> {
    match &node.value {
        Value::List(items) => match items.as_slice() {
            [Tree { value: Value::Scalar(text, _), span }] if !span.secret => Some(text.trim()),
            _ => None,
        },
        _ => decode::named_inside(node),
    }
}

/// Reads the text of a setting; a mistake in it is reported at its place. `what` is how the user knows the
/// setting: as a flag or a key.
pub fn assign(
    row: &Setting,
    settings: &mut Settings,
    node: &Tree,
    what: &str,
    diags: &mut Diagnostics,
) {
    let Some(set) = row.set else { return };
    let Value::Scalar(text, _) = &node.value else {
        let error = decode::wrong_type(node, what, &row.kind.expected());
        let meant = row.key.zip(single(node)).filter(|_| row.kind != SettingKind::Secret);
        let Some((key, text)) = meant else { return diags.push(error) };
        let key = key.rsplit('.').next().unwrap_or(key);
        diags.push(error.help(format!("write `{key}: {text}`")));
        // Nothing else is wrong because of that.
        if row.kind.takes(text) {
            let _ = set(settings, text);
        }
        return;
    };
    match row.kind {
        SettingKind::Words(_) if !row.kind.takes(text) => diags.push(
            Diagnostic::error("project::choice", format!("{what} cannot be `{text}`"))
                .at(node.span, "")
                .help(format!("it is {}", row.kind.expected())),
        ),
        SettingKind::YesNo | SettingKind::Number(..) if !row.kind.takes(text) => {
            diags.push(decode::wrong_type(node, what, &row.kind.expected()));
        }
        _ => {
            if let Err(why) = set(settings, text) {
                let error = Diagnostic::error("project::value", format!("{what}: {why}"));
                // The line of a secret is not shown.
                diags.push(match row.kind {
                    SettingKind::Secret => error,
                    _ if scrub(text, &[]) != *text => error.at(node.span, "").secret(),
                    _ => error.at(node.span, ""),
                });
            }
        }
    }
}

/// Gives the image its checksum, as `--image-url` would take it.
fn with_checksum(values: &mut BTreeMap<&'static str, Tree>, diags: &mut Diagnostics) {
    let Some(checksum) = values.remove("checksum") else { return };
    let Some(text) = decode::text(&checksum, "checksum", diags) else { return };
    let mut wrong = |message: String, help: &str| {
        diags.push(Diagnostic::error("project::checksum", message).at(text.span, "").help(help));
    };
    let sum = match text.value.parse::<Checksum>() {
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
    match ImageRef::parse(word).ok().and_then(|w| w.sum) {
        Some(other) if other != sum => wrong(
            format!("`image` has the checksum {other}, and `checksum` is another"),
            "leave one of them out",
        ),
        Some(_) => {}
        None => *image = Tree::scalar(format!("{word}#{sum}"), image.span),
    }
}
