//! The verbs. Each is a file with its `Args` and its `run`, and a row here.

mod common;
mod convert;

use clap::{Parser, Subcommand};
pub(crate) use common::{foreground, power, ssh_routes, usage_error};

use crate::failure::Failure;
use crate::world::World;

/// Builds scale models of production: whole environments of virtual machines and networks, with
/// libvirt and QEMU/KVM, on one machine.
#[derive(Debug, Parser)]
#[command(name = "maquette", version, max_term_width = 100, after_help = DOCUMENTATION)]
pub struct Cli {
    /// InfraRed's option: do not append this command to its log
    #[arg(long, hide = true)]
    pub no_log_commands: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The end of the program's own help page.
const DOCUMENTATION: &str =
    "Documentation: https://github.com/maquette-dev/maquette/blob/main/docs/src/SUMMARY.md";

/// The end of help pages of verbs that read the project file.
const BEGIN: &str = "What is built is described in maquette.yaml: `maquette init` writes one, `maquette explain` lists \
     its keys. A flag counts more, as in `-e override.web.memory=2048`.";

/// Declares each verb's module, its variant of the command line and who runs it.
macro_rules! verbs {
    ($($(#[$meta:meta])* $module:ident => $Verb:ident;)*) => {
        $(pub mod $module;)*

        /// What to do.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($(#[$meta])* $Verb($module::Args),)*
        }

        impl Command {
            /// Runs the verb; the exit code if it did not fail.
            pub fn run(&self, world: &World) -> Result<u8, Failure> {
                match self {
                    $(Self::$Verb(args) => $module::run(world, args),)*
                }
            }
        }
    };
}

impl Command {
    /// What to do after this command was interrupted while nodes boot, for people. Flags stay as they were.
    pub fn goes_on(&self) -> String {
        let continues = |verb: &str, nodes: &[String]| {
            let words = nodes.iter().map(|word| shlex::try_quote(word).unwrap_or_default());
            let words: Vec<_> = [verb.into()].into_iter().chain(words).collect();
            format!("`maquette {}` continues", words.join(" "))
        };
        let start = |power: &power::PowerArgs| match power.all {
            true => continues("start --all", &[]),
            false => continues("start", &power.nodes),
        };
        match self {
            Self::Up(args) => continues("up", &args.nodes),
            Self::Image(_) => "`maquette image warm` continues".into(),
            Self::Start(args) => start(&args.power),
            // It would stop what boots by then.
            Self::Restart(args) => start(&args.power),
            _ => "the same command continues".into(),
        }
    }
}

verbs! {
    /// Write a project file to begin with
    init => Init;
    /// Check all that can be checked without a hypervisor
    #[command(after_help = BEGIN)]
    validate => Validate;
    /// Explain settings and keys: what they mean, how and where they are written
    explain => Explain;
    /// Show what `up` would do, and touch nothing
    #[command(after_help = BEGIN)]
    plan => Plan;
    /// Build the environment, or bring it to what is asked for now
    #[command(after_help = BEGIN)]
    up => Up;
    /// Show the nodes of the environment
    status => Status;
    /// Find out what is wrong: why nodes are not ready, or do not reach the outside
    doctor => Doctor;
    /// Write what others need to find out what is wrong into a file, without secrets
    report => Report;
    /// List the environments of a hypervisor
    #[command(visible_alias = "ls")]
    list => List;
    /// Log in to a node, or run a command on it
    ssh => Ssh;
    /// Copy files to and from nodes
    #[command(visible_alias = "scp")]
    cp => Cp;
    /// Run a command on many nodes at once
    exec => Exec;
    /// Make ports of a node reachable on this machine
    forward => Forward;
    /// Let others log in to the nodes with their own keys, and show who may
    share => Share;
    /// Take away a key that nodes were shared with
    unshare => Unshare;
    /// Connect to a node's serial console
    console => Console;
    /// BMCs of nodes, which speak Redfish and IPMI
    #[command(subcommand)]
    bmc => Bmc;
    /// Take a picture of a node's screen
    screenshot => Screenshot;
    /// Show a node's screen with a VNC viewer
    open => Open;
    /// Print what a node wrote to its serial console
    logs => Logs;
    /// Links of nodes' interfaces: show, take down, bring up, limit
    #[command(subcommand)]
    link => Link;
    /// Record what goes through an interface, as a pcap stream
    capture => Capture;
    /// Draw the environment: nodes, interfaces, networks, addresses
    graph => Graph;
    /// Show the environment in a browser, as it changes
    view => View;
    /// Start nodes, and wait until they answer
    start => Start;
    /// Shut nodes down, and switch them off if that takes too long
    stop => Stop;
    /// Shut nodes down and start them
    restart => Restart;
    /// Press nodes' reset button
    reset => Reset;
    /// Pause nodes
    pause => Pause;
    /// Let paused nodes go on
    resume => Resume;
    /// Remove the environment with all its disks, or some of its nodes
    #[command(visible_alias = "destroy")]
    down => Down;
    /// Give an environment that expires more time
    extend => Extend;
    /// The hypervisor: check it, put it back as it was
    #[command(subcommand)]
    host => Host;
    /// Print the environment as Ansible's dynamic inventory
    inventory => Inventory;
    /// InfraRed's provisioner: `infrared virsh …` with one word replaced
    ///
    /// It takes InfraRed's options, answers files and `IR_…` variables; `maquette virsh --help` lists
    /// them.
    #[command(disable_help_flag = true)]
    virsh => Virsh;
    /// Workspaces: an environment's inventory, keys and outputs under a name
    #[command(subcommand)]
    workspace => Workspace;
    /// Accepted for scripts of InfraRed; the provisioner is built in
    #[command(hide = true)]
    plugin => Plugin;
    /// Base images: list, build, remove
    #[command(subcommand)]
    image => Image;
    /// The node and network files that come with Maquette
    #[command(subcommand)]
    topology => Topology;
    /// Print the JSON schema of a file (project, nodes, network), for editors, or of what a verb prints with --json
    schema => Schema;
    /// Print completions for a shell
    completions => Completions;
    /// Write a manual page for each verb, for packages
    #[command(hide = true)]
    man_pages => ManPages;
    /// Print the names that fit where somebody is typing, for completions
    #[command(hide = true)]
    complete_names => CompleteNames;
}
