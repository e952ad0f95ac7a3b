//! Taking an environment away.

use super::{Action, Builder, Change, Op, Plan};
use crate::observed::{Domain, Observed};

/// Removes everything of this environment and nothing else. Volumes are the ones that the domains'
/// metadata names; base images stay in the cache.
pub fn destroy(observed: &Observed) -> Plan {
    let mut builder = Builder::default();
    let mut changes = Vec::new();
    let reason = "the environment is taken down";
    let mut gone = Vec::new();
    for domain in observed.domains.values() {
        changes.push(Change {
            op: Op::Delete,
            kind: "domain",
            name: domain.name.clone(),
            detail: format!("{} vCPUs, {} MiB", domain.recorded.vcpus, domain.recorded.memory_mib),
            reason: reason.into(),
        });
        gone.push(remove_domain(domain, observed, reason, &mut builder));
    }
    for network in observed.networks.values() {
        changes.push(Change {
            op: Op::Delete,
            kind: "network",
            name: network.name.clone(),
            detail: String::new(),
            reason: reason.into(),
        });
        let mut last = gone.clone();
        if network.active {
            let stop = Action::StopNetwork { name: network.name.clone() };
            last = vec![builder.add(stop, last, reason)];
        }
        builder.add(Action::UndefineNetwork { name: network.name.clone() }, last, reason);
    }
    Plan { changes, steps: builder.finish() }
}

/// Stops a domain, deletes its volumes, and only then its definition: as long as a volume is left,
/// the metadata that names it is there too. Returns the last step.
pub(super) fn remove_domain(
    domain: &Domain,
    observed: &Observed,
    reason: &str,
    builder: &mut Builder,
) -> usize {
    let (node, pool) = (&domain.recorded, &domain.pool);
    let mut after = Vec::new();
    if domain.active {
        let stop = Action::StopDomain { name: domain.name.clone(), clean: false };
        after.push(builder.add(stop, [], reason));
    }
    let seed = node.guest.iter().map(|g| &g.seed);
    let deletions: Vec<usize> = node
        .disks
        .iter()
        .map(|d| &d.volume)
        .chain(seed)
        .filter(|v| observed.has_volume(pool, v))
        .map(|volume| {
            let delete = Action::DeleteVolume { volume: volume.clone(), pool: pool.clone() };
            builder.add(delete, after.clone(), reason)
        })
        .collect();
    after.extend(deletions);
    builder.add(Action::UndefineDomain { name: domain.name.clone() }, after, reason)
}
