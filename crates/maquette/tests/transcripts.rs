//! Whole commands on a hypervisor that is a model: what is typed, what is printed, how it ends. Each file in
//! `transcripts` is a test. `TRANSCRIPTS=write` rewrites what is printed.
//!
//! A file begins with a sentence that says what it shows. Then come lines that are read:
//!
//! - `in: lab`: the files of `transcript/lab` are in the current directory;
//! - `on: fresh` or `on: prepared` (the default): what the hypervisor is like; `env: NAME=VALUE`;
//! - `file NAME`, and its text, indented;
//! - `* …`: something happens on the hypervisor, or at the terminal (see `transcript/happening.rs`);
//! - `% maquette …`: a command that has to succeed, and whose output is not of interest;
//! - `$ maquette …`: a command; `$ cat`, `$ ls`, `$ tar` (what is in an archive), `$ mv` and `$ rm` are there, too;
//!
//! and lines that are compared: `| …` standard output, `! …` standard error, `exit N` unless it is 0. Lines of
//! steps that are done are left out; times, keys' fingerprints and this machine's paths are masked.
//!
//! Pages of the documentation are tests, too (see `transcript/page.rs`).

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test")]

#[path = "transcript/difference.rs"]
mod difference;
#[path = "transcript/happening.rs"]
mod happening;
#[path = "transcript/mask.rs"]
mod mask;
#[path = "transcript/page.rs"]
mod page;
#[path = "transcript/play.rs"]
mod play;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::fs::{StatVfsMountFlags, statvfs};

