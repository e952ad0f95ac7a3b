//! Which images a topology names, and which of them are downloaded again.

use std::collections::BTreeSet;

use super::Context;
use crate::blueprint::{Image, Node};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::topology::{Disk, Role, Settings, Topology};
use crate::values::FileName;

/// What is known of whether images have cloud-init, by their volumes as they come. All others have it: they are made for clouds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudInit {
    /// Those in which a Linux system was found, and no cloud-init.
    pub lacking: BTreeSet<FileName>,
    /// Those that nobody has looked into.
    pub unknown: BTreeSet<FileName>,
}

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
            again.extend(known.map(|source| image(role, number, source, None, context)));
        }
    }
    again
}

/// The image that a disk of a node type overlays: of its system disk as the type has it set up. `there` is the node as it is.
pub(super) fn image(
    role: &Role,
    number: usize,
    source: &str,
    there: Option<&Node>,
    context: &Context<'_>,
) -> Image {
    let unknown = || Image { source: source.into(), volume: FileName::unknown() };
    let image = context.images.get(source).cloned().unwrap_or_else(unknown);
    if number != 0 || !role.deploy_os {
        return image;
    }
    // A node of it stays as it is, whatever is found out of its image later or was forgotten with that.
    let overlaid = there.and_then(|node| node.disks.first()?.backing.as_ref());
    let same = overlaid.filter(|known| known.as_it_comes().volume == image.volume);
    let usual = || {
        let lacks = || context.cloud_init.lacking.contains(&image.volume);
        role.adapt_image && same.map_or_else(lacks, Image::is_customized)
    };
    if role.customize.unwrap_or_else(usual) { image.customized() } else { image }
}

/// Node types whose nodes are set up from a seed by what is in their image, and nobody says that it is to be used as it comes;
/// with that image.
fn set_up<'a>(
    topology: &'a Topology,
    context: &'a Context<'_>,
) -> impl Iterator<Item = (&'a Role, &'a Image)> {
    let roles = topology.roles.iter().filter(|role| {
        role.count > 0 && role.deploy_os && role.adapt_image && role.customize.is_none()
    });
    roles.filter_map(|role| {
        let source = source(role, 0, role.disks.first()?, &topology.settings)?;
        Some((role, context.images.get(source)?))
    })
}

/// Images that are fetched before it is decided how their nodes are made, since these are to be set up from a seed. Where one is
/// known to have no cloud-init, and a node type needs that, it is reported.
pub(super) fn looked_into(
    topology: &Topology,
    nodes: &[Node],
    context: &Context<'_>,
    diags: &mut Diagnostics,
) -> BTreeSet<Image> {
    without_cloud_init(topology, nodes, context, diags);
    let unknown = |image: &&Image| context.cloud_init.unknown.contains(&image.volume);
    set_up(topology, context).map(|(_, image)| image).filter(unknown).cloned().collect()
}

/// Reports node types with `user_data` whose image has no cloud-init, which alone knows it.
fn without_cloud_init(
    topology: &Topology,
    nodes: &[Node],
    context: &Context<'_>,
    diags: &mut Diagnostics,
) {
    let lacks = |node: &Node| {
        let image = node.disks.first().and_then(|disk| disk.backing.as_ref());
        image.is_some_and(Image::is_customized)
    };
    let asks = |(role, _): &(&Role, &Image)| {
        let mut own = nodes.iter().filter(|node| node.role == role.name.value);
        role.first_boot.needs_cloud_init() && own.any(lacks)
    };
    for (role, image) in set_up(topology, context).filter(asks) {
        let message = format!(
            "`user_data` of node type `{}` needs cloud-init, which image `{}` does not have",
            role.file,
            image.shown()
        );
        let diagnostic = Diagnostic::error("topology::customize", message).at(role.span, "");
        diags.push(diagnostic.help("`packages`, `files` and `commands` do without").help(
            "`customize: no` uses the image as it is; `--force-image-download` fetches it again",
        ));
    }
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
