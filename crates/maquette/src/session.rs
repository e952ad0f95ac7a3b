//! One hypervisor for the time of a command: how it is reached, what was found there, who holds its locks, and what
//! is done to it.

pub mod authorities;
pub mod connection;
pub mod locking;
mod named;
pub mod run;

use std::sync::Arc;

use maquette_core::blueprint::Pool;
use maquette_core::diagnostic::Diagnostic;
use maquette_core::names::EnvName;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Needs, Plan, PoolState, Requirements};
use maquette_core::topology::VirtType;
use maquette_engine::StepError;
use maquette_engine::prepare;
use maquette_engine::probe::{self, Facts};
use maquette_engine::ssh_keys::RecordKey;
use maquette_libvirt::{ObserveError, Seen, Server};

use crate::failure::Failure;

use crate::world::World;
use connection::Connection;

/// The hypervisor as it was found.
pub struct Hypervisor {
    /// What kind of machine it is.
    pub facts: Facts,
    /// What it lacks.
    pub preparation: Plan,
    /// libvirt, if it answers.
    pub libvirt: Option<Arc<dyn Server>>,
    /// What libvirt knows, if it answers.
    pub seen: Option<Seen>,
    /// The key of the environment's records, where it is known.
    pub records: Option<RecordKey>,
}

impl Hypervisor {
    /// What is there, as far as the environment is concerned.
    pub fn observed(&self) -> Observed {
        let facts = &self.facts;
        let seen = self.seen.clone().unwrap_or_else(Seen::nothing);
        seen.on_host(&facts.routes, facts.network.clone())
    }
}

/// Looks at the hypervisor and plans its preparation. Its own side and libvirt are asked at the same
/// time, since either takes several round trips.
pub fn hypervisor(
    world: &World,
    connection: &Connection,
    environment: &EnvName,
    pool: &Pool,
    requirements: &Requirements,
) -> Result<Hypervisor, Failure> {
    let hypervisor = find(world, connection, environment, pool)?;
    let facts = &hypervisor.facts;
    if let Some(PoolState::Active(path) | PoolState::Inactive(path)) =
        hypervisor.seen.as_ref().map(|seen| &seen.pool)
        && path.trim_end_matches('/') != pool.path
    {
        let diagnostic = Diagnostic::error(
            "hypervisor::pool",
            format!("storage pool `{}` is at {path}, not at {}", pool.name, pool.path),
        )
        .help(format!("use it with `--disk-pool {path}`, or choose another `--pool-name`"));
        return Err(Failure::input(diagnostic));
    }
    let seen = hypervisor.seen.as_ref();
    let libvirt = seen.map(|s| (s.pool.clone(), s.observed.claims.networks.len()));
    let host_facts = prepare::host_facts(facts, libvirt);
    let needs = Needs {
        pool: pool.clone(),
        missing_packages: prepare::missing_packages(facts, requirements),
        ipv6: requirements.ipv6,
        timezone: requirements.timezone.as_ref().map(ToString::to_string),
        // Libvirt's test driver calls no hooks.
        hook: requirements.hook && !connection.uri.starts_with("test"),
        vswitch: requirements.vswitch,
        networks: requirements.networks,
        interfaces: requirements.interfaces,
    };
    let preparation = plan::prepare(&host_facts, &needs);
    Ok(Hypervisor { preparation, ..hypervisor })
}

/// What a hypervisor is called above its plan.
pub fn title(facts: &Facts) -> String {
    format!("hypervisor {}, {}", facts.name, facts.os.name)
}

/// Looks at the hypervisor, and plans nothing.
pub fn find(
    world: &World,
    connection: &Connection,
    environment: &EnvName,
    pool: &Pool,
) -> Result<Hypervisor, Failure> {
    let host = connection.host.as_ref();
    let (facts, libvirt) = std::thread::scope(|scope| {
        let libvirt = scope.spawn(|| {
            let server = world.libvirt.open(&connection.uri).ok()?;
            let seen = server.observe(environment, &pool.name, connection.records.as_ref());
            Some((server, seen))
        });
        let facts = probe::gather(host, connection.reach());
        (facts, libvirt.join().ok().flatten())
    });
    let failed = |e: &dyn std::error::Error| Failure::because("cannot look at the hypervisor", e);
    let facts = facts.map_err(|e| failed(&e))?;
    let (libvirt, seen) = match libvirt {
        Some((server, seen)) => (Some(server), Some(seen.map_err(unobserved)?)),
        None => (None, None),
    };
    if let Some(seen) = &seen {
        tell(world, seen);
    }
    let records = connection.records.clone();
    Ok(Hypervisor { facts, preparation: Plan::default(), libvirt, seen, records })
}

/// Says what is noteworthy about what was seen, once in a run.
fn tell(world: &World, seen: &Seen) {
    let unreadable = |object| format!("warning: {object} cannot be read; it is passed over");
    let mut all: Vec<String> = seen.unreadable.iter().map(unreadable).collect();
    if !seen.sealed_by_others.is_empty() {
        all.push(format!(
            "warning: what is recorded of {} was not written with this workspace's secret: by another \
             workspace of the environment, or by somebody who has none",
            seen.sealed_by_others.join(", ")
        ));
    }
    all.into_iter().for_each(|text| world.terminal.talk_once(text));
}

/// Why a hypervisor could not be looked at, and what to do about it.
pub fn unobserved(error: ObserveError) -> Failure {
    let said = StepError::new("cannot look at the hypervisor").because(&error);
    Failure::Failed(match error.hint() {
        Some(hint) => said.hint(hint),
        None => said,
    })
}

/// Finds a hypervisor that must have libvirt running.
pub fn running(
    world: &World,
    connection: &Connection,
    environment: &EnvName,
    pool: &Pool,
) -> Result<Hypervisor, Failure> {
    let hypervisor = find(world, connection, environment, pool)?;
    if hypervisor.libvirt.is_some() {
        return Ok(hypervisor);
    }
    // The reason was not kept, since it is none where libvirt is still to be installed.
    let mut error = StepError::new(format!("cannot connect to libvirt at {}", connection.label));
    if let Err(why) = world.libvirt.open(&connection.uri) {
        error = error.because(&why);
    }
    Err(Failure::Failed(error.hint("`maquette up` installs and starts it")))
}

/// How many guests may boot at once. Under emulation a boot keeps one CPU busy, and two on each
/// CPU fill the gaps; hardware virtualisation leaves room for more.
pub fn boots(facts: &Facts, virt: VirtType) -> usize {
    match virt {
        VirtType::Qemu => facts.cpus * 2,
        VirtType::Kvm | VirtType::Test => facts.cpus * 4,
    }
}

/// What is on the hypervisor now.
pub fn look(
    hypervisor: &Hypervisor,
    environment: &EnvName,
    pool: &str,
) -> Result<Observed, Failure> {
    let facts = &hypervisor.facts;
    match &hypervisor.libvirt {
        Some(server) => server
            .observe(environment, pool, hypervisor.records.as_ref())
            .map(|seen| seen.on_host(&facts.routes, facts.network.clone()))
            .map_err(unobserved),
        None => Ok(Observed::default()),
    }
}
