//! First-boot set-up as files: one method so far, cloud-init's NoCloud data source.
//!
//! Everything a guest learns comes from here. The seed holds the guest's private host key, which is
//! why its text is a [`Secret`] and its volume readable by nobody but QEMU.

mod cloud_init;

pub use cloud_init::{READY_PORT, seed_files};

use crate::values::Secret;

/// One file of a seed volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedFile {
    /// Name in the volume's root.
    pub name: &'static str,
    /// Content.
    pub content: Secret,
}
