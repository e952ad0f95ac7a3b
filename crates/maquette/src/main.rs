//! The command line: reads arguments, calls the stages, prints.

mod archive;
mod cli;
mod commands;
mod connection;
mod failure;
mod inventory;
mod load;
mod locking;
mod outputs;
mod pipeline;
mod playbooks;
mod print;
mod render;
mod report;
mod settings_tree;
mod stages;
mod virsh;
mod workspace;
mod workspaces;

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
