//! `--kill`, `--cleanup` and `--remove-nodes` of InfraRed: one environment, everything on the hypervisor, some nodes.

use std::time::Duration;

use maquette_core::diagnostic::Diagnostic;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::plan::{self, Action, Builder, Change, Op, Plan, Shutdown};
use maquette_core::syntax::Plain;
use maquette_engine::StepError;
use maquette_libvirt::Survey;

use super::given::Given;
use super::{names, tags, truth};
use crate::commands::down;
use crate::failure::Failure;
use crate::load::{self, Extra, Loaded, Located};
use crate::playbooks::output::Output;
use crate::playbooks::{Hooks, Point};
use crate::session::nodes::{self, Meaning};
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

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Removal {
    /// All domains and networks of the hypervisor.
    Everything,
    /// One environment.
    Environment,
    /// Nodes by their names in the inventory.
    Nodes(Vec<String>),
}

impl Removal {
    /// What the settings ask for; none if they do not ask for a removal.
    pub(super) fn of(tree: &Plain, wanted: &cli::Wanted) -> Option<Self> {
        let is_true = |path| truth(tree, path) == Some(true);
        // `--cleanup` is about one environment with a prefix, else about everything.
        if is_true("kill") || (is_true("cleanup") && wanted.place.flags.0.has("prefix")) {
            return Some(Self::Environment);
        }
        let nodes = names(tree, "remove.nodes");
        match (is_true("cleanup"), nodes.is_empty()) {
            (true, _) => Some(Self::Everything),
            (false, false) => Some(Self::Nodes(nodes)),
            (false, true) => None,
        }
    }

    /// Removes it.
    pub(super) fn carry_out(
        &self,
        world: &World,
        given: &Given,
        (tree, extra): (&Plain, &Extra),
        mut wanted: cli::Wanted,
    ) -> Result<u8, Failure> {
        refuse_narrowing(given)?;
        self.refuse_empty_prefix(given, tree)?;
        let is_own = *self != Self::Everything && !wanted.place.flags.0.has("prefix");
        // `--prefix ''` is the environment without one. A variable or a line of an answers file without a value says nothing.
        let says_none = given.line().iter().any(|(name, _)| name == "prefix");
        if is_own && !says_none {
            match prefix_of_workspace(world, &wanted)? {
                Some(Some(prefix)) => {
                    let told = "the workspace".to_string();
                    wanted.place.flags.0.set_as("prefix", vec![prefix], told);
                }
                Some(None) => {}
                None => return self.of_nothing(world, given, (tree, extra), &wanted),
            }
        }
        let loaded = load::wanted_leniently(&world.environment, &wanted, extra);
        if given.dry_run || given.plan {
            return self.show(world, given, &loaded, tree);
        }
        match self {
            Self::Everything => cleanup(world, given, &loaded, tree),
            Self::Environment => kill(world, given, &loaded, tree),
            Self::Nodes(names) => remove_nodes(world, given, &loaded, names),
        }
    }

    /// Refuses to remove everything where a prefix is named that is empty: a variable without a value most likely, in a command
    /// line that is about one environment.
    fn refuse_empty_prefix(&self, given: &Given, tree: &Plain) -> Result<(), Failure> {
        let is_empty = |value: &Plain| matches!(value, Plain::Text(text) if text.trim().is_empty());
        let is_named = tree.at(&["provision", "prefix"]).is_some_and(is_empty);
        if *self != Self::Everything || !is_named {
            return Ok(());
        }
        let called = given.called("prefix");
        let message =
            format!("{called} is empty, and `--cleanup` without a prefix removes everything");
        let error = Diagnostic::error("cleanup::empty-prefix", message)
            .help("`--prefix NAME` names the environment that goes; is a variable unset?")
            .help("to remove everything on the hypervisor, leave the prefix out")
            .help("`--kill yes --prefix ''` removes the environment without a prefix");
        Err(Failure::input(error))
    }

