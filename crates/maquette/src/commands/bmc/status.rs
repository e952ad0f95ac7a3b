//! `maquette bmc status`: where nodes' BMCs are.

use maquette_core::blueprint::Bmc;
use maquette_core::observed::{Domain, Observed};
use serde_json::{Value, json};

use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::render;
use crate::session::Session;
use crate::session::nodes;
use crate::workspace::outputs;
use crate::world::World;

/// Of a BMC whose address has gone with its network.
const GONE: &str = "address gone";

/// Arguments of `bmc status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// Which nodes.
    #[arg(value_name = "NODE", help = nodes::NODES)]
    pub nodes: Vec<String>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows nodes with a BMC.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let mut session = Session::at(world, &args.place)?;
    let observed = session.running()?.observed();
    let located = &session.located;
    let names = match args.nodes.is_empty() {
        true => observed.domains.keys().map(ToString::to_string).collect(),
        false => nodes::resolve(world, &args.nodes, located, &observed, nodes::Meaning::There)?,
    };
    let found: Vec<(&Domain, &Bmc)> = observed
        .domains
        .values()
        .filter(|domain| names.contains(domain.name.as_str()))
        .filter_map(|domain| Some((domain, domain.recorded.bmc.as_ref()?)))
        .collect();
    let file = located.workspace.file(outputs::BMCS);
    let secrets = file.exists().then(|| file.display().to_string());
    if args.json {
        let all: Vec<Value> = found.iter().map(|(d, bmc)| value(d, bmc, &observed)).collect();
        let value = json!({"schema": 1, "bmcs": all, "credentials": secrets});
        world.terminal.result(&format!("{value:#}"));
        return Ok(0);
    }
    if found.is_empty() {
        world.terminal.talk("no node has a BMC; `maquette explain bmc` says how they get one");
        return Ok(0);
    }
    let rows = found.iter().map(|(domain, bmc)| {
        let at = |at: Option<String>| at.unwrap_or_else(|| "-".into());
        vec![
            domain.name.to_string(),
            state(domain, bmc, &observed).to_string(),
            power(domain).to_string(),
            at(bmc.redfish_url()),
            at(bmc.ipmi().map(|at| at.to_string())),
        ]
    });
    let table = render::columns(&["NODE", "BMC", "POWER", "REDFISH", "IPMI"], rows);
    world.terminal.result(&table);
    if found.iter().any(|(domain, bmc)| state(domain, bmc, &observed) == GONE) {
        let why = "an address of a BMC goes when its network stops; `maquette up` gives it back";
        world.terminal.talk(why);
    }
    world.terminal.result(&match secrets {
        Some(file) => format!("\ncredentials: {file}"),
        None => "\ncredentials: only in the workspace that built the environment".into(),
    });
    Ok(0)
}

fn power(domain: &Domain) -> &'static str {
    if domain.active { "on" } else { "off" }
}

/// Whether a BMC is served: an address of its own goes with its network, and comes back with the next `up`.
fn state(domain: &Domain, bmc: &Bmc, observed: &Observed) -> &'static str {
    let is_served = observed.bmcs.as_ref().is_some_and(|bmcs| bmcs.serve(&domain.name));
    let is_there = !bmc.own_address || observed.host.addresses.contains(&bmc.address);
    match (is_served, is_there) {
        (true, true) => "served",
        (true, false) => GONE,
        (false, _) => "not served",
    }
}

fn value(domain: &Domain, bmc: &Bmc, observed: &Observed) -> Value {
    json!({
        "node": domain.name.as_str(),
        "served": state(domain, bmc, observed) == "served",
        "power": power(domain),
        "protocol": bmc.protocol.as_str(),
        "address": bmc.address.to_string(),
        "redfish": bmc.redfish_url(),
        "ipmi_port": bmc.ipmi().map(|at| at.port()),
        "system": domain.recorded.uuid.to_string(),
    })
}
