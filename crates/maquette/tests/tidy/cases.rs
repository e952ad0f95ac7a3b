//! The table of inputs that version 0.1 got wrong: minimal ones and three more of each kind are in tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Kinds of inputs, and parts of kinds.
const KINDS: [&str; 19] = [
    "A", "B", "C1", "C2", "D", "E", "F", "G", "H1", "H2", "I1", "I2", "I3", "I4", "I5", "I6", "J",
    "K", "L",
];

/// The text of a transcript, or of a test with what stands before all tests of its file; none if there is no such test.
fn text_of(test: &str, top: &Path, sources: &[String]) -> Option<String> {
    if test.contains('/') {
        return fs::read_to_string(top.join(test)).ok();
    }
    let begin = format!("fn {test}(");
    sources.iter().find_map(|source| {
        let mut parts = source.split("#[test]");
        let before = parts.next()?;
        parts.find(|part| part.contains(&begin)).map(|part| format!("{before}{part}"))
    })
}

/// An input that is taken out of its test takes its kind along without anybody noticing.
#[test]
fn minimal_inputs_and_three_more_of_each_kind_are_in_tests() {
    let top = super::crates().join("..");
    let mut files = Vec::new();
    super::sources(&super::crates(), &mut files);
    let sources: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let table = fs::read_to_string(top.join("tests/cases.md")).unwrap();
    let mut kinds: BTreeMap<&str, [BTreeSet<&str>; 2]> = BTreeMap::new();
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [kind, which, inputs, test] = cells.as_slice() else { panic!("{row}") };
        let test = test.trim_matches('`');
        let Some(text) = text_of(test, &top, &sources) else { panic!("{row}: no {test}") };
        let inputs: Vec<&str> = inputs.split('`').skip(1).step_by(2).collect();
        for input in &inputs {
            assert!(text.contains(*input), "{row}: `{input}` is not in it");
        }
        let place = match *which {
            "minimal" => 0,
            "more" => 1,
            _ => panic!("{row}"),
        };
        kinds.entry(*kind).or_default()[place].extend(inputs);
    }
    let found: Vec<&str> = kinds.keys().copied().collect();
    assert_eq!(found, KINDS);
    for (kind, [minimal, more]) in &kinds {
        let others = more.difference(minimal).count();
        assert!(!minimal.is_empty() && others >= 3, "{kind}: {minimal:?}, {more:?}");
    }
}
