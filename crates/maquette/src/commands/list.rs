//! `maquette list`.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use maquette_core::blueprint::Guest;
use maquette_core::lifetime::Lifetime;
use maquette_core::names::EnvName;
use maquette_core::observed::Origin;
use maquette_core::units::ByteSize;
use maquette_core::values::PublicKey;
use maquette_engine::host::lock::duration;
use maquette_engine::lifetimes;
use maquette_engine::ssh_keys::fingerprint;
use maquette_libvirt::{Survey, Surveyed};
use serde_json::{Value, json};

use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::load::Located;
use crate::render;
use crate::session::{self, Session};
use crate::workspace::Workspace;
use crate::workspace::identity::{Keys, Way};
use crate::world::World;

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which hypervisor.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// An environment, as far as its nodes tell.
#[derive(Debug, Default)]
struct Environment {
    nodes: usize,
    running: usize,
    /// Memory of all nodes, and of those that run, in MiB.
    memory_mib: u64,
    running_mib: u64,
    /// Sizes of all disks as guests see them, in bytes.
    disk: u64,
    /// Who made its oldest node.
    origin: Option<Origin>,
    /// Until when it lasts, and whose it is.
    lifetime: Lifetime,
    /// How its nodes are logged in to.
    guests: Vec<Guest>,
    /// Whether somebody can log in with what is here.
    opens: bool,
    /// The workspace here whose key opens a node.
    workspace: Option<Workspace>,
}

impl Environment {
    fn add(&mut self, node: &Surveyed) {
        self.nodes += 1;
        self.memory_mib = self.memory_mib.saturating_add(node.memory_mib);
        if node.active {
            self.running += 1;
            self.running_mib = self.running_mib.saturating_add(node.memory_mib);
        }
        for disk in node.recorded.iter().flat_map(|recorded| &recorded.disks) {
            self.disk = self.disk.saturating_add(disk.size.map_or(0, |size| size.0));
        }
        let guest = node.recorded.as_ref().and_then(|recorded| recorded.guest.as_ref());
        self.guests.extend(guest.cloned());
        let origins = self.origin.take().into_iter().chain(node.origin.clone());
        self.origin = origins.min_by_key(|origin| origin.at_s);
    }

    /// Whose it is: as was said, or who made it.
    fn owner(&self) -> Option<&str> {
        let maker = self.origin.as_ref().map(|origin| origin.by.as_str());
        self.lifetime.owner.as_deref().or(maker)
    }

    /// Whether somebody can log in with what is here; none where nobody can log in at all.
    fn opens(&self) -> Option<bool> {
        (!self.guests.is_empty()).then_some(self.opens)
    }

    /// Who else may log in.
    fn shared(&self) -> Vec<&PublicKey> {
        let mut keys: Vec<&PublicKey> = Vec::new();
        for key in self.guests.iter().flat_map(|guest| &guest.shared) {
            if !keys.iter().any(|known| known.is_same(key)) {
                keys.push(key);
            }
        }
        keys
    }
}

/// Lists them, from what libvirt has alone.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let session = Session::at(world, &args.place)?;
    let connection = &session.connection;
    let opened = world.libvirt.open(&connection.uri);
    let server = opened.map_err(|why| session::unreached(&connection.label, &why))?;
    let found = server.survey().map_err(session::unobserved)?;
    for what in &found.unreadable {
        world.terminal.talk(&format!("warning: {what} cannot be read; it is passed over"));
    }
    let mut environments = environments(world, &session.located, &found);
    let noted = lifetimes::read_all(connection.host.as_ref())
        .map_err(|e| Failure::because("cannot read when environments expire", e))?;
    for (name, lifetime) in noted.lifetimes {
        // A note of one that is gone is no environment.
        environments.entry(name).and_modify(|environment| environment.lifetime = lifetime);
    }
    let now = (world.clock)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if args.json {
        let all: Vec<Value> = environments.iter().map(|(name, e)| as_json(name, e)).collect();
        world.terminal.result(&format!("{:#}", json!({"schema": 1, "environments": all})));
    } else if environments.is_empty() {
        let text = "there is no environment on";
        world.terminal.talk(&format!("{text} {}; `maquette up` builds one", connection.label));
    } else {
        // They expire by the hypervisor's clock.
        let there = noted.now_s.unwrap_or(now);
        world.terminal.result(&table(&environments, now, there));
    }
    Ok(0)
}

