//! Every option of InfraRed's provisioner: those that are settings of ours, and a row for each of the others.
//! From them come parser, help, answers files, environment variables and checks.

use std::sync::LazyLock;

use maquette_core::scrub::is_secret_name;
use maquette_core::settings::{self, SETTINGS, Setting};
use maquette_core::syntax::parse_bool;

/// What a value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKind {
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
    Choice(&'static [settings::Word]),
}

impl OptionKind {
    /// The words that a value is one of, where there are few; a boolean has more spellings of them.
    pub fn words(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Bool => Some(vec!["yes", "no"]),
            Self::Choice(words) => Some(words.iter().map(|w| w.word).collect()),
            _ => None,
        }
    }

    /// Whether a text is one of these words.
    pub fn takes(self, text: &str) -> bool {
        match self {
            Self::Bool => parse_bool(text).is_some(),
            Self::Choice(words) => words.iter().any(|w| w.word == text),
            _ => true,
        }
    }

    /// What an option of InfraRed makes of a setting.
    fn of(row: &Setting) -> Self {
        match row.kind {
            settings::SettingKind::YesNo => Self::Bool,
            settings::SettingKind::Words(words) => Self::Choice(words),
            settings::SettingKind::Address => Self::Addresses,
            settings::SettingKind::Nodes => Self::Nodes,
            settings::SettingKind::Network => Self::Network,
            _ => Self::Value,
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
    pub kind: OptionKind,
    /// Whether its value is shown to nobody.
    pub secret: bool,
    /// Value if nobody gives one.
    pub default: Option<&'static str>,
    /// Whether there must be one.
    pub required: bool,
    /// Heading of the help.
    pub group: &'static str,
    /// Its place below that heading.
    pub place: u8,
    /// What its value is called in help.
    pub value: &'static str,
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

    /// Why it cannot have a value, which is shown as it was given; `called` is what the user knows it as.
    pub fn refusal(&self, called: &str, shown: &str) -> String {
        let words = self.kind.words().unwrap_or_default().join(", ");
        format!("{called} cannot be {shown}; it is one of {words}")
    }

    /// The option that a setting is.
    fn of(row: &Setting) -> Option<Self> {
        let infrared = row.infrared?;
        Some(Self {
            name: row.name,
            kind: OptionKind::of(row),
            secret: row.kind == settings::SettingKind::Secret,
            default: infrared.default,
            required: infrared.required,
            group: infrared.heading,
            place: infrared.place,
            value: row.value,
            help: row.doc,
            support: Full,
        })
    }
}

macro_rules! options {
    ($($group:literal {
        $($place:literal $name:literal $kind:expr, $default:expr, $support:expr, $help:literal;)*
    })*) => {
        &[$($(Opt {
            name: $name,
            kind: $kind,
            secret: false,
            default: $default,
            required: false,
            group: $group,
            place: $place,
            value: match $kind { Bool => "YES|NO", List => "A,B,…", _ => "VALUE" },
            help: $help,
            support: $support,
        }),*),*]
    };
}

use OptionKind::{Bool, List, Value};
use Support::{Full, Ignored};

const NO: Support = Support::Later { harmless: "no" };
const NONE: Support = Support::Later { harmless: "" };

/// The headings, in the order of the help.
const HEADINGS: [&str; 6] = [
    "Hypervisor",
    "Image",
    "Topology",
    "Serial console, clean-up, boot, disks",
    "VNC, facts, BGP",
    "Snapshots",
];

/// Options that are not settings of an environment.
const OTHERS: &[Opt] = options! {
    "Image" {
        5 "image-ssh_user" Value, Some("root"), Ignored("the user comes from the node file, else from --topology-username"),
            "SSH user of the image (no effect: node files and --topology-username say it)";
        6 "image-ansible_connection" Value, Some("ssh"), Ignored("the connection comes from the node file, else it is ssh"),
            "Ansible connection of the image (no effect: node files say it)";
    }
    "Topology" {
        4 "topology-net-url" Value, None, Full,
            "Address of a network file";
    }
    "Serial console, clean-up, boot, disks" {
        1 "cleanup" Bool, None, Full,
            "Remove all domains and networks of the hypervisor";
        2 "kill" Bool, None, Full,
            "Remove this environment";
        3 "remove-nodes" List, None, Full,
            "Remove these nodes";
    }
    "VNC, facts, BGP" {
        2 "collect-ansible-facts" Bool, Some("no"), Full,
            "Save the facts of this machine and the hypervisor as JSON";
    }
    "Snapshots" {
        0 "virsh-snapshot-create" Bool, Some("no"), NO,
            "Make a snapshot of each node";
        1 "virsh-snapshot-restore" Bool, Some("no"), NO,
            "Put each node back to a snapshot";
        2 "virsh-snapshot-name" Value, None, NONE,
            "Name of the snapshot";
        3 "virsh-snapshot-servers" Value, Some(".*"), Support::Later { harmless: ".*" },
            "Regular expression for the domains concerned";
        4 "virsh-snapshot-export" Bool, Some("no"), NO,
            "Write disks and definitions to a directory of the hypervisor";
        5 "virsh-snapshot-import" Bool, Some("no"), NO,
            "Replace nodes by an exported set";
        6 "virsh-snapshot-path" Value, None, NONE,
            "That directory";
        7 "virsh-snapshot-container" Value, None, NONE,
            "Object storage location, such as s3://bucket";
        8 "virsh-snapshot-upload" Bool, Some("no"), NO,
            "Push the directory to object storage";
        9 "virsh-snapshot-download" Bool, Some("no"), NO,
            "Pull it from there";
        10 "virsh-snapshot-cleanup" Bool, Some("no"), NO,
            "Delete the directory afterwards";
        11 "virsh-snapshot-quiesce" Bool, Some("no"), NO,
            "Bring an OpenStack to a steady state afterwards";
    }
};

/// All options, in the order of the help.
pub static OPTIONS: LazyLock<Vec<Opt>> = LazyLock::new(|| {
    let settings = SETTINGS.iter().filter_map(Opt::of);
    let mut all: Vec<Opt> = settings.chain(OTHERS.iter().copied()).collect();
    all.sort_by_key(|o| (HEADINGS.iter().position(|h| *h == o.group), o.place));
    all
});

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

/// Whether a name on a command line, which may be cut short, is that of an option whose value is secret, or looks like one.
pub fn may_be_secret(name: &str) -> bool {
    let begins = |o: &&Opt| !name.is_empty() && o.name.starts_with(name);
    OPTIONS.iter().filter(begins).any(|o| o.secret) || is_secret_name(name)
}

/// The option of a name.
pub fn find(name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|o| o.name == name)
}
