//! `maquette start`, `stop`, `restart`, `reset`, `pause` and `resume`.

use std::time::Duration;

use maquette_core::plan::{self, Power};
use maquette_core::topology::VirtType;

use super::nodes;
use crate::cli;
use crate::failure::Failure;
use crate::session::connection;
use crate::session::run::Runner;
use crate::{load, print, render, session};

/// Does it to the nodes that are named, or to all.
pub fn run(args: &cli::Power, verb: &str, what: Power) -> Result<u8, Failure> {
    let located = load::located(&args.place)?;
    let connection = connection::open(&located.host)?;
    let boots = args.timeout.filter(|_| what == Power::Start).unwrap_or(600);
    let limit = Duration::from_secs(boots);
    let mut runner = Runner::new(args.json, &connection, &located.workspace, limit)?;
    runner.lock(&located.environment, verb, args.locking)?;
    let mut hypervisor = session::running(&connection, &located.environment, &located.pool)?;
    let observed = hypervisor.observed();
    let names = match args.all {
        true => observed.domains.keys().cloned().collect(),
        false => nodes::resolve(&args.nodes, &located, &observed, false)?,
    };
    let plan = plan::power(&observed, &names, what);
    if !args.json {
        let title = format!("environment `{}` on {}", located.environment, connection.label);
        print::talk(render::plan(&plan, &title).trim_end());
    }
    if plan.is_empty() {
        return Ok(0);
    }
    let virt = observed.domains.values().next().map_or(VirtType::Qemu, |d| d.recorded.virt);
    let client = hypervisor.client.take();
    runner.run(&plan, &hypervisor.facts, virt, client)?;
    Ok(0)
}
