//! Every option of InfraRed's provisioner: one row each, from which come parser, help,
//! answers files, environment variables and checks.

use maquette_core::syntax::parse_bool;

/// What a value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Value,
    /// One of YAML 1.1's booleans.
    Bool,
    /// Text between commas.
    List,
    /// Addresses; the option may be given several times.
    Addresses,
    /// A file looked up below `topology/network`.
    Network,
    /// Node types with counts.
    Nodes,
    /// One of a few words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// The words that a value is one of, where there are few; a boolean has more spellings of them.
    pub fn words(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Bool => Some(&["yes", "no"]),
            Self::Choice(words) => Some(words),
            _ => None,
        }
    }

    /// Whether a text is one of these words.
    pub fn takes(self, text: &str) -> bool {
        match self {
            Self::Bool => parse_bool(text).is_some(),
            Self::Choice(words) => words.contains(&text),
            _ => true,
        }
    }
}

/// How far an option is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It works.
    Full,
    /// It is taken and changes nothing; said if it is given.
    Ignored(&'static str),
    /// Its feature comes later: any value but the harmless one is refused.
    Later {
        /// A value that asks for nothing.
        harmless: &'static str,
    },
}

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opt {
    /// Without dashes in front.
    pub name: &'static str,
    /// What its value becomes.
    pub kind: Kind,
    /// Value if nobody gives one.
    pub default: Option<&'static str>,
    /// Whether there must be one.
    pub required: bool,
    /// Heading of the help.
    pub group: &'static str,
    /// What it does.
    pub help: &'static str,
    /// How far it is supported.
    pub support: Support,
}

impl Opt {
    /// Its environment variable, without the prefix: `HOST_ADDRESS`.
    pub fn variable(&self) -> String {
        self.name.to_uppercase().replace('-', "_")
    }

    /// Where it is in the settings tree, below `provision`.
    pub fn path(&self) -> Vec<&'static str> {
        self.name.split('-').collect()
    }

    /// Why it cannot have a value, which is shown as it was given.
    pub fn refusal(&self, shown: &str) -> String {
        let words = self.kind.words().unwrap_or_default().join(", ");
        format!("--{} cannot be {shown}; it is one of {words}", self.name)
    }

    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.name.contains("password")
    }
}

macro_rules! options {
    ($($group:literal { $($name:literal $kind:expr, $default:expr, $support:expr, $help:literal;)* })*) => {
        &[$($(Opt {
            name: $name,
            kind: $kind,
            default: $default,
            required: matches!($name.as_bytes(), b"host-address" | b"host-key"),
            group: $group,
            help: $help,
            support: $support,
        }),*),*]
    };
}

use Kind::{Addresses, Bool, Choice, List, Network, Nodes, Value};
use Support::{Full, Ignored};

const NO: Support = Support::Later { harmless: "no" };
const NONE: Support = Support::Later { harmless: "" };

