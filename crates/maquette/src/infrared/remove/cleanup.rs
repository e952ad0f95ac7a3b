//! `--cleanup` without a prefix: everything on the hypervisor goes.

use std::time::Duration;

use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::plan::{self, Action, Builder, Change, Op, Plan, Shutdown};
use maquette_core::syntax::Plain;
use maquette_engine::StepError;
use maquette_libvirt::Survey;

use super::super::values::InfraredValues;
use super::{is_removed_by_playbook, unless_played};
use crate::failure::Failure;
use crate::lifecycle::removal::{self, Shown};
use crate::load::{Loaded, Located};
use crate::session::{self, Session};
use crate::workspace::outputs::Secrets;
use crate::workspace::{Owner, outputs};
use crate::world::World;
use crate::{cli, consent};

/// What goes with the definition of a domain of somebody else.
const KEPT_BY_LIBVIRT: &str = "of domains that are not Maquette's the disks stay; what libvirt keeps beside these goes: UEFI \
     variables, saved memory, records of snapshots and checkpoints, logs";

/// The network that libvirt brings.
const DEFAULT: &str = "default";

/// `--cleanup` without a prefix: removes everything.
pub(super) fn cleanup(
    world: &World,
    given: &InfraredValues,
    loaded: &Loaded,
    tree: &Plain,
) -> Result<u8, Failure> {
    let (located, left) = unless_played(world, given, loaded, tree, |located| {
        remove_objects(world, located, Yes::of(given), given.locking)
    })?;
    let opened = opened(&located);
    let environment = |owner: &Owner| match owner.prefix() {
        None => Some(EnvName::default()),
        Some(prefix) => EnvName::from_prefix(prefix).ok(),
    };
    let environments: Vec<EnvName> = opened.iter().filter_map(environment).collect();
    match left {
        Some(left) => empty_of_all(world, &located, &opened, &left),
        None if is_removed_by_playbook(world, &located, &environments)? => {
            empty_of_all(world, &located, &opened, &[])
        }
        None => Ok(0),
    }
}

/// Environments of the hypervisor that the workspace holds, or whose nodes its key opens.
fn opened(located: &Located) -> Vec<Owner> {
    let saved = located.workspace.saved().unwrap_or_default();
    let there = |o: &&Owner| o.is_on(&located.host);
    saved.opens.iter().chain(&saved.owner).filter(there).cloned().collect()
}

/// Leaves the workspace with this machine alone, as far as it was of environments of the hypervisor.
fn empty_of_all(
    world: &World,
    located: &Located,
    gone: &[Owner],
    left: &[String],
) -> Result<u8, Failure> {
    let unwritten = |e: std::io::Error| located.workspace.unwritten(e);
    outputs::write_local(&located.workspace).map_err(unwritten)?;
    let secrets = if left.is_empty() { Secrets::Go } else { Secrets::Stay };
    for owner in gone {
        outputs::remove(&located.workspace, owner, secrets).map_err(unwritten)?;
    }
    if !gone.is_empty() && !left.is_empty() {
        let text = "the workspace keeps its key and secret, since a domain that cannot be read may open with them";
        world.terminal.talk(&format!("{text}: {}", left.join(", ")));
    }
    Ok(0)
}

/// Removes all domains and all networks but `default`: first of all environments with what belongs to
/// them, then those that are not ours, whose disks stay. Domains that stay, since they cannot be read, are returned.
fn remove_objects(
    world: &World,
    located: &Located,
    yes: Yes,
    locking: cli::Locking,
) -> Result<Vec<String>, Failure> {
    let mut session = Session::open(world, located.clone())?;
    let removed = remove_all_objects(world, &mut session, yes, locking);
    let is_without_libvirt = removed.is_err();
    let left = session.removed(removed)?;
    Ok(if is_without_libvirt { removal::defined_still(&session, |_| true) } else { left })
}

fn remove_all_objects(
    world: &World,
    session: &mut Session<'_>,
    yes: Yes,
    locking: cli::Locking,
) -> Result<Vec<String>, Failure> {
    session.prepare_runs(false, Duration::from_secs(60))?;
    let all = whole(world, session)?;
    let whole = all.plan();
    let unread: Vec<String> = all.found.unread.iter().map(|name| format!("`{name}`")).collect();
    world.terminal.plan(&whole, &everything(session));
    if whole.is_empty() {
        return Ok(unread);
    }
    if !all.found.domains.is_empty() {
        world.terminal.talk(KEPT_BY_LIBVIRT);
    }
    let yes = yes.means((all.found.environments.len(), all.strange));
    confirm(world, (all.found.environments.len(), all.strange), yes)?;
    for (environment, plan) in &all.plans {
        let now = match environment {
            // Nobody may be at work in it; and since it was looked at, somebody may have been.
            Some(environment) => {
                session.lock_of(environment, "virsh --cleanup", locking)?;
                let (now, objects) = removal(session, environment)?;
                if !yes {
                    agreed(&all.shown, &objects, environment)?;
                }
                now
            }
            None => plan.clone(),
        };
        if !now.is_empty() {
            session.run(&now)?;
        }
        if let Some(environment) = environment {
            removal::forget_notes(world, session, environment)?;
        }
    }
    world.terminal.talk("base images, pools and disks of domains that are not Maquette's stay");
    Ok(unread)
}

