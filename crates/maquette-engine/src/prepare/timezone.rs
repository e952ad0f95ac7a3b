//! The hypervisor's time zone.

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check, read_text};
use crate::probe::{self, Reach};

const SCRIPT: &str = include_str!("../../assets/prepare/timezone.sh");

/// What a system has that says none.
const DEFAULT: &str = "Etc/UTC";

pub(super) fn apply(host: &dyn Host, zone: &str) -> Result<(), HostError> {
    let before = probe::gather(host, Reach::Local)?.timezone;
    record::update(host, |r| {
        r.timezone = r.timezone.take().or(before).or(Some(DEFAULT.into()));
        r.timezone_set = Some(zone.into());
    })?;
    check(host, &Command::script(SCRIPT, ["apply", zone])).map(|_| ())
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    record.timezone.clone().map(|zone| Setting::Timezone { zone })
}

pub(super) fn restore(host: &dyn Host, before: &str) -> Result<String, HostError> {
    let record = Record::parse(&read_text(host, record::PATH)?).unwrap_or_default();
    let set = record.timezone_set.unwrap_or_default();
    check(host, &Command::script(SCRIPT, ["restore", before, &set]))
}

pub(super) fn forget(record: &mut Record) {
    (record.timezone, record.timezone_set) = (None, None);
}
