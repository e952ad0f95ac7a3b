//! `maquette capture`: what goes through an interface, as a pcap stream.

use std::io::Write;
use std::path::{Path, PathBuf};

use maquette_core::diagnostic::Diagnostic;
use maquette_engine::net::capture::{CaptureError, Filter, capture};
use maquette_engine::{Cause, StepError};

use super::link;
use crate::commands::link::InterfaceArgs;
use crate::failure::Failure;
use crate::userfile::{self, Content};
use crate::world::World;

/// Arguments of `capture`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which interface.
    #[command(flatten)]
    pub interface: InterfaceArgs,
    /// File to write [default: standard output, for `| wireshark -k -i -`]
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// End after so many frames [default: with Ctrl-C]
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub count: Option<u64>,
    /// Which frames, as tcpdump has it: `udp port 67`
    #[arg(last = true, value_name = "FILTER")]
    pub filter: Vec<String>,
}

/// Records until Ctrl-C, until as many frames were seen as were asked for, or until nobody reads any more. Refuses to
/// write to a terminal.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let to_terminal = args.write.is_none() && world.terminal.shows_results();
    if to_terminal {
        let error = Diagnostic::error("capture::terminal", "a terminal cannot show a pcap stream");
        return Err(Failure::input(
            error
                .help("write it to a file with `--write FILE`")
                .help("or look at it: `… | wireshark -k -i -`, `… | tcpdump -n -r -`"),
        ));
    }
    let found = link::find(world, &args.interface)?;
    let failed = |e: Cause| Failure::because(format!("cannot capture {}", found.label()), e);
    // Passwords may go through it.
    let file = args.write.as_ref().map(|path| userfile::open(path, Content::Private));
    let mut file = file.transpose().map_err(|e| failed(e.into()))?;
    let filter = Filter { count: args.count, words: args.filter.clone() };
    let begun = format!("capturing {} ({} on the hypervisor)", found.label(), found.tap);
    let mut unwritten = None;
    let mut take = |bytes: &[u8]| match &mut file {
        Some(file) => file.write_all(bytes).map_err(|e| unwritten = Some(e)).is_ok(),
        // Whether output was lost is said when the command ends.
        None => world.terminal.bytes(bytes),
    };
    let host = found.session.connection.host.as_ref();
    let ended = capture(host, &found.tap, &filter, &mut || world.terminal.talk(&begun), &mut take);
    if let Some(error) = unwritten {
        let path = args.write.as_deref().unwrap_or(Path::new("")).display();
        return Err(Failure::because(format!("cannot write {path}"), error));
    }
    match ended {
        Ok(()) => Ok(0),
        Err(CaptureError::NoTcpdump) => {
            let error = StepError::new("the hypervisor has no tcpdump");
            Err(Failure::Failed(error.hint("install the package `tcpdump` there")))
        }
        Err(CaptureError::Tcpdump(lines)) => {
            let mut error = StepError::new(format!("cannot capture {}", found.label()));
            error.causes = lines;
            Err(Failure::Failed(error))
        }
        Err(CaptureError::Host(error)) => Err(failed(error.into())),
    }
}
