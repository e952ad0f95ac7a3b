//! The local directory of an environment, and the other directories of the user.

pub mod archive;
pub mod identity;
pub mod inventory;
pub mod named;
pub mod outputs;

use std::io;
use std::path::{Path, PathBuf};

use maquette_core::names::EnvName;
use maquette_core::values::{HostAddress, Name};
use maquette_engine::Cause;
use maquette_engine::private_file::{read_text, write_private};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::host_args::{HostArgs, SaidByUser};
use crate::world::Environment;
use crate::world::owners::{self, Others};

/// The directory with an environment's outputs.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Where it is.
    pub path: PathBuf,
}

/// What a workspace remembers of its environment, so that commands need not be told again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// The environment's prefix, if it has one.
    pub prefix: Option<String>,
    /// How its hypervisor is reached.
    pub host: HostArgs,
    /// Name of the storage pool, if one was chosen.
    pub pool_name: Option<String>,
    /// Directory of the storage pool, if one was chosen.
    pub pool_path: Option<String>,
    /// Whose inventory, ssh config and known hosts are in it, if there are any.
    pub owner: Option<Owner>,
    /// The environments whose nodes its key opens.
    pub opens: Vec<Owner>,
    /// The project file that has built the environment, by its absolute path, if there was one.
    pub project: Option<PathBuf>,
    /// Whether it came in an archive and no `up` has been here since: a hypervisor without an address is the machine that
    /// the archive was made on then, which this one need not be.
    pub imported: bool,
}

/// An environment, as a workspace tells it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    prefix: Option<String>,
    address: Option<HostAddress>,
}

impl Owner {
    /// An environment on a hypervisor.
    pub fn new(environment: &EnvName, host: &HostArgs) -> Self {
        Self { prefix: environment.prefix().map(String::from), address: host.address.clone() }
    }

    /// Whether it is on this hypervisor.
    pub fn is_on(&self, host: &HostArgs) -> bool {
        self.address == host.address
    }

    /// Its prefix, if it has one.
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    /// Its hypervisor, for people.
    pub fn host(&self) -> &str {
        self.address.as_deref().unwrap_or("this machine")
    }

    /// `web on 10.0.0.1`, for people.
    pub fn label(&self) -> String {
        let name = self.prefix.as_deref().unwrap_or("default");
        format!("`{name}` on {}", self.host())
    }

    fn json(&self) -> Value {
        json!({"prefix": self.prefix, "address": self.address.as_deref()})
    }

    fn parse(value: &Value) -> Option<Self> {
        // The file may have come with an archive, and both are shown.
        let prefix = value["prefix"].as_str().map(String::from);
        let named = prefix.as_ref().is_none_or(|p| EnvName::from_prefix(p).is_ok());
        let address = value["address"].as_str().map(str::parse).transpose().ok()?;
        (value.is_object() && named).then_some(Self { prefix, address })
    }
}

impl Saved {
    /// Reads what was saved.
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let text = |value: &Value| value.as_str().map(String::from);
        let host = &value["hypervisor"];
        // Without its address, another hypervisor would be meant.
        let address = host["address"].as_str().map(str::parse::<HostAddress>).transpose().ok()?;
        let user = host["user"].as_str().map(str::parse).transpose().ok()?;
        // A workspace of the first release holds just the environment that it remembers.
        let only = Owner { prefix: text(&value["prefix"]), address: address.clone() };
        let (owner, opens) = match value.get("owner") {
            None => (Some(only.clone()), vec![only]),
            Some(owner) => {
                let opens = value["opens"].as_array().map(Vec::as_slice).unwrap_or_default();
                (Owner::parse(owner), opens.iter().filter_map(Owner::parse).collect())
            }
        };
        Some(Self {
            prefix: text(&value["prefix"]),
            host: HostArgs {
                address,
                user,
                key: text(&host["key"]).map(PathBuf::from),
                fingerprint: None,
                known_hosts: None,
                forwards: false,
                said: SaidByUser::default(),
            },
            pool_name: text(&value["pool_name"]).filter(|name| name.parse::<Name>().is_ok()),
            pool_path: text(&value["disk_pool"]),
            owner,
            opens,
            project: text(&value["project"]).map(PathBuf::from),
            imported: value["imported"].as_bool().unwrap_or(false),
        })
    }

    /// Whether an environment is the one that is remembered.
    pub fn is_of(&self, environment: &EnvName, host: &HostArgs) -> bool {
        self.prefix.as_deref() == environment.prefix() && self.host.address == host.address
    }

    /// As it is saved.
    pub fn text(&self) -> String {
        let mut value = json!({
            "schema": 1,
            "prefix": self.prefix,
            "hypervisor": {
                "address": self.host.address.as_deref(),
                "user": self.host.user.as_deref(),
                "key": self.host.key.as_ref().map(|k| k.display().to_string()),
            },
            "pool_name": self.pool_name,
            "disk_pool": self.pool_path,
            "owner": self.owner.as_ref().map(Owner::json),
            "opens": self.opens.iter().map(Owner::json).collect::<Vec<_>>(),
            "project": self.project.as_ref().map(|file| file.display().to_string()),
        });
        if self.imported {
            value["imported"] = true.into();
        }
        format!("{value:#}\n")
    }
}

