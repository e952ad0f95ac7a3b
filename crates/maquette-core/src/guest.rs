//! First-boot set-up as files: one method so far, cloud-init's NoCloud data source.
//!
//! Everything a guest learns comes from here. The seed holds the guest's private host key, which is
//! why its text is a [`Secret`] and its volume readable by nobody but QEMU.

mod cloud_init;

use std::fmt;

pub use cloud_init::{READY_PORT, seed_files};

/// Text that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for writing it where it belongs.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// One file of a seed volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedFile {
    /// Name in the volume's root.
    pub name: &'static str,
    /// Content.
    pub content: Secret,
}
