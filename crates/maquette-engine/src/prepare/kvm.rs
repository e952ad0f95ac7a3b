//! Access to `/dev/kvm`.

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};
use crate::probe::{self, KVM, Reach};

const SCRIPT: &str = include_str!("../../assets/prepare/kvm.sh");

pub(super) fn apply(host: &dyn Host, mode: &str, group: &str) -> Result<(), HostError> {
    let before = probe::gather(host, Reach::Local)?.kvm_device;
    record::update(host, |r| r.kvm = r.kvm.take().or(before))?;
    set(host, mode, group)
}

fn set(host: &dyn Host, mode: &str, group: &str) -> Result<(), HostError> {
    check(host, &Command::script(SCRIPT, [KVM, mode, group])).map(|_| ())
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    record.kvm.clone().map(|(mode, group)| Setting::Kvm { mode, group })
}

pub(super) fn restore(host: &dyn Host, mode: &str, group: &str) -> Result<(), HostError> {
    set(host, mode, group)
}

pub(super) fn forget(record: &mut Record) {
    record.kvm = None;
}
