//! The node and network files that come with Maquette, as they are in `defaults/`.

use include_dir::{Dir, include_dir};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/defaults");

/// Which folder a file is looked up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Node types.
    Nodes,
    /// Networks.
    Network,
}

impl Kind {
    /// The folder below `topology/`.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Network => "network",
        }
    }
}

/// The text of a built-in file; `name` with or without `.yml`.
pub fn get(kind: Kind, name: &str) -> Option<&'static str> {
    let name = name.strip_suffix(".yml").unwrap_or(name);
    // The older manual calls this file so.
    let name = if name == "3_net_1_bridge" { "3_nets_1_bridge" } else { name };
    FILES.get_file(format!("{}/{name}.yml", kind.folder()))?.contents_utf8()
}

/// Names of all built-in files of a kind, sorted.
pub fn names(kind: Kind) -> Vec<&'static str> {
    let mut names: Vec<&str> = FILES
        .get_dir(kind.folder())
        .into_iter()
        .flat_map(|dir| dir.files())
        .filter_map(|file| file.path().file_stem()?.to_str())
        .collect();
    names.sort_unstable();
    names
}
