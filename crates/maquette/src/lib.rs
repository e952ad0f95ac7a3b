//! The command line: reads arguments, calls the stages, prints.
//!
//! A library so that tests and fuzz targets reach what the program is made of; `main.rs` only calls [`main`].

mod cli;
mod commands;
mod consent;
mod failure;
mod file_limit;
#[doc(hidden)]
pub mod fuzzing;
mod host_args;
mod infrared;
mod lifecycle;
mod load;
mod pipeline;
mod playbooks;
mod progress;
mod reading;
mod render;
mod session;
mod signals;
mod userfile;
mod workspace;
mod world;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;

pub use world::{Clock, Environment, Terminal, World};

/// Runs the program as this process.
pub fn main() -> ExitCode {
    file_limit::raise();
    ExitCode::from(run(std::env::args_os(), &World::of_process()))
}

/// The exit code of a command line that cannot be understood.
const USAGE: u8 = 2;

/// Runs a command line, whose first word is the program's name. Says what went wrong, and returns the exit
/// code: 0 for done, 1 for failed while doing, 2 for bad input.
pub fn run<T: Into<OsString>>(words: impl IntoIterator<Item = T>, world: &World) -> u8 {
    let terminal = &world.terminal;
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    if words.len() <= 1 {
        terminal.talk(&commands::init::next_steps());
        return USAGE;
    }
    let mut cli: commands::Cli = match cli::parsed(&words, &world.environment) {
        Ok(cli) => cli,
        Err(error) => {
            let error = commands::usage_error::corrected(error, &words, world);
            return terminal.of_arguments(&error);
        }
    };
    if let commands::Command::Virsh(args) = &mut cli.command {
        args.unlogged = cli.no_log_commands;
    }
    if let commands::Command::Ssh(args) = &mut cli.command {
        args.read_end_of_options(&words);
    }
    terminal.repeat(render::Again::of(&words, commands::Cli::command));
    let done = reading::check_environment(&world.environment)
        .and_then(|()| session::connection::check_uri(&world.environment))
        .and_then(|()| cli.command.run(world));
    match done.and_then(|code| terminal.heard(code)) {
        Ok(code) => code,
        Err(failure) => {
            terminal.fail(&failure, &cli.command.goes_on());
            failure.code()
        }
    }
}
