//! Limits of the kernel's: whatever has a row in the core's table.

use maquette_core::plan::{Limit, Setting};

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};
use crate::probe::{self, Reach};

const SCRIPT: &str = include_str!("../../assets/prepare/limit.sh");

/// What is set when the hypervisor starts.
fn file(limit: &Limit) -> String {
    format!("/etc/sysctl.d/90-maquette-{}.conf", limit.name)
}

fn set(host: &dyn Host, verb: &str, limit: &Limit, value: u64) -> Result<(), HostError> {
    let args = [verb, &file(limit), limit.key, &limit.proc_file(), &value.to_string()];
    check(host, &Command::script(SCRIPT, args)).map(|_| ())
}

pub(super) fn apply(host: &dyn Host, limit: &Limit, value: u64) -> Result<(), HostError> {
    let before = probe::gather(host, Reach::Local)?.limits.get(limit.key).copied();
    record::update(host, |r| {
        if let Some(before) = before {
            r.limits.entry(limit.key.into()).or_insert(before);
        }
    })?;
    set(host, "apply", limit, value)
}

pub(super) fn noted(record: &Record) -> impl Iterator<Item = Setting> {
    let each = record.limits.iter();
    each.filter_map(|(key, value)| Some(Setting::Limit { limit: Limit::of(key)?, value: *value }))
}

pub(super) fn restore(host: &dyn Host, limit: &Limit, before: u64) -> Result<(), HostError> {
    set(host, "restore", limit, before)
}

pub(super) fn forget(record: &mut Record, limit: &Limit) {
    record.limits.remove(limit.key);
}
