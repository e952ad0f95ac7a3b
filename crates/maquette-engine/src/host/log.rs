//! Reading a log that virtlogd writes and rotates, as it is or as it grows.

use std::io::Read;
use std::process::Child;

use super::{Command, Host, HostError};

const SCRIPT: &str = include_str!("../../assets/host/log.sh");

/// Exit status of the script if there is no log.
const NO_FILE: i32 = 44;

/// Reads a log's last lines, or all of it, until `take` says that nobody reads any more; false if there is no log.
/// Followed, it does not end by itself.
pub fn read_log(
    host: &dyn Host,
    path: &str,
    lines: Option<u64>,
    follow: bool,
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<bool, HostError> {
    let lines = lines.map_or("+1".to_string(), |n| n.to_string());
    let mut child = begin(host, path, &lines, follow)?;
    // Where it ends, so does what follows the log there.
    let _leash = child.stdin.take();
    relay(child, path, take)
}

/// Follows a log from its last lines on until `until` ends, or `take` says that nobody reads any more; false if there is no
/// log.
pub fn follow_log(
    host: &dyn Host,
    path: &str,
    lines: u64,
    mut until: impl Read + Send + 'static,
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<bool, HostError> {
    let mut child = begin(host, path, &lines.to_string(), true)?;
    let leash = child.stdin.take();
    std::thread::spawn(move || {
        // Its end is all that is of interest, whatever it is.
        let _ = std::io::copy(&mut until, &mut std::io::sink());
        drop(leash);
    });
    relay(child, path, take)
}

fn begin(host: &dyn Host, path: &str, lines: &str, follow: bool) -> Result<Child, HostError> {
    let follow = if follow { "yes" } else { "no" };
    host.spawn(&Command::script(SCRIPT, [path, lines, follow]))
}

fn relay(
    mut child: Child,
    path: &str,
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<bool, HostError> {
    let mut buffer = [0u8; 8192];
    if let Some(mut out) = child.stdout.take() {
        while let Ok(count @ 1..) = out.read(&mut buffer) {
            if !take(&buffer[..count]) {
                // The log's reader must not outlive us.
                let _ = child.kill();
                break;
            }
        }
    }
    let status = child.wait();
    let status =
        status.map_err(|source| HostError::File { verb: "read", path: path.into(), source })?;
    Ok(status.code() != Some(NO_FILE))
}

#[cfg(test)]
mod tests {
    use super::super::Local;
    use super::*;

    #[test]
    fn what_was_rotated_comes_first_and_a_log_that_is_not_there_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("a.log");
        let path = log.to_str().unwrap();
        let read = |lines| {
            let mut all = Vec::new();
            let take = &mut |bytes: &[u8]| {
                all.extend_from_slice(bytes);
                true
            };
            let found = read_log(&Local, path, lines, false, take).unwrap();
            (found, String::from_utf8(all).unwrap())
        };
        assert_eq!(read(None), (false, String::new()));
        for (file, text) in [
            (path.to_string(), "three\n"),
            (format!("{path}.0"), "two\n"),
            (format!("{path}.1"), "one\n"),
        ] {
            std::fs::write(file, text).unwrap();
        }
        assert_eq!(read(None), (true, "one\ntwo\nthree\n".into()));
        assert_eq!(read(Some(2)), (true, "two\nthree\n".into()));
    }

    /// A log that nothing is written to was followed until something was, although nobody read it.
    #[test]
    fn a_log_is_followed_until_whoever_looks_has_gone() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("a.log");
        let path = log.to_str().unwrap();
        let none = follow_log(&Local, path, 1, std::io::empty(), &mut |_| true);
        assert!(!none.unwrap());
        std::fs::write(&log, "one\ntwo\n").unwrap();
        let (until, looks) = std::io::pipe().unwrap();
        let (mut looks, mut all) = (Some(looks), Vec::new());
        let take = &mut |bytes: &[u8]| {
            all.extend_from_slice(bytes);
            match all.as_slice() {
                b"two\n" => {
                    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
                    std::io::Write::write_all(&mut file, b"three\n").unwrap();
                }
                // What follows is the end, and no more of the log.
                _ => drop(looks.take()),
            }
            true
        };
        assert!(follow_log(&Local, path, 1, until, take).unwrap());
        assert_eq!(String::from_utf8(all).unwrap(), "two\nthree\n");
    }
}
