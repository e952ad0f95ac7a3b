//! How hosts are reached, as a trait: behind it are this machine and `ssh`, or what tests hand in.

use std::path::{Path, PathBuf};

use maquette_core::values::{HostAddress, KnownHost};

use super::ssh::{self, ConnectError, Effective, HostKey, Ssh, Target};
use super::{Host, Local};

/// A host that is reached over SSH.
pub struct Reached {
    /// The host.
    pub host: Box<dyn Host>,
    /// A program that libvirt can use in place of `ssh`.
    pub transport: std::io::Result<PathBuf>,
    /// Options of `ssh` that lead to hosts behind it.
    pub jump: Vec<String>,
}

/// How hosts are reached.
pub trait Hosts: Send + Sync {
    /// This machine.
    fn here(&self) -> Box<dyn Host>;

    /// What the user's ssh configuration makes of an address.
    fn effective(&self, address: &HostAddress) -> Result<Effective, ConnectError>;

    /// Connects to another machine.
    fn connect(&self, target: &Target) -> Result<Reached, ConnectError>;

    /// The host keys that a machine shows.
    fn fetch_host_keys(&self, target: &Target) -> Result<Vec<HostKey>, ConnectError>;

    /// Those of the keys that a machine shows which a file of known_hosts has.
    fn noted_in(
        &self,
        target: &Target,
        file: &Path,
        shown: &[HostKey],
    ) -> Result<Vec<HostKey>, ConnectError>;

    /// Notes host keys where `ssh` looks for them, and says where that is.
    fn remember(&self, target: &Target, keys: &[HostKey]) -> Result<String, ConnectError>;

    /// The same, in the place of those that are noted of a machine.
    fn replace(&self, target: &Target, keys: &[HostKey]) -> Result<String, ConnectError>;

    /// The host keys that are noted of a machine, as lines of known_hosts.
    fn known(&self, target: &Target) -> Result<Vec<KnownHost>, ConnectError>;
}

/// This machine, and what it reaches with its `ssh`.
#[derive(Debug, Clone, Default)]
pub struct System(pub ssh::Directories);

impl Hosts for System {
    fn here(&self) -> Box<dyn Host> {
        Box::new(Local)
    }

    fn effective(&self, address: &HostAddress) -> Result<Effective, ConnectError> {
        ssh::effective(address, self.0.home.as_deref())
    }

    fn connect(&self, target: &Target) -> Result<Reached, ConnectError> {
        let ssh = Ssh::connect(target, &self.0)?;
        let (transport, jump) = (ssh.libvirt_transport(), ssh.jump_options());
        Ok(Reached { host: Box::new(ssh), transport, jump })
    }

    fn fetch_host_keys(&self, target: &Target) -> Result<Vec<HostKey>, ConnectError> {
        ssh::fetch_host_keys(target)
    }

    fn noted_in(
        &self,
        target: &Target,
        file: &Path,
        shown: &[HostKey],
    ) -> Result<Vec<HostKey>, ConnectError> {
        ssh::noted_in(target, file, shown, self.0.home.as_deref())
    }

    fn remember(&self, target: &Target, keys: &[HostKey]) -> Result<String, ConnectError> {
        ssh::remember(target, keys, self.0.home.as_deref())
    }

    fn replace(&self, target: &Target, keys: &[HostKey]) -> Result<String, ConnectError> {
        ssh::replace(target, keys, self.0.home.as_deref())
    }

    fn known(&self, target: &Target) -> Result<Vec<KnownHost>, ConnectError> {
        ssh::known(target, self.0.home.as_deref())
    }
}
