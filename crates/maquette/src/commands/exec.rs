//! `maquette exec`: a command on many nodes at once, over SSH.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use maquette_engine::StepError;
use serde_json::json;

use super::ssh_routes::{self, Route, Routes};
use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::signals;
use crate::world::World;

/// Arguments of `exec`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// Which nodes.
    #[arg(value_name = "NODE", help = NODES)]
    pub nodes: Vec<String>,
    /// The command, for the login shell there, as with ssh
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// On how many nodes it runs at once
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub parallel: u16,
    /// Print what each node says in one piece, after it has ended
    #[arg(long, conflicts_with = "json")]
    pub group_output: bool,
    /// Print what came of it as JSON, after all have ended
    #[arg(long)]
    pub json: bool,
}

/// Which nodes, for the help.
const NODES: &str = "Nodes, node types, Ansible groups, or patterns such as 'web-*', also as USER@NODE [default: all that can be logged in to]";

/// Most bytes that are kept of what a node says, where it is printed only afterwards.
const MOST_KEPT: usize = 4 << 20;

/// Most bytes that are kept of all nodes at a time.
const MOST_OF_ALL: usize = 256 << 20;

/// Room for what is kept of all nodes.
struct Room(AtomicUsize);

impl Room {
    /// Whether there is room for so many more bytes, which are taken then.
    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }

    /// These are not kept any more.
    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::SeqCst);
    }
}

/// Exit status of ssh itself: the connection failed.
const SSH_FAILED: i32 = 255;

/// What came of the command on one node.
#[derive(Debug, Clone, Default)]
struct Outcome {
    /// Exit status; none if the command did not run or was killed.
    status: Option<i32>,
    /// Why it did not run, or why the connection failed.
    why: Option<String>,
    /// Standard output and standard error, as far as they are kept.
    output: [Vec<u8>; 2],
    /// Whether there was more output than is kept.
    cut: bool,
}

impl Outcome {
    /// It did not run, and why.
    fn not(why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..Self::default() }
    }

    fn is_good(&self) -> bool {
        self.status == Some(0)
    }

    /// Whether there may have been no connection.
    fn is_lost(&self) -> bool {
        self.status == Some(SSH_FAILED)
    }

    /// What was wrong, in a few words.
    fn wrong(&self) -> String {
        match (&self.why, self.status) {
            (Some(why), _) => why.clone(),
            (None, Some(SSH_FAILED)) => "no connection, or exit status 255".into(),
            (None, Some(status)) => format!("exit status {status}"),
            (None, None) => "killed by a signal".into(),
        }
    }
}

/// Runs the command on all nodes. Fails if it failed on one of them, once all have ended.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let routes = Routes::open(world, &args.place)?;
    let targets = routes.select(&args.nodes)?;
    if targets.is_empty() {
        return Err(Failure::Failed(StepError::new("there is no node that can be logged in to")));
    }
    let away = routes.away(world, &targets)?;
    signals::watch(&world.terminal).map_err(|e| Failure::because("cannot catch signals", e))?;
    let mut outcomes = on_all(world, args, &targets, &away);
    let silent = explain(world, &routes, &targets, &mut outcomes);
    if args.json {
        world.terminal.result(&format!("{:#}", as_json(&outcomes)));
    }
    let silent = silent?;
    let failed: Vec<(&String, &Outcome)> = outcomes.iter().filter(|(_, o)| !o.is_good()).collect();
    let count = outcomes.len();
    let nodes = if count == 1 { "1 node".to_string() } else { format!("{count} nodes") };
    if failed.is_empty() {
        if !args.json {
            world.terminal.talk(&format!("the command succeeded on {nodes}"));
        }
        return Ok(0);
    }
    let mut error = StepError::new(format!("the command failed on {} of {nodes}", failed.len()));
    error.causes = failed.iter().map(|(name, o)| format!("{name}: {}", o.wrong())).collect();
    let waits = |why: &str| [ssh_routes::OFF, ssh_routes::COMING].contains(&why);
    let off = failed.iter().filter(|(_, o)| o.why.as_deref().is_some_and(waits));
    let off: Vec<&str> = off.map(|(name, _)| name.as_str()).collect();
    if !off.is_empty() {
        error = error.hint(match routes.changed_by(world) {
            Some(who) => ssh_routes::being_changed(&who),
            None => format!("`maquette start {}` starts what is not running", off.join(" ")),
        });
    }
    if !silent.is_empty() {
        error = error.hint(format!("`maquette doctor {}` looks for the cause", silent.join(" ")));
    }
    Err(Failure::Failed(error))
}

/// Finds out of nodes that `ssh` had no connection to why they do not answer, and returns those that run and do not. An error
/// if nothing of the environment is there any more.
fn explain(
    world: &World,
    routes: &Routes,
    targets: &[Route],
    outcomes: &mut BTreeMap<String, Outcome>,
) -> Result<Vec<String>, Failure> {
    let lost = |route: &&Route| outcomes.get(&route.name).is_some_and(Outcome::is_lost);
    let lost: Vec<Route> = targets.iter().filter(lost).cloned().collect();
    let mut silent = Vec::new();
    for (name, why) in routes.silence(world, &lost)? {
        let is_away = [ssh_routes::OFF, ssh_routes::GONE].contains(&why.as_str());
        if let Some(outcome) = outcomes.get_mut(&name) {
            outcome.why = Some(if is_away { why } else { format!("it does not answer: {why}") });
        }
        silent.extend((!is_away).then_some(name));
    }
    Ok(silent)
}

