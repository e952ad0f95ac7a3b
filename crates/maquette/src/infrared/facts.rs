//! `--collect-ansible-facts`: the facts of this machine and the hypervisor, as JSON.

use std::process::{Command, Stdio};

use maquette_engine::private_file::write_private;
use maquette_engine::{Cause, StepError, deployment_facts};
use serde_json::Value;

use crate::failure::Failure;
use crate::session::Session;
use crate::workspace::Workspace;
use crate::workspace::outputs;
use crate::world::World;

/// Saves them in the workspace, below `ansible-facts`.
pub fn collect(world: &World, workspace: &Workspace) -> Result<(), Failure> {
    let directory = workspace.file("ansible-facts");
    let failed = |e: Cause| Failure::because("cannot collect Ansible's facts", e);
    std::fs::create_dir_all(&directory).map_err(|e| failed(e.into()))?;
    for host in ["localhost", "hypervisor"] {
        let output = Command::new("ansible")
            .arg("-i")
            .arg(workspace.file(outputs::INVENTORY))
            .args(["-m", "setup", "--one-line", host])
            .stdin(Stdio::null())
            .output()
            .map_err(|e| failed(e.into()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let facts = text
            .split_once("=> ")
            .and_then(|(_, json)| serde_json::from_str::<Value>(json.trim()).ok())
            .filter(|_| output.status.success());
        let Some(facts) = facts else {
            let said = String::from_utf8_lossy(&output.stderr);
            let mut error = StepError::new(format!("cannot collect Ansible's facts of {host}"));
            error.excerpt = said.lines().chain(text.lines()).take(10).map(String::from).collect();
            return Err(Failure::Failed(error));
        };
        // InfraRed's name for it.
        let file = directory.join(format!("infrared_virsh-provision_{host}.json"));
        write_private(&file, format!("{:#}\n", facts["ansible_facts"]).as_bytes())
            .map_err(|e| failed(e.into()))?;
        world.terminal.talk(&format!("wrote {}", file.display()));
    }
    Ok(())
}

/// Notes the subnets of an environment with a prefix on its hypervisor, where other plug-ins of InfraRed's look for them. All
/// is built by now: that they cannot be noted is a warning.
pub fn deployment(world: &World, session: &Session<'_>) -> Result<(), Failure> {
    let environment = &session.located.environment;
    if environment.prefix().is_none() {
        return Ok(());
    }
    match session.find()?.observed().allocation() {
        None => Ok(()),
        Some(allocation) => {
            let host = session.connection.host.as_ref();
            if let Err(error) = deployment_facts::write(host, environment, allocation) {
                let what =
                    "warning: subnets of the environment are not among the hypervisor's facts";
                world.terminal.talk(&format!("{what}, for other plug-ins of InfraRed's: {error}"));
            }
            Ok(())
        }
    }
}