/// All that is on a hypervisor, and how it goes.
pub(super) struct Whole {
    found: Survey,
    /// A plan for each environment, and one for what belongs to none.
    plans: Vec<(Option<EnvName>, Plan)>,
    /// What goes of the environments.
    shown: Shown,
    /// How many objects belong to none.
    strange: usize,
}

impl Whole {
    /// One plan of it all.
    pub(super) fn plan(&self) -> Plan {
        Plan::all(self.plans.iter().map(|(_, plan)| plan.clone()))
    }
}

/// What it is called.
pub(super) fn everything(session: &Session<'_>) -> String {
    format!("everything on {}", session.connection.label)
}

/// Plans how all of it goes.
pub(super) fn whole(world: &World, session: &mut Session<'_>) -> Result<Whole, Failure> {
    let hypervisor = session.running()?;
    let mut found = session.libvirt()?.survey().map_err(session::unobserved)?;
    for object in &found.unreadable {
        world.terminal.talk(&format!("warning: {object} cannot be read; it stays"));
    }
    // Of some nothing may be left but that.
    found.environments.extend(hypervisor.facts.forwarding.keys().cloned());
    let (mut plans, mut shown) = (Vec::new(), Shown::new());
    for environment in &found.environments {
        let (plan, objects) = removal(session, environment)?;
        plans.push((Some(environment.clone()), plan));
        shown.extend(objects);
    }
    let strangers = strangers(&found);
    let strange = strangers.changes.len();
    plans.push((None, strangers));
    Ok(Whole { found, plans, shown, strange })
}

fn removal(session: &mut Session<'_>, environment: &EnvName) -> Result<(Plan, Shown), Failure> {
    let mut observed = session.running_for(environment)?.observed();
    // Domains of others go, too, and need no networks.
    observed.claims.plugged.clear();
    let mut plan = plan::destroy(&observed, environment);
    for change in &mut plan.changes {
        change.reason = format!("environment `{environment}`").into();
    }
    let objects = removal::objects(&plan, &observed);
    Ok((plan, objects))
}

/// Refuses what came up after it was shown and agreed to.
fn agreed(shown: &Shown, now: &Shown, environment: &EnvName) -> Result<(), Failure> {
    let Some((kind, name, _)) = now.difference(shown).next() else { return Ok(()) };
    let message =
        format!("somebody has just gone on building environment `{environment}`: {kind} {name}");
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
            let stop = Action::StopDomain { name: name.clone(), shutdown: Shutdown::PullPlug };
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

/// Who has said yes to the removal of everything.
#[derive(Debug, Clone, Copy)]
enum Yes {
    /// The command line, where it is about this.
    OnLine,
    /// The environment, where it may have been meant for `down`.
    InEnvironment,
    /// Nobody.
    Unsaid,
}

impl Yes {
    fn of(given: &InfraredValues) -> Self {
        match (given.yes_on_line, given.yes) {
            (true, _) => Self::OnLine,
            (false, true) => Self::InEnvironment,
            (false, false) => Self::Unsaid,
        }
    }

    /// Whether it is a yes to so many environments and so many objects that are not Maquette's: one environment is the user's
    /// own, as far as anybody can tell.
    fn means(self, (environments, strangers): (usize, usize)) -> bool {
        match self {
            Self::OnLine => true,
            Self::InEnvironment => environments <= 1 && strangers == 0,
            Self::Unsaid => false,
        }
    }
}

/// Asks; without a terminal, `--yes` has to be given.
fn confirm(
    world: &World,
    (environments, strangers): (usize, usize),
    yes: bool,
) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let ours = match environments {
        1 => "1 environment with all of its nodes".to_string(),
        many => format!("{many} environments with all of their nodes"),
    };
    let others = match strangers {
        0 => "nothing that is".to_string(),
        1 => "1 object that is".to_string(),
        many => format!("{many} objects that are"),
    };
    let what = format!("{ours}, and {others} not Maquette's");
    let hints = [
        "say `--yes` if that is what you want; MAQUETTE_YES does not answer for what others may have made".into(),
        "`--cleanup yes --prefix NAME` and `--kill yes` remove one environment".into(),
    ];
    consent::question(world, "cleanup::unconfirmed", &format!("remove {what}"), false, &hints)
}
