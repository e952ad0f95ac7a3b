//! `--cleanup` of InfraRed: everything on the hypervisor, or one environment of it.

use std::time::Duration;

use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::plan::{self, Action, Builder, Change, Op, Plan};
use maquette_core::topology::VirtType;
use maquette_engine::StepError;
use maquette_libvirt::Survey;

use crate::cli::Locking;
use crate::failure::Failure;
use crate::load::Located;
use crate::session::connection::{self, Connection};
use crate::session::run::Runner;
use crate::world::World;
use crate::{consent, render, session};

/// The network that libvirt brings.
const DEFAULT: &str = "default";

/// Removes all domains and all networks but `default`: first of all environments with what belongs to
/// them, then those that are not ours, whose disks stay.
pub fn run(world: &World, located: &Located, yes: bool, locking: Locking) -> Result<(), Failure> {
    let connection = connection::open(world, &located.host, &located.workspace)?;
    let mut runner =
        Runner::new(world, false, &connection, &located.workspace, Duration::from_secs(60))?;
    let hypervisor = session::running(world, &connection, &located.environment, &located.pool)?;
    let Some(libvirt) = &hypervisor.libvirt else { return Ok(()) };
    let found = libvirt.survey().map_err(session::unobserved)?;
    for object in &found.unreadable {
        world.terminal.talk(&format!("warning: {object} cannot be read; it stays"));
    }
    let mut plans = Vec::new();
    for environment in &found.environments {
        plans.push((Some(environment), removal(world, &connection, located, environment)?));
    }
    plans.push((None, strangers(&found)));
    let whole = Plan::all(plans.iter().map(|(_, plan)| plan.clone()));
    let title = format!("everything on {}", connection.label);
    world.terminal.talk(render::plan(&whole, &title).trim_end());
    if whole.is_empty() {
        return Ok(());
    }
    confirm(world, &found, &whole, yes)?;
    for (environment, plan) in plans {
        let plan = match environment {
            // Nobody may be at work in it; and since it was looked at, somebody may have been.
            Some(environment) => {
                runner.lock(environment, "virsh --cleanup", locking)?;
                let now = removal(world, &connection, located, environment)?;
                if !yes {
                    agreed(&whole, &now, environment)?;
                }
                now
            }
            None => plan,
        };
        if !plan.is_empty() {
            runner.run(&plan, &hypervisor.facts, VirtType::Qemu, Some(libvirt))?;
        }
    }
    world.terminal.talk("base images, pools and disks of domains that are not Maquette's stay");
    Ok(())
}

fn removal(
    world: &World,
    connection: &Connection,
    located: &Located,
    environment: &EnvName,
) -> Result<Plan, Failure> {
    let found = session::running(world, connection, environment, &located.pool)?;
    let mut plan = plan::destroy(&found.observed(), environment);
    for change in &mut plan.changes {
        change.reason = format!("environment `{environment}`").into();
    }
    Ok(plan)
}

/// Refuses what came up after it was shown and agreed to.
fn agreed(shown: &Plan, now: &Plan, environment: &EnvName) -> Result<(), Failure> {
    let known = |c: &Change| shown.changes.iter().any(|s| (s.kind, &s.name) == (c.kind, &c.name));
    let Some(new) = now.changes.iter().find(|c| !known(c)) else { return Ok(()) };
    let message = format!(
        "somebody has just gone on building environment `{environment}`: {} {}",
        new.kind, new.name
    );
    let error = StepError::new(message);
    Err(Failure::Failed(error.hint("it stays as it is; run the same command again to see all")))
}

/// What belongs to no environment: its definition goes, its disks stay.
fn strangers(found: &Survey) -> Plan {
    let mut builder = Builder::default();
    let mut changes = Vec::new();
    let reason = "NOT Maquette's";
    let mut gone = Vec::new();
    let mut change = |kind, name: &str, active: bool, detail: &str| {
        let state = if active { "running" } else { "shut off" };
        let (op, name) = (Op::Delete, name.to_string());
        let detail = format!("{state}{detail}");
        changes.push(Change { op, kind, name, detail, reason: reason.into() });
    };
    for (name, active) in &found.domains {
        change(ObjectKind::Domain, name, *active, "; its disks stay");
        let mut after = Vec::new();
        if *active {
            let stop = Action::StopDomain { name: name.clone(), patience: None };
            after.push(builder.add(stop, [], reason));
        }
        gone.push(builder.add(Action::UndefineDomain { name: name.clone() }, after, reason));
    }
    for (name, active) in found.networks.iter().filter(|(name, _)| name != DEFAULT) {
        change(ObjectKind::Network, name, *active, "");
        let mut after = gone.clone();
        if *active {
            let stop = Action::StopNetwork { name: name.clone() };
            after = vec![builder.add(stop, after, reason)];
        }
        builder.add(Action::UndefineNetwork { name: name.clone() }, after, reason);
    }
    Plan { changes, steps: builder.finish() }
}

/// Asks; without a terminal, `--yes` has to be given.
fn confirm(world: &World, found: &Survey, plan: &Plan, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let strangers = plan.changes.iter().filter(|c| c.reason.to_string().starts_with("NOT")).count();
    let what = format!(
        "{} environment(s), and {strangers} object(s) that are not Maquette's",
        found.environments.len()
    );
    let hints = [
        "say `--yes` (or MAQUETTE_YES=1) if that is what you want".into(),
        "`--cleanup yes --prefix NAME` and `--kill yes` remove one environment".into(),
    ];
    consent::question(world, "cleanup::unconfirmed", &format!("remove {what}"), false, &hints)
}
