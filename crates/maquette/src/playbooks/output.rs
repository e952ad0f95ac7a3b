//! Where what `ansible-playbook` prints goes: to the terminal, and into files of the workspace where InfraRed's variables
//! ask for that.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::syntax::{Plain, Sources, parse_bool};
use maquette_engine::private_file::write_private;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::failure::Failure;
use crate::signals::InterruptedChild;
use crate::workspace::Workspace;
use crate::world::{Environment, World};

/// What InfraRed calls its provisioner in names of files.
const PLUGIN: &str = "virsh";

/// What InfraRed's variables ask for.
#[derive(Debug, Clone, Default)]
pub struct Output {
    hides_stdout: bool,
    hides_stderr: bool,
    /// Directory of logs, if there are any; with their text as it is, and without colours.
    logs: Option<(PathBuf, bool, bool)>,
}

/// InfraRed's variables that are yes or no.
const VARIABLES: [&str; 6] = [LOG, PLAIN, NO_STDOUT, NO_STDERR, VARS, NO_EXTRAS];

const LOG: &str = "IR_ANSIBLE_LOG_OUTPUT";
const PLAIN: &str = "IR_ANSIBLE_LOG_OUTPUT_NO_ANSI";
const NO_STDOUT: &str = "IR_ANSIBLE_NO_STDOUT";
const NO_STDERR: &str = "IR_ANSIBLE_NO_STDERR";
const VARS: &str = "IR_GEN_VARS_JSON";
const NO_EXTRAS: &str = "IR_NO_EXTRAS";

/// One of them as Python's `strtobool` reads it.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "t" | "1" => Some(true),
        "n" | "f" | "0" | "" => Some(false),
        other => parse_bool(other),
    }
}

fn is_yes(environment: &Environment, name: &str) -> bool {
    environment.text(name).and_then(|text| truth(&text)) == Some(true)
}

/// Refuses one of them that says neither.
pub fn check(environment: &Environment) -> Result<(), Failure> {
    let mut diags = Diagnostics::default();
    for name in VARIABLES {
        let Some(text) = environment.text(name).filter(|text| truth(text).is_none()) else {
            continue;
        };
        let message = format!("{name} has to be yes or no, not `{text}`");
        diags.push(Diagnostic::error("environment::value", message));
    }
    if diags.has_errors() { Err(Failure::Input(diags, Sources::default())) } else { Ok(()) }
}

/// The time as it is in InfraRed's names of files: UTC, with microseconds.
fn timestamp(world: &World) -> String {
    let time = jiff::Timestamp::try_from((world.clock)()).unwrap_or_default();
    time.strftime("%Y-%m-%d_%H-%M-%S.%6f").to_string()
}

impl Output {
    /// What the variables say. The directories that they mean are made, also if nothing comes into them.
    pub fn of(environment: &Environment, workspace: &Workspace) -> io::Result<Self> {
        let yes = |name| is_yes(environment, name);
        let (log, plain) = (yes(LOG), yes(PLAIN));
        let directory = workspace.file("ansible_outputs");
        if log || plain {
            std::fs::create_dir_all(&directory)?;
        }
        Ok(Self {
            hides_stdout: yes(NO_STDOUT),
            hides_stderr: yes(NO_STDERR),
            logs: (log || plain).then_some((directory, log, plain)),
        })
    }

    /// Runs a program whose output goes there; none if a signal has ended it.
    pub fn run(&self, world: &World, command: &mut Command) -> io::Result<Option<ExitStatus>> {
        let shown = |hidden| if hidden { Stdio::null() } else { Stdio::inherit() };
        command.stdout(shown(self.hides_stdout)).stderr(shown(self.hides_stderr));
        let logs = self.open_logs(world)?;
        if logs.is_some() {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            if world.terminal.shows_results() {
                command.env("ANSIBLE_FORCE_COLOR", "1");
            }
        }
        let mut child = command.spawn()?;
        let told = InterruptedChild::with(&child);
        let Some((directory, logs)) = logs else {
            let status = child.wait()?;
            return Ok((!told.was()).then_some(status));
        };
        let ended = OnceLock::new();
        let stdout = child.stdout.take().map(|pipe| Ending { pipe, ended: &ended });
        let stderr = child.stderr.take().map(|pipe| Ending { pipe, ended: &ended });
        let (status, interrupted, copied) = std::thread::scope(|scope| {
            let errors = scope.spawn(|| {
                copy(stderr, &logs, Shown::Lines, |line| {
                    if !self.hides_stderr {
                        world.terminal.talk(String::from_utf8_lossy(line).trim_end());
                    }
                })
            });
            let output = scope.spawn(|| {
                copy(stdout, &logs, Shown::AtOnce, |bytes| {
                    if !self.hides_stdout {
                        world.terminal.bytes(bytes);
                    }
                })
            });
            let status = child.wait();
            let interrupted = told.was();
            // Its number may be another process's from now on.
            drop(told);
            ended.get_or_init(Instant::now);
            let copied = [output, errors].map(|copying| copying.join().unwrap_or(Ok(())));
            (status, interrupted, copied)
        });
        copied.into_iter().collect::<io::Result<()>>()?;
        let logs = logs.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(error) = logs.error {
            let what = format!("warning: the log in {} is not complete", directory.display());
            world.terminal.talk(&format!("{what}: {error}"));
        }
        Ok((!interrupted).then_some(status?))
    }

