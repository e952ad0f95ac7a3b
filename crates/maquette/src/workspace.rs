//! The local directory of an environment, and the other directories of the user.

use std::io;
use std::path::{Path, PathBuf};

use maquette_core::names::EnvName;

/// The directory with an environment's outputs.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Where it is.
    pub path: PathBuf,
}

/// A directory of the XDG base directory specification.
fn xdg(variable: &str, fallback: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(fallback)))
}

/// Where users keep their own topology files.
pub fn config_directory() -> Option<PathBuf> {
    xdg("XDG_CONFIG_HOME", ".config").map(|d| d.join("maquette"))
}

/// Where images are kept that were built here.
pub fn built_images() -> PathBuf {
    xdg("XDG_CACHE_HOME", ".cache")
        .unwrap_or_else(|| PathBuf::from("/var/cache"))
        .join("maquette/images")
}

impl Workspace {
    /// The workspace of an environment, or the one that the user named.
    pub fn locate(named: Option<&Path>, environment: &EnvName) -> Self {
        let path = match named {
            Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.into()),
            None => xdg("XDG_DATA_HOME", ".local/share")
                .unwrap_or_else(|| PathBuf::from("."))
                .join("maquette/workspaces")
                .join(environment.to_string()),
        };
        Self { path }
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the directory, for its owner only.
    pub fn create(&self) -> io::Result<()> {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(0o700))
    }
}
