//! Verbs about nodes that are there: power, console, log.

use clap::Args;

use super::{Locking, Place};

/// Arguments of `start`, `reset`, `pause` and `resume`.
#[derive(Debug, Args)]
pub struct Power {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// The nodes
    #[arg(value_name = "NODE", required_unless_present = "all")]
    pub nodes: Vec<String>,
    /// All nodes of the environment
    #[arg(long, conflicts_with = "nodes")]
    pub all: bool,
    /// How long a guest may take to shut down (60), or to answer after its start (600), in seconds
    #[arg(long, value_name = "SECONDS", env = "MAQUETTE_POWER_TIMEOUT")]
    pub timeout: Option<u64>,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `stop` and `restart`.
#[derive(Debug, Args)]
pub struct Stop {
    /// Which nodes.
    #[command(flatten)]
    pub power: Power,
    /// Pull the plug at once
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `console`.
#[derive(Debug, Args)]
pub struct Console {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// The node
    pub node: String,
    /// Take the console from whoever is connected to it
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// The node
    pub node: String,
    /// Go on printing what it writes
    #[arg(short, long)]
    pub follow: bool,
    /// How many lines from the end [default: all]
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub lines: Option<u64>,
}
