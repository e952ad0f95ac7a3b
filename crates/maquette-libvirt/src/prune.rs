//! Removing cached base images that nothing uses.
//!
//! What is an image is told by the record that was written when it was brought, and never by its name:
//! a node's disk may be called like one.

use std::borrow::Cow;
use std::collections::BTreeSet;

use maquette_core::blueprint::TemplatePart;
use maquette_engine::host::Host;
use maquette_engine::image;
use maquette_engine::{Cause, StepError};

use crate::client::{self, Client, LibvirtError, StoragePool};
use crate::observe::{Found, NetworkFound, domain_xmls, network_xmls};
use crate::template;
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
    texts_of(domain_xmls(client)?, network_xmls(client)?)
}

/// A domain that libvirt refuses to describe may use any image; a network uses none.
fn texts_of(domains: Vec<Found>, networks: Vec<NetworkFound>) -> Result<Vec<String>, LibvirtError> {
    let mut texts = Vec::new();
    for Found { name, defined, live, .. } in domains {
        for described in [defined, live] {
            texts.extend(described.map_err(|error| {
                let message = format!(
                    "it does not describe domain `{name}`, which may use any image: {error}"
                );
                LibvirtError::refused(message)
            })?);
        }
    }
    texts.extend(networks.into_iter().filter_map(|(_, _, described)| described.ok().flatten()));
    Ok(texts)
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
    let mut pruned = Pruned::default();
    let xml = client::pool_xml(pool).map_err(|e| failed(e.into()))?;
    // Pools that are not directories have no path of that kind, and nothing of ours.
    let directory = read::pool_path(&xml).ok().map(|path| path.trim_end_matches('/').to_string());
    if let Some(directory) = &directory {
        clear(client, host, (pool, directory), recorded)?;
        // Before anything is looked at: what downloads left is called after their image, and would be taken for a use
        // of it.
        pruned.swept = image::sweep(host, directory).map_err(|e| failed(e.into()))?;
    }
    // What it says now is good enough.
    let _ = client::refresh_pool(pool);
    let volumes = client::volumes(pool).map_err(|e| failed(e.into()))?;
    let mut texts = texts(client).map_err(|e| failed(e.into()))?;
    if !unused(&volumes, recorded, &texts).is_empty() {
        // A node may have been defined since the first look; whatever names an image now is in time.
        texts.extend(self::texts(client).map_err(|e| failed(e.into()))?);
        texts.extend(overlaid(client, host, &volumes, &texts)?);
    }
    let unused = unused(&volumes, recorded, &texts);
    // A memory image before its disk: should this end between the two, what is left cannot pass for a template.
    let (memories, others): (Vec<_>, Vec<_>) =
        volumes.iter().partition(|v| TemplatePart::Memory.domain(&v.name).is_some());
    for volume in memories.into_iter().chain(others) {
        match (recorded.contains(&volume.path), unused.contains(volume.name.as_str())) {
            (true, false) => {}
            (true, true) => {
                client::delete_volume(pool, &volume.name).map_err(|e| failed(e.into()))?;
                image::forget(host, records, &volume.path).map_err(|e| failed(e.into()))?;
                pruned.removed.push(volume.name.clone());
            }
            (false, _) if looks_like(&volume.name) && !is_named(volume, &volumes, &texts) => {
                pruned.unrecorded.push(volume.name.clone());
            }
            (false, _) => {}
        }
    }
    if let Some(directory) = directory {
        let there: BTreeSet<&str> = volumes.iter().map(|v| v.path.as_str()).collect();
        // Records of what somebody else has deleted.
        let of_pool = |path: &&String| path.rsplit_once('/').is_some_and(|(d, _)| d == directory);
        let gone = |p: &&String| !there.contains(p.as_str()) && !host.exists(p);
        for path in recorded.iter().filter(of_pool).filter(gone) {
            image::forget(host, records, path).map_err(|e| failed(e.into()))?;
        }
    }
    pruned.removed.sort();
    pruned.unrecorded.sort();
    Ok(pruned)
}

