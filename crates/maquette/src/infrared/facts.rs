//! `--collect-ansible-facts`: the facts of this machine and the hypervisor, as JSON.

use std::path::PathBuf;

use maquette_core::names::EnvName;
use maquette_engine::host::{Command, Host, Local};
use maquette_engine::private_file::write_private;
use maquette_engine::{StepError, deployment_facts};
use serde_json::{Deserializer, Value};

use crate::cli::Locking;
use crate::failure::Failure;
use crate::session::Session;
use crate::workspace::Workspace;
use crate::workspace::outputs;
use crate::world::World;

/// Saves them in the workspace, below `ansible-facts`. All is built by now: as with InfraRed, that they cannot be had of a
/// machine is a warning.
pub fn collect(world: &World, workspace: &Workspace) {
    for host in ["localhost", "hypervisor"] {
        match of_machine(workspace, host) {
            Ok(file) => world.terminal.talk(&format!("wrote {}", file.display())),
            Err(error) => {
                let mut said =
                    format!("warning: cannot collect Ansible's facts of {host}: {error}");
                for line in &error.excerpt {
                    said.push_str(&format!("\n  | {line}"));
                }
                world.terminal.talk(&said);
            }
        }
    }
}

/// Saves those of one machine; the file.
fn of_machine(workspace: &Workspace, host: &str) -> Result<PathBuf, StepError> {
    let directory = workspace.file("ansible-facts");
    let not_kept = |e: std::io::Error| StepError::of(e);
    std::fs::create_dir_all(&directory).map_err(not_kept)?;
    let inventory = workspace.file(outputs::INVENTORY).display().to_string();
    // What a machine says of itself may have no end.
    let ansible = Command::new("ansible").arg("-i").arg(inventory);
    let ansible = ansible.args(["-m", "setup", host]);
    let output = Local.run(&ansible, &mut |_| {}).map_err(StepError::of)?;
    let facts: Option<Value> = output
        .stdout
        .split_once("=> ")
        .and_then(|(_, json)| Deserializer::from_str(json).into_iter().next()?.ok())
        .filter(|_| output.status == Some(0));
    let Some(facts) = facts else {
        let ended = output.status.map_or("a signal".into(), |status| format!("status {status}"));
        let mut error = StepError::new(format!("`ansible` ended with {ended}"));
        let said = output.stderr.lines().chain(output.stdout.lines());
        error.excerpt = said.take(10).map(String::from).collect();
        return Err(error);
    };
    // InfraRed's name for it.
    let file = directory.join(format!("infrared_virsh-provision_{host}.json"));
    write_private(&file, format!("{:#}\n", facts["ansible_facts"]).as_bytes()).map_err(not_kept)?;
    Ok(file)
}

/// Notes the subnets of an environment with a prefix on its hypervisor, where other plug-ins of InfraRed's look for them. All
/// is built by now: that they cannot be noted is a warning.
pub fn deployment(
    world: &World,
    session: &mut Session<'_>,
    locking: Locking,
) -> Result<(), Failure> {
    let environment = &session.located.environment.clone();
    if environment.prefix().is_none() {
        return Ok(());
    }
    // It was given back, and whoever had it since may have removed the environment.
    let locked = session.lock("virsh", Locking { take_over: false, ..locking });
    let done = locked.and_then(|()| note(session, environment));
    session.unlock();
    match done {
        Err(Failure::Failed(error)) => {
            let what = "warning: subnets of the environment are not among the hypervisor's facts";
            world.terminal.talk(&format!("{what}, for other plug-ins of InfraRed's: {error}"));
            Ok(())
        }
        other => other,
    }
}

fn note(session: &mut Session<'_>, environment: &EnvName) -> Result<(), Failure> {
    let Some(allocation) = session.find()?.observed().allocation() else { return Ok(()) };
    deployment_facts::write(session.behind_lock().host(), environment, allocation)
        .map_err(|error| Failure::Failed(StepError::of(error)))
}
