//! Verbs about nodes that are there: power, console, log.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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

/// What to do with cables.
#[derive(Debug, Subcommand)]
pub enum Link {
    /// List interfaces of nodes: network, tap on the hypervisor, whether the cable is plugged in, limit
    Show {
        /// Which environment.
        #[command(flatten)]
        place: Place,
        /// The nodes [default: all]
        nodes: Vec<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Pull a cable out, until it is plugged in again or the node stops: the node sees its link go down,
    /// and so does the other end of a wired link
    Down(Cable),
    /// Plug it in again
    Up(Cable),
    /// Limit what goes through, or lose and delay some of it, until the node stops
    Limit(Limit),
}

/// An interface of a node.
#[derive(Debug, Args)]
pub struct Cable {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// The node
    pub node: String,
    /// Its interface: eth0, a MAC address, or the network it is on
    pub interface: String,
}

/// Arguments of `link limit`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Limit {
    /// Which interface.
    #[command(flatten)]
    pub cable: Cable,
    /// Most that goes through in either direction: 10mbit, 512kbit, 1gbit
    #[arg(long, value_name = "RATE", value_parser = rate, group = "what")]
    pub rate: Option<u64>,
    /// How long each frame to the node is held up: 50ms
    #[arg(long, value_name = "TIME", value_parser = delay, group = "what")]
    pub delay: Option<String>,
    /// How many of the frames to the node are lost: 1%
    #[arg(long, value_name = "PERCENT", value_parser = percent, group = "what")]
    pub loss: Option<String>,
    /// Lift every limit
    #[arg(long, group = "what", conflicts_with_all = ["rate", "delay", "loss"])]
    pub none: bool,
}

/// Arguments of `capture`.
#[derive(Debug, Args)]
pub struct Capture {
    /// Which interface.
    #[command(flatten)]
    pub cable: Cable,
    /// File to write [default: standard output, for `| wireshark -k -i -`]
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// End after so many frames [default: with Ctrl-C]
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub count: Option<u64>,
    /// Which frames, as tcpdump has it: `udp port 67`
    #[arg(last = true, value_name = "FILTER")]
    pub filter: Vec<String>,
}

/// A rate in tc's words, as KiB a second.
fn rate(text: &str) -> Result<u64, String> {
    let expected = "expected a rate such as 10mbit, 512kbit or 1gbit";
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let bits: u64 = match unit.to_ascii_lowercase().as_str() {
        "kbit" => 1_000,
        "mbit" => 1_000_000,
        "gbit" => 1_000_000_000,
        _ => return Err(expected.into()),
    };
    let number: u64 = number.parse().map_err(|_| expected.to_string())?;
    let kib = number.saturating_mul(bits) / 8 / 1024;
    if kib == 0 { Err("at least 9kbit can be told apart from nothing".into()) } else { Ok(kib) }
}

/// A time in tc's words.
fn delay(text: &str) -> Result<String, String> {
    let number = text.strip_suffix("ms").or_else(|| text.strip_suffix('s')).unwrap_or_default();
    match number.parse::<f64>() {
        Ok(value) if value > 0.0 => Ok(text.into()),
        _ => Err("expected a time such as 50ms or 1s".into()),
    }
}

/// A share in tc's words.
fn percent(text: &str) -> Result<String, String> {
    match text.strip_suffix('%').unwrap_or(text).parse::<f64>() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok(format!("{value}%")),
        _ => Err("expected a share such as 1% or 0.5%".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_in_the_words_of_tc() {
        assert_eq!(rate("10mbit"), Ok(1220));
        assert!(rate("10").is_err() && rate("1kbit").is_err() && rate("mbit").is_err());
        assert!(delay("50ms").is_ok() && delay("0ms").is_err() && delay("50").is_err());
        assert_eq!(percent("1"), Ok("1%".into()));
        assert!(percent("101%").is_err());
    }
}
