//! The command line: reads arguments, calls the stages, prints.

mod cli;
mod commands;
mod failure;
mod load;
mod outputs;
mod pipeline;
mod print;
mod render;
mod report;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Usage errors end here, with code 2.
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code())
        }
    }
}
