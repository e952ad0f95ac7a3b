//! A workspace leads into an environment: its ssh config, inventory and known hosts, and what it remembers of it.

use std::path::Path;

use maquette_core::blueprint::Node;
use maquette_core::diagnostic::Diagnostic;
use maquette_core::observed::Observed;
use maquette_engine::StepError;
use maquette_engine::bmc::BmcSecrets;

use super::lockout;
use crate::failure::Failure;
use crate::load::Located;
use crate::session::Session;
use crate::session::connection::Connection;
use crate::workspace::identity::{self, Way};
use crate::workspace::outputs;
use crate::workspace::{Owner, Saved};
use crate::world::World;

/// Has the workspace remember where its environment is.
pub fn save(located: &Located, connection: &Connection) -> Result<(), Failure> {
    let mut host = located.host.clone();
    if let Some(remote) = &connection.remote {
        host.user = Some(remote.target.user.clone());
        host.key = remote.target.key.as_ref().map(|key| key.as_str().into());
    }
    let workspace = &located.workspace;
    let before = workspace.saved().unwrap_or_default();
    let is_same = before.is_of(&located.environment, &host);
    let saved = Saved {
        prefix: located.environment.prefix().map(String::from),
        host,
        pool_name: Some(located.pool.name.to_string()),
        pool_path: Some(located.pool.path.to_string()),
        owner: before.owner,
        opens: before.opens,
        project: before.project.filter(|_| is_same),
        imported: false,
    };
    workspace.create().and_then(|()| workspace.save(&saved)).map_err(|e| workspace.unwritten(e))
}

/// Refuses nodes that have a name of the hypervisor's: in known_hosts one would be taken for the other.
pub fn told_apart(nodes: &[Node], connection: &Connection) -> Result<(), Failure> {
    let Some(remote) = &connection.remote else { return Ok(()) };
    let Some(node) = nodes.iter().find(|node| remote.is_called(&node.name)) else { return Ok(()) };
    let message = format!("node `{}` would be called like its hypervisor", node.name);
    Err(Failure::input(
        Diagnostic::error("node::like-hypervisor", message)
            .help("their host keys are looked up by name: give nodes another one, or a `--prefix`"),
    ))
}

/// Has the workspace remember which environment its outputs and its key belong to.
pub fn remember(located: &Located) -> Result<(), Failure> {
    let owner = Owner::new(&located.environment, &located.host);
    located.workspace.claim(&owner).map_err(|e| located.workspace.unwritten(e))
}

/// Has the workspace remember which project file has built the environment.
pub fn remember_project(located: &Located) -> Result<(), Failure> {
    let workspace = &located.workspace;
    let Some(saved) = workspace.saved().filter(|saved| saved.project != located.project) else {
        return Ok(());
    };
    let saved = Saved { project: located.project.clone(), ..saved };
    workspace.save(&saved).map_err(|e| workspace.unwritten(e))
}

/// Writes outputs that use the key in `file`, with which the environment was shared, or those of the workspace that built it.
pub fn write(
    located: &Located,
    nodes: &[&Node],
    file: Option<&Path>,
    connection: &Connection,
) -> Result<(), Failure> {
    let workspace = &located.workspace;
    outputs::write(workspace, nodes, connection.remote.as_ref(), file)
        .map_err(|e| workspace.unwritten(e))?;
    // Passwords of BMCs follow from the environment's secret: one of another environment gives others, which open nothing.
    let secrets = BmcSecrets::read(&workspace.path, &located.environment);
    let Some(secrets) = secrets.filter(|_| file.is_none()) else {
        return outputs::remove_bmcs(workspace).map_err(|e| workspace.unwritten(e));
    };
    outputs::write_bmcs(workspace, nodes, &secrets).map_err(|e| workspace.unwritten(e))
}

/// Has a workspace that never built the environment lead into it, with a key that it was shared with, or with the one that
/// built it. False if there is no such environment.
pub fn enter(world: &World, located: &Located) -> Result<bool, Failure> {
    let mut session = Session::open(world, located.clone())?;
    let observed = session.running()?.observed();
    if observed.domains.is_empty() {
        return Ok(false);
    }
    let Some(way) = identity::way(&observed, &located.workspace, &world.environment) else {
        return match lockout::of(&observed, &located.workspace, &world.environment) {
            Some(lockout) => Err(Failure::Failed(lockout.error(&located.environment))),
            None => Ok(false),
        };
    };
    save(located, &session.connection)?;
    remember(located)?;
    lead(&session, &observed, way.shared().as_deref())?;
    Ok(true)
}

/// Writes the outputs of a workspace that an environment was shared with again: since then nodes may have come, or have been
/// made again with other host keys.
pub fn refresh(world: &World, session: &Session<'_>, observed: &Observed) -> Result<(), Failure> {
    let located = &session.located;
    let owner = Owner::new(&located.environment, &located.host);
    match identity::way(observed, &located.workspace, &world.environment) {
        Some(Way::Shared(file)) if outputs::belongs(&located.workspace, &owner) => {
            save(located, &session.connection)?;
            remember(located)?;
            lead(session, observed, Some(&file))
        }
        _ => Ok(()),
    }
}

fn lead(session: &Session<'_>, observed: &Observed, file: Option<&Path>) -> Result<(), Failure> {
    let nodes: Vec<&Node> = observed.domains.values().map(|d| &d.recorded).collect();
    write(&session.located, &nodes, file, &session.connection)
}

/// What whoever would change an environment that was only shared with them can do.
pub const SHARED_HELPS: [&str; 2] = [
    "its nodes can be logged in to, started and stopped from here; whoever built it changes what they are",
    "only if the workspace that built it is lost: `maquette down`, then `maquette up`; all data on its disks is lost",
];

/// The error of whoever would change an environment that was only shared with them.
pub fn only_shared(located: &Located) -> StepError {
    let name = &located.environment;
    let message =
        format!("environment `{name}` is shared with this workspace, which did not build it");
    SHARED_HELPS.into_iter().fold(StepError::new(message), StepError::hint)
}
