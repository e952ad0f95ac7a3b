//! What changes files on another machine: commands that read the content on their standard input.

use std::fs::File;
use std::path::Path;

use super::local::copy;
use super::{Command, Host, HostError};

/// Writes standard input to a file, whole or not at all, also when the power fails: a name may reach the
/// disk before the content does. $1: the file  $2: its mode
const WRITE: &str = include_str!("../../assets/host/write.sh");

/// Renames a file in the same way. $1: the file  $2: its new name
const RENAME: &str = include_str!("../../assets/host/rename.sh");

/// A command that writes what it reads.
pub(crate) fn write(path: &str, mode: u32) -> Command {
    Command::script(WRITE, [path, &format!("{mode:o}")])
}

pub(crate) fn rename(from: &str, to: &str) -> Command {
    Command::script(RENAME, [from, to])
}

pub(crate) fn remove(path: &str) -> Command {
    Command::new("rm").args(["-f", "--", path])
}

/// Copies a file from here.
pub(crate) fn upload<H: Host + ?Sized>(
    host: &H,
    from: &Path,
    to: &str,
    progress: &mut dyn FnMut(u64),
) -> Result<(), HostError> {
    let unreadable =
        |source| HostError::File { verb: "read", path: from.display().to_string(), source };
    let mut source = File::open(from).map_err(unreadable)?;
    let command = Command::script("cat > \"$1\"; sync -- \"$1\"", [to]);
    host.feed(&command, &mut |pipe| copy(&mut source, pipe, progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a script calls, in order: programs that only tell come first on the path.
    fn calls(script: &str, args: &[&str]) -> Vec<String> {
        use std::os::unix::fs::PermissionsExt;
        let shims = tempfile::tempdir().unwrap();
        let log = shims.path().join("log");
        for program in ["sync", "mv"] {
            let file = shims.path().join(program);
            let text = format!("#!/bin/sh\necho {program} \"$@\" >>{}\n", log.display());
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", shims.path().display());
        let status = std::process::Command::new("sh")
            .args(["-euc", script, "sh"])
            .args(args)
            .env("PATH", path)
            .stdin(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::read_to_string(log).unwrap().lines().map(String::from).collect()
    }

    #[test]
    fn what_is_renamed_is_on_the_disk_before_and_its_name_after() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().to_str().unwrap();
        let (file, new) = (format!("{directory}/a"), format!("{directory}/a.new"));
        let around = |from: &str, to: &str| {
            [
                format!("sync -- {from}"),
                format!("mv -f -- {from} {to}"),
                format!("sync -- {directory}"),
            ]
        };
        assert_eq!(calls(WRITE, &[&file, "600"]), around(&new, &file));
        let other = format!("{directory}/b");
        assert_eq!(calls(RENAME, &[&file, &other]), around(&file, &other));
    }
}
