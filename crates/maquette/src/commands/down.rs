//! `maquette down`.

use std::time::Duration;

use maquette_core::plan;
use maquette_core::topology::VirtType;

use super::run::Runner;
use super::status;
use crate::cli::Down;
use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{load, outputs, pipeline, print, render};

/// Removes an environment: its domains, volumes and networks, then its workspace.
pub fn run(args: &Down) -> Result<u8, Failure> {
    let located = load::located(&args.place)?;
    let environment = &located.environment;
    let workspace = Workspace::locate(args.place.workspace.as_deref(), environment);
    let mut hypervisor = status::connect()?;
    let observed = pipeline::look(&hypervisor, environment, &located.pool_name)?;
    let plan = plan::destroy(&observed);
    if !args.json {
        let title = format!("environment `{environment}` on {}", pipeline::URI);
        print::talk(render::plan(&plan, &title).trim_end());
    }
    if !plan.is_empty() {
        let config = workspace.file(outputs::SSH_CONFIG);
        let facts = &hypervisor.facts;
        let mut runner =
            Runner::new(args.json, facts, VirtType::Qemu, config, Duration::from_secs(60))?;
        let client = hypervisor.client.take();
        runner.run(&plan, &hypervisor.facts, client)?;
        if !args.json {
            print::talk("base images stay in the pool; `maquette image prune` removes unused ones");
        }
    }
    outputs::remove(&workspace).map_err(|e| Failure::because("cannot remove the workspace", &e))?;
    Ok(0)
}
