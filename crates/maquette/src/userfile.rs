//! Files that the user names for output. They are the user's: a device, a pipe or a link is written
//! through and never replaced, and a file keeps its mode and its owner. Only files of our own, in a
//! workspace, are replaced by renaming (`write_private` of the engine).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use maquette_core::diagnostic::Diagnostic;

use crate::failure::Failure;
use crate::world::Terminal;

/// What is in a file, as far as others are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Nothing secret: a new file has the mode that the user's umask gives.
    Plain,
    /// Nothing secret that others need to see all the same: a new file is for its owner only.
    Private,
    /// Passwords or keys: a new file is for its owner only, and others' access to an old one is said.
    Secret,
}

/// Names of this process's own standard output, which is written to and not opened again: opening
/// would cut off what is there already, and fails for a socket.
const STDOUT: [&str; 3] = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Writes all of a file that the user named.
pub fn write(
    terminal: &Terminal,
    path: &Path,
    bytes: &[u8],
    content: Content,
) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::because(format!("cannot write {}", path.display()), e);
    if STDOUT.iter().any(|name| path == Path::new(name)) {
        return match terminal.bytes(bytes) {
            true => Ok(()),
            false => Err(failed(io::ErrorKind::BrokenPipe.into())),
        };
    }
    let mut file = open(path, content).map_err(failed)?;
    if content == Content::Secret && readable(&file) {
        terminal.talk(&format!(
            "warning: {} holds a secret and can be read by others; `chmod 600 {0}` keeps it to yourself",
            path.display()
        ));
    }
    file.write_all(bytes).and_then(|()| file.flush()).map_err(failed)
}

/// Where a file that the user named is, whose place another one takes once that is whole; a link leads there. Devices and pipes
/// cannot be replaced: they would be gone for everybody.
pub fn replaceable(path: &Path) -> Result<PathBuf, Failure> {
    let refuse = |why: &str| {
        let message = format!("{} {why}, which a new file would take the place of", path.display());
        let error = Diagnostic::error("file::not-replaceable", message);
        Err(Failure::input(error.help("name a file, or one that does not exist yet")))
    };
    match std::fs::metadata(path) {
        Ok(there) if there.is_file() && !path.is_symlink() => Ok(path.into()),
        Ok(there) if there.is_file() => path
            .canonicalize()
            .map_err(|e| Failure::because(format!("cannot follow {}", path.display()), e)),
        Ok(there) if there.is_dir() => refuse("is a directory"),
        Ok(_) => refuse("is a device, a pipe or a socket"),
        Err(_) if path.is_symlink() => refuse("is a link that leads nowhere"),
        Err(_) => Ok(path.into()),
    }
}

/// Opens a file that the user named, for what is written bit by bit.
pub fn open(path: &Path, content: Content) -> io::Result<File> {
    let mode = if content == Content::Plain { 0o666 } else { 0o600 };
    OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)
}

/// Whether others than its owner may read a file. Devices and pipes keep nothing.
fn readable(file: &File) -> bool {
    file.metadata().is_ok_and(|m| {
        let kind = m.file_type();
        let keeps = !kind.is_char_device() && !kind.is_fifo() && !kind.is_socket();
        keeps && m.permissions().mode() & 0o044 != 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `image build -o /dev/null` as root made a file of the device.
    #[test]
    fn what_another_file_takes_the_place_of_is_a_file() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::write(at("file"), "").unwrap();
        for (link, to) in [("link", "file"), ("astray", "nowhere"), ("null", "/dev/null")] {
            std::os::unix::fs::symlink(at(to), at(link)).unwrap();
        }
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let real = |name: &str| home.path().canonicalize().unwrap().join(name);
        assert_eq!(replaceable(&at("file")).unwrap(), at("file"));
        assert_eq!(replaceable(&at("link")).unwrap(), real("file"));
        assert_eq!(replaceable(&at("new")).unwrap(), at("new"));
        for name in ["pipe", "null", "astray", "."] {
            let refused = replaceable(&at(name)).unwrap_err();
            assert_eq!(refused.code(), 2, "{name}");
        }
    }
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_link_is_written_through_and_a_file_keeps_mode_and_inode() {
        let home = tempfile::tempdir().unwrap();
        let (file, link) = (home.path().join("file"), home.path().join("link"));
        fs::write(&file, "a longer text than the new one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let before = fs::metadata(&file).unwrap().ino();
        write(&Terminal::deaf(), &link, b"new", Content::Secret).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!((mode(&file), fs::metadata(&file).unwrap().ino()), (0o644, before));
    }

    #[test]
    fn a_new_secret_is_for_its_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("answers");
        write(&Terminal::deaf(), &file, b"secret", Content::Secret).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_device_stays_a_device() {
        write(&Terminal::deaf(), Path::new("/dev/null"), b"x", Content::Secret).unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[test]
    fn the_reader_of_a_pipe_gets_it() {
        let home = tempfile::tempdir().unwrap();
        let pipe = home.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        write(&Terminal::deaf(), &pipe, b"through", Content::Plain).unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }
}
