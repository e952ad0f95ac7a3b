//! JSON schemas (draft 2020-12) of project, node and network files, so that editors complete and check them.
//! They follow from the tables that reading follows from: [`crate::settings`] and [`crate::file_keys`].
//!
//! Editors read YAML 1.2, in which `yes` is text, and see `{{ net }}` where a number will be. So a number may
//! be text with digits or a template, and a truth value any of YAML's words.

use crate::file_keys::{Form, Key};
use crate::settings::{SETTINGS, Setting, SettingKind};
use crate::syntax::Plain;
use crate::topology::{
    DESCRIBED, NETWORK, NETWORK_DEFAULTS, NETWORK_FILE, NODE_DEFAULTS, NODE_TYPE,
};

/// What a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// `maquette.yaml`.
    Project,
    /// A node type.
    Nodes,
    /// Networks.
    Network,
}

/// The schema of a file.
pub fn schema(file: File) -> Plain {
    let (title, schema) = match file {
        File::Project => ("Project file of Maquette", project("")),
        File::Nodes => ("Node file of Maquette", mapping(NODE_TYPE)),
        File::Network => ("Network file of Maquette", mapping(NETWORK_FILE)),
    };
    with(
        schema,
        [("$schema", text("https://json-schema.org/draft/2020-12/schema")), ("title", text(title))],
    )
}

/// A template of an expression, which anything may come of.
const TEMPLATE: &str = r"\{\{";

fn text(text: &str) -> Plain {
    Plain::text(text)
}

fn object<const N: usize>(entries: [(&str, Plain); N]) -> Plain {
    with(Plain::map(), entries)
}

/// A schema with further keywords.
fn with<const N: usize>(schema: Plain, entries: [(&str, Plain); N]) -> Plain {
    let mut map = match schema {
        Plain::Map(map) => map,
        _ => Default::default(),
    };
    map.extend(entries.map(|(key, value)| (key.to_string(), value)));
    Plain::Map(map)
}

fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> Plain {
    Plain::List(items.into_iter().map(text).collect())
}

fn any_of(schemas: Vec<Plain>) -> Plain {
    object([("anyOf", Plain::List(schemas))])
}

/// A single value of whatever type YAML takes it for.
fn scalar() -> Plain {
    object([("type", list(["string", "number", "boolean"]))])
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Plain {
    object([("enum", list(words))])
}

fn template() -> Plain {
    object([("type", text("string")), ("pattern", text(TEMPLATE))])
}

fn yes_no() -> Vec<Plain> {
    let spelled =
        r"^([Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff]|[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$";
    vec![
        object([("type", text("boolean"))]),
        object([("type", text("string")), ("pattern", text(spelled))]),
    ]
}

fn number(least: u64, most: u64) -> Vec<Plain> {
    let int = |n: u64| Plain::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let mut number = object([("type", text("integer")), ("minimum", int(least))]);
    if most != u64::MAX {
        number = with(number, [("maximum", int(most))]);
    }
    vec![number, object([("type", text("string")), ("pattern", text(r"^\s*[0-9]+\s*$"))])]
}

/// How a form is written.
fn of(form: &Form) -> Plain {
    let or_template = |mut schemas: Vec<Plain>| {
        schemas.push(template());
        any_of(schemas)
    };
    match form {
        Form::Text | Form::Parsed(..) => scalar(),
        Form::YesNo => or_template(yes_no()),
        Form::Number(least, most, _) => or_template(number(*least, *most)),
        Form::Words(all) => or_template(vec![words(all.iter().copied())]),
        Form::Map(keys) => mapping(keys),
        Form::Part(keys) => part(keys, &[]),
        Form::Entries("", form) => {
            object([("type", text("object")), ("additionalProperties", or_nothing(of(form)))])
        }
        Form::Entries(pattern, form) => object([
            ("type", text("object")),
            ("patternProperties", object([(*pattern, or_nothing(of(form)))])),
            ("additionalProperties", Plain::Bool(false)),
        ]),
        Form::List(form) => object([("type", text("array")), ("items", of(form))]),
        Form::Either(forms) => any_of(forms.iter().map(of).collect()),
        Form::Nothing => object([("type", text("null"))]),
        Form::Anything => Plain::map(),
    }
}

/// A key without a value is as one that is left out.
fn or_nothing(schema: Plain) -> Plain {
    match &schema {
        Plain::Map(map) if map.is_empty() => schema,
        _ => any_of(vec![schema, object([("type", text("null"))])]),
    }
}

/// Keys of one's own, such as anchors for other keys, begin with `x-`.
fn closed(properties: Plain) -> Plain {
    object([
        ("type", text("object")),
        ("properties", properties),
        ("patternProperties", object([("^x-", Plain::map())])),
        ("additionalProperties", Plain::Bool(false)),
    ])
}

/// A mapping with all keys that it needs.
fn mapping(keys: &[Key]) -> Plain {
    let needed: Vec<&str> = keys.iter().filter(|k| k.needed).map(|k| k.name).collect();
    match needed.is_empty() {
        true => part(keys, &[]),
        false => with(part(keys, &[]), [("required", list(needed))]),
    }
}

/// A mapping of which keys may be elsewhere. `defaults` hold there in the place of those that the keys have.
fn part(keys: &[Key], defaults: &[(&str, &str)]) -> Plain {
    let mut properties = Plain::map();
    for key in keys {
        let schema = if key.needed { of(&key.form) } else { or_nothing(of(&key.form)) };
        let default = defaults.iter().find(|(name, _)| *name == key.name);
        let doc = match default {
            Some((_, default)) => format!("{} [default: {default}]", key.meaning()),
            None => key.doc.into(),
        };
        let mut schema = with(schema, [("description", text(&doc))]);
        if !key.read {
            schema = with(schema, [("deprecated", Plain::Bool(true))]);
        }
        properties = with(properties, [(key.name, schema)]);
    }
    closed(properties)
}

/// The keys of the project file below a prefix (`hypervisor.`).
fn project(prefix: &str) -> Plain {
    let mut properties = Plain::map();
    for row in SETTINGS {
        let Some(key) = row.key.and_then(|key| key.strip_prefix(prefix)) else { continue };
        let (key, schema) = match key.split_once('.') {
            Some((inner, _)) => (inner, project(&format!("{prefix}{inner}."))),
            None => (key, with(setting(row), [("description", text(&row.help()))])),
        };
        properties = with(properties, [(key, or_nothing(schema))]);
    }
    closed(properties)
}

fn setting(row: &Setting) -> Plain {
    let mapping = || object([("type", text("object"))]);
    match row.kind {
        SettingKind::Text(_)
        | SettingKind::Arguments
        | SettingKind::Secret
        | SettingKind::Address
        | SettingKind::Network => scalar(),
        SettingKind::YesNo => any_of(yes_no()),
        SettingKind::Number(least, most) => any_of(number(least, most)),
        SettingKind::Words(all) => words(all.iter().filter(|w| !w.hidden).map(|w| w.word)),
        SettingKind::Nodes => {
            let mut each = number(0, u64::MAX);
            each.push(part(DESCRIBED, NODE_DEFAULTS));
            any_of(vec![
                object([("type", text("string"))]),
                with(mapping(), [("additionalProperties", any_of(each))]),
            ])
        }
        SettingKind::Networks => {
            let each = any_of(vec![part(NETWORK, NETWORK_DEFAULTS), of(&Form::Nothing)]);
            with(mapping(), [("additionalProperties", or_nothing(each))])
        }
        SettingKind::Changes => with(mapping(), [("additionalProperties", mapping())]),
    }
}
