//! `maquette link`: the links of running nodes' interfaces.

use std::collections::BTreeSet;

use maquette_core::blueprint::{Interface, Node, far_end};
use maquette_core::diagnostic::{Diagnostic, closest};

use maquette_core::observed::Observed;
use maquette_core::units::MacAddr;
use maquette_core::values::NodeName;
use maquette_engine::StepError;
use maquette_engine::net::netem;
use maquette_libvirt::{Bandwidth, LinkState};

use crate::cli::{self, EnvironmentArgs};
use crate::failure::Failure;
use crate::load::Located;
use crate::session::Session;
use crate::session::nodes;
use crate::world::World;
use crate::{load, render};

/// What to do with links.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// List interfaces of nodes: network, tap on the hypervisor, whether the link is up, limit
    Show {
        /// Which environment.
        #[command(flatten)]
        place: EnvironmentArgs,
        /// The nodes [default: all]
        nodes: Vec<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a link down, as if its cable were pulled, until `link up` or until the node stops: the guest sees it,
    /// and so does the other end of a link between two nodes
    Down(Cable),
    /// Bring it up again
    Up(Cable),
    /// Limit what goes through, or lose and delay some of it, until the node stops
    Limit(Limit),
}

/// An interface of a node.
#[derive(Debug, clap::Args)]
pub struct InterfaceArgs {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// The node
    pub node: String,
    /// Its interface: eth0, a MAC address, or the network it is on [default: its only one]
    pub interface: Option<String>,
}

/// Arguments of `link down` and `link up`.
#[derive(Debug, clap::Args)]
pub struct Cable {
    /// Which interface.
    #[command(flatten)]
    pub interface: InterfaceArgs,
    /// Print as JSON, as `link show` does
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `link limit`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Limit {
    /// Which interface.
    #[command(flatten)]
    pub interface: InterfaceArgs,
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
    /// Print as JSON, as `link show` does
    #[arg(long)]
    pub json: bool,
}

/// Highest rate in KiB per second: libvirt's counter has 32 bits.
const MOST_KIB: u64 = u32::MAX as u64;

/// Longest delay in seconds: netem counts microseconds in 32 bits.
const MOST_DELAY_S: f64 = 4294.0;

/// Reads a rate in tc's words, such as `10mbit`; in KiB per second, which libvirt counts in, rounded down.
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
    let kib = number.checked_mul(bits).map(|bits| bits / 8 / 1024);
    match kib {
        Some(0) => Err("expected at least 9kbit".into()),
        Some(kib) if kib <= MOST_KIB => Ok(kib),
        _ => Err("expected at most 35184gbit, as libvirt takes it".into()),
    }
}

/// Checks a time in tc's words, such as `50ms` or `1s`.
fn delay(text: &str) -> Result<String, String> {
    let (number, seconds) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or_default(), 1.0),
    };
    match number.parse::<f64>() {
        Ok(value) if value.is_finite() && value * seconds > MOST_DELAY_S => {
            Err("expected at most 4294s".into())
        }
        Ok(value) if value.is_finite() && value > 0.0 => Ok(text.into()),
        _ => Err("expected a time such as 50ms or 1s".into()),
    }
}

/// Reads a share from 0 to 100 per cent, with or without its sign; in tc's words, such as `1%`.
fn percent(text: &str) -> Result<String, String> {
    match text.strip_suffix('%').unwrap_or(text).parse::<f64>() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok(format!("{value}%")),
        _ => Err("expected a share such as 1% or 0.5%".into()),
    }
}

/// Runs the command.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    match args {
        Args::Show { place, nodes, json } => show(world, place, nodes, *json),
        Args::Down(of) => plug(world, of, LinkState::Down),
        Args::Up(of) => plug(world, of, LinkState::Up),
        Args::Limit(limit) => restrict(world, limit),
    }
}

/// An interface of a running node, and what is needed to look at its link or to change it.
pub(super) struct Found<'w> {
    /// Its environment and hypervisor; with the environment's lock, if the link is to be changed.
    pub session: Session<'w>,
    observed: Observed,
    node: Node,
    interface: Interface,
    /// Its tap on the hypervisor.
    pub tap: String,
    /// Whether libvirt limits what goes through it.
    limited: bool,
}