/// Directory with workspaces that have names.
const NAMED: &str = ".workspaces";

/// File in a workspace with what is [`Saved`].
pub const SAVED: &str = "maquette.json";

/// Files in it whose content `ssh`, Ansible and Maquette obey.
const OBEYED: [&str; 4] = [outputs::SSH_CONFIG, outputs::KNOWN_HOSTS, outputs::INVENTORY, SAVED];

impl Workspace {
    /// A directory, by its absolute path.
    pub fn at(path: &Path) -> Self {
        Self { path: path.into() }
    }

    /// The directory of an environment.
    pub fn of(user: &Environment, environment: &EnvName) -> Self {
        Self { path: user.workspace(environment) }
    }

    /// Whether it is one of InfraRed's, which have names, and whose inventory its plug-ins share.
    pub fn is_named(&self) -> bool {
        self.path.parent().is_some_and(|parent| parent.ends_with(NAMED))
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the directory, for its owner only. One that holds other things as well, such as the user's
    /// home or `/tmp`, keeps its mode: it is not ours.
    pub fn create(&self) -> io::Result<()> {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        match std::fs::read_dir(&self.path)?.next() {
            Some(_) => Ok(()),
            None => std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(0o700)),
        }
    }

    /// What of it others can write, and who: its ssh config and its key could be anybody's, and what is run as whoever uses it.
    pub fn open_to(&self, user: &Environment) -> Option<(PathBuf, Others)> {
        let files = OBEYED.map(|name| self.file(name));
        // An empty one of the user's own is closed to others when the first file comes.
        let is_empty = || self.path.read_dir().is_ok_and(|mut entries| entries.next().is_none());
        let is_new = owners::is_ours(&self.path) && is_empty();
        let whole = (!is_new).then(|| self.path.clone());
        let mut all = whole.into_iter().chain(files);
        all.find_map(|path| {
            let others = owners::who_else(user, &path)?;
            Some((path, others))
        })
    }

    /// What it remembers; why not, if there is something that cannot be read: taken for nothing, it would mean
    /// another hypervisor.
    pub fn recall(&self) -> Result<Option<Saved>, String> {
        let file = self.file(SAVED);
        let wrong = |why: String| format!("cannot read {}: {why}", file.display());
        match crate::reading::text(&file) {
            Ok(text) => Saved::parse(&text).map(Some).ok_or_else(|| wrong("it is damaged".into())),
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// What it remembers; none if it never held an environment.
    pub fn saved(&self) -> Option<Saved> {
        Saved::parse(&read_text(&self.file(SAVED)).ok()?)
    }

    /// The error if it cannot be written.
    pub fn unwritten(&self, error: impl Into<Cause>) -> Failure {
        Failure::because(format!("cannot write workspace {}", self.path.display()), error)
    }

    /// Remembers whose outputs are about to be written, and that its key opens that environment's nodes.
    pub fn claim(&self, owner: &Owner) -> io::Result<()> {
        let mut saved = self.saved().unwrap_or_default();
        if saved.owner.as_ref() == Some(owner) && saved.opens.contains(owner) {
            return Ok(());
        }
        if saved.owner.as_ref().is_some_and(|before| before != owner) {
            // They open another environment's nodes.
            outputs::write_colleagues(self, &[])?;
        }
        saved.owner = Some(owner.clone());
        if !saved.opens.contains(owner) {
            saved.opens.push(owner.clone());
        }
        self.save(&saved)
    }

    /// Remembers the environment.
    pub fn save(&self, saved: &Saved) -> io::Result<()> {
        write_private(&self.file(SAVED), saved.text().as_bytes())
    }
}
