//! `maquette down`.

use std::time::Duration;

use maquette_core::plan;
use maquette_core::topology::VirtType;

use super::run::Runner;
use crate::cli::Down;
use crate::failure::Failure;
use crate::load::Located;
use crate::{connection, load, outputs, pipeline, print, render};

/// Removes an environment: its domains, volumes and networks, then its workspace.
pub fn run(args: &Down) -> Result<u8, Failure> {
    let located = load::located(&args.place)?;
    remove(&located, args.json)?;
    outputs::remove(&located.workspace)
        .map_err(|e| Failure::because("cannot remove the workspace", &e))?;
    Ok(0)
}

/// Removes what is on the hypervisor.
pub fn remove(located: &Located, json: bool) -> Result<(), Failure> {
    let connection = connection::open(&located.host)?;
    let mut hypervisor = pipeline::running(&connection, &located.environment, &located.pool)?;
    let plan = plan::destroy(&hypervisor.observed());
    if !json {
        let title = format!("environment `{}` on {}", located.environment, connection.label);
        print::talk(render::plan(&plan, &title).trim_end());
    }
    if plan.is_empty() {
        return Ok(());
    }
    let client = hypervisor.client.take();
    Runner::new(json, &connection, &located.workspace, Duration::from_secs(60))?.run(
        &plan,
        &hypervisor.facts,
        VirtType::Qemu,
        client,
    )?;
    if !json {
        print::talk("base images stay in the pool; `maquette image prune` removes unused ones");
    }
    Ok(())
}
