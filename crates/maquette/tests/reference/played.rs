//! The program in this process, on a hypervisor that is a model: to start it takes several times as long as what it does here, and
//! what this machine has is not in what it prints.

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use maquette::{Environment, Terminal, World};
use maquette_testkit::{Machine, Model, ModelHost, ModelHosts};

/// How a command ended.
pub struct Ended {
    pub code: u8,
    pub out: String,
    pub err: String,
}

/// One of both streams.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<Vec<u8>>>);

impl Stream {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether a variable is one that the program reads as its own.
fn is_ours(name: &OsStr) -> bool {
    ["MAQUETTE_", "IR_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix))
}

/// That of somebody who has set nothing: whatever is set here is empty there, which clap minds, too.
fn environment(home: &Path) -> Environment {
    let ours = std::env::vars_os().filter(|(name, _)| is_ours(name));
    let empty = ours.map(|(name, _)| (name, OsString::new()));
    Environment::new(empty.chain([(OsString::from("HOME"), OsString::from(home))]), home)
}

/// Runs a command of somebody with this home. The current directory stays that of this process.
pub fn run(words: &[&str], home: &Path) -> Ended {
    let (out, err) = (Stream::default(), Stream::default());
    let machine = Arc::new(Mutex::new(Machine::prepared()));
    let host = ModelHost::new(&home.join("hypervisor"), machine.clone());
    let world = World {
        terminal: Arc::new(Terminal::to(out.clone(), err.clone(), None)),
        environment: environment(home),
        clock: || UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        hosts: Arc::new(ModelHosts { host, known: Mutex::new(None) }),
        libvirt: Arc::new(Model::new(machine)),
    };
    let words = std::iter::once("maquette").chain(words.iter().copied());
    let code = maquette::run(words, &world);
    Ended { code, out: out.text(), err: err.text() }
}

/// What a command prints on standard output for somebody who has nothing; it has to end with 0.
pub fn said(words: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let ended = run(words, home.path());
    assert_eq!(ended.code, 0, "{words:?}: {}", ended.err);
    ended.out
}

/// Whether clap finds nothing here that help would look otherwise with: the width of a terminal, values of variables.
fn is_bare() -> bool {
    let is_terminal = std::io::stdin().is_terminal()
        || std::io::stdout().is_terminal()
        || std::io::stderr().is_terminal();
    let shows = |name: &OsStr| {
        name == "COLUMNS" || is_ours(name) && !name.to_string_lossy().starts_with("MAQUETTE_TEST_")
    };
    !is_terminal && !std::env::vars_os().any(|(name, _)| shows(&name))
}

/// The same of a help. Where clap finds something, the program is started, without it.
pub fn help(words: &[&str]) -> String {
    if is_bare() {
        return said(words);
    }
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_maquette"))
        .args(words)
        .current_dir(home.path())
        .env_clear()
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
