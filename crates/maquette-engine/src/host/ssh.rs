//! A hypervisor reached over SSH: one connection for everything.
//!
//! The system's `ssh` is used, so the user's configuration, agent, jump hosts and known_hosts count.
//! One master connection is opened for a run; commands, files, libvirt and the way to the guests
//! are channels in it. Nothing is left running when the program ends, however it ends: the master's
//! own session reads from a pipe of ours, and closes with it.

mod error;
mod hostkey;
mod master;
mod sockets;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{self, Child, Stdio};
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use error::ConnectError;
pub(crate) use error::classify;
pub use hostkey::{HostKey, fetch as fetch_host_keys, known, noted_in, remember, replace};
pub use master::{Effective, Target, effective};

use super::Host;
use super::command::{Command, HostError, Output, login_line, quote};
use super::fence::MARK;
use super::heard::end;
use super::lock::{mark, no_random};
use super::process::{Frame, Ran, await_begin, collect, drain, lines};
use master::Master;

pub use sockets::{Directories, remove as remove_sockets};

/// How many sessions may run in the connection at once besides libvirt's two (three with events), the
/// master's own and two locks. sshd's default `MaxSessions` is 10; what is beyond it would be refused,
/// not queued.
const SESSIONS: usize = 4;

/// A hypervisor reached over SSH.
pub struct Ssh {
    master: Master,
    frame: Frame,
    /// What marks our long-lived processes there.
    mark: String,
    sudo: bool,
    /// Whether the login shell prints something before each command.
    noisy: bool,
    free: Mutex<usize>,
    freed: Condvar,
}

/// A session slot, given back when dropped.
struct Slot<'a>(&'a Ssh);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.slots() += 1;
        self.0.freed.notify_one();
    }
}

/// Exit status by which our scripts say that there is no such file.
const NO_FILE: i32 = 44;

impl Ssh {
    /// Opens the connection and finds out whether commands need `sudo`.
    pub fn connect(target: &Target, user: &Directories) -> Result<Self, ConnectError> {
        let frame = Frame::new(format!("{}@{}", target.user, target.address))
            .map_err(|e| ConnectError::Local(no_random(&e)))?;
        let mark = mark().map_err(|e| ConnectError::Local(no_random(&e)))?;
        let (master, login) = Master::open(target, &frame, user)?;
        let sudo = !login.root;
        if sudo && !login.sudo {
            return Err(error::classify_sudo(login.user, login.said));
        }
        let (free, freed) = (Mutex::new(SESSIONS), Condvar::new());
        Ok(Self { master, frame, mark, sudo, noisy: login.noisy, free, freed })
    }

    /// Whether commands run through `sudo`.
    pub fn is_sudo(&self) -> bool {
        self.sudo
    }

    /// A program that libvirt can use in place of `ssh`: it rides this connection and runs libvirt's
    /// own helper on the other side, with root's rights.
    pub fn libvirt_transport(&self) -> std::io::Result<PathBuf> {
        // Whoever takes over ends it, and with it what libvirt has not begun.
        let helper = Command::script(LIBVIRT_HELPER, ["qemu:///system"]).env(MARK, &self.mark);
        let command = self.remote_command(&helper);
        // A filter costs a copy of all that libvirt says; it is only for who needs it.
        if self.noisy {
            let line = login_line(&self.frame.before(&command).replacen("%s", "'%s\\n'", 1));
            return self.master.filtered("libvirt", &line, &self.frame.begin);
        }
        self.master.wrapper("libvirt", &login_line(&format!("exec {command}")))
    }

    /// Options for a further `ssh` that shall reach hosts behind this one through this connection.
    pub fn jump_options(&self) -> Vec<String> {
        let words: Vec<String> =
            self.master.client_words().into_iter().map(|w| quote(&w).replace('%', "%%")).collect();
        let proxy =
            format!("ProxyCommand=ssh {} -W %h:%p -- {}", words.join(" "), self.host_word());
        // Being the first, it wins over a ProxyJump of the configuration.
        vec!["-o".into(), proxy]
    }

    fn host_word(&self) -> String {
        quote(self.master.address()).replace('%', "%%")
    }

