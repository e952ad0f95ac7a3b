//! Tables of pages that are written by hand have a row for each thing that the source has.

use std::fs;

use regex_automata::meta::Regex;

use super::played::help;
use super::{pages, root};

/// What a pattern's first group finds in a file of the repository.
fn found(file: &str, pattern: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let pattern = Regex::new(pattern).unwrap();
    let groups = pattern.captures_iter(&text).filter_map(|captures| captures.get_group(1));
    groups.map(|span| text[span.range()].to_string()).collect()
}

fn has_all(page: &str, words: &[String], least: usize) {
    assert!(words.len() >= least, "{words:?}");
    let text = fs::read_to_string(pages().join(page)).unwrap();
    for word in words {
        assert!(text.contains(&format!("`{word}")), "{page} does not have `{word}`");
    }
}

#[test]
fn every_point_of_playbooks_is_on_its_page() {
    let points = found("crates/maquette/src/playbooks.rs", r#"\("(\w+)", Point::"#);
    has_all("how-to/playbooks.md", &points, 10);
}

#[test]
fn every_option_of_infrareds_without_effect_is_on_its_page() {
    let rows = r#""([\w-]+)" \w+, [^;]*Ignored\("#;
    let options = found("crates/maquette/src/infrared/options.rs", rows);
    let options: Vec<_> = options.iter().map(|name| format!("--{name}")).collect();
    has_all("migrate/infrared.md", &options, 2);
    let help = help(&["virsh", "--help"]);
    assert_eq!(help.matches("(no effect").count(), options.len(), "{help}");
}

#[test]
fn every_variable_that_names_workspaces_is_on_a_page() {
    let variables = r#""((?:MAQUETTE|IR)_(?:HOME|\w*WORKSPACE))""#;
    let variables = found("crates/maquette/src/workspace/named.rs", variables);
    has_all("migrate/infrared-ci.md", &variables, 4);
}
