//! What nodes answer at this moment, for those who say what state they are in.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::node_state::{Evidence, SshAnswer};
use maquette_core::observed::{Domain, Observed};
use maquette_engine::guests::{self, Guest};

use super::connection::Connection;
use crate::failure::Failure;
use crate::world::World;

/// Whether nodes are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// All that ought to answer, at once.
    Nodes,
    /// The same, and those whose first boot failed.
    Failed,
    /// None: what libvirt and the records say is enough.
    Nobody,
}

/// Finds out about every node that runs: for how long, and whether it answers. Guests on a LAN are asked from here, all others
/// from the hypervisor; those that have just answered a login are not asked again.
pub(super) fn look(
    world: &World,
    connection: &Connection,
    observed: &Observed,
    (uptime_s, answered): (&BTreeMap<String, u64>, &BTreeSet<String>),
    ask: Ask,
) -> Result<BTreeMap<String, Evidence>, Failure> {
    let host = connection.host.as_ref();
    let asked = |d: &&Domain| {
        ask != Ask::Nobody
            && d.active
            && !d.paused
            && d.recorded.guest.is_some()
            && (ask == Ask::Failed || d.failed.is_none())
    };
    let just_now =
        |d: &&Domain| d.recorded.access.address.is_some() && answered.contains(d.name.as_str());
    let (just_now, asked): (Vec<&Domain>, Vec<&Domain>) =
        observed.domains.values().filter(asked).partition(just_now);
    let from_here = |d: &Domain| d.recorded.access.direct && !host.is_here();
    // Its console is read on the hypervisor, wherever it is asked whether it answers.
    let there = |d: &&Domain| Guest {
        name: d.name.to_string(),
        address: d.recorded.access.address.filter(|_| !from_here(d)),
        log: Some(maquette_libvirt::serial_log(&d.recorded)),
    };
    let here = |d: &&Domain| {
        let address = d.recorded.access.address;
        from_here(d).then(|| Guest { name: d.name.to_string(), address, log: None })
    };
    let there: Vec<Guest> = asked.iter().map(there).collect();
    let here: Vec<Guest> = asked.iter().filter_map(here).collect();
    let failed = |e| Failure::because("cannot ask the nodes whether they answer", e);
    let (found, direct) = std::thread::scope(|scope| {
        let direct = scope.spawn(|| guests::look(world.hosts.here().as_ref(), &here));
        let found = guests::look(host, &there);
        (found, direct.join())
    });
    let mut found = found.map_err(failed)?;
    // A node that cannot be asked from here is not asked.
    let direct = direct.ok().and_then(Result::ok).unwrap_or_default();
    for (name, evidence) in direct {
        found.entry(name).or_default().ssh = evidence.ssh;
    }
    for domain in just_now {
        found.entry(domain.name.to_string()).or_default().ssh = Some(SshAnswer::Greeted);
    }
    for (name, seconds) in uptime_s {
        found.entry(name.clone()).or_default().uptime_s = Some(*seconds);
    }
    Ok(found)
}
