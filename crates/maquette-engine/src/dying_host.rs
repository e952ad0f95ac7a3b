//! A host that dies: what runs there is killed, with all that it has started, before the k-th program that it
//! calls, and nothing is asked of it after that.
//!
//! Scripts are the real ones, as another machine gets them. Programs come from a directory that is first on
//! the path, in which each counts before it does what it is for; or they are functions of the script's shell, which
//! takes half as many processes.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::host::{Command, Host, HostError, Local, Output};

/// Counts without starting a process, since it stands before each.
const COUNT: &str = r#"count() {
if [ -n "${KILLED_HOME-}" ]; then
    printf . >>"$KILLED_HOME/count"
    IFS= read -r killed_all <"$KILLED_HOME/count" || :
    # One dies, with its group; what has a group of its own lives on.
    if [ "${#killed_all}" -ge "$KILLED_AT" ] && (set -C && : >"$KILLED_HOME/dead") 2>/dev/null; then
        kill -9 0
    fi
fi
}
"#;

/// The programs that scripts call, each with its count.
pub(crate) struct Programs {
    directory: tempfile::TempDir,
    /// What stands before a script, so that its shell has them as functions; empty if it has not.
    functions: String,
}

impl Programs {
    /// Programs of this machine; those that it lacks are left out.
    pub(crate) fn new(names: &[&str]) -> Self {
        let programs = Self { directory: tempfile::tempdir().unwrap(), functions: String::new() };
        for (name, real) in of_this_machine(names) {
            programs.add(name, &format!("exec {} \"$@\"\n", real.display()));
        }
        programs
    }

    /// The same, and those that a script itself calls are functions of its shell. Not for scripts that run one in
    /// the background and end it: they would end a shell.
    pub(crate) fn as_functions(names: &[&str]) -> Self {
        let function = |(name, real): (&str, PathBuf)| {
            format!("{name}() {{ count; {} \"$@\"; }}\n", real.display())
        };
        let functions: String = of_this_machine(names).map(function).collect();
        Self { functions: format!("{COUNT}{functions}"), ..Self::new(names) }
    }

    /// The same, and a script notes in a file which processes it ends: one that was told to end may be there for a
    /// moment more, while what told it is dead already.
    #[cfg(feature = "e2e")]
    pub(crate) fn noting_ends(mut self, file: &str) -> Self {
        let note = format!(
            "kill() {{\ncase $1 in -*) ;; *) echo \"$1\" >>{file} ;; esac\ncommand kill \"$@\"\n}}\n"
        );
        self.functions.push_str(&note);
        self
    }

    /// One that does something else. `count` in its text is a further point.
    pub(crate) fn add(&self, name: &str, text: &str) {
        self.quiet(name, &format!("count\n{text}"));
    }

    /// One that is a point only where its text says `count`.
    pub(crate) fn quiet(&self, name: &str, text: &str) {
        let file = self.directory.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{COUNT}{text}")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Where they are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

fn of_this_machine<'a>(names: &'a [&'a str]) -> impl Iterator<Item = (&'a str, PathBuf)> {
    let path = std::env::var("PATH").unwrap_or_default();
    names.iter().filter_map(move |name| {
        let places = path.split(':').chain(["/usr/sbin", "/sbin"]);
        let mut files = places.map(|place| Path::new(place).join(name));
        Some((*name, files.find(|file| file.is_file())?))
    })
}

/// A host that dies at its `at`-th call, or not at all.
pub(crate) struct Dying<'a> {
    programs: &'a Programs,
    home: tempfile::TempDir,
    at: usize,
}

impl<'a> Dying<'a> {
    pub(crate) fn new(programs: &'a Programs, at: Option<usize>) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { programs, home, at: at.unwrap_or(usize::MAX >> 1) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// How many programs were called.
    pub(crate) fn calls(&self) -> usize {
        std::fs::read(self.file("count")).map_or(0, |all| all.len())
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.file("dead").exists()
    }

    fn alive(&self) -> Result<(), HostError> {
        if self.is_dead() {
            return Err(HostError::Lost { address: "a host that died".into() });
        }
        Ok(())
    }

    fn dying(&self, command: &Command) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}:/usr/sbin:/sbin", self.programs.directory().display());
        let home = self.home.path().display().to_string();
        let mut command = command.clone().env("PATH", &path).env("KILLED_HOME", &home);
        if let Some(at) = command.args.iter().position(|word| word == "-euc")
            && let Some(script) = command.args.get_mut(at + 1)
        {
            script.insert_str(0, &self.programs.functions);
        }
        command.env("KILLED_AT", &self.at.to_string())
    }
}

