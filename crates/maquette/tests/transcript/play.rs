//! Plays a transcript: reads its lines, and writes it anew with what is printed now.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use maquette::{Terminal, World};
use maquette_testkit::{Machine, Model, ModelHost, ModelHosts};

use crate::happening::Stage;

/// What is printed, each line with its sign.
type Lines = Arc<Mutex<Vec<(char, String)>>>;

/// One of both streams.
struct Stream {
    sign: char,
    lines: Lines,
    begun: Vec<u8>,
}

impl Stream {
    fn new(sign: char, lines: &Lines) -> Self {
        Self { sign, lines: lines.clone(), begun: Vec::new() }
    }

    fn end(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned();
        self.lines.lock().unwrap().push((self.sign, line));
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for byte in bytes {
            match byte {
                b'\n' => self.end(),
                other => self.begun.push(*other),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.begun.is_empty() {
            self.end();
        }
    }
}

/// Writes a transcript into `played` below `top`, line by line.
pub fn play(file: &Path, top: &Path) -> ExitCode {
    let text = fs::read_to_string(file).unwrap();
    let mut played = fs::File::create(top.join("played")).unwrap();
    let fresh = text.lines().any(|line| line == "on: fresh");
    let machine = if fresh { Machine::fresh() } else { Machine::prepared() };
    let machine = Arc::new(Mutex::new(machine));
    let host = ModelHost::new(&top.join("hv"), machine.clone());
    let hosts = Arc::new(ModelHosts { host: host.clone(), known: Mutex::new(None) });
    let mut stage = Stage { machine, host, typed: None, locks: Vec::new() };
    let mut writing: Option<fs::File> = None;
    for line in text.lines() {
        if line.starts_with(['|', '!']) || line.starts_with("exit ") {
            continue;
        }
        writeln!(played, "{line}").unwrap();
        match (line.strip_prefix("    "), &mut writing) {
            (Some(line), Some(file)) => {
                writeln!(file, "{line}").unwrap();
                continue;
            }
            _ => writing = None,
        }
        if let Some(name) = line.strip_prefix("file ") {
            if let Some(directory) = Path::new(name).parent() {
                fs::create_dir_all(directory).unwrap();
            }
            writing = Some(fs::File::create(name).unwrap());
        } else if let Some(what) = line.strip_prefix("* ") {
            assert!(stage.happen(what), "nobody knows how: {what}");
        } else if let Some(command) = line.strip_prefix("$ ") {
            let (code, lines) = run(command, &mut stage, &hosts);
            for (sign, line) in lines {
                writeln!(played, "{}", format!("{sign} {line}").trim_end()).unwrap();
            }
            if code != 0 {
                writeln!(played, "exit {code}").unwrap();
            }
        } else if let Some(command) = line.strip_prefix("% ") {
            let (code, lines) = run(command, &mut stage, &hosts);
            assert_eq!(code, 0, "{command}: {lines:#?}");
        }
    }
    ExitCode::SUCCESS
}

fn run(command: &str, stage: &mut Stage, hosts: &Arc<ModelHosts>) -> (u8, Vec<(char, String)>) {
    let words = shlex::split(command).unwrap();
    let lines = Lines::default();
    let code = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["maquette", ..] => {
            let input = stage.typed.take().map(|text| Box::new(Cursor::new(text)) as _);
            let terminal = Terminal::to(Stream::new('|', &lines), Stream::new('!', &lines), input);
            let world = World {
                terminal: Arc::new(terminal),
                hosts: hosts.clone(),
                libvirt: Arc::new(Model::new(stage.machine.clone())),
            };
            maquette::run(&words, &world)
        }
        ["cat", file] => {
            let text = fs::read_to_string(home(file)).unwrap_or_else(|e| format!("{file}: {e}"));
            lines.lock().unwrap().extend(text.lines().map(|line| ('|', line.to_string())));
            0
        }
        ["ls", directory] => {
            let mut names: Vec<String> = fs::read_dir(home(directory))
                .map(|all| all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
                .unwrap_or_default();
            names.sort();
            lines.lock().unwrap().extend(names.into_iter().map(|name| ('|', name)));
            0
        }
        ["rm", files @ ..] => {
            files.iter().for_each(|file| fs::remove_file(home(file)).unwrap());
            0
        }
        _ => panic!("there is no such command here: {command}"),
    };
    // The thread that waits for signals keeps the first terminal.
    let lines = std::mem::take(&mut *lines.lock().unwrap());
    (code, lines)
}

/// `~/` is the user's home.
fn home(path: &str) -> std::path::PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => std::env::home_dir().unwrap().join(rest),
        None => path.into(),
    }
}
