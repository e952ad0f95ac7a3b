//! The time zone of a guest that runs, set in it over SSH.

use maquette_core::values::TimeZone;

use crate::StepError;
use crate::login_keys::in_guest;
use crate::ready::Login;

/// What runs in the guest.
const SCRIPT: &str = include_str!("../assets/host/guest-timezone.sh");

/// Sets a guest's time zone. Programs that run there find it when they start anew.
///
/// # Errors
/// If it cannot be logged in to, or does not know the zone.
pub fn set(login: &Login<'_>, zone: &TimeZone) -> Result<(), StepError> {
    in_guest(login, SCRIPT, format!("{zone}\n")).map_err(|why| {
        StepError::new(format!("cannot set the time zone of `{}`", login.name)).because(why)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    /// Runs the script as a user whose `sudo` changes files below `root` instead.
    fn set_in(root: &Path, zone: &str) -> (bool, String) {
        let bin = root.join("bin");
        fs::create_dir_all(&bin).unwrap();
        for (name, text) in [
            ("id", "echo 1000".to_string()),
            ("sudo", format!("shift 3; exec sh -euc \"$1\" sh \"$3\" {}", root.display())),
        ] {
            fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut sh = Command::new("sh");
        sh.args(["-c", SCRIPT]).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        let pipes = sh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{zone}").unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    }

    #[test]
    fn a_guest_gets_a_time_zone_that_it_knows() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("usr/share/zoneinfo/Europe")).unwrap();
        fs::create_dir_all(at("etc")).unwrap();
        fs::write(at("usr/share/zoneinfo/Europe/Prague"), "TZif").unwrap();
        fs::write(at("etc/timezone"), "Etc/UTC\n").unwrap();
        fs::write(at("etc/localtime"), "a copy of another one").unwrap();
        for _ in 0..2 {
            let (is_done, said) = set_in(root.path(), "Europe/Prague");
            assert!(is_done, "{said}");
            let target = fs::read_link(at("etc/localtime")).unwrap();
            assert_eq!(target, Path::new("../usr/share/zoneinfo/Europe/Prague"));
            assert_eq!(fs::read_to_string(at("etc/timezone")).unwrap(), "Europe/Prague\n");
        }
        let (is_done, said) = set_in(root.path(), "Mars/Base");
        assert!(!is_done && said.contains("knows no time zone Mars/Base"), "{said}");
        assert_eq!(fs::read_dir(at("etc")).unwrap().count(), 2, "nothing else is left there");
    }
}