/// The argument by which this program plays a transcript, in a process of its own: the environment and the
/// current directory are a process's.
const PLAY: &str = "--play-transcript";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, play, file, top] = words.as_slice()
        && play == PLAY
    {
        return play::play(Path::new(file), Path::new(top));
    }
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = of_folder(&crate_folder.join("tests/transcripts"));
    let name = |file: &Path| file.file_stem().unwrap().to_string_lossy().into_owned();
    let trial = |file: PathBuf| Trial::test(name(&file), move || test(&file));
    let mut trials: Vec<Trial> = files.into_iter().map(trial).collect();
    let root = crate_folder.join("../..");
    let site = root.join("docs/src");
    let mut pages = vec![root.join("README.md"), site.join("tutorial.md")];
    pages.extend(["how-to", "migrate"].iter().flat_map(|folder| of_folder(&site.join(folder))));
    let trial = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        page::script(&text)?;
        Some(Trial::test(format!("page-{}", name(&file)), move || test_page(&file)))
    };
    trials.extend(pages.into_iter().filter_map(trial));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn of_folder(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Programs on the user's machine and on the hypervisor that say what they were asked.
const PROGRAMS: [(&str, &str); 9] = [
    ("bin/remote-viewer", "echo \"remote-viewer $*\" >>viewed"),
    (
        "bin/ssh",
        "case $* in *@@doctor@@*)\n\
         while [ \"$1\" != -- ]; do shift; done\n\
         said=\"${0%/*}/../hv/var/logins/$2\"\n\
         if [ -e \"$said\" ]; then . \"$said\"; exit; fi\n\
         echo @@doctor@@; echo '{\"v1\": {\"errors\": []}}'; echo '@@status@@'; echo 'status: done'; exit ;;\n\
         esac\n\
         echo \"ssh $*\"\ncase $* in\n*' cat') head -n 1 ;;\n*web-1*fails*) echo no >&2; exit 3 ;;\n*web-?*unheard*) exit 255 ;;\nesac",
    ),
    (
        "bin/scp",
        "echo \"scp $*\"\ncase $* in *web-1:/nope*) echo \"scp: /nope: No such file or directory\" >&2; exit 1 ;; *unheard*) exit 255 ;; esac",
    ),
    (
        "bin/curl",
        "read -r _ _ url; file=${url##*/}; file=${file%?}\n\
         cat \"${0%/*}/../work/$file\" 2>/dev/null && exit\n\
         echo 'curl: (22) The requested URL returned error: 404' >&2; exit 22",
    ),
    (
        "bin/ansible-playbook",
        "vars=${4#@}; shift 4; echo \"PLAY $*\"\ncase \"$*\" in\n*bad*) exit 4 ;;\n\
         *waits*) trap 'echo \"PLAY is told\"; exit 99' INT; kill -TERM $PPID; while :; do sleep 0.05; done ;;\n\
         *vars.yml) tr , '\\n' <\"$vars\" | grep -oE '\"(_[a-z_]*run_condition\":true|python\":)' ;;\nesac",
    ),
    (
        "bin/ansible",
        "case $* in *localhost) echo 'localhost | SUCCESS => {\"ansible_facts\": {}}' ;;\n\
         *) echo \"$5 | FAILED! => no python\"; exit 2 ;;\nesac",
    ),
    ("hv/bin/tcpdump", "echo 'tcpdump: listening' >&2; printf 'pcap of %s' \"$2\""),
    (
        "hv/bin/tc",
        "case $* in\n\
         -json*) cat \"$0.queues\" 2>/dev/null || echo '[]' ;;\n\
         *replace*) echo \"[{\\\"kind\\\": \\\"netem\\\", \\\"dev\\\": \\\"$4\\\", \\\"options\\\": \
         {\\\"delay\\\": {\\\"delay\\\": 0.05}}}]\" >\"$0.queues\" ;;\n\
         *del*) rm -f \"$0.queues\" ;;\nesac",
    ),
    ("hv/bin/ip", "exit 0"),
];

/// What a transcript is played to, masked, by a process of its own; or what was wrong with the transcript itself.
fn played(file: &Path, text: &str, top: &Path) -> Result<String, Failed> {
    let at = |path: &str| top.join(path);
    for directory in ["home", "work", "bin", "hv/bin", "hv/var/log/libvirt/qemu"] {
        fs::create_dir_all(at(directory))?;
    }
    for (program, text) in PROGRAMS {
        fs::write(at(program), format!("#!/bin/sh\n{text}\n"))?;
        fs::set_permissions(at(program), fs::Permissions::from_mode(0o755))?;
    }
    // The host's own side, for files in it.
    std::os::unix::fs::symlink(at("hv"), at("work/hv"))?;
    if let Some(scene) = text.lines().find_map(|line| line.strip_prefix("in: ")) {
        let scene = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcript").join(scene);
        for entry in fs::read_dir(scene)? {
            let entry = entry?;
            fs::copy(entry.path(), at("work").join(entry.file_name()))?;
        }
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(PLAY).arg(file).arg(top).current_dir(at("work")).env_clear();
    command
        .env("HOME", at("home"))
        .env("USER", "ann")
        .env("HOSTNAME", "desk")
        .env("LC_ALL", "C.UTF-8")
        .env("CI", "1");
    command
        .env("TZ", "UTC")
        .env("PATH", format!("{}:/usr/sbin:/usr/bin:/bin", at("bin").display()));
    for setting in text.lines().filter_map(|line| line.strip_prefix("env: ")) {
        let (name, value) = setting.split_once('=').ok_or("env: NAME=VALUE")?;
        command.env(name, value);
    }
    let output = command.stdin(std::process::Stdio::null()).output()?;
    let played = fs::read_to_string(at("played")).unwrap_or_default();
    // A command that becomes another program ends the transcript with what that one prints.
    let rest = [('|', &output.stdout), ('!', &output.stderr)];
    let rest: String = rest
        .iter()
        .flat_map(|(sign, text)| {
            let text = String::from_utf8_lossy(text).into_owned();
            text.lines().map(|line| format!("{sign} {line}\n")).collect::<Vec<_>>()
        })
        .collect();
    let status = match output.status.code() {
        Some(0) => String::new(),
        Some(code) => format!("exit {code}\n"),
        None => format!("ended by {}\n", output.status),
    };
    let played = mask::mask(&format!("{played}{rest}{status}"), top);
    match output.status.code() {
        // The player itself panics; a transcript may show that as well as anything.
        Some(101) if played != text => {
            Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
        }
        _ => Ok(played),
    }
}

/// Where a transcript is played: in memory, where programs can be started from that, unless `TMPDIR` says where. What a run writes
/// is synced, and a disk on which others work holds each of these up.
fn top() -> std::io::Result<tempfile::TempDir> {
    const MEMORY: &str = "/dev/shm";
    const ENOUGH: u64 = 256 << 20;
    let is_fit = statvfs(MEMORY).is_ok_and(|memory| {
        let is_enough = memory.f_bavail.saturating_mul(memory.f_frsize) >= ENOUGH;
        is_enough && !memory.f_flag.contains(StatVfsMountFlags::NOEXEC)
    });
    if is_fit && std::env::var_os("TMPDIR").is_none() {
        return tempfile::tempdir_in(MEMORY).or_else(|_| tempfile::tempdir());
    }
    tempfile::tempdir()
}

fn test(file: &Path) -> Result<(), Failed> {
    let expected = fs::read_to_string(file)?;
    let top = top()?;
    same(file, &expected, played(file, &expected, top.path())?)
}

fn test_page(file: &Path) -> Result<(), Failed> {
    let page = fs::read_to_string(file)?;
    let top = top()?;
    let script = page::script(&page).ok_or("no commands")?;
    let written = top.path().join("script");
    fs::write(&written, &script)?;
    let played = played(&written, &script, top.path())?;
    same(file, &page, page::written(&page, &played))
}

/// Compares a file with what it should be, or rewrites it.
fn same(file: &Path, expected: &str, actual: String) -> Result<(), Failed> {
    if actual == expected {
        return Ok(());
    }
    if std::env::var_os("TRANSCRIPTS").as_deref() == Some(OsStr::new("write")) {
        return Ok(fs::write(file, actual)?);
    }
    let shown = difference::difference(expected, &actual);
    Err(format!("{}:\n{shown}\nTRANSCRIPTS=write takes it as it is now", file.display()).into())
}
