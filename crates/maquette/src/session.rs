//! One hypervisor for the time of a command. A [`Session`] owns the connection, what was found there, the client of
//! libvirt and the locks; verbs look, lock and carry plans out by it, and nothing of that is handed from one to the other.

pub mod authorities;
pub mod connection;
pub mod elsewhere;
pub mod entry;
mod found;
mod guests;
pub mod locking;
pub mod lockout;
pub mod nodes;
mod opening;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use maquette_core::blueprint::Pool;
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::expand;
use maquette_core::lifetime::Ttl;
use maquette_core::names::EnvName;
use maquette_core::node_state::Evidence;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, HypervisorNeeds, Plan, PoolState, Requirements};
use maquette_core::syntax::Sources;
use maquette_core::topology::{OsVariant, unknown_system};
use maquette_core::values::Directory;
use maquette_engine::StepError;
use maquette_engine::prepare;
use maquette_engine::probe::{self, Daemons, Facts};
use maquette_libvirt::{LibvirtError, ObserveError, Seen, Server};

pub use found::{Hypervisor, unobserved, unreached};
pub use guests::Ask;

use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::load::{self, Located};
use crate::signals;
use crate::world::World;
use connection::Connection;
use found::Next;
use locking::Locks;
use opening::Opening;
use run::Runs;

/// How long a network takes to start, or a node to go off, at most on hypervisors that have time for it.
const SETTLES: Duration = Duration::from_secs(2);

/// An environment on its hypervisor, for the time of a command.
pub struct Session<'a> {
    world: &'a World,
    /// Which environment.
    pub located: Located,
    /// How the hypervisor is reached.
    pub connection: Connection,
    /// What was found there when it was looked at last.
    found: Option<Arc<Hypervisor>>,
    /// Operating systems that its libosinfo knows, if it has a database of them; unset until somebody asks.
    systems: OnceLock<Option<BTreeSet<String>>>,
    opening: Opening,
    locks: Locks,
    runs: Runs,
    /// Set when a run is to end: by a signal, or since a lock is lost.
    cancelled: Arc<AtomicBool>,
}

/// Whether the hypervisor's own interfaces may be others than they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interfaces {
    /// They are as they were.
    AsBefore,
    /// Some were changed: they are asked for again.
    Changed,
}

impl<'a> Session<'a> {
    /// Finds the environment that the user means, and connects to its hypervisor. An error if either cannot be done.
    pub fn at(world: &'a World, place: &EnvironmentArgs) -> Result<Self, Failure> {
        Self::open(world, load::located(&world.environment, place)?)
    }

    /// Connects to the hypervisor of an environment that was found before.
    pub fn open(world: &'a World, located: Located) -> Result<Self, Failure> {
        let connection = connection::open(world, &located.host, &located.workspace)?;
        let runs = Runs::new(connection.records.clone());
        let (locks, cancelled) = (Locks::default(), Arc::default());
        let (found, systems, opening) = (None, OnceLock::new(), Opening::default());
        Ok(Self { world, located, connection, found, systems, opening, locks, runs, cancelled })
    }

    /// What its plans and tables are headed with.
    pub fn title(&self) -> String {
        format!("environment `{}` on {}", self.located.environment, self.connection.label)
    }

    /// Looks at the hypervisor, and plans nothing. Its own side and libvirt are asked at the same time, since
    /// either takes several round trips.
    pub fn find(&mut self) -> Result<Arc<Hypervisor>, Failure> {
        let found = self.look(&self.located.environment, Next::Other, &BTreeSet::new())?;
        Ok(self.keep(found))
    }

    /// From now on plans are carried out on what was found.
    fn keep(&mut self, found: Hypervisor) -> Arc<Hypervisor> {
        self.found.insert(Arc::new(found)).clone()
    }

    /// Looks until what is found settles; also at the directories that disks are to be in.
    fn look(
        &self,
        environment: &EnvName,
        next: Next,
        wanted: &BTreeSet<Directory>,
    ) -> Result<Hypervisor, Failure> {
        let left = |found: &Hypervisor| match &found.seen {
            Some(seen) => {
                found::left_overs(seen, &found.facts).iter().map(ToString::to_string).collect()
            }
            None => Vec::new(),
        };
        let wait = || std::thread::sleep(SETTLES);
        let found = found::settled(|| self.look_once(environment, wanted), left, wait)?;
        if let Some(seen) = &found.seen {
            found::tell(self.world, seen, &found.facts, next);
            // Those of other environments are other workspaces'.
            if *environment == self.located.environment {
                found::tell_records(self.world, seen);
            }
        }
        Ok(found)
    }

