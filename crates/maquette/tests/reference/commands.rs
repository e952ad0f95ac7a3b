//! Commands that pages show and do not run: the program has their verbs and flags.

use std::collections::BTreeSet;
use std::fs;

use regex_automata::meta::Regex;

use super::played::run;
use super::{files, pages, root};

/// All command lines of ours in a page's `sh` blocks, in jobs of its `yaml` blocks, in indented blocks and between backquotes.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let comment = Regex::new(r"(^|\s)#.*").unwrap();
    let mut fence = "";
    for line in page.replace("\\\n", " ").lines() {
        let line = match fence {
            "yaml" => job(line),
            "" => line
                .strip_prefix("    ")
                .filter(|rest| rest.starts_with("maquette "))
                .unwrap_or(line),
            _ => line,
        };
        if let Some(language) = line.strip_prefix("```") {
            fence = language;
        } else if ["sh", "yaml"].contains(&fence) || line.starts_with("maquette ") {
            let end = comment.find(line).map_or(line.len(), |comment| comment.start());
            let parts = line[..end].split(['|', ';', '&', '<', '>', '(', ')']);
            let parts = parts.map(str::trim).map(|part| part.strip_prefix("then ").unwrap_or(part));
            found.extend(parts.map(String::from));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(String::from));
        }
    }
    // A cell of a table may list several words at once.
    found.retain(|command| command.starts_with("maquette ") && !command.contains("\\|"));
    found
}

/// What a line of a CI job's YAML runs, if it runs anything.
fn job(line: &str) -> &str {
    let line = line.trim_start();
    let line = line.strip_prefix("- ").unwrap_or(line);
    line.strip_prefix("run: ").unwrap_or(line).trim_matches('\'')
}

/// The command lines of a transcript, or of a page's `console` blocks and of what it has played unseen: those that do what they
/// are to do, and none that a transcript has end with another status than 0.
pub fn typed(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    let text = text.replace("\\\n", " ");
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language) };
        } else if matches!(fence, None | Some("console")) {
            let unseen = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            let line = unseen.unwrap_or(line);
            if line.strip_prefix("exit ").is_some_and(|status| status.parse::<u8>().is_ok()) {
                found.pop();
            }
            found.extend(line.strip_prefix("$ ").or(line.strip_prefix("% ")).map(String::from));
        }
    }
    found
}

/// The commands that a page shows and that no model plays: those of `sh` blocks, and what is typed in blocks of other kinds.
pub fn shown(page: &str) -> Vec<(&str, String)> {
    let comment = Regex::new(r"(^|\s)#.*").unwrap();
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language) };
            continue;
        }
        let command = match fence {
            Some("sh") => Some(line),
            Some("console") => None,
            Some(_) => line.strip_prefix("$ "),
            None => line
                .strip_prefix("    ")
                .filter(|rest| ["scripts/", "maquette "].iter().any(|own| rest.starts_with(own))),
        };
        let Some(command) = command else { continue };
        let mut command = command.to_string();
        while let Some(begun) = command.strip_suffix('\\') {
            command = format!("{begun}{}", lines.next().unwrap());
        }
        // Those of headings of scripts and of notes are none.
        let end = comment.find(&command).filter(|_| !command.contains("'#!"));
        let command = &command[..end.map_or(command.len(), |comment| comment.start())];
        let parts = command.split("&&").flat_map(|part| part.split([';', '|']));
        let parts = parts.map(|part| part.split(" > ").next().unwrap_or_default().trim());
        let language = fence.unwrap_or("sh");
        found.extend(parts.filter(|part| !part.is_empty()).map(|p| (language, p.to_string())));
    }
    found
}

/// What a command of ours does, and which flags it has.
pub fn verb_and_flags(command: &str) -> (Vec<String>, BTreeSet<String>) {
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let own: Vec<&str> = words.iter().take_while(|word| **word != "--").copied().collect();
    let verb = own.first().copied().unwrap_or_default();
    let two = ["bmc", "host", "image", "link", "topology", "workspace"].contains(&verb);
    let second = own.iter().skip(1).find(|word| !word.starts_with('-')).filter(|_| two);
    let flags = own.iter().filter(|word| word.starts_with('-') && word.len() > 1);
    let flags = flags.map(|flag| flag.split('=').next().unwrap_or_default().to_string());
    let verbs = own.first().into_iter().chain(second).map(|word| (*word).to_string());
    (verbs.collect(), flags.collect())
}

/// The words of a command, as far as the program itself reads them; `…` stands for any others, unless a flag takes it.
fn words(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in shlex::split(command).unwrap_or_else(|| panic!("{command}")).into_iter().skip(1) {
        match word.as_str() {
            // The rest is a command on a node, or ssh's own.
            "--" => break,
            "…" if words.last().is_none_or(|before| !before.starts_with('-')) => {}
            _ => words.push(word),
        }
    }
    if words.first().is_some_and(|verb| verb == "ssh") {
        words.truncate(1);
    }
    words
}

/// Fails unless the program has the verbs and flags of a command that stands in a file.
pub fn understood(command: &str, file: &str) {
    let home = tempfile::tempdir().unwrap();
    let words = words(command);
    let asked: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    let ended = run(&asked, home.path());
    assert_eq!(ended.code, 0, "{file}: `{command}`: {}", ended.err);
}

#[test]
fn commands_of_pages_have_verbs_and_flags_that_there_are() {
    let is_written = |page: &std::path::PathBuf| !page.starts_with(pages().join("reference"));
    let mut all: Vec<_> = files(&pages(), "md").into_iter().filter(is_written).collect();
    all.push(root().join("README.md"));
    let mut tried = 0;
    let mut known = BTreeSet::new();
    for page in all {
        for command in commands(&fs::read_to_string(&page).unwrap()) {
            tried += 1;
            if !known.contains(&command) {
                understood(&command, &page.display().to_string());
                known.insert(command);
            }
        }
    }
    assert!(tried > 150, "{tried}");
    let jobs = commands(&fs::read_to_string(pages().join("how-to/ci.md")).unwrap());
    for command in ["maquette validate --strict", "maquette report", "maquette down --yes"] {
        assert!(jobs.iter().any(|job| job == command), "{command} of how-to/ci.md is not tried");
    }
}
