//! Commands that pages show and do not run: the program has their verbs and flags.

use std::fs;
use std::process::Command;

use regex_automata::meta::Regex;

use super::{files, pages, root};

/// All command lines of ours in a page's `sh` blocks and between backquotes.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let comment = Regex::new(r"(^|\s)#.*").unwrap();
    let mut shell = false;
    for line in page.replace("\\\n", " ").lines() {
        if line.starts_with("```") {
            shell = line == "```sh";
        } else if shell {
            let end = comment.find(line).map_or(line.len(), |comment| comment.start());
            let parts = line[..end].split(['|', ';', '&', '<', '>', '(', ')']);
            found.extend(parts.map(|part| part.trim().to_string()));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(String::from));
        }
    }
    // A cell of a table may list several words at once.
    found.retain(|command| command.starts_with("maquette ") && !command.contains("\\|"));
    found
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

#[test]
fn commands_of_pages_have_verbs_and_flags_that_there_are() {
    let is_written = |page: &std::path::PathBuf| !page.starts_with(pages().join("reference"));
    let mut all: Vec<_> = files(&pages(), "md").into_iter().filter(is_written).collect();
    all.push(root().join("README.md"));
    let home = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for page in all {
        for command in commands(&fs::read_to_string(&page).unwrap()) {
            let output = Command::new(env!("CARGO_BIN_EXE_maquette"))
                .args(words(&command))
                .arg("--help")
                .env_clear()
                .env("HOME", home.path())
                .current_dir(home.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: `{command}`: {said}", page.display());
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
}
