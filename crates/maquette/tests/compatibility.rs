//! How far Maquette does what InfraRed did: `compatibility/rows.yml`, row by row.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use maquette_core::syntax::Plain;

/// Rows that are still to be done. Whoever does one lowers it.
const OPEN: usize = 0;

/// Shorter than that is no reason.
const SHORTEST_REASON: usize = 40;

/// What each row may say of itself.
const KEYS: [&str; 5] = ["area", "row", "tests", "decision", "open"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All files below a directory.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("target") => {}
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// Directories of tests from end to end that `tests/e2e/run` starts.
fn started() -> BTreeSet<String> {
    let text = fs::read_to_string(repository().join("tests/e2e/run")).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = lines.flat_map(str::split_whitespace);
    let named = words.filter_map(|word| word.strip_prefix("tests/e2e/"));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let names = named.filter_map(|rest| rest.split(|c: char| !is_name(c)).next());
    names.map(|name| format!("tests/e2e/{name}")).collect()
}

/// Names of test functions, of transcripts, and of directories of tests from end to end, which may be run by hand only.
fn tests() -> BTreeSet<String> {
    let mut all = Vec::new();
    files(&repository().join("crates"), &mut all);
    let mut names = BTreeSet::new();
    for file in all {
        let is = |ending: &str| file.extension().is_some_and(|e| e == ending);
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        if is("txt") && file.parent().is_some_and(|p| p.ends_with("tests/transcripts")) {
            names.insert(stem);
        } else if is("rs") {
            let text = fs::read_to_string(&file).unwrap();
            names.extend(functions(&text).map(String::from));
        }
    }
    for entry in fs::read_dir(repository().join("tests/e2e")).unwrap() {
        names.insert(format!("tests/e2e/{}", entry.unwrap().file_name().to_string_lossy()));
    }
    names
}

/// Functions that are tests: `#[test]`, perhaps further attributes and comments, and the function.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]").skip(1).filter_map(|rest| {
        let (before, function) = rest.split_once("fn ")?;
        let between =
            |line: &str| line.is_empty() || line.starts_with("#[") || line.starts_with("//");
        let name = function.split(['(', '<']).next()?;
        before.lines().map(str::trim).all(between).then_some(name)
    })
}

fn text<'a>(row: &'a Plain, key: &str) -> Option<&'a str> {
    match row.at(&[key])? {
        Plain::Text(text) => Some(text),
        other => panic!("`{key}` is {other:?}"),
    }
}

#[test]
fn every_row_has_a_test_or_a_decision_with_a_reason_or_is_counted_as_open() {
    let (known, started) = (tests(), started());
    assert!(started.contains("tests/e2e/playbooks") && started.contains("tests/e2e/bmc"));
    let file = repository().join("crates/maquette/tests/compatibility/rows.yml");
    let Plain::List(rows) = Plain::read(&fs::read_to_string(file).unwrap()).unwrap() else {
        panic!("the rows are a list");
    };
    assert_eq!(rows.len(), 206, "a row is added or lost");
    let (mut wrong, mut open, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for row in &rows {
        let Plain::Map(keys) = row else { panic!("a row is a mapping: {row:?}") };
        let name = format!("{}: {}", text(row, "area").unwrap(), text(row, "row").unwrap());
        let mut mistake = |what: String| wrong.push(format!("{name}: {what}"));
        if !seen.insert(name.clone()) {
            mistake("it is there twice".into());
        }
        for key in keys.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            mistake(format!("`{key}` is not a key of a row"));
        }
        let named = match row.at(&["tests"]) {
            Some(Plain::List(list)) => list.clone(),
            None => Vec::new(),
            Some(other) => panic!("`tests` is {other:?}"),
        };
        for test in &named {
            let Plain::Text(test) = test else { panic!("{name}: a test has a name") };
            if !known.contains(test) {
                mistake(format!("there is no test `{test}`"));
            }
        }
        let decision = text(row, "decision");
        let by_hand = named.iter().filter_map(|test| match test {
            Plain::Text(test) if test.starts_with("tests/e2e/") => Some(test),
            _ => None,
        });
        for test in by_hand.filter(|test| !started.contains(*test)) {
            if decision.is_none() {
                mistake(format!("`{test}` is run by hand only, and no decision says why"));
            }
        }
        if decision.is_some_and(|why| why.len() < SHORTEST_REASON) {
            mistake("its decision has no reason".into());
        }
        let is_done = !named.is_empty() || decision.is_some();
        match text(row, "open") {
            Some(_) if is_done => mistake("it is open, and done".into()),
            Some(what) => open.push(format!("{name}: {what}")),
            None if is_done => {}
            None => mistake("it has neither a test nor a decision".into()),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{} of {} rows are open:\n{}", open.len(), rows.len(), open.join("\n"));
    assert_eq!(open.len(), OPEN, "OPEN is the number of open rows, and only ever goes down");
}

#[test]
fn functions_are_tests_only_with_their_attribute() {
    let text = "fn helper() {}\n#[test]\n// why\n#[ignore]\nfn one() {}\n#[test]\nfn two<T>() {}\n";
    assert_eq!(functions(text).collect::<Vec<_>>(), ["one", "two"]);
}
