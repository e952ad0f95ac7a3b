//! `maquette topology`.

use maquette_core::defaults::{self, Kind};
use maquette_core::diagnostic::Diagnostic;
use maquette_core::topology::{BuiltInNetworks, BuiltInType, built_in_networks, built_in_types};
use maquette_core::units::{ByteSize, MIB};

use super::convert;
use crate::failure::Failure;
use crate::render;
use crate::world::World;

/// What to do with built-in files.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// List node types and network files
    List,
    /// Write what is asked for, or what there is, as files of one's own
    Convert(Box<convert::Args>),
    /// Print one file
    Show {
        /// Its name
        name: String,
    },
}

/// Lists built-in files, or prints one.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    match args {
        Args::List => {
            world.terminal.result(&list());
            Ok(0)
        }
        Args::Convert(args) => convert::run(world, args),
        Args::Show { name } => {
            let found = defaults::get(Kind::Nodes, name).or(defaults::get(Kind::Network, name));
            match found {
                Some(text) => {
                    world.terminal.result(text);
                    Ok(0)
                }
                None => {
                    let mut names = defaults::names(Kind::Nodes);
                    names.extend(defaults::names(Kind::Network));
                    let message = format!("there is no built-in file `{name}`");
                    let error = Diagnostic::error("topology::unknown-file", message);
                    Err(Failure::input(
                        error
                            .suggest(name, names)
                            .help("`maquette topology list` has the names of all"),
                    ))
                }
            }
        }
    }
}

/// As many networks of a file are named.
const MOST_NETWORKS: usize = 6;

/// What comes with the program, a line each.
fn list() -> String {
    let row = |of: BuiltInType| {
        let system = match (of.has_os, of.has_own_image) {
            (false, _) => "none",
            (true, false) => "yes",
            (true, true) => "only its vendor has the image",
        };
        let memory = of.memory_mib.parse::<u64>().map(|mib| ByteSize(mib.saturating_mul(MIB)));
        let memory = memory.map_or(of.memory_mib, |size| size.to_string());
        let name = of.name.to_string();
        vec![name, of.vcpus, memory, of.disks.join(", "), system.into(), of.groups.join(", ")]
    };
    let header = ["TYPE", "VCPUS", "MEMORY", "DISKS", "SYSTEM", "GROUPS"];
    let types = render::columns(&header, built_in_types().into_iter().map(row));
    let row = |(file, networks): BuiltInNetworks| {
        let names = match networks.len() {
            ..=MOST_NETWORKS => networks.join(", "),
            many => format!("{}, … ({many} in all)", networks[..MOST_NETWORKS].join(", ")),
        };
        vec![file.to_string(), names]
    };
    let networks = render::columns(&["FILE", "NETWORKS"], built_in_networks().into_iter().map(row));
    format!(
        "node types (--topology-nodes):\n{types}\nnetwork files (--topology-network):\n{networks}"
    )
}
