//! Everything that is told about settings follows from their table.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::fmt::Write;
use std::process::Command;

use maquette_core::explain::topics;
use maquette_core::settings::{Kind, SETTINGS, Settings};

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

/// The README's tables of keys that a project file describes node types and networks with.
fn keys() -> String {
    let mut out = String::new();
    for (group, title) in [("nodes.NAME", "node type"), ("networks.NAME", "network")] {
        let _ = writeln!(out, "| key of a {title} | what it is |\n| --- | --- |");
        for topic in topics().iter().filter(|t| t.group == group && t.has_effect) {
            let key = topic.path.rsplit('.').next().unwrap();
            let default = topic.default.iter().map(|d| format!(" [default: {d}]"));
            let doc = topic.doc.replace('|', "\\|");
            let _ = writeln!(out, "| `{key}` | {doc}{} |", default.collect::<String>());
        }
        out.push('\n');
    }
    out
}

#[test]
fn the_readme_has_the_tables_of_keys() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (_, rest) = readme.split_once("<!-- keys: begin -->").expect("no place for keys");
    let (told, _) = rest.split_once("<!-- keys: end -->").expect("the tables of keys have no end");
    assert!(told.trim() == keys().trim(), "the README's tables of keys should be:\n{}", keys());
}

/// Whoever set an environment variable years ago finds it by its name, not by that of a flag nobody gave.
#[test]
fn what_an_environment_variable_gets_wrong_is_told_of_the_variable() {
    let home = tempfile::tempdir().unwrap();
    let mut tried = Vec::new();
    for row in SETTINGS {
        let Some(variable) = row.variable() else { continue };
        let value = "not\tgood/ ,;";
        if row.kind.takes(value)
            && row.set.is_some_and(|set| set(&mut Settings::default(), value).is_ok())
        {
            continue;
        }
        let said = Command::new(env!("CARGO_BIN_EXE_maquette"))
            .arg("plan")
            .args(["--topology-nodes=compute:0"].iter().filter(|_| row.name != "topology-nodes"))
            .current_dir(home.path())
            .env_clear()
            .env("HOME", home.path())
            .env("MAQUETTE_LIBVIRT_URI", "test:///default")
            .env(&variable, value)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(2), "{variable}: {text}");
        assert!(text.contains(&variable), "{variable}: {text}");
        let first = text.lines().next().unwrap_or_default();
        assert!(!first.contains(&format!("--{}", row.name)), "{variable}: {text}");
        tried.push(row.name);
    }
    for name in ["prefix", "host-address", "bootmode", "net_subnet", "serial-files", "disk-pool"] {
        assert!(tried.contains(&name), "{name} of {tried:?}");
    }
}
