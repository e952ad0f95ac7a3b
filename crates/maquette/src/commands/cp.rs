//! `maquette cp`: `scp` with the workspace's ssh config.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::syntax::Sources;
use serde_json::json;

use super::foreground::{self, NO_CONNECTION};
use super::ssh_routes::{Route, Routes};
use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::world::World;

/// Arguments of `cp`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// Copy directories with all that is in them
    #[arg(short, long)]
    pub recursive: bool,
    /// Keep times and modes
    #[arg(short, long)]
    pub preserve: bool,
    /// Copy without SFTP, for guests whose SSH server does not have it
    #[arg(short = 'O', long)]
    pub no_sftp: bool,
    /// Print what came of it as JSON, once it has ended; nothing is asked for
    #[arg(long)]
    pub json: bool,
    /// What to copy: files here, NODE:PATH or USER@NODE:PATH
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Where to: a path here, NODE:PATH or USER@NODE:PATH
    #[arg(value_name = "DESTINATION")]
    pub destination: String,
}

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side<'a> {
    /// A file of this machine.
    Here(&'a str),
    /// One of a node.
    There { node: &'a str, path: &'a str },
}

/// Which side a word names. As with `scp`, a colon before the first slash ends a node's name.
fn side(word: &str) -> Side<'_> {
    match word.split_once(':') {
        Some((node, path)) if !node.is_empty() && !node.contains('/') => Side::There { node, path },
        _ => Side::Here(word),
    }
}

/// Replaces this process by `scp`, whose exit code and progress are then the user's; returns only if that fails, or where
/// nodes are another hypervisor's, of which it is found out only afterwards why there was no connection.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let routes = Routes::open(world, &args.place)?;
    let mut led: Vec<Route> = Vec::new();
    let mut words = Vec::new();
    for word in args.sources.iter().chain([&args.destination]) {
        match side(word) {
            Side::Here(path) => words.push(path.to_string()),
            Side::There { node, path } => {
                let route = routes.one(node).map_err(|e| or_a_file(e, word))?;
                words.push(route.path(path));
                led.push(route);
            }
        }
    }
    let Some(first) = led.first() else { return Err(nowhere()) };
    if let Some(other) = led.iter().find(|route| !route.leads_as(first)) {
        let what = format!("{} and {} are reached in different ways", first.name, other.name);
        let error = Diagnostic::error("cp::routes", what);
        return Err(Failure::input(error.help("copy to this machine first, and from here")));
    }
    must_be_there(args)?;
    routes.must_all_run(world, &led)?;
    let mut scp = Command::new("scp");
    scp.args(first.options([]));
    scp.args(args.no_sftp.then_some("-O"));
    scp.args(args.recursive.then_some("-r")).args(args.preserve.then_some("-p"));
    // From node to node it goes through this machine, which has the keys.
    scp.args((led.len() > 1).then_some("-3")).args(args.json.then_some("-B"));
    scp.arg("--").args(words);
    if !args.json && !routes.are_elsewhere(&led) {
        return Err(Failure::because("cannot run scp", scp.exec()));
    }
    let status = match args.json {
        true => told(world, args, scp)?,
        false => {
            foreground::run(world, &mut scp).map_err(|e| Failure::because("cannot run scp", e))?
        }
    };
    if status == NO_CONNECTION {
        routes.explain_lost(world, &led).map_err(|failure| failure.with_status(status))?;
    }
    Ok(status)
}

