//! `--kill`, and `--cleanup` with a prefix: one environment goes.

use maquette_core::names::EnvName;
use maquette_core::syntax::Plain;
use maquette_engine::StepError;

use super::super::values::InfraredValues;
use super::{is_removed_by_playbook, unless_played};
use crate::cli;
use crate::failure::Failure;
use crate::lifecycle::removal;
use crate::load::{self, Loaded, Located};
use crate::workspace::{Owner, outputs};
use crate::world::World;

/// The prefix of the environment that the workspace holds on the hypervisor, if it holds one; that may have none.
pub(super) fn prefix_of_workspace(
    world: &World,
    wanted: &cli::TopologyArgs,
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

/// `--kill`: removes the environment, and leaves the workspace with this machine alone.
pub(super) fn kill(
    world: &World,
    given: &InfraredValues,
    loaded: &Loaded,
    tree: &Plain,
) -> Result<u8, Failure> {
    let (located, left) = unless_played(world, given, loaded, tree, |located| {
        removal::remove(world, located, false, given.locking, removal::Asking::Agreed)
    })?;
    let environment = std::slice::from_ref(&located.environment);
    match left {
        Some(left) => empty(world, &located, &left),
        None if is_removed_by_playbook(world, &located, environment)? => {
            empty(world, &located, &[])
        }
        None => Ok(0),
    }
}

/// Leaves the workspace with this machine alone, as far as it is that environment's.
fn empty(world: &World, located: &Located, left: &[String]) -> Result<u8, Failure> {
    let unwritten = |e: std::io::Error| located.workspace.unwritten(e);
    outputs::write_local(&located.workspace).map_err(unwritten)?;
    removal::forget(world, located, left)?;
    Ok(0)
}
