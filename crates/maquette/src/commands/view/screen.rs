//! The way to a screen on another machine: standard input and output of an `ssh`. A port of this machine would be
//! everybody's who uses it.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use maquette_engine::host::ssh::Target;
use maquette_view::{Screen, VncEndpoint};

use crate::commands::{forward, ssh_routes};

/// How long it may take until the screen says what it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many bytes a VNC server says first: its version (RFC 6143, 7.1.1).
const VERSION: usize = 12;

/// Most bytes of the end of what `ssh` says that are kept.
const MOST_SAID: usize = 4096;

/// How long what `ssh` said last may take to arrive, once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// An `ssh` that leads to a port of the hypervisor, and opens none here.
pub fn ssh(target: &Target, port: u16) -> Command {
    let mut ssh = Command::new("ssh");
    if let Some(key) = &target.key {
        ssh.args(["-i", key]);
    }
    ssh.args(forward::PORTS_ONLY).args(["-o", "BatchMode=yes"]).args(ssh_routes::limits());
    ssh.args(["-W", &format!("127.0.0.1:{port}"), "--"]);
    ssh.arg(format!("{}@{}", target.user, target.address));
    ssh
}

/// A running `ssh`, which ends with this.
struct Way(Child);

impl Drop for Way {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a command that leads to a screen, and waits until the screen answers.
///
/// # Errors
///
/// Why it does not, for people.
pub fn through(mut ssh: Command) -> Result<Screen, String> {
    let failed = |error: io::Error| format!("cannot reach the screen over SSH: {error}");
    let (mut here, there) = UnixStream::pair().map_err(failed)?;
    let input = there.try_clone().map_err(failed)?;
    ssh.stdin(OwnedFd::from(input)).stdout(OwnedFd::from(there)).stderr(Stdio::piped());
    let mut child = ssh.spawn().map_err(failed)?;
    // It has the other end open, too, and nothing would tell that `ssh` has closed it.
    drop(ssh);
    let said = child.stderr.take().map(said);
    let way = Way(child);
    here.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut begun = vec![0; VERSION];
    if let Err(error) = here.read_exact(&mut begun) {
        drop(way);
        let said = said.and_then(|said| said.recv_timeout(LAST_WORDS).ok()).unwrap_or_default();
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        let why = last.map_or_else(|| error.to_string(), String::from);
        return Err(format!("cannot reach the screen over SSH: {why}"));
    }
    here.set_read_timeout(None).map_err(failed)?;
    Ok(Screen { place: VncEndpoint::Pipe(here), begun, way: Box::new(way) })
}

/// Reads what a program says on standard error, so that it never waits for a reader; the end of it comes when it has ended.
fn said(mut stderr: ChildStderr) -> Receiver<String> {
    let (sender, said) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut text, mut piece) = (Vec::new(), [0; 1024]);
        while let Ok(count @ 1..) = stderr.read(&mut piece) {
            text.extend(&piece[..count]);
            let over = text.len().saturating_sub(MOST_SAID);
            text.drain(..over);
        }
        // Nobody may be waiting.
        let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
    });
    said
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tried(script: &str) -> Result<Screen, String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        through(shell)
    }

    #[test]
    fn a_screen_is_reached_without_a_port_that_others_could_use() {
        let target = Target {
            address: "hv.example.com".parse().unwrap(),
            user: "root".parse().unwrap(),
            key: None,
        };
        let ssh = ssh(&target, 5901);
        let words: Vec<_> = ssh.get_args().map(|word| word.to_string_lossy()).collect();
        assert!(words.windows(2).any(|pair| pair == ["-W", "127.0.0.1:5901"]), "{words:?}");
        assert!(!words.iter().any(|word| word.starts_with("-L")), "{words:?}");
        let screen = tried("printf 'RFB 003.008\\n'; exec cat").unwrap();
        assert_eq!(screen.begun, b"RFB 003.008\n");
        let VncEndpoint::Pipe(mut pipe) = screen.place else { panic!("a port") };
        pipe.write_all(b"typed").unwrap();
        let mut back = [0; 5];
        pipe.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"typed");
        drop(screen.way);
        assert_eq!(pipe.read(&mut back).unwrap(), 0, "it ends with what leads there");
    }

    #[test]
    fn what_ssh_said_last_is_told() {
        let banner = "yes a banner of many lines | head -n 1000 >&2";
        let error = tried(&format!("{banner}; echo Permission denied >&2; exit 255")).err();
        assert_eq!(error.as_deref(), Some("cannot reach the screen over SSH: Permission denied"));
        // Nobody waits for a reader of what is said.
        assert!(tried("yes warning | head -c 200000 >&2; printf 'RFB 003.008\\n'").is_ok());
    }
}