    fn look_once(
        &self,
        environment: &EnvName,
        wanted: &BTreeSet<Directory>,
    ) -> Result<Hypervisor, Failure> {
        let connection = &self.connection;
        let pool = &self.located.pool.name;
        let (facts, libvirt) = std::thread::scope(|scope| {
            let look = || {
                let server = self.opening.take(self.world.libvirt.as_ref(), &connection.uri)?;
                let seen = found::seen(server.as_ref(), connection, environment, pool);
                Ok::<_, LibvirtError>((server, seen))
            };
            let libvirt = scope.spawn(move || signals::waiting(look));
            (self.facts(), libvirt.join().ok())
        });
        let facts = facts?;
        let (libvirt, seen) = match libvirt {
            Some(Ok((server, seen))) => {
                (Some(server), Some(found::with_room(seen.map_err(|e| self.unseen(e))?, &facts)))
            }
            // To start a daemon that hangs, or to install it, is of no use.
            Some(Err(why)) if why.is_silent() => return Err(unreached(&connection.label, &why)),
            Some(Err(_)) | None => (None, None),
        };
        let host = connection.host.as_ref();
        let places = found::places(libvirt.as_ref(), host, wanted, seen.as_ref())?;
        let (environment, preparation) = (environment.clone(), Plan::default());
        Ok(Hypervisor { environment, facts, preparation, libvirt, seen, places })
    }

    /// Why libvirt could not be asked what there is: without a connection there is one reason only.
    fn unseen(&self, error: ObserveError) -> Failure {
        match self.connection.host.is_lost() {
            true => locking::lost(&self.connection),
            false => unobserved(error),
        }
    }

    /// Looks at a hypervisor that must have libvirt running; an error says why it does not answer.
    pub fn running(&mut self) -> Result<Arc<Hypervisor>, Failure> {
        let environment = self.located.environment.clone();
        self.running_for(&environment)
    }

