//! Two runs, the second of which takes over: the real lock, the real fence, and commands that do something.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::super::lock::{Lock, LockError, Patience, directory};
use super::*;
use crate::dying_host::{Dying, Programs};
use crate::host::Local;

fn named(word: &str) -> String {
    format!("{word}-{}", std::process::id())
}

fn take(name: &str, take_over: bool) -> Result<Lock, LockError> {
    let lost = Arc::new(AtomicBool::new(false));
    Lock::acquire(&Local, name, "bob", Patience { wait: 0, take_over }, &lost, &mut |_| {})
}

fn touch(file: &Path) -> Command {
    Command::new("touch").arg(file.display().to_string())
}

fn refused<T>(result: Result<T, HostError>) -> bool {
    matches!(result, Err(HostError::Taken))
}

/// This machine as if it was another, whose word for the lock's loss has not come yet.
struct Elsewhere;

impl Host for Elsewhere {
    fn run(&self, command: &Command, on_line: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
        Local.run(command, on_line)
    }

    fn spawn(&self, command: &Command) -> Result<Child, HostError> {
        Local.spawn(command)
    }

    fn feed(
        &self,
        command: &Command,
        input: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), HostError> {
        crate::dying_host::feed(self, command, input)
    }

    fn read_tail(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, HostError> {
        Local.read_tail(path, limit)
    }

    fn exists(&self, path: &str) -> bool {
        Local.exists(path)
    }

    fn answers(&self, _: SocketAddr) -> bool {
        false
    }
}

/// A lock, and who had it before and knows nothing of that yet.
fn taken_over(name: &str) -> (Lock, Claim, Claim) {
    let first = take(name, false).unwrap();
    let deaf = first.claim().unheard();
    let knows = first.claim();
    let second = take(name, true).unwrap();
    // One that is given back listens no more.
    while knows.is_ours(false) {
        std::thread::yield_now();
    }
    drop(first);
    (second, deaf, knows)
}

#[test]
fn what_a_run_that_was_taken_over_still_sends_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a");
    let path = file.to_str().unwrap();
    let name = named("fence");
    let first = take(&name, false).unwrap();
    let ours = first.fence(&Local);
    assert_eq!(ours.run(&touch(&file), &mut |_| {}).unwrap().status, Some(0));
    assert!(file.exists());
    fs::remove_file(&file).unwrap();
    drop(first);

    let (second, deaf, knows) = taken_over(&name);
    for held in [true, false] {
        for (host, here) in [(&Local as &dyn Host, true), (&Elsewhere, false)] {
            let late = Fenced::new(host, deaf.clone());
            assert!(refused(late.run(&touch(&file), &mut |_| {})), "here: {here}, held: {held}");
            assert!(refused(late.run_anew(&touch(&file))));
            let mut agent = late.spawn(&touch(&file)).unwrap();
            assert_eq!(agent.wait().unwrap().code(), Some(TAKEN));
            assert!(late.write(path, b"late", 0o600).is_err());
            let from = place.path().join("from");
            fs::write(&from, "late").unwrap();
            assert!(late.upload(&from, path, &mut |_| {}).is_err());
            assert!(late.rename(from.to_str().unwrap(), path).is_err());
            assert!(late.remove(from.to_str().unwrap()).is_err());
            assert!(!file.exists(), "here: {here}, held: {held}");
            assert_eq!(fs::read(&from).unwrap(), b"late");
        }
        // The second time as if it was held up until nobody holds it.
        if held {
            assert!(second.fence(&Local).run(&touch(&file), &mut |_| {}).is_ok());
            fs::remove_file(&file).unwrap();
        }
    }
    drop(second);
    let late = Fenced::new(&Elsewhere, deaf);
    assert!(late.write(path, b"late", 0o600).is_err() && !file.exists());
    assert!(refused(Fenced::new(&Elsewhere, knows).write(path, b"late", 0o600)));
    let left: Vec<PathBuf> =
        fs::read_dir(directory()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!left.iter().any(|p| p.display().to_string().contains(&name)), "{left:?}");
}

/// A command that was let in before runs to its end, and only then the lock is another's.
#[test]
fn who_takes_over_waits_for_what_already_runs() {
    let (place, name) = (tempfile::tempdir().unwrap(), named("busy"));
    let (begun, done) = (place.path().join("begun"), place.path().join("done"));
    let first = take(&name, false).unwrap();
    let claim = first.claim();
    let script = "mkfifo \"$1.go\"; : >\"$1\"; read -r _ <\"$1.go\"; sleep 0.3; : >\"$2\"";
    let args = [begun.display().to_string(), done.display().to_string()];
    let long = Command::script(script, args);
    let running = std::thread::spawn(move || {
        Fenced::new(&Local, claim).run(&long, &mut |_| {}).map(|o| o.status)
    });
    while !begun.exists() {
        std::thread::yield_now();
    }
    let (sender, heard) = std::sync::mpsc::channel();
    let go = place.path().join("begun.go");
    let teller = std::thread::spawn(move || {
        heard.recv().unwrap();
        fs::write(go, "go\n").unwrap();
    });
    let lost = Arc::new(AtomicBool::new(false));
    let patience = Patience { wait: 0, take_over: true };
    let second = Lock::acquire(&Local, &name, "bob", patience, &lost, &mut |holder| {
        if holder.gone {
            sender.send(()).unwrap();
        }
    });
    assert!(done.exists(), "it did not wait");
    drop(second.unwrap());
    teller.join().unwrap();
    assert_eq!(running.join().unwrap().unwrap(), Some(0));
}

