//! Whether a hypervisor's firewall drops what nodes send, or what they are sent. Its rules are walked through with a packet;
//! where it cannot be told whether a rule fits, it is not said to drop anything.

mod iptables;
mod nft;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Where in its way through the kernel a packet is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// It is for the hypervisor itself.
    Input,
    /// It goes through.
    Forward,
    /// It is from the hypervisor itself.
    Output,
}

/// A new packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The interface through which it comes; none if the hypervisor itself sends it.
    pub input: Option<&'a str>,
    /// The interface through which it leaves, if that is known.
    pub output: Option<&'a str>,
    /// Who sends it.
    pub source: Ipv4Addr,
    /// To whom it goes, if that is known.
    pub destination: Option<Ipv4Addr>,
    /// Protocol and port that it goes to; any, where it does not matter.
    pub service: Option<(&'static str, u16)>,
    /// The port that it comes from, if that is known.
    pub from_port: Option<u16>,
}

impl Packet<'_> {
    /// Whether a port of it, if it is known, is among those of a rule.
    fn fits_port(&self, of: &Option<String>, all: &[u16], port: Option<u16>) -> Fits {
        let other = |of: &String| self.service.is_some_and(|(protocol, _)| of != protocol);
        match port {
            _ if of.as_ref().is_some_and(other) => Fits::No,
            Some(port) if all.contains(&port) => Fits::Yes,
            Some(_) => Fits::No,
            None => Fits::Maybe,
        }
    }
}

/// What a rule wants of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Want {
    /// It comes through one of these interfaces.
    Input(Vec<String>),
    /// It leaves through one of these interfaces.
    Output(Vec<String>),
    /// It is from one of these networks.
    Source(Vec<Ipv4Net>),
    /// It goes to one of these networks.
    Destination(Vec<Ipv4Net>),
    /// It is of one of these protocols.
    Protocol(Vec<String>),
    /// It goes to one of these ports, of a protocol where one is named.
    Port(Option<String>, Vec<u16>),
    /// It comes from one of these ports, of a protocol where one is named.
    FromPort(Option<String>, Vec<u16>),
    /// What is so, or is not, of every packet that is asked about: that it begins a connection, that it is IPv4.
    Known(bool),
    /// Something else.
    Other,
}

/// A want, or its contrary.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Match {
    want: Want,
    negated: bool,
}

/// What becomes of a packet that a rule fits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
    /// Nothing: it is counted, or logged.
    Pass,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    matches: Vec<Match>,
    verdict: Verdict,
    text: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Chain {
    /// Its table, for people.
    table: String,
    name: String,
    hook: Option<Hook>,
    /// Whether it drops what no rule decides.
    drops: bool,
    rules: Vec<Rule>,
}

/// The rules of a hypervisor for IPv4.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset(Vec<Chain>);

/// Who keeps the rules, as their names tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// Docker.
    Docker,
    /// firewalld.
    Firewalld,
    /// ufw.
    Ufw,
    /// Nobody that is known.
    Unknown,
}

/// What drops a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Who keeps the rule.
    pub keeper: Keeper,
    /// The rule or policy, for people.
    pub by: String,
}

/// Whether something fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fits {
    No,
    Maybe,
    Yes,
}

enum Outcome {
    /// Accepted, or nobody can tell.
    Passes,
    Dropped(String),
    /// No rule has decided.
    Undecided,
}

/// Most chains within each other.
const DEPTH: usize = 16;

impl Ruleset {
    /// Reads what `iptables-save` prints of both kinds of iptables, and what `nft -j list ruleset` does. nft's tables that
    /// are iptables' own are left to iptables, where that is there.
    pub fn read(iptables: &str, nft: &str) -> Self {
        let mut chains = iptables::read(iptables);
        chains.extend(nft::read(nft, chains.is_empty()));
        Self(chains)
    }