/// What overlays in other pools, and in directories that are no pools, are over. Of a domain that is off libvirt says which
/// files it has, and nothing of what these are over. Images of other pools, which may be called the same, do not count.
fn overlaid(
    client: &Client,
    host: &dyn Host,
    volumes: &[client::Volume],
    texts: &[String],
) -> Result<BTreeSet<String>, StepError> {
    let failed = |e: Cause| StepError::new("cannot tell which images are in use").because(e);
    let own: BTreeSet<&str> = volumes.iter().map(|v| v.path.as_str()).collect();
    let mut others = Vec::new();
    for pool in client::running_pools(client).map_err(|e| failed(e.into()))? {
        // What it says now is good enough.
        let _ = client::refresh_pool(&pool);
        let all = client::volumes(&pool).unwrap_or_default();
        others.extend(all.into_iter().filter(|v| !own.contains(v.path.as_str())));
    }
    let over = others.iter().filter_map(|v| read::backing(&v.xml).ok()?);
    let mut found: BTreeSet<String> = over.collect();
    let domains = texts.iter().filter_map(|xml| read::domain(xml).ok());
    let disks: BTreeSet<String> =
        domains.flat_map(may_be_over).filter(|file| !own.contains(file.as_str())).collect();
    let below = image::below(host, &disks).map_err(|e| failed(e.into()))?;
    if let Some(file) = below.unknown.first() {
        let message = format!("what the disk {file} of a domain is over cannot be told");
        return Err(failed(message.into()));
    }
    found.extend(below.files.into_iter().map(|(file, _)| file));
    let elsewhere: BTreeSet<&str> = others.iter().map(|v| v.path.as_str()).collect();
    found.retain(|file| !elsewhere.contains(file.as_str()));
    Ok(found)
}

/// Files of a domain that may be over others.
fn may_be_over(domain: read::DomainXml) -> impl Iterator<Item = String> {
    let read::DomainXml { files, raw, .. } = domain;
    files.into_iter().filter(move |file| file.starts_with('/') && !raw.contains(file))
}

/// Whether a domain, a network or another volume names one.
fn is_named(volume: &client::Volume, volumes: &[client::Volume], texts: &[String]) -> bool {
    let name = stands_for(&volume.name);
    texts.iter().any(|xml| xml.contains(name.as_ref()))
        || volumes.iter().any(|v| v.name != volume.name && v.xml.contains(name.as_ref()))
}

/// Ends what runs that are gone were making templates from: as long as a domain is there, its image is in use. A seed
/// may be there without one.
fn clear(
    client: &Client,
    host: &dyn Host,
    (pool, directory): (&StoragePool, &str),
    recorded: &BTreeSet<String>,
) -> Result<(), StepError> {
    let failed = |e: LibvirtError| StepError::new("cannot remove unfinished templates").because(e);
    let is_recorded = |path: &str| recorded.contains(path);
    let mut left = BTreeSet::new();
    let mut others = BTreeSet::new();
    for found in domain_xmls(client).map_err(failed)? {
        let described = [found.defined, found.live].into_iter().find_map(|d| d.ok().flatten());
        let xml = described.unwrap_or_default();
        let ours = template::is_making(&found.name, &xml, directory, is_recorded);
        if ours { &mut left } else { &mut others }.insert(found.name);
    }
    for volume in client::volumes(pool).map_err(failed)? {
        let of = TemplatePart::Seed.domain(&volume.name).filter(|name| {
            is_recorded(&format!("{directory}/{}", TemplatePart::Disk.of(name)))
                && !others.contains(*name)
        });
        left.extend(of.map(String::from));
    }
    left.iter().try_for_each(|name| template::end(client, host, (pool, directory), name))
}

/// By which name a volume would be used: a template's memory image is of use as long as its disk is.
fn stands_for(volume: &str) -> Cow<'_, str> {
    let domain = TemplatePart::Memory.domain(volume);
    domain.map_or(Cow::Borrowed(volume), |domain| Cow::Owned(TemplatePart::Disk.of(domain)))
}