    /// The logs of a run that begins now, in their directory; none if nobody asked for any.
    fn open_logs(&self, world: &World) -> io::Result<Option<OpenLogs<'_>>> {
        let Some((directory, log, plain)) = &self.logs else { return Ok(None) };
        let name = format!("ir_{}_{PLUGIN}", timestamp(world));
        let file = |asked: bool, ending: &str| match asked {
            true => create(&directory.join(format!("{name}{ending}.log"))).map(Some),
            false => Ok(None),
        };
        let logs = Logs { whole: file(*log, "")?, plain: file(*plain, "_no_ansi")?, error: None };
        Ok(Some((directory, Mutex::new(logs))))
    }
}

fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // It may show what only its owner is to know.
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Logs of a run, with the directory that they are in.
type OpenLogs<'a> = (&'a Path, Mutex<Logs<File>>);

/// Logs of a run.
struct Logs<W> {
    whole: Option<W>,
    /// The one without colours.
    plain: Option<W>,
    /// Why one of them has ended before the run.
    error: Option<io::Error>,
}

impl<W: Write> Logs<W> {
    /// Writes a line. A log that cannot be written any more ends: what runs is in the middle of its work.
    fn line(&mut self, line: &[u8]) {
        let plain = self.plain.as_ref().map(|_| without_colours(line)).unwrap_or_default();
        for (log, text) in [(&mut self.whole, line), (&mut self.plain, plain.as_slice())] {
            if let Some(file) = log
                && let Err(error) = file.write_all(text)
            {
                *log = None;
                self.error = Some(error);
            }
        }
    }
}

/// How long what a program that has ended has left running may go on printing, while it does and while it does not.
const GOES_ON: Duration = Duration::from_secs(10);
const SILENT: Duration = Duration::from_secs(2);

/// The pipe of a program, which ends soon after the program: its workers may hold it for longer, and for ever.
struct Ending<'a, P> {
    pipe: P,
    /// When the program has ended.
    ended: &'a OnceLock<Instant>,
}

impl<P: Read + AsFd> Read for Ending<'_, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let silent = Instant::now();
        loop {
            let over = |ended: &Instant| {
                let quiet = ended.elapsed().min(silent.elapsed());
                ended.elapsed() >= GOES_ON || quiet >= SILENT
            };
            if self.ended.get().is_some_and(over) {
                return Ok(0);
            }
            let count = {
                let mut ready = [PollFd::new(&self.pipe, PollFlags::IN)];
                match poll(&mut ready, Some(&LOOK)) {
                    Err(Errno::INTR) => 0,
                    count => count?,
                }
            };
            if count > 0 {
                return self.pipe.read(buffer);
            }
        }
    }
}

/// How much is shown at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Lines,
    /// Whatever there is: a question has no end of line.
    AtOnce,
}

/// Copies what comes to who shows it, and its lines into the logs.
fn copy<W: Write>(
    from: Option<impl Read>,
    logs: &Mutex<Logs<W>>,
    shown: Shown,
    show: impl Fn(&[u8]),
) -> io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let (mut buffer, mut line) = ([0; 8192], Vec::new());
    let whole = |line: &mut Vec<u8>| {
        if shown == Shown::Lines {
            show(line);
        }
        logs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).line(line);
        line.clear();
    };
    loop {
        let bytes = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if shown == Shown::AtOnce {
            show(bytes);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend(piece);
            if line.ends_with(b"\n") {
                whole(&mut line);
            }
        }
    }
    if !line.is_empty() {
        whole(&mut line);
    }
    Ok(())
}

/// A line without what sets colours: `ESC [`, numbers, `m`.
fn without_colours(line: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.iter().position(|byte| *byte == 0x1b) {
        plain.extend(&rest[..at]);
        rest = &rest[at..];
        let is_number = |byte: &u8| byte.is_ascii_digit() || b";:".contains(byte);
        let numbers = rest.get(2..).unwrap_or_default();
        let count = numbers.iter().take_while(|byte| is_number(byte)).count();
        match rest.get(1) == Some(&b'[') && numbers.get(count) == Some(&b'm') {
            true => rest = &numbers[count + 1..],
            false => {
                plain.push(0x1b);
                rest = &rest[1..];
            }
        }
    }
    plain.extend(rest);
    plain
}