    /// What drops a packet, if anything certainly does.
    pub fn dropped(&self, hook: Hook, packet: &Packet<'_>) -> Option<Dropped> {
        let bases = self.0.iter().filter(|chain| chain.hook == Some(hook));
        bases.into_iter().find_map(|base| {
            let by = match self.walk(base, packet, DEPTH) {
                Outcome::Dropped(by) => by,
                Outcome::Undecided if base.drops => {
                    format!(
                        "the policy of chain {} ({}) is to drop, and no rule lets it pass",
                        base.name, base.table
                    )
                }
                Outcome::Undecided | Outcome::Passes => return None,
            };
            Some(Dropped { keeper: self.keeper(base), by })
        })
    }

    fn walk(&self, chain: &Chain, packet: &Packet<'_>, depth: usize) -> Outcome {
        for rule in &chain.rules {
            let fits = rule.matches.iter().map(|m| m.fits(packet)).min().unwrap_or(Fits::Yes);
            if fits == Fits::No {
                continue;
            }
            let certain = fits == Fits::Yes;
            let (target, ends) = match &rule.verdict {
                Verdict::Pass => continue,
                Verdict::Accept => return Outcome::Passes,
                Verdict::Drop if certain => return Outcome::Dropped(self.said(chain, rule)),
                Verdict::Drop => continue,
                Verdict::Return if certain => return Outcome::Undecided,
                Verdict::Return => return Outcome::Passes,
                Verdict::Jump(target) => (target, false),
                Verdict::Goto(target) => (target, true),
            };
            let next = self.0.iter().find(|c| c.table == chain.table && c.name == *target);
            let (Some(next), true) = (next, depth > 0) else { return Outcome::Passes };
            match self.walk(next, packet, depth - 1) {
                Outcome::Undecided if ends && certain => return Outcome::Undecided,
                Outcome::Undecided => {}
                Outcome::Dropped(by) if certain => return Outcome::Dropped(by),
                Outcome::Dropped(_) => {}
                Outcome::Passes => return Outcome::Passes,
            }
        }
        Outcome::Undecided
    }

    fn said(&self, chain: &Chain, rule: &Rule) -> String {
        format!("chain {} ({}): {}", chain.name, chain.table, rule.text)
    }

    fn keeper(&self, base: &Chain) -> Keeper {
        let has =
            |start: &str| self.0.iter().any(|c| c.table == base.table && c.name.starts_with(start));
        if base.table.contains("firewalld") {
            Keeper::Firewalld
        } else if has("ufw-") {
            Keeper::Ufw
        } else if has("DOCKER") && base.hook == Some(Hook::Forward) {
            Keeper::Docker
        } else {
            Keeper::Unknown
        }
    }
}

impl Match {
    fn fits(&self, packet: &Packet<'_>) -> Fits {
        let sure = |yes: bool| if yes { Fits::Yes } else { Fits::No };
        let named = |names: &[String], name: &str| {
            names.iter().any(|n| match n.strip_suffix(['+', '*']) {
                Some(start) => name.starts_with(start),
                None => n == name,
            })
        };
        let fits = match &self.want {
            Want::Input(names) => sure(packet.input.is_some_and(|i| named(names, i))),
            Want::Output(names) => packet.output.map_or(Fits::Maybe, |o| sure(named(names, o))),
            Want::Source(nets) => sure(nets.iter().any(|net| net.contains(&packet.source))),
            Want::Destination(nets) => packet
                .destination
                .map_or(Fits::Maybe, |to| sure(nets.iter().any(|n| n.contains(&to)))),
            Want::Protocol(all) => packet.service.map_or(Fits::Maybe, |(protocol, _)| {
                sure(all.iter().any(|p| p == protocol || p == "all"))
            }),
            Want::Port(of, all) => packet.fits_port(of, all, packet.service.map(|s| s.1)),
            Want::FromPort(of, all) => packet.fits_port(of, all, packet.from_port),
            Want::Known(yes) => sure(*yes),
            Want::Other => Fits::Maybe,
        };
        match (self.negated, fits) {
            (true, Fits::Yes) => Fits::No,
            (true, Fits::No) => Fits::Yes,
            _ => fits,
        }
    }
}
