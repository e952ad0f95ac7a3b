//! Putting a tree into a directory that comes into being whole, or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::contents::{Node, Tree};

/// What directories are called that are being filled.
const FILLING: &str = ".import-";

/// Makes `target` with the content of `tree`. It is filled under another name beside it and renamed
/// when it is complete; nothing that is there already is replaced or followed.
pub fn place(tree: &Tree, target: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let parent = target.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    clear(parent);
    let filling = tempfile::Builder::new()
        .prefix(FILLING)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)?;
    let directory = open(CWD, filling.path())?;
    // Whoever clears up sees that somebody is at it.
    rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
    fill(directory.as_fd(), tree)?;
    rename(filling.path(), target)?;
    let _ = filling.keep();
    rustix::fs::fsync(open(CWD, parent)?)?;
    Ok(())
}

/// Removes what an import has left that was killed.
fn clear(parent: &Path) {
    for path in fs::read_dir(parent).into_iter().flatten().flatten().map(|e| e.path()) {
        let ours =
            path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(FILLING.as_bytes()));
        let idle = |path: &PathBuf| {
            let directory = open(CWD, path).ok()?;
            rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive).ok()
        };
        if ours && idle(&path).is_some() {
            // If it cannot be removed it is only in the way of nobody.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn open(at: BorrowedFd<'_>, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

/// Each name is looked up in a directory that is open, and has to be new there.
fn fill(directory: BorrowedFd<'_>, tree: &Tree) -> io::Result<()> {
    for (name, node) in tree.iter() {
        match node {
            Node::Directory(tree) => {
                rustix::fs::mkdirat(directory, name, Mode::RWXU)?;
                fill(open(directory, Path::new(name))?.as_fd(), tree)?;
            }
            Node::File(bytes) => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let file = rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?;
                let mut file = File::from(file);
                file.write_all(bytes)?;
                file.sync_all()?;
            }
            Node::Link(target) => rustix::fs::symlinkat(target.as_str(), directory, name)?,
        }
    }
    rustix::fs::fsync(directory)?;
    Ok(())
}

/// Renames unless there is something of that name.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can promise it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if rustix::fs::statat(CWD, to, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                return Err(Errno::EXIST.into());
            }
            fs::rename(from, to)
        }
        done => Ok(done?),
    }
}
