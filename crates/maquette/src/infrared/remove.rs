//! `--kill`, `--cleanup` and `--remove-nodes` of InfraRed: one environment, everything on the hypervisor, some nodes.

mod cleanup;
mod kill;

use maquette_core::diagnostic::Diagnostic;
use maquette_core::names::EnvName;
use maquette_core::plan;
use maquette_core::syntax::Plain;
use maquette_engine::StepError;

use super::values::InfraredValues;
use super::{names, tags, truth};
use crate::cli;
use crate::failure::Failure;
use crate::lifecycle::removal;
use crate::load::{self, Extra, Loaded, Located};
use crate::playbooks::output::Output;
use crate::playbooks::{Hooks, Point};
use crate::session::Session;
use crate::session::nodes::{self, Meaning};
use crate::workspace::{Workspace, outputs};
use crate::world::World;

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
    pub(super) fn of(tree: &Plain, wanted: &cli::TopologyArgs) -> Option<Self> {
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
        given: &InfraredValues,
        (tree, extra): (&Plain, &Extra),
        mut wanted: cli::TopologyArgs,
    ) -> Result<u8, Failure> {
        refuse_narrowing(given)?;
        self.refuse_empty_prefix(given, tree)?;
        let is_own = *self != Self::Everything && !wanted.place.flags.0.has("prefix");
        // `--prefix ''` is the environment without one. A variable or a line of an answers file without a value says nothing.
        let says_none = given.line().iter().any(|(name, _)| name == "prefix");
        if is_own && !says_none {
            match kill::prefix_of_workspace(world, &wanted)? {
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
            Self::Everything => cleanup::cleanup(world, given, &loaded, tree),
            Self::Environment => kill::kill(world, given, &loaded, tree),
            Self::Nodes(names) => remove_nodes(world, given, &loaded, names),
        }
    }

    /// Refuses to remove everything where a prefix is named that is empty: a variable without a value most likely, in a command
    /// line that is about one environment.
    fn refuse_empty_prefix(&self, given: &InfraredValues, tree: &Plain) -> Result<(), Failure> {
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
        given: &InfraredValues,
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
            Self::Everything => {
                (cleanup::everything(&session), cleanup::whole(world, &mut session)?.plan())
            }
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
        given: &InfraredValues,
        (tree, extra): (&Plain, &Extra),
        wanted: &cli::TopologyArgs,
    ) -> Result<u8, Failure> {
        let holds = "the active workspace holds no environment";
        let hint =
            "`--prefix NAME` says which one is meant, `--prefix ''` the one without a prefix";
        if let Self::Nodes(_) = self {
            let error = StepError::new(format!("{holds}, and so no nodes that could be removed"));
            return Err(Failure::Failed(error.hint(hint)));
        }
        let nothing_to_do = |located: &Located| -> Result<Vec<String>, Failure> {
            refuse_infrareds(&located.workspace)?;
            world.terminal.talk(&format!("{holds}: nothing to do ({hint})"));
            Ok(Vec::new())
        };
        let loaded = load::wanted_leniently(&world.environment, wanted, extra);
        if given.dry_run || given.plan {
            nothing_to_do(&loaded.located())?;
            return Ok(0);
        }
        unless_played(world, given, &loaded, tree, nothing_to_do)?;
        Ok(0)
    }
}

/// Refuses to call it done where the nodes of the workspace are InfraRed's: they go on running, and their names are taken.
fn refuse_infrareds(workspace: &Workspace) -> Result<(), Failure> {
    let nodes = outputs::nodes_of_infrared(workspace);
    if nodes.is_empty() {
        return Ok(());
    }
    let message = format!(
        "InfraRed built the nodes of workspace {}, and Maquette does not remove what it did not make: {}",
        workspace.path.display(),
        nodes.join(", ")
    );
    let error = StepError::new(message)
        .hint("nothing was removed; `infrared virsh … --kill yes` removes them")
        .hint("`--cleanup yes` removes everything on the hypervisor, whoever made it; disks of these nodes stay");
    Err(Failure::Failed(error))
}

/// Refuses to remove all where less is asked for.
fn refuse_narrowing(given: &InfraredValues) -> Result<(), Failure> {
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

/// `--remove-nodes`: removes nodes by their names in the inventory.
fn remove_nodes(
    world: &World,
    given: &InfraredValues,
    loaded: &Loaded,
    names: &[String],
) -> Result<u8, Failure> {
    let (located, agreed) = (loaded.located(), removal::Asking::Agreed);
    let names = (names, Meaning::GoneByName);
    removal::remove_nodes(world, &located, names, false, given.locking, agreed)?;
    Ok(0)
}

/// Removes, unless a playbook of the user's does it; says where, and what is left as far as that is known: nothing is where a
/// playbook ran.
fn unless_played(
    world: &World,
    given: &InfraredValues,
    loaded: &Loaded,
    tree: &Plain,
    remove: impl FnOnce(&Located) -> Result<Vec<String>, Failure>,
) -> Result<(Located, Option<Vec<String>>), Failure> {
    let hooks = Hooks::read(world, &loaded.request, tree, &given.playbook_args())?;
    let located = loaded.located();
    let output = Output::of(&world.environment, &located.workspace)
        .map_err(|e| located.workspace.unwritten(e))?;
    let hooks = hooks.with_infrareds(world, output);
    let left = match hooks.at(world, Point::Cleanup, &located.workspace)? {
        true => None,
        false => Some(remove(&located)?),
    };
    Ok((located, left))
}

/// Whether nothing is left of environments after a playbook of the user's was to remove them. Else it is said that the
/// workspace stays as it is: a playbook that does nothing leaves a stage out, and nobody else has the key to nodes that run.
fn is_removed_by_playbook(
    world: &World,
    located: &Located,
    environments: &[EnvName],
) -> Result<bool, Failure> {
    if environments.is_empty() {
        return Ok(true);
    }
    let why = match removal::still_there(world, located, environments) {
        Ok(left) if left.is_empty() => return Ok(true),
        Ok(left) => format!("the playbook has left {}", left.join(", ")),
        Err(interrupted @ Failure::Interrupted { .. }) => return Err(interrupted),
        Err(Failure::Failed(error)) => {
            format!("what the playbook has left cannot be seen: {}", error.in_one_line())
        }
        Err(_) => "what the playbook has left cannot be seen".into(),
    };
    let path = located.workspace.path.display();
    world.terminal.talk(&format!(
        "workspace {path} stays as it is, with its key and secret: {why}; once that has gone, `--kill yes` without the playbook empties the workspace"
    ));
    Ok(false)
}
