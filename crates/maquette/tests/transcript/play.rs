//! Plays a transcript: reads its lines, and rewrites it with what is printed now.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, Cursor, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use maquette::{Environment, Terminal, World};
use maquette_testkit::{Machine, Model, ModelHost, ModelHosts};

use crate::happening::Stage;

/// What is printed, each line with its sign; the last one may not be at its end.
#[derive(Default)]
struct Page {
    lines: Vec<(char, Vec<u8>)>,
    is_open: bool,
    interrupt: Option<Interrupt>,
}

/// Somebody who presses Ctrl-C once a line has some words in it: that ends the process, and the transcript with it.
struct Interrupt {
    words: String,
    played: fs::File,
}

impl Page {
    /// Whether it is time for Ctrl-C, which comes once. What is printed until then is written down, for nobody can do so later.
    fn is_interrupted(&mut self) -> bool {
        let is_last = |interrupt: &mut Interrupt| {
            let line = self.lines.last().filter(|_| !self.is_open);
            line.is_some_and(|(_, text)| String::from_utf8_lossy(text).contains(&interrupt.words))
        };
        let Some(mut interrupt) = self.interrupt.take_if(is_last) else { return false };
        for (sign, text) in self.lines.drain(..) {
            let text = String::from_utf8_lossy(&text).into_owned();
            writeln!(interrupt.played, "{}", format!("{sign} {text}").trim_end()).unwrap();
        }
        true
    }
}

/// One of both streams.
struct Stream {
    sign: char,
    page: Arc<Mutex<Page>>,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut page = self.page.lock().unwrap();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let goes_on = page.is_open && page.lines.last().is_some_and(|l| l.0 == self.sign);
            if !goes_on {
                page.lines.push((self.sign, Vec::new()));
            }
            page.is_open = !part.ends_with(b"\n");
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            page.lines.last_mut().unwrap().1.extend(text);
        }
        if page.is_interrupted() {
            signal_hook::low_level::raise(signal_hook::consts::SIGINT)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What somebody types, who takes his time: a file gets another name meanwhile.
struct Typed {
    text: Cursor<String>,
    meanwhile: Option<(String, String)>,
}

impl Read for Typed {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.fill_buf()?;
        self.text.read(into)
    }
}

impl BufRead for Typed {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if let Some((from, to)) = self.meanwhile.take() {
            fs::rename(from, to)?;
        }
        self.text.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.text.consume(amount);
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
    let mut stage = Stage {
        machine,
        host,
        typed: None,
        meanwhile: None,
        locks: Vec::new(),
        to_terminal: false,
        garbled: None,
        ctrl_c_at: None,
    };
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
        } else if line == "* the hypervisor is installed anew" {
            if let Some(key) = hosts.known.lock().unwrap().as_mut() {
                key.line = "hv ssh-ed25519 OLD".parse().unwrap();
            }
        } else if let Some(what) = line.strip_prefix("* ") {
            assert!(stage.happen(what), "nobody knows how: {what}");
        } else if let Some(command) = line.strip_prefix("$ ") {
            let (code, lines) = run(command, &mut stage, &hosts, &played);
            for (sign, line) in lines {
                writeln!(played, "{}", format!("{sign} {line}").trim_end()).unwrap();
            }
            if code != 0 {
                writeln!(played, "exit {code}").unwrap();
            }
        } else if let Some(command) = line.strip_prefix("% ") {
            let (code, lines) = run(command, &mut stage, &hosts, &played);
            assert_eq!(code, 0, "{command}: {lines:#?}");
        }
    }
    ExitCode::SUCCESS
}

/// Runs a command; its exit status, and what it printed.
fn run(
    command: &str,
    stage: &mut Stage,
    hosts: &Arc<ModelHosts>,
    played: &fs::File,
) -> (u8, Vec<(char, String)>) {
    let words = shlex::split(command).unwrap();
    let interrupt = stage.ctrl_c_at.take();
    let interrupt = interrupt.map(|words| Interrupt { words, played: played.try_clone().unwrap() });
    let page = Arc::new(Mutex::new(Page { interrupt, ..Page::default() }));
    let stream = |sign| Stream { sign, page: page.clone() };
    let code = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["maquette", ..] => {
            let meanwhile = stage.meanwhile.take();
            let typed = |text| Box::new(Typed { text: Cursor::new(text), meanwhile }) as _;
            let input = stage.typed.take().map(typed);
            let world = World {
                terminal: Arc::new(match stage.to_terminal {
                    true => Terminal::to(stream('|'), stream('!'), input).for_eyes(),
                    false => Terminal::to(stream('|'), stream('!'), input),
                }),
                environment: environment(stage.garbled.as_deref()),
                clock: || UNIX_EPOCH + Duration::from_secs(1_700_000_000),
                hosts: hosts.clone(),
                libvirt: Arc::new(Model::new(stage.machine.clone())),
            };
            maquette::run(&words, &world)
        }
        ["cat", file] => {
            let text = fs::read(home(file)).unwrap_or_else(|e| format!("{file}: {e}").into());
            stream('|').write_all(&text).unwrap();
            0
        }
        // What is in an archive: names, and lines with what should not be in any.
        ["tar", file] => {
            let archive = fs::File::open(home(file)).unwrap();
            let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                writeln!(stream('|'), "{}", entry.path().unwrap().display()).unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                let marks = ["CANARY", "PRIVATE KEY", "left out"];
                let bad = |line: &&str| marks.iter().any(|mark| line.contains(mark));
                text.lines().filter(bad).for_each(|l| writeln!(stream('|'), "  {l}").unwrap());
            }
            0
        }
        ["ls", directory] => {
            let mut names: Vec<String> = fs::read_dir(home(directory))
                .map(|all| all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
                .unwrap_or_default();
            names.sort();
            names.iter().for_each(|name| writeln!(stream('|'), "{name}").unwrap());
            0
        }
        ["mv", from, to] => {
            fs::rename(home(from), home(to)).unwrap();
            0
        }
        ["rm", files @ ..] => {
            files.iter().for_each(|file| fs::remove_file(home(file)).unwrap());
            0
        }
        _ => panic!("there is no such command here: {command}"),
    };
    // The thread that waits for signals keeps the first terminal.
    let lines = std::mem::take(&mut page.lock().unwrap().lines);
    let text = |line: Vec<u8>| String::from_utf8_lossy(&line).into_owned();
    (code, lines.into_iter().map(|(sign, line)| (sign, text(line))).collect())
}

/// The variables of this process, and one whose value is not text.
fn environment(garbled: Option<&str>) -> Environment {
    let Some(name) = garbled else { return Environment::of_process() };
    let variables = std::env::vars_os().chain([(name.into(), OsString::from_vec(vec![0xff]))]);
    Environment::new(variables, std::env::current_dir().unwrap())
}

/// `~/` is the user's home.
fn home(path: &str) -> std::path::PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => std::env::home_dir().unwrap().join(rest),
        None => path.into(),
    }
}