impl Found<'_> {
    /// `controller-0 eth1`, for people.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.node.name, self.interface.name)
    }
}

/// What an interface is found for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    /// To look at it.
    Look,
    /// To change its link, with the environment's lock.
    Change,
}

/// Finds a running node's interface by what the user calls it, to look at it.
pub(super) fn find<'w>(world: &'w World, args: &InterfaceArgs) -> Result<Found<'w>, Failure> {
    look(
        world,
        load::located(&world.environment, &args.place)?,
        (&args.node, args.interface.as_deref()),
        To::Look,
    )
}

/// The same to change it, with the environment's lock.
fn hold<'w>(world: &'w World, args: &InterfaceArgs) -> Result<Found<'w>, Failure> {
    look(
        world,
        load::located(&world.environment, &args.place)?,
        (&args.node, args.interface.as_deref()),
        To::Change,
    )
}

fn look<'w>(
    world: &'w World,
    located: Located,
    (node, interface_word): (&str, Option<&str>),
    to: To,
) -> Result<Found<'w>, Failure> {
    let mut session = Session::open(world, located)?;
    if to == To::Change {
        session.lock("link", cli::Locking::from_environment(&world.environment)?)?;
    }
    let observed = session.running()?.observed();
    let domain = nodes::one(world, node, &session.located, &observed)?;
    let node = domain.recorded.clone();
    let interface = interface(&node, interface_word, &session.located)?;
    if !domain.active {
        // Whoever changes it would be this command.
        let who = if session.has_lock() { None } else { session.changed_by() };
        return Err(Failure::Failed(nodes::not_running(&domain.name, who.as_deref())));
    }
    let nics = session.libvirt()?.running_nics(&node.name).map_err(Failure::Failed)?;
    let nic = nics.into_iter().find(|c| c.mac == interface.mac);
    let limited = nic.as_ref().is_some_and(|c| c.limit.is_some());
    let Some(tap) = nic.and_then(|c| c.tap) else {
        let message = format!("{} of `{}` has no tap on the hypervisor", interface.name, node.name);
        return Err(Failure::Failed(StepError::new(message).hint("`maquette up` puts it back")));
    };
    Ok(Found { session, observed, node, interface, tap, limited })
}

/// The interface that a word means: its name (`eth1`), its MAC address, or a network that the node has one interface on;
/// without a word, the only one.
fn interface(node: &Node, word: Option<&str>, located: &Located) -> Result<Interface, Failure> {
    let has = || {
        let all = node.interfaces.iter().map(|i| format!("{} ({})", i.name, i.network));
        format!("it has {}", all.collect::<Vec<_>>().join(", "))
    };
    let Some(word) = word else {
        let [one] = node.interfaces.as_slice() else {
            let message = format!("which interface of `{}`?", node.name);
            return Err(Failure::input(Diagnostic::error("node::interface", message).help(has())));
        };
        return Ok(one.clone());
    };
    let qualified = located.environment.qualify(word);
    let mac = word.parse::<MacAddr>().ok();
    let by = |i: &&Interface| i.name == word || Some(i.mac) == mac;
    let on = |i: &&Interface| i.network == qualified || i.network == word;
    let several: Vec<&Interface> = node.interfaces.iter().filter(on).collect();
    let found = node.interfaces.iter().find(by).or(match several.as_slice() {
        [one] => Some(*one),
        _ => None,
    });
    if let Some(found) = found {
        return Ok(found.clone());
    }
    let message = match several.len() {
        0 => format!("`{}` has no interface `{word}`", node.name),
        n => format!("`{}` has {n} interfaces on `{word}`", node.name),
    };
    let known = node.interfaces.iter().flat_map(|i| [i.name.as_str(), i.network.as_str()]);
    let mut error = Diagnostic::error("node::interface", message);
    if several.is_empty()
        && let Some(name) = closest(word, known)
    {
        error = error.help(format!("did you mean `{name}`?"));
    }
    Err(Failure::input(error.help(has())))
}

