//! The hypervisor's time zone.

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};
use crate::probe::{self, Reach};

const SCRIPT: &str = include_str!("../../assets/prepare/timezone.sh");

/// What a system has that says none.
const DEFAULT: &str = "Etc/UTC";

pub(super) fn apply(host: &dyn Host, zone: &str) -> Result<(), HostError> {
    let before = probe::gather(host, Reach::Local)?.timezone;
    record::update(host, |r| {
        r.timezone = r.timezone.take().or(before).or(Some(DEFAULT.into()));
    })?;
    set(host, "apply", zone)
}

fn set(host: &dyn Host, verb: &str, zone: &str) -> Result<(), HostError> {
    check(host, &Command::script(SCRIPT, [verb, zone])).map(|_| ())
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    record.timezone.clone().map(|zone| Setting::Timezone { zone })
}

pub(super) fn restore(host: &dyn Host, before: &str) -> Result<(), HostError> {
    set(host, "restore", before)
}

pub(super) fn forget(record: &mut Record) {
    record.timezone = None;
}
