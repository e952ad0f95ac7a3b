//! The time zone of a guest that runs, set in it over SSH.

use maquette_core::values::TimeZone;

use crate::ready::Login;
use crate::{StepError, guest_script};

/// What runs in the guest.
const SCRIPT: &str = include_str!("../assets/host/guest-timezone.sh");

/// Sets a guest's time zone. Programs that run there find it when they start again.
///
/// # Errors
/// If it cannot be logged in to, or does not know the zone.
pub fn set(login: &Login<'_>, zone: &TimeZone) -> Result<(), StepError> {
    guest_script::run(login, SCRIPT, format!("{zone}\n")).map_err(|why| {
        StepError::new(format!("cannot set the time zone of `{}`", login.name)).because(why)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Runs the script as a user whose `sudo` changes files below `root` instead; what is wrong.
    fn set_in(root: &Path, zone: &str) -> Result<(), String> {
        let sudo = format!("shift 3; exec sh -euc \"$1\" sh \"$3\" {}", root.display());
        let set = guest_script::run_here(root, SCRIPT, &sudo, &format!("{zone}\n"));
        set.map_err(|why| why.to_string())
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
            assert_eq!(set_in(root.path(), "Europe/Prague"), Ok(()));
            let target = fs::read_link(at("etc/localtime")).unwrap();
            assert_eq!(target, Path::new("../usr/share/zoneinfo/Europe/Prague"));
            assert_eq!(fs::read_to_string(at("etc/timezone")).unwrap(), "Europe/Prague\n");
        }
        let said = set_in(root.path(), "Mars/Base").unwrap_err();
        assert!(said.contains("knows no time zone Mars/Base"), "{said}");
        assert_eq!(fs::read_dir(at("etc")).unwrap().count(), 2, "nothing else is left there");
    }
}
