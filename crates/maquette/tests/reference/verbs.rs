//! The page of verbs: what `--help` says of each, without the settings, which have a page of their own.

use std::fmt::Write;
use std::fs;

use maquette_core::settings::{Group, SETTINGS};
use regex_automata::meta::Regex;

use super::played::help;
use super::{begin, cell, compare, root, table};

/// Headings of the help whose flags are settings.
const OF_SETTINGS: [Group; 4] =
    [Group::Environment, Group::Hypervisor, Group::Topology, Group::Guests];

/// The verbs below a command, with what each does.
pub fn below(help: &str) -> Vec<(String, String)> {
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let mut verbs: Vec<(String, String)> = Vec::new();
    for line in list.lines().take_while(|line| !line.is_empty()) {
        match line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
            Some(rest) => {
                let (verb, does) = rest.split_once(' ').unwrap();
                verbs.push((verb.into(), does.trim().into()));
            }
            None => {
                let does = &mut verbs.last_mut().unwrap().1;
                does.push(' ');
                does.push_str(line.trim());
            }
        }
    }
    verbs.retain(|(verb, _)| verb != "help");
    verbs
}

/// A part of the help: its heading and its lines.
fn parts(help: &str) -> Vec<(Option<&str>, String)> {
    let mut parts = vec![(None, String::new())];
    for line in help.lines() {
        match line.strip_suffix(':').filter(|heading| !heading.contains(' ')) {
            Some(heading) => parts.push((Some(heading), String::new())),
            None => {
                let _ = writeln!(parts.last_mut().unwrap().1, "{line}");
            }
        }
    }
    parts
}

/// The flags of the parts that settings are in, which are not settings.
fn besides(part: &str, known: &mut Vec<(String, String)>) {
    let mut flag: Option<(String, String)> = None;
    for line in part.lines().chain(["  -"]) {
        let trimmed = line.trim();
        if trimmed.starts_with('-') && line.starts_with("  ") {
            let is_setting =
                |flag: &str| SETTINGS.iter().any(|row| flag.contains(&format!("--{} ", row.name)));
            let done = flag.take().filter(|(name, _)| !is_setting(&format!("{name} ")));
            // Where verbs say different things of a flag, whoever says more.
            if let Some((name, does)) = done {
                match known.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, said)) if said.len() >= does.len() => {}
                    Some((_, said)) => *said = does,
                    None => known.push((name, does)),
                }
            }
            let (name, does) = trimmed.split_once("  ").unwrap_or((trimmed, ""));
            flag = Some((name.into(), does.trim().into()));
        } else if let Some((_, does)) = &mut flag {
            let _ = write!(does, " {trimmed}");
        }
    }
}

fn verb(out: &mut String, words: &[&str], does: &str, common: &mut Vec<(String, String)>) {
    let help = help(&[words, &["-h"]].concat());
    let name = words.join(" ");
    let _ = writeln!(out, "## maquette {name}\n\n{}\n", cell(does));
    let below = below(&help);
    let mut shown = String::new();
    let mut left_out = false;
    for (heading, text) in parts(&help) {
        match heading {
            _ if words == ["virsh"] => {
                let heading = heading.map(|heading| format!("{heading}:\n"));
                let _ = write!(shown, "{}{text}", heading.unwrap_or_default());
            }
            // What it does stands above.
            None => match text.split_once("Usage:") {
                Some((_, usage)) => {
                    let _ = write!(shown, "Usage:{usage}");
                }
                None => shown.push_str(&text),
            },
            Some("Commands") => {}
            Some(heading) if OF_SETTINGS.iter().any(|group| group.title() == heading) => {
                left_out = true;
                besides(&text, common);
            }
            Some(heading) => {
                let _ = write!(shown, "{heading}:\n{text}");
            }
        }
    }
    let _ = writeln!(out, "```text\n{}\n```\n", shown.trim_end());
    if left_out {
        out.push_str("It takes [settings](settings.md), too.\n\n");
    }
    for (word, does) in below {
        verb(out, &[words, &[&word]].concat(), &does, common);
    }
}

/// Verbs that the help does not name, and what they do.
const HIDDEN: [(&str, &str); 6] = [
    (
        "plugin",
        "accepted for scripts of [InfraRed](../migrate/infrared.md), whose provisioner is built in",
    ),
    ("bmc serve", "what `maquette up` starts on a hypervisor to serve BMCs of a directory"),
    ("bmc tell", "tells a BMC of such a directory what to do, on its hypervisor"),
    ("bmc names", "looks up names of servers for the process that serves BMCs, which starts it"),
    ("man-pages", "writes a manual page for each verb into a directory; packages have these"),
    ("complete-names", "prints the names that fit where somebody is typing; completions ask it"),
];

/// Their table; fails if the source hides another one.
fn hidden(out: &mut String) {
    let mut found = Vec::new();
    let pattern = Regex::new(r"#\[command\(hide = true\)\]\s+(\w+)").unwrap();
    for (file, above) in [("commands.rs", ""), ("commands/bmc.rs", "bmc ")] {
        let path = root().join("crates/maquette/src").join(file);
        let text = fs::read_to_string(path).unwrap();
        let names = pattern.captures_iter(&text).filter_map(|captures| captures.get_group(1));
        let names = names.map(|span| text[span.range()].to_lowercase().replace('_', "-"));
        found.extend(names.map(|name| format!("{above}{name}")));
    }
    let mut known = HIDDEN.map(|(verb, _)| verb.to_string());
    known.sort();
    found.sort();
    assert_eq!(found, known, "verbs that the help hides, and those with a row here");
    out.push_str("## Verbs that help does not name\n\n");
    let row = |(verb, does): &(&str, &str)| vec![format!("`maquette {verb}`"), (*does).to_string()];
    table(out, &["verb", "what it does"], HIDDEN.iter().map(row));
}

#[test]
fn the_page_of_verbs_has_every_verb() {
    let verbs = below(&help(&["-h"]));
    assert!(verbs.len() > 35, "{verbs:?}");
    let mut out = begin(
        "Verbs",
        "Each verb also says this itself: `maquette VERB --help`. `maquette explain` says more of settings and keys. \
         A few that `--help` does not name are [at the end](#verbs-that-help-does-not-name).",
    );
    let link = |name: &str| format!("[`{name}`](#maquette-{name})");
    table(
        &mut out,
        &["verb", "what it does"],
        verbs.iter().map(|(verb, does)| vec![link(verb), cell(does)]),
    );
    let mut common = Vec::new();
    let mut texts = String::new();
    for (word, does) in &verbs {
        verb(&mut texts, &[word], does, &mut common);
    }
    out.push_str(
        "## Flags of many verbs\n\nVerbs that are about an environment take [settings](settings.md) as flags, and of these \
         the ones that concern them:\n\n",
    );
    let row = |(flag, does): &(String, String)| vec![format!("`{flag}`"), cell(does.trim())];
    table(&mut out, &["flag", "what it is"], common.iter().map(row));
    out.push_str(&texts);
    hidden(&mut out);
    compare("reference/verbs.md", &format!("{}\n", out.trim_end()));
}