/// Runs a command that reads what `input` writes.
pub(crate) fn feed(
    host: &dyn Host,
    command: &Command,
    input: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), HostError> {
    let mut child = host.spawn(command)?;
    let mut pipe = child.stdin.take().unwrap();
    // One that died does not read.
    let _ = input(&mut pipe);
    drop(pipe);
    let ended = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    let output = Output { status: ended.status.code(), stdout: String::new(), stderr };
    output.success(command).map(|_| ())
}

impl Host for Dying<'_> {
    fn run(&self, command: &Command, on_line: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
        self.alive()?;
        // What kills its own group must not kill the test.
        let mut alone = Command::new("/usr/bin/setsid").arg(&command.program);
        alone.args.extend(command.args.iter().cloned());
        alone.env.clone_from(&command.env);
        let output = Local.run(&self.dying(&alone), on_line)?;
        self.alive()?;
        Ok(output)
    }

    fn spawn(&self, command: &Command) -> Result<Child, HostError> {
        self.alive()?;
        Local.spawn(&self.dying(command))
    }

    fn feed(
        &self,
        command: &Command,
        input: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), HostError> {
        feed(self, command, input)
    }

    fn read_tail(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, HostError> {
        self.alive()?;
        Local.read_tail(path, limit)
    }

    fn exists(&self, path: &str) -> bool {
        Local.exists(path)
    }

    fn answers(&self, _: SocketAddr) -> bool {
        false
    }
}

/// How many points of a story are gone over for each that is tried: none where all are asked for. `usual` is what
/// `scripts/test` does.
pub(crate) fn stride(usual: usize) -> usize {
    match std::env::var_os("MAQUETTE_TEST_ALL") {
        Some(_) => 1,
        None => usual * sparser(),
    }
}

/// A run by hand is to take a minute or two: it tries one point of so many that a whole `scripts/test` does, which says when it began.
pub(crate) fn sparser() -> usize {
    let whole = ["MAQUETTE_TEST_BEGUN", "MAQUETTE_TEST_ALL"];
    if whole.iter().any(|name| std::env::var_os(name).is_some()) { 1 } else { 8 }
}

/// Tries every point of a story, or every `stride`th of this day: `run` does it on a host that dies at a call, `judge` goes on after that. How
/// many points there were.
pub(crate) fn every_point(
    name: &str,
    programs: &Programs,
    run: &dyn Fn(&Dying<'_>) -> bool,
    judge: &dyn Fn(&str),
    stride: usize,
) -> usize {
    points_of((0, 1), name, programs, run, judge, stride)
}

/// The same of one of several parts, each of which has every so many of the points: none is left out by all of them.
pub(crate) fn points_of(
    (part, parts): (usize, usize),
    name: &str,
    programs: &Programs,
    run: &dyn Fn(&Dying<'_>) -> bool,
    judge: &dyn Fn(&str),
    stride: usize,
) -> usize {
    let whole = Dying::new(programs, None);
    assert!(run(&whole), "{name}: it fails although nothing is killed");
    judge(&format!("{name}, to its end"));
    let calls = whole.calls();
    assert!(calls > 0, "{name}: nothing was called");
    // Each day others: all have their turn within as many days as one of so many is tried.
    let turn = today() % stride;
    let all = (0..calls.div_ceil(stride)).map(|n| (n * stride + turn) % calls + 1);
    let tried: Vec<usize> = all.skip(part).step_by(parts).collect();
    for at in tried.iter().copied() {
        let host = Dying::new(programs, Some(at));
        run(&host);
        judge(&format!("{name}, killed before call {at} of {calls}"));
    }
    let points = tried.len();
    println!("{name}: {points} points");
    points
}

/// The day's number.
fn today() -> usize {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    usize::try_from(since.unwrap_or_default().as_secs() / 86400).unwrap_or_default()
}

/// What a test finds in namespaces that `in_namespaces` has made: which part of it is to be done.
#[cfg(feature = "e2e")]
pub(crate) fn part() -> Option<usize> {
    std::env::var("MAQUETTE_TEST_INSIDE").ok()?.parse().ok()
}

/// Runs a part of a test of this program in mount and network namespaces of its own, which a script has made ready;
/// what it said.
#[cfg(feature = "e2e")]
pub(crate) fn in_namespaces(ready: &str, test: &str, part: usize) -> String {
    let output = std::process::Command::new("unshare")
        .args(["-n", "-m", "--propagation", "private", "sh", "-euc", ready, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("MAQUETTE_TEST_INSIDE", part.to_string())
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let said = format!("{out}{err}");
    println!("{said}");
    assert!(output.status.success(), "{said}");
    said
}
