//! Which keys open a guest that runs: changed in it, over SSH.

use maquette_core::values::PublicKey;

use crate::ready::Login;
use crate::{StepError, guest_script};

/// What runs in the guest.
const SCRIPT: &str = include_str!("../assets/host/login-keys.sh");

/// Has keys open a guest's user and root, and others no longer do so.
///
/// # Errors
/// If it cannot be logged in to, or its files cannot be changed.
pub fn change(login: &Login<'_>, add: &[PublicKey], remove: &[PublicKey]) -> Result<(), StepError> {
    guest_script::run(login, SCRIPT, lines(add, remove)).map_err(|why| {
        StepError::new(format!("cannot change the SSH keys of `{}`", login.name)).because(why)
    })
}

/// What the script reads.
fn lines(add: &[PublicKey], remove: &[PublicKey]) -> String {
    let line = |sign: char, key: &PublicKey| format!("{sign} {key}\n");
    let come = add.iter().map(|key| line('+', key));
    come.chain(remove.iter().map(|key| line('-', key))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    /// Runs the script as a user whose `sudo` changes nothing but the home directory.
    fn script(home: &Path, input: &str) {
        let sudo = format!("shift 3; exec sh -euc \"$1\" sh {}/root", home.display());
        guest_script::run_here(home, SCRIPT, &sudo, input).unwrap();
    }

    #[test]
    fn keys_come_once_and_go_whatever_stands_beside_them() {
        let home = tempfile::tempdir().unwrap();
        let own = home.path().join("user/.ssh/authorized_keys");
        let roots = home.path().join("root/.ssh/authorized_keys");
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        fs::write(&own, "# mine\nssh-ed25519 AAAA ann\nno-pty ssh-ed25519 BBBB x\n").unwrap();
        let [bob, eve] =
            ["ssh-ed25519 BBBB bob@desk", "ssh-ed25519 EEEE"].map(|t| t.parse().unwrap());
        let come = lines(&[bob, eve], &[]);
        for _ in 0..2 {
            script(home.path(), &come);
            let all = "ssh-ed25519 BBBB bob@desk\nssh-ed25519 EEEE\n";
            let kept = "# mine\nssh-ed25519 AAAA ann\n";
            assert_eq!(fs::read_to_string(&own).unwrap(), format!("{kept}{all}"));
            assert_eq!(fs::read_to_string(&roots).unwrap(), all);
        }
        assert_eq!(own.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        script(home.path(), &lines(&[], &["ssh-ed25519 BBBB other".parse().unwrap()]));
        assert_eq!(fs::read_to_string(&roots).unwrap(), "ssh-ed25519 EEEE\n");
        let left = fs::read_dir(own.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing else is left there");
    }
}