    fn slots(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> Slot<'_> {
        let mut free = self.slots();
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self)
    }

    /// The command for a shell on the other side.
    fn remote_command(&self, command: &Command) -> String {
        remote_line(command, self.sudo)
    }

    /// A session that runs a script for `sh`.
    fn session(&self, mut ssh: process::Command, script: &str) -> process::Command {
        ssh.arg("--").arg(self.master.address()).arg(login_line(script));
        ssh
    }

    /// Starts a command, with pipes to all that it reads and prints; its begin mark comes first.
    fn begin(&self, command: &Command) -> std::io::Result<Child> {
        let script = self.frame.before(&self.remote_command(command));
        self.session(self.master.client(), &script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Runs a command whose answer is told from what the login shell prints.
    fn ask(
        &self,
        ssh: process::Command,
        command: &Command,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Output, HostError> {
        let script = self.frame.around(&self.remote_command(command));
        collect(&mut self.session(ssh, &script), &command.into(), Some(&self.frame), on_line)
    }

    /// Reports a connection that is gone as such, whatever it looked like.
    fn judge(&self, command: &Command, output: Output) -> Result<Output, HostError> {
        // ssh's own failures have status 255; commands of ours have not.
        if output.status == Some(255) {
            if self.master.is_lost() {
                return Err(HostError::Lost { address: self.master.address().into() });
            }
            return output.success(command).map(|_| Output::default());
        }
        if output.status == Some(127) && output.stderr.contains(&command.program) {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no such program there");
            return Err(HostError::Start { program: command.program.clone(), source });
        }
        Ok(output)
    }

    fn script(&self, script: &'static str, args: &[&str]) -> Result<Output, HostError> {
        self.run(&Command::script(script, args.iter().copied()), &mut |_| {})
    }
}

/// What the remote side's `PATH` is set to: users' shells often lack the administrator's programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// libvirt 6.8 and later bring a helper that finds the right daemon's socket; with older ones it is
/// always the same.
const LIBVIRT_HELPER: &str = include_str!("../../assets/host/virt-ssh-helper.sh");

impl Host for Ssh {
    fn run(&self, command: &Command, on_line: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
        let _slot = self.slot();
        let output = self.ask(self.master.client(), command, on_line)?;
        self.judge(command, output)
    }

    fn run_anew(&self, command: &Command) -> Result<Output, HostError> {
        self.ask(self.master.separate_client(), command, &mut |_| {})
    }

    fn mark(&self) -> &str {
        &self.mark
    }

    /// It takes a session for as long as it lives; there is one for a lock.
    fn spawn(&self, command: &Command) -> Result<Child, HostError> {
        let failed = |source| HostError::Start { program: "ssh".into(), source };
        let mut child = self.begin(command).map_err(failed)?;
        let Some(stdout) = child.stdout.take() else {
            return Err(failed(std::io::Error::other("no pipe")));
        };
        match await_begin(stdout, &self.frame) {
            Ok(stdout) => {
                child.stdout = Some(stdout);
                Ok(child)
            }
            Err(wrong) => {
                // It may have ended by itself.
                let _ = child.kill();
                let status = child.wait().map_err(failed)?;
                if status.code() == Some(255) && self.master.is_lost() {
                    return Err(HostError::Lost { address: self.master.address().into() });
                }
                Err(wrong.error(&self.frame))
            }
        }
    }

    fn feed(
        &self,
        command: &Command,
        input: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), HostError> {
        let _slot = self.slot();
        let failed = |source| HostError::Start { program: "ssh".into(), source };
        let mut child = self.begin(command).map_err(failed)?;
        let (mut pipe, id) = (child.stdin.take(), child.id());
        let (answers, complaints) = (child.stdout.take(), child.stderr.take());
        let ran = Ran::from(command);
        let heard = &ran.heard(id);
        let (sent, wrong, stderr) = std::thread::scope(|scope| {
            // The input goes out meanwhile: waiting for the shell first would cost a round trip.
            let beginning = scope.spawn(move || {
                let wrong = answers.and_then(|pipe| drain(pipe, &self.frame, heard));
                if wrong.is_some() {
                    end(id);
                }
                wrong
            });
            let complaints = scope.spawn(move || {
                complaints.map_or(String::new(), |pipe| lines(heard.listen(pipe), &mut |_| {}))
            });
            let sent = pipe.take().map_or(Ok(()), |pipe| input(&mut heard.listen(pipe)));
            (sent, beginning.join().ok().flatten(), complaints.join().unwrap_or_default())
        });
        heard.await_end();
        let status = child.wait().map_err(failed)?;
        if heard.gave_up() {
            return Err(ran.given_up(heard));
        }
        if let Some(wrong) = wrong.filter(|_| status.code() != Some(255)) {
            return Err(wrong.error(&self.frame));
        }
        let output = Output { status: status.code(), stdout: String::new(), stderr };
        self.judge(command, output)?.success(command)?;
        sent.map_err(|source| HostError::File { verb: "send", path: command.title(), source })
    }

    fn read_tail(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, HostError> {
        let limit = limit.to_string();
        let script = "[ -e \"$1\" ] || exit 44; exec tail -c \"$2\" -- \"$1\"";
        let output = self.script(script, &[path, &limit])?;
        if output.status == Some(NO_FILE) {
            return Ok(None);
        }
        let command = Command::new("read").arg(path);
        Ok(Some(output.success(&command)?.into_bytes()))
    }

    fn exists(&self, path: &str) -> bool {
        self.script("test -e \"$1\"", &[path]).is_ok_and(|o| o.status == Some(0))
    }

    fn answers(&self, address: SocketAddr) -> bool {
        let Ok(mut child) = self
            .master
            .client()
            .args(["-W", &address.to_string(), "--", self.master.address()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
        else {
            return false;
        };
        let (sender, receiver) = mpsc::channel();
        if let Some(mut stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut byte = [0u8];
                // The other side may have stopped waiting.
                let _ = sender.send(stdout.read(&mut byte).unwrap_or(0) == 1);
            });
        }
        let greeted = receiver.recv_timeout(ANSWER).unwrap_or(false);
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        greeted
    }

    fn is_lost(&self) -> bool {
        self.master.is_lost()
    }
}

/// How long an SSH server behind the hypervisor may take to greet.
const ANSWER: Duration = Duration::from_secs(3);

/// A command for a shell on the other side. `sudo` forgets where a connection comes from, which tells a hypervisor that is
/// logged in to from itself: that is handed over.
fn remote_line(command: &Command, sudo: bool) -> String {
    // Programs of the administrator are not on everybody's path.
    let mut words = vec!["env".into(), format!("PATH={PATH}")];
    words.extend(command.env.iter().map(|(name, value)| format!("{name}={value}")));
    words.push(command.program.clone());
    words.extend(command.args.iter().cloned());
    let quoted: Vec<String> = words.iter().map(|w| quote(w)).collect();
    let command = quoted.join(" ");
    match sudo {
        true => format!("sudo -n -- env SSH_CONNECTION=\"${{SSH_CONNECTION-}}\" {command}"),
        false => command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hypervisor that was reached from itself by another user confirmed the change of its own network.
    #[test]
    fn where_a_connection_comes_from_is_known_behind_sudo() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let sudo = directory.path().join("sudo");
        // As sudo does it with `env_reset`, which is on everywhere.
        std::fs::write(&sudo, "#!/bin/sh\nshift 2\nexec env -i PATH=/usr/bin:/bin \"$@\"\n")
            .unwrap();
        std::fs::set_permissions(&sudo, std::fs::Permissions::from_mode(0o755)).unwrap();
        let asked =
            Command::script("echo \"${SSH_CONNECTION-none} $1 $A\"", ["a b"]).env("A", "$x");
        let said = |sudo: bool, from: Option<&str>| {
            let mut sh = process::Command::new("sh");
            sh.arg("-c").arg(remote_line(&asked, sudo));
            sh.env("PATH", format!("{}:/usr/bin:/bin", directory.path().display()));
            sh.env_remove("SSH_CONNECTION").envs(from.map(|from| ("SSH_CONNECTION", from)));
            String::from_utf8(sh.output().unwrap().stdout).unwrap()
        };
        for sudo in [false, true] {
            assert_eq!(said(sudo, Some("::1 5 ::1 22")), "::1 5 ::1 22 a b $x\n", "{sudo}");
        }
        assert_eq!(said(true, None), " a b $x\n");
    }
}