/// Writes the settings of a run into the workspace where `IR_GEN_VARS_JSON` asks for that, for their owner only.
pub fn keep_settings(world: &World, workspace: &Workspace, settings: &Plain) -> io::Result<()> {
    if !is_yes(&world.environment, VARS) {
        return Ok(());
    }
    let directory = workspace.file("ansible_vars");
    std::fs::create_dir_all(&directory)?;
    let text = serde_json::to_string_pretty(settings)?;
    write_private(
        &directory.join(format!("ir_{}_{PLUGIN}.json", timestamp(world))),
        text.as_bytes(),
    )
}

/// What InfraRed's playbooks know of the Python that runs them; none where `IR_NO_EXTRAS` says so, or where there is none.
pub fn python(environment: &Environment, program: &str) -> Option<serde_json::Value> {
    if is_yes(environment, NO_EXTRAS) {
        return None;
    }
    const ASK: &str = "import sys; print(sys.executable); print(*sys.version_info[:3])";
    let path = environment.raw("PATH").unwrap_or_default();
    let found = std::env::split_paths(path).map(|d| d.join(program)).find(|p| p.is_file());
    // Its first line names the Python that it runs with.
    let first = found.and_then(|file| {
        let mut line = String::new();
        BufReader::new(File::open(file).ok()?).take(512).read_line(&mut line).ok()?;
        Some(line.strip_prefix("#!")?.trim().to_string())
    });
    let own = first.filter(|python| python.contains("python") && !python.contains(' '));
    let said = Command::new(own.as_deref().unwrap_or("python3")).args(["-c", ASK]).output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (executable, version) = said.split_once('\n')?;
    let numbers: Vec<u32> = version.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [major, minor, micro] = numbers.as_slice() else { return None };
    Some(serde_json::json!({"python": {
        "executable": executable,
        "version": {
            "full": format!("{major}.{minor}.{micro}"), "major": major, "minor": minor, "micro": micro,
        },
    }}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_colours_has_the_text_alone() {
        assert_eq!(without_colours(b"\x1b[0;32mok: [a]\x1b[0m\n"), b"ok: [a]\n");
        for text in [b"plain \x1b".as_slice(), b"\x1b[Kok: [machine]\n", b"\x1b[1", b"\x1bm"] {
            assert_eq!(without_colours(text), text);
        }
    }

    /// `y`, `t` and `1` are yes to InfraRed, too, and it fails at what is neither yes nor no.
    #[test]
    fn variables_are_read_as_infrared_reads_them() {
        for text in ["y", "Y", "yes", "t", "T", "True", "on", "1"] {
            assert_eq!(truth(text), Some(true), "{text}");
        }
        for text in ["n", "No", "f", "FALSE", "off", "0", ""] {
            assert_eq!(truth(text), Some(false), "{text}");
        }
        for text in ["yess", "2", "maybe"] {
            assert_eq!(truth(text), None, "{text}");
        }
    }

    /// The disk is full.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Bytes as they come from a pipe, one piece at a time.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            buffer.write_all(self.0[0]).map(|()| self.0.remove(0).len())
        }
    }

    /// `up` waited for as long as anything that a playbook had started held the pipe.
    #[test]
    fn what_a_program_has_left_running_holds_up_nobody_for_long() {
        let mut child = Command::new("sh")
            .args(["-c", "echo said; sleep 60 >&1 & echo $!"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (ended, begun) = (OnceLock::new(), Instant::now());
        let pipe = Ending { pipe: child.stdout.take().unwrap(), ended: &ended };
        let text = std::thread::scope(|scope| {
            let reading = scope.spawn(|| io::read_to_string(pipe).unwrap());
            child.wait().unwrap();
            ended.get_or_init(Instant::now);
            reading.join().unwrap()
        });
        assert!(text.starts_with("said\n") && begun.elapsed() < Duration::from_secs(20), "{text}");
        let pid = text.lines().nth(1).unwrap();
        Command::new("kill").arg(pid).status().unwrap();
    }

    #[test]
    fn a_question_is_shown_before_its_line_ends_and_a_full_disk_ends_a_log_alone() {
        let pieces = || Some(Pieces(vec![b"name? ", b"\n\x1b[0mok\nend"]));
        let shown = std::cell::RefCell::new(Vec::new());
        let show = |bytes: &[u8]| shown.borrow_mut().push(bytes.to_vec());
        let mut log = Vec::new();
        let logs = Mutex::new(Logs { whole: None, plain: Some(&mut log), error: None });
        copy(pieces(), &logs, Shown::AtOnce, show).unwrap();
        assert_eq!(shown.take(), [b"name? ".to_vec(), b"\n\x1b[0mok\nend".to_vec()]);
        assert_eq!(log, b"name? \nok\nend");
        let logs = Mutex::new(Logs { whole: Some(Full), plain: None, error: None });
        copy(pieces(), &logs, Shown::Lines, show).unwrap();
        assert_eq!(shown.take().concat(), b"name? \n\x1b[0mok\nend");
        let error = logs.into_inner().unwrap().error.unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
