//! What disks of others are over: linked clones of nodes, of which libvirt says nothing before they run.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::blueprint::Pool;
use maquette_core::observed::{Claims, Observed, is_overlay};
use maquette_engine::host::Host;
use maquette_engine::image::{self, Below};

use super::{ObserveError, Seen};
use crate::client::{self, Client, LibvirtError};
use crate::xml::read;

/// Volumes of the environment that are recorded, each with its pool.
fn own(observed: &Observed) -> impl Iterator<Item = (&Pool, &str)> {
    let domains = observed.domains.values();
    let recorded = domains.flat_map(|d| d.recorded.placed(&d.pool));
    let tenants = observed.networks.values().flat_map(|n| &n.recorded.tenants);
    recorded.chain(tenants.flat_map(|t| t.placed()))
}

fn file_of(pool: &Pool, volume: &str) -> String {
    format!("{}/{volume}", pool.path.trim_end_matches('/'))
}

/// Files that no domain of others has and that may be over a disk of the environment: volumes, and what somebody has put into
/// one of its nodes. Nobody is asked where there is no disk that could be below.
fn of_no_domain(client: &Client, observed: &Observed) -> Result<BTreeSet<String>, LibvirtError> {
    let own: Vec<(&Pool, &str)> = own(observed).collect();
    if own.is_empty() {
        return Ok(BTreeSet::new());
    }
    let files: BTreeSet<String> = own.iter().map(|(pool, volume)| file_of(pool, volume)).collect();
    let is_own = |directory: &str, name: &str| {
        let overlays = own.iter().filter(|(pool, _)| pool.path.trim_end_matches('/') == directory);
        files.contains(&format!("{directory}/{name}"))
            || overlays.into_iter().any(|(_, volume)| is_overlay(name, volume))
    };
    let hardware = observed.domains.values().flat_map(|d| d.live.iter().chain([&d.defined]));
    let plugged = hardware.flat_map(|h| &h.disks).map(|disk| disk.file.clone());
    let of_pools = client::map(&client::running_pools(client)?, |pool| {
        // One that goes meanwhile, or is no directory, has nothing of that kind.
        let xml = client::pool_xml(pool).ok()?;
        let directory = read::pool_path(&xml).ok()?;
        let names = client::volume_names(pool).unwrap_or_default();
        let directory = directory.trim_end_matches('/').to_string();
        Some(names.into_iter().map(move |name| format!("{directory}/{name}")).collect())
    });
    let of_pools = of_pools.into_iter().flatten().flat_map(|files: Vec<String>| files);
    let is_nobodys = |file: &String| {
        file.rsplit_once('/').is_some_and(|(directory, name)| !is_own(directory, name))
            && !observed.claims.files.contains_key(file)
    };
    Ok(of_pools.chain(plugged).filter(is_nobodys).collect())
}

impl Seen {
    /// Adds what disks of others are over: of a domain that is off, as a linked clone of a node is before it is started, only the
    /// files themselves say that. Nobody is asked where the environment has no disk that could be below.
    pub fn with_clones(self, client: &Client, host: &dyn Host) -> Result<Self, ObserveError> {
        let of_no_domain = of_no_domain(client, &self.observed)?;
        self.with_clones_among(&of_no_domain, host)
    }

    /// The same, with files that no domain has, of which libvirt says no more than of those of domains that are off.
    pub fn with_clones_among(
        mut self,
        of_no_domain: &BTreeSet<String>,
        host: &dyn Host,
    ) -> Result<Self, ObserveError> {
        let own: BTreeSet<String> =
            own(&self.observed).map(|(pool, volume)| file_of(pool, volume)).collect();
        let untold: BTreeSet<String> = self.off.keys().chain(of_no_domain).cloned().collect();
        let mut claims = std::mem::take(&mut self.observed.claims);
        let others = claims.files.keys().chain(claims.below.keys()).chain(&untold);
        let others: BTreeSet<String> = others.filter(|f| f.starts_with('/')).cloned().collect();
        if !own.is_empty() && !others.is_empty() {
            let directories = own.iter().filter_map(|file| Some(file.rsplit_once('/')?.0));
            let ours = own.iter().map(String::as_str).chain(directories);
            let files = ours.chain(others.iter().map(String::as_str)).collect();
            let found = image::below_and_real(host, &untold, &files)?;
            let names = Names::new(&own, &found);
            for (below, file) in found.files.iter().filter(|(_, file)| !names.is_own(file)) {
                for domain in self.off.get(*file).into_iter().flatten() {
                    claims.hold_below(below, domain);
                }
                if of_no_domain.contains(*file) {
                    let name = file.rsplit_once('/').map_or(*file, |(_, name)| name);
                    claims.hold_below(below, &format!("volume {name}"));
                }
            }
            for file in &found.unknown {
                // A file that no domain has keeps nothing from being made.
                claims.unread.extend(self.off.get(*file).into_iter().flatten().cloned());
            }
            self.unsure.extend(unsure(&found.unknown));
            rename(&mut claims, &names);
        }
        self.observed.claims = claims;
        Ok(self)
    }
}