fn environments(
    world: &World,
    located: &Located,
    found: &Survey,
) -> BTreeMap<EnvName, Environment> {
    let mut all: BTreeMap<EnvName, Environment> =
        found.environments.iter().map(|name| (name.clone(), Environment::default())).collect();
    for (name, node) in &found.nodes {
        all.entry(name.clone()).or_default().add(node);
    }
    for (name, environment) in &mut all {
        let usual = Workspace::of(&world.environment, name);
        let given = (*name == located.environment).then(|| located.workspace.clone());
        let guests = || environment.guests.iter();
        let way = |workspace: &Workspace| Keys::here(workspace, &world.environment).way(guests());
        let ways = given.into_iter().chain([usual]).filter_map(|w| Some((way(&w)?, w)));
        let mut ways: Vec<(Way, Workspace)> = ways.collect();
        ways.sort_by_key(|(way, _)| *way != Way::Built);
        environment.opens = !ways.is_empty();
        // A key of the user's own is in no workspace.
        let is_in = |way: &Way, w: &Workspace| match way {
            Way::Built => true,
            Way::Shared(file) => file.starts_with(&w.path),
        };
        environment.workspace = ways.into_iter().find(|(way, w)| is_in(way, w)).map(|(_, w)| w);
    }
    all
}

fn table(environments: &BTreeMap<EnvName, Environment>, now: u64, there: u64) -> String {
    let mut header = vec!["ENVIRONMENT", "RUNNING", "MEMORY", "DISKS", "OWNER", "AGE", "LOG IN"];
    let any_shared = environments.values().any(|e| !e.shared().is_empty());
    header.extend(any_shared.then_some("SHARED WITH"));
    let any_expires = environments.values().any(|e| e.lifetime.expires_s.is_some());
    header.extend(any_expires.then_some("EXPIRES"));
    let rows = environments.iter().map(|(name, e)| {
        let age = |origin: &Origin| duration(now.saturating_sub(origin.at_s));
        let shared = e.shared();
        let shared = shared.iter().map(|key| key.comment().unwrap_or("a key without a name"));
        let shared = shared.collect::<Vec<_>>().join(", ");
        let shared = if shared.is_empty() { "-".to_string() } else { shared };
        let mut row = vec![
            name.to_string(),
            format!("{} of {}", e.running, e.nodes),
            ByteSize(e.memory_mib.saturating_mul(1 << 20)).to_string(),
            ByteSize(e.disk).to_string(),
            e.owner().unwrap_or("-").into(),
            e.origin.as_ref().map_or("-".into(), age),
            match e.opens() {
                Some(true) => "yes",
                Some(false) => "no key here",
                None => "-",
            }
            .into(),
        ];
        row.extend(any_shared.then_some(shared));
        let left = |at: u64| match at.saturating_sub(there) {
            0 => "over".to_string(),
            left => format!("in {}", duration(left)),
        };
        row.extend(any_expires.then(|| e.lifetime.expires_s.map_or("-".into(), left)));
        row
    });
    render::columns(&header, rows)
}

fn as_json(name: &EnvName, environment: &Environment) -> Value {
    let keys = environment.guests.iter().filter_map(|guest| fingerprint(&guest.authorized_key));
    let shared = environment.shared().into_iter();
    let shared: Vec<Value> =
        shared.map(|key| json!({"who": key.comment(), "fingerprint": fingerprint(key)})).collect();
    let keys: std::collections::BTreeSet<String> = keys.collect();
    json!({
        "name": name.to_string(),
        "prefix": name.prefix(),
        "nodes": environment.nodes,
        "running": environment.running,
        "memory_mib": environment.memory_mib,
        "running_memory_mib": environment.running_mib,
        "disk_bytes": environment.disk,
        "owner": environment.owner(),
        "expires_at_s": environment.lifetime.expires_s,
        "made_by": environment.origin.as_ref().map(|origin| &origin.by),
        "made_at_s": environment.origin.as_ref().map(|origin| origin.at_s),
        "keys": keys,
        "shared_with": shared,
        "can_log_in": environment.opens(),
        "workspace": environment.workspace.as_ref().map(|w| w.path.display().to_string()),
    })
}
