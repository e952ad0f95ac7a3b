//! Removing cached base images that nothing uses.

use std::collections::BTreeSet;

use crate::client::{self, Client, LibvirtError};
use crate::observe::domain_xmls;
use crate::xml::read;

/// Names of our cached images begin so.
const PREFIX: &str = "maquette-";

/// Volumes of the images that domains of all environments were made from.
pub fn used(client: &Client) -> Result<BTreeSet<String>, LibvirtError> {
    let mut used = BTreeSet::new();
    for found in domain_xmls(client)? {
        let Some(xml) = found.defined else { continue };
        used.extend(read::domain(&xml).into_iter().flat_map(|d| d.images));
    }
    Ok(used)
}

/// Deletes every cached image of a pool that no domain of ours names; returns their volumes. Domains
/// of all environments count.
pub fn prune(client: &Client, pool: &str) -> Result<Vec<String>, LibvirtError> {
    let used = used(client)?;
    let Some(pool) = client.pool(pool)? else { return Ok(Vec::new()) };
    client::refresh_pool(&pool);
    let mut removed = Vec::new();
    for volume in client::volume_names(&pool)? {
        if volume.starts_with(PREFIX) && volume.ends_with(".qcow2") && !used.contains(&volume) {
            client::delete_volume(&pool, &volume)?;
            removed.push(volume);
        }
    }
    removed.sort();
    Ok(removed)
}
