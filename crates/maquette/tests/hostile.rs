//! Every setting that a flag, a variable or the project file gives, with values that the files it ends in
//! would obey: all of them end with status 2, and nothing is written.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use maquette::{Terminal, World};

/// What a shell, ssh, Ansible, YAML or a terminal would obey, and what is nothing at all.
const HOSTILE: [&str; 10] = [
    "x\nMatch exec \"id\"",
    "x\ry",
    "x\u{1b}]0;y\u{7}",
    "{{ lookup('pipe', 'id') }}",
    "{% if x %}",
    "{# x #}",
    "x\u{202e}y",
    "a'b\"c",
    "$(id) `id`",
    "",
];

/// A program without anything of the user's in its environment.
fn alone(program: impl AsRef<std::ffi::OsStr>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory.join("home"))
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("MAQUETTE_LIBVIRT_URI", "test:///default");
    command
}

fn maquette(directory: &Path, arguments: &[&str]) -> Output {
    alone(env!("CARGO_BIN_EXE_maquette"), directory).args(arguments).output().unwrap()
}

/// How a command line has to end that is refused.
fn judge(directory: &Path, code: Option<i32>, said: &str, what: &str) {
    assert_eq!(code, Some(2), "{what}: {said}");
    let raw = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!said.contains(raw) && !said.contains('\u{202e}'), "{what}: {said:?}");
    assert!(!directory.join("home").exists(), "{what}");
}

fn refused(directory: &Path, arguments: &[&str], what: &str) {
    let output = maquette(directory, arguments);
    judge(directory, output.status.code(), &String::from_utf8_lossy(&output.stderr), what);
}

/// What is said on standard error.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const FLAGS: [&str; 15] = [
    "--topology-username",
    "--topology-timezone",
    "--host-user",
    "--host-address",
    "--prefix",
    "--pool-name",
    "--topology-nodes",
    "--topology-network",
    "--host-network-mtu-size",
    "--host-mtu-size",
    "--net_subnet",
    "--data_subnet",
    "--disk-bus",
    "--bootmode",
    "--virt-type",
];

/// Those of them that an empty value takes back.
const TAKEN_BACK: [&str; 5] =
    ["--topology-timezone", "--host-mtu-size", "--disk-bus", "--bootmode", "--virt-type"];

/// Runs a command line that is refused, in this process: starting one takes longer than what is tried here.
fn refused_here(directory: &Path, arguments: &[&str], what: &str) {
    let said = Said::default();
    let terminal = Arc::new(Terminal::to(std::io::sink(), said.clone(), None));
    let words = std::iter::once("maquette").chain(arguments.iter().copied());
    let code = maquette::run(words, &World { terminal, ..World::of_process() });
    let said = String::from_utf8_lossy(&said.0.lock().unwrap()).into_owned();
    judge(directory, Some(code.into()), &said, what);
}

/// Tries one of these in a process with an environment and a directory of its own.
fn inside(which: &str, said: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut inside = alone(std::env::current_exe().unwrap(), directory.path());
    inside.args(["--exact", which, "--ignored", "--nocapture"]).env("TEST_INSIDE", "1");
    let output = inside.output().unwrap();
    let all = [output.stdout, output.stderr].concat();
    let all = String::from_utf8_lossy(&all);
    assert!(output.status.success() && all.contains(said), "{all}");
}

/// The directory of a test that was started by another one.
fn inside_of() -> Option<std::path::PathBuf> {
    std::env::var_os("TEST_INSIDE").map(|_| std::env::current_dir().unwrap())
}

/// Not a test of its own: what the next one starts.
#[test]
#[ignore = "started by another test"]
fn flags() {
    let Some(directory) = inside_of() else { return };
    for flag in FLAGS {
        for value in HOSTILE {
            // An empty one takes back what a file says; so it is not given.
            if value.is_empty() && TAKEN_BACK.contains(&flag) {
                continue;
            }
            // Without an address there is no user to log in as.
            let address = (flag == "--host-user").then_some("--host-address=192.0.2.1");
            let given = format!("{flag}={value}");
            let mut arguments = vec!["plan", "--topology-nodes=controller:1", given.as_str()];
            if flag == "--topology-nodes" {
                arguments.remove(1);
            }
            arguments.extend(address);
            refused_here(&directory, &arguments, &format!("{flag}={value:?}"));
        }
    }
    println!("{} command lines are refused", FLAGS.len() * HOSTILE.len() - TAKEN_BACK.len());
}

