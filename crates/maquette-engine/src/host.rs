//! Commands and files on the hypervisor: what libvirt's API cannot do.
//!
//! A command is a program with its arguments; no text ever passes through a shell. Where several
//! steps need one shell, the script is a constant of ours and everything else a positional
//! argument.

mod at_work;
mod claim;
mod command;
pub mod fence;
pub(crate) mod files;
pub(crate) mod heard;
pub mod hosts;
mod local;
pub mod lock;
mod log;
pub(crate) mod process;
pub mod ssh;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;

pub use at_work::at_work;
pub(crate) use command::login_line;
pub use command::{Command, HostError, Output};
pub use hosts::{Hosts, Reached};
pub use local::Local;
pub use log::{follow_log, read_log};
pub use ssh::Ssh;

/// The hypervisor's own side.
pub trait Host: Send + Sync {
    /// Runs a command to its end. `on_line` hears each line (or progress update) that it prints on
    /// standard error, as it comes.
    fn run(&self, command: &Command, on_line: &mut dyn FnMut(&str)) -> Result<Output, HostError>;

    /// Runs a command over a connection of its own: what it proves is that the hypervisor can still be
    /// reached by a new connection. For a machine that is this one it proves nothing: see `is_here`.
    fn run_anew(&self, command: &Command) -> Result<Output, HostError> {
        self.run(command, &mut |_| {})
    }

    /// Whether it is the machine we run on, of which an answer says nothing about how others reach it.
    fn is_here(&self) -> bool {
        false
    }

    /// What marks processes of this run that live long over there, in their environment; empty for none.
    fn mark(&self) -> &str {
        ""
    }

    /// Runs a command that reads what `input` writes. Hosts that are here do without.
    fn feed(
        &self,
        command: &Command,
        _input: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), HostError> {
        let source = std::io::Error::other("nothing can be sent to it");
        Err(HostError::Start { program: command.program.clone(), source })
    }

    /// Starts a command that runs beside us, with pipes to all that it reads and prints.
    fn spawn(&self, command: &Command) -> Result<Child, HostError>;

    /// A file's content, at most its last `limit` bytes; none if there is no such file.
    fn read_tail(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, HostError>;

    /// Whether a file or directory exists.
    fn exists(&self, path: &str) -> bool;

    /// Copies a file from here to the hypervisor; `progress` hears the bytes done. This and what else
    /// changes files is done by commands, unless the host is here.
    fn upload(
        &self,
        from: &Path,
        to: &str,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), HostError> {
        files::upload(self, from, to, progress)
    }

    /// Writes a small file, whole or not at all, with these permissions; its directory is made.
    fn write(&self, path: &str, content: &[u8], mode: u32) -> Result<(), HostError> {
        self.feed(&files::write(path, mode), &mut |pipe| pipe.write_all(content))
    }

    /// Whether something answers at an address that the hypervisor can reach.
    fn answers(&self, address: SocketAddr) -> bool;

    /// Whether the connection to the hypervisor is gone.
    fn is_lost(&self) -> bool {
        false
    }

    /// Renames a file.
    fn rename(&self, from: &str, to: &str) -> Result<(), HostError> {
        check(self, &files::rename(from, to)).map(|_| ())
    }

    /// Removes a file; it is fine if there is none.
    fn remove(&self, path: &str) -> Result<(), HostError> {
        check(self, &files::remove(path)).map(|_| ())
    }
}

/// Runs a command and returns what it printed. An error, with its status and last words, if it does not succeed.
pub fn check<H: Host + ?Sized>(host: &H, command: &Command) -> Result<String, HostError> {
    let output = host.run(command, &mut |_| {})?;
    output.success(command)
}

/// The whole of a small text file; empty if there is none.
pub fn read_text(host: &dyn Host, path: &str) -> Result<String, HostError> {
    const LIMIT: u64 = 1 << 20;
    let bytes = host.read_tail(path, LIMIT)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
