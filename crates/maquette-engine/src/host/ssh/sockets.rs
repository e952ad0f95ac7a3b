//! Private directories for a connection's socket, which go away with whoever made them.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, StatVfsMountFlags, flock, statvfs};
use tempfile::TempDir;

const PREFIX: &str = "maquette-";
/// In each, locked while its owner lives.
const ALIVE: &str = "alive";
/// One that is younger may not be locked yet.
const YOUNG: Duration = Duration::from_secs(60);

/// Directories of this process.
static OURS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Directories of the user that `ssh` runs for.
#[derive(Debug, Clone, Default)]
pub struct Directories {
    /// The home directory, which `~/` in ssh's configuration means, if it is known.
    pub home: Option<PathBuf>,
    /// XDG's runtime directory (`XDG_RUNTIME_DIR`), if the user has one.
    pub runtime: Option<PathBuf>,
    /// The user's own choice for temporary files (`TMPDIR`), if there is one.
    pub temporary: Option<PathBuf>,
}

/// A directory that only its owner can enter.
pub(super) struct Directory {
    directory: TempDir,
    _alive: File,
}

impl Directory {
    /// Makes one, and removes those of runs that were killed.
    pub(super) fn new(user: &Directories) -> std::io::Result<Self> {
        let place = place(user);
        clear(&place);
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(place)?;
        let alive = File::create(directory.path().join(ALIVE))?;
        flock(&alive, FlockOperation::NonBlockingLockExclusive)?;
        OURS.lock().unwrap_or_else(PoisonError::into_inner).push(directory.path().into());
        Ok(Self { directory, _alive: alive })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        OURS.lock().unwrap_or_else(PoisonError::into_inner).retain(|d| d != self.directory.path());
    }
}

/// Removes this process's sockets, for who ends it at once.
pub fn remove() {
    for directory in OURS.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        // The next run looks again.
        let _ = fs::remove_dir_all(directory);
    }
}

/// Removes what killed runs of this user have left.
fn clear(place: &Path) {
    let own = rustix::process::getuid().as_raw();
    for path in fs::read_dir(place).into_iter().flatten().flatten().map(|e| e.path()) {
        let ours =
            path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
        let old = || {
            let data = path.symlink_metadata().ok().filter(|d| d.is_dir() && d.uid() == own)?;
            data.modified().ok()?.elapsed().ok().filter(|age| *age > YOUNG)
        };
        // Without that file it is somebody else's.
        let dead = || {
            let alive = File::open(path.join(ALIVE)).ok()?;
            flock(&alive, FlockOperation::NonBlockingLockExclusive).ok()
        };
        if ours && old().is_some() && dead().is_some() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// A private place for the socket and a program: XDG's runtime directory, or that for temporary files.
/// Sockets have short paths (104 bytes on some systems), and `ssh` adds to them while it makes one;
/// programs cannot be run from everywhere.
fn place(user: &Directories) -> PathBuf {
    const LONGEST: usize = 60;
    let fits = |path: &PathBuf| {
        path.is_dir()
            && path.as_os_str().len() <= LONGEST
            && statvfs(path).is_ok_and(|s| !s.f_flag.contains(StatVfsMountFlags::NOEXEC))
    };
    let others = ["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from);
    let own = user.home.as_ref().map(|home| home.join(".cache"));
    let first = [&user.runtime, &user.temporary].into_iter().flatten().cloned();
    let mut all = first.chain(others).chain(own);
    all.find(fits).unwrap_or_else(|| PathBuf::from("/tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(runtime: &Path) -> Directories {
        Directories { runtime: Some(runtime.into()), ..Directories::default() }
    }

    /// Not a test of its own: what the next one starts where nothing can be run from a directory.
    #[cfg(feature = "e2e")]
    #[test]
    #[ignore = "started by another test"]
    fn inside() {
        if crate::dying_host::part().is_none() {
            return;
        }
        let from = |path: &str| {
            let temporary = Some(PathBuf::from(path));
            place(&Directories { temporary, ..Directories::default() })
        };
        assert_eq!(from("/mnt/exec"), Path::new("/mnt/exec"));
        assert_ne!(from("/mnt/noexec"), Path::new("/mnt/noexec"));
    }

    /// The connection's program was put where nothing can be run.
    #[cfg(feature = "e2e")]
    #[test]
    fn a_place_from_which_nothing_is_run_is_passed_over() {
        const READY: &str = r#"mount -t tmpfs none /mnt
mkdir /mnt/exec /mnt/noexec
mount -t tmpfs -o noexec none /mnt/noexec
exec "$@""#;
        crate::dying_host::in_namespaces(READY, "host::ssh::sockets::tests::inside", 0);
    }

    #[test]
    fn sockets_get_a_short_path() {
        let long = tempfile::Builder::new().prefix(&"x".repeat(80)).tempdir().unwrap();
        assert!(place(&with(long.path())).as_os_str().len() <= 60);
        assert_eq!(place(&with("/".as_ref())), Path::new("/"));
    }

    #[test]
    fn what_killed_runs_left_goes_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(600);
        let made = |name: &str, with: &str, old: bool| {
            let path = place.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join(with), "").unwrap();
            if old {
                File::open(&path).unwrap().set_modified(long_ago).unwrap();
            }
            path
        };
        let dead = made("maquette-dead", ALIVE, true);
        let kept = [
            made("maquette-young", ALIVE, false),
            made("maquette-other", "file", true),
            made("other", ALIVE, true),
            made("maquette-alive", ALIVE, true),
        ];
        let held = File::open(kept[3].join(ALIVE)).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        clear(place.path());
        assert!(!dead.exists());
        assert!(kept.iter().all(|path| path.exists()));
    }

    #[test]
    fn who_ends_at_once_leaves_no_socket() {
        let directory = Directory::new(&Directories::default()).unwrap();
        let path = directory.path().to_path_buf();
        assert!(path.is_dir());
        remove();
        assert!(!path.exists());
    }
}