/// All options, in the order of the help.
pub const OPTIONS: &[Opt] = options! {
    "Hypervisor" {
        "host-address" Addresses, None, Full,
            "Address of the hypervisor";
        "host-user" Value, Some("root"), Full,
            "SSH user on the hypervisor: root, or one who may use sudo without a password";
        "host-key" Value, None, Full,
            "Private key file for the hypervisor";
        "host-validate" Bool, Some("yes"), Full,
            "Look whether the hypervisor can virtualise, and warn if it cannot";
        "host-memory-overcommit" Bool, Some("no"), Full,
            "Build even if the hypervisor's memory does not suffice";
        "host-mtu-size" Value, Some("no"), Full,
            "MTU of the hypervisor's NICs below bridged networks, in bytes";
        "host-network-mtu-size" Value, Some("no"), Full,
            "MTU of all networks and of the nodes' interfaces, in bytes";
        "host-network-multicast-querier" Bool, Some("no"), Full,
            "Have the bridge of network `external` send multicast queries";
    }
    "Image" {
        "image-url" Value,
            Some("https://url.corp.redhat.com/rhel-guest-image-7-6-210-x86-64-qcow2"), Full,
            "Base image of nodes with an operating system: a URL, a file, or a name from `maquette image list`";
        "force-image-download" Bool, Some("no"), Full,
            "Download the image even if it is there";
        "disk-pool" Value, Some("/var/lib/libvirt/images"), Full,
            "Directory of the storage pool";
        "pool-name" Value, Some("images"), Full,
            "libvirt storage pool";
        "image-mirror-url" Value, Some("https://url.corp.redhat.com/rhos-qe-mirror-tlv"), Full,
            "Where appliance images come from";
        "image-ssh_user" Value, Some("root"), Ignored("the user comes from the node file, else from --topology-username"),
            "SSH user of the image (no effect: node files and --topology-username say it)";
        "image-ansible_connection" Value, Some("ssh"), Ignored("the connection comes from the node file, else it is ssh"),
            "Ansible connection of the image (no effect: node files say it)";
    }
    "Topology" {
        "prefix" Value, None, Full,
            "Prefix of all names, so that several environments share a hypervisor";
        "net_subnet" Value, None, Full,
            "Third octet for `{{ net }}` in the network file";
        "data_subnet" Value, None, Full,
            "Third octet for `{{ data_net }}` in the network file";
        "topology-network" Network, Some("3_nets"), Full,
            "Network file: a name or a path";
        "topology-net-url" Value, None, Full,
            "Address of a network file";
        "topology-nodes" Nodes, None, Full,
            "Node types with counts: undercloud:1,controller:3";
        "topology-username" Value, Some("cloud-user"), Full,
            "User with passwordless sudo on every node";
        "topology-extend" Bool, Some("no"), Full,
            "Add the nodes to the environment that is there";
        "topology-timezone" Value, None, Full,
            "Time zone of hypervisor and nodes";
    }
    "Serial console, clean-up, boot, disks" {
        "serial-files" Bool, Some("no"), Full,
            "Have each node's serial console written to /var/lib/libvirt/qemu/NODE-serial.log";
        "cleanup" Bool, None, Full,
            "Remove all domains and networks of the hypervisor";
        "kill" Bool, None, Full,
            "Remove this environment";
        "remove-nodes" List, None, Full,
            "Remove these nodes";
        "bootmode" Choice(&["bios", "uefi"]), Some("bios"), Full,
            "Firmware of nodes without an operating system";
        "disk-bus" Choice(&["virtio", "scsi"]), Some("virtio"), Full,
            "Bus of all disks that do not name one";
        "virtopts" Value, Some(""), Full,
            "Further arguments of virt-install";
        "tls-ca" Value, Some(""), Full,
            "Further certificate authorities for downloads: PEM files or URLs, separated by commas";
    }
    "VNC, facts, BGP" {
        "vnc-external" Bool, Some("no"), Full,
            "Have VNC listen on all addresses, with a random password unless there is --vnc-password";
        "vnc-password" Value, None, Full,
            "VNC password";
        "collect-ansible-facts" Bool, Some("no"), Full,
            "Save the facts of this machine and the hypervisor as JSON";
        "bgp-topology-mode" Choice(&["basic"]), None, Full,
            "Which interfaces of BGP node files to use";
    }
    "Snapshots" {
        "virsh-snapshot-create" Bool, Some("no"), NO,
            "Make a snapshot of each node";
        "virsh-snapshot-restore" Bool, Some("no"), NO,
            "Put each node back to a snapshot";
        "virsh-snapshot-name" Value, None, NONE,
            "Name of the snapshot";
        "virsh-snapshot-servers" Value, Some(".*"), Support::Later { harmless: ".*" },
            "Regular expression for the domains concerned";
        "virsh-snapshot-export" Bool, Some("no"), NO,
            "Write disks and definitions to a directory of the hypervisor";
        "virsh-snapshot-import" Bool, Some("no"), NO,
            "Replace nodes by an exported set";
        "virsh-snapshot-path" Value, None, NONE,
            "That directory";
        "virsh-snapshot-container" Value, None, NONE,
            "Object storage location, such as s3://bucket";
        "virsh-snapshot-upload" Bool, Some("no"), NO,
            "Push the directory to object storage";
        "virsh-snapshot-download" Bool, Some("no"), NO,
            "Pull it from there";
        "virsh-snapshot-cleanup" Bool, Some("no"), NO,
            "Delete the directory afterwards";
        "virsh-snapshot-quiesce" Bool, Some("no"), NO,
            "Bring an OpenStack to a steady state afterwards";
    }
};

/// Options that must have a value when one of others is true.
pub const REQUIRED_WHEN: &[(&str, &[&str])] = &[
    ("virsh-snapshot-name", &["virsh-snapshot-create", "virsh-snapshot-restore"]),
    (
        "virsh-snapshot-path",
        &[
            "virsh-snapshot-export",
            "virsh-snapshot-import",
            "virsh-snapshot-upload",
            "virsh-snapshot-download",
        ],
    ),
    ("virsh-snapshot-container", &["virsh-snapshot-upload", "virsh-snapshot-download"]),
];

/// The option of a name.
pub fn find(name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|o| o.name == name)
}
