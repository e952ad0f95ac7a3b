//! Open vSwitch's daemons.

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};

const SCRIPT: &str = concat!(
    "# Open vSwitch\n",
    include_str!("../../assets/prepare/daemon.sh"),
    include_str!("../../assets/prepare/vswitch.sh"),
);

pub(super) fn apply(host: &dyn Host) -> Result<(), HostError> {
    record::update(host, |r| r.vswitch = true)?;
    check(host, &Command::script(SCRIPT, ["start"])).map(|_| ())
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    record.vswitch.then_some(Setting::Vswitch)
}

pub(super) fn restore(host: &dyn Host) -> Result<(), HostError> {
    check(host, &Command::script(SCRIPT, ["stop"])).map(|_| ())
}

pub(super) fn forget(record: &mut Record) {
    record.vswitch = false;
}
