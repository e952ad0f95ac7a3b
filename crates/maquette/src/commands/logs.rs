//! `maquette logs`.

use std::io::Read;

use maquette_engine::StepError;
use maquette_engine::host::Command;

use super::nodes;
use crate::cli::Place;
use crate::failure::Failure;
use crate::session::connection;
use crate::{load, session};
use crate::world::World;

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// The node
    pub node: String,
    /// Go on printing what it writes
    #[arg(short, long)]
    pub follow: bool,
    /// How many lines from the end [default: all]
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub lines: Option<u64>,
}

/// Prints what virtlogd has rotated, oldest first, and then the log itself; or follows it, whatever is
/// rotated meanwhile.
const SCRIPT: &str = r#"log=$1 lines=$2 follow=$3
[ -e "$log" ] || exit 44
if [ "$follow" = yes ]; then
    exec tail -n "$lines" -F -- "$log" 2>/dev/null
fi
for file in "$log.2" "$log.1" "$log.0" "$log"; do
    [ ! -e "$file" ] || cat -- "$file"
done | tail -n "$lines""#;

/// Exit status of the script if there is no log.
const NO_FILE: i32 = 44;

/// Prints a node's serial log.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located(&args.place)?;
    let connection = connection::open(world, &located.host, &located.workspace)?;
    let hypervisor = session::running(world, &connection, &located.environment, &located.pool)?;
    let observed = hypervisor.observed();
    let names = nodes::resolve(world, std::slice::from_ref(&args.node), &located, &observed, false)?;
    let Some((name, domain)) = names.first().and_then(|n| Some((n, observed.domains.get(n)?)))
    else {
        return Ok(1);
    };
    let log = maquette_libvirt::xml::serial_log(name, domain.recorded.serial_file);
    let lines = args.lines.map_or("+1".to_string(), |n| n.to_string());
    let follow = if args.follow { "yes" } else { "no" };
    let command = Command::script(SCRIPT, [log.as_str(), &lines, follow]);
    let failed = |e: &dyn std::error::Error| Failure::because(format!("cannot read {log}"), e);
    let mut child = connection.host.spawn(&command).map_err(|e| failed(&e))?;
    let mut buffer = [0u8; 8192];
    if let Some(mut out) = child.stdout.take() {
        while let Ok(count @ 1..) = out.read(&mut buffer) {
            if !world.terminal.output(&buffer[..count]) {
                // Nobody reads any more; the log's reader must not outlive us.
                let _ = child.kill();
                break;
            }
        }
    }
    let status = child.wait().map_err(|e| failed(&e))?;
    if status.code() == Some(NO_FILE) {
        let error = StepError::new(format!("`{name}` has no serial log yet, at {log}"));
        return Err(Failure::Failed(error.hint("it begins when the node is started")));
    }
    Ok(0)
}
