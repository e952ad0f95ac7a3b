//! The page of verbs: what `--help` says of each, without the settings, which have a page of their own.

use std::fmt::Write;

use maquette_core::settings::{Group, SETTINGS};

use super::{begin, cell, compare, said, table};

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
    let help = said(&[words, &["-h"]].concat());
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

#[test]
fn the_page_of_verbs_has_every_verb() {
    let verbs = below(&said(&["-h"]));
    assert!(verbs.len() > 35, "{verbs:?}");
    let mut out = begin(
        "Verbs",
        "Each verb also says this itself: `maquette VERB --help`. `maquette explain` says more of settings and keys. \
         `maquette man-pages DIR`, which `--help` does not name, writes manual pages of all of them; packages have these.",
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
    compare("reference/verbs.md", &format!("{}\n", out.trim_end()));
}
