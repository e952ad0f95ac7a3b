//! Whether the hypervisor can carry what is planned.
//!
//! Memory is what kills: guests that do not fit are ended by the kernel, long after they were made.
//! So it is refused, unless the user says otherwise; space and vCPUs are warned of, since both are
//! commonly promised more than once.

use std::collections::BTreeMap;

use crate::blueprint::Blueprint;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::observed::Observed;
use crate::units::ByteSize;

/// What the hypervisor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity<'a> {
    /// CPUs that are online.
    pub cpus: usize,
    /// All memory, in MiB.
    pub total_mib: u64,
    /// Memory that could be used now without swapping, in MiB.
    pub available_mib: u64,
    /// Memory that is not for nodes, in MiB (`--host-memory-reserve`).
    pub reserved_mib: u64,
    /// What each running domain has really touched, in MiB.
    pub resident_mib: &'a BTreeMap<String, u64>,
}

/// Memory accounts, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What would be started.
    pub needed: u64,
    /// What is free now.
    pub available: u64,
    /// What domains that exist may still take of that.
    pub promised: u64,
    /// What is kept for others than nodes.
    pub reserved: u64,
}

impl Memory {
    /// What is left for new nodes.
    pub fn free(&self) -> u64 {
        self.available.saturating_sub(self.promised).saturating_sub(self.reserved)
    }

    /// Whether so much, in MiB, is refused.
    pub fn is_too_much(&self, mib: u64) -> bool {
        mib.saturating_mul(100) > self.free().saturating_mul(100 + BAND)
    }
}

/// What the making of templates takes, besides what their nodes take afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Templates {
    /// Memory that their domains have, in MiB.
    pub memory_mib: u64,
    /// Room in the pool, in bytes.
    pub bytes: u64,
}

/// Adds up memory: of nodes that run already, only growth is needed.
pub fn memory(blueprint: &Blueprint, observed: &Observed, capacity: &Capacity<'_>) -> Memory {
    let mut needed = 0;
    for node in &blueprint.nodes {
        let more = match observed.domains.get(&node.name).filter(|d| d.active) {
            Some(running) => node.maximum_mib().saturating_sub(running.defined.maximum_mib),
            None => node.maximum_mib(),
        };
        needed = u64::saturating_add(needed, more);
    }
    let untouched = |name: &str, mib: u64| {
        mib.saturating_sub(capacity.resident_mib.get(name).copied().unwrap_or(0))
    };
    let others = observed.claims.promises.iter().map(|p| {
        // A domain that is off may be started at any time, and then wants all of it.
        if p.active { untouched(&p.name, p.memory_mib) } else { p.memory_mib }
    });
    // Those of our own that are off are counted as needed, or about to be removed.
    let own = observed.domains.values().filter(|d| d.active);
    let own = own.map(|d| untouched(&d.name, d.defined.maximum_mib));
    let promised = others.chain(own).fold(0, u64::saturating_add);
    let (available, reserved) = (capacity.available_mib, capacity.reserved_mib);
    Memory { needed, available, promised, reserved }
}

/// How much more than the free memory is let through with a warning, in percent: guests rarely
/// touch all they have (InfraRed's rule).
const BAND: u64 = 20;

/// Checks everything, with the `templates` that are made. `overcommit` turns the refusal into a warning.
pub fn check(
    blueprint: &Blueprint,
    observed: &Observed,
    capacity: &Capacity<'_>,
    templates: Templates,
    overcommit: bool,
    diags: &mut Diagnostics,
) {
    let largest = blueprint.nodes.iter().max_by_key(|n| n.maximum_mib()).map(|n| n.role.as_str());
    let mut memory = memory(blueprint, observed, capacity);
    memory.needed = memory.needed.saturating_add(templates.memory_mib);
    let what = words(blueprint, templates.memory_mib > 0);
    check_memory(&memory, (&what, templates.memory_mib), largest, overcommit, diags);
    check_largest(blueprint, observed, capacity.total_mib, overcommit, diags);
    check_space(blueprint, observed, templates.bytes, diags);
    check_cpus(blueprint, observed, capacity.cpus, diags);
}

/// How much of a pool's free space is there to be taken: guests whose disks grow in the rest stop when it is full.
pub fn to_spare(free: u64) -> u64 {
    free / 10 * 9
}

/// Refuses `templates` that a pool has no room for. Whoever makes them finds out only after their boot.
pub fn check_templates(
    blueprint: &Blueprint,
    observed: &Observed,
    templates: Templates,
    diags: &mut Diagnostics,
) {
    let Some(spare) = observed.pool_free.map(to_spare) else { return };
    if templates.bytes <= spare {
        return;
    }
    let message = format!(
        "templates may take {}, and pool `{}` has {} to spare",
        ByteSize(templates.bytes),
        blueprint.pool.name,
        ByteSize(spare),
    );
    diags.push(
        Diagnostic::error("capacity::space", message)
            .help("`maquette image prune` removes images and templates that no domain uses")
            .help("without templates nodes boot, with `--start cold` or by themselves"),
    );
}

/// What takes something, for people.
fn words(blueprint: &Blueprint, templates: bool) -> String {
    let nodes = (!blueprint.nodes.is_empty() || !templates).then_some("new nodes");
    let all: Vec<&str> = nodes.into_iter().chain(templates.then_some("templates")).collect();
    all.join(" and ")
}

