//! One hypervisor for the time of a command: how it is reached, what was found there, who holds its locks, and what
//! is done to it.

pub mod authorities;
pub mod connection;
pub mod entry;
mod guests;
pub mod locking;
pub mod lockout;
pub mod nodes;
pub mod run;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use maquette_core::diagnostic::Diagnostic;
use maquette_core::lifetime::Ttl;
use maquette_core::names::EnvName;
use maquette_core::node_state::Evidence;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Needs, Plan, PoolState, Requirements};
use maquette_engine::StepError;
use maquette_engine::host::lock::Lock;
use maquette_engine::prepare;
use maquette_engine::probe::{self, Daemons, Facts};
use maquette_libvirt::{LibvirtError, ObserveError, Seen, Server};

pub use guests::Ask;

use crate::cli::Locking;
use crate::failure::Failure;
use crate::load::Located;
use crate::signals;
use crate::world::World;
use connection::Connection;
use run::Runner;

/// The hypervisor as it was found.
pub struct Hypervisor {
    /// The environment that was looked for.
    pub environment: EnvName,
    /// What kind of machine it is.
    pub facts: Facts,
    /// What it lacks.
    pub preparation: Plan,
    /// libvirt, if it answers.
    pub libvirt: Option<Arc<dyn Server>>,
    /// What libvirt knows, if it answers.
    pub seen: Option<Seen>,
}

impl Hypervisor {
    /// What is there, as far as the environment is concerned.
    pub fn observed(&self) -> Observed {
        let facts = &self.facts;
        let seen = self.seen.clone().unwrap_or_else(Seen::nothing);
        on_host(seen, facts, &self.environment)
    }
}

/// What libvirt knows, with the hypervisor's own side.
fn on_host(seen: Seen, facts: &Facts, environment: &EnvName) -> Observed {
    let observed = seen.on_host(&facts.addresses, facts.network.clone());
    let bmcs = facts.bmcs.get(environment).cloned();
    let (starts, dhcp_leases) = (facts.starts.clone(), facts.dhcp_leases.clone());
    Observed { starts, cpus: facts.cpus, bmcs, dhcp_leases, ..observed }
}

/// libvirt cannot be connected to.
pub fn unreached(label: &str, why: &LibvirtError) -> Failure {
    let error = why.failed(format!("cannot connect to libvirt at {label}"));
    Failure::Failed(match why.is_silent() {
        true => error,
        false => error.hint("`maquette up` installs and starts it"),
    })
}

/// An environment on its hypervisor, for the time of a command.
pub struct Session<'a> {
    world: &'a World,
    /// Which environment.
    pub located: Located,
    /// How the hypervisor is reached.
    pub connection: Connection,
}

impl<'a> Session<'a> {
    /// Connects.
    pub fn open(world: &'a World, located: Located) -> Result<Self, Failure> {
        let connection = connection::open(world, &located.host, &located.workspace)?;
        Ok(Self { world, located, connection })
    }

    /// What its plans and tables are headed with.
    pub fn title(&self) -> String {
        format!("environment `{}` on {}", self.located.environment, self.connection.label)
    }

