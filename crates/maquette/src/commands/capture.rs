//! `maquette capture`: what goes through an interface, as a pcap stream.

use std::fs::File;
use std::path::PathBuf;
use std::io::{Read, Write};
use std::path::Path;

use maquette_core::diagnostic::Diagnostic;
use maquette_engine::StepError;
use maquette_engine::host::Command;

use super::link;
use crate::commands::link::Cable;
use crate::failure::Failure;

use crate::world::World;

/// Arguments of `capture`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which interface.
    #[command(flatten)]
    pub cable: Cable,
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

/// It ends with our end of its pipes: the reader of its output goes away, or its input closes.
const SCRIPT: &str = r#"exec 3<&0
command -v tcpdump >/dev/null || exit 45
tap=$1 count=$2
shift 2
[ -z "$count" ] || set -- -c "$count" "$@"
tcpdump -i "$tap" -n -s 0 -U -w - "$@" &
dump=$!
( cat; kill $dump ) <&3 >/dev/null 2>&1 &
wait $dump"#;

/// Exit status of the script without tcpdump.
const NO_TCPDUMP: i32 = 45;

/// Records until it is stopped.
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
    let found = link::find(world, &args.cable)?;
    let failed = |e: &dyn std::error::Error| {
        Failure::because(format!("cannot capture {}", found.label()), e)
    };
    let mut file = args.write.as_ref().map(File::create).transpose().map_err(|e| failed(&e))?;
    let mut words = vec![found.tap.clone(), args.count.map_or(String::new(), |n| n.to_string())];
    words.extend(args.filter.iter().cloned());
    let script = Command::script(SCRIPT, words);
    let mut child = found.connection.host.spawn(&script).map_err(|e| failed(&e))?;
    world.terminal.talk(&format!("capturing {} ({} on the hypervisor)", found.label(), found.tap));
    // Kept open for as long as we listen.
    let leash = child.stdin.take();
    let mut buffer = [0u8; 65_536];
    let mut unwritten = None;
    if let Some(mut out) = child.stdout.take() {
        while let Ok(count @ 1..) = out.read(&mut buffer) {
            let bytes = &buffer[..count];
            let taken = match &mut file {
                Some(file) => file.write_all(bytes),
                None if world.terminal.bytes(bytes) => Ok(()),
                // Why nobody reads any more is told at the end.
                None => break,
            };
            if let Err(error) = taken {
                unwritten = Some(error);
                break;
            }
        }
    }
    drop(leash);
    let mut said = String::new();
    if let Some(mut complaints) = child.stderr.take() {
        // What cannot be read was no text.
        let _ = complaints.read_to_string(&mut said);
    }
    let status = child.wait().map_err(|e| failed(&e))?;
    if let Some(error) = unwritten {
        let path = args.write.as_deref().unwrap_or(Path::new("")).display();
        return Err(Failure::because(format!("cannot write {path}"), &error));
    }
    match status.code() {
        Some(0) | None => Ok(0),
        Some(NO_TCPDUMP) => {
            let error = StepError::new("the hypervisor has no tcpdump");
            Err(Failure::Failed(error.hint("install the package `tcpdump` there")))
        }
        // It was stopped by us.
        Some(143) => Ok(0),
        Some(_) => {
            let mut error = StepError::new(format!("cannot capture {}", found.label()));
            let lines = said.lines().filter(|l| !l.starts_with("tcpdump: listening"));
            error.causes = lines.map(String::from).collect();
            Err(Failure::Failed(error))
        }
    }
}
