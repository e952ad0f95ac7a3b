//! A workspace without the key that an environment's nodes were made with, and without one that they were shared with:
//! somebody else's, or a new one after the old was lost. Whoever has it can let others in; making the nodes again is the
//! last way.

use maquette_core::names::EnvName;
use maquette_core::observed::Observed;
use maquette_engine::StepError;
use maquette_engine::ssh_keys::{KEY_FILE, fingerprint};

use crate::workspace::{Workspace, identity};
use crate::world::Environment;

/// Nodes that no key here opens, none of them.
#[derive(Debug)]
pub struct Lockout {
    /// Fingerprint of the key that they were made with.
    key: Option<String>,
}

/// What is said in any case.
const WAY_IN: &str = "whoever built it lets you in: `maquette share KEY` there, with the key that `maquette share --export` \
     prints here, or one of yours in ~/.ssh";

/// Finds out whether no node with a guest opens to a key in the workspace or of the user's. One that does makes it the
/// right key.
pub fn of(observed: &Observed, workspace: &Workspace, user: &Environment) -> Option<Lockout> {
    let (_, first) = observed.guests().next()?;
    match identity::way(observed, workspace, user) {
        Some(_) => None,
        None => Some(Lockout { key: fingerprint(&first.authorized_key) }),
    }
}

impl Lockout {
    fn what(&self, environment: &EnvName) -> String {
        let which = self.key.as_ref().map_or(String::new(), |key| format!(" ({key})"));
        format!(
            "environment `{environment}` was built with a key that this workspace does not have{which}"
        )
    }

    /// What is wrong, and the ways in, the least harmful first.
    pub fn text(&self, environment: &EnvName, workspace: &Workspace) -> String {
        let (what, directory) = (self.what(environment), workspace.path.display());
        format!(
            "{what}\n  \
             the key is {KEY_FILE} in the workspace of whoever built it; it is nowhere on the hypervisor\n  \
             - {WAY_IN}\n  \
             - a copy of that workspace is used with `--workspace DIR`; this one is {directory}\n  \
             - only if nobody has that key any more: `maquette up` makes the nodes again, and their disks are lost"
        )
    }

    /// The same for who only wants to log in.
    pub fn error(&self, environment: &EnvName) -> StepError {
        StepError::new(self.what(environment))
            .hint(WAY_IN)
            .hint("a copy of that workspace is used with `--workspace DIR`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_nodes_nobody_is_locked_out() {
        let (workspace, user) = (Workspace::at(std::path::Path::new("/w")), Environment::default());
        assert!(of(&Observed::default(), &workspace, &user).is_none());
    }

    #[test]
    fn the_last_way_is_the_one_that_loses_disks() {
        let lockout = Lockout { key: Some("SHA256:abc".into()) };
        let environment = EnvName::from_prefix("nc").unwrap();
        let text = lockout.text(&environment, &Workspace::at(std::path::Path::new("/w")));
        insta::assert_snapshot!(text, @r"
        environment `nc` was built with a key that this workspace does not have (SHA256:abc)
          the key is id_ed25519 in the workspace of whoever built it; it is nowhere on the hypervisor
          - whoever built it lets you in: `maquette share KEY` there, with the key that `maquette share --export` prints here, or one of yours in ~/.ssh
          - a copy of that workspace is used with `--workspace DIR`; this one is /w
          - only if nobody has that key any more: `maquette up` makes the nodes again, and their disks are lost
        ");
    }
}