/// Recorded volumes that nothing names but others that nothing names: the image of a template goes with it.
fn unused<'a>(
    volumes: &'a [client::Volume],
    recorded: &BTreeSet<String>,
    texts: &[String],
) -> BTreeSet<&'a str> {
    let named = |name: &str| texts.iter().any(|xml| xml.contains(name));
    let ours = volumes.iter().filter(|v| recorded.contains(&v.path));
    let mut unused: BTreeSet<&str> =
        ours.filter(|v| !named(&stands_for(&v.name))).map(|v| v.name.as_str()).collect();
    loop {
        let used = |name: &str| {
            let known = stands_for(name);
            // A volume that names itself is not in use for that.
            let others = volumes.iter().filter(|v| v.name != name && v.name != known);
            others.filter(|v| !unused.contains(v.name.as_str())).any(|v| v.xml.contains(&*known))
        };
        let kept: BTreeSet<&str> = unused.iter().copied().filter(|name| !used(name)).collect();
        if kept.len() == unused.len() {
            return kept;
        }
        unused = kept;
    }
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
    fn what_only_unused_volumes_name_is_unused() {
        let volume = |name: &str, backing: &str| client::Volume {
            name: name.into(),
            path: format!("/p/{name}"),
            xml: format!("<volume><name>{name}</name><path>/p/{backing}</path></volume>"),
        };
        let image = "maquette-x-0123456789ab.qcow2";
        let domain = format!("maquette-warm-{}", "0".repeat(32));
        let [disk, memory] = [TemplatePart::Disk, TemplatePart::Memory].map(|p| p.of(&domain));
        let (disk, memory) = (disk.as_str(), memory.as_str());
        let mut volumes =
            vec![volume(image, ""), volume(disk, image), volume(memory, ""), volume("other", "")];
        let recorded = [image, disk, memory].map(|n| format!("/p/{n}")).into();
        assert_eq!(unused(&volumes, &recorded, &[]), [image, disk, memory].into());
        // A node's disk overlays it.
        volumes.push(volume("web-0-disk1.qcow2", disk));
        assert!(unused(&volumes, &recorded, &[]).is_empty());
        volumes.pop();
        // A node that is defined and has no disk yet was to boot from the image.
        assert_eq!(unused(&volumes, &recorded, &[image.into()]), [disk, memory].into());
    }

    #[test]
    fn a_domain_that_libvirt_does_not_describe_may_use_any_image() {
        let client = Client::open_for_tests("test:///default").unwrap();
        let found = || domain_xmls(&client).unwrap();
        let network = ("x".to_string(), true, Err(LibvirtError::refused("internal error")));
        assert!(texts_of(found(), vec![network]).unwrap().len() > 1);
        let mut found = found();
        found[0].defined = Err(LibvirtError::refused("internal error"));
        let error = texts_of(found, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("domain `test`"), "{error}");
    }

    /// Its guest writes what it likes into its first bytes: a name of any file, or one that cannot be read.
    #[test]
    fn a_raw_disk_is_over_nothing() {
        let disk = |kind: &str, file: &str| {
            format!(
                "<disk type='file'><driver name='qemu' type='{kind}'/><source file='{file}'/><target dev='vda'/></disk>"
            )
        };
        let xml = format!(
            "<domain><name>a</name><uuid>5f0c8b9e-63f6-4a1c-8a54-8a2f2f5b0c11</uuid><memory>1024</memory>\
             <vcpu>1</vcpu><devices>{}{}</devices></domain>",
            disk("raw", "/p/a.img"),
            disk("qcow2", "/p/a.qcow2")
        );
        let files: Vec<String> = may_be_over(read::domain(&xml).unwrap()).collect();
        assert_eq!(files, ["/p/a.qcow2"]);
    }

    #[test]
    fn a_disk_does_not_look_like_an_image() {
        assert!(looks_like("maquette-debian-12-0123456789ab.qcow2"));
        assert!(!looks_like("maquette-bare-0-disk1.qcow2"));
        assert!(!looks_like("other-debian-12-0123456789ab.qcow2"));
    }
}
