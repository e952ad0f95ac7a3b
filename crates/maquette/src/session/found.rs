//! A hypervisor as it was found, and what is said of what was seen there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use maquette_core::names::EnvName;
use maquette_core::observed::{DirectoryFacts, HostPool, LeftOver, Observed};
use maquette_core::plan::{Plan, PoolState};
use maquette_core::values::Directory;
use maquette_engine::StepError;
use maquette_engine::host::Host;
use maquette_engine::probe::{self, Facts};
use maquette_libvirt::{LibvirtError, ObserveError, Seen, Server};

use super::connection::Connection;
use crate::failure::Failure;
use crate::world::World;

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
    /// What was asked of directories that disks name.
    pub(super) places: Places,
}

impl Hypervisor {
    /// What is there, as far as the environment is concerned.
    pub fn observed(&self) -> Observed {
        let facts = &self.facts;
        let seen = self.seen.clone().unwrap_or_else(Seen::nothing);
        let Places { pools, directories } = self.places.clone();
        on_host(seen, facts, &self.environment).with_pools(pools, directories)
    }

    /// What it is called above the plan of its preparation.
    pub fn title(&self) -> String {
        format!("hypervisor {}, {}", self.facts.name, self.facts.os.name)
    }
}

/// Storage pools, and the directories that disks name; nothing where none does.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    pub(super) pools: BTreeMap<String, HostPool>,
    pub(super) directories: BTreeMap<Directory, DirectoryFacts>,
}

/// Looks at the directories that disks name, by what is wanted or recorded. Nobody is asked where no disk does.
pub(super) fn places(
    server: Option<&Arc<dyn Server>>,
    host: &dyn Host,
    wanted: &BTreeSet<Directory>,
    seen: Option<&Seen>,
) -> Result<Places, Failure> {
    let mut all = wanted.clone();
    let recorded = seen.into_iter().flat_map(|seen| seen.observed.disk_pools());
    all.extend(recorded.map(|own| own.pool.path.clone()));
    if all.is_empty() {
        return Ok(Places::default());
    }
    let directories = probe::directories(host, &all)
        .map_err(|e| Failure::because("cannot look at the directories of disks", e))?;
    let pools = server.map(|server| server.pools()).transpose();
    let failed = |e: LibvirtError| Failure::Failed(e.failed("cannot ask libvirt for its pools"));
    Ok(Places { pools: pools.map_err(failed)?.unwrap_or_default(), directories })
}

/// What libvirt knows, with the hypervisor's own side.
pub(super) fn on_host(seen: Seen, facts: &Facts, environment: &EnvName) -> Observed {
    let observed = with_room(seen, facts).on_host(&facts.addresses, facts.network.clone());
    let bmcs = facts.bmcs.get(environment).cloned();
    let forwarding = facts.forwarding.get(environment).cloned();
    let (starts, dhcp_leases) = (facts.starts.clone(), facts.dhcp_leases.clone());
    let (cpus, pool_access) = (facts.cpus, facts.pool_access.clone());
    let refuses_serial_files = facts.refuses_serial_files;
    let observed = Observed { cpus, pool_access, refuses_serial_files, ..observed };
    Observed { starts, bmcs, forwarding, dhcp_leases, ..observed }
}

/// What libvirt knows, without the room in the pool that is kept for root: QEMU has none of it.
pub(super) fn with_room(mut seen: Seen, facts: &Facts) -> Seen {
    if let (PoolState::Active(path), Some((directory, room))) = (&seen.pool, &facts.pool_room)
        && path.trim_end_matches('/') == directory.trim_end_matches('/')
    {
        seen.observed.pool_free = seen.observed.pool_free.map(|free| free.min(*room));
    }
    seen
}

/// libvirt cannot be connected to.
pub fn unreached(label: &str, why: &LibvirtError) -> Failure {
    let error = why.failed(format!("cannot connect to libvirt at {label}"));
    Failure::Failed(match why.is_silent() {
        true => error,
        false => error.hint("`maquette up` installs and starts it"),
    })
}

/// How often a hypervisor is looked at, at most, until what is said to be left there was there twice.
const LOOKS: usize = 4;

