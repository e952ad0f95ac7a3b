//! The hypervisor as it is seen by whoever holds a lock: commands are refused there once it is not ours.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;

use super::claim::Claim;
use super::{Command, Host, HostError, Output, files};

const SCRIPT: &str = include_str!("../../assets/fence.sh");

/// Exit status of the script if the lock is not ours.
const TAKEN: i32 = 76;
/// What it says then.
const WORDS: &str = "another run has taken over";

/// Marks what may be ended over there when somebody takes over: see `assets/lock.sh`.
pub const MARK: &str = "MAQUETTE_RUN";

/// Why a lock is not ours any more: a connection that was cut took its process along, or another run did.
pub fn taken(host: &dyn Host) -> HostError {
    host.run(&Command::new("true"), &mut |_| {}).err().unwrap_or(HostError::Taken)
}

/// A host behind a lock. Each command compares the lock's file, over there, with what it was when the lock
/// became ours; that costs no round trip.
pub struct Fenced<'a> {
    host: &'a dyn Host,
    claim: Claim,
}

impl<'a> Fenced<'a> {
    /// The host as long as the lock is ours.
    pub fn new(host: &'a dyn Host, claim: Claim) -> Self {
        Self { host, claim }
    }

    /// A command that a run that takes over waits for.
    fn fenced(&self, command: &Command) -> Command {
        self.refused("stay", command)
    }

    /// A command that a run that takes over ends.
    fn ended(&self, command: &Command) -> Command {
        self.refused("", command)
    }

    /// A command that is refused once the lock is not ours; `how` is a word of the script.
    fn refused(&self, how: &str, command: &Command) -> Command {
        let own = [self.claim.file.as_str(), &self.claim.token, how, &command.program];
        let mut all = Command::script(SCRIPT, own).args(command.args.iter().cloned());
        all.env.clone_from(&command.env);
        all.silence = command.silence;
        all
    }

    fn judge(&self, command: &Command, output: Output) -> Result<Output, HostError> {
        match output.status {
            Some(TAKEN) if output.stderr.contains(WORDS) => Err(HostError::Taken),
            Some(127) if output.stderr.contains(&command.program) => {
                let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no such program");
                Err(HostError::Start { program: command.program.clone(), source })
            }
            _ => Ok(output),
        }
    }

    fn check(&self) -> Result<(), HostError> {
        if self.claim.is_ours(self.host.is_here()) { Ok(()) } else { Err(taken(self.host)) }
    }

    /// Changes a file: here by ourselves, elsewhere by a command that is refused like any other.
    fn change(
        &self,
        command: &Command,
        here: &mut dyn FnMut(&dyn Host) -> Result<(), HostError>,
        input: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), HostError> {
        self.check()?;
        match self.host.is_here() {
            true => here(self.host),
            false => self.host.feed(&self.fenced(command), input),
        }
    }
}

impl Host for Fenced<'_> {
    fn run(&self, command: &Command, on_line: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
        let output = self.host.run(&self.fenced(command), on_line)?;
        self.judge(command, output)
    }

    fn run_anew(&self, command: &Command) -> Result<Output, HostError> {
        let output = self.host.run_anew(&self.fenced(command))?;
        self.judge(command, output)
    }

    fn is_here(&self) -> bool {
        self.host.is_here()
    }

    fn mark(&self) -> &str {
        &self.claim.mark
    }

    fn spawn(&self, command: &Command) -> Result<Child, HostError> {
        let command = self.ended(command).env(MARK, &self.claim.mark);
        self.host.spawn(&command)
    }

    fn feed(
        &self,
        command: &Command,
        input: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), HostError> {
        self.host.feed(&self.fenced(command), input)
    }

    fn read_tail(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, HostError> {
        self.host.read_tail(path, limit)
    }

    fn exists(&self, path: &str) -> bool {
        self.host.exists(path)
    }

    fn upload(
        &self,
        from: &Path,
        to: &str,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), HostError> {
        self.check()?;
        if self.host.is_here() {
            return self.host.upload(from, to, progress);
        }
        files::upload(self, from, to, progress)
    }

    fn write(&self, path: &str, content: &[u8], mode: u32) -> Result<(), HostError> {
        self.change(
            &files::write(path, mode),
            &mut |host| host.write(path, content, mode),
            &mut |pipe| pipe.write_all(content),
        )
    }

    fn answers(&self, address: SocketAddr) -> bool {
        self.host.answers(address)
    }

    fn is_lost(&self) -> bool {
        self.host.is_lost()
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), HostError> {
        let here = &mut |host: &dyn Host| host.rename(from, to);
        self.change(&files::rename(from, to), here, &mut |_| Ok(()))
    }

    fn remove(&self, path: &str) -> Result<(), HostError> {
        self.change(&files::remove(path), &mut |host| host.remove(path), &mut |_| Ok(()))
    }
}

#[cfg(test)]
mod kill_points;
#[cfg(test)]
mod tests;
