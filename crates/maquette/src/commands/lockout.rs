//! A workspace without the key that an environment's nodes were made with: somebody else's, or a new
//! one after the old was lost. Whoever has it can let others in; making the nodes anew is the last way.

use maquette_core::names::EnvName;
use maquette_core::observed::Observed;
use maquette_engine::ssh_keys::{EnvironmentKey, KEY_FILE, fingerprint};

use crate::workspace::Workspace;

/// Nodes that this workspace's key does not open, none of them.
#[derive(Debug)]
pub struct Lockout {
    nodes: Vec<String>,
    /// Fingerprint of the key that does.
    key: Option<String>,
}

/// Finds out whether no node with a guest opens to a key. One that does makes it the right key.
pub fn find(observed: &Observed, key: &EnvironmentKey) -> Option<Lockout> {
    with(observed, Some(key.public()))
}

/// The same for the key in a workspace, if there is one.
pub fn of(observed: &Observed, workspace: &Workspace) -> Option<Lockout> {
    // One that cannot be read opens nothing.
    let key = EnvironmentKey::read(&workspace.path).ok().flatten();
    with(observed, key.as_ref().map(|key| key.public().as_str()))
}

/// Whether two public keys are the same, whatever their comments are.
pub fn is_same(one: &str, other: &str) -> bool {
    one.split_whitespace().nth(1) == other.split_whitespace().nth(1)
}

fn with(observed: &Observed, key: Option<&str>) -> Option<Lockout> {
    let guests = observed.domains.values().filter_map(|d| Some((d, d.recorded.guest.as_ref()?)));
    let made: Vec<(String, String)> =
        guests.map(|(d, guest)| (d.name.clone(), guest.authorized_key.to_string())).collect();
    let opens = |made: &str| key.is_some_and(|key| is_same(key, made));
    if made.is_empty() || made.iter().any(|(_, made)| opens(made)) {
        return None;
    }
    let key = made.first().and_then(|(_, key)| fingerprint(key));
    Some(Lockout { nodes: made.into_iter().map(|(name, _)| name).collect(), key })
}

impl Lockout {
    /// What is wrong, and the ways in, the least harmful first.
    pub fn text(&self, environment: &EnvName, workspace: &Workspace) -> String {
        let node = self.nodes.first().map_or("NODE", String::as_str);
        let which = self.key.as_ref().map_or(String::new(), |key| format!(" ({key})"));
        let directory = workspace.path.display();
        format!(
            "environment `{environment}` was built with a key that this workspace does not have{which}\n  \
             the key is {KEY_FILE} in the workspace of whoever built it; it is nowhere on the hypervisor\n  \
             - a copy of that workspace is used with `--workspace DIR`; this one is {directory}\n  \
             - or its owner adds your public key to each node:\n      \
             maquette ssh {node} -- 'cat >> .ssh/authorized_keys' < YOUR_KEY.pub\n  \
             - only if nobody has that key any more: `maquette up` makes the nodes anew, and their disks are lost"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_nodes_nobody_is_locked_out() {
        let key = EnvironmentKey::generate().unwrap();
        assert!(find(&Observed::default(), &key).is_none());
    }

    #[test]
    fn the_last_way_is_the_one_that_loses_disks() {
        let lockout = Lockout { nodes: vec!["nc-web-0".into()], key: Some("SHA256:abc".into()) };
        let environment = EnvName::from_prefix("nc").unwrap();
        let text = lockout.text(&environment, &Workspace::at(std::path::Path::new("/w")));
        insta::assert_snapshot!(text, @r"
        environment `nc` was built with a key that this workspace does not have (SHA256:abc)
          the key is id_ed25519 in the workspace of whoever built it; it is nowhere on the hypervisor
          - a copy of that workspace is used with `--workspace DIR`; this one is /w
          - or its owner adds your public key to each node:
              maquette ssh nc-web-0 -- 'cat >> .ssh/authorized_keys' < YOUR_KEY.pub
          - only if nobody has that key any more: `maquette up` makes the nodes anew, and their disks are lost
        ");
    }
}
