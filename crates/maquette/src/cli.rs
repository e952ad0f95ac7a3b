//! The command line's definition. Help, environment variables and completions all come from here.

mod manage;
mod nodes;
mod wanted;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::consent::Kind;
pub use manage::*;
pub use nodes::*;
pub use wanted::*;

/// Builds scale models of production: whole environments of virtual machines and networks, with
/// libvirt and QEMU/KVM, on one machine.
#[derive(Debug, Parser)]
#[command(name = "maquette", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// Of InfraRed: do not append this command to its log
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
    /// Connect to a node's serial console
    Console(Console),
    /// Print what a node wrote to its serial console
    Logs(Logs),
    /// Interfaces of nodes as cables: pull, plug, limit
    #[command(subcommand)]
    Link(Link),
    /// Record what goes through an interface, as a pcap stream
    Capture(Capture),
    /// Draw the environment: nodes, interfaces, networks, addresses
    Graph(Graph),
    /// Start nodes, and wait until they answer
    Start(Power),
    /// Shut nodes down, and pull the plug if that takes too long
    Stop(Stop),
    /// Shut nodes down and start them
    Restart(Stop),
    /// Press nodes' reset button
    Reset(Power),
    /// Pause nodes
    Pause(Power),
    /// Let paused nodes go on
    Resume(Power),
    /// Remove the environment with all its disks, or some of its nodes
    Down(Down),
    /// The hypervisor: check it, put it back as it was
    #[command(subcommand)]
    Host(HostCommand),
    /// Print the environment as Ansible's dynamic inventory
    Inventory(Inventory),
    /// InfraRed's provisioner: `infrared virsh …` with one word replaced
    ///
    /// Takes that tool's options, answers files and IR_… variables; `maquette virsh --help` lists
    /// them.
    #[command(disable_help_flag = true)]
    Virsh {
        /// InfraRed's arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
        args: Vec<String>,
    },
    /// Workspaces: an environment's inventory, keys and outputs under a name
    #[command(subcommand)]
    Workspace(WorkspaceCommand),
    /// Accepted for scripts of InfraRed; the provisioner is built in
    #[command(hide = true)]
    Plugin {
        /// InfraRed's arguments
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
    /// Do not ask before just that; may be given several times
    #[arg(long, value_name = "WHAT", value_delimiter = ',', env = "MAQUETTE_ACCEPT")]
    pub accept: Vec<Kind>,
    /// How long the first boot of a node may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, env = "MAQUETTE_TIMEOUT")]
    pub timeout: u64,
}

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Picture {
    /// Text for a terminal.
    Text,
    /// A drawing.
    Svg,
    /// Mermaid, for Markdown.
    Mermaid,
    /// Graphviz.
    Dot,
}

/// Arguments of `graph`.
#[derive(Debug, Args)]
pub struct Graph {
    /// What to draw; what is there already is drawn with its state.
    #[command(flatten)]
    pub wanted: Wanted,
    /// How [default: as the file's name ends, else text]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Picture>,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
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
    /// Print again whenever something changes; with --json, one line each time
    #[arg(short, long)]
    pub watch: bool,
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
    /// Do not ask (or MAQUETTE_YES=1)
    #[arg(short, long)]
    pub yes: bool,
    /// Nodes to remove [default: everything]
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
}