    /// Shows what would be removed, and removes nothing.
    fn show(
        &self,
        world: &World,
        given: &Given,
        loaded: &Loaded,
        tree: &Plain,
    ) -> Result<u8, Failure> {
        let located = &loaded.located();
        let hooks = Hooks::read(world, &loaded.request, tree, &given.playbook_args())?;
        if hooks.is_at(Point::Cleanup) && !matches!(self, Self::Nodes(_)) {
            let text = "a playbook of yours removes it: what that does is not shown";
            world.terminal.talk(text);
            return Ok(0);
        }
        let mut session = Session::open(world, located.clone())?;
        let environment = &located.environment;
        let running = session.running().map(|found| Some(found.observed()));
        let Some(observed) = session.removed(running)? else { return Ok(0) };
        let (title, plan) = match self {
            Self::Everything => (everything(&session), whole(world, &mut session)?.plan()),
            Self::Environment => (session.title(), plan::destroy(&observed, environment)),
            Self::Nodes(words) => {
                let meaning = Meaning::GoneByName;
                let names = nodes::resolve(world, words, located, &observed, meaning)?;
                (session.title(), plan::remove_nodes(&observed, environment, &names))
            }
        };
        match given.dry_run {
            // The settings of a dry run are for programs.
            true => world.terminal.plan(&plan, &title),
            false => world.terminal.plan_as_result(&plan, &title),
        }
        Ok(0)
    }

    /// The workspace holds no environment, and another one is not meant.
    fn of_nothing(
        &self,
        world: &World,
        given: &Given,
        (tree, extra): (&Plain, &Extra),
        wanted: &cli::Wanted,
    ) -> Result<u8, Failure> {
        let holds = "the active workspace holds no environment";
        let hint =
            "`--prefix NAME` says which one is meant, `--prefix ''` the one without a prefix";
        if let Self::Nodes(_) = self {
            let error = StepError::new(format!("{holds}, and so no nodes that could be removed"));
            return Err(Failure::Failed(error.hint(hint)));
        }
        if given.dry_run || given.plan {
            world.terminal.talk(&format!("{holds}: nothing to do ({hint})"));
            return Ok(0);
        }
        let loaded = load::wanted_leniently(&world.environment, wanted, extra);
        unless_played(world, given, &loaded, tree, |_| {
            world.terminal.talk(&format!("{holds}: nothing to do ({hint})"));
            Ok(Vec::new())
        })?;
        Ok(0)
    }
}

/// Refuses to remove all where less is asked for.
fn refuse_narrowing(given: &Given) -> Result<(), Failure> {
    let narrow = tags::narrowing(&given.ansible_args);
    let Some(first) = narrow.first() else { return Ok(()) };
    let message = format!("`{first}` of --ansible-args does not narrow a removal");
    let error = StepError::new(message)
        .hint(
            "nothing was removed; leave it out to remove all, or name nodes with `--remove-nodes`",
        )
        .hint("`virsh plan` with the same options shows what would be removed");
    Err(Failure::Failed(error))
}

/// The prefix of the environment that the workspace holds on the hypervisor, if it holds one; that may have none.
fn prefix_of_workspace(
    world: &World,
    wanted: &cli::Wanted,
) -> Result<Option<Option<String>>, Failure> {
    let located = load::located_leniently(&world.environment, &wanted.place)?;
    let saved = located.workspace.recall().map_err(|why| {
        Failure::Failed(StepError::new(why).hint("`--prefix NAME` says which environment is meant"))
    })?;
    let Some(owner) = saved.and_then(|saved| saved.owner) else { return Ok(None) };
    if owner.is_on(&located.host) {
        return Ok(Some(owner.prefix().map(String::from)));
    }
    let here = Owner::new(&EnvName::default(), &located.host);
    let message = format!(
        "the active workspace holds environment {}, and {} is another hypervisor",
        owner.label(),
        here.host()
    );
    let error = StepError::new(message).hint(
        "nothing was removed; `maquette workspace checkout NAME` changes the workspace, and \
         `--prefix NAME` says which environment is meant",
    );
    Err(Failure::Failed(error))
}

/// `--remove-nodes`: removes nodes by their names in the inventory.
fn remove_nodes(
    world: &World,
    given: &Given,
    loaded: &Loaded,
    names: &[String],
) -> Result<u8, Failure> {
    let (located, agreed) = (loaded.located(), down::Asking::Agreed);
    let names = (names, Meaning::GoneByName);
    down::remove_nodes(world, &located, names, false, given.locking, agreed)?;
    Ok(0)
}

/// `--cleanup` without a prefix: removes everything.
fn cleanup(world: &World, given: &Given, loaded: &Loaded, tree: &Plain) -> Result<u8, Failure> {
    let (located, left) = unless_played(world, given, loaded, tree, |located| {
        remove_objects(world, located, Yes::of(given), given.locking)
    })?;
    empty_of_all(world, &located, &left)
}

/// `--kill`: removes the environment, and leaves the workspace with this machine alone.
fn kill(world: &World, given: &Given, loaded: &Loaded, tree: &Plain) -> Result<u8, Failure> {
    let (located, left) = unless_played(world, given, loaded, tree, |located| {
        down::remove(world, located, false, given.locking, down::Asking::Agreed)
    })?;
    empty(world, &located, &left)
}

