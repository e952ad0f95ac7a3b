//! `maquette ssh`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use maquette_core::diagnostic::closest;
use maquette_engine::StepError;

use crate::cli::Ssh;
use crate::failure::Failure;
use crate::{load, outputs};

/// Becomes `ssh`, so that its exit code, its terminal and its signals are the user's.
pub fn run(args: &Ssh) -> Result<u8, Failure> {
    let located = load::located(&args.place)?;
    let config = located.workspace.file(outputs::SSH_CONFIG);
    let text = std::fs::read_to_string(&config).map_err(|e| {
        Failure::Failed(
            StepError::new(format!("environment `{}` has no ssh config here", located.environment))
                .because(&e)
                .hint("`maquette up` writes it; `--prefix` and `--workspace` choose another one"),
        )
    })?;
    let known: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("Host ")).collect();
    let node = located.environment.qualify(&args.node);
    let node = if known.contains(&args.node.as_str()) { &args.node } else { &node };
    if !known.contains(&node.as_str()) {
        let mut error = StepError::new(format!("no node `{node}` can be logged in to"));
        if let Some(name) = closest(node, known.iter().copied()) {
            error = error.hint(format!("did you mean `{name}`?"));
        }
        return Err(Failure::Failed(error.hint(format!("there are: {}", known.join(", ")))));
    }
    let error =
        Command::new("ssh").arg("-F").arg(&config).arg("--").arg(node).args(&args.command).exec();
    Err(Failure::because("cannot run ssh", &error))
}
