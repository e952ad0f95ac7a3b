//! Files of a workspace: private, and replaced whole or not at all.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Makes a symbolic link, in place of whatever is there.
pub fn relink(target: &str, link: &Path) -> std::io::Result<()> {
    if fs::read_link(link).is_ok_and(|old| old == Path::new(target)) {
        return Ok(());
    }
    let temporary = link.with_extension("link");
    let _ = fs::remove_file(&temporary);
    std::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, link)
}

/// Writes a file that only its owner can read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    /// A workspace in which a public key was a link had somebody's `authorized_keys` written over.
    #[test]
    fn a_link_in_a_files_place_goes_and_what_it_leads_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("authorized_keys"), "canary").unwrap();
        // Where it is first written, too: that name is known to everybody.
        for link in ["key.pub", "key.new"] {
            symlink("authorized_keys", at(link)).unwrap();
        }
        write_private(&at("key.pub"), b"key").unwrap();
        assert_eq!(fs::read(at("authorized_keys")).unwrap(), b"canary");
        let data = fs::symlink_metadata(at("key.pub")).unwrap();
        assert!(data.is_file() && data.mode() & 0o7777 == 0o600, "{data:?}");
        assert_eq!(fs::read(at("key.pub")).unwrap(), b"key");
        symlink("authorized_keys", at("key.link")).unwrap();
        relink("key.pub", &at("key")).unwrap();
        assert_eq!(fs::read_link(at("key")).unwrap(), Path::new("key.pub"));
        relink("other", &at("key")).unwrap();
        assert_eq!(fs::read_link(at("key")).unwrap(), Path::new("other"));
        let mut left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["authorized_keys", "key", "key.pub"]);
    }

    /// Somebody who reads it meanwhile, and whoever had it open, has the whole old file.
    #[test]
    fn a_file_is_replaced_and_never_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        write_private(&path, b"old").unwrap();
        let old = fs::File::open(&path).unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(std::io::read_to_string(old).unwrap(), "old");
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
