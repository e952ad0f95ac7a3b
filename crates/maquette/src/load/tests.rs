//! Extra variables of a file that can be read once.

use super::*;

/// A pipe (`-e @<(…)`) can be read once; here the file is gone when the topology is made.
#[test]
fn a_file_of_extra_variables_is_read_once() {
    let environment = &Environment::of_process();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("more.yml");
    std::fs::write(&file, "a: 1\noverride: {networks: {}}\n").unwrap();
    let list = [format!("@{}", file.display()), "b=2".to_string()];
    let extra = Extra::read(environment, &list).unwrap();
    std::fs::remove_file(&file).unwrap();
    let tree = extra.over(environment, &Plain::read("provision: {}").unwrap()).unwrap();
    assert_eq!(tree.at(&["b"]), Some(&Plain::text("2")));
    let mut wanted = TopologyArgs::default();
    wanted.place.workspace = Some(directory.path().into());
    let loaded = wanted_leniently(environment, &wanted, &extra);
    assert!(!loaded.diags.has_errors(), "{:?}", loaded.diags);
    assert_eq!(loaded.vars, Plain::read("{a: 1, b: '2', override: {networks: {}}}").unwrap());
    assert!(loaded.request.extra.at(&["override", "networks"]).is_some());
}