/// What fetches images goes on for long, and libvirt's connection for ever.
#[test]
fn who_takes_over_ends_what_would_go_on() {
    let name = named("ends");
    let first = take(&name, false).unwrap();
    let ours = first.fence(&Local);
    let mut agent = ours.spawn(&Command::script("echo begun; exec sleep 100", [""])).unwrap();
    let mut said = String::new();
    BufReader::new(agent.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "begun\n");
    // Somebody else's, and what a command has left running on purpose.
    let mut other = std::process::Command::new("sleep")
        .arg("100")
        .env(MARK, "0123456789abcdef")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let left = "setsid sleep 101 >/dev/null 2>&1 & echo $!";
    let daemon = ours.run(&Command::script(left, [""]), &mut |_| {}).unwrap().stdout;
    let second = take(&name, true).unwrap();
    assert_eq!(agent.wait().unwrap().code(), None);
    assert!(other.try_wait().unwrap().is_none());
    assert!(Path::new(&format!("/proc/{}", daemon.trim())).exists());
    let _ = std::process::Command::new("kill").arg(daemon.trim()).status();
    let _ = (other.kill(), other.wait());
    drop(second);
    assert!(
        first.fence(&Local).spawn(&Command::new("true")).unwrap().wait().unwrap().code()
            == Some(TAKEN)
    );
}

/// A fence costs next to nothing, and changes nothing of what a command reads, prints and ends with.
#[test]
fn a_fenced_command_is_what_it_was() {
    let name = named("same");
    let lock = take(&name, false).unwrap();
    let ours = lock.fence(&Local);
    let mut lines = Vec::new();
    let script = "echo \"$1|$X\"; echo two >&2; exit 3";
    let command = Command::script(script, ["a  b\n'c"]).env("X", "y z");
    let output = ours.run(&command, &mut |line| lines.push(line.to_string())).unwrap();
    assert_eq!((output.status, output.stdout.as_str()), (Some(3), "a  b\n'c|y z\n"));
    assert_eq!(lines, ["two"]);
    let missing = ours.run(&Command::new("no-such-program"), &mut |_| {}).unwrap_err();
    assert_eq!(missing.to_string(), "cannot run `no-such-program`");
    let mut child = ours.spawn(&Command::new("cat")).unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    let mut through = String::new();
    child.stdout.take().unwrap().read_to_string(&mut through).unwrap();
    child.wait().unwrap();
    assert_eq!(through, "through");
}

/// One that stands still (a laptop asleep) loses it without anybody's taking it.
#[test]
fn a_holder_that_is_not_heard_of_any_more_is_fenced_off() {
    let name = named("still");
    let mut host = Local
        .spawn(&Command::script(
            include_str!("../../../assets/lock.sh"),
            [directory(), &name, "eve", "0", "", "abcdef0123"],
        ))
        .unwrap();
    let mut line = String::new();
    BufReader::new(host.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let token = line.trim().strip_prefix("got ").unwrap().to_string();
    let mut agent =
        std::process::Command::new("sleep").arg("100").env(MARK, "abcdef0123").spawn().unwrap();
    let claim = take_claim(&name, &token);
    // Waiting would close its input, and tell it.
    let silent = host.stdin.take();
    let begun = Instant::now();
    host.wait().unwrap();
    drop(silent);
    assert!(begun.elapsed() > Duration::from_secs(10));
    assert_eq!(agent.wait().unwrap().code(), None, "what it had running went on");
    assert!(refused(Fenced::new(&Elsewhere, claim).run(&Command::new("true"), &mut |_| {})));
}

fn take_claim(name: &str, token: &str) -> Claim {
    let lock = take(&format!("{name}-other"), false).unwrap();
    let mut claim = lock.claim().unheard();
    (claim.file, claim.token) = (format!("{}/{name}", directory()), token.into());
    claim
}

/// A cut connection takes the lock's process along, which is not another run's doing.
#[test]
fn a_cut_connection_is_not_told_as_another_run() {
    let programs = Programs::new(&["true"]);
    let cut = Dying::new(&programs, Some(1));
    assert!(matches!(taken(&cut), HostError::Lost { .. }));
    assert!(matches!(taken(&Local), HostError::Taken));
}
