//! Scripts in guests that run, over SSH.

use std::io::{Read, Write};
use std::process::{ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::host::login_line;
use crate::host::process::first_words;
use crate::ready::Login;

/// Most bytes that are read of what a guest says.
const LONGEST: u64 = 64 * 1024;

/// How long a guest may take: one whose login never ends would hold up all that comes after it.
const LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked whether `ssh` has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Runs a script in a guest, which reads `input`; an error with what it says if it fails.
pub(crate) fn run(login: &Login<'_>, script: &str, input: String) -> Result<(), std::io::Error> {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(login.config).args(login.jump).args(["-T", "-o", "BatchMode=yes"]);
    ssh.args(["-o", "ControlPath=none", "-o", "ServerAliveInterval=5"]);
    ssh.args(["-o", "ServerAliveCountMax=3", "-o", "ConnectTimeout=20"]);
    if let Some(address) = login.address {
        ssh.args(["-o", &format!("HostName={address}")]);
    }
    ssh.args(["--", login.name, &login_line(script)]);
    finish(ssh, input, LIMIT)
}

/// Runs a command to its end. It is ended when it takes longer than `limit`.
fn finish(mut command: Command, input: String, limit: Duration) -> Result<(), std::io::Error> {
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

/// What a script of these does to this machine instead of a guest: it runs as a user whose `sudo` runs `sudo`, a line of
/// shell, below `home`, and reads `input`.
#[cfg(test)]
pub(crate) fn run_here(
    home: &std::path::Path,
    script: &str,
    sudo: &str,
    input: &str,
) -> Result<(), std::io::Error> {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    let bin = home.join("bin");
    fs::create_dir_all(&bin)?;
    for (name, text) in [("id", "echo 1000"), ("sudo", sudo)] {
        fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n"))?;
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755))?;
    }
    let mut sh = Command::new("sh");
    sh.args(["-c", script]).env("HOME", home.join("user"));
    sh.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    finish(sh, input.into(), LIMIT)
}

#[cfg(test)]
mod kill_points;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_said_in_its_own_words() {
        let mut sh = Command::new("sh");
        sh.args(["-c", "echo 'Permission denied (publickey).' >&2; exit 255"]);
        let why = finish(sh, String::new(), LIMIT).unwrap_err();
        assert_eq!(why.to_string(), "Permission denied (publickey).");
        assert!(finish(Command::new("/nonexistent"), String::new(), LIMIT).is_err());
    }

    #[test]
    fn a_guest_that_never_ends_is_left() {
        let mut sh = Command::new("sh");
        sh.args(["-c", "exec sleep 100000"]);
        let why = finish(sh, String::new(), Duration::ZERO).unwrap_err();
        assert_eq!(why.to_string(), "the guest did not answer within 0 s");
    }
}
