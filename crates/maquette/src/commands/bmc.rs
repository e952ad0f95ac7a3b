//! `maquette bmc`: nodes' BMCs.

mod names;
mod orders;
mod rights;
mod serve;
mod status;

use clap::Subcommand;

use super::console;
use crate::failure::Failure;
use crate::world::World;

/// What to do with BMCs.
#[derive(Debug, Subcommand)]
pub enum Args {
    /// Show where nodes' BMCs are, and whether they are served
    Status(status::Args),
    /// Show whether a node is on, or have its BMC switch it
    Power(orders::PowerArgs),
    /// Show what a node boots from next, or have its BMC choose that
    Boot(orders::BootArgs),
    /// Connect to a node's serial console
    Console(console::Args),
    /// Serve the BMCs of a directory: what `maquette up` starts on a hypervisor
    #[command(hide = true)]
    Serve(serve::Args),
    /// Tell a BMC of a directory what to do, on its hypervisor
    #[command(hide = true)]
    Tell(serve::TellArgs),
    /// Look up names of servers for BMCs: what their process starts
    #[command(hide = true)]
    Names,
}

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    match args {
        Args::Status(args) => status::run(world, args),
        Args::Power(args) => orders::power(world, args),
        Args::Boot(args) => orders::boot(world, args),
        Args::Console(args) => console::run(world, args),
        Args::Serve(args) => serve::run(world, args),
        Args::Tell(args) => serve::tell(world, args),
        Args::Names => names::run(world),
    }
}
