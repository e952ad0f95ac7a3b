//! One file for each verb.

mod capture;
mod console;
pub mod down;
mod graph;
mod host;
mod image;
mod inventory;
mod link;
mod lockout;
mod logs;
mod nodes;
mod plan;
mod power;
mod ssh;
mod status;
mod topology;
pub mod up;
mod workspace;

use clap::CommandFactory;
use maquette_core::plan::Power;

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::infrared::{self, plugin};
use crate::print;

/// Runs a command; the exit code if it did not fail.
pub fn run(cli: Cli) -> Result<u8, Failure> {
    match cli.command {
        Command::Plan(args) => plan::run(&args),
        Command::Up(args) => up::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Ssh(args) => ssh::run(&args),
        Command::Console(args) => console::run(&args),
        Command::Logs(args) => logs::run(&args),
        Command::Link(args) => link::run(&args),
        Command::Capture(args) => capture::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Start(args) => power::run(&args, "start", Power::Start),
        Command::Stop(args) => {
            let seconds = if args.force { 0 } else { args.power.timeout.unwrap_or(60) };
            power::run(&args.power, "stop", Power::Stop(seconds))
        }
        Command::Restart(args) => {
            let seconds = if args.force { 0 } else { args.power.timeout.unwrap_or(60) };
            power::run(&args.power, "restart", Power::Restart(seconds))
        }
        Command::Reset(args) => power::run(&args, "reset", Power::Reset),
        Command::Pause(args) => power::run(&args, "pause", Power::Pause),
        Command::Resume(args) => power::run(&args, "resume", Power::Resume),
        Command::Down(args) => down::run(&args),
        Command::Host(args) => host::run(&args),
        Command::Inventory(args) => inventory::run(&args),
        Command::Workspace(args) => workspace::run(&args),
        Command::Virsh { args } => infrared::run(&args, !cli.no_log_commands),
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
