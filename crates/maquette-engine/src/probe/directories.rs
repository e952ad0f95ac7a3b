//! Directories that disks name: what is in them, and the room that there is.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::observed::DirectoryFacts;
use maquette_core::values::Directory;

use crate::host::{Command, Host, HostError, check};

/// What [`directories`] runs on the hypervisor.
pub const DIRECTORIES: &str = include_str!("../../assets/host/directories.sh");

/// Looks at directories of the hypervisor, in one round trip; in none if there are none.
pub fn directories(
    host: &dyn Host,
    all: &BTreeSet<Directory>,
) -> Result<BTreeMap<Directory, DirectoryFacts>, HostError> {
    if all.is_empty() {
        return Ok(BTreeMap::new());
    }
    let said = check(host, &Command::script(DIRECTORIES, all.iter().map(ToString::to_string)))?;
    Ok(read(&said, all))
}

fn read(said: &str, all: &BTreeSet<Directory>) -> BTreeMap<Directory, DirectoryFacts> {
    let mut found: Vec<DirectoryFacts> = all.iter().map(|_| DirectoryFacts::default()).collect();
    let mut at = None;
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
            _ => {}
        }
    }
    all.iter().cloned().zip(found).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        std::os::unix::fs::symlink("/no/such", root.path().join("link")).unwrap();
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
}
