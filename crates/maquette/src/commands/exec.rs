//! `maquette exec`: a command on many nodes at once, over SSH.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use maquette_engine::StepError;
use serde_json::json;

use super::ssh_routes::{Route, Routes};
use crate::cli::Place;
use crate::failure::Failure;
use crate::signals;
use crate::world::World;

/// Arguments of `exec`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
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
const NODES: &str = "Nodes, node types, Ansible groups, or patterns such as 'web-*' [default: all that can be logged in to]";

/// Most bytes that are kept of what a node says, where it is printed only afterwards.
const MOST_KEPT: usize = 4 << 20;

/// Exit status of ssh itself: the connection failed.
const SSH_FAILED: i32 = 255;

/// What came of the command on one node.
#[derive(Debug, Clone, Default)]
struct Outcome {
    /// Exit status; none if the command did not run or was killed.
    status: Option<i32>,
    /// Why it did not run.
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
    let stopped = routes.stopped(world, &targets);
    signals::watch(&world.terminal).map_err(|e| Failure::because("cannot catch signals", e))?;
    let outcomes = on_all(world, args, &targets, &stopped);
    let failed: Vec<(&String, &Outcome)> = outcomes.iter().filter(|(_, o)| !o.is_good()).collect();
    if args.json {
        world.terminal.result(&format!("{:#}", as_json(&outcomes)));
    }
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
    let off = failed.iter().map(|(name, _)| name.as_str()).filter(|name| stopped.contains(*name));
    let off: Vec<&str> = off.collect();
    Err(Failure::Failed(match off.is_empty() {
        true => error,
        false => {
            error.hint(format!("`maquette start {}` starts what is not running", off.join(" ")))
        }
    }))
}

/// Runs the command on all `targets`, on at most `--parallel` at once, and returns the outcomes by node. On nodes that
/// are `stopped` it is not tried.
fn on_all(
    world: &World,
    args: &Args,
    targets: &[Route],
    stopped: &BTreeSet<String>,
) -> BTreeMap<String, Outcome> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        while let Some(route) = targets.get(next.fetch_add(1, Ordering::SeqCst)) {
            let outcome = match stopped.contains(&route.name) {
                true => Outcome::not("it is not running"),
                false => on_one(world, args, route)
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
fn on_one(world: &World, args: &Args, route: &Route) -> std::io::Result<Outcome> {
    let mut ssh = Command::new("ssh");
    ssh.args(route.options(["-T", "-o", "BatchMode=yes"]));
    ssh.arg("--").arg(&route.destination).args(&args.command);
    ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = ssh.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let keeps = args.group_output || args.json;
    let read = |stream: Option<Box<dyn Read + Send>>, which: usize| {
        let (mut kept, mut cut) = (Vec::new(), false);
        let Some(stream) = stream else { return (kept, cut) };
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        // A line without an end is printed in pieces.
        while (&mut reader).take(1 << 16).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if !keeps {
                print(world, &route.name, which, &line);
            } else if !cut && kept.len() + line.len() <= MOST_KEPT {
                kept.append(&mut line);
            } else {
                cut = true;
            }
            line.clear();
        }
        (kept, cut)
    };
    let ((out, cut_out), (err, cut_err)) = std::thread::scope(|scope| {
        let err = scope.spawn(|| read(err.map(|e| Box::new(e) as _), 1));
        let out = read(out.map(|o| Box::new(o) as _), 0);
        (out, err.join().unwrap_or_default())
    });
    let status = child.wait()?.code();
    Ok(Outcome { status, why: None, output: [out, err], cut: cut_out || cut_err })
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
