//! Which images a topology names, and which of them are downloaded again.

use std::collections::BTreeSet;

use super::Context;
use crate::blueprint::Image;
use crate::topology::{Disk, Role, Settings, Topology};
use crate::values::FileName;

/// Images that are to be downloaded again: all of them, or those of single disks.
pub(super) fn refreshed(
    topology: &Topology,
    images: &BTreeSet<Image>,
    context: &Context<'_>,
) -> BTreeSet<Image> {
    if topology.settings.force_image_download {
        return images.clone();
    }
    let mut again = BTreeSet::new();
    for role in &topology.roles {
        for (number, disk) in role.disks.iter().enumerate().filter(|(_, disk)| disk.refresh) {
            let source = source(role, number, disk, &topology.settings);
            let known = source.filter(|source| context.images.contains_key(*source));
            again.extend(known.map(|source| image(role, number, source, context)));
        }
    }
    again
}

/// The image that a disk of a node type overlays: of its system disk as the type has it set up.
pub(super) fn image(role: &Role, number: usize, source: &str, context: &Context<'_>) -> Image {
    let unknown = || Image { source: source.into(), volume: FileName::unknown() };
    let image = context.images.get(source).cloned().unwrap_or_else(unknown);
    if role.customize && number == 0 && role.deploy_os { image.customized() } else { image }
}

/// Whether an image is to be downloaded again.
pub fn is_refreshed(topology: &Topology, image: &str) -> bool {
    let mut all = topology.roles.iter().flat_map(|role| sources(role, &topology.settings));
    topology.settings.force_image_download
        || all.any(|(disk, source)| disk.refresh && source == image)
}

/// The disks of a node type that are made from images, with these.
fn sources<'a>(
    role: &'a Role,
    settings: &'a Settings,
) -> impl Iterator<Item = (&'a Disk, &'a String)> {
    let disks = role.disks.iter().enumerate();
    disks.filter_map(move |(i, disk)| Some((disk, source(role, i, disk, settings)?)))
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
    let wanted = topology.roles.iter().filter(|role| role.count > 0);
    let all = wanted.flat_map(|role| sources(role, &topology.settings));
    all.map(|(_, source)| source.clone()).collect()
}
