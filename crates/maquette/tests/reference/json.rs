//! The page of JSON outputs: the fields that commands print in transcripts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

use serde_json::Value;

use super::{begin, cell, compare, files, root, table};

/// Fields by their path, with the types that their values have.
type Fields = BTreeMap<String, BTreeSet<&'static str>>;

fn gather(value: &Value, path: &str, fields: &mut Fields) {
    let mut note = |kind| {
        if !path.is_empty() {
            fields.entry(path.into()).or_default().insert(kind);
        }
    };
    match value {
        Value::Null => note("null"),
        Value::Bool(_) => note("true or false"),
        Value::Number(_) => note("number"),
        Value::String(_) => note("text"),
        Value::Array(items) => {
            note("list");
            items.iter().for_each(|item| gather(item, &format!("{path}[]"), fields));
        }
        Value::Object(map) => {
            note("mapping");
            for (key, value) in map {
                // Names that users give.
                let named = path.ends_with("hostvars") || path.ends_with("variables");
                let key = if named { "NAME" } else { key };
                let dot = if path.is_empty() { "" } else { "." };
                gather(value, &format!("{path}{dot}{key}"), fields);
            }
        }
    }
}

/// The verb of a command with `--json`; of those with verbs below them, both.
fn verb(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let own = words.iter().take_while(|word| **word != "--");
    let json = own.into_iter().any(|word| *word == "--json");
    let ["maquette", verb, rest @ ..] = words.as_slice() else { return None };
    let two = ["host", "link", "image", "topology", "workspace"].contains(verb);
    let second = rest.iter().find(|word| !word.starts_with('-')).filter(|_| two);
    json.then(|| [Some(*verb), second.copied()].into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// What transcripts print for each verb: texts of JSON, by verb.
fn printed() -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for file in files(&root().join("crates/maquette/tests/transcripts"), "txt") {
        let text = fs::read_to_string(file).unwrap();
        let mut commands: Vec<(&str, String)> = Vec::new();
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                commands.push((command, String::new()));
            } else if let (Some(line), Some((_, out))) =
                (line.strip_prefix('|'), commands.last_mut())
            {
                let _ = writeln!(out, "{line}");
            }
        }
        for (command, out) in commands {
            let Some(verb) = verb(command) else { continue };
            let values = serde_json::Deserializer::from_str(&out).into_iter::<Value>();
            found.entry(verb).or_default().extend(values.map_while(Result::ok));
        }
    }
    found
}

#[test]
fn every_json_output_of_the_transcripts_is_on_its_page() {
    let printed = printed();
    assert!(printed.len() > 12, "{:?}", printed.keys());
    let mut out = begin(
        "JSON outputs",
        "What `--json` prints, by verb. Fields are those that the program prints in its tests; `[]` stands for each item of a \
         list. Fields may be added; what is there keeps its name and meaning while `schema` is the same. Verbs that do \
         something print events, one a line: the field `event` says which. `maquette inventory` prints what Ansible reads.",
    );
    for (verb, values) in &printed {
        let _ = writeln!(out, "## {verb}\n");
        let mut kinds: BTreeMap<String, Fields> = BTreeMap::new();
        for value in values {
            let event = value["event"].as_str().unwrap_or_default().to_string();
            gather(value, "", kinds.entry(event).or_default());
        }
        for (event, fields) in &kinds {
            if !event.is_empty() {
                let _ = writeln!(out, "Event `{event}`:\n");
            }
            let row = |(path, types): (&String, &BTreeSet<&str>)| {
                let types: Vec<&str> = types.iter().copied().collect();
                vec![format!("`{path}`"), cell(&types.join(", "))]
            };
            table(&mut out, &["field", "value"], fields.iter().map(row));
        }
    }
    compare("reference/json.md", &format!("{}\n", out.trim_end()));
}
