//! The command line's definition. Help, environment variables and completions all come from here.

mod wanted;

use std::path::PathBuf;

use clap::{Args, Parser};

use crate::commands::Command;
use crate::failure::Failure;
use crate::reading;
pub use wanted::*;

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
#[derive(Debug, Args)]
pub struct Place {
    /// Project file [default: maquette.yaml, if there is one]
    #[arg(long, value_name = "FILE", env = "MAQUETTE_PROJECT", help_heading = "Environment")]
    pub project: Option<PathBuf>,
    /// Prefix of all names, so that several environments share a hypervisor
    #[arg(long, value_name = "NAME", env = "MAQUETTE_PREFIX", help_heading = "Environment")]
    pub prefix: Option<String>,
    /// Directory for inventory, ssh config and key
    /// [default: ~/.local/share/maquette/workspaces/ENVIRONMENT]
    #[arg(long, value_name = "DIR", env = "MAQUETTE_WORKSPACE", help_heading = "Environment")]
    pub workspace: Option<PathBuf>,
    /// Hypervisor, as `ssh` knows it [default: this machine]
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "MAQUETTE_HOST_ADDRESS",
        help_heading = "Hypervisor"
    )]
    pub host_address: Option<String>,
    /// SSH user on it, root or one who may use sudo without a password
    /// [default: as your ssh configuration says, else root]
    #[arg(long, value_name = "USER", env = "MAQUETTE_HOST_USER", help_heading = "Hypervisor")]
    pub host_user: Option<String>,
    /// Private key for it [default: as your ssh configuration or agent says]
    #[arg(long, value_name = "FILE", env = "MAQUETTE_HOST_KEY", help_heading = "Hypervisor")]
    pub host_key: Option<PathBuf>,
    /// Accept its host key if it has this fingerprint; for when nobody is there to confirm it
    #[arg(
        long,
        value_name = "SHA256:…",
        env = "MAQUETTE_HOST_KEY_FINGERPRINT",
        help_heading = "Hypervisor"
    )]
    pub host_key_fingerprint: Option<String>,
    /// libvirt storage pool of all volumes [default: images]
    #[arg(long, value_name = "NAME", env = "MAQUETTE_POOL_NAME", help_heading = "Hypervisor")]
    pub pool_name: Option<String>,
    /// Directory of that pool [default: /var/lib/libvirt/images]
    #[arg(long, value_name = "DIR", env = "MAQUETTE_DISK_POOL", help_heading = "Hypervisor")]
    pub disk_pool: Option<String>,
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