/// Runs the command on all `targets`, on at most `--parallel` at once, and returns the outcomes by node. On nodes that
/// are `away` it is not tried.
fn on_all(
    world: &World,
    args: &Args,
    targets: &[Route],
    away: &BTreeMap<String, &'static str>,
) -> BTreeMap<String, Outcome> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let room = Room(AtomicUsize::new(MOST_OF_ALL));
    let work = || {
        while let Some(route) = targets.get(next.fetch_add(1, Ordering::SeqCst)) {
            let mut outcome = match away.get(&route.name) {
                Some(why) => Outcome::not(*why),
                None => on_one(world, args, route, &room)
                    .unwrap_or_else(|e| Outcome::not(format!("cannot run ssh: {e}"))),
            };
            // What one node said is printed in one piece.
            let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            if args.group_output {
                for (which, output) in outcome.output.iter().enumerate() {
                    let lines = output.split_inclusive(|byte| *byte == b'\n');
                    lines.for_each(|line| print(world, &route.name, which, line));
                }
                if outcome.cut {
                    world
                        .terminal
                        .talk(&format!("{}: it said more, which was not kept", route.name));
                }
                room.give_back(outcome.output.iter().map(Vec::len).sum());
                outcome.output = Default::default();
            }
            outcomes.insert(route.name.clone(), outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..targets.len().min(args.parallel.into()) {
            scope.spawn(work);
        }
    });
    outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the command on one node. Nobody can type, so `ssh` must not ask for anything.
fn on_one(world: &World, args: &Args, route: &Route, room: &Room) -> std::io::Result<Outcome> {
    let mut ssh = Command::new("ssh");
    ssh.args(route.options(["-T", "-o", "BatchMode=yes"]));
    ssh.arg("--").arg(&route.destination).args(&args.command);
    ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = ssh.spawn()?;
    let _helper = signals::Helper::with(&child, Some(&route.name));
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let keeps = args.group_output || args.json;
    let room = keeps.then_some(room);
    let read = |stream: Option<Box<dyn Read + Send>>, which: usize| {
        stream.map_or_else(Default::default, |stream| {
            read(stream, room, &mut |line| print(world, &route.name, which, line))
        })
    };
    let ((out, cut_out), (err, cut_err)) = std::thread::scope(|scope| {
        let err = scope.spawn(|| read(err.map(|e| Box::new(e) as _), 1));
        let out = read(out.map(|o| Box::new(o) as _), 0);
        (out, err.join().unwrap_or_default())
    });
    let status = child.wait()?.code();
    Ok(Outcome { status, why: None, output: [out, err], cut: cut_out || cut_err })
}

/// Reads to the end: what it keeps, as far as there is room, and whether there was more; without room, each line is printed.
fn read(stream: impl Read, room: Option<&Room>, print: &mut dyn FnMut(&[u8])) -> (Vec<u8>, bool) {
    let (mut kept, mut cut) = (Vec::new(), false);
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    // A line without an end is printed in pieces.
    while (&mut reader).take(1 << 16).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        match room {
            None => print(&line),
            Some(room) => {
                cut = cut || kept.len() + line.len() > MOST_KEPT || !room.take(line.len());
                if !cut {
                    kept.append(&mut line);
                }
            }
        }
        line.clear();
    }
    (kept, cut)
}

/// Prints a line of a node's with the node's name before it; `which` is 0 for standard output, 1 for standard error.
fn print(world: &World, name: &str, which: usize, line: &[u8]) {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if which == 0 {
        let line = [name.as_bytes(), b": ", text, b"\n"].concat();
        world.terminal.output(&line);
    } else {
        world.terminal.talk(&format!("{name}: {}", String::from_utf8_lossy(text)));
    }
}

fn as_json(outcomes: &BTreeMap<String, Outcome>) -> serde_json::Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let nodes = outcomes.iter().map(|(name, outcome)| {
        json!({
            "name": name,
            "status": outcome.status,
            "error": outcome.why,
            "stdout": text(&outcome.output[0]),
            "stderr": text(&outcome.output[1]),
            "truncated": outcome.cut,
        })
    });
    json!({"schema": 1, "nodes": nodes.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_say_is_kept_only_as_long_as_there_is_room_for_it_all() {
        let room = Room(AtomicUsize::new(10));
        let read = |text: &str| read(text.as_bytes(), Some(&room), &mut |_| panic!("it is kept"));
        assert_eq!(read("12345\n"), (b"12345\n".to_vec(), false));
        assert_eq!(read("12\n12\n"), (b"12\n".to_vec(), true));
        room.give_back(6);
        assert_eq!(read("12345\n1\n"), (b"12345\n".to_vec(), true));
        // What one says has a limit of its own, and does not use up more than that.
        let room = Room(AtomicUsize::new(2 * MOST_KEPT));
        let (kept, cut) =
            super::read(std::io::repeat(b'x').take(1 << 23), Some(&room), &mut |_| {});
        assert!(cut && kept.len() <= MOST_KEPT && room.take(MOST_KEPT));
    }
}
