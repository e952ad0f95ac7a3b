//! The page of JSON outputs, made of their schemas; and that transcripts print what these say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

use serde_json::{Map, Value};

use super::fits::fits;
use super::played::{help, said};
use super::verbs::below;
use super::{begin, cell, compare, files, root, table};

/// The verb of a command with `--json`; of those with verbs below them, both.
fn verb(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let own = words.iter().take_while(|word| **word != "--");
    let json = own.into_iter().any(|word| *word == "--json");
    let ["maquette", verb, rest @ ..] = words.as_slice() else { return None };
    let two = ["bmc", "host", "link", "image", "topology", "workspace"].contains(verb);
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

/// The verbs that have `--json`, with those below them.
fn with_json(words: &[&str], found: &mut Vec<String>) {
    let help = help(&[words, &["-h"]].concat());
    let below = below(&help);
    for (verb, _) in &below {
        with_json(&[words, &[verb.as_str()]].concat(), found);
    }
    if below.is_empty() && help.lines().any(|line| line.trim_start().starts_with("--json")) {
        found.push(words.join(" "));
    }
}

/// The schema of what a word stands for.
fn schema(word: &str) -> Value {
    serde_json::from_str(&said(&["schema", word])).unwrap()
}

/// The schema with no keys but those that it names.
fn closed(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let mut map: Map<String, Value> =
                map.iter().map(|(key, value)| (key.clone(), closed(value))).collect();
            map.remove("$schema");
            if map.get("properties").is_some_and(|p| p.is_object()) && map["type"] == "object" {
                map.insert("additionalProperties".into(), false.into());
            }
            map.into()
        }
        Value::Array(items) => items.iter().map(closed).collect(),
        other => other.clone(),
    }
}

/// Verbs of which one thing is printed as a whole, by the word for its schema.
fn outputs() -> Vec<String> {
    let line = help(&["schema", "-h"]).replace('\n', " ");
    let (_, listed) = line.split_once("[possible values: ").unwrap();
    let listed = listed.split(']').next().unwrap().split(',').map(|word| word.trim().to_string());
    listed
        .filter(|word| !["project", "nodes", "network", "events"].contains(&word.as_str()))
        .collect()
}

/// A row of the page for each field of a schema: its path, type and meaning.
fn rows(schema: &Value, path: &str, rows: &mut Vec<[String; 3]>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}{name}");
        rows.push([
            path.clone(),
            kind(field),
            field["description"].as_str().unwrap_or_default().into(),
        ]);
        self::rows(field, &format!("{path}."), rows);
        self::rows(&field["items"], &format!("{path}[]."), rows);
    }
}

/// What a field's values are, in words.
fn kind(field: &Value) -> String {
    let word = |kind: &str| match kind {
        "string" => "text",
        "integer" => "whole number",
        "boolean" => "true or false",
        "array" if field["items"]["type"] == "string" => "list of texts",
        "array" if field["items"]["type"] == "integer" => "list of numbers",
        "array" => "list",
        "object" => "mapping",
        "null" => "null",
        "number" => "number",
        other => panic!("{other}"),
    };
    let listed = |values: &Value, shown: &dyn Fn(&Value) -> String| {
        values.as_array().unwrap().iter().map(shown).collect::<Vec<_>>().join(", ")
    };
    match (&field["type"], &field["enum"]) {
        (Value::String(kind), _) => word(kind).into(),
        (kinds @ Value::Array(_), _) => listed(kinds, &|kind| word(kind.as_str().unwrap()).into()),
        (_, words) => listed(words, &|word| match word {
            Value::String(word) => format!("`{word}`"),
            other => other.to_string(),
        }),
    }
}

/// Events that no transcript prints: steps of the model take no time.
const UNPLAYED_EVENTS: [&str; 1] = ["step-progress"];

/// Events that the source has.
fn events() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in ["progress/json.rs", "render/lifetime.rs", "commands/share.rs", "commands/init.rs"]
    {
        let source = fs::read_to_string(root().join("crates/maquette/src").join(file)).unwrap();
        let pieces = source.split("\"event\": \"").skip(1);
        found.extend(pieces.map(|rest| rest.split('"').next().unwrap().to_string()));
    }
    found
}

