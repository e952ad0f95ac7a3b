//! Everything that is told about settings follows from their table.

use std::fmt::Write;

use maquette_core::settings::{Kind, SETTINGS};

const BEGIN: &str = "<!-- settings: begin -->";
const END: &str = "<!-- settings: end -->";

/// The README's table.
fn table() -> String {
    let mut out = String::from("| flag | in `maquette.yaml` | what it is |\n| --- | --- | --- |\n");
    for row in SETTINGS {
        let cell = |text: &str| text.replace('|', "\\|");
        let flag = match row.kind {
            Kind::Changes => format!("`-e`, `--{}`", row.name),
            _ => row.flag().map_or(String::new(), |flag| format!("`{flag}`")),
        };
        let key = row.key.map_or(String::new(), |key| format!("`{key}`"));
        let _ = writeln!(out, "| {flag} | {key} | {} |", cell(&row.help()));
    }
    out
}

#[test]
fn the_readme_has_the_table_of_settings() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (_, rest) = readme.split_once(BEGIN).expect("the README has no place for settings");
    let (told, _) = rest.split_once(END).expect("the table of settings has no end");
    assert!(
        told.trim() == table().trim(),
        "the README's table of settings should be:\n{}",
        table()
    );
}
