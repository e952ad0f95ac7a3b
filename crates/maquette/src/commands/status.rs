//! `maquette status`.

use std::collections::BTreeMap;
use std::sync::mpsc;

use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_engine::{Cause, StepError};
use maquette_libvirt::DomainEvent;
use serde_json::{Value, json};

use super::lockout;
use crate::cli::Place;
use crate::failure::Failure;
use crate::load::Located;
use crate::render::Row;
use crate::session::Session;
use crate::workspace::Workspace;
use crate::workspace::outputs;
use crate::{load, render};
use crate::world::World;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    /// Print again whenever something changes; with --json, one line each time
    #[arg(short, long)]
    pub watch: bool,
}

/// Shows an environment. Exit code 1 if a node is not as `up` leaves it.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located(&world.environment, &args.place)?;
    let session = Session::open(world, located.clone())?;
    if args.watch {
        return watch(world, &located, &session, args.json);
    }
    let now = Now::look(&session)?;
    if args.json {
        world.terminal.result(&format!("{:#}", now.json(&located)));
    } else {
        now.show(world, &located);
    }
    Ok(u8::from(!now.good()))
}

/// An environment at one moment.
struct Now {
    observed: Observed,
    uptime_s: BTreeMap<String, u64>,
}

impl Now {
    fn look(session: &Session<'_>) -> Result<Self, Failure> {
        let hypervisor = session.running()?;
        let observed = hypervisor.observed();
        Ok(Self { observed, uptime_s: hypervisor.facts.uptime_s })
    }

    fn rows(&self) -> Vec<Row> {
        Row::all(&self.observed, &self.uptime_s)
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
                let own = drifts.iter().filter(|d| d.kind == ObjectKind::Network && d.name == n.name);
                let drift: Vec<&str> = own.map(|d| d.what.as_str()).collect();
                json!({"name": n.name, "active": n.active, "bridge": n.recorded.bridge, "drift": drift})
            })
            .collect();
        let all = drifts.iter().map(|d| json!({"kind": d.kind.as_str(), "name": d.name, "what": d.what}));
        json!({
            "schema": 1,
            "environment": located.environment.to_string(),
            "nodes": self.rows().iter().map(Row::json).collect::<Vec<_>>(),
            "networks": networks,
            "drift": all.collect::<Vec<_>>(),
            "workspace": located.workspace.path.display().to_string(),
        })
    }

    fn show(&self, world: &World, located: &Located) {
        let seen = &self.observed;
        if seen.domains.is_empty() && seen.networks.is_empty() && seen.edited.is_empty() {
            world.terminal.talk(&format!(
                "environment `{}` does not exist; `maquette up` builds it",
                located.environment
            ));
        } else {
            let (seen, up) = (&self.observed, &self.uptime_s);
            world.terminal.result(&text(&located.environment, seen, up, &located.workspace));
        }
    }
}

/// Shows it again whenever libvirt tells of a change, until Ctrl-C.
fn watch(
    world: &World,
    located: &Located,
    session: &Session<'_>,
    json: bool,
) -> Result<u8, Failure> {
    let (sender, events) = mpsc::channel();
    let failed = |e: Cause| Failure::because("cannot listen to libvirt", e);
    // Listening begins before looking, so that nothing is missed between the two.
    let _listening = world.libvirt.listen(&session.connection.uri, &sender).map_err(|e| failed(e.into()))?;
    let prefix = located.environment.qualify("");
    let terminal = world.terminal.shows_results();
    let mut shown = None;
    loop {
        let now = Now::look(session)?;
        if json {
            let mut value = now.json(located);
            // Time passes without an event.
            let line = value.to_string();
            for node in value["nodes"].as_array_mut().into_iter().flatten() {
                node["uptime_s"] = Value::Null;
            }
            let what = value.to_string();
            if shown.as_ref() != Some(&what) && !world.terminal.bytes(format!("{line}\n").as_bytes()) {
                return Ok(0);
            }
            shown = Some(what);
        } else {
            if terminal {
                // The top of an empty screen.
                world.terminal.bytes(b"\x1b[H\x1b[2J");
            }
            now.show(world, located);
        }
        if !next_change(&events, &now, &prefix) {
            let error = StepError::new(format!("{} ended the connection", session.connection.label));
            return Err(Failure::Failed(error));
        }
    }
}

/// Waits for something to happen to this environment; false if nothing can any more.
fn next_change(events: &mpsc::Receiver<DomainEvent>, now: &Now, prefix: &str) -> bool {
    loop {
        let Ok(event) = events.recv() else { return false };
        // What comes at once is shown at once.
        let mut all = vec![event];
        all.extend(events.try_iter());
        if all.contains(&DomainEvent::Closed) {
            return false;
        }
        let ours = |event: &DomainEvent| match event {
            DomainEvent::Changed(name) | DomainEvent::DeviceRemoved(name) => {
                // A new node is not known yet; looking once too often does no harm.
                name.starts_with(prefix) || now.observed.domains.contains_key(name)
            }
            DomainEvent::Closed => false,
        };
        if all.iter().any(ours) {
            return true;
        }
    }
}

/// The table of nodes, what is not as it should be, and how to reach them.
pub fn text(
    environment: &EnvName,
    observed: &Observed,
    uptime_s: &BTreeMap<String, u64>,
    workspace: &Workspace,
) -> String {
    let rows = Row::all(observed, uptime_s);
    let drifts = plan::drifts(observed);
    let mut out = match (rows.is_empty(), observed.networks.is_empty()) {
        (true, true) => "no nodes and no networks\n".into(),
        (true, false) => format!("no nodes; networks: {}\n", names(observed)),
        (false, _) => render::nodes(&rows),
    };
    if !drifts.is_empty() {
        out.push_str("\nnot as Maquette left it (`maquette up` mends it):\n");
        for drift in &drifts {
            out.push_str(&format!("  {} {}: {}\n", drift.kind, drift.name, drift.what));
        }
    }
    // A way in that this workspace does not have is none.
    if let Some(lockout) = lockout::of(observed, workspace) {
        out.push_str(&format!("\n{}\n", lockout.text(environment, workspace)));
        return out;
    }
    let reachable = rows.iter().find(|r| r.user != "-" && r.address != "-");
    if let Some(row) = reachable {
        let config = workspace.file(outputs::SSH_CONFIG);
        out.push_str(&format!(
            "\nlog in:    maquette ssh {name}   or   ssh -F {config} {name}\ninventory: {inventory}\n",
            name = row.name,
            config = config.display(),
            inventory = workspace.file(outputs::INVENTORY).display(),
        ));
    }
    out
}

fn names(observed: &Observed) -> String {
    observed.networks.keys().cloned().collect::<Vec<_>>().join(", ")
}
