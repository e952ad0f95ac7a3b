//! The table of faults that were found in version 0.1: each has a test, and the test is there.

use std::collections::BTreeSet;
use std::fs;

/// A test that is renamed or goes away takes its fault along without anybody noticing.
#[test]
fn what_is_said_to_test_a_fault_is_there() {
    let top = super::crates().join("..");
    let mut files = Vec::new();
    super::sources(&super::crates(), &mut files);
    let mut tests = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for rest in text.split("#[test]").skip(1) {
            let name = rest.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
            tests.extend(name.map(String::from));
        }
    }
    let table = fs::read_to_string(top.join("tests/faults.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(2);
    let mut known = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [number, fault, tested] = cells.as_slice() else { panic!("{row}") };
        assert!(known.insert(number.trim_start_matches("| ")), "{row}: its number is there twice");
        assert!(!fault.is_empty(), "{row}");
        let named: Vec<&str> = tested.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{row}");
        for name in named {
            let there =
                tests.contains(name) || name.contains(['/', '.']) && top.join(name).exists();
            assert!(there, "{row}: there is no {name}");
        }
    }
    assert!(known.len() > 47, "{known:?}");
}
