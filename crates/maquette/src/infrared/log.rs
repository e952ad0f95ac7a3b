//! InfraRed's records of what was typed: an argument file in the workspace and a command log,
//! both readable by their owner only and without secrets.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use maquette_core::convert::HIDDEN;
use maquette_core::image::redact;
use maquette_core::scrub::is_secret_name;
use maquette_engine::host::Command;
use maquette_engine::private_file::write_private;

use super::options;
use super::values::InfraredValues;
use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::workspace::named::Workspaces;
use crate::world::World;

/// Largest command log before it is put aside, in bytes.
const LARGEST: u64 = 5 << 20;

/// The local time, as InfraRed writes it into names.
pub fn now(world: &World) -> String {
    let time = jiff::Timestamp::try_from((world.clock)()).unwrap_or_default();
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d_%H-%M-%S").to_string()
}

fn shown(name: &str, value: &str) -> String {
    if options::find(name).is_some_and(|option| option.secret) {
        return HIDDEN.into();
    }
    masked(value)
}

/// `key=value` of a password hides its value, and an address what may be secret in it.
fn masked(text: &str) -> String {
    match text.split_once('=') {
        Some((key, _)) if !key.contains("://") && is_secret_name(key) => format!("{key}={HIDDEN}"),
        // What comes before an address has neither `@` nor `?` in it.
        _ => match text.find("://").map(|at| text[..at].rfind('=').map_or(0, |n| n + 1)) {
            Some(begin) => format!("{}{}", &text[..begin], redact(&text[begin..])),
            None => text.to_string(),
        },
    }
}

/// Rewrites the argument file: the options of this command line.
pub fn arguments(workspace: &Workspace, given: &InfraredValues) -> Result<(), Failure> {
    let mut text = String::from("plugin: virsh\n");
    for (name, values) in given.line() {
        let list = options::find(name).is_some_and(|o| o.kind == options::OptionKind::Addresses);
        let values: Vec<String> = values.iter().map(|v| shown(name, v)).collect();
        let value = if list {
            let quoted: Vec<String> = values.iter().map(|v| format!("'{v}'")).collect();
            format!("[{}]", quoted.join(", "))
        } else {
            values.last().cloned().unwrap_or_default()
        };
        text.push_str(&format!("{name}: {value}\n"));
    }
    write_private(&workspace.file("virsh_all_argument_file.txt"), text.as_bytes())
        .map_err(|e| workspace.unwritten(e))
}

/// Appends the command to the log.
pub fn command(world: &World, args: &[String], given: &InfraredValues) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::because("cannot write the command log", e);
    let path = Workspaces::of(&world.environment).home.join("ir-commands.log");
    if path.metadata().is_ok_and(|m| m.len() > LARGEST) {
        std::fs::rename(&path, path.with_extension("log.1")).map_err(failed)?;
    }
    let mut line = Command::new("maquette").arg("virsh");
    let mut secret = false;
    for arg in args {
        let name = arg.trim_start_matches('-');
        let long = arg.starts_with("--").then(|| name.split('=').next().unwrap_or_default());
        let hidden = long.is_some_and(options::may_be_secret);
        line = line.arg(match (secret, hidden, arg.contains('=')) {
            (true, _, _) => HIDDEN.to_string(),
            (false, true, true) => {
                format!("{}={HIDDEN}", arg.split('=').next().unwrap_or_default())
            }
            _ => masked(arg),
        });
        secret = hidden && !arg.contains('=');
    }
    let mut text = format!("# {}\n", now(world).replace('_', " "));
    if let Some(file) = &given.from_file {
        text.push_str(&format!("# with answers file {}\n", file.display()));
    }
    text.push_str(&format!("{}\n\n", line.to_string().replace(" --", " \\\n    --")));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
