//! One run at a time: a lock on the hypervisor, held by a process there that lives by our heartbeat.
//!
//! Whatever ends us ends the process: its standard input closes with us, and where the connection was
//! cut without a word it misses the heartbeat. So there is no lock that nobody holds.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use maquette_core::hex::hex;
use thiserror::Error;

pub use super::claim::Claim;
use super::fence::Fenced;
use super::heard::Heard;
use super::process::lines;
use super::{Command, Host, HostError};

const SCRIPT: &str = include_str!("../../assets/lock.sh");
/// Name of the lock of whoever removes images. Environments' locks are not given out meanwhile.
pub const IMAGES: &str = "images";
/// Gone after a reboot, like everything that could hold it.
pub(super) fn directory() -> &'static str {
    #[cfg(test)]
    if !rustix::process::geteuid().is_root() {
        // Whoever tries locks without being root has a place of their own for them.
        static OWN: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            let user = rustix::process::geteuid().as_raw();
            format!("/tmp/maquette-locks-{user}")
        });
        return &OWN;
    }
    "/run/maquette"
}
/// A fraction of what the script waits for.
const BEAT: Duration = Duration::from_secs(2);

/// Longest line that the script says, and most of what it complains of, in bytes.
const LINE: u64 = 4096;
const SAID: u64 = 65536;
/// For how long the script may say nothing, where nobody waits for longer; it waits for others for 5 minutes.
const SILENCE: Duration = Duration::from_secs(420);

/// How long the script may take to end once nobody needs the lock.
const END_LIMIT: Duration = Duration::from_secs(60);

/// Exit status of the script if somebody else keeps the lock.
const HELD: i32 = 75;
/// Exit status of the script if what somebody has begun under it goes on.
const BUSY: i32 = 76;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who and with which command.
    pub who: String,
    /// For how long, in seconds.
    pub seconds: u64,
    /// Whether it no longer holds the lock, and only what it has begun on the hypervisor goes on.
    pub gone: bool,
}

impl Holder {
    fn gone() -> Self {
        Self { who: "a run that has ended".into(), seconds: 0, gone: true }
    }
}

/// How much a lock is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patience {
    /// How long to wait for it, in seconds.
    pub wait: u64,
    /// Whether to end its holder.
    pub take_over: bool,
}

/// Why a lock could not be had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("{} has held it for {}", .0.who, duration(.0.seconds))]
    Held(Holder),
    /// Nobody has it, and a command that its last holder has begun does not end.
    #[error("a command of the run that held it before has not ended yet")]
    Busy,
    /// It cannot be asked for.
    #[error("the lock cannot be asked for")]
    Host(#[from] HostError),
    /// The script failed.
    #[error("the lock cannot be asked for: {0}")]
    Failed(String),
}

/// A span of time for people.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A lock that is held until it is dropped.
pub struct Lock {
    child: Child,
    stop: Option<mpsc::Sender<()>>,
    released: Arc<AtomicBool>,
    claim: Claim,
}

/// A mark that no other run has.
pub(super) fn mark() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 12];
    getrandom::getrandom(&mut bytes)?;
    Ok(hex(bytes))
}

/// There are no random numbers.
pub(super) fn no_random(error: &getrandom::Error) -> std::io::Error {
    std::io::Error::other(format!("no random numbers: {error}"))
}

/// Reads what the script says until the lock is ours, and returns the token. The error is that the script has
/// ended, with the last holder that it named.
fn turn(
    answers: &mut impl BufRead,
    patience: Patience,
    on_holder: &mut dyn FnMut(&Holder),
) -> Result<String, Option<Holder>> {
    let mut holder = None;
    loop {
        let mut line = Vec::new();
        // What ends in the middle of one has ended.
        let read = answers.by_ref().take(LINE).read_until(b'\n', &mut line);
        if read.is_err() || !line.ends_with(b"\n") {
            return Err(holder);
        }
        let line = String::from_utf8_lossy(&line);
        match line.trim().split_once(' ') {
            Some(("held", rest)) => {
                let (seconds, who) = rest.split_once(' ').unwrap_or((rest, "somebody"));
                let seconds = seconds.parse().unwrap_or(0);
                let found = Holder { who: who.into(), seconds, gone: false };
                if patience != Patience::default() {
                    on_holder(&found);
                }
                holder = Some(found);
            }
            Some(("got", token)) => return Ok(token.to_string()),
            Some(("removing", who)) => {
                on_holder(&Holder { who: who.into(), ..Holder::gone() });
            }
            _ if line.trim() == "busy" => on_holder(&Holder::gone()),
            _ => {}
        }
    }
}

