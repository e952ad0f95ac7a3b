//! What `--json` prints, as tables: every field with its type and what it tells. JSON schemas are made of them, and the
//! site's page; what transcripts print is compared with them.

mod events;
mod fields;

use serde_json::{Map, Value, json};

pub use events::EVENTS;
pub use fields::OUTPUTS;

/// The types that values have.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text.
    Text,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A whole number, not below zero.
    Whole,
    /// Any number.
    Number,
    /// true or false.
    Truth,
    /// A list of texts.
    Texts,
    /// A list of whole numbers.
    Wholes,
    /// A mapping, whose fields have rows of their own.
    Map,
    /// A list of such mappings.
    Maps,
}

/// A field of an output.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Where it is, as `nodes[].name`.
    path: &'static str,
    kind: Kind,
    /// What it tells, in words.
    tells: &'static str,
    /// Whether null may stand there.
    null: bool,
}

impl Field {
    const fn new(path: &'static str, kind: Kind, tells: &'static str) -> Self {
        Self { path, kind, tells, null: false }
    }

    /// The same field, or null.
    const fn or_null(mut self) -> Self {
        self.null = true;
        self
    }

    /// The schema of its values; `all` are the fields among which those below it are.
    fn schema(&self, all: &[Self]) -> Value {
        let mut schema = match self.kind {
            Kind::Text => json!({"type": "string"}),
            Kind::Words(words) if self.null => {
                let words = words.iter().map(|word| Value::from(*word));
                json!({"enum": words.chain([Value::Null]).collect::<Vec<_>>()})
            }
            Kind::Words(words) => json!({"enum": words}),
            Kind::Whole => json!({"type": "integer", "minimum": 0}),
            Kind::Number => json!({"type": "number"}),
            Kind::Truth => json!({"type": "boolean"}),
            Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Kind::Wholes => json!({"type": "array", "items": {"type": "integer", "minimum": 0}}),
            Kind::Map => mapping(all, &format!("{}.", self.path)),
            Kind::Maps => {
                json!({"type": "array", "items": mapping(all, &format!("{}[].", self.path))})
            }
        };
        if self.null
            && let Some(kind) = schema.get_mut("type")
        {
            *kind = json!([kind.clone(), "null"]);
        }
        schema["description"] = self.tells.into();
        schema
    }
}

/// The schema of a mapping: of the fields right below a path.
fn mapping(all: &[Field], above: &str) -> Value {
    let below = |field: &&Field| {
        field.path.strip_prefix(above).is_some_and(|rest| !rest.contains('.') && !rest.is_empty())
    };
    let own: Vec<&Field> = all.iter().filter(below).collect();
    let name = |field: &Field| field.path[above.len()..].to_string();
    let required: Vec<String> = own.iter().map(|field| name(field)).collect();
    let properties: Map<String, Value> =
        own.iter().map(|field| (name(field), field.schema(all))).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// What a verb prints with `--json`.
#[derive(Debug)]
pub struct Output {
    /// The verb, with the one above it: `host check`.
    pub verb: &'static str,
    /// What is printed, in words.
    pub tells: &'static str,
    /// Whether it is a list of mappings with these fields, without the number of its form.
    list: bool,
    fields: &'static [Field],
}

/// An event, a line of those verbs that do something.
#[derive(Debug)]
pub struct Event {
    name: &'static str,
    tells: &'static str,
    fields: &'static [Field],
}

/// The number of the form that all of these have; fields are added within it, and keep name and meaning.
fn form() -> Value {
    json!({"enum": [1], "description": "the number of this form; fields may be added to it"})
}

/// A schema with the field `schema` besides.
fn numbered(mut schema: Value) -> Value {
    schema["properties"]["schema"] = form();
    if let Some(required) = schema["required"].as_array_mut() {
        required.push("schema".into());
    }
    schema
}

fn titled(mut schema: Value, title: String) -> Value {
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = title.into();
    schema
}

impl Output {
    /// The word for it on the command line: `host-check`.
    pub fn word(&self) -> String {
        self.verb.replace(' ', "-")
    }

    /// The schema of what is printed.
    pub fn schema(&self) -> Value {
        let one = mapping(self.fields, "");
        let mut schema = match self.list {
            true => json!({"type": "array", "items": one}),
            false => numbered(one),
        };
        schema["description"] = self.tells.into();
        titled(schema, format!("maquette {} --json", self.verb))
    }
}

/// The schema of a line of events.
pub fn events_schema() -> Value {
    let one = |event: &Event| {
        let mut schema = numbered(mapping(event.fields, ""));
        schema["properties"]["event"] =
            json!({"enum": [event.name], "description": "which event it is"});
        if let Some(required) = schema["required"].as_array_mut() {
            required.insert(0, "event".into());
        }
        schema["description"] = event.tells.into();
        schema
    };
    let schema = json!({"anyOf": EVENTS.iter().map(one).collect::<Vec<_>>()});
    titled(schema, "A line of what Maquette prints with --json while it does something".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row below a path that has none would be in no schema.
    #[test]
    fn every_field_has_what_is_above_it() {
        let of_outputs = OUTPUTS.iter().map(|output| (output.verb, output.fields));
        for (of, fields) in of_outputs.chain(EVENTS.iter().map(|event| (event.name, event.fields)))
        {
            for field in fields {
                let above = field.path.rsplit_once('.').map(|(above, _)| above);
                let is_there = |above: &str| {
                    fields.iter().any(|other| match other.kind {
                        Kind::Map => other.path == above,
                        Kind::Maps => Some(other.path) == above.strip_suffix("[]"),
                        _ => false,
                    })
                };
                assert!(above.is_none_or(is_there), "{of}: {}", field.path);
                let twice = fields.iter().filter(|other| other.path == field.path).count();
                assert_eq!(twice, 1, "{of}: {}", field.path);
                assert!(!field.tells.is_empty(), "{of}: {}", field.path);
            }
        }
    }
}