/// The event that a line is, if it is one.
fn event(value: &Value) -> Option<String> {
    value["event"].as_str().map(String::from)
}

/// What transcripts print fits, and has no field that no table has; a verb that none prints would go unseen.
#[test]
fn every_verb_with_json_prints_what_its_schema_says() {
    let printed = printed();
    let mut verbs = Vec::new();
    with_json(&[], &mut verbs);
    assert!(verbs.len() > 25, "{verbs:?}");
    let unplayed: Vec<&String> =
        verbs.iter().filter(|verb| !printed.contains_key(verb.as_str())).collect();
    assert!(unplayed.is_empty(), "without a transcript: {unplayed:?}");
    let outputs = outputs();
    let lines = closed(&schema("events"));
    for (verb, values) in &printed {
        let word = verb.replace(' ', "-");
        let whole = outputs.contains(&word).then(|| closed(&schema(&word)));
        for value in values {
            let fitting = match (event(value), &whole) {
                (None, Some(whole)) => whole,
                (Some(_), _) => &lines,
                (None, None) => panic!("`{verb}` prints what is no event: {value}"),
            };
            if let Err(why) = fits(fitting, value) {
                panic!("`maquette {verb} --json`: {why}");
            }
        }
    }
    let strangers: Vec<&String> =
        outputs.iter().filter(|word| !verbs.contains(&word.replace('-', " "))).collect();
    assert!(strangers.is_empty(), "no such verbs: {strangers:?}");
}

/// Fields that no transcript prints anything in, and why; lines begin so.
const UNPRINTED: [(&str, &str); 9] = [
    ("open: hypervisor", "the model's nodes are on this machine, whatever address it is given"),
    ("plan: preparation.changes[].how", "what preparing changes is changed in one way"),
    ("image list: cached[].image", "the model lists no templates"),
    ("image prune: swept", "runs on the model leave no files"),
    ("image prune: unrecorded", "the model records each image"),
    ("link down: interfaces[].loss_percent", "the model's `tc` tells of delays only"),
    ("link limit: interfaces[].loss_percent", "the model's `tc` tells of delays only"),
    ("link show: interfaces[].loss_percent", "the model's `tc` tells of delays only"),
    ("link up: interfaces[].loss_percent", "the model's `tc` tells of delays only"),
];

/// A row that nothing prints may tell anything.
#[test]
fn every_field_of_the_tables_is_printed() {
    let printed = printed();
    let (mut shown, mut unshown) = (BTreeSet::new(), BTreeSet::new());
    for word in outputs() {
        let verb = word.replace('-', " ");
        let mut seen = BTreeSet::new();
        for value in printed.get(&verb).into_iter().flatten() {
            paths(value, "", &mut seen);
        }
        let mut rows = Vec::new();
        let schema = schema(&word);
        self::rows(
            if schema["type"] == "array" { &schema["items"] } else { &schema },
            "",
            &mut rows,
        );
        assert!(!rows.is_empty(), "{word}");
        for [path, kind, tells] in rows {
            match seen.contains(&path) {
                true => shown.insert((path, kind, tells)),
                false => unshown.insert((verb.clone(), (path, kind, tells))),
            };
        }
    }
    // Verbs that have a row in common have it shown by one of them.
    let mut missing: Vec<String> = unshown
        .into_iter()
        .filter(|(_, row)| !shown.contains(row))
        .map(|(verb, (path, ..))| format!("{verb}: {path}"))
        .collect();
    for (known, why) in UNPRINTED {
        let before = missing.len();
        missing.retain(|line| !line.starts_with(known));
        assert!(missing.len() < before, "a transcript prints `{known}` now, though {why}");
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Paths of the fields of a value that have more to say than null, or an empty list.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{dot}{key}");
                paths(value, &path, found);
                let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
                if !is_empty {
                    found.insert(path);
                }
            }
        }
        Value::Array(items) => {
            let path = if path.is_empty() { String::new() } else { format!("{path}[]") };
            items.iter().for_each(|item| paths(item, &path, found));
        }
        _ => {}
    }
}

