//! Words of messages, as STYLE.md has them.

use std::fs;
use std::path::Path;

use super::{crates, files_ending, program_files, program_text};

/// What of a text is no comment, and may be told to somebody; a string is one line.
fn told(text: &str, comment: &str) -> String {
    let trailing = format!(" {comment} ");
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(comment));
    let lines = lines.map(|line| line.split(&trailing).next().unwrap());
    lines.collect::<Vec<_>>().join("\n").replace("\\\n", "")
}

/// Where somebody reads that something "is no netmask".
fn odd(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        for verb in [" is no ", " are no ", " was no ", " were no "] {
            for (at, _) in line.match_indices(verb) {
                let before = line[..at].rsplit([' ', '"', '`', '\'']).next().unwrap();
                let is_plain = ["there", "where"].contains(&before.to_lowercase().as_str());
                let more = line[at + verb.len()..].starts_with("more ");
                if !is_plain && !more {
                    found.push(line.to_string());
                }
            }
        }
    }
    found
}

#[test]
fn messages_say_what_is_not_valid() {
    let mut scripts = Vec::new();
    for assets in ["maquette", "maquette-core", "maquette-engine", "maquette-libvirt"] {
        files_ending(&crates().join(assets).join("assets"), "sh", &mut scripts);
    }
    assert!(scripts.len() > 10, "{scripts:?}");
    let look = |file: &Path, text: &str| {
        assert_eq!(odd(text), Vec::<String>::new(), "{}", file.display());
    };
    scripts.iter().for_each(|file| look(file, &told(&fs::read_to_string(file).unwrap(), "#")));
    program_files().iter().for_each(|file| look(file, &told(&program_text(file), "//")));
}

#[test]
fn what_is_no_netmask_is_found() {
    for (text, count) in [
        ("format!(\"`{x}` is no netmask\")", 1),
        ("// `x` is no netmask\nlet x = 1; // it is no netmask", 0),
        ("\"these are \\\n    no netmasks\"", 1),
        ("\"there is no netmask, and there are no more than 2; There were no others\"", 0),
        ("\"they are no more than 2\"", 0),
    ] {
        assert_eq!(odd(&told(text, "//")).len(), count, "{text}");
    }
}

/// Names of types that say nothing of what they are for, or play with words; some stood for nine things.
const CLEVER: [&str; 9] =
    ["Farewell", "Fate", "Given", "Needs", "Place", "Promise", "Told", "Twin", "Wanted"];

/// The types of a text that others than its own file see, and that have such a name.
fn clever(text: &str) -> Vec<&str> {
    let seen = text.lines().filter_map(|line| line.trim_start().strip_prefix("pub"));
    let seen = seen.map(|rest| rest.split_once(") ").map_or(rest.trim_start(), |(_, rest)| rest));
    let named = seen.filter_map(|rest| {
        let kinds = ["struct ", "enum ", "trait ", "type ", "const "];
        kinds.iter().find_map(|kind| rest.strip_prefix(kind))
    });
    let names = named.map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap());
    names.filter(|name| CLEVER.contains(name)).collect()
}

#[test]
fn types_are_called_what_they_are() {
    for file in program_files() {
        assert_eq!(clever(&program_text(&file)), Vec::<&str>::new(), "{}", file.display());
    }
    let text = "pub struct Place {}\npub(super) enum Fate {}\nstruct Given;\npub enum Places {}";
    assert_eq!(clever(text), ["Place", "Fate"]);
}
