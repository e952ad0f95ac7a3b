//! `maquette bmc power` and `boot`: what people have a node's BMC do. It is asked on the hypervisor, by whoever has root there.

use clap::ValueEnum;
use maquette_core::diagnostic::Diagnostic;
use maquette_engine::StepError;
use maquette_engine::bmc::{self, Answer};
use serde_json::json;

use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::session::Session;
use crate::session::nodes;
use crate::world::World;

/// What a BMC does with a node's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Switch it on
    On,
    /// Switch it off at once
    Off,
    /// Ask its guest to shut down
    Soft,
    /// Switch it off at once, and on
    Cycle,
    /// Press its reset button
    Reset,
    /// Send it a non-maskable interrupt
    Diag,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Soft => "soft",
            Self::Cycle => "cycle",
            Self::Reset => "reset",
            Self::Diag => "diag",
        }
    }
}

/// What a node boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// What its definition says
    None,
    /// Its first NIC, by PXE
    Pxe,
    /// Its first NIC, by HTTP
    Http,
    /// Its first disk
    Disk,
    /// The CD-ROM drive
    Cdrom,
    /// The firmware's menu
    Setup,
}

impl Device {
    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pxe => "pxe",
            Self::Http => "http",
            Self::Disk => "disk",
            Self::Cdrom => "cdrom",
            Self::Setup => "setup",
        }
    }
}

/// Firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Firmware {
    /// SeaBIOS
    Bios,
    /// UEFI
    Uefi,
}

/// Arguments of `bmc power`.
#[derive(Debug, clap::Args)]
pub struct PowerArgs {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// The node
    pub node: String,
    /// What to do [default: show whether it is on]
    pub action: Option<Action>,
    /// Print what the BMC says as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `bmc boot`.
#[derive(Debug, clap::Args)]
pub struct BootArgs {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// The node
    pub node: String,
    /// What it boots from next [default: show that]
    pub device: Option<Device>,
    /// For all boots to come, and not for the next one only
    #[arg(long, requires = "device")]
    pub persistent: bool,
    /// The firmware from the next start on
    #[arg(long, value_name = "MODE", requires = "device")]
    pub firmware: Option<Firmware>,
    /// Print what the BMC says as JSON
    #[arg(long)]
    pub json: bool,
}

/// Switches a node, or shows whether it is on.
pub fn power(world: &World, args: &PowerArgs) -> Result<u8, Failure> {
    let words = args.action.map_or(vec!["show"], |action| vec!["power", action.word()]);
    told(world, &args.place, &args.node, &words, args.json)
}

/// Chooses what a node boots from, or shows it.
pub fn boot(world: &World, args: &BootArgs) -> Result<u8, Failure> {
    let how = if args.persistent { "always" } else { "once" };
    let firmware = match args.firmware {
        None => "-",
        Some(Firmware::Bios) => "bios",
        Some(Firmware::Uefi) => "uefi",
    };
    let words = args.device.map_or(vec!["show"], |d| vec!["boot", d.word(), how, firmware]);
    told(world, &args.place, &args.node, &words, args.json)
}

/// Tells a node's BMC something, and shows what it says then.
fn told(
    world: &World,
    place: &EnvironmentArgs,
    word: &str,
    words: &[&str],
    json: bool,
) -> Result<u8, Failure> {
    let mut session = Session::at(world, place)?;
    let observed = session.running()?.observed();
    let located = &session.located;
    let domain = nodes::one(world, word, located, &observed)?;
    let name = &domain.name;
    if domain.recorded.bmc.is_none() {
        let error = Diagnostic::error("bmc::none", format!("`{name}` has no BMC"));
        return Err(Failure::input(error.help("`maquette explain bmc` says how it gets one")));
    }
    let run =
        observed.bmcs.as_ref().is_some_and(|bmcs| bmcs.holds && bmcs.digests.contains_key(name));
    if !run {
        let error = StepError::new(format!("the BMC of `{name}` is not served"));
        return Err(Failure::Failed(error.hint("`maquette up` has it served")));
    }
    let host = session.connection.host.as_ref();
    let answer = bmc::tell(host, &located.environment, name, words)
        .map_err(|e| Failure::because(format!("the BMC of `{name}` did not do it"), e))?;
    world.terminal.result(&shown(name, &answer, json));
    Ok(0)
}

fn shown(name: &str, answer: &Answer, json: bool) -> String {
    let power = if answer.on { "on" } else { "off" };
    if json {
        let boot =
            answer.boot.as_ref().map(|(device, once)| json!({"device": device, "once": once}));
        return format!("{:#}", json!({"schema": 1, "node": name, "power": power, "boot": boot}));
    }
    match &answer.boot {
        Some((device, true)) => format!("{name} is {power}, and boots from {device} once"),
        Some((device, false)) => format!("{name} is {power}, and boots from {device}"),
        None => format!("{name} is {power}"),
    }
}