#[test]
fn every_event_is_in_the_schema_and_printed() {
    let schema = schema("events");
    let names = schema["anyOf"].as_array().unwrap().iter();
    let names =
        names.map(|one| one["properties"]["event"]["enum"][0].as_str().unwrap().to_string());
    let known: BTreeSet<String> = names.collect();
    assert_eq!(events(), known);
    let printed_values = printed();
    let printed: BTreeSet<String> = printed_values.values().flatten().filter_map(event).collect();
    let unprinted: Vec<&String> = known.difference(&printed).collect();
    assert_eq!(unprinted, UNPLAYED_EVENTS);
    // Two events of one name are told apart by their fields.
    let lines: Vec<Value> = printed_values.into_values().flatten().collect();
    for one in schema["anyOf"].as_array().unwrap() {
        let name = &one["properties"]["event"]["enum"][0];
        let is_played = !UNPLAYED_EVENTS.iter().any(|unplayed| name == unplayed);
        let one = closed(one);
        assert_eq!(lines.iter().any(|line| fits(&one, line).is_ok()), is_played, "{one:#}");
    }
}

fn fields(out: &mut String, schema: &Value) {
    let mut found = Vec::new();
    rows(schema, "", &mut found);
    let untold: Vec<_> = found.iter().filter(|[_, _, tells]| tells.is_empty()).collect();
    assert!(untold.is_empty(), "fields that tell nothing: {untold:?}");
    let row =
        |[path, kind, tells]: [String; 3]| vec![format!("`{path}`"), cell(&kind), cell(&tells)];
    table(out, &["field", "value", "what it tells"], found.into_iter().map(row));
}

#[test]
fn every_json_output_is_on_its_page_with_its_schema() {
    let outputs = outputs();
    let mut verbs = Vec::new();
    with_json(&[], &mut verbs);
    let mut out = begin(
        "JSON outputs",
        "What `--json` prints, by verb. `[]` stands for each item of a list. Fields may be added; what is there keeps its name \
         and meaning while `schema` is the same. `maquette schema VERB`, as in `maquette schema host-check`, prints the JSON schema, \
         packages have them in `share/maquette`, and each is linked below. `maquette inventory` prints what Ansible reads.",
    );
    let is_event = |verb: &&String| !outputs.contains(&verb.replace(' ', "-"));
    let named: Vec<String> =
        verbs.iter().filter(is_event).map(|verb| format!("`{verb}`")).collect();
    let _ = writeln!(
        out,
        "## Events\n\nVerbs that do something print events, one a line: {}, `share` with a key, and `init` without `--list`. The field `event` says which it is. \
         [Schema](../schemas/events.schema.json)\n",
        named.join(", ")
    );
    let events = schema("events");
    for one in events["anyOf"].as_array().unwrap() {
        let name = one["properties"]["event"]["enum"][0].as_str().unwrap();
        let _ = writeln!(out, "### {name}\n\n{}.\n", capital(one["description"].as_str().unwrap()));
        fields(&mut out, one);
    }
    for word in &outputs {
        let schema = schema(word);
        let list = schema["type"] == "array";
        let tells = capital(schema["description"].as_str().unwrap());
        let of = if list { ": a list of mappings" } else { "" };
        let verb = word.replace('-', " ");
        let _ =
            writeln!(out, "## {verb}\n\n{tells}{of}. [Schema](../schemas/{word}.schema.json)\n");
        fields(&mut out, if list { &schema["items"] } else { &schema });
    }
    compare("reference/json.md", &format!("{}\n", out.trim_end()));
    for word in outputs.iter().map(String::as_str).chain(["events"]) {
        compare(&format!("schemas/{word}.schema.json"), &said(&["schema", word]));
    }
}

/// A sentence's first letter.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