fn check_memory(
    memory: &Memory,
    (what, templates_mib): (&str, u64),
    largest: Option<&str>,
    overcommit: bool,
    diags: &mut Diagnostics,
) {
    let free = memory.free();
    if memory.needed <= free {
        return;
    }
    let reserved = match memory.reserved {
        0 => String::new(),
        kept => format!(", {} reserved", mib(kept)),
    };
    let sizes = format!(
        "{what} need {}, and {} are free ({} available, {} promised to existing domains{reserved})",
        mib(memory.needed),
        mib(free),
        mib(memory.available),
        mib(memory.promised),
    );
    diags.push(if memory.is_too_much(memory.needed) && !overcommit {
        let message = format!("not enough memory on the hypervisor: {sizes}");
        let error = Diagnostic::error("capacity::memory", message);
        // Nodes that are replaced run while their template is made, and that is all there is too much.
        let error = match memory.is_too_much(memory.needed.saturating_sub(templates_mib)) {
            false => error.help("`--start cold` builds them without making templates"),
            true => error,
        };
        error
            .help(format!(
                "ask for fewer or smaller nodes, such as `-e override.{}.memory=1024`",
                largest.unwrap_or("TYPE")
            ))
            .help("`--host-memory-overcommit yes` builds them nevertheless")
    } else {
        let message = format!("memory of the hypervisor is short: {sizes}");
        Diagnostic::warning("capacity::memory", message)
    });
}

/// A node that wants more than there is at all does not even start.
fn check_largest(
    blueprint: &Blueprint,
    observed: &Observed,
    total_mib: u64,
    overcommit: bool,
    diags: &mut Diagnostics,
) {
    let off = |name: &str| !observed.domains.get(name).is_some_and(|d| d.active);
    let new = blueprint.nodes.iter().filter(|n| off(&n.name));
    let Some(node) = new.max_by_key(|n| n.maximum_mib()).filter(|n| n.maximum_mib() > total_mib)
    else {
        return;
    };
    let message = format!(
        "node `{}` alone wants {}, and the hypervisor has {}",
        node.name,
        mib(node.maximum_mib()),
        mib(total_mib)
    );
    diags.push(if overcommit {
        Diagnostic::warning("capacity::memory", message)
    } else {
        let key = format!("-e override.{}.memory=4096", node.role);
        Diagnostic::error("capacity::memory", message)
            .help(format!("make it smaller, such as `{key}`"))
    });
}

fn check_space(
    blueprint: &Blueprint,
    observed: &Observed,
    templates: u64,
    diags: &mut Diagnostics,
) {
    let new = blueprint.nodes.iter().filter(|n| !observed.domains.contains_key(&n.name));
    let mut wanted = BTreeMap::from([(&blueprint.pool, templates)]);
    for disk in new.flat_map(|n| &n.disks) {
        let all: &mut u64 = wanted.entry(disk.pool_or(&blueprint.pool)).or_default();
        *all = all.saturating_add(disk.size.map_or(0, |size| size.0));
    }
    for (pool, wanted) in wanted {
        let own = *pool == blueprint.pool;
        let (free, templates) = match own {
            true => (observed.pool_free, templates),
            false => (observed.directories.get(&pool.path).and_then(|found| found.free), 0),
        };
        let Some(free) = free.filter(|free| wanted > *free) else { continue };
        let place = match own {
            true => format!("pool `{}`", pool.name),
            false => format!("`{}`", pool.path),
        };
        let message = format!(
            "disks of {} may grow to {}, and {place} has {} free",
            words(blueprint, templates > 0),
            ByteSize(wanted),
            ByteSize(free),
        );
        diags.push(
            Diagnostic::warning("capacity::space", message)
                .help("they take only what is written to them; watch it with `df`"),
        );
    }
}

/// vCPUs for each CPU from which guests wait for each other so long that clusters notice.
const VCPUS_PER_CPU: usize = 4;

fn check_cpus(blueprint: &Blueprint, observed: &Observed, cpus: usize, diags: &mut Diagnostics) {
    let is_new = |name: &str| !observed.domains.get(name).is_some_and(|d| d.active);
    let new = blueprint.nodes.iter().filter(|n| is_new(&n.name));
    let new: u64 = new.map(|n| u64::from(n.vcpus.get())).sum();
    if new == 0 {
        return;
    }
    let running: u64 = observed
        .claims
        .promises
        .iter()
        .filter(|p| p.active)
        .map(|p| p.vcpus)
        .chain(observed.domains.values().filter(|d| d.active).map(|d| d.defined.vcpus))
        .map(u64::from)
        .sum();
    let all = new.saturating_add(running);
    if all > cpus.saturating_mul(VCPUS_PER_CPU) as u64 {
        diags.push(Diagnostic::warning(
            "capacity::cpus",
            format!(
                "{all} vCPUs would share {cpus} CPUs ({new} of new nodes, {running} of running \
                 domains); expect them to be slow"
            ),
        ));
    }
}

/// Memory for people.
fn mib(mib: u64) -> String {
    ByteSize(mib.saturating_mul(1 << 20)).to_string()
}
