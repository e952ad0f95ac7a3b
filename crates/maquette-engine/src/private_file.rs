//! Files of a workspace: private, read only as long as they are files and of a size that one of ours has, and replaced whole or
//! not at all.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// Most bytes that are read of one file.
pub const MOST: u64 = 16 << 20;

/// What is in a file.
///
/// # Errors
///
/// It cannot be read, is a pipe or a device, or is larger than any that we write.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would have us wait for somebody to write.
    let no_wait = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
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

/// Makes a symbolic link, in place of a file or link that is there.
pub fn relink(target: &str, link: &Path) -> io::Result<()> {
    if fs::read_link(link).is_ok_and(|old| old == Path::new(target)) {
        return Ok(());
    }
    let temporary = link.with_extension("link");
    let _ = fs::remove_file(&temporary);
    std::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, link)
}

/// Writes a file that only its owner can read, whole or not at all. Who writes it at the same time comes after that.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = held(&temporary)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.set_len(0)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// How often the file that another one is written as is opened, before whoever takes it away each time has won.
const TRIES: usize = 100;

/// How often it is asked whether somebody else still writes it, and how long is waited each time: it is small. A file server that
/// does not answer about locks is as one that has none.
const ASKS: (usize, Duration) = (200, Duration::from_millis(10));

/// Opens the file that another one is written as, with a lock: what somebody else was writing has its name by then, and what a
/// killed run has left is written over.
fn held(temporary: &Path) -> io::Result<fs::File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let user = rustix::process::geteuid().as_raw();
    for _ in 0..TRIES {
        // A link, a pipe, a file that has other names, too, or one of somebody else's: it is not one that was begun here.
        let is_begun =
            |there: &fs::Metadata| there.is_file() && there.nlink() == 1 && there.uid() == user;
        if temporary.symlink_metadata().is_ok_and(|there| !is_begun(&there)) {
            fs::remove_file(temporary)?;
        }
        let file = options.open(temporary)?;
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        for _ in 0..ASKS.0 {
            match flock(&file, exclusive) {
                Err(Errno::WOULDBLOCK) => std::thread::sleep(ASKS.1),
                _ => break,
            }
        }
        let (own, there) = (file.metadata()?, temporary.symlink_metadata());
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
            return Ok(file);
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "others write it all the time"))
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
    use std::os::unix::fs::symlink;

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

    /// Two commands of different environments have one workspace: each took the other's half-written file.
    #[test]
    fn who_writes_a_file_at_the_same_time_writes_a_whole_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        // What a killed run has left.
        fs::write(path.with_extension("new"), "x".repeat(1 << 20)).unwrap();
        let texts = [1usize, 2, 3, 4].map(|n| n.to_string().repeat(n << 12));
        let (path, whole) = (&path, &texts);
        std::thread::scope(|scope| {
            for text in whole {
                scope.spawn(move || {
                    (0..50).for_each(|_| write_private(path, text.as_bytes()).unwrap())
                });
            }
            for _ in 0..200 {
                if let Ok(found) = fs::read_to_string(path) {
                    assert!(texts.contains(&found), "{} bytes", found.len());
                }
            }
        });
        assert!(texts.contains(&fs::read_to_string(path).unwrap()));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
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
