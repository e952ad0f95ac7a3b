//! Directories that disks name: what is in them, the room that there is, and who may write there.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::observed::{Access, DirectoryFacts};
use maquette_core::values::{Directory, Login};

use super::sections::Sections;
use crate::host::{Command, Host, HostError, check};

/// What [`directories`] runs on the hypervisor.
pub const DIRECTORIES: &str = concat!(
    "# Looks at directories of the hypervisor.\n",
    include_str!("../../assets/host/access.sh"),
    include_str!("../../assets/host/directories.sh"),
);

/// Looks at directories of the hypervisor, in one round trip; in none if there are none.
pub fn directories(
    host: &dyn Host,
    all: &BTreeSet<Directory>,
) -> Result<BTreeMap<Directory, DirectoryFacts>, HostError> {
    if all.is_empty() {
        return Ok(BTreeMap::new());
    }
    let said = check(host, &Command::script(DIRECTORIES, all.iter().map(ToString::to_string)))?;
    Ok(read_directories(&said, all))
}

/// Understands what [`DIRECTORIES`] prints of these.
pub fn read_directories(
    said: &str,
    all: &BTreeSet<Directory>,
) -> BTreeMap<Directory, DirectoryFacts> {
    let mut found: Vec<DirectoryFacts> = all.iter().map(|_| DirectoryFacts::default()).collect();
    let (mut at, mut login) = (None, None);
    for line in said.lines() {
        let Some((word, rest)) = line.split_once(' ') else { continue };
        if word == "directory" {
            at = rest.parse::<usize>().ok();
            continue;
        }
        let Some(facts) = at.and_then(|at| found.get_mut(at)) else { continue };
        match word {
            "instead" => facts.instead = Some(rest.into()),
            "free" => facts.free = rest.parse::<u64>().ok().and_then(|kib| kib.checked_mul(1024)),
            "file" => drop(facts.files.insert(rest.into())),
            "login" => login = rest.parse().ok(),
            "access" => facts.access.extend(access(rest, login)),
            _ => {}
        }
    }
    all.iter().cloned().zip(found).collect()
}

/// Who may write to the directory of the storage pool, as the probe has it.
pub(super) fn of_pool(seen: &Sections) -> Vec<Access> {
    let mut login = None;
    let read = |line: &str| match line.split_once(' ')? {
        ("login", number) => {
            login = number.parse().ok();
            None
        }
        ("access", rest) => access(rest, login),
        _ => None,
    };
    seen.lines("access").filter_map(read).collect()
}

