//! A hypervisor as the user names it, and how it is reached from here.

use std::path::PathBuf;

use maquette_core::values::{HostAddress, KnownHost, Login};
use maquette_engine::host::ssh::{self, Target};

use crate::cli::FlagTexts;

/// Which hypervisor, as the user named it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostArgs {
    /// Name or address; none is this machine.
    pub address: Option<HostAddress>,
    /// SSH user; none leaves that to the ssh configuration.
    pub user: Option<Login>,
    /// Private key file; none leaves that to the ssh configuration and agent.
    pub key: Option<PathBuf>,
    /// `SHA256:…` of a host key that is not known yet, if one was given.
    pub fingerprint: Option<String>,
    /// A file of known_hosts with such keys, if one was given.
    pub known_hosts: Option<PathBuf>,
    /// Whether the workspace's key is to open it for connections to nodes, as InfraRed's plug-ins expect.
    pub forwards: bool,
    /// What of it the user has said.
    pub said: SaidByUser,
}

/// What of a hypervisor's name is from flags, variables or an answers file. All else is from a project file or a workspace,
/// which may be a stranger's, and changes no file of the user's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SaidByUser {
    /// The key file.
    pub key: bool,
    /// The fingerprint.
    pub fingerprint: bool,
    /// The file with host keys.
    pub known_hosts: bool,
}

impl SaidByUser {
    /// What of it flags and what stands for them say.
    pub fn of(given: &FlagTexts) -> Self {
        Self {
            key: given.has("host-key"),
            fingerprint: given.has("host-key-fingerprint"),
            known_hosts: given.has("host-known-hosts"),
        }
    }
}

impl HostArgs {
    /// The same with those host keys alone that may take the place of others.
    pub fn with_replacing_keys(&self) -> Self {
        let said = self.said;
        Self {
            fingerprint: self.fingerprint.clone().filter(|_| said.fingerprint),
            known_hosts: self.known_hosts.clone().filter(|_| said.known_hosts),
            ..self.clone()
        }
    }

    /// Whether it is another machine, or this one by way of SSH.
    pub fn is_remote(&self) -> bool {
        match self.address.as_deref() {
            None => false,
            Some("localhost" | "127.0.0.1" | "::1") => self.user.is_some() || self.key.is_some(),
            Some(_) => true,
        }
    }
}

/// How guests' SSH connections and Ansible get to the hypervisor.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The SSH server, and how to log in there.
    pub target: Target,
    /// What the user's ssh configuration makes of it.
    pub effective: ssh::Effective,
    /// Its host keys, as lines of known_hosts.
    pub host_keys: Vec<KnownHost>,
}

impl Remote {
    /// Whether host keys of the hypervisor are looked up under a name: a node of that name would be taken for it.
    pub fn is_called(&self, name: &str) -> bool {
        let Self { target, effective, host_keys } = self;
        let all = host_keys.iter().flat_map(KnownHost::names).chain([
            target.address.as_str(),
            effective.hostname.as_str(),
            effective.host_key_alias.as_deref().unwrap_or_default(),
        ]);
        all.into_iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}
