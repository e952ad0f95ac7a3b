//! Images, hypervisors, workspaces.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Place;

/// What to do with images.
#[derive(Debug, Subcommand)]
pub enum Image {
    /// List the images that can be named
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Build an image from distribution packages, without downloading a cloud image
    Build {
        /// Which one
        name: String,
        /// File to write [default: where `--image-url NAME` finds it]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Build it even if it is there
        #[arg(long)]
        force: bool,
    },
    /// Remove cached base images that no domain uses
    Prune {
        /// Which hypervisor and pool.
        #[command(flatten)]
        place: Place,
    },
}

/// What to do with built-in files.
#[derive(Debug, Subcommand)]
pub enum Topology {
    /// List node types and network files
    List,
    /// Print one file
    Show {
        /// Its name
        name: String,
    },
}

/// What to do with a hypervisor.
#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// Report what it has and lacks, and change nothing
    Check {
        /// Which one.
        #[command(flatten)]
        place: Place,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Undo what preparation has changed; refused while domains exist
    Restore {
        /// Which one.
        #[command(flatten)]
        place: Place,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// Print what happens as JSON, one event a line
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `inventory`.
#[derive(Debug, Args)]
pub struct Inventory {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// All groups and hosts (what Ansible asks for)
    #[arg(long, conflicts_with = "host")]
    pub list: bool,
    /// Variables of one host
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

/// What to do with workspaces.
#[derive(Debug, Subcommand)]
pub enum WorkspaceCommand {
    /// Make a workspace
    Create {
        /// Its name [default: from the time]
        name: Option<String>,
    },
    /// Make a workspace the active one
    Checkout {
        /// Its name
        name: String,
        /// Make it first
        #[arg(short, long)]
        create: bool,
    },
    /// List workspaces
    List {
        /// Only the name of the active one
        #[arg(long)]
        active: bool,
    },
    /// Remove workspaces (not the environments)
    Delete {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Empty a workspace
    Cleanup {
        /// Its name
        name: String,
    },
    /// Write a workspace into an archive
    Export {
        /// Its name [default: the active one]
        #[arg(short, long, value_name = "NAME")]
        name: Option<String>,
        /// Archive, without its ending [default: the name]
        #[arg(short, long, value_name = "FILE")]
        filename: Option<PathBuf>,
        /// Put keys from elsewhere into the archive too
        #[arg(short = 'K', long)]
        copy_keys: bool,
    },
    /// Make a workspace from an archive, and activate it
    Import {
        /// The archive: a file or a URL
        filename: String,
        /// Its name [default: the archive's]
        #[arg(short, long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Print the path of a workspace's inventory
    Inventory {
        /// Its name [default: the active one]
        name: Option<String>,
    },
    /// List nodes
    NodeList {
        /// Workspace [default: the active one]
        #[arg(short, long, value_name = "NAME")]
        name: Option<String>,
        /// Only this group
        #[arg(short, long, value_name = "GROUP")]
        group: Option<String>,
        /// Form
        #[arg(short, long, value_enum, default_value_t = TableFormat::Fancy)]
        format: TableFormat,
    },
    /// List groups
    GroupList {
        /// Workspace [default: the active one]
        #[arg(short, long, value_name = "NAME")]
        name: Option<String>,
    },
}

/// Forms of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// Boxes
    Fancy,
    /// JSON
    Json,
}
