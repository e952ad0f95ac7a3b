//! `maquette status`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use maquette_core::lifetime::Lifetime;
use maquette_core::node_state::Evidence;
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_core::values::NetworkName;
use maquette_engine::{Cause, StepError};
use maquette_libvirt::DomainEvent;
use serde_json::{Value, json};

use crate::cli::{EnvironmentArgs, FlagsOfUp};
use crate::failure::Failure;
use crate::lifecycle::overview;
use crate::load::{self, Located};
use crate::render;
use crate::render::Row;
use crate::session::{Ask, Session};
use crate::session::{elsewhere, entry, nodes};
use crate::workspace::{Owner, outputs};
use crate::world::World;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// Which nodes.
    #[arg(value_name = "NODE", help = nodes::ALL)]
    pub nodes: Vec<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    /// Do not ask nodes whether they answer: show what libvirt says of them only
    #[arg(long)]
    pub quick: bool,
    /// Print again whenever something changes; with --json, one line each time
    #[arg(short, long)]
    pub watch: bool,
    /// Flags of `up`, which are taken and say nothing.
    #[command(flatten)]
    pub up: FlagsOfUp,
}

/// Shows an environment, or some of its nodes. Exit code 1 if a node is not as `up` leaves it.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located_with(&world.environment, &args.place, &args.up.extra)?;
    let mut session = Session::open(world, located)?;
    let ask = if args.quick { Ask::Nobody } else { Ask::Nodes };
    if args.watch {
        return watch(world, &mut session, ask, args);
    }
    let now = Now::look(world, &mut session, ask, (args.json, &args.nodes))?;
    let located = &session.located;
    // What is asked for is known all the same.
    match entry::refresh(world, &session, &now.whole) {
        Err(Failure::Failed(error)) => {
            world.terminal.talk(&format!("warning: {}", error.in_one_line()));
        }
        refreshed => refreshed?,
    }
    let owner = Owner::new(&located.environment, &located.host);
    if outputs::is_built(&located.workspace) && outputs::belongs(&located.workspace, &owner) {
        let written =
            outputs::write_lifetime(&located.workspace, &located.environment, &now.lifetime);
        written.map_err(|e| located.workspace.unwritten(e))?;
        // Only completions read it.
        let _ = outputs::write_colleagues(&located.workspace, &now.whole.shared_keys());
    }
    if args.json {
        world.terminal.result(&format!("{:#}", now.json(located)));
    } else {
        now.show(world, located);
    }
    Ok(u8::from(!now.good()))
}

/// What `--json` prints.
pub fn as_json(world: &World, session: &mut Session<'_>) -> Result<String, Failure> {
    let now = Now::look(world, session, Ask::Nodes, (true, &[]))?;
    Ok(format!("{:#}\n", now.json(&session.located)))
}

/// An environment at one moment.
struct Now {
    /// All of it, whatever was asked for.
    whole: Observed,
    observed: Observed,
    evidence: BTreeMap<String, Evidence>,
    /// Until when it lasts, and whose it is.
    lifetime: Lifetime,
    /// The hypervisor's clock, in seconds since 1970.
    now_s: u64,
    /// Whether anything on the hypervisor removes it then.
    removed: bool,
    /// Whether nodes were asked what they do.
    ask: Ask,
    /// Who is changing it; for people asked only if something is not as it should be.
    changed_by: Option<String>,
}

impl Now {
    /// Looks at the nodes that words mean, or at all where there are none.
    fn look(
        world: &World,
        session: &mut Session<'_>,
        ask: Ask,
        (json, words): (bool, &[String]),
    ) -> Result<Self, Failure> {
        let hypervisor = session.running()?;
        let whole = hypervisor.observed();
        let mut observed = whole.clone();
        if !words.is_empty() {
            narrow(world, words, &session.located, &mut observed)?;
        }
        let evidence = session.evidence(&observed, ask)?;
        let off = json || !plan::drifts(&observed).is_empty();
        let changed_by = off.then(|| session.changed_by()).flatten();
        let facts = &hypervisor.facts;
        let lifetime =
            facts.lifetimes.get(&session.located.environment).cloned().unwrap_or_default();
        let (now_s, removed) = (facts.now_s, facts.expiry.is_some());
        Ok(Self { whole, observed, evidence, lifetime, now_s, removed, ask, changed_by })
    }

    fn rows(&self) -> Vec<Row> {
        Row::all(&self.observed, &self.evidence)
    }

    fn good(&self) -> bool {
        self.rows().iter().all(|r| r.good) && plan::drifts(&self.observed).is_empty()
    }

    fn json(&self, located: &Located) -> Value {
        let drifts = plan::drifts(&self.observed);
        let networks: Vec<Value> = self
            .observed
            .networks
            .values()
            .map(|n| {
                let own =
                    drifts.iter().filter(|d| d.kind == ObjectKind::Network && d.name == n.name);
                let drift: Vec<&str> = own.map(|d| d.what.as_str()).collect();
                let bridge = Some(&n.recorded.bridge).filter(|_| n.recorded.carrier.has_bridge());
                json!({"name": n.name, "active": n.active, "bridge": bridge, "drift": drift})
            })
            .collect();
        let all =
            drifts.iter().map(|d| json!({"kind": d.kind.as_str(), "name": d.name, "what": d.what}));
        json!({
            "schema": 1,
            "environment": located.environment.to_string(),
            "nodes": self.rows().iter().map(Row::json).collect::<Vec<_>>(),
            "networks": networks,
            "drift": all.collect::<Vec<_>>(),
            "changed_by": self.changed_by,
            "expires_at_s": self.lifetime.expires_s,
            "owner": self.lifetime.owner,
            "workspace": located.workspace.path.display().to_string(),
        })
    }

