//! `maquette ssh`.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use maquette_core::diagnostic::closest;
use maquette_core::values::{HostAddress, Login, ValueError};
use maquette_engine::StepError;

use crate::cli::Place;
use crate::failure::Failure;
use crate::load;
use crate::workspace::inventory::{Host, Inventory};
use crate::workspace::outputs;
use crate::world::World;

/// Arguments of `ssh`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// The node
    pub node: String,
    /// A command to run there instead of a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Where nobody answers, this is said in time.
const PATIENCE: [&str; 2] = ["-o", "ConnectTimeout=20"];

/// Becomes `ssh`, so that its exit code, its terminal and its signals are the user's.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located(&world.environment, &args.place)?;
    let config = located.workspace.file(outputs::SSH_CONFIG);
    let text = std::fs::read_to_string(&config).unwrap_or_default();
    let known: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("Host ")).collect();
    let qualified = located.environment.qualify(&args.node);
    let path = located.workspace.file(outputs::INVENTORY);
    let inventory = Inventory::read(&path).unwrap_or_default();
    for name in [&args.node, &qualified] {
        if known.contains(&name.as_str()) {
            let mut ssh = Command::new("ssh");
            ssh.arg("-F").arg(&config).args(PATIENCE).arg("--").arg(name).args(&args.command);
            return Err(Failure::because("cannot run ssh", ssh.exec()));
        }
        // An inventory of the user's own has no ssh config beside it.
        if let Some(host) = inventory.find(name) {
            let mut ssh = by_inventory(host, &path)?;
            return Err(Failure::because("cannot run ssh", ssh.args(&args.command).exec()));
        }
    }
    if known.is_empty() && inventory.hosts.is_empty() {
        let error =
            StepError::new(format!("environment `{}` has no ssh config here", located.environment));
        return Err(Failure::Failed(
            error
                .hint("`--prefix` and `--workspace` choose another environment, or a copy of its workspace")
                .hint("its key is in the workspace of whoever built it; `maquette status` says whether it is there, and which key opens it")
                .hint("if nothing was built yet, `maquette up` writes it"),
        ));
    }
    let mut names: Vec<&str> = known;
    names.extend(inventory.hosts.iter().filter(|h| !h.is_local()).map(|h| h.name.as_str()));
    names.sort_unstable();
    names.dedup();
    let mut error = StepError::new(format!("no node `{qualified}` can be logged in to"));
    if let Some(name) = closest(&qualified, names.iter().copied()) {
        error = error.hint(format!("did you mean `{name}`?"));
    }
    Err(Failure::Failed(error.hint(format!("there are: {}", names.join(", ")))))
}

/// As the inventory says: key, arguments, port, user, address.
fn by_inventory(host: &Host, inventory: &Path) -> Result<Command, Failure> {
    let bad = |why: String| Failure::Failed(StepError::new(format!("`{}`: {why}", host.name)));
    if host.is_local() {
        return Err(bad("it is this machine, or not deployed; there is no way to log in".into()));
    }
    let not_valid = |e: ValueError| bad(e.to_string());
    let address = host.var("ansible_host").unwrap_or(&host.name);
    if address == "NA" {
        return Err(bad("it has no operating system to log in to".into()));
    }
    let mut ssh = Command::new("ssh");
    ssh.args(PATIENCE);
    if let Some(key) = host.var("ansible_ssh_private_key_file") {
        // Relative to the inventory's directory.
        let key = inventory.parent().unwrap_or(Path::new("")).join(key);
        std::fs::File::open(&key)
            .map_err(|e| bad(format!("cannot read its key {}: {e}", key.display())))?;
        ssh.arg("-i").arg(key);
    }
    for name in ["ansible_ssh_common_args", "ansible_ssh_extra_args"] {
        if let Some(words) = host.var(name).and_then(shlex::split) {
            ssh.args(words);
        }
    }
    let port = host.var("ansible_port").unwrap_or("22");
    let port: u16 = port.parse().map_err(|_| bad(format!("`{port}` is not a valid port")))?;
    let user: Login = host.var("ansible_user").unwrap_or("root").parse().map_err(not_valid)?;
    let address: HostAddress = address.trim_matches(['[', ']']).parse().map_err(not_valid)?;
    ssh.args(["-p", &port.to_string(), "-t", "--", &format!("{user}@{address}")]);
    Ok(ssh)
}
