//! libvirt's hook for networks.

use maquette_core::plan::Setting;
use sha2::{Digest, Sha256};

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};
use crate::probe::Facts;

const FILE: &str = "/etc/libvirt/hooks/network.d/maquette";
const TEXT: &str = include_str!("../../assets/network-hook.sh");

const SCRIPT: &str = concat!(
    "# libvirt's network hook\n",
    include_str!("../../assets/prepare/daemon.sh"),
    include_str!("../../assets/prepare/network-hook.sh"),
);

/// Whether it is there as this version has it.
pub(super) fn is_current(facts: &Facts) -> bool {
    facts.hook.as_ref() == Some(&format!("{:x}", Sha256::digest(TEXT)))
}

pub(super) fn apply(host: &dyn Host) -> Result<(), HostError> {
    record::update(host, |r| r.network_hook = true)?;
    // Whoever looks whether it is there knows it by its text: until libvirt knows of it, that is another one.
    host.write(FILE, format!("{TEXT}# libvirt does not know of it yet.\n").as_bytes(), 0o755)?;
    check(host, &Command::script(SCRIPT, ["apply", FILE]))?;
    host.write(FILE, TEXT.as_bytes(), 0o755)
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    record.network_hook.then_some(Setting::NetworkHook)
}

pub(super) fn restore(host: &dyn Host) -> Result<(), HostError> {
    check(host, &Command::script(SCRIPT, ["restore", FILE])).map(|_| ())
}

pub(super) fn forget(record: &mut Record) {
    record.network_hook = false;
}
