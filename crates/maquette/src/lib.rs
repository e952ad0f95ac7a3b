//! The command line: reads arguments, calls the stages, prints.
//!
//! A library so that tests and fuzz targets reach what the program is made of; `main.rs` only calls [`main`].

mod cli;
mod commands;
mod consent;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod infrared;
mod limits;
mod load;
mod pipeline;
mod playbooks;
mod print;
mod reading;
mod render;
mod report;
mod session;
mod signals;
mod userfile;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// Runs the program with the process's arguments. Says what went wrong, and returns the exit code: 0 for
/// done, 1 for failed while doing, 2 for bad input.
pub fn main() -> ExitCode {
    limits::raise();
    let mut cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        // What was given is in it.
        Err(error) if error.use_stderr() => {
            print::talk(error.render().ansi().to_string().trim_end());
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    if let commands::Command::Virsh(args) = &mut cli.command {
        args.unlogged = cli.no_log_commands;
    }
    match reading::check_environment().and_then(|()| cli.command.run()).and_then(print::heard) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code())
        }
    }
}
