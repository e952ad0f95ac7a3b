//! The rules of ARCHITECTURE.md that a machine can check.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::fs;
use std::path::{Path, PathBuf};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_crate_knows_what_it_must_not() {
    for (name, forbidden) in [
        ("maquette-core", &["maquette-engine", "virt", "clap", "roxmltree", "indicatif"][..]),
        ("maquette-engine", &["maquette-libvirt", "virt", "clap", "roxmltree", "indicatif"]),
        ("maquette-libvirt", &["clap", "indicatif", "saphyr", "minijinja"]),
        ("maquette", &["virt", "roxmltree", "saphyr"]),
    ] {
        let manifest = fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
        let normal = manifest.split("[dev-dependencies]").next().unwrap();
        for dependency in forbidden {
            let line = format!("\n{dependency}.workspace");
            assert!(!normal.contains(&line), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_core_touches_nothing() {
    let mut files = Vec::new();
    sources(&crates().join("maquette-core/src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for word in
            ["std::fs", "std::process", "std::env", "std::thread", "std::time", "SystemTime"]
        {
            assert!(!text.contains(word), "{}: {word}", file.display());
        }
    }
}

/// A field that a comparison or a record does not name is a change that nobody plans, or that is forgotten:
/// what takes a struct apart names all of it, so that a new field does not compile before it has a class.
#[test]
fn comparisons_and_records_take_structs_apart_whole() {
    let mut files = Vec::new();
    sources(&crates().join("maquette-core/src/plan/compare"), &mut files);
    sources(&crates().join("maquette-libvirt/src/xml/metadata"), &mut files);
    files.push(crates().join("maquette-core/src/plan/compare.rs"));
    files.push(crates().join("maquette-core/src/plan/drift.rs"));
    files.push(crates().join("maquette-core/src/plan/hardware.rs"));
    files.retain(|f| !f.ends_with("tests.rs") && !f.ends_with("properties.rs"));
    assert!(files.len() > 9, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let mut patterns =
            text.split("let ").skip(1).filter_map(|rest| rest.split(['=', ';']).next());
        let partial = patterns.find(|pattern| pattern.contains('{') && pattern.contains(".."));
        assert!(partial.is_none(), "{}: {}", file.display(), partial.unwrap());
    }
}

/// Sums of sizes that come from outside wrapped around in what users run, and in no test.
#[test]
fn arithmetic_is_checked_in_what_users_run_too() {
    let manifest = fs::read_to_string(crates().join("../Cargo.toml")).unwrap();
    let release = manifest.split("[profile.release]").nth(1).unwrap().split("\n[").next().unwrap();
    assert!(release.contains("overflow-checks = true"), "{release}");
}

/// Cargo builds elsewhere where `CARGO_TARGET_DIR` says so. Tools of the tests are always in `target`.
#[test]
fn scripts_look_where_cargo_builds() {
    let top = crates().join("..");
    let mut looked = 0;
    for directory in ["scripts", "tests/e2e", "benches", ".ci"] {
        for entry in fs::read_dir(top.join(directory)).unwrap().flatten() {
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            looked += 1;
            for line in text.lines().filter(|l| !l.trim_start().starts_with(['#', 'N'])) {
                let fixed = line.contains("target/release") || line.contains("target/debug");
                let told = line.contains("CARGO_TARGET_DIR:-") || line.contains("$target/");
                let fuzz = line.contains("fuzz/target/");
                assert!(!fixed || told || fuzz, "{}: {line}", entry.path().display());
            }
        }
    }
    assert!(looked > 15, "{looked}");
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let mut files = Vec::new();
    sources(&crates(), &mut files);
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines; split it", file.display());
    }
}
