//! Names of servers are looked up by a process of their own, `maquette bmc names`. Who looks names up reads files that others
//! replace at any time (`resolv.conf` with a DHCP lease, `hosts`), so that all of `/etc` is read, and believes what name servers
//! answer: the process that serves BMCs does neither. It starts this one before it confines itself, and talks to it over pipes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Error, ErrorKind, Result, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use maquette_libvirt::{BmcJournal, BmcResolver, system_resolver};
use rustix::fs::{OFlags, fcntl_setfl};

use super::rights;
use crate::failure::Failure;
use crate::world::World;

mod lines;

use lines::{Answer, HostName, Request};

/// What the process says once it can be asked.
const READY: &str = "ready";
/// Most names that are looked up at once: each takes a thread, as long as servers do not answer.
const AT_ONCE: usize = 64;
/// Bytes of such a thread's stack; the C library takes some tens of KiB.
const STACK: usize = 512 << 10;
/// How long a name is waited for. The C library takes five seconds for each server that is silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// The addresses of a name, or why there are none.
type Found = std::result::Result<Vec<SocketAddr>, String>;

/// Takes an answer's line.
type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// Looks names up until nobody can ask for any more: standard input ends with whoever holds its other end.
pub fn run(world: &World) -> std::result::Result<u8, Failure> {
    rights::give_all_away().map_err(|e| Failure::because("cannot give up rights", e))?;
    // Where the kernel cannot do that, the process that serves BMCs says so.
    rights::confine_to_names()
        .map_err(|e| Failure::because("cannot restrict itself to the system's files", e))?;
    let terminal = world.terminal.clone();
    terminal.result(READY);
    let say: Say = Arc::new(move |line: &str| terminal.result(line));
    let asked = BufReader::new(world.terminal.keys());
    // A name that is still looked up ends with this process.
    answer_all(asked, &system_resolver(), &say)
        .map(|()| 0)
        .map_err(|e| Failure::because("cannot read which names are to be looked up", e))
}

/// Answers requests, each as soon as its answer is there, until there are no more. Fails on a line that is not a request.
fn answer_all(mut requests: impl BufRead, resolver: &BmcResolver, say: &Say) -> Result<()> {
    let busy = Arc::new(AtomicUsize::new(0));
    while let Some(line) = lines::next(&mut requests)? {
        let Some(request) = Request::parse(&line) else {
            return Err(Error::new(ErrorKind::InvalidData, "a line does not ask for a name"));
        };
        let number = request.number;
        let refused = |why: String| say(&Answer { number, found: Err(why) }.line());
        if busy.load(Ordering::Acquire) >= AT_ONCE {
            refused(format!("{AT_ONCE} names are looked up already"));
            continue;
        }
        busy.fetch_add(1, Ordering::AcqRel);
        let (resolver, saying, working) = (resolver.clone(), say.clone(), busy.clone());
        let begun = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            let found = resolver(request.host.as_str(), request.port);
            working.fetch_sub(1, Ordering::AcqRel);
            saying(&Answer { number, found: found.map_err(|e| e.to_string()) }.line());
        });
        if let Err(error) = begun {
            busy.fetch_sub(1, Ordering::AcqRel);
            refused(error.to_string());
        }
    }
    Ok(())
}

/// The process that looks names up, as the one that serves BMCs has it.
pub(super) struct Names {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Names {
    /// Starts it: the same program, without variables, before this process is confined and may start none any more.
    pub(super) fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bmc", "names"])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::other("there is no pipe to the process that does it"));
        };
        let mut from = BufReader::new(from);
        if lines::next(&mut from)?.as_deref() != Some(READY) {
            drop(to);
            let _ = child.wait();
            return Err(Error::other("the process that does it ended at once"));
        }
        // A request is smaller than what a pipe takes whole or not at all, so that nobody waits for a process that is stopped.
        fcntl_setfl(&to, OFlags::NONBLOCK)?;
        Ok(Self { child, to, from })
    }

    /// Who asks it. From now on there is a thread: this process has its last rights by then.
    pub(super) fn resolver(self, journal: &BmcJournal) -> BmcResolver {
        let Self { mut child, to, from } = self;
        let ended = move || {
            let _ = child.wait();
        };
        connect(Box::new(to), from, PATIENCE, journal, ended)
    }
}