/// What is said of disks of which it cannot be told what they are over: of a server that is gone all in one line.
fn unsure(files: &[&str]) -> Vec<String> {
    const FEW: usize = 3;
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files {
        places.entry(file.rsplit_once('/').map_or("", |(place, _)| place)).or_default().push(file);
    }
    let many = |count: usize, place: &str, file: &str| {
        format!(
            "cannot find out which backing files {count} disks in {place} have, so they do not prevent that nodes' disks are deleted: if one is a \
             clone of a node's disk, answer no where a removal is asked about, and see `qemu-img info -U --backing-chain {file}` on the hypervisor"
        )
    };
    let said = places.into_iter().flat_map(|(place, files)| match files.as_slice() {
        [first, ..] if files.len() > FEW => vec![many(files.len(), place, first)],
        few => few.iter().map(|file| unsure_of(file)).collect(),
    });
    said.collect()
}

fn unsure_of(file: &str) -> String {
    format!(
        "cannot find out which backing file the disk {file} has, so it does not prevent that nodes' disks are deleted: if it is a clone of a \
         node's disk, answer no where a removal is asked about, and see `qemu-img info -U --backing-chain {file}` on the hypervisor"
    )
}

/// What the environment's files and their directories are called without links.
struct Names<'a> {
    found: &'a Below<'a>,
    files: BTreeMap<&'a str, Vec<&'a str>>,
    directories: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Names<'a> {
    fn new(own: &'a BTreeSet<String>, found: &'a Below<'a>) -> Self {
        let (files, directories) = (BTreeMap::new(), BTreeMap::new());
        let mut names = Self { found, files, directories };
        for file in own {
            names.files.entry(real(found, file)).or_default().push(file);
            if let Some((directory, _)) = file.rsplit_once('/') {
                names.directories.entry(real(found, directory)).or_default().insert(directory);
            }
        }
        names
    }

    /// Whether a file is the environment's, or the overlay that a snapshot made of one.
    fn is_own(&self, file: &str) -> bool {
        let real = real(self.found, file);
        let parts = |file: &'a str| file.rsplit_once('/');
        let overlay = |(directory, name): (&str, &str)| {
            let mut own = self.files.keys().filter_map(|own| parts(own));
            own.any(|(there, volume)| there == directory && is_overlay(name, volume))
        };
        self.files.contains_key(real) || real.rsplit_once('/').is_some_and(overlay)
    }

    /// What the environment calls a file that somebody else calls otherwise.
    fn ours(&self, file: &str) -> BTreeSet<String> {
        let real = real(self.found, file);
        let same = self.files.get(real).into_iter().flatten().map(|own| (*own).to_string());
        let beside = real.rsplit_once('/').into_iter().flat_map(|(directory, name)| {
            let here = self.directories.get(directory).into_iter().flatten();
            here.map(move |directory| format!("{directory}/{name}"))
        });
        same.chain(beside).filter(|own| own != file).collect()
    }
}

fn real<'a>(found: &'a Below<'_>, file: &'a str) -> &'a str {
    found.real.get(file).map_or(file, String::as_str)
}

/// Adds what others have by the names that the environment has for it: they may have come by links, or to a pool that is behind
/// one.
fn rename(claims: &mut Claims, names: &Names<'_>) {
    for claimed in [&mut claims.files, &mut claims.below] {
        let mut more: Vec<(String, BTreeSet<String>)> = Vec::new();
        for (file, whose) in claimed.iter() {
            more.extend(names.ours(file).into_iter().map(|ours| (ours, whose.clone())));
        }
        for (file, whose) in more {
            claimed.entry(file).or_default().extend(whose);
        }
    }
}
