//! `maquette bmc serve`: the process on the hypervisor that BMCs are served by.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use maquette_engine::StepError;
use maquette_engine::bmc::ADDRESS_TAKEN;
use maquette_libvirt::BmcJournal;

use crate::failure::Failure;
use crate::session::connection;
use crate::world::World;

/// Arguments of `bmc serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory; with `--check` the file in it that says what is to be served
    pub directory: PathBuf,
    /// Try what it takes, and serve nothing
    #[arg(long)]
    pub check: bool,
}

/// Lines that are written at most: where no journal takes them, nothing else keeps a file from growing.
const LINES: usize = 10_000;

/// Serves for ever.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let uri = connection::local_uri(world);
    let failed = |error| Failure::because("cannot serve BMCs", error);
    if args.check {
        return match maquette_libvirt::check_bmcs(&args.directory, &uri) {
            Ok(count) => {
                world.terminal.result(&format!("{count} BMCs can be served"));
                Ok(0)
            }
            Err(error) if error.is_about_address() => {
                let why = error.source().map_or_else(String::new, |why| format!(": {why}"));
                world.terminal.talk(&format!("{error}{why}"));
                Ok(ADDRESS_TAKEN)
            }
            Err(error) => Err(failed(error)),
        };
    }
    let (sender, lines) = mpsc::channel();
    let journal: BmcJournal = Arc::new(move |line: &str| {
        // Nobody reads any more: this process ends.
        let _ = sender.send(line.to_string());
    });
    let directory = args.directory.clone();
    let serving =
        std::thread::spawn(move || maquette_libvirt::serve_bmcs(&directory, &uri, &journal));
    for (number, line) in lines.iter().enumerate() {
        match number {
            LINES => world.terminal.talk("nothing more is written"),
            _ if number < LINES => world.terminal.talk(&line),
            _ => {}
        }
    }
    match serving.join() {
        Ok(served) => served.map(|()| 0).map_err(failed),
        Err(_) => Err(Failure::Failed(StepError::new("what serves BMCs ended"))),
    }
}

/// Arguments of `bmc tell`.
#[derive(Debug, clap::Args)]
pub struct TellArgs {
    /// The directory
    pub directory: PathBuf,
    /// The node, and what to do
    #[arg(required = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// Tells a BMC what to do, and prints what it says.
pub fn tell(world: &World, args: &TellArgs) -> Result<u8, Failure> {
    let said = maquette_libvirt::ask_bmc(&args.directory, &args.words)
        .map_err(|e| Failure::because("the BMC did not do it", e))?;
    world.terminal.result(&said.join(" "));
    Ok(0)
}
