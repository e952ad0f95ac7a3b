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

#[test]
fn files_can_be_read_in_one_sitting() {
    let mut files = Vec::new();
    sources(&crates(), &mut files);
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines; split it", file.display());
    }
}
