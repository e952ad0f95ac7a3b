//! The page of the project file: what it says of the file is so, and its table has each key that may stand there.

use std::fs;
use std::process::Command;

use maquette_core::explain::{Topic, topics};
use maquette_core::schema::{self, File};
use serde_json::Value;

use super::played::run;
use super::{cell, compare, files, pages, root, table};

const PAGE: &str = "reference/project-file.md";

/// Where the part begins that is made of the program's tables.
const KEYS: &str = "## Every key\n\n";

/// What `maquette validate --json` says of a project file.
fn validated(text: &str) -> Value {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("maquette.yaml"), text).unwrap();
    // A page has a file of cloud-config beside it.
    fs::write(here.path().join("db.cfg"), "#cloud-config\nntp: {servers: [192.0.2.1]}\n").unwrap();
    let file = here.path().join("maquette.yaml");
    let words = ["validate", "--json", "--project", file.to_str().unwrap()];
    let ended = run(&words, here.path());
    serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {}{}", ended.out, ended.err))
}

/// The codes of what is wrong with it.
fn codes(text: &str) -> Vec<String> {
    let said = validated(text);
    let all = said["diagnostics"].as_array().unwrap();
    all.iter().map(|one| one["code"].as_str().unwrap().to_string()).collect()
}

/// Keys of the project file, outside the node types and networks that it describes.
fn outside() -> Vec<Topic> {
    let below =
        |topic: &Topic| ["nodes.NAME", "networks.NAME"].iter().any(|at| topic.path.starts_with(at));
    topics().into_iter().filter(|topic| !topic.path.starts_with('-') && !below(topic)).collect()
}

#[test]
fn the_page_of_the_project_file_has_every_key_of_it() {
    let page = fs::read_to_string(pages().join(PAGE)).unwrap();
    let (by_hand, _) = page.split_once(KEYS).expect("the heading of the table");
    let mut out = format!(
        "{by_hand}{KEYS}<!-- Made by crates/maquette/tests/reference: a change below is overwritten. -->\n\n"
    );
    let row = |topic: &Topic| {
        let default = topic.default.iter().map(|d| format!(" [default: {d}]"));
        let doc = format!("{}{}", topic.doc, default.collect::<String>());
        vec![format!("`{}`", topic.path), cell(&topic.kind), cell(&doc)]
    };
    table(&mut out, &["key", "form", "what it is"], outside().iter().map(row));
    compare(PAGE, &format!("{}\n", out.trim_end()));
}

/// What the keys below `hypervisor` are, which may be left empty.
fn hypervisor(says: &Value) -> Option<&serde_json::Map<String, Value>> {
    let all = says["anyOf"].as_array().into_iter().flatten().chain([says]);
    all.filter_map(|one| one["properties"].as_object()).next()
}

/// The table has the keys that the schema has, and no others; the program takes each as its example has it.
#[test]
fn every_key_of_the_page_is_taken() {
    let schema = serde_json::to_value(schema::schema(File::Project)).unwrap();
    let mut of_schema = Vec::new();
    for (key, says) in schema["properties"].as_object().unwrap() {
        match hypervisor(says).filter(|_| key == "hypervisor") {
            Some(below) => of_schema.extend(below.keys().map(|name| format!("{key}.{name}"))),
            None => of_schema.push(key.clone()),
        }
    }
    let mut of_page: Vec<String> = outside().into_iter().map(|topic| topic.path).collect();
    of_page.sort();
    of_schema.sort();
    assert_eq!(of_page, of_schema);
    for Topic { path, example, .. } in outside() {
        let codes = codes(&example);
        assert!(!codes.iter().any(|code| code.ends_with("::unknown-key")), "{path}: {codes:?}");
    }
    // It would say so of others, also where there is more to be said.
    for unknown in ["ownr: ann\n", "hypervisor: {port: 22}\n"] {
        assert!(codes(unknown).iter().any(|code| code == "project::unknown-key"), "{unknown}");
    }
}

/// The example of the page, and what it says of YAML.
/// Readers copy them.
#[test]
fn project_files_of_pages_are_whole() {
    let reference = pages().join("reference");
    let mut all = files(&pages(), "md");
    all.retain(|page| !page.starts_with(&reference));
    all.push(root().join("README.md"));
    let mut seen = 0;
    for page in all {
        let text = fs::read_to_string(&page).unwrap();
        let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        for block in blocks.filter(|block| block.lines().any(|line| line.starts_with("nodes:"))) {
            // An image that is built beside it is not there.
            let block = block.replace("image: ./own.qcow2", "image: debian-12");
            assert_eq!(codes(&block), [""; 0], "{}:\n{block}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn what_the_page_says_of_the_project_file_is_so() {
    let page = fs::read_to_string(pages().join(PAGE)).unwrap();
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let example = rest.split("```").next().unwrap();
    assert_eq!(validated(example)["valid"], true, "{}", validated(example));

    let merged =
        "image: debian-12\nx-small: &small {memory: 768}\nnodes: {web: {<<: *small}, db: *small}\n";
    assert_eq!(validated(merged)["nodes"], 2, "{}", validated(merged));
    for wrong in ["prefix: a\nprefix: b\n", "nodes: {web: {}}\n---\nnodes: {db: {}}\n"] {
        assert_eq!(validated(wrong)["valid"], false, "{wrong}");
    }
    // A word for truth where one is wanted, and a text where that is.
    let words =
        "prefix: no\nimage: debian-12\nhypervisor: {validate: no}\nnodes: {web: {deploy_os: no}}\n";
    assert_eq!(validated(words)["valid"], true, "{}", validated(words));

    let empty = tempfile::tempdir().unwrap();
    for verb in ["plan", "up"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maquette"));
        let command = command.arg(verb).current_dir(empty.path()).env_clear();
        let said = command.env("HOME", empty.path()).output().unwrap();
        assert_eq!(said.status.code(), Some(2), "{said:?}");
    }
}