/// Takes a link down or brings it up, at both ends where it is one between two nodes.
fn plug(world: &World, args: &Cable, state: LinkState) -> Result<u8, Failure> {
    let found = hold(world, &args.interface)?;
    let ends = plugged(&found, state)?;
    match args.json {
        true => {
            let changed = |mac| ends.iter().any(|(_, interface)| interface.mac == mac);
            world.terminal.result(&render::links_json(&rows(
                &found.session,
                &found.observed,
                changed,
            )?));
        }
        false => world.terminal.talk(&in_words(&ends, state)),
    }
    Ok(0)
}

/// The same for an interface of an environment that was found before; what was done, in words.
pub(super) fn plug_of(
    world: &World,
    located: Located,
    of: (&str, &str),
    state: LinkState,
) -> Result<String, Failure> {
    let found = look(world, located, (of.0, Some(of.1)), To::Change)?;
    Ok(in_words(&plugged(&found, state)?, state))
}

/// An end of a link: the node's name, and its interface.
type End = (NodeName, Interface);

/// Plugs the cable in, or pulls it; the ends where that was done.
fn plugged(found: &Found<'_>, state: LinkState) -> Result<Vec<End>, Failure> {
    let network = &found.interface.network;
    let link = found.observed.networks.get(network).filter(|n| n.recorded.tuning.link_local);
    let mut ends = vec![(found.node.name.clone(), found.interface.clone())];
    if link.is_some() {
        let running = found.observed.domains.values().filter(|d| d.active).map(|d| &d.recorded);
        // With more than two ends it is a switch: the others' links stay up.
        let far = far_end(running, &found.interface);
        ends.extend(far.map(|(node, interface)| (node.name.clone(), interface.clone())));
    }
    for (node, interface) in &ends {
        found.session.change(|server| server.set_link(node, interface.mac, state))?;
    }
    Ok(ends)
}

fn in_words(ends: &[End], state: LinkState) -> String {
    let said: Vec<String> = ends.iter().map(|(n, i)| format!("{n} {}", i.name)).collect();
    format!("{}: link {state}", said.join(" and "))
}

fn restrict(world: &World, args: &Limit) -> Result<u8, Failure> {
    let found = hold(world, &args.interface)?;
    if found.interface.is_direct() {
        let message = format!(
            "{} is on a NIC of the hypervisor without a bridge: nothing limits it",
            found.label()
        );
        let error = Diagnostic::error("node::interface", message);
        return Err(Failure::input(
            error
                .help("`maquette link down` pulls its cable; limits are for interfaces on bridges"),
        ));
    }
    let fence = found.session.behind_lock();
    let host = fence.host();
    let mut words = Vec::new();
    words.extend(args.delay.iter().flat_map(|d| ["delay".to_string(), d.clone()]));
    words.extend(args.loss.iter().flat_map(|l| ["loss".to_string(), l.clone()]));
    // A tap has one queue of frames to the node. Where these are delayed or lost, too, netem keeps to the rate as well, and
    // libvirt limits what comes from the node, which is no queue.
    let limit = args.rate.map(|kib| match words.is_empty() {
        true => Bandwidth::both(kib),
        false => Bandwidth { to_node: None, from_node: Some(kib) },
    });
    if let Some(kib) = args.rate.filter(|_| !words.is_empty()) {
        words.extend(["rate".to_string(), format!("{kib}kibps")]);
    }
    if words.is_empty() {
        netem::disturb(host, &found.tap, &[], &found.label()).map_err(Failure::Failed)?;
    }
    if found.limited || args.rate.is_some() {
        let (node, mac) = (&found.node.name, found.interface.mac);
        found.session.change(|server| server.set_bandwidth(node, mac, limit))?;
    }
    if !words.is_empty() {
        // libvirt clears the tap's queue when it sets its limit, so that this comes last.
        let disturbed = netem::disturb(host, &found.tap, &words, &found.label());
        disturbed.map_err(|error| Failure::Failed(half_done(error, &found, args.rate)))?;
    }
    if args.json {
        let changed = |mac| found.interface.mac == mac;
        world.terminal.result(&render::links_json(&rows(
            &found.session,
            &found.observed,
            changed,
        )?));
        return Ok(0);
    }
    let what = match (args.rate, words.is_empty()) {
        (Some(kib), true) => format!("at most {kib} KiB/s"),
        (_, false) => words.join(" "),
        (None, true) => "no limit".into(),
    };
    world.terminal.talk(&format!("{}: {what}", found.label()));
    Ok(0)
}