/// Who is asked if there is nobody who looks names up.
pub(super) fn nobody() -> BmcResolver {
    Arc::new(|_: &str, _: u16| Err(gone()))
}

/// Why no name is found any more.
fn gone() -> Error {
    let why = format!(
        "names of servers cannot be looked up, since the process that does it has ended; addresses can be used. Once this \
         process is ended (`kill {}`), systemd or `maquette up` starts both",
        std::process::id()
    );
    Error::new(ErrorKind::NotConnected, why)
}

/// What was asked, and who waits for it.
struct Asked {
    /// None once nobody answers any more.
    to: Option<Box<dyn Write + Send>>,
    last: u64,
    waiting: HashMap<u64, SyncSender<Found>>,
}

fn held(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Asked {
    /// Asks; the number of the request.
    fn send(&mut self, host: HostName, port: u16, waiting: SyncSender<Found>) -> Result<u64> {
        let Some(to) = &mut self.to else { return Err(gone()) };
        self.last += 1;
        let number = self.last;
        let line = Request { number, host, port }.line();
        match to.write(line.as_bytes()) {
            Ok(count) if count == line.len() => {
                self.waiting.insert(number, waiting);
                Ok(number)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(Error::new(ErrorKind::ResourceBusy, "too many names are looked up already"))
            }
            Ok(_) | Err(_) => {
                self.end();
                Err(gone())
            }
        }
    }

    /// Whoever waits hears that there is no answer.
    fn end(&mut self) {
        self.to = None;
        self.waiting.clear();
    }
}

/// Asks for a name, and waits for the answer. One that comes too late is nobody's.
fn ask(asked: &Mutex<Asked>, host: &str, port: u16, patience: Duration) -> Result<Vec<SocketAddr>> {
    let Some(host) = HostName::parse(host) else {
        return Err(Error::new(ErrorKind::InvalidInput, "it is not a name of a host"));
    };
    let (waiting, answer) = sync_channel(1);
    let number = held(asked).send(host, port, waiting)?;
    match answer.recv_timeout(patience) {
        Ok(found) => found.map_err(Error::other),
        Err(RecvTimeoutError::Disconnected) => Err(gone()),
        Err(RecvTimeoutError::Timeout) => {
            held(asked).waiting.remove(&number);
            let seconds = patience.as_secs();
            let why = format!("no server has answered for that name within {seconds} s");
            Err(Error::new(ErrorKind::TimedOut, why))
        }
    }
}

/// Hands answers to whoever waits for them, until there are no more, or nobody asks any more.
fn hear(mut from: impl BufRead, asked: &Weak<Mutex<Asked>>) {
    while let Ok(Some(line)) = lines::next(&mut from) {
        let (Some(answer), Some(asked)) = (Answer::parse(&line), asked.upgrade()) else { return };
        let waiting = held(&asked).waiting.remove(&answer.number);
        if let Some(waiting) = waiting {
            // Whoever has just given up has left.
            let _ = waiting.try_send(answer.found);
        }
    }
}

/// A resolver that asks over a pair of pipes; `ended` looks after what was at their other ends.
fn connect(
    to: Box<dyn Write + Send>,
    from: impl BufRead + Send + 'static,
    patience: Duration,
    journal: &BmcJournal,
    ended: impl FnOnce() + Send + 'static,
) -> BmcResolver {
    let asked = Arc::new(Mutex::new(Asked { to: Some(to), last: 0, waiting: HashMap::new() }));
    // Neither is kept: with the last who asks, or the last who listens, this process ends.
    let (heard, journal) = (Arc::downgrade(&asked), Arc::downgrade(journal));
    std::thread::spawn(move || {
        hear(from, &heard);
        if let Some(asked) = heard.upgrade() {
            held(&asked).end();
            if let Some(journal) = journal.upgrade() {
                journal(&gone().to_string());
            }
        }
        ended();
    });
    Arc::new(move |host: &str, port: u16| ask(&asked, host, port, patience))
}

#[cfg(test)]
mod tests;
