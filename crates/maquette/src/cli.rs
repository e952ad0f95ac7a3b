//! The command line's definition. Help, environment variables and completions all come from here.

mod setting_flags;

use std::path::PathBuf;

use clap::{Args, Parser};

use crate::commands::Command;
use crate::failure::Failure;
use crate::reading;
pub use setting_flags::{BuildingFlags, Given, LocatingFlags};

/// Builds scale models of production: whole environments of virtual machines and networks, with
/// libvirt and QEMU/KVM, on one machine.
#[derive(Debug, Parser)]
#[command(name = "maquette", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// Of InfraRed: do not append this command to its log
    #[arg(long, hide = true)]
    pub no_log_commands: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which environment, and where.
#[derive(Debug, Default, Args)]
pub struct Place {
    /// Project file [default: maquette.yaml, if there is one]
    #[arg(long, value_name = "FILE", env = "MAQUETTE_PROJECT", help_heading = "Environment")]
    pub project: Option<PathBuf>,
    /// What the environment is called, and which hypervisor it is on.
    #[command(flatten)]
    pub flags: LocatingFlags,
    /// Directory for inventory, ssh config and key
    /// [default: ~/.local/share/maquette/workspaces/ENVIRONMENT]
    #[arg(long, value_name = "DIR", env = "MAQUETTE_WORKSPACE", help_heading = "Environment")]
    pub workspace: Option<PathBuf>,
}

/// What to build.
#[derive(Debug, Default, Args)]
pub struct Wanted {
    /// Where it is built, and under what name.
    #[command(flatten)]
    pub place: Place,
    /// What it is.
    #[command(flatten)]
    pub flags: BuildingFlags,
}

impl Wanted {
    /// Everything that was given.
    pub fn given(&self) -> Given {
        self.place.flags.0.with(&self.flags.0)
    }
}

/// What to do if somebody else is changing the environment.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Locking {
    /// How long to wait for somebody else who is changing the environment, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        hide_default_value = true,
        env = "MAQUETTE_LOCK_WAIT",
        help_heading = "Environment"
    )]
    pub lock_wait: u64,
    /// End whoever is changing the environment, and go on from there
    #[arg(long, help_heading = "Environment")]
    pub take_over: bool,
}

impl Locking {
    /// As the environment variable says, for commands without flags of ours.
    pub fn from_environment() -> Result<Self, Failure> {
        let wait = reading::variable("MAQUETTE_LOCK_WAIT", "a number of seconds")?;
        Ok(Self { lock_wait: wait.unwrap_or(0), take_over: false })
    }
}
