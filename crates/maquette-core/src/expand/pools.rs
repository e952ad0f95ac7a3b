//! Storage pools of the directories that disks name.

use std::collections::BTreeSet;

use super::Expander;
use crate::blueprint::{Blueprint, DiskPool, Node, Pool};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::identifier;
use crate::observed::{self, Observed, OpenTo};
use crate::values::{Directory, DiskKey, FileName, Name, NodeName, system};

/// How many digits of its identifier are in a pool's name.
const DIGITS: usize = 8;

impl Expander<'_> {
    /// The pool of a directory that a disk of a node names: the one that it is in, none where that is the environment's, the one
    /// that there is, else one of this environment.
    pub(super) fn disk_pool(
        &self,
        path: &Directory,
        node: &NodeName,
        key: &DiskKey,
    ) -> Option<DiskPool> {
        let observed = self.context.observed;
        let domain = observed.domains.get(node);
        let volume = FileName::of_disk(node, key);
        let recorded = domain.and_then(|d| d.recorded.disks.iter().find(|d| d.volume == volume));
        if let Some(own) = recorded.and_then(|disk| disk.pool.as_ref())
            && own.pool.path == *path
        {
            return Some(own.clone());
        }
        let usual = domain.map_or(&self.topology.settings.pool_path, |d| &d.pool.path);
        if usual.trim_end_matches('/') == path.as_str() {
            return None;
        }
        let identifier = identifier("pool", self.environment, path).simple().to_string();
        let name = self.environment.qualify(&format!("pool-{}", &identifier[..DIGITS]));
        let name: Option<Name> = name.parse().ok();
        match observed.pool_at(path) {
            // Nobody else gives a pool that name: one that stayed, since there was something in it.
            Some(found) => {
                let made = found.made || Some(&found.pool.name) == name.as_ref();
                Some(DiskPool { made, ..found })
            }
            None => {
                let pool = Pool { name: name?, path: path.clone() };
                Some(DiskPool { pool, made: true })
            }
        }
    }
}

/// Reports directories that disks cannot be put into: what is in the way there, and what has the name of the pool.
pub(super) fn conflicts(blueprint: &Blueprint, observed: &Observed, diags: &mut Diagnostics) {
    pool_of_system(&blueprint.pool, observed).into_iter().for_each(|error| diags.push(error));
    open_to_others(blueprint, observed, diags);
    let mut seen: Vec<&Pool> = Vec::new();
    for node in &blueprint.nodes {
        for disk in &node.disks {
            let Some(DiskPool { pool, .. }) = &disk.pool else { continue };
            if !seen.contains(&pool) {
                seen.push(pool);
                of_pool(pool, observed, diags);
            }
            let Some(found) = observed.directories.get(&pool.path) else { continue };
            if found.files.contains(disk.volume.as_str())
                && !is_ours(node, &disk.volume, pool, observed)
            {
                let message = format!(
                    "the file `{}` exists and does not belong to this environment",
                    pool.file(&disk.volume)
                );
                diags.push(
                    Diagnostic::error("hypervisor::name-taken", message)
                        .help("remove or rename it, or choose another `path` for the disk"),
                );
            }
        }
    }
}

/// Refuses the system's own directories for the environment's pool, unless nodes are in it already: what was built can be grown,
/// shown and removed. Nothing of other directories.
pub fn pool_of_system(pool: &Pool, observed: &Observed) -> Option<Diagnostic> {
    let plain = system::plain_path(&pool.path);
    if !system::is_of_system(&plain) || has_nodes(pool, observed) {
        return None;
    }
    let message = format!("`--disk-pool`: `{plain}` is the system's own directory");
    Some(
        Diagnostic::error("topology::disk-path", message)
            .help("name a directory of the hypervisor for disks, such as `/srv/disks`"),
    )
}

