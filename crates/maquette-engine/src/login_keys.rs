//! Which keys open a guest that runs: changed in it, over SSH.

use std::io::{Read, Write};
use std::process::{ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use maquette_core::values::PublicKey;

use crate::StepError;
use crate::host::login_line;
use crate::host::process::first_words;
use crate::ready::Login;

/// What runs in the guest.
const SCRIPT: &str = include_str!("../assets/host/login-keys.sh");

/// Most bytes that are read of what a guest says.
const LONGEST: u64 = 64 * 1024;

/// How long a guest may take: one whose login never ends would hold up all that comes after it.
const LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked whether `ssh` has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Has keys open a guest's user and root, and others do so no more.
///
/// # Errors
/// If it cannot be logged in to, or its files cannot be changed.
pub fn change(login: &Login<'_>, add: &[PublicKey], remove: &[PublicKey]) -> Result<(), StepError> {
    in_guest(login, SCRIPT, lines(add, remove)).map_err(|why| {
        StepError::new(format!("cannot change the SSH keys of `{}`", login.name)).because(why)
    })
}

/// Runs a script in a guest, which reads `input`.
pub(crate) fn in_guest(
    login: &Login<'_>,
    script: &str,
    input: String,
) -> Result<(), std::io::Error> {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(login.config).args(login.jump).args(["-T", "-o", "BatchMode=yes"]);
    ssh.args(["-o", "ControlPath=none", "-o", "ServerAliveInterval=5"]);
    ssh.args(["-o", "ServerAliveCountMax=3", "-o", "ConnectTimeout=20"]);
    if let Some(address) = login.address {
        ssh.args(["-o", &format!("HostName={address}")]);
    }
    ssh.args(["--", login.name, &login_line(script)]);
    run(ssh, input, LIMIT)
}

/// What the script reads.
fn lines(add: &[PublicKey], remove: &[PublicKey]) -> String {
    let line = |sign: char, key: &PublicKey| format!("{sign} {key}\n");
    let come = add.iter().map(|key| line('+', key));
    come.chain(remove.iter().map(|key| line('-', key))).collect()
}

/// Runs it; an error with what it says if it fails. It is ended when it takes longer than `limit`.
fn run(mut command: Command, input: String, limit: Duration) -> Result<(), std::io::Error> {
    let until = Instant::now() + limit;
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (sender, receiver) = mpsc::channel();
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(talk(stdin, stderr, &input));
    });
    let mut said = None;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= until {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            let text = format!("the guest did not answer within {} s", limit.as_secs());
            return Err(std::io::Error::other(text));
        }
        match receiver.recv_timeout(LOOK) {
            Ok(text) => said = Some(text),
            Err(RecvTimeoutError::Disconnected) => thread::park_timeout(LOOK),
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    if status.success() {
        return Ok(());
    }
    // What `ssh` itself has started may keep the pipe open.
    let left = until.saturating_duration_since(Instant::now());
    let said = said.or_else(|| receiver.recv_timeout(left).ok()).unwrap_or_default();
    let said = first_words(&said);
    let text = if said.is_empty() { format!("ssh: {status}") } else { said };
    Err(std::io::Error::other(text))
}

/// Writes what is read there, and reads what is said.
fn talk(stdin: Option<ChildStdin>, stderr: Option<ChildStderr>, input: &str) -> Vec<u8> {
    if let Some(mut stdin) = stdin {
        // Who does not read it says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let mut said = Vec::new();
    if let Some(stderr) = stderr {
        let _ = stderr.take(LONGEST).read_to_end(&mut said);
    }
    said
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    /// Runs the script as a user whose `sudo` changes nothing but the home directory.
    fn script(home: &Path, input: &str) {
        let bin = home.join("bin");
        fs::create_dir_all(&bin).unwrap();
        for (name, text) in [
            ("id", "echo 1000".to_string()),
            ("sudo", format!("shift 3; exec sh -euc \"$1\" sh {}/root", home.display())),
        ] {
            fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut sh = Command::new("sh");
        sh.args(["-c", SCRIPT]).env("HOME", home.join("user"));
        sh.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        run(sh, input.into(), LIMIT).unwrap();
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

    #[test]
    fn what_fails_is_said_in_its_own_words() {
        let mut sh = Command::new("sh");
        sh.args(["-c", "echo 'Permission denied (publickey).' >&2; exit 255"]);
        let why = run(sh, String::new(), LIMIT).unwrap_err();
        assert_eq!(why.to_string(), "Permission denied (publickey).");
        assert!(run(Command::new("/nonexistent"), String::new(), LIMIT).is_err());
    }

    #[test]
    fn a_guest_that_never_ends_is_left() {
        let mut sh = Command::new("sh");
        sh.args(["-c", "exec sleep 100000"]);
        let why = run(sh, String::new(), Duration::ZERO).unwrap_err();
        assert_eq!(why.to_string(), "the guest did not answer within 0 s");
    }
}
