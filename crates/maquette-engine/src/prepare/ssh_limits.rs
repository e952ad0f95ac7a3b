//! Limits of the SSH server.

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};
use crate::probe::{Facts, SSH_LIMITS_BEGUN, SshLimits};

/// Drop-in with the limits.
const FILE: &str = "/etc/ssh/sshd_config.d/10-maquette.conf";

/// Sessions in one connection, and connections that have not logged in yet, of a prepared hypervisor.
/// Ansible opens one connection for each node it works on at once.
pub const SESSIONS: u32 = 100;

const SCRIPT: &str = concat!(
    "# Limits of the SSH server\n",
    include_str!("../../assets/prepare/daemon.sh"),
    include_str!("../../assets/prepare/ssh-limits.sh"),
);

/// Whether they are lower than what is needed, and can be raised. The server tells what is in its files, which it may
/// not have read.
pub(super) fn are_low(facts: &Facts) -> bool {
    let begun = facts.begun.contains(SSH_LIMITS_BEGUN);
    let low = |limits: &SshLimits| begun || limits.sessions.min(limits.startups) < SESSIONS;
    facts.sshd.as_ref().is_some_and(|limits| limits.drop_ins && low(limits))
}

pub(super) fn apply(host: &dyn Host) -> Result<(), HostError> {
    record::update(host, |r| r.ssh_limits = true)?;
    let args = ["apply", FILE, SSH_LIMITS_BEGUN, &SESSIONS.to_string()];
    check(host, &Command::script(SCRIPT, args)).map(|_| ())
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    record.ssh_limits.then_some(Setting::SshLimits)
}

pub(super) fn restore(host: &dyn Host) -> Result<(), HostError> {
    check(host, &Command::script(SCRIPT, ["restore", FILE, SSH_LIMITS_BEGUN])).map(|_| ())
}

pub(super) fn forget(record: &mut Record) {
    record.ssh_limits = false;
}
