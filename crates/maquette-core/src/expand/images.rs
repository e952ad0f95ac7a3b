//! Which images a topology names, and which of them are downloaded again.

use std::collections::BTreeSet;

use super::Context;
use crate::blueprint::Image;
use crate::topology::{Disk, Role, Settings, Topology};

/// Images that are to be downloaded again: all of them, or those of single disks.
pub(super) fn refreshed(
    topology: &Topology,
    images: &BTreeSet<Image>,
    context: &Context<'_>,
) -> BTreeSet<Image> {
    if topology.settings.force_image_download {
        return images.clone();
    }
    let all = topology.roles.iter().flat_map(|role| {
        let of_disk = |(i, disk)| source(role, i, disk, &topology.settings);
        role.disks.iter().enumerate().filter(|(_, disk)| disk.refresh).filter_map(of_disk)
    });
    all.filter_map(|source| context.images.get(source).cloned()).collect()
}

/// The image that a disk is made from.
pub(super) fn source<'a>(
    role: &'a Role,
    number: usize,
    disk: &'a Disk,
    settings: &'a Settings,
) -> Option<&'a String> {
    let system = number == 0 && role.deploy_os;
    let of_type = || role.import_url.as_ref().or(settings.image.as_ref()).filter(|_| system);
    disk.import_url.as_ref().or_else(of_type)
}

/// Every source of a base image that `topology` names, sorted.
pub fn image_sources(topology: &Topology) -> BTreeSet<String> {
    let mut sources = BTreeSet::new();
    for role in topology.roles.iter().filter(|r| r.count > 0) {
        for (i, disk) in role.disks.iter().enumerate() {
            if let Some(source) = &disk.import_url {
                sources.insert(source.clone());
            } else if i == 0 && role.deploy_os {
                sources.extend(role.import_url.clone().or(topology.settings.image.clone()));
            }
        }
    }
    sources
}