/// The error of a limit of which a part is set all the same, with what that is.
fn half_done(error: StepError, found: &Found<'_>, rate: Option<u64>) -> StepError {
    let Some(kib) = rate else { return error };
    error.hint(format!(
        "what comes from the node is limited to {kib} KiB/s all the same; `maquette link limit {} {} --none` lifts that",
        found.node.name, found.interface.name
    ))
}

fn show(
    world: &World,
    place: &EnvironmentArgs,
    words: &[String],
    json: bool,
) -> Result<u8, Failure> {
    let mut session = Session::at(world, place)?;
    let observed = session.running()?.observed();
    let there = nodes::Meaning::There;
    let names = nodes::resolve(world, words, &session.located, &observed, there)?;
    let wanted = |name: &str| names.is_empty() || names.contains(name);
    let domains = observed.domains.values().filter(|d| wanted(&d.name));
    let macs: BTreeSet<MacAddr> =
        domains.flat_map(|d| d.recorded.interfaces.iter().map(|i| i.mac)).collect();
    let rows = rows(&session, &observed, |mac| macs.contains(&mac))?;
    world.terminal.result(&if json { render::links_json(&rows) } else { render::links(&rows) });
    Ok(0)
}

/// Interfaces of the environment as they are now, of which the wanted ones.
fn rows(
    session: &Session<'_>,
    observed: &Observed,
    wanted: impl Fn(MacAddr) -> bool,
) -> Result<Vec<render::LinkRow>, Failure> {
    let server = session.libvirt()?;
    let disturbances = netem::disturbances(session.connection.host.as_ref());
    let mut rows = Vec::new();
    for domain in observed.domains.values() {
        let interfaces: Vec<&Interface> =
            domain.recorded.interfaces.iter().filter(|i| wanted(i.mac)).collect();
        let nics = match domain.active && !interfaces.is_empty() {
            true => server.running_nics(&domain.name).map_err(Failure::Failed)?,
            false => Vec::new(),
        };
        for interface in interfaces {
            let nic = nics.iter().find(|c| c.mac == interface.mac);
            let tap = nic.and_then(|c| c.tap.clone());
            let disturbance = tap.as_ref().and_then(|tap| disturbances.get(tap)).copied();
            let disturbance = disturbance.unwrap_or_default();
            rows.push(render::LinkRow {
                node: domain.name.to_string(),
                interface: interface.name.to_string(),
                mac: interface.mac.to_string(),
                network: interface.source(),
                portgroup: interface.attachment.portgroup().map(|p| p.to_string()),
                address: interface.ipv4.address().map(|n| n.addr().to_string()),
                tap,
                up: nic.map(|c| c.up),
                limit_kib_s: nic.and_then(|c| c.limit?.kib()).filter(|l| *l > 0),
                delay_ms: disturbance.delay_ms,
                loss_percent: disturbance.loss_percent,
            });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_in_the_words_of_tc() {
        assert_eq!(rate("10mbit"), Ok(1220));
        assert!(rate("10").is_err() && rate("1kbit").is_err() && rate("mbit").is_err());
        assert_eq!(rate("35184gbit").map(|kib| kib <= MOST_KIB), Ok(true));
        for endless in ["35185gbit", "18446744073709551615gbit", "18446744073709551616kbit"] {
            assert!(rate(endless).is_err(), "{endless}");
        }
        for endless in ["infs", "NaNs", "1e300s", "4295s", "4294001ms", "-1s"] {
            assert!(delay(endless).is_err(), "{endless}");
        }
        assert!(delay("4294s").is_ok() && delay("1e3ms").is_ok());
        assert!(delay("50ms").is_ok() && delay("0ms").is_err() && delay("50").is_err());
        assert_eq!(percent("1"), Ok("1%".into()));
        assert!(percent("101%").is_err());
    }
}
