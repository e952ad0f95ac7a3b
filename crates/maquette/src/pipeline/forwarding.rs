//! Whether the workspace's key is to open the way to nodes through the hypervisor.

use maquette_core::blueprint::{Blueprint, Forwarding};
use maquette_engine::ssh_keys::EnvironmentKey;

use crate::load::Loaded;
use crate::session::Hypervisor;

/// What opens the hypervisor for connections to nodes: the workspace's key, where InfraRed's plug-ins are to find it and
/// nodes are behind another machine. Who has only our own commands goes through with the hypervisor's own key.
pub(super) fn of(
    loaded: &Loaded,
    (blueprint, is_ours): (&Blueprint, bool),
    hypervisor: &Hypervisor,
    key: &EnvironmentKey,
) -> Option<Forwarding> {
    let wanted =
        is_ours && loaded.host.forwards && loaded.host.is_remote() && !blueprint.nodes.is_empty();
    let user = hypervisor.facts.login.clone().filter(|_| wanted)?;
    Some(Forwarding { user, key: key.public().clone() })
}