    /// The same for another environment there.
    pub fn running_for(&mut self, environment: &EnvName) -> Result<Arc<Hypervisor>, Failure> {
        let found = self.look(environment, Next::Other, &BTreeSet::new())?;
        if found.libvirt.is_some() {
            return Ok(self.keep(found));
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
    pub fn removed<T: Default>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
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
    pub fn prepared_for(
        &mut self,
        requirements: &Requirements,
    ) -> Result<Arc<Hypervisor>, Failure> {
        let found = self.look_for(requirements)?;
        Ok(self.keep(found))
    }

    /// The same, beside others who go by what the session has found.
    pub fn look_for(&self, requirements: &Requirements) -> Result<Hypervisor, Failure> {
        let wanted = &requirements.directories;
        let hypervisor = self.look(&self.located.environment, Next::Plan, wanted)?;
        let (facts, pool) = (&hypervisor.facts, &self.located.pool);
        refuse_pool(pool, hypervisor.seen.as_ref())?;
        self.refuse_systems(&requirements.systems)?;
        let seen = hypervisor.seen.as_ref();
        let libvirt = seen.map(|s| (s.pool.clone(), s.observed.claims.networks.len()));
        let needs = HypervisorNeeds {
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

    /// Refuses operating systems that the hypervisor's libosinfo does not know, before anything is prepared. It is asked once, and
    /// only where a node type names one that not every libosinfo knows.
    fn refuse_systems(&self, named: &BTreeMap<String, OsVariant>) -> Result<(), Failure> {
        if named.is_empty() {
            return Ok(());
        }
        let database = match self.systems.get() {
            Some(known) => known,
            None => {
                let asked = probe::systems(self.connection.host.as_ref());
                let asked =
                    asked.map_err(|e| Failure::because("cannot look at the hypervisor", e))?;
                self.systems.get_or_init(|| asked)
            }
        };
        let mut diags = Diagnostics::default();
        let unknown =
            |(of, system): (&String, &OsVariant)| unknown_system(of, system, database.as_ref());
        named.iter().filter_map(unknown).for_each(|error| diags.push(error));
        if diags.has_errors() {
            return Err(Failure::Input(diags, Sources::default()));
        }
        let Some(names) = database else { return Ok(()) };
        for (of, system) in named.iter().filter(|(_, s)| !s.is_listed(Some(names))) {
            self.world.terminal.talk(&format!(
                "warning: the hypervisor's libosinfo does not know `{}` of node type `{of}`: its family alone counts",
                system.as_str()
            ));
        }
        Ok(())
    }

    /// Says what a libvirt that was killed has left, for whoever makes no plan that is refused for it.
    pub fn tell_left_overs(&self) {
        let Some(found) = &self.found else { return };
        if let Some(seen) = &found.seen {
            found::tell(self.world, seen, &found.facts, Next::Other);
        }
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

    /// libvirt, as it answered when the session looked last; an error if it did not.
    pub fn libvirt(&self) -> Result<&Arc<dyn Server>, Failure> {
        let found = self.found.as_ref().and_then(|found| found.libvirt.as_ref());
        found.ok_or_else(|| Failure::Failed(StepError::new("libvirt does not answer")))
    }

    /// What nodes answer at this moment, by their libvirt names.
    pub fn evidence(
        &self,
        observed: &Observed,
        ask: Ask,
    ) -> Result<BTreeMap<String, Evidence>, Failure> {
        let nothing = BTreeMap::new();
        let uptimes = self.found.as_ref().map_or(&nothing, |found| &found.facts.uptime_s);
        self.evidence_at(observed, uptimes, ask)
    }

    /// The same where domains have run for other times than when the session looked, in seconds.
    pub fn evidence_at(
        &self,
        observed: &Observed,
        uptime_s: &BTreeMap<String, u64>,
        ask: Ask,
    ) -> Result<BTreeMap<String, Evidence>, Failure> {
        let answered = self.runs.answered((self.world.clock)());
        guests::look(self.world, &self.connection, observed, (uptime_s, &answered), ask)
    }

    /// Who is changing the environment just now, if anybody is.
    pub fn changed_by(&self) -> Option<String> {
        locking::holder(&self.connection, &self.located.environment)
    }

    /// For how long domains have run by now, in seconds, by their libvirt names. Asks the hypervisor.
    pub fn uptimes(&self) -> Result<BTreeMap<String, u64>, Failure> {
        Ok(self.facts()?.uptime_s)
    }

    /// What libvirt knows by now, on a hypervisor that was looked at before; nothing where libvirt did not answer then.
    pub fn look_again(&self, interfaces: Interfaces) -> Result<Observed, Failure> {
        let Some(found) = &self.found else { return Ok(Observed::default()) };
        let Some(server) = &found.libvirt else { return Ok(Observed::default()) };
        let (connection, located) = (&self.connection, &self.located);
        let fresh = match interfaces {
            Interfaces::AsBefore => None,
            Interfaces::Changed => Some(self.facts()?),
        };
        let facts = fresh.as_ref().unwrap_or(&found.facts);
        let (environment, pool) = (&located.environment, &located.pool.name);
        let seen = found::seen(server.as_ref(), connection, environment, pool)
            .map_err(|e| self.unseen(e))?;
        let wanted = found.places.directories.keys().cloned().collect();
        let host = connection.host.as_ref();
        let places = found::places(Some(server), host, &wanted, Some(&seen))?;
        let observed = found::on_host(seen, facts, environment);
        Ok(observed.with_pools(places.pools, places.directories))
    }

    fn facts(&self) -> Result<Facts, Failure> {
        let pool = &self.located.pool.path;
        probe::gather_for(self.connection.host.as_ref(), self.connection.reach(), pool)
            .map_err(|e| Failure::because("cannot look at the hypervisor", e))
    }
}

/// Refuses a storage pool that cannot be the environment's, before anything is prepared.
fn refuse_pool(pool: &Pool, seen: Option<&Seen>) -> Result<(), Failure> {
    let state = seen.map_or(&PoolState::Unknown, |seen| &seen.pool);
    let diagnostic = match state {
        PoolState::Active(path) | PoolState::Inactive(path) => {
            if path.trim_end_matches('/') == pool.path {
                return Ok(());
            }
            let text = format!("storage pool `{}` is at {path}, not at {}", pool.name, pool.path);
            Diagnostic::error("hypervisor::pool", text)
                .help(format!("use it with `--disk-pool {path}`, or choose another `--pool-name`"))
        }
        PoolState::Unreadable(why) => {
            let name = &pool.name;
            Diagnostic::error(
                "hypervisor::pool",
                format!("storage pool `{name}` cannot be used: {why}"),
            )
            .help(format!("choose another with `--pool-name`, or see `virsh pool-refresh {name}`"))
            .help(format!("a file that libvirt cannot read has to go elsewhere, and `virsh pool-start {name}` follows"))
        }
        PoolState::Missing | PoolState::Unknown => {
            let nothing = Observed::default();
            let observed = seen.map_or(&nothing, |seen| &seen.observed);
            match expand::pool_of_system(pool, observed) {
                Some(error) => error,
                None => return Ok(()),
            }
        }
    };
    Err(Failure::input(diagnostic))
}
