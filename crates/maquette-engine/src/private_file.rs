//! Files of a workspace: private, read only as long as they are files and of a size that one of ours has, and replaced whole or
//! not at all.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Most bytes that are read of one file.
pub const MOST: u64 = 16 << 20;

/// What is in a file.
///
/// # Errors
///
/// It cannot be read, is a pipe or a device, or is larger than any that we write.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would have us wait for somebody to write.
    let no_wait = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = fs::OpenOptions::new().read(true).custom_flags(no_wait).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    bounded(file)
}

/// The same as text.
///
/// # Errors
///
/// The same, or it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    text(read(path)?)
}

/// All that there is to read, which may be anything.
///
/// # Errors
///
/// It cannot be read, or is more than anybody writes by hand.
pub fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        let message = format!("it has more than {} MiB", MOST >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Bytes as text.
///
/// # Errors
///
/// They are not UTF-8.
pub fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Makes a symbolic link, in place of whatever is there.
pub fn relink(target: &str, link: &Path) -> io::Result<()> {
    if fs::read_link(link).is_ok_and(|old| old == Path::new(target)) {
        return Ok(());
    }
    let temporary = link.with_extension("link");
    let _ = fs::remove_file(&temporary);
    std::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, link)
}

/// Writes a file that only its owner can read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// Writes a file that only its owner can read, whole or not at all, unless there is one: who is first is not written over. It is on
/// the disk then, name and all.
pub fn write_first(path: &Path, content: &[u8]) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    // Of its own: another run that writes it, too, could give its half-written one the name.
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    match fs::hard_link(&temporary, path) {
        Ok(()) => drop(fs::remove_file(&temporary)),
        Err(_) if path.exists() => drop(fs::remove_file(&temporary)),
        // A link that leads nowhere, or a file system without hard links.
        Err(_) => fs::rename(&temporary, path)?,
    }
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
    fs::File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
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
        assert_eq!(io::read_to_string(old).unwrap(), "old");
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn who_writes_a_file_first_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        symlink("nowhere", &path).unwrap();
        write_first(&path, b"one").unwrap();
        write_first(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let data = fs::symlink_metadata(&path).unwrap();
        assert!(data.is_file() && data.mode() & 0o7777 == 0o600, "{data:?}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_or_has_no_end_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let error = |name: &str| read_text(&at(name)).unwrap_err().to_string();
        fs::write(at("file"), "text").unwrap();
        symlink("file", at("link")).unwrap();
        assert_eq!(read_text(&at("link")).unwrap(), "text");
        symlink("/dev/zero", at("device")).unwrap();
        assert_eq!(error("device"), "it is not a regular file");
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status();
        assert!(made.unwrap().success());
        assert_eq!(error("pipe"), "it is not a regular file");
        fs::File::create(at("large")).unwrap().set_len(MOST + 1).unwrap();
        assert_eq!(error("large"), "it has more than 16 MiB");
        fs::write(at("bytes"), b"\xff").unwrap();
        assert_eq!(error("bytes"), "it is not UTF-8");
        assert_eq!(read(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