/// Flags were words of the ssh config and of a ProxyCommand.
#[test]
fn no_flag_takes_what_a_file_of_ours_would_obey() {
    inside("flags", "145 command lines are refused");
    // One of them by the program itself.
    let directory = tempfile::tempdir().unwrap();
    refused(directory.path(), &["plan", "--prefix=x\ry"], "the program");
}

/// `machine$@h` is `machineh` to every shell: another host, in the ProxyCommand that leads to nodes.
#[test]
fn no_login_of_the_hypervisor_ends_in_what_a_shell_reads_as_a_variable() {
    let directory = tempfile::tempdir().unwrap();
    let login = [
        "plan",
        "--topology-nodes=controller:1",
        "--host-address=192.0.2.1",
        "--host-user=machine$",
    ];
    refused(directory.path(), &login, "machine$");
}

/// What is not text, or not what a reader of ours takes as text.
const RAW: [&[u8]; 9] = [
    b"red\xe9",
    b"\xff\xfe",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf0\x28\x8c\x28",
    b"x\0y",
    b"x\x1b]52;c;aWQ=\x07",
    b"x\x7fy",
];

/// Not a test of its own: what the next one starts.
#[test]
#[ignore = "started by another test"]
fn files() {
    let Some(directory) = inside_of() else { return };
    let mut tried = 0;
    let place = |name: &str| directory.join(name);
    let node = "name: web\ncpu: 1\nmemory: 64\nos: {variant: VALUE}\ndisks: {disk1: {size: 9G}}\n";
    let network = "l3appliance_config: {a: VALUE}\nnetworks:\n  net1:\n    name: a\n    forward: nat\n    \
                   ip_address: 10.9.0.1\n    netmask: 255.255.255.0\n";
    let plan = ["plan", "--virt-type=test"];
    let nodes = "--topology-nodes=controller:1";
    let files: [(&str, &str, &[&str]); 5] = [
        ("web.yml", node, &["--topology-nodes=web.yml:1"]),
        ("lan.yml", network, &[nodes, "--topology-network=lan.yml"]),
        ("maquette.yaml", "nodes: controller:1\nprefix: VALUE\n", &[]),
        ("extra.yml", "a: VALUE\n", &[nodes, "-e", "@extra.yml"]),
        ("vnc", "VALUE\n", &[nodes, "--vnc-password=@vnc"]),
    ];
    for (name, text, arguments) in files {
        // As a value, in a comment, and before everything else.
        for around in ["\"RAW\"", "a # RAW", "RAW"] {
            for raw in RAW {
                let at = text.find("VALUE").unwrap();
                let (before, after) = (&text[..at], &text[at + "VALUE".len()..]);
                let (left, right) = around.split_once("RAW").unwrap();
                let all =
                    [before.as_bytes(), left.as_bytes(), raw, right.as_bytes(), after.as_bytes()];
                let is_text = std::str::from_utf8(raw).is_ok();
                let strangers = ["web.yml", "lan.yml", "maquette.yaml"].contains(&name);
                // Nobody reads a comment, and what is text one may say to one's own playbooks.
                if is_text && (!strangers || around.contains('#')) {
                    continue;
                }
                std::fs::write(place(name), all.concat()).unwrap();
                let arguments: Vec<&str> = plan.iter().chain(arguments).copied().collect();
                refused_here(&directory, &arguments, &format!("{name}: {around} {raw:?}"));
                tried += 1;
            }
        }
        std::fs::remove_file(place(name)).unwrap();
    }
    println!("{tried} files are refused");
}

/// Bytes reach no file of ours, terminal or playbook that are not text, wherever they stand in
/// a file.
#[test]
fn no_file_takes_bytes_that_are_not_text() {
    inside("files", "108 files are refused");
}

/// 4294967300 bytes became 4, and in the project file nothing at all.
#[test]
fn sizes_that_do_not_fit_are_mistakes() {
    let directory = tempfile::tempdir().unwrap();
    for text in ["mtu: 4294967300", "hypervisor: {mtu: 4294967300}", "mtu: 67"] {
        let file = directory.path().join("maquette.yaml");
        std::fs::write(&file, format!("nodes: controller:1\n{text}\n")).unwrap();
        refused(directory.path(), &["plan"], text);
    }
}

/// The stack overflowed, and the program was aborted.
#[test]
fn a_file_that_nests_without_end_ends_with_status_2() {
    let directory = tempfile::tempdir().unwrap();
    let deep = format!("networks: {}{}", "[".repeat(20_000), "]".repeat(20_000));
    std::fs::write(directory.path().join("deep.yml"), deep).unwrap();
    let arguments = ["plan", "--topology-nodes=controller:1", "--topology-network=deep.yml"];
    refused(directory.path(), &arguments, "deep.yml");
}
