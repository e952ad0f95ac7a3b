//! One file for each verb.

pub mod down;
pub mod facts;
mod host;
mod image;
mod inventory;
mod plan;
mod plugin;
mod run;
mod ssh;
mod status;
mod topology;
pub mod up;
mod workspace;

use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::{print, virsh};

/// Runs a command; the exit code if it did not fail.
pub fn run(cli: Cli) -> Result<u8, Failure> {
    match cli.command {
        Command::Plan(args) => plan::run(&args),
        Command::Up(args) => up::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Ssh(args) => ssh::run(&args),
        Command::Down(args) => down::run(&args),
        Command::Host(args) => host::run(&args),
        Command::Inventory(args) => inventory::run(&args),
        Command::Workspace(args) => workspace::run(&args),
        Command::Virsh { args } => virsh::run(&args, !cli.no_log_commands),
        Command::Plugin { args } => plugin::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Topology(args) => topology::run(&args),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "maquette", &mut text);
            print::result(&String::from_utf8_lossy(&text));
            Ok(0)
        }
    }
}