/// Whether nodes have disks in a pool of the environment, by their records or by what libvirt has of those that are not believed.
fn has_nodes(pool: &Pool, observed: &Observed) -> bool {
    let is_edited_there = |file: &String| {
        file.strip_prefix(pool.path.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    observed.domains.values().any(|domain| domain.pool.path == pool.path)
        || observed.edited.iter().any(|edited| edited.files.iter().any(is_edited_there))
}

/// Warns of directories in which others can put something else in the place of disks, of each once.
fn open_to_others(blueprint: &Blueprint, observed: &Observed, diags: &mut Diagnostics) {
    if blueprint.nodes.is_empty() {
        return;
    }
    let own = (&blueprint.pool.path, observed.pool_access.as_slice());
    let disks = blueprint.nodes.iter().flat_map(|node| &node.disks);
    let others = disks.filter_map(|disk| {
        let path = &disk.pool.as_ref()?.pool.path;
        Some((path, observed.directories.get(path)?.access.as_slice()))
    });
    let mut told: BTreeSet<&Directory> = BTreeSet::new();
    for (path, access) in std::iter::once(own).chain(others) {
        if let Some((at, to)) = observed::open(access)
            && told.insert(at)
        {
            diags.push(is_open(path, at, to));
        }
    }
}

/// What is said of a directory of disks that somebody else can change, or one above it.
fn is_open(path: &Directory, at: &Directory, to: OpenTo<'_>) -> Diagnostic {
    let path = system::plain_path(path);
    let place = match at.as_str() == path {
        true => format!("`{at}`, where disks of nodes are,"),
        false => format!("`{at}`, on the way to disks of nodes in `{path}`,"),
    };
    // A shell would take others apart.
    let is_plain = at.chars().all(|c| c.is_ascii_alphanumeric() || "-_./+@".contains(c));
    // What is on the way may be somebody's home.
    let is_theirs = matches!(to, OpenTo::Owner(_)) && at.as_str() != path;
    let (warning, command) = match to {
        OpenTo::Everybody => {
            let message = format!(
                "{place} can be written by every user of the hypervisor, who can put others in their place"
            );
            let command = format!("`chmod o-w {at}` leaves it to its owner and group");
            (Diagnostic::warning("hypervisor::pool-open", message), command)
        }
        OpenTo::Owner(who) => {
            let message = format!("{place} belongs to `{who}`, who can put others in their place");
            let command = format!("`chown root {at}` makes it root's");
            (Diagnostic::warning("hypervisor::pool-open", message), command)
        }
    };
    match is_plain && !is_theirs {
        true => warning.help(command),
        false => warning,
    }
    .help("or name another directory with `--disk-pool`, or `path` of the disk")
}

fn of_pool(pool: &Pool, observed: &Observed, diags: &mut Diagnostics) {
    let path = &pool.path;
    if let Some(what) = observed.directories.get(path).and_then(|found| found.instead.as_ref()) {
        let message = format!("`{path}`, which a disk names (`path`), is {what} on the hypervisor");
        let error = Diagnostic::error("hypervisor::pool", message);
        diags.push(error.help("name a directory; one that is not there is made"));
    }
    let has = observed.pools.iter().find(|(_, other)| other.is_at(path));
    let has = has.map(|(name, _)| name.as_str());
    if let Some(name) = has.filter(|name| *name != pool.name.as_str()) {
        let message = format!(
            "`{path}`, which a disk names (`path`), is the directory of storage pool `{name}`"
        );
        let error = Diagnostic::error("hypervisor::pool", message);
        diags.push(error.help(format!(
            "`{}` cannot be a second pool of it; name another directory",
            pool.name
        )));
    }
    let other = observed.pools.get(pool.name.as_str());
    if let Some(other) = other.filter(|other| !other.is_at(path)) {
        let message = format!("storage pool `{}` is at {}, not at {path}", pool.name, other.path);
        let help = format!("`virsh pool-undefine {}` removes its definition alone", pool.name);
        diags.push(Diagnostic::error("hypervisor::pool", message).help(help));
    }
}

/// Whether a volume in a pool is a node's already, by what is recorded.
fn is_ours(node: &Node, volume: &str, pool: &Pool, observed: &Observed) -> bool {
    let is = |(p, v): (&Pool, &str)| p == pool && v == volume;
    let domain = observed.domains.get(&node.name);
    domain.is_some_and(|d| d.recorded.placed(&d.pool).any(is))
        || observed.tenant(&node.name).is_some_and(|tenant| tenant.placed().any(is))
        || observed.is_in_edited(&node.name, pool, volume)
}
