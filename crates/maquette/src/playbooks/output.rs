//! Where what `ansible-playbook` prints goes: to the terminal, and into files of the workspace where InfraRed's variables
//! ask for that.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;

use maquette_core::syntax::{Plain, parse_bool};
use maquette_engine::private_file::write_private;

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

/// One of InfraRed's variables that are yes or no.
fn is_yes(environment: &Environment, name: &str) -> bool {
    environment.text(name).is_some_and(|text| parse_bool(&text) == Some(true) || text == "1")
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
        let (log, plain) = (yes("IR_ANSIBLE_LOG_OUTPUT"), yes("IR_ANSIBLE_LOG_OUTPUT_NO_ANSI"));
        let directory = workspace.file("ansible_outputs");
        if log || plain {
            std::fs::create_dir_all(&directory)?;
        }
        Ok(Self {
            hides_stdout: yes("IR_ANSIBLE_NO_STDOUT"),
            hides_stderr: yes("IR_ANSIBLE_NO_STDERR"),
            logs: (log || plain).then_some((directory, log, plain)),
        })
    }

    /// Runs a program whose output goes there.
    pub fn run(&self, world: &World, command: &mut Command) -> io::Result<ExitStatus> {
        let shown = |hidden| if hidden { Stdio::null() } else { Stdio::inherit() };
        let Some((directory, log, plain)) = &self.logs else {
            return command
                .stdout(shown(self.hides_stdout))
                .stderr(shown(self.hides_stderr))
                .status();
        };
        let name = format!("ir_{}_{PLUGIN}", timestamp(world));
        let file = |asked: bool, ending: &str| match asked {
            true => create(&directory.join(format!("{name}{ending}.log"))).map(Some),
            false => Ok(None),
        };
        let logs = Mutex::new((file(*log, "")?, file(*plain, "_no_ansi")?));
        if world.terminal.shows_results() {
            command.env("ANSIBLE_FORCE_COLOR", "1");
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        std::thread::scope(|scope| {
            let errors = scope.spawn(|| {
                copy(stderr, &logs, |line| {
                    if !self.hides_stderr {
                        world.terminal.talk(String::from_utf8_lossy(line).trim_end());
                    }
                })
            });
            let copied = copy(stdout, &logs, |line| {
                if !self.hides_stdout {
                    world.terminal.bytes(line);
                }
            });
            copied.and(errors.join().unwrap_or(Ok(())))
        })?;
        child.wait()
    }
}

fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // It may show what only its owner is to know.
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Copies lines into the logs and to who shows them.
fn copy(
    from: Option<impl Read>,
    logs: &Mutex<(Option<File>, Option<File>)>,
    show: impl Fn(&[u8]),
) -> io::Result<()> {
    let Some(from) = from else { return Ok(()) };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        show(&line);
        let mut logs = logs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(log) = &mut logs.0 {
            log.write_all(&line)?;
        }
        if let Some(log) = &mut logs.1 {
            log.write_all(&without_colours(&line))?;
        }
        line.clear();
    }
    Ok(())
}

/// A line without what sets colours: `ESC … m`.
fn without_colours(line: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.iter().position(|byte| *byte == 0x1b) {
        plain.extend(&rest[..at]);
        match rest[at..].iter().position(|byte| *byte == b'm') {
            Some(end) => rest = &rest[at + end + 1..],
            None => rest = &rest[at + 1..],
        }
    }
    plain.extend(rest);
    plain
}

/// Writes the settings of a run into the workspace where `IR_GEN_VARS_JSON` asks for that, for their owner only.
pub fn keep_settings(world: &World, workspace: &Workspace, settings: &Plain) -> io::Result<()> {
    if !is_yes(&world.environment, "IR_GEN_VARS_JSON") {
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
    if is_yes(environment, "IR_NO_EXTRAS") {
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
        assert_eq!(without_colours(b"plain \x1b"), b"plain ");
    }
}
