//! Everything that is told about settings follows from their table; and the reference of the site from the program.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

#[path = "reference/pages.rs"]
mod reference;

use std::process::Command;

use maquette_core::settings::{SETTINGS, Settings};

use reference::played::{help, run};

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

/// Who calls several verbs in turn names the flags once.
#[test]
fn flags_of_up_are_taken_by_plan_down_and_status() {
    let home = tempfile::tempdir().unwrap();
    let help = help(&["up", "--help"]);
    let flag = |line: &str| {
        let line = line.trim_start();
        // `-y, --yes`
        let long = line.find(", --").filter(|at| *at == 2).map_or(line, |at| &line[at + 2..]);
        let name = long.split([' ', '=', '[']).next().unwrap_or_default();
        name.strip_prefix("--").is_some_and(|name| !name.is_empty()).then(|| name.to_string())
    };
    let flags: Vec<String> = help.lines().filter_map(flag).collect();
    assert!(flags.len() > 30, "{flags:?}");
    for verb in ["plan", "down", "status"] {
        for flag in &flags {
            // The second one ends it in any case.
            let said = run(&[verb, flag, "--no-such-flag"], home.path()).err;
            assert!(!said.contains(&format!("unexpected argument '{flag}'")), "{verb}: {said}");
        }
    }
}
