//! Why a hypervisor cannot be reached, told apart by what `ssh` says.

use std::path::PathBuf;

use thiserror::Error;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The key file cannot be used at all.
    #[error("cannot use {} as the hypervisor's key: {why}", path.display())]
    KeyFile {
        /// The file that was given as the key.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No connection to the SSH server.
    #[error("cannot reach {address}: {said}")]
    Unreachable {
        /// The hypervisor's name or address, as it was given.
        address: String,
        /// What `ssh` said.
        said: String,
    },
    /// No key of the server is known.
    #[error("the host key of {address} is not known")]
    UnknownHostKey {
        /// The hypervisor's name or address, as it was given.
        address: String,
    },
    /// The server shows another key than the one that is known.
    #[error("the host key of {address} has changed: {said}")]
    ChangedHostKey {
        /// The hypervisor's name or address, as it was given.
        address: String,
        /// The known_hosts line that does not agree.
        said: String,
    },
    /// The server wants another key.
    #[error("{user}@{address} does not accept the key: {said}")]
    Refused {
        /// Who was to log in.
        user: String,
        /// The hypervisor's name or address, as it was given.
        address: String,
        /// What `ssh` said.
        said: String,
    },
    /// The login works, and what it starts does not run commands.
    #[error("the login shell of {user}@{address} {what}")]
    Shell {
        /// Who was to log in.
        user: String,
        /// The hypervisor's name or address, as it was given.
        address: String,
        /// What it does instead.
        what: String,
    },
    /// The login works, and the user may not use sudo without a password.
    #[error("{user} may not run commands as root on the hypervisor: {said}")]
    Sudo {
        /// Who logged in.
        user: String,
        /// What sudo wants.
        wanted: SudoWants,
        /// What `sudo` said.
        said: String,
    },
    /// The program is missing, or something else is wrong here.
    #[error("cannot run ssh on this machine")]
    Local(#[source] std::io::Error),
}

impl ConnectError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::KeyFile { .. } => {
                "`--host-key` takes a private key file, such as ~/.ssh/id_ed25519".into()
            }
            Self::Unreachable { address, .. } => {
                format!("check `--host-address`, the network, and that `ssh {address}` works")
            }
            Self::UnknownHostKey { .. } => {
                "confirm it in a terminal, or give its fingerprint with `--host-key-fingerprint`"
                    .into()
            }
            Self::ChangedHostKey { .. } => {
                "if the machine was installed again, `--host-key-fingerprint SHA256:…` takes its new key in the \
                 place of the old one, and `ssh-keygen -R` removes that"
                    .into()
            }
            Self::Refused { user, .. } => format!(
                "add the public key to the authorized_keys of {user} there, or choose another with \
                 `--host-key` or `--host-user`; a key with a passphrase has to be in an agent"
            ),
            Self::Shell { user, address, .. } => format!(
                "`ssh {user}@{address} true` has to end by itself, without a word: look for a forced \
                 command (ForceCommand, authorized_keys), and for start-up files of the shell that \
                 print, wait or `exec`"
            ),
            Self::Sudo { user, wanted: SudoWants::Terminal, .. } => format!(
                "sudo wants a terminal: add `Defaults:{user} !requiretty` to a file below \
                 /etc/sudoers.d, or log in as root"
            ),
            Self::Sudo { user, wanted: SudoWants::Permission, .. } => format!(
                "log in as root, or allow it: `{user} ALL=(ALL) NOPASSWD: ALL` in a file below \
                 /etc/sudoers.d"
            ),
            // Of this process (EMFILE) or of all (ENFILE).
            Self::Local(source) if matches!(source.raw_os_error(), Some(23 | 24)) => {
                "raise the limit of open files (`ulimit -n`), or end programs that hold many".into()
            }
            Self::Local(source) if source.kind() == std::io::ErrorKind::NotFound => {
                "the OpenSSH client is needed here".into()
            }
            Self::Local(_) => return None,
        })
    }
}

/// What sudo wants before it runs a command without asking for a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SudoWants {
    /// A terminal.
    Terminal,
    /// A line in its rules.
    Permission,
}

/// Understands what a `sudo` that ran nothing has said.
pub(super) fn classify_sudo(user: String, said: String) -> ConnectError {
    let wanted = if said.contains("tty") { SudoWants::Terminal } else { SudoWants::Permission };
    ConnectError::Sudo { user, wanted, said }
}

/// Understands what a failed `ssh` has said.
pub(crate) fn classify(user: &str, address: &str, stderr: &str) -> ConnectError {
    let has = |text: &str| stderr.contains(text);
    let line = |texts: &[&str]| {
        stderr
            .lines()
            .map(str::trim)
            .find(|l| texts.iter().any(|t| l.contains(t)))
            .unwrap_or_default()
            .to_string()
    };
    let address = address.to_string();
    if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        return ConnectError::ChangedHostKey { address, said: line(&["Offending"]) };
    }
    if has("host key is known for") || has("Host key verification failed") {
        return ConnectError::UnknownHostKey { address };
    }
    let refusals =
        ["Permission denied (", "Too many authentication failures", "Load key", "UNPROTECTED"];
    if refusals.iter().any(|r| has(r)) {
        let said = line(&["Load key", "bad permissions", "Too many", "Permission denied ("]);
        return ConnectError::Refused { user: user.into(), address, said };
    }
    let last = stderr.lines().map(str::trim).rfind(|l| !l.is_empty()).unwrap_or("ssh ended");
    let said = line(&[
        "Could not resolve",
        "Connection refused",
        "timed out",
        "No route to host",
        "Network is unreachable",
    ]);
    ConnectError::Unreachable { address, said: if said.is_empty() { last.into() } else { said } }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of OpenSSH 9.2.
    #[test]
    fn failures_are_told_apart() {
        let of = |stderr: &str| classify("root", "hv", stderr).to_string();
        let said = [
            "ssh: Could not resolve hostname hv: Name or service not known\n",
            "ssh: connect to host hv port 22: Connection refused\n",
            "ssh: connect to host hv port 22: Connection timed out\n",
            "root@hv: Permission denied (publickey).\n",
            "Load key \"/k\": error in libcrypto\nroot@hv: Permission denied (publickey).\n",
            "No ED25519 host key is known for hv and you have requested strict checking.\nHost key verification failed.\n",
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nOffending ED25519 key in /root/.ssh/known_hosts:3\nHost key verification failed.\n",
            "kex_exchange_identification: Connection closed by remote host\n",
        ];
        let lines: Vec<String> = said.iter().map(|s| of(s)).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    /// Old releases of Red Hat's family have it in /etc/sudoers.
    #[test]
    fn a_sudo_that_wants_a_terminal_is_told_how_to_do_without() {
        let said = "sudo: sorry, you must have a tty to run sudo".to_string();
        let hint = classify_sudo("stack".into(), said).hint().unwrap();
        assert!(hint.contains("Defaults:stack !requiretty"), "{hint}");
        let hint = classify_sudo("stack".into(), "sudo: a password is required".into()).hint();
        assert!(hint.unwrap().contains("NOPASSWD"));
    }
}
