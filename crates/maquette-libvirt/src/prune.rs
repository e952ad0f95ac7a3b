//! Removing cached base images that nothing uses.
//!
//! What is an image is told by the record that was written when it was brought, and never by its name:
//! a node's disk may be called like one.

use std::collections::BTreeSet;

use maquette_engine::host::Host;
use maquette_engine::image;
use maquette_engine::{Cause, StepError};

use crate::client::{self, Client, LibvirtError, StoragePool};
use crate::observe::{domain_xmls, network_xmls};
use crate::xml::read;

/// What was done about the images of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Volumes that were deleted.
    pub removed: Vec<String>,
    /// Files that interrupted downloads had left, and that were deleted.
    pub swept: Vec<String>,
    /// Volumes that look like images and are not recorded, such as those of the first version: left alone.
    pub unrecorded: Vec<String>,
}

/// Everything that libvirt knows of domains and networks, whoever's they are: what a text names is
/// in use.
fn texts(client: &Client) -> Result<Vec<String>, LibvirtError> {
    let domains = domain_xmls(client)?.into_iter().flat_map(|d| [d.defined, d.live]);
    let networks = network_xmls(client)?.into_iter().map(|(_, _, xml)| xml);
    Ok(domains.chain(networks).flatten().collect())
}

/// Whether a domain or network of anybody names a volume.
pub fn is_used(client: &Client, volume: &str) -> Result<bool, LibvirtError> {
    Ok(texts(client)?.iter().any(|xml| xml.contains(volume)))
}

/// Deletes every recorded image of a pool that neither a domain, nor a network, nor another volume
/// names, and what interrupted downloads left. Those of all environments count, and everybody else's.
/// `records` is where images are recorded on the hypervisor.
pub fn prune(
    client: &Client,
    host: &dyn Host,
    records: &str,
    pool: &str,
) -> Result<Pruned, StepError> {
    let failed = |e: Cause| StepError::new("cannot remove cached images").because(e);
    let recorded = image::recorded(host, records).map_err(|e| failed(e.into()))?;
    let Some(pool) = client.pool(pool).map_err(|e| failed(e.into()))? else {
        return Ok(Pruned::default());
    };
    let (runs, _) = client::pool_info(&pool).map_err(|e| failed(e.into()))?;
    // One that was stopped, by a restoring that did not come to its end for instance, does not say what is in it;
    // and where it cannot be started, nothing is.
    if !runs && client::run_pool(&pool).is_err() {
        return Ok(Pruned::default());
    }
    let pruned = of_running(client, host, records, &pool, &recorded);
    if !runs {
        // Whoever stopped it can do so again.
        let _ = client::stop_pool(&pool);
    }
    pruned
}

/// The same, of a pool that runs.
fn of_running(
    client: &Client,
    host: &dyn Host,
    records: &str,
    pool: &StoragePool,
    recorded: &BTreeSet<String>,
) -> Result<Pruned, StepError> {
    let failed = |e: Cause| StepError::new("cannot remove cached images").because(e);
    // What it says now is good enough.
    let _ = client::refresh_pool(pool);
    let volumes = client::volumes(pool).map_err(|e| failed(e.into()))?;
    let texts = texts(client).map_err(|e| failed(e.into()))?;
    let used = |name: &str| {
        texts.iter().any(|xml| xml.contains(name))
            || volumes.iter().any(|v| v.name != name && v.xml.contains(name))
    };
    let mut pruned = Pruned::default();
    let free = |v: &&client::Volume| recorded.contains(&v.path) && !used(&v.name);
    // A node may have been defined since the first look; whatever names an image now is in time.
    let since = match volumes.iter().any(|v| free(&v)) {
        true => self::texts(client).map_err(|e| failed(e.into()))?,
        false => Vec::new(),
    };
    let used = |name: &str| used(name) || since.iter().any(|xml| xml.contains(name));
    for volume in &volumes {
        let ours = recorded.contains(&volume.path);
        match (ours, used(&volume.name)) {
            (_, true) => {}
            (true, false) => {
                client::delete_volume(pool, &volume.name).map_err(|e| failed(e.into()))?;
                image::forget(host, records, &volume.path).map_err(|e| failed(e.into()))?;
                pruned.removed.push(volume.name.clone());
            }
            (false, false) if looks_like(&volume.name) => {
                pruned.unrecorded.push(volume.name.clone());
            }
            (false, false) => {}
        }
    }
    let xml = client::pool_xml(pool).map_err(|e| failed(e.into()))?;
    // Pools that are not directories have no path of that kind, and nothing of ours.
    if let Ok(path) = read::pool_path(&xml) {
        let directory = path.trim_end_matches('/').to_string();
        let there: BTreeSet<&str> = volumes.iter().map(|v| v.path.as_str()).collect();
        // Records of what somebody else has deleted.
        let of_pool = |path: &&String| path.rsplit_once('/').is_some_and(|(d, _)| d == directory);
        for path in recorded.iter().filter(of_pool).filter(|p| !there.contains(p.as_str())) {
            if !host.exists(path) {
                image::forget(host, records, path).map_err(|e| failed(e.into()))?;
            }
        }
        pruned.swept = image::sweep(host, &directory).map_err(|e| failed(e.into()))?;
    }
    pruned.removed.sort();
    pruned.unrecorded.sort();
    Ok(pruned)
}

/// Whether a volume is called as images are: that is a reason to tell of it, and nothing else.
fn looks_like(volume: &str) -> bool {
    let stem = volume.strip_prefix("maquette-").and_then(|v| v.strip_suffix(".qcow2"));
    let key = stem.and_then(|s| s.rsplit_once('-')).map(|(_, key)| key);
    key.is_some_and(|k| k.len() == 12 && k.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_does_not_look_like_an_image() {
        assert!(looks_like("maquette-debian-12-0123456789ab.qcow2"));
        assert!(!looks_like("maquette-bare-0-disk1.qcow2"));
        assert!(!looks_like("other-debian-12-0123456789ab.qcow2"));
    }
}
