//! Limits of the SSH server.

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};
use crate::probe::Facts;

/// Drop-in with the limits.
const FILE: &str = "/etc/ssh/sshd_config.d/10-maquette.conf";

/// Sessions in one connection, and connections that have not logged in yet, of a prepared hypervisor.
/// Ansible opens one connection for each node it works on at once.
pub const SESSIONS: u32 = 100;

const SCRIPT: &str = include_str!("../../assets/prepare/ssh-limits.sh");

/// Whether they are lower than what is needed, and can be raised.
pub(super) fn are_low(facts: &Facts) -> bool {
    facts.sshd.as_ref().is_some_and(|l| l.drop_ins && l.sessions.min(l.startups) < SESSIONS)
}

pub(super) fn apply(host: &dyn Host) -> Result<(), HostError> {
    record::update(host, |r| r.ssh_limits = true)?;
    check(host, &Command::script(SCRIPT, ["apply", FILE, &SESSIONS.to_string()])).map(|_| ())
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    record.ssh_limits.then_some(Setting::SshLimits)
}

pub(super) fn restore(host: &dyn Host) -> Result<(), HostError> {
    check(host, &Command::script(SCRIPT, ["restore", FILE])).map(|_| ())
}

pub(super) fn forget(record: &mut Record) {
    record.ssh_limits = false;
}
