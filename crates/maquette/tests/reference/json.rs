//! The page of JSON outputs: the fields that commands print in transcripts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

use serde_json::Value;

use super::verbs::below;
use super::{begin, cell, compare, files, root, said, table};

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

/// Verbs with `--json` of which no transcript has a line, and why.
const UNPLAYED: [(&str, &str); 2] = [
    ("view", "it serves a page until it is interrupted; `tests/e2e/view` reads its line"),
    ("image build", "it builds an image on this machine"),
];

/// The verbs that have `--json`, with those below them.
fn with_json(words: &[&str], found: &mut Vec<String>) {
    let help = said(&[words, &["-h"]].concat());
    let below = below(&help);
    for (verb, _) in &below {
        with_json(&[words, &[verb.as_str()]].concat(), found);
    }
    if below.is_empty() && help.contains("--json") {
        found.push(words.join(" "));
    }
}

/// Events of a run, and what they tell.
const EVENTS: [(&str, &str); 9] = [
    ("run-started", "a run begins: `steps` is their number"),
    ("step-started", "a step begins: `id` is its number in this run, `title` what it does"),
    (
        "step-progress",
        "how far the step `id` is, in words: `text`; for people, and not in any certain form",
    ),
    ("step-remark", "what is to be said of the step `id`, which goes on: `text`"),
    ("step-finished", "the step `id` is done, after `milliseconds`"),
    (
        "step-failed",
        "the step `id` has failed: `message` says what, `causes` why, `hints` what helps, `excerpt` what a program or a console said last",
    ),
    ("step-interrupted", "the step `id` was interrupted; `text` says what becomes of it"),
    (
        "step-skipped",
        "the step `id` is not begun, since the step `because` failed; null if the run was interrupted",
    ),
    (
        "run-finished",
        "the run has ended: numbers of steps that are `done`, that `failed`, and that were `skipped`; and `milliseconds`",
    ),
];

/// Events that no transcript prints: steps of the model take no time.
const UNPLAYED_EVENTS: [&str; 1] = ["step-progress"];

/// Events that a run can print, by the source.
fn events() -> BTreeSet<String> {
    let source = fs::read_to_string(root().join("crates/maquette/src/progress/json.rs")).unwrap();
    let pieces = source.split("\"event\": \"").skip(1);
    pieces.map(|rest| rest.split('"').next().unwrap().to_string()).collect()
}

/// The page is made of what transcripts print: a verb that none has would be missing.
#[test]
fn every_verb_with_json_is_in_a_transcript() {
    let printed = printed();
    let mut verbs = Vec::new();
    with_json(&[], &mut verbs);
    assert!(verbs.len() > 25, "{verbs:?}");
    let is_unplayed = |verb: &str| UNPLAYED.iter().any(|(known, _)| *known == verb);
    let wrong: Vec<&String> = verbs
        .iter()
        .filter(|verb| printed.contains_key(verb.as_str()) == is_unplayed(verb))
        .collect();
    assert!(wrong.is_empty(), "without a transcript, or with one and in the list: {wrong:?}");
}

#[test]
fn every_event_of_a_run_is_explained_and_printed() {
    let known: BTreeSet<String> = EVENTS.iter().map(|(name, _)| (*name).to_string()).collect();
    assert_eq!(events(), known);
    let printed: BTreeSet<String> = printed().values().flatten().filter_map(event).collect();
    let unprinted: Vec<&String> = known.difference(&printed).collect();
    assert_eq!(unprinted, UNPLAYED_EVENTS);
}

/// The event that a line is, if it is one.
fn event(value: &Value) -> Option<String> {
    value["event"].as_str().map(String::from)
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
    out.push_str("## Events of a run\n\n");
    let row = |(name, tells): &(&str, &str)| vec![format!("`{name}`"), cell(tells)];
    table(&mut out, &["event", "what it tells"], EVENTS.iter().map(row));
    for (verb, values) in &printed {
        let _ = writeln!(out, "## {verb}\n");
        let mut kinds: BTreeMap<String, Fields> = BTreeMap::new();
        for value in values {
            let event = event(value).unwrap_or_default();
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
