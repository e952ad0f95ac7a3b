//! `maquette bmc serve`: the process on the hypervisor that BMCs are served by.

use std::error::Error;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use maquette_engine::StepError;
use maquette_engine::bmc::{ADDRESS_TAKEN, LOG};
use maquette_libvirt::{BmcJournal, ServeError};

use super::names::{self, Names};
use super::rights;
use crate::failure::Failure;
use crate::session::connection;
use crate::world::World;

/// Arguments of `bmc serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory; with `--check` the file in it that says what is to be served
    pub directory: PathBuf,
    /// Try what it takes, and serve nothing
    #[arg(long)]
    pub check: bool,
}

/// How large the log may become where no journal takes the lines; as much of what was before is kept beside it.
const LARGEST: u64 = 1 << 20;

/// Shortens a log that has become large: the oldest lines go. Where a journal takes them there is none.
fn bound(log: &Path, largest: u64) -> std::io::Result<()> {
    match log.symlink_metadata() {
        Ok(about) if about.is_file() && about.len() >= largest => {}
        _ => return Ok(()),
    }
    let kept = std::fs::copy(log, log.with_extension("old"));
    // Whoever writes it appends. A disk that is full is no reason for a log without an end.
    OpenOptions::new().write(true).open(log)?.set_len(0)?;
    kept.map(|_| ())
}

/// Serves for ever, or tries what it takes.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let uri = connection::local_uri(world);
    // Before this process is confined, and can start none any more. Nobody looks a name up where this is tried.
    let names = (!args.check).then(Names::start);
    // Before there are threads, which would keep what they have.
    rights::give_away().map_err(|e| Failure::because("cannot give up rights", e))?;
    // With `--check` that of the file.
    let own = if args.check { args.directory.parent() } else { Some(args.directory.as_path()) };
    let confined = own.map_or(Ok(true), rights::confine);
    match confined.map_err(|e| Failure::because("cannot restrict itself to its own files", e))? {
        true => {}
        false => world.terminal.talk(
            "this kernel cannot keep the process from files of others (Landlock, Linux 5.13)",
        ),
    }
    match names {
        None => check(world, &args.directory, &uri),
        Some(names) => serve(world, &args.directory, uri, names),
    }
}

fn failed(error: ServeError) -> Failure {
    Failure::because("cannot serve BMCs", error)
}

/// Tries what serving the BMCs of a file takes.
fn check(world: &World, file: &Path, uri: &str) -> Result<u8, Failure> {
    match maquette_libvirt::check_bmcs(file, uri) {
        Ok(count) => {
            world.terminal.result(&format!("{count} BMCs can be served"));
            Ok(0)
        }
        Err(error) if error.is_about_address() => {
            let why = error.source().map_or_else(String::new, |why| format!(": {why}"));
            world.terminal.talk(&format!("{error}{why}"));
            Ok(ADDRESS_TAKEN)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Serves the BMCs of a directory.
fn serve(
    world: &World,
    directory: &Path,
    uri: String,
    names: std::io::Result<Names>,
) -> Result<u8, Failure> {
    let (sender, lines) = mpsc::channel();
    let journal: BmcJournal = Arc::new(move |line: &str| {
        // Nobody reads any more: this process ends.
        let _ = sender.send(line.to_string());
    });
    let resolver = match names {
        Ok(names) => names.resolver(&journal),
        Err(error) => {
            world.terminal.talk(&format!("names of servers cannot be looked up: {error}"));
            names::nobody()
        }
    };
    let served = directory.to_path_buf();
    let serving =
        std::thread::spawn(move || maquette_libvirt::serve_bmcs(&served, &uri, &journal, resolver));
    let log = directory.join(LOG);
    for line in lines {
        let bounded = bound(&log, LARGEST);
        world.terminal.talk(&line);
        if let Err(error) = bounded {
            world.terminal.talk(&format!("what was logged before is lost: {error}"));
        }
    }
    match serving.join() {
        Ok(served) => served.map(|()| 0).map_err(failed),
        Err(_) => Err(Failure::Failed(StepError::new("what serves BMCs ended"))),
    }
}

/// Arguments of `bmc tell`.
#[derive(Debug, clap::Args)]
pub struct TellArgs {
    /// The directory
    pub directory: PathBuf,
    /// The node, and what to do
    #[arg(required = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// Tells a BMC what to do, and prints what it says.
pub fn tell(world: &World, args: &TellArgs) -> Result<u8, Failure> {
    let said = maquette_libvirt::ask_bmc(&args.directory, &args.words)
        .map_err(|e| Failure::because("the BMC did not do it", e))?;
    world.terminal.result(&said.join(" "));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_log_does_not_end_and_does_not_grow() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join(LOG);
        // There is none, since a journal takes the lines.
        bound(&log, 100).unwrap();
        let mut lines = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        for number in 0..1000 {
            bound(&log, 100).unwrap();
            writeln!(lines, "line {number}").unwrap();
        }
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        let (now, before) = (text(&log), text(&log.with_extension("old")));
        assert!(now.ends_with("line 999\n"), "{now}");
        assert!(now.len() < 120 && (100..120).contains(&before.len()), "{now}{before}");
        // None between them is lost.
        let all: Vec<String> = (before + &now).lines().map(String::from).collect();
        let first: usize = all[0].strip_prefix("line ").unwrap().parse().unwrap();
        assert_eq!(all.len(), 1000 - first);
        // What is no file is left alone.
        std::fs::remove_file(&log).unwrap();
        std::os::unix::fs::symlink("/dev/null", &log).unwrap();
        bound(&log, 0).unwrap();
        assert!(log.is_symlink());
    }
}