/// What a look has found, once what is left over of a libvirt that was killed was so twice: its own side and libvirt are
/// asked at the same time, and between the two a node may go off, or a network start. `left` names it, and `wait` lets what
/// has begun end.
pub(super) fn settled<T>(
    mut look: impl FnMut() -> Result<T, Failure>,
    left: impl Fn(&T) -> Vec<String>,
    mut wait: impl FnMut(),
) -> Result<T, Failure> {
    let mut before = Vec::new();
    for _ in 1..LOOKS {
        let found = look()?;
        let now = left(&found);
        if now.iter().all(|what| before.contains(what)) {
            return Ok(found);
        }
        before = now;
        wait();
    }
    look()
}

/// What is left over of a libvirt that was killed, as far as one look can tell.
pub(super) fn left_overs<'a>(seen: &'a Seen, facts: &Facts) -> Vec<LeftOver<'a>> {
    // A file with a process ID may be older than the process's end.
    let runs = |domain: &str| facts.resident_mib.get(domain).is_some_and(|mib| *mib > 0);
    seen.observed.left_overs(&facts.network, runs)
}

/// What follows a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A plan, which is refused for what is in the way of it.
    Plan,
    /// Something else.
    Other,
}

/// Says what is noteworthy about what was seen, once in a run.
pub(super) fn tell(world: &World, seen: &Seen, facts: &Facts, next: Next) {
    let unreadable = |object| format!("warning: {object} cannot be read; it is passed over");
    let mut all: Vec<String> = seen.unreadable.iter().map(unreadable).collect();
    all.extend(seen.unsure.iter().map(|what| format!("warning: {what}")));
    let copied = |copy| format!("warning: {copy}, as copies have; it is passed over");
    all.extend(seen.copies.iter().map(copied));
    let is_said_later =
        |left: &LeftOver<'_>| next == Next::Plan && matches!(left, LeftOver::Bridge { .. });
    let left = left_overs(seen, facts).into_iter().filter(|left| !is_said_later(left));
    all.extend(left.map(|left| format!("warning: {left}; {}", left.way_out())));
    all.into_iter().for_each(|text| world.terminal.talk_once(text));
}

/// Says which records of an environment this workspace has not written, once in a run.
pub(super) fn tell_records(world: &World, seen: &Seen) {
    if !seen.sealed_by_others.is_empty() {
        world.terminal.talk_once(format!(
            "warning: libvirt's records of {} were not written from this workspace: either another workspace built \
             these, or somebody has changed the records; keys of colleagues in them are not taken over",
            seen.sealed_by_others.join(", ")
        ));
    }
}

/// What libvirt knows of an environment, with what disks of others are over.
pub(super) fn seen(
    server: &dyn Server,
    connection: &Connection,
    environment: &EnvName,
    pool: &str,
) -> Result<Seen, ObserveError> {
    let seen = server.observe(environment, pool, connection.records.as_ref())?;
    server.with_clones(seen, connection.host.as_ref())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said after these looks, and how often was waited.
    fn said(looks: &[&[&str]]) -> (Vec<String>, usize) {
        let mut looks = looks.iter().map(|look| look.iter().map(ToString::to_string).collect());
        let mut waits = 0;
        let look = || Ok::<Vec<String>, Failure>(looks.next().unwrap());
        let found = settled(look, Clone::clone, || waits += 1).unwrap();
        assert_eq!(looks.len(), 0, "it was looked as often as that");
        (found, waits)
    }

    #[test]
    fn what_goes_off_or_starts_between_two_looks_is_not_left_over() {
        assert_eq!(said(&[&[]]), (vec![], 0));
        assert_eq!(said(&[&["a"], &[]]), (vec![], 1));
        assert_eq!(said(&[&["a"], &["a"]]), (vec!["a".into()], 1));
        assert_eq!(said(&[&["a"], &["b"], &["b"]]), (vec!["b".into()], 2));
        assert_eq!(said(&[&["a", "b"], &["b"]]), (vec!["b".into()], 1));
        // Somewhere it ends.
        assert_eq!(said(&[&["a"], &["b"], &["c"], &["d"]]), (vec!["d".into()], 3));
    }
}
