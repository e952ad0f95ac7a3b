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
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Programs that tell of one NIC with a default route, and of no other networks, no ports and no leases, whatever this machine
/// has.
const NOTHING: [(&str, &str); 4] = [
    ("ip", ""),
    ("ss", ""),
    ("cat", "case \"$*\" in
*/proc/net/route) printf 'Iface\\neth0\\t00000000\\t010200C0\\t0003\\t0\\t0\\t100\\t00000000\\t0\\t0\\t0\\n' && exit ;;
*/proc/net/dev) printf '\\neth0: 1 1\\n' && exit ;;
esac
exec /bin/cat \"$@\"
"),
    ("head", "case \"$*\" in */dnsmasq/*) exit 0 ;; esac\nexec /usr/bin/head \"$@\"\n"),
];

/// What the program prints on standard output, in a directory that has nothing. The machine it runs on has no networks for
/// it: free subnets, addresses, ports and NICs are the same everywhere.
fn said(words: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let bin = tempfile::tempdir().unwrap();
    for (name, text) in NOTHING {
        let file = bin.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_maquette"))
        .args(words)
        .current_dir(home.path())
        .env_clear()
        .env("PATH", format!("{}:/usr/sbin:/usr/bin:/bin", bin.path().display()))
        .env("HOME", home.path())
        .env("MAQUETTE_LIBVIRT_URI", "test:///default")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
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