/// Why the script has ended without a lock.
fn refusal(mut child: Child, heard: &Heard, holder: Option<Holder>) -> LockError {
    let said = child.stderr.take().map(|pipe| {
        let mut pipe = heard.listen(pipe).take(SAID);
        lines(&mut pipe, &mut |_| {})
    });
    // One that says too much, or something else than it is to say, may not end by itself.
    Heard::new(child.id(), END_LIMIT).await_end();
    let status = child.wait().ok().and_then(|status| status.code());
    let said = said.unwrap_or_default().trim().to_string();
    if heard.gave_up() {
        return LockError::Failed("nothing is heard of who asks for it there".into());
    }
    match holder {
        Some(holder) if status == Some(HELD) => LockError::Held(holder),
        _ if status == Some(BUSY) => LockError::Busy,
        _ => LockError::Failed(said),
    }
}

impl Lock {
    /// Takes the lock of a name. `on_holder` hears who has it before we wait; `lost` is set once it is
    /// not ours any more: somebody took it, or its process ended.
    pub fn acquire(
        host: &dyn Host,
        name: &str,
        who: &str,
        patience: Patience,
        lost: &Arc<AtomicBool>,
        on_holder: &mut dyn FnMut(&Holder),
    ) -> Result<Self, LockError> {
        let take = if patience.take_over { "take" } else { "" };
        // One line, whatever a host is called.
        let who: String = who.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let unmarked = || mark().map_err(|e| LockError::Failed(no_random(&e).to_string()));
        let mark = if host.mark().is_empty() { unmarked()? } else { host.mark().into() };
        let args = [directory(), name, &who, &patience.wait.to_string(), take, &mark];
        let mut child = host.spawn(&Command::script(SCRIPT, args))?;
        let unusable = || LockError::Failed("no pipe".into());
        let mut beats = child.stdin.take().ok_or_else(unusable)?;
        let silence = SILENCE.saturating_add(Duration::from_secs(patience.wait));
        let heard = Heard::new(child.id(), silence);
        let answers = child.stdout.take().ok_or_else(unusable)?;
        let mut answers = BufReader::new(heard.listen(answers));
        let token = match turn(&mut answers, patience, on_holder) {
            Ok(token) => token,
            Err(holder) => {
                drop(beats);
                return Err(refusal(child, &heard, holder));
            }
        };
        let mut answers = BufReader::new(answers.into_inner().into_inner());
        let (stop, stopped) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            // Ends when the lock is dropped, or when nobody listens to the beats any more.
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(BEAT) {
                if beats.write_all(b".").and_then(|()| beats.flush()).is_err() {
                    break;
                }
            }
        });
        let released = Arc::new(AtomicBool::new(false));
        let taken = Arc::new(AtomicBool::new(false));
        let (lost, ours, gone) = (lost.clone(), released.clone(), taken.clone());
        std::thread::spawn(move || {
            // It says nothing more; it only ends.
            let _ = answers.fill_buf();
            if !ours.load(Ordering::SeqCst) {
                gone.store(true, Ordering::SeqCst);
                lost.store(true, Ordering::SeqCst);
            }
        });
        let file = format!("{}/{name}", directory());
        let claim = Claim { file, token, mark, taken };
        Ok(Self { child, stop: Some(stop), released, claim })
    }

    /// The hypervisor for as long as the lock is ours: it refuses our commands after that.
    pub fn fence<'a>(&self, host: &'a dyn Host) -> Fenced<'a> {
        Fenced::new(host, self.claim.clone())
    }

    /// What tells whether it is ours.
    pub fn claim(&self) -> Claim {
        self.claim.clone()
    }

    /// Whether its process has ended although we did not give the lock back.
    pub fn is_lost(&mut self) -> bool {
        // What it says ends a moment before it does.
        self.claim.taken.load(Ordering::SeqCst) || matches!(self.child.try_wait(), Ok(Some(_)))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.released.store(true, Ordering::SeqCst);
        // Closes the process's standard input, by which it ends and removes its file.
        drop(self.stop.take());
        // It misses our heartbeat where it does not hear of that.
        Heard::new(self.child.id(), END_LIMIT).await_end();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Local;
    use super::*;

    fn take(name: &str, patience: Patience) -> Result<Lock, LockError> {
        let lost = Arc::new(AtomicBool::new(false));
        Lock::acquire(&Local, name, "ann@desk, maquette up", patience, &lost, &mut |_| {})
    }

    #[test]
    fn one_at_a_time_and_it_is_known_who() {
        let name = format!("test-{}", std::process::id());
        let first = take(&name, Patience::default()).unwrap();
        let Err(LockError::Held(holder)) = take(&name, Patience::default()) else { panic!() };
        assert_eq!(holder.who, "ann@desk, maquette up");
        assert!(holder.seconds < 5);
        drop(first);
        drop(take(&name, Patience::default()).unwrap());
        assert!(!std::path::Path::new(directory()).join(&name).exists());
    }

    #[test]
    fn one_can_wait_for_it() {
        let name = format!("wait-{}", std::process::id());
        let first = take(&name, Patience::default()).unwrap();
        let (heard, hears) = mpsc::channel();
        let waiting = std::thread::spawn({
            let name = name.clone();
            move || {
                let patience = Patience { wait: 30, take_over: false };
                let lost = Arc::new(AtomicBool::new(false));
                Lock::acquire(&Local, &name, "bob", patience, &lost, &mut |h| {
                    heard.send(h.who.clone()).unwrap();
                })
                .map(drop)
            }
        });
        assert_eq!(hears.recv().unwrap(), "ann@desk, maquette up");
        drop(first);
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn one_can_take_it_and_its_holder_notices() {
        let name = format!("take-{}", std::process::id());
        let lost = Arc::new(AtomicBool::new(false));
        let who = "ann@desk, maquette up";
        let mut first =
            Lock::acquire(&Local, &name, who, Patience::default(), &lost, &mut |_| {}).unwrap();
        let mut second = take(&name, Patience { wait: 0, take_over: true }).unwrap();
        while !lost.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        assert!(first.is_lost());
        drop(first);
        assert!(!second.is_lost());
        assert!(matches!(take(&name, Patience::default()), Err(LockError::Held(_))));
    }

    /// The script in a directory of its own, and what it says.
    fn script(directory: &std::path::Path, name: &str) -> (Child, impl FnMut() -> String) {
        let args = [directory.to_str().unwrap(), name, "ann@desk, maquette it", "0", "", "ab"];
        let mut child = Local.spawn(&Command::script(SCRIPT, args)).unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let line = move || {
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            line.split(' ').next().unwrap().trim().to_string()
        };
        (child, line)
    }

    /// `image prune` saw nobody at work and deleted an image; a run that had begun since had found it in the pool.
    #[test]
    fn who_begins_while_images_are_removed_waits_and_who_was_first_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let end = |mut child: Child| {
            drop(child.stdin.take());
            child.wait().unwrap();
        };
        let (prune, mut prune_says) = script(directory.path(), IMAGES);
        assert_eq!(prune_says(), "got");
        let (up, mut up_says) = script(directory.path(), "environment.lab");
        assert_eq!(up_says(), "removing");
        // Other locks have nothing to do with images.
        let (other, mut other_says) = script(directory.path(), "hypervisor");
        assert_eq!(other_says(), "got");
        end(other);
        end(prune);
        assert_eq!(up_says(), "got");
        let (prune, mut prune_says) = script(directory.path(), IMAGES);
        assert_eq!(prune_says(), "got");
        let there = super::super::at_work::look(&Local, directory.path().to_str().unwrap());
        assert_eq!(there.unwrap(), [("lab".into(), "ann@desk, maquette it".into())]);
        end(prune);
        end(up);
    }

    #[test]
    fn a_holder_that_was_cut_off_is_waited_for() {
        let name = format!("cut-{}", std::process::id());
        let host = Local.spawn(&Command::script(SCRIPT, [directory(), &name, "eve", "0", "", ""]));
        // It never beats, and its pipe stays open.
        let mut silent = host.unwrap();
        let mut line = String::new();
        BufReader::new(silent.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("got "), "{line}");
        assert!(matches!(take(&name, Patience::default()), Err(LockError::Held(_))));
        let file = std::fs::File::open(std::path::Path::new(directory()).join(&name)).unwrap();
        let before = std::time::SystemTime::now() - Duration::from_secs(10);
        file.set_modified(before).unwrap();
        drop(take(&name, Patience::default()).unwrap());
        silent.wait().unwrap();
    }

    #[test]
    fn a_holder_that_is_killed_holds_nothing() {
        let name = format!("dead-{}", std::process::id());
        let mut first = take(&name, Patience::default()).unwrap();
        first.child.kill().unwrap();
        drop(take(&name, Patience { wait: 10, take_over: false }).unwrap());
    }
}
