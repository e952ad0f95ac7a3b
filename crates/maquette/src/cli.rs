//! The command line's definition. Help, environment variables and completions all come from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Builds scale models of production: whole environments of virtual machines and networks, with
/// libvirt and QEMU/KVM, on one machine.
#[derive(Debug, Parser)]
#[command(name = "maquette", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// Of the older tool: do not append this command to its log
    #[arg(long, hide = true)]
    pub no_log_commands: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what `up` would do, and touch nothing
    Plan(Plan),
    /// Build the environment, or bring it to what is asked for now
    Up(Up),
    /// Show the nodes of the environment
    Status(Status),
    /// Log in to a node, or run a command on it
    Ssh(Ssh),
    /// Remove the environment with all its disks, or some of its nodes
    Down(Down),
    /// The hypervisor: check it, put it back as it was
    #[command(subcommand)]
    Host(HostCommand),
    /// Print the environment as Ansible's dynamic inventory
    Inventory(Inventory),
    /// The older tool's provisioner: `infrared virsh …` with one word replaced
    ///
    /// Takes that tool's options, answers files and IR_… variables; `maquette virsh --help` lists
    /// them.
    #[command(disable_help_flag = true)]
    Virsh {
        /// The older tool's arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
        args: Vec<String>,
    },
    /// Workspaces: an environment's inventory, keys and outputs under a name
    #[command(subcommand)]
    Workspace(WorkspaceCommand),
    /// Accepted for scripts of the older tool; the provisioner is built in
    #[command(hide = true)]
    Plugin {
        /// The older tool's arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Base images: list, build, remove
    #[command(subcommand)]
    Image(Image),
    /// The node and network files that come with Maquette
    #[command(subcommand)]
    Topology(Topology),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Which environment, and where.
#[derive(Debug, Args)]
pub struct Place {
    /// Project file [default: maquette.yaml, if there is one]
    #[arg(long, value_name = "FILE", env = "MAQUETTE_PROJECT", help_heading = "Environment")]
    pub project: Option<PathBuf>,
    /// Prefix of all names, so that several environments share a hypervisor
    #[arg(long, value_name = "NAME", env = "MAQUETTE_PREFIX", help_heading = "Environment")]
    pub prefix: Option<String>,
    /// Directory for inventory, ssh config and key
    /// [default: ~/.local/share/maquette/workspaces/ENVIRONMENT]
    #[arg(long, value_name = "DIR", env = "MAQUETTE_WORKSPACE", help_heading = "Environment")]
    pub workspace: Option<PathBuf>,
    /// Hypervisor, as `ssh` knows it [default: this machine]
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "MAQUETTE_HOST_ADDRESS",
        help_heading = "Hypervisor"
    )]
    pub host_address: Option<String>,
    /// SSH user on it, root or one who may use sudo without a password
    /// [default: as your ssh configuration says, else root]
    #[arg(long, value_name = "USER", env = "MAQUETTE_HOST_USER", help_heading = "Hypervisor")]
    pub host_user: Option<String>,
    /// Private key for it [default: as your ssh configuration or agent says]
    #[arg(long, value_name = "FILE", env = "MAQUETTE_HOST_KEY", help_heading = "Hypervisor")]
    pub host_key: Option<PathBuf>,
    /// Accept its host key if it has this fingerprint; for when nobody is there to confirm it
    #[arg(
        long,
        value_name = "SHA256:…",
        env = "MAQUETTE_HOST_KEY_FINGERPRINT",
        help_heading = "Hypervisor"
    )]
    pub host_key_fingerprint: Option<String>,
    /// libvirt storage pool of all volumes [default: images]
    #[arg(long, value_name = "NAME", env = "MAQUETTE_POOL_NAME", help_heading = "Hypervisor")]
    pub pool_name: Option<String>,
    /// Directory of that pool [default: /var/lib/libvirt/images]
    #[arg(long, value_name = "DIR", env = "MAQUETTE_DISK_POOL", help_heading = "Hypervisor")]
    pub disk_pool: Option<String>,
}