/// What `access.sh` prints of a directory: `MODE UID OWNER PATH`. `login` is the number of whoever asks.
fn access(line: &str, login: Option<u32>) -> Option<Access> {
    // A path begins with a slash, which no user's name has.
    let (who, path) = line.split_once(" /")?;
    let mut words = who.splitn(3, ' ');
    let mode = u32::from_str_radix(words.next()?, 8).ok().filter(|mode| *mode <= 0o7777)?;
    let number: u32 = words.next()?.parse().ok()?;
    let name = words.next()?.parse::<Login>().ok().filter(|name| name.as_str() != "UNKNOWN");
    let owner = name.map_or_else(|| format!("user {number}"), |name| name.to_string());
    let is_known = number == 0 || login == Some(number);
    let path = format!("/{path}").parse().ok()?;
    Some(Access { path, mode, stranger: (!is_known).then_some(owner) })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::host::Local;

    #[test]
    fn directories_are_told_with_their_disks_their_room_and_what_is_there_instead() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name).display().to_string().parse::<Directory>();
        let [disks, none, file, below, link] =
            ["disks", "none/at all", "file", "file/below", "link"].map(|name| path(name).unwrap());
        fs::create_dir(root.path().join("disks")).unwrap();
        for name in ["web-0-disk1.qcow2", "web-0-disk1.before", "notes", "a b-c.d"] {
            fs::write(root.path().join("disks").join(name), "x").unwrap();
        }
        fs::write(root.path().join("file"), "x").unwrap();
        symlink("/no/such", root.path().join("link")).unwrap();
        let all = BTreeSet::from([disks, none, file, below, link].map(|d| d));
        let found = directories(&Local, &all).unwrap();
        let facts = |name: &str| found[&path(name).unwrap()].clone();
        let names = ["web-0-disk1.before", "web-0-disk1.qcow2"].map(String::from);
        assert_eq!(facts("disks").files, BTreeSet::from(names));
        assert!(facts("disks").free > Some(0) && facts("none/at all").free > Some(0));
        assert_eq!((facts("none/at all").instead, facts("disks").instead), (None, None));
        assert_eq!(facts("file").instead.as_deref(), Some("a file"));
        assert_eq!(facts("file/below").instead.as_deref(), Some("below a file"));
        assert_eq!(facts("link").instead.as_deref(), Some("a link to nothing"));
        assert!(directories(&Local, &BTreeSet::new()).unwrap().is_empty());
    }

    #[test]
    fn directories_are_told_with_who_may_write_to_them_and_to_those_above() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let path = |name: &str| {
            let path = root.join(name).display().to_string();
            path.trim_end_matches('/').parse::<Directory>().unwrap()
        };
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(root.join("open")).unwrap();
        fs::set_permissions(root.join("open"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::create_dir(root.join("open/own")).unwrap();
        fs::set_permissions(root.join("open/own"), fs::Permissions::from_mode(0o1777)).unwrap();
        symlink(root.join("open/own"), root.join("link")).unwrap();
        let asked = ["open", "open/own", "open/later/on", "link"];
        let found = directories(&Local, &BTreeSet::from(asked.map(path))).unwrap();
        let told = |name: &str| {
            let access = &found[&path(name)].access;
            access.iter().take(2).map(|a| (a.path.clone(), a.mode)).collect::<Vec<_>>()
        };
        let own = [(path("open/own"), 0o1777), (path("open"), 0o777)];
        assert_eq!(told("link"), own);
        assert_eq!(told("open/own"), own);
        for name in ["open", "open/later/on"] {
            assert_eq!(told(name), [(path("open"), 0o777), (path(""), 0o700)], "{name}");
        }
        // They are ours, and so is one of the pool.
        assert!(found.values().all(|facts| facts.access[0].stranger.is_none()), "{found:?}");
        let pool = root.join("open").display().to_string();
        let facts = crate::probe::gather_for(&Local, crate::probe::Reach::Local, &pool).unwrap();
        assert_eq!(facts.pool_access, found[&path("open")].access);
    }

    #[test]
    fn whose_a_directory_is_is_told_by_name_and_what_does_not_parse_is_not_known() {
        let said = "directory 0\nlogin 1000\naccess 700 1000 ann /home/ann/a b\naccess 1777 0 root /tmp\n\
                    access 711 65534 nobody /srv\naccess 755 7 UNKNOWN /a\naccess 755 8 LAB\\an na /b\n";
        let odd = "access 99999 0 root /c\naccess x 0 root /d\naccess 755 -1 root /e\naccess 755 0 root\n\
                   access 755 0 root /f/../g\naccess 755 0 root /h\u{1b}[2J\naccess\n";
        let path = "/srv".parse::<Directory>().unwrap();
        let all = BTreeSet::from([path.clone()]);
        let found = read_directories(&format!("{said}{odd}"), &all);
        let told = |a: &Access| format!("{:o} {:?} {}", a.mode, a.stranger, a.path);
        let told: Vec<String> = found[&path].access.iter().map(told).collect();
        assert_eq!(
            told,
            [
                "700 None /home/ann/a b",
                "1777 None /tmp",
                "711 Some(\"nobody\") /srv",
                "755 Some(\"user 7\") /a",
                "755 Some(\"user 8\") /b",
            ]
        );
    }
}
