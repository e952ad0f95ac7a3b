//! A hypervisor as the user names it.

use std::path::PathBuf;

use maquette_core::values::{HostAddress, Login};

/// Which hypervisor, as the user named it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostArgs {
    /// Name or address; none is this machine.
    pub address: Option<HostAddress>,
    /// SSH user.
    pub user: Option<Login>,
    /// Private key file.
    pub key: Option<PathBuf>,
    /// `SHA256:…` of a host key that is not known yet.
    pub fingerprint: Option<String>,
}

impl HostArgs {
    /// Whether it is another machine, or this one by way of SSH.
    pub fn is_remote(&self) -> bool {
        match self.address.as_deref() {
            None => false,
            Some("localhost" | "127.0.0.1" | "::1") => self.user.is_some() || self.key.is_some(),
            Some(_) => true,
        }
    }
}