/// Waits for `scp`, and prints what came of it.
fn told(world: &World, args: &Args, mut scp: Command) -> Result<u8, Failure> {
    let (said, status) =
        heard(&mut scp, MOST_SAID).map_err(|e| Failure::because("cannot run scp", e))?;
    let said = String::from_utf8_lossy(&said);
    said.lines().for_each(|line| world.terminal.talk(line));
    let value = json!({
        "schema": 1,
        "sources": args.sources,
        "destination": args.destination,
        "status": status,
        "error": said.lines().rfind(|line| !line.is_empty()).filter(|_| status != Some(0)),
    });
    world.terminal.result(&format!("{value:#}"));
    Ok(status.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Most bytes that `scp` and the nodes' login shells may print on standard error.
const MOST_SAID: usize = 1 << 20;

/// Runs a program to its end: what it prints on standard error, and its exit status. A guest's login shell that prints
/// without an end does not fill this machine's memory: the program is ended, which is said after what it printed.
fn heard(program: &mut Command, most: usize) -> std::io::Result<(Vec<u8>, Option<i32>)> {
    let mut child =
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut said = Vec::new();
    // Open until it is ended: it would end by itself when it prints to a pipe that nobody reads.
    let mut stderr = child.stderr.take();
    if let Some(stderr) = &mut stderr {
        stderr.take(most as u64 + 1).read_to_end(&mut said)?;
    }
    if said.len() > most {
        child.kill()?;
        said.truncate(most);
        said.extend(format!("\nended, since more than {} KiB were printed\n", most >> 10).bytes());
    }
    Ok((said, child.wait()?.code()))
}

/// Refuses files of this machine that are not there: `scp` ends as if there were no connection.
fn must_be_there(args: &Args) -> Result<(), Failure> {
    let here = args.sources.iter().filter_map(|word| match side(word) {
        Side::Here(path) => Some(path),
        Side::There { .. } => None,
    });
    let mut diags = Diagnostics::default();
    for path in here {
        if let Err(why) = std::fs::metadata(path) {
            diags.push(Diagnostic::error("cp::source", format!("cannot read `{path}`: {why}")));
        }
    }
    match diags.has_errors() {
        true => Err(Failure::Input(diags, Sources::default())),
        false => Ok(()),
    }
}

fn nowhere() -> Failure {
    let error = Diagnostic::error("cp::here", "neither source nor destination is on a node");
    Failure::input(
        error.help("a path on a node is NODE:PATH, as in `maquette cp notes.txt web-0:/tmp/`"),
    )
}

/// Adds to the error of an unknown node how a local file with a colon in its name is written.
fn or_a_file(failure: Failure, word: &str) -> Failure {
    let hint = format!("a local file of that name is written `./{word}`");
    match failure {
        Failure::Failed(error) => Failure::Failed(error.hint(hint)),
        Failure::Input(diags, sources) => {
            let with_hint = |error: &Diagnostic| match error.code {
                "node::unknown" => error.clone().help(hint.clone()),
                _ => error.clone(),
            };
            let mut hinted = Diagnostics::default();
            diags.iter().map(with_hint).for_each(|error| hinted.push(error));
            Failure::Input(hinted, sources)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a guest's login shell prints is its own business, but for this machine's memory.
    #[test]
    fn who_prints_without_an_end_is_ended() {
        let mut endless = Command::new("sh");
        endless.args(["-c", "yes >&2"]);
        let (said, status) = heard(&mut endless, 4096).unwrap();
        assert_eq!(status, None);
        let said = String::from_utf8(said).unwrap();
        assert!(said.ends_with("ended, since more than 4 KiB were printed\n"), "{said}");
        assert!(said.len() < 5000);
        let mut short = Command::new("sh");
        short.args(["-c", "echo no >&2; exit 3"]);
        assert_eq!(heard(&mut short, 4096).unwrap(), (b"no\n".to_vec(), Some(3)));
    }

    #[test]
    fn a_colon_before_the_first_slash_ends_a_nodes_name() {
        assert_eq!(side("web-0:/etc/hosts"), Side::There { node: "web-0", path: "/etc/hosts" });
        assert_eq!(side("web-0:"), Side::There { node: "web-0", path: "" });
        assert_eq!(side("./a:b"), Side::Here("./a:b"));
        assert_eq!(side(":b"), Side::Here(":b"));
        assert_eq!(side("notes.txt"), Side::Here("notes.txt"));
    }
}
