//! Completions in the shells themselves: lines are typed at a terminal, Tab is pressed, and the shell is asked what its line
//! is now. All three shells have the same lines.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What is typed, and what it becomes; the first part is the same for both.
const LINES: &[(&str, &str)] = &[
    // Verbs and flags.
    ("maquette stat", "us "),
    ("maquette virsh --stric", "t "),
    // Nodes, node types, groups; a prefix is known by what it opens.
    ("maquette stop db-", "0 "),
    ("maquette ssh web-1", " "),
    ("maquette ssh lab-d", "b-0 "),
    ("maquette stop --prefix other w", ""),
    ("maquette ssh --prefix=lab d", "b"),
    ("maquette cp db", "-0:"),
    ("maquette ssh root@db-", "0 "),
    ("maquette cp root@db", "-0:"),
    // Values of flags, in both forms.
    ("maquette status --prefix l", "ab "),
    ("maquette status --prefix=l", "ab "),
    ("maquette up --topology-network 11_n", "ets_3_bridges_hybrid "),
    ("maquette up --topology-network=11_n", "ets_3_bridges_hybrid "),
    ("maquette virsh --topology-network 11_n", "ets_3_bridges_hybrid "),
    ("maquette plan --image-url debian-13", " "),
    ("maquette up --topology-nodes patch", "er:"),
    ("maquette up --topology-nodes controller:1,patch", "er:"),
    ("maquette up --topology-nodes=controller:1,patch", "er:"),
    // The user's own files and node types.
    ("maquette up --topology-network myn", "et "),
    ("maquette virsh --topology-nodes controller:1,own", "type:"),
    ("maquette up --topology-nodes gate", "way:"),
    // Words of which an argument is one.
    ("maquette schema netw", "ork "),
    ("maquette init three", "-tiers "),
    ("maquette image build debian-13", " "),
    ("maquette up --accept=lose-", "disks "),
    // An interface by its network.
    ("maquette link down --project early.yaml --prefix early first-0 fro", "nt "),
    // Whose key goes: by its name, and by its fingerprint where it has none.
    ("maquette unshare bo", "b@laptop "),
    ("maquette unshare bob@l", "aptop "),
    ("maquette unshare SHA256:d", "BJHYpwVSEi+T0DEeW22p3xx0zetKDruU4zbaY2THyU "),
    // Before anything is built, nodes are those of the project file.
    ("maquette stop --project early.yaml --prefix early first-", "0 "),
];

/// A directory with a project file, a workspace, files of the user's own, and files that none of the names are.
fn prepare(here: &Path) {
    let file = |name: &str, text: &str| {
        std::fs::create_dir_all(here.join(name).parent().unwrap()).unwrap();
        std::fs::write(here.join(name), text).unwrap();
    };
    file("maquette.yaml", "prefix: lab\nnodes: {gateway: {memory: 1024}}\n");
    file("early.yaml", "networks: {front: , back: }\nnodes: {first: {count: 1, memory: 1024}}\n");
    file("topology/network/mynet.yml", "networks: {}\n");
    file(".config/maquette/topology/nodes/owntype.yml", "name: owntype\n");
    file("my.img", "");
    file("controls", "");
    let config = "Host lab-web-0\nHost lab-web-1\nHost lab-db-0\nHost lab-x$(touch${IFS}owned)-0\n";
    file(".local/share/maquette/workspaces/lab/ansible.ssh.config", config);
    let keys = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN794jTiQfZfG1KaT0PtFDJ/XFSqti bob@laptop\n\
                ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJM+rvN+ot98qgEN794jTiQfZfG1KaT0PtFDJ/XFSqti\n";
    file(".local/share/maquette/workspaces/lab/colleagues", keys);
}

/// What the lines become in a shell.
fn typed(shell: &str) -> Vec<String> {
    let here = tempfile::tempdir().unwrap();
    prepare(here.path());
    let program = Path::new(env!("CARGO_BIN_EXE_maquette"));
    let script = Command::new(program).args(["completions", shell]).output().unwrap();
    std::fs::write(here.path().join("names"), script.stdout).unwrap();
    let mut python = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/completions/press_tab.py"))
        .args([shell, "names"])
        .current_dir(here.path())
        .env_clear()
        .env("HOME", here.path())
        .env("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display()))
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = LINES.iter().map(|(line, _)| format!("{line}\n")).collect();
    python.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{shell}: {said}");
    assert!(!here.path().join("owned").exists(), "{shell} ran a name");
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

fn check(shell: &str) {
    let becomes = typed(shell);
    let wanted: Vec<String> = LINES.iter().map(|(line, rest)| format!("{line}{rest}")).collect();
    assert_eq!(becomes, wanted, "{shell}");
}

#[test]
fn bash_completes_what_is_typed() {
    check("bash");
}

#[test]
fn zsh_completes_what_is_typed() {
    check("zsh");
}

#[test]
fn fish_completes_what_is_typed() {
    check("fish");
}
