//! First-boot set-up as files: cloud-init's NoCloud data source, and beside it what the agent of prepared images
//! needs.
//!
//! Everything a guest learns comes from here. The seed holds the guest's private host key, which is
//! why its text is a [`Secret`] and its volume readable by nobody but QEMU.

mod cloud_init;
mod first_boot;
mod identity;
pub mod report;
mod user_data;

pub use cloud_init::READY_PORT;

use crate::blueprint::{Guest, Image, Node};
use crate::topology::FirstBoot;
use crate::values::Secret;

/// One file of a seed volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedFile {
    /// Name in the volume's root.
    pub name: &'static str,
    /// Content, which may have keys and passwords in it.
    pub content: Secret,
}

/// The files of a template's seed: a system that boots as nobody, so that its memory can become any node's. Where no
/// agent takes it up, cloud-init says on the port that it does, and does nothing else. `user` is the account that its
/// nodes have.
pub fn template_files(user: &str) -> Vec<SeedFile> {
    let file = |name, content: String| SeedFile { name, content: Secret::new(content) };
    vec![
        file("meta-data", cloud_init::template_meta_data()),
        file("user-data", cloud_init::template_user_data()),
        file("identity", identity::template(user)),
    ]
}

/// The files of a node's seed. `host_key` is the private key, in OpenSSH's format; `first_boot`
/// is what there is to do besides setting the node up. Whatever comes after `network-config` is for the agent that
/// prepared images have in place of cloud-init, and that reads `network-config`, too; so does what virt-customize puts into
/// others, which is a shell's.
pub fn seed_files(
    node: &Node,
    guest: &Guest,
    host_key: &Secret,
    first_boot: Option<&FirstBoot>,
) -> Vec<SeedFile> {
    let file = |name, content: String| SeedFile { name, content: Secret::new(content) };
    let first_boot = first_boot.map(|first_boot| first_boot.of_user(&guest.user));
    let first_boot = first_boot.as_ref();
    let mut files = vec![
        file("meta-data", cloud_init::meta_data(node)),
        file("user-data", cloud_init::user_data(node, guest, host_key, first_boot)),
        file("network-config", cloud_init::network_config(&node.interfaces)),
    ];
    if first_boot.is_some_and(FirstBoot::needs_cloud_init) {
        // An agent that finds nothing for itself leaves the node to cloud-init.
        return files;
    }
    files.push(file("identity", identity::text(node, guest)));
    files.push(SeedFile { name: "host-key", content: host_key.clone() });
    files.extend(first_boot.map(|first_boot| file("first-boot", first_boot::json(first_boot))));
    let image = node.disks.first().and_then(|disk| disk.backing.as_ref());
    if image.is_some_and(Image::is_customized) {
        files.extend(
            first_boot.map(|first_boot| file("first-boot.sh", first_boot::shell(first_boot))),
        );
    }
    files
}