/// Removes, unless a playbook of the user's does it; says where, and what is left as far as that is known.
fn unless_played(
    world: &World,
    given: &Given,
    loaded: &Loaded,
    tree: &Plain,
    remove: impl FnOnce(&Located) -> Result<Vec<String>, Failure>,
) -> Result<(Located, Vec<String>), Failure> {
    let hooks = Hooks::read(world, &loaded.request, tree, &given.playbook_args())?;
    let located = loaded.located();
    let output = Output::of(&world.environment, &located.workspace)
        .map_err(|e| located.workspace.unwritten(e))?;
    let hooks = hooks.with_infrareds(world, output);
    let left = match hooks.at(world, Point::Cleanup, &located.workspace)? {
        true => Vec::new(),
        false => remove(&located)?,
    };
    Ok((located, left))
}

/// Leaves the workspace with this machine alone, as far as it is that environment's.
fn empty(world: &World, located: &Located, left: &[String]) -> Result<u8, Failure> {
    let unwritten = |e: std::io::Error| located.workspace.unwritten(e);
    outputs::write_local(&located.workspace).map_err(unwritten)?;
    down::forget(world, located, left)?;
    Ok(0)
}

/// The same after all environments of a hypervisor have gone.
fn empty_of_all(world: &World, located: &Located, left: &[String]) -> Result<u8, Failure> {
    let unwritten = |e: std::io::Error| located.workspace.unwritten(e);
    let saved = located.workspace.saved().unwrap_or_default();
    let there = |o: &&Owner| o.is_on(&located.host);
    let gone: Vec<Owner> = saved.opens.iter().chain(&saved.owner).filter(there).cloned().collect();
    outputs::write_local(&located.workspace).map_err(unwritten)?;
    let secrets = if left.is_empty() { Secrets::Go } else { Secrets::Stay };
    for owner in &gone {
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
    Ok(if is_without_libvirt { down::defined_still(&session, |_| true) } else { left })
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
                let now = removal(session, environment)?;
                if !yes {
                    agreed(&whole, &now, environment)?;
                }
                now
            }
            None => plan.clone(),
        };
        if !now.is_empty() {
            session.run(&now)?;
        }
        if let Some(environment) = environment {
            down::forget_notes(world, session, environment)?;
        }
    }
    world.terminal.talk("base images, pools and disks of domains that are not Maquette's stay");
    Ok(unread)
}

/// All that is on a hypervisor, and how it goes.
struct Whole {
    found: Survey,
    /// A plan for each environment, and one for what belongs to none.
    plans: Vec<(Option<EnvName>, Plan)>,
    /// How many objects belong to none.
    strange: usize,
}

impl Whole {
    fn plan(&self) -> Plan {
        Plan::all(self.plans.iter().map(|(_, plan)| plan.clone()))
    }
}

/// What it is called.
fn everything(session: &Session<'_>) -> String {
    format!("everything on {}", session.connection.label)
}

/// Plans how all of it goes.
fn whole(world: &World, session: &mut Session<'_>) -> Result<Whole, Failure> {
    let hypervisor = session.running()?;
    let mut found = session.libvirt()?.survey().map_err(session::unobserved)?;
    for object in &found.unreadable {
        world.terminal.talk(&format!("warning: {object} cannot be read; it stays"));
    }
    // Of some nothing may be left but that.
    found.environments.extend(hypervisor.facts.forwarding.keys().cloned());
    let mut plans = Vec::new();
    for environment in &found.environments {
        plans.push((Some(environment.clone()), removal(session, environment)?));
    }
    let strangers = strangers(&found);
    let strange = strangers.changes.len();
    plans.push((None, strangers));
    Ok(Whole { found, plans, strange })
}

fn removal(session: &mut Session<'_>, environment: &EnvName) -> Result<Plan, Failure> {
    let mut observed = session.running_for(environment)?.observed();
    // Domains of others go, too, and need no networks.
    observed.claims.plugged.clear();
    let mut plan = plan::destroy(&observed, environment);
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
    fn of(given: &Given) -> Self {
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
    let what =
        format!("{environments} environment(s), and {strangers} object(s) that are not Maquette's");
    let hints = [
        "say `--yes` if that is what you want; MAQUETTE_YES does not answer for what others may have made".into(),
        "`--cleanup yes --prefix NAME` and `--kill yes` remove one environment".into(),
    ];
    consent::question(world, "cleanup::unconfirmed", &format!("remove {what}"), false, &hints)
}
