//! Which key on this machine logs in to an environment's nodes: that of the workspace which built it, or one that it was
//! shared with.

use std::path::PathBuf;

use maquette_core::blueprint::Guest;
use maquette_core::observed::Observed;
use maquette_core::values::{PlainPath, PublicKey};
use maquette_engine::public_keys;
use maquette_engine::ssh_keys::{EnvironmentKey, KEY_LINK};

use super::Workspace;
use crate::world::Environment;

/// How nodes open to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To the workspace that built them.
    Built,
    /// To a key that they were shared with; the file that `ssh` is to use.
    Shared(PathBuf),
}

impl Way {
    /// The key's file, where it is not the workspace's own that built the nodes.
    pub fn shared(self) -> Option<PathBuf> {
        match self {
            Self::Built => None,
            Self::Shared(file) => Some(file),
        }
    }
}

/// Keys on this machine.
pub struct Keys {
    /// That of a workspace.
    workspace: Option<(PublicKey, PathBuf)>,
    /// The user's own.
    own: Vec<(PublicKey, PathBuf)>,
}

impl Keys {
    /// The keys in a workspace and in `~/.ssh`. One that cannot be read opens nothing.
    pub fn here(workspace: &Workspace, user: &Environment) -> Self {
        let key = EnvironmentKey::read(&workspace.path).ok().flatten();
        let workspace = key.map(|key| (key.public().clone(), workspace.file(KEY_LINK)));
        Self { workspace, own: of_user(user) }
    }

    /// How some nodes open to one of these, if one of them does.
    pub fn way<'a>(&self, guests: impl Iterator<Item = &'a Guest> + Clone) -> Option<Way> {
        let built = |key: &PublicKey| guests.clone().any(|g| g.authorized_key.is_same(key));
        if self.workspace.iter().any(|(key, _)| built(key)) {
            return Some(Way::Built);
        }
        let mut keys = self.workspace.iter().chain(&self.own);
        let opens = |key: &PublicKey| guests.clone().any(|g| g.keys().any(|k| k.is_same(key)));
        keys.find(|(key, _)| opens(key)).map(|(_, file)| Way::Shared(file.clone()))
    }
}

/// How an environment's nodes open to what is here, if they do.
pub fn way(observed: &Observed, workspace: &Workspace, user: &Environment) -> Option<Way> {
    Keys::here(workspace, user).way(observed.guests().map(|(_, guest)| guest))
}

/// Public keys in `~/.ssh`, each with the file that `ssh` is to use: the private key, or the public one where an agent or a
/// token has the other half.
fn of_user(user: &Environment) -> Vec<(PublicKey, PathBuf)> {
    let Some(directory) = user.home().map(|home| home.join(".ssh")) else { return Vec::new() };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "pub"));
    // The ssh config and the inventory, which name it, cannot have another one.
    files.retain(|file| file.display().to_string().parse::<PlainPath>().is_ok());
    files.sort();
    let read = |file: PathBuf| {
        let key = public_keys::line(&crate::reading::text(&file).ok()?)?.parse().ok()?;
        let private = file.with_extension("");
        Some((key, if private.is_file() { private } else { file }))
    };
    files.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use maquette_testkit as testkit;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn the_workspaces_key_comes_before_the_users_and_an_agents_is_named_by_its_public_half() {
        let home = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(&home.path().join("ws"));
        let user = Environment::new([("HOME", home.path())], "/");
        let ssh = home.path().join(".ssh");
        std::fs::create_dir(&ssh).unwrap();
        std::fs::write(ssh.join("a key.pub"), KEY).unwrap();
        std::fs::write(ssh.join("id.pub"), format!("{KEY} bob@desk\n")).unwrap();
        std::fs::write(ssh.join("known_hosts"), "x").unwrap();
        let guest = |key: &str, shared: &[&str]| Guest {
            authorized_key: key.parse().unwrap(),
            shared: shared.iter().map(|key| key.parse().unwrap()).collect(),
            ..testkit::guest()
        };
        let way = |guest: &Guest| Keys::here(&workspace, &user).way(std::iter::once(guest));
        assert_eq!(way(&guest("ssh-ed25519 AAAA", &[])), None);
        let shared = guest("ssh-ed25519 AAAA", &[KEY]);
        assert_eq!(way(&shared), Some(Way::Shared(ssh.join("id.pub"))));
        std::fs::write(ssh.join("id"), "private").unwrap();
        assert_eq!(way(&shared), Some(Way::Shared(ssh.join("id"))));
        workspace.create().unwrap();
        let key = EnvironmentKey::generate().unwrap();
        key.write(&workspace.path).unwrap();
        assert_eq!(way(&guest(key.public(), &[KEY])), Some(Way::Built));
        let both = guest("ssh-ed25519 AAAA", &[KEY, key.public()]);
        assert_eq!(way(&both), Some(Way::Shared(workspace.file(KEY_LINK))));
    }
}
