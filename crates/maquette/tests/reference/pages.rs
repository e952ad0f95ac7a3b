//! The reference pages of `docs/src/reference`, made from the program's own tables and from what tests print. A page that
//! differs fails; `REFERENCE=write cargo test -p maquette --test settings` rewrites all of them.

#[path = "codes.rs"]
mod codes;
#[path = "commands.rs"]
mod commands;
#[path = "fits.rs"]
mod fits;
#[path = "json.rs"]
mod json;
#[path = "keys.rs"]
mod keys;
#[path = "links.rs"]
mod links;
#[path = "played.rs"]
pub mod played;
#[path = "project_file.rs"]
mod project_file;
#[path = "rows.rs"]
mod rows;
#[path = "session.rs"]
mod session;
#[path = "topologies.rs"]
mod topologies;
#[path = "tried.rs"]
mod tried;
#[path = "variables.rs"]
mod variables;
#[path = "verbs.rs"]
mod verbs;

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where the site's pages are.
fn pages() -> PathBuf {
    root().join("docs/src")
}

/// Compares a page below `docs/src` with what it should be, or writes it.
fn compare(page: &str, text: &str) {
    let path = pages().join(page);
    if std::env::var_os("REFERENCE").as_deref() == Some(OsStr::new("write")) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differ = written.lines().zip(text.lines()).find(|(a, b)| a != b);
    let at =
        differ.map_or_else(String::new, |(a, b)| format!("\n  it says:  {a}\n  it is:    {b}"));
    assert!(
        written == text,
        "docs/src/{page} is not what the program says{at}\n\
         `REFERENCE=write cargo test -p maquette --test settings` writes the reference anew"
    );
}

/// The first lines of a page.
fn begin(title: &str, text: &str) -> String {
    format!(
        "# {title}\n\n<!-- Made by crates/maquette/tests/reference: a change here is overwritten. -->\n\n{text}\n\n"
    )
}

/// A cell of a table.
fn cell(text: &str) -> String {
    // Help texts have `<` only in words such as `<NAME>`, which is no HTML.
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

/// A heading's table.
fn table(out: &mut String, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let _ = writeln!(out, "| {} |\n|{}", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out.push('\n');
}

/// All files with this ending below a directory, in order.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
    found
}