/// What to build.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Where it is built, and under what name.
    #[command(flatten)]
    pub place: Place,
    /// Node types with counts; types are built-in names, names in your topology directory, or paths
    #[arg(
        long,
        value_name = "TYPE:COUNT,…",
        env = "MAQUETTE_TOPOLOGY_NODES",
        help_heading = "Topology"
    )]
    pub topology_nodes: Option<String>,
    /// Network file: a built-in name, a name in your topology directory, or a path [default: 3_nets]
    #[arg(long, value_name = "NAME", env = "MAQUETTE_TOPOLOGY_NETWORK", help_heading = "Topology")]
    pub topology_network: Option<String>,
    /// Add these nodes to those that are there, which stay as they are
    #[arg(
        long,
        value_name = "YES|NO",
        env = "MAQUETTE_TOPOLOGY_EXTEND",
        help_heading = "Topology",
        value_parser = boolean,
        num_args = 0..=1,
        default_missing_value = "yes"
    )]
    pub topology_extend: Option<bool>,
    /// Change a value (`override.controller.memory=1024`), or merge a file (`@FILE`); repeatable
    #[arg(short = 'e', long = "extra-vars", value_name = "KEY=VALUE", help_heading = "Topology")]
    pub extra_vars: Vec<String>,
    /// Third octet for `{{ net }}` in the network file
    #[arg(
        long = "net_subnet",
        alias = "net-subnet",
        value_name = "N",
        env = "MAQUETTE_NET_SUBNET",
        help_heading = "Topology"
    )]
    pub net_subnet: Option<u8>,
    /// Third octet for `{{ data_net }}` in the network file
    #[arg(
        long = "data_subnet",
        alias = "data-subnet",
        value_name = "N",
        env = "MAQUETTE_DATA_SUBNET",
        help_heading = "Topology"
    )]
    pub data_subnet: Option<u8>,
    /// MTU of all networks and of the nodes' interfaces, in bytes
    #[arg(
        long,
        value_name = "BYTES",
        env = "MAQUETTE_HOST_NETWORK_MTU_SIZE",
        help_heading = "Topology"
    )]
    pub host_network_mtu_size: Option<u32>,
    /// Base image: a URL, a file, or a name from `maquette image list`
    #[arg(long, value_name = "URL|PATH|NAME", env = "MAQUETTE_IMAGE_URL", help_heading = "Guests")]
    pub image_url: Option<String>,
    /// Download the image again even if it is in the pool
    #[arg(
        long,
        value_name = "YES|NO",
        env = "MAQUETTE_FORCE_IMAGE_DOWNLOAD",
        help_heading = "Guests",
        value_parser = boolean,
        num_args = 0..=1,
        default_missing_value = "yes"
    )]
    pub force_image_download: Option<bool>,
    /// Further certificate authorities for downloads: PEM files or URLs, separated by commas
    #[arg(long, value_name = "FILE|URL,…", env = "MAQUETTE_TLS_CA", help_heading = "Guests")]
    pub tls_ca: Option<String>,
    /// Where appliance images come from
    #[arg(long, value_name = "URL", env = "MAQUETTE_IMAGE_MIRROR_URL", help_heading = "Guests")]
    pub image_mirror_url: Option<String>,
    /// User with passwordless sudo on every node [default: cloud-user]
    #[arg(long, value_name = "NAME", env = "MAQUETTE_TOPOLOGY_USERNAME", help_heading = "Guests")]
    pub topology_username: Option<String>,
    /// Time zone of the nodes, such as Europe/Prague [default: the image's]
    #[arg(long, value_name = "ZONE", env = "MAQUETTE_TOPOLOGY_TIMEZONE", help_heading = "Guests")]
    pub topology_timezone: Option<String>,
    /// Bus of all disks that do not name one [default: virtio]
    #[arg(long, value_name = "BUS", env = "MAQUETTE_DISK_BUS", help_heading = "Guests")]
    pub disk_bus: Option<DiskBus>,
    /// Firmware of nodes without an operating system [default: bios]
    #[arg(long, value_name = "MODE", env = "MAQUETTE_BOOTMODE", help_heading = "Guests")]
    pub bootmode: Option<BootMode>,
    /// Build even if the hypervisor's memory does not suffice
    #[arg(
        long,
        value_name = "YES|NO",
        env = "MAQUETTE_HOST_MEMORY_OVERCOMMIT",
        help_heading = "Hypervisor",
        value_parser = boolean,
        num_args = 0..=1,
        default_missing_value = "yes"
    )]
    pub host_memory_overcommit: Option<bool>,
    /// Look whether the hypervisor can virtualise, and warn if it cannot [default: yes]
    #[arg(
        long,
        value_name = "YES|NO",
        env = "MAQUETTE_HOST_VALIDATE",
        help_heading = "Hypervisor",
        value_parser = boolean
    )]
    pub host_validate: Option<bool>,
    /// Hardware virtualisation or QEMU's emulation [default: auto]
    #[arg(long, value_name = "TYPE", env = "MAQUETTE_VIRT_TYPE", help_heading = "Hypervisor")]
    pub virt_type: Option<VirtType>,
}

/// What to do if somebody else is changing the environment.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Locking {
    /// How long to wait for somebody else who is changing the environment, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        hide_default_value = true,
        env = "MAQUETTE_LOCK_WAIT",
        help_heading = "Environment"
    )]
    pub lock_wait: u64,
    /// End whoever is changing the environment, and go on from there
    #[arg(long, help_heading = "Environment")]
    pub take_over: bool,
}

impl Locking {
    /// As the environment variable says, for commands without flags of ours.
    pub fn from_environment() -> Self {
        let wait = std::env::var("MAQUETTE_LOCK_WAIT").ok().and_then(|t| t.parse().ok());
        Self { lock_wait: wait.unwrap_or(0), take_over: false }
    }
}

/// A truth value, in any of YAML's words.
pub fn boolean(text: &str) -> Result<bool, String> {
    maquette_core::decode::parse_bool(text).ok_or_else(|| "expected yes or no".into())
}

/// Buses that `--disk-bus` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiskBus {
    /// `vda`, `vdb`, …
    Virtio,
    /// `sda`, `sdb`, …
    Scsi,
}

/// Firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BootMode {
    /// SeaBIOS
    Bios,
    /// UEFI
    Uefi,
}

/// How guests are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VirtType {
    /// KVM where it works, else emulation
    Auto,
    /// Hardware virtualisation
    Kvm,
    /// QEMU's emulation
    Qemu,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// What to build.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with 3 if there is something to do
    #[arg(long)]
    pub exit_code: bool,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// What to build.
    #[command(flatten)]
    pub wanted: Wanted,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
    /// Do not ask before nodes lose their disks
    #[arg(short, long)]
    pub yes: bool,
    /// How long the first boot of a node may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, env = "MAQUETTE_TIMEOUT")]
    pub timeout: u64,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `ssh`.
#[derive(Debug, Args)]
pub struct Ssh {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// The node
    pub node: String,
    /// A command to run there instead of a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Arguments of `down`.
#[derive(Debug, Args)]
pub struct Down {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// Nodes to remove [default: everything]
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
}

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
