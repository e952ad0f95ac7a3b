//! `maquette down`.

use std::time::Duration;

use maquette_core::blueprint::Node;
use maquette_core::plan;
use maquette_core::topology::VirtType;
use maquette_engine::StepError;
use maquette_engine::host::facts::Facts;
use maquette_engine::host::record::Record;
use maquette_libvirt::Survey;

use super::nodes;
use super::run::Runner;
use crate::cli::{Down, Locking};
use crate::failure::Failure;
use crate::load::Located;
use crate::{connection, load, outputs, pipeline, print, render};

/// Removes an environment: its domains, volumes and networks, then its workspace; or some nodes.
pub fn run(args: &Down) -> Result<u8, Failure> {
    let located = load::located(&args.place)?;
    if !args.nodes.is_empty() {
        remove_nodes(&located, &args.nodes, args.json, args.locking)?;
        return Ok(0);
    }
    remove(&located, args.json, args.locking)?;
    outputs::remove(&located.workspace)
        .map_err(|e| Failure::because("cannot remove the workspace", &e))?;
    Ok(0)
}

/// How often a removal looks again for what an earlier, killed run still had libvirt do.
const LOOKS: usize = 3;

/// Removes what is on the hypervisor.
pub fn remove(located: &Located, json: bool, locking: Locking) -> Result<(), Failure> {
    let connection = connection::open(&located.host)?;
    let mut runner = Runner::new(json, &connection, &located.workspace, Duration::from_secs(60))?;
    runner.lock(&located.environment, "down", locking)?;
    for look in 1..=LOOKS {
        let mut hypervisor = pipeline::running(&connection, &located.environment, &located.pool)?;
        let plan = plan::destroy(&hypervisor.observed(), &located.environment);
        // What was still going when it was looked at before may be gone by itself.
        if !json && (look == 1 || !plan.is_empty()) {
            let title = format!("environment `{}` on {}", located.environment, connection.label);
            print::talk(render::plan(&plan, &title).trim_end());
        }
        if plan.is_empty() {
            return Ok(());
        }
        let client = hypervisor.client.take();
        let client = runner.run(&plan, &hypervisor.facts, VirtType::Qemu, client)?;
        let left = client.and_then(|c| maquette_libvirt::survey(&c).ok());
        let Some(left) = left else { return Ok(()) };
        if !left.environments.contains(&located.environment) {
            if !json {
                farewell(&left, &hypervisor.facts);
            }
            return Ok(());
        }
    }
    Err(unfinished(format!("environment `{}` is not empty", located.environment)))
}

/// After as many looks as are worth it.
fn unfinished(message: String) -> Failure {
    let hint = "somebody goes on building it; run the same command again";
    Failure::Failed(StepError::new(message).hint(hint))
}

/// Says what stays on the hypervisor.
fn farewell(left: &Survey, facts: &Facts) {
    print::talk("base images stay in the pool; `maquette image prune` removes unused ones");
    // What preparation changed is every environment's, and the next one's.
    if left.environments.is_empty() && facts.record != Record::default() {
        print::talk(
            "it was the last environment here; `maquette host restore` undoes the preparation",
        );
    }
}

/// Removes some nodes with their disks and reservations, and writes the outputs without them.
pub fn remove_nodes(
    located: &Located,
    words: &[String],
    json: bool,
    locking: Locking,
) -> Result<(), Failure> {
    let connection = connection::open(&located.host)?;
    let mut runner = Runner::new(json, &connection, &located.workspace, Duration::from_secs(60))?;
    runner.lock(&located.environment, "down", locking)?;
    let look = || pipeline::running(&connection, &located.environment, &located.pool);
    let mut hypervisor = look()?;
    let names = nodes::resolve(words, located, &hypervisor.observed(), true)?;
    for again in 0..=LOOKS {
        let observed = hypervisor.observed();
        let plan = plan::remove_nodes(&observed, &located.environment, &names);
        if !json && (again == 0 || !plan.is_empty()) {
            let title = format!("environment `{}` on {}", located.environment, connection.label);
            print::talk(render::plan(&plan, &title).trim_end());
        }
        if plan.is_empty() {
            let nodes: Vec<&Node> = observed.domains.values().map(|d| &d.recorded).collect();
            return outputs::write(&located.workspace, &nodes, connection.remote.as_ref())
                .map_err(|e| Failure::because("cannot write the workspace", &e));
        }
        if again < LOOKS {
            let client = hypervisor.client.take();
            runner.run(&plan, &hypervisor.facts, VirtType::Qemu, client)?;
            hypervisor = look()?;
        }
    }
    Err(unfinished(format!("there is still something of {}", words.join(", "))))
}