    /// Prepares for runs; a first boot or a start may take as long as `limit`.
    pub fn runner(&self, json: bool, limit: Duration) -> Result<Runner<'_>, Failure> {
        Runner::new(self.world, json, &self.connection, &self.located.workspace, limit)
    }

    /// Takes the environment's lock, for what is done without a plan; `cancelled` is set when it is lost.
    pub fn lock(
        &self,
        verb: &str,
        how: Locking,
        cancelled: &Arc<AtomicBool>,
    ) -> Result<Lock, Failure> {
        let environment = &self.located.environment;
        locking::environment(self.world, &self.connection, environment, verb, how, cancelled)
    }

    /// Looks at the hypervisor, and plans nothing. Its own side and libvirt are asked at the same time, since
    /// either takes several round trips.
    pub fn find(&self) -> Result<Hypervisor, Failure> {
        self.find_for(&self.located.environment)
    }

    fn find_for(&self, environment: &EnvName) -> Result<Hypervisor, Failure> {
        let connection = &self.connection;
        let host = connection.host.as_ref();
        let pool = &self.located.pool.name;
        let (facts, libvirt) = std::thread::scope(|scope| {
            let look = || {
                let server = self.world.libvirt.open(&connection.uri)?;
                let seen = server.observe(environment, pool, connection.records.as_ref());
                let seen = seen.and_then(|seen| seen.with_clones(host));
                Ok::<_, LibvirtError>((server, seen))
            };
            let libvirt = scope.spawn(move || signals::waiting(look));
            let facts = probe::gather(host, connection.reach());
            (facts, libvirt.join().ok())
        });
        let facts = facts.map_err(|e| Failure::because("cannot look at the hypervisor", e))?;
        let (libvirt, seen) = match libvirt {
            Some(Ok((server, seen))) => (Some(server), Some(seen.map_err(unobserved)?)),
            // To start a daemon that hangs, or to install it, is of no use.
            Some(Err(why)) if why.is_silent() => return Err(unreached(&connection.label, &why)),
            Some(Err(_)) | None => (None, None),
        };
        if let Some(seen) = &seen {
            tell(self.world, seen);
        }
        let (environment, preparation) = (environment.clone(), Plan::default());
        Ok(Hypervisor { environment, facts, preparation, libvirt, seen })
    }

    /// Looks at a hypervisor that must have libvirt running.
    pub fn running(&self) -> Result<Hypervisor, Failure> {
        self.running_for(&self.located.environment)
    }

    /// The same for another environment there.
    pub fn running_for(&self, environment: &EnvName) -> Result<Hypervisor, Failure> {
        let hypervisor = self.find_for(environment)?;
        if hypervisor.libvirt.is_some() {
            return Ok(hypervisor);
        }
        // The reason was not kept, since it is not an error where libvirt is still to be installed.
        let (label, opened) = (
            &self.connection.label,
            signals::waiting(|| self.world.libvirt.open(&self.connection.uri)),
        );
        let why =
            opened.err().unwrap_or_else(|| LibvirtError::refused("it was not there just now"));
        Err(unreached(label, &why))
    }

    /// What came of a removal. Where it failed since no libvirt is installed there was nothing to remove, which is said.
    pub fn removed<T: Default>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        let failure = match result {
            Ok(left) => return Ok(left),
            Err(failure) => failure,
        };
        match self.find() {
            Ok(found) if found.libvirt.is_none() && found.facts.daemons == Daemons::Missing => {
                let host = &found.facts.name;
                let text = format!("libvirt is not installed on {host}: nothing to do");
                self.world.terminal.talk_once(text);
                Ok(T::default())
            }
            _ => Err(failure),
        }
    }

    /// Looks at the hypervisor and plans its preparation.
    pub fn prepared_for(&self, requirements: &Requirements) -> Result<Hypervisor, Failure> {
        let hypervisor = self.find()?;
        let (facts, pool) = (&hypervisor.facts, &self.located.pool);
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
        if let Some(PoolState::Unreadable(why)) = hypervisor.seen.as_ref().map(|seen| &seen.pool) {
            let said = format!("storage pool `{}` cannot be used: {why}", pool.name);
            let diagnostic = Diagnostic::error("hypervisor::pool", said)
                .help(format!("choose another with `--pool-name`, or see `virsh pool-refresh {}`", pool.name))
                .help(format!("a file that libvirt cannot read has to go elsewhere, and `virsh pool-start {}` follows", pool.name));
            return Err(Failure::input(diagnostic));
        }
        let seen = hypervisor.seen.as_ref();
        let libvirt = seen.map(|s| (s.pool.clone(), s.observed.claims.networks.len()));
        let needs = Needs {
            pool: pool.clone(),
            missing_packages: prepare::missing_packages(facts, requirements),
            ipv6: requirements.ipv6,
            timezone: requirements.timezone.as_ref().map(ToString::to_string),
            // Libvirt's test driver calls no hooks.
            hook: requirements.hook && !self.connection.uri.starts_with("test"),
            expiry: self.expires(requirements, &hypervisor),
            vswitch: requirements.vswitch,
            networks: requirements.networks,
            interfaces: requirements.interfaces,
        };
        let preparation = plan::prepare(&prepare::host_facts(facts, libvirt), &needs);
        Ok(Hypervisor { preparation, ..hypervisor })
    }

    /// Whether the environment is to be removed when its time is up: it was said now, or is noted from before.
    fn expires(&self, requirements: &Requirements, hypervisor: &Hypervisor) -> bool {
        let noted = || hypervisor.facts.lifetimes.get(&self.located.environment);
        match requirements.ttl {
            Some(Ttl::For(_)) => true,
            Some(Ttl::Never) => false,
            None => {
                noted().is_some_and(|lifetime| lifetime.expires_s.is_some() && !lifetime.is_over)
                    && hypervisor.observed().exists()
            }
        }
    }

    /// What nodes answer at this moment; `uptime_s` is for how long domains have run.
    pub fn evidence(
        &self,
        observed: &Observed,
        uptime_s: &BTreeMap<String, u64>,
        ask: Ask,
    ) -> Result<BTreeMap<String, Evidence>, Failure> {
        guests::look(self.world, &self.connection, observed, uptime_s, ask)
    }

    /// Who is changing the environment just now, if anybody is.
    pub fn changed_by(&self) -> Option<String> {
        locking::holder(&self.connection, &self.located.environment)
    }

    /// For how long domains have run by now, in seconds.
    pub fn uptimes(&self) -> Result<BTreeMap<String, u64>, Failure> {
        let facts = probe::gather(self.connection.host.as_ref(), self.connection.reach());
        let facts = facts.map_err(|e| Failure::because("cannot look at the hypervisor", e))?;
        Ok(facts.uptime_s)
    }

    /// What libvirt knows by now, on a hypervisor that was looked at before; with its own interfaces asked for
    /// anew if `interfaces` says that they are others now.
    pub fn look_again(
        &self,
        hypervisor: &Hypervisor,
        interfaces: bool,
    ) -> Result<Observed, Failure> {
        let Some(server) = &hypervisor.libvirt else { return Ok(Observed::default()) };
        let (connection, located) = (&self.connection, &self.located);
        let fresh = interfaces.then(|| probe::gather(connection.host.as_ref(), connection.reach()));
        let fresh = fresh.transpose();
        let fresh = fresh.map_err(|e| Failure::because("cannot look at the hypervisor", e))?;
        let facts = fresh.as_ref().unwrap_or(&hypervisor.facts);
        let (environment, pool) = (&located.environment, &located.pool.name);
        let seen = server.observe(environment, pool, connection.records.as_ref());
        let seen = seen.and_then(|seen| seen.with_clones(connection.host.as_ref()));
        let seen = seen.map_err(unobserved)?;
        Ok(on_host(seen, facts, environment))
    }
}

/// What a hypervisor is called above its plan.
pub fn title(facts: &Facts) -> String {
    format!("hypervisor {}, {}", facts.name, facts.os.name)
}

/// Says what is noteworthy about what was seen, once in a run.
fn tell(world: &World, seen: &Seen) {
    let unreadable = |object| format!("warning: {object} cannot be read; it is passed over");
    let mut all: Vec<String> = seen.unreadable.iter().map(unreadable).collect();
    let copied = |copy| format!("warning: {copy}, as copies have; it is passed over");
    all.extend(seen.copies.iter().map(copied));
    if !seen.sealed_by_others.is_empty() {
        all.push(format!(
            "warning: what is recorded of {} was not written with this workspace's secret: by another \
             workspace of the environment, or by somebody who has none; keys of colleagues in it do not count",
            seen.sealed_by_others.join(", ")
        ));
    }
    all.into_iter().for_each(|text| world.terminal.talk_once(text));
}

/// Why a hypervisor could not be looked at, and what to do about it.
pub fn unobserved(error: ObserveError) -> Failure {
    let hint = error.hint();
    let said = StepError::new("cannot look at the hypervisor").because(error);
    Failure::Failed(match hint {
        Some(hint) => said.hint(hint),
        None => said,
    })
}