    /// What changes only if something happens: time passes anyway.
    fn without_time(&self, located: &Located) -> String {
        let mut value = self.json(located);
        for node in value["nodes"].as_array_mut().into_iter().flatten() {
            node["uptime_s"] = Value::Null;
        }
        value.to_string()
    }

    fn show(&self, world: &World, located: &Located) {
        let seen = &self.observed;
        if seen.domains.is_empty() && seen.networks.is_empty() && seen.edited.is_empty() {
            world.terminal.talk(&format!(
                "environment `{}` does not exist; `maquette up` builds it",
                located.environment
            ));
            // Whoever is in another directory than they think sees why it is this one.
            if located.project.is_none() && located.environment.prefix().is_none() {
                world.terminal.talk(
                    "it is called so since there is no maquette.yaml here; `maquette list` shows what there is",
                );
            }
        } else {
            let (seen, found) = ((&self.observed, self.changed_by.as_deref()), &self.evidence);
            let place = (&located.workspace, &world.environment);
            world.terminal.advice(&overview::text(&located.environment, seen, found, place));
            if self.ask == Ask::Nobody && self.observed.domains.values().any(|d| d.active) {
                let line = "states are what libvirt says: nodes were not asked whether they answer";
                world.terminal.result(&format!("{line} (--quick)\n"));
            }
            if let Some(line) = elsewhere::line(&world.environment, located) {
                world.terminal.talk(&line);
            }
            let name = located.environment.to_string();
            if let Some(line) =
                render::lifetime_line(&name, &self.lifetime, self.now_s, self.removed)
            {
                world.terminal.result(&line);
            }
        }
    }
}

/// Leaves the nodes that words mean, with their networks.
fn narrow(
    world: &World,
    words: &[String],
    located: &Located,
    observed: &mut Observed,
) -> Result<(), Failure> {
    let names = nodes::resolve(world, words, located, observed, nodes::Meaning::There)?;
    observed.domains.retain(|name, _| names.contains(name.as_str()));
    let nics = observed.domains.values().flat_map(|domain| &domain.recorded.interfaces);
    let on: BTreeSet<NetworkName> = nics.map(|nic| nic.network.clone()).collect();
    observed.networks.retain(|name, _| on.contains(name));
    for network in observed.networks.values_mut() {
        // Others on it are not missing.
        network.recorded.tenants.retain(|tenant| names.contains(tenant.node.as_str()));
    }
    observed.edited.retain(|edited| match edited.kind {
        ObjectKind::Network => on.iter().any(|name| name.as_str() == edited.name),
        _ => names.contains(&edited.name),
    });
    Ok(())
}

/// Shows it again whenever something changes, until Ctrl-C: libvirt tells of its part, and nodes are asked.
fn watch(world: &World, session: &mut Session<'_>, ask: Ask, args: &Args) -> Result<u8, Failure> {
    let json = args.json;
    let located = &session.located.clone();
    let (sender, events) = mpsc::channel();
    let failed = |e: Cause| Failure::because("cannot listen to libvirt", e);
    // Listening begins before looking, so that nothing is missed between the two.
    let _listening =
        world.libvirt.listen(&session.connection.uri, &sender).map_err(|e| failed(e.into()))?;
    let prefix = located.environment.qualify("");
    let terminal = world.terminal.shows_results();
    let mut shown = None;
    loop {
        let now = Now::look(world, session, ask, (json, &args.nodes))?;
        if json {
            let line = now.json(located).to_string();
            let what = now.without_time(located);
            if shown.as_ref() != Some(&what)
                && !world.terminal.output(format!("{line}\n").as_bytes())
            {
                return Ok(0);
            }
            shown = Some(what);
        } else {
            let what = now.without_time(located);
            if terminal {
                world.terminal.clear();
            }
            if terminal || shown.as_ref() != Some(&what) {
                now.show(world, located);
            }
            shown = Some(what);
        }
        if !next_change(&events, &now, &prefix, ask) {
            let error =
                StepError::new(format!("{} ended the connection", session.connection.label));
            return Err(Failure::Failed(error));
        }
    }
}

/// How often nodes are asked again while they are watched: of what happens inside them nobody tells.
const AGAIN: Duration = Duration::from_secs(5);

/// Waits for something to happen to this environment, or until nodes are to be asked again; false if nothing can
/// happen any more.
fn next_change(events: &mpsc::Receiver<DomainEvent>, now: &Now, prefix: &str, ask: Ask) -> bool {
    loop {
        let event = match ask {
            Ask::Nodes | Ask::Failed => events.recv_timeout(AGAIN),
            Ask::Nobody => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let event = match event {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        // What comes at once is shown at once.
        let mut all = vec![event];
        all.extend(events.try_iter());
        if all.contains(&DomainEvent::Closed) {
            return false;
        }
        let ours = |event: &DomainEvent| match event {
            DomainEvent::Changed(name)
            | DomainEvent::Rebooted(name)
            | DomainEvent::DeviceRemoved(name) => {
                // A new node is not known yet; looking once too often does no harm.
                name.starts_with(prefix) || now.observed.domains.contains_key(name.as_str())
            }
            DomainEvent::Closed => false,
        };
        if all.iter().any(ours) {
            return true;
        }
    }
}
