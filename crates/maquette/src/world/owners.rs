//! Whose files are taken for the user's own, by who can write them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use maquette_engine::private_file::read_text;

use super::Environment;

/// Who else can write a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Another user, whose it is.
    Owner,
    /// A group that others may be in.
    Group,
    /// Everybody.
    Everybody,
}

/// Files that Podman and Docker have in their containers.
const CONTAINED: [&str; 2] = ["/run/.containerenv", "/.dockerenv"];

/// Who else than the user and root can write a file or directory; nobody can where there is none.
pub fn who_else(user: &Environment, path: &Path) -> Option<Others> {
    let metadata = path.metadata().ok()?;
    let (mode, owner) = (metadata.mode(), metadata.uid());
    judged(mode, owned(user).contains(&owner), || is_private(owner, metadata.gid()))
}

/// Whether a file or directory belongs to whom this program runs as.
pub fn is_ours(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw())
}

/// Whether a file, or a link of its name, was made by somebody else than the user and root.
pub fn is_strangers(user: &Environment, path: &Path) -> bool {
    let own = owned(user);
    let found = [path.symlink_metadata(), path.metadata()];
    found.into_iter().flatten().any(|metadata| !own.contains(&metadata.uid()))
}

/// Whose files are as good as the user's: root's, those of whoever asked `sudo`, and of whom the home directory belongs to, since
/// what is in there is run as the user anyway. Root of a container finds a mounted directory that is another user's: nobody else
/// is in there.
fn owned(user: &Environment) -> Vec<u32> {
    let own = rustix::process::geteuid();
    let asked = user.text("SUDO_UID").filter(|_| own.is_root()).and_then(|uid| uid.parse().ok());
    let home = user.home().and_then(|home| Some(home.metadata().ok()?.uid()));
    let is_contained = own.is_root() && CONTAINED.iter().any(|file| Path::new(file).exists());
    let here = || Some(Path::new(".").metadata().ok()?.uid());
    let mounted = is_contained.then(here).flatten();
    [Some(0), Some(own.as_raw()), asked, home, mounted].into_iter().flatten().collect()
}

fn judged(mode: u32, is_own: bool, is_private: impl Fn() -> bool) -> Option<Others> {
    match is_own {
        _ if mode & 0o002 != 0 => Some(Others::Everybody),
        false => Some(Others::Owner),
        true => (mode & 0o020 != 0 && !is_private()).then_some(Others::Group),
    }
}

/// Whether nobody else than the owner is in a group: with a umask of 002, all that is made by a user with a group of his own can
/// be written by it.
fn is_private(owner: u32, group: u32) -> bool {
    let read = |path: &str| read_text(Path::new(path)).unwrap_or_default();
    is_own_group(group, owner, &read("/etc/passwd"), &read("/etc/group"))
}

/// Whether a group is a user's first one, is called as the user, and has no other member. Of those that are not in the system's
/// files, but in a directory service, only the numbers tell.
fn is_own_group(group: u32, user: u32, users: &str, groups: &str) -> bool {
    let found = |text: &str, number: u32| {
        let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let is_it = |fields: &Vec<&str>| fields.get(2) == Some(&number.to_string().as_str());
        lines.find(is_it).map(|fields| {
            (fields[0].to_string(), fields.get(3).copied().unwrap_or_default().to_string())
        })
    };
    match (found(users, user), found(groups, group)) {
        (Some((name, first)), Some((called, members))) => {
            let is_alone = members.split(',').all(|m| m.trim().is_empty() || m.trim() == name);
            first == group.to_string() && called == name && is_alone
        }
        _ => group == user,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_else_can_write_is_told_by_mode_and_owner() {
        for (mode, is_own, is_private, expected) in [
            (0o755, true, false, None),
            (0o700, true, false, None),
            (0o775, true, true, None),
            (0o775, true, false, Some(Others::Group)),
            (0o755, false, false, Some(Others::Owner)),
            (0o700, false, true, Some(Others::Owner)),
            (0o777, true, true, Some(Others::Everybody)),
            (0o1777, false, false, Some(Others::Everybody)),
        ] {
            assert_eq!(judged(mode, is_own, || is_private), expected, "{mode:o} {is_own}");
        }
        let user = Environment::new([("HOME", "/nowhere")], "/");
        assert_eq!(who_else(&user, Path::new("/etc")), None);
        assert_eq!(who_else(&user, Path::new("/nowhere")), None);
        assert!(!is_strangers(&user, Path::new("/etc")));
    }

    #[test]
    fn a_group_is_the_users_own_by_its_name_and_members() {
        let users = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:100::/:/bin/sh\n";
        let groups = "root:x:0:\nusers:x:100:\nann:x:1000:\nlab:x:1002:ann,bob\n";
        assert!(is_own_group(1000, 1000, users, groups));
        assert!(is_own_group(1000, 1000, users, &groups.replace("1000:", "1000:ann")));
        assert!(!is_own_group(1000, 1000, users, &groups.replace("1000:", "1000:ann,bob")));
        assert!(is_own_group(0, 0, users, groups));
        assert!(!is_own_group(0, 0, users, &groups.replace("root:x:0:", "root:x:0:ann")));
        assert!(!is_own_group(100, 1001, users, groups));
        assert!(!is_own_group(1002, 1000, users, groups));
        // Of a directory service.
        assert!(is_own_group(5000, 5000, users, groups));
        assert!(!is_own_group(5001, 5000, users, groups));
    }
}
