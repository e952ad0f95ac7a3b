//! `maquette man-pages`: a manual page for each verb, from the definition of the command line. Packages have them.

use std::path::PathBuf;

use clap::Command;
use clap_mangen::Man;

use super::virsh;
use crate::failure::Failure;
use crate::userfile::{self, Content};
use crate::world::World;

/// Arguments of `man-pages`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory that they are written to; it is made if it is missing
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Writes `maquette.1`, `maquette-up.1` and so on.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let failed = |e| Failure::because(format!("cannot make {}", args.directory.display()), e);
    std::fs::create_dir_all(&args.directory).map_err(failed)?;
    let mut whole = virsh::documented().disable_help_subcommand(true);
    whole.build();
    let mut all = Vec::new();
    pages(&whole, &mut all);
    for (name, text) in &all {
        userfile::write(&world.terminal, &args.directory.join(name), text, Content::Plain)?;
    }
    world.terminal.talk(&format!("{} manual pages are in {}", all.len(), args.directory.display()));
    Ok(0)
}

/// The page of a command, and those of the commands below it: file names and texts.
fn pages(command: &Command, all: &mut Vec<(String, Vec<u8>)>) {
    // Without a date, the same program makes the same pages.
    let man = Man::new(command.clone()).manual("Maquette");
    let mut text = Vec::new();
    // Writing to memory does not fail.
    if man.render(&mut text).is_ok() {
        all.push((man.get_filename(), text));
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infrareds_options_are_on_the_page_of_virsh() {
        let mut whole = virsh::documented();
        whole.build();
        let mut all = Vec::new();
        pages(&whole, &mut all);
        let (_, page) = all.iter().find(|(name, _)| name == "maquette-virsh.1").unwrap();
        let page = String::from_utf8_lossy(page).replace('\\', "");
        for option in ["--topology-nodes", "--host-address", "--ansible-args", "--remove-nodes"] {
            assert!(page.contains(option), "{option}");
        }
    }
}
