//! What removes environments whose time is up.

use maquette_core::plan::Setting;
use sha2::{Digest, Sha256};

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};
use crate::probe::Facts;

const FILE: &str = "/var/lib/maquette/expire.sh";

/// The program that is there.
pub const TEXT: &str = concat!(
    "#!/bin/sh\n",
    include_str!("../../assets/image/below.sh"),
    "\nedit='\n",
    include_str!("../../assets/host/forwarding-edit.sh"),
    "'\n",
    include_str!("../../assets/host/forwarding.sh"),
    "\n",
    include_str!("../../assets/expire/base.sh"),
    include_str!("../../assets/expire/notes.sh"),
    include_str!("../../assets/expire/records.sh"),
    include_str!("../../assets/expire/volumes.sh"),
    include_str!("../../assets/expire/pools.sh"),
    include_str!("../../assets/expire/objects.sh"),
    include_str!("../../assets/expire/uses.sh"),
    include_str!("../../assets/expire/main.sh")
);

const SCRIPT: &str =
    concat!("# The removal of what has expired\n", include_str!("../../assets/prepare/expiry.sh"));

/// Whether it is there as this version has it, and is called.
pub(super) fn is_current(facts: &Facts) -> bool {
    facts.expiry.as_ref() == Some(&format!("{:x}", Sha256::digest(TEXT)))
}

pub(super) fn apply(host: &dyn Host) -> Result<(), HostError> {
    record::update(host, |r| r.expiry = true)?;
    host.write(FILE, TEXT.as_bytes(), 0o755)?;
    check(host, &Command::script(SCRIPT, ["apply", FILE])).map(|_| ())
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    record.expiry.then_some(Setting::Expiry)
}

pub(super) fn restore(host: &dyn Host) -> Result<(), HostError> {
    check(host, &Command::script(SCRIPT, ["restore", FILE])).map(|_| ())
}

pub(super) fn forget(record: &mut Record) {
    record.expiry = false;
}

#[cfg(test)]
mod kill_points;
#[cfg(test)]
mod stand_ins;
#[cfg(test)]
mod tests;
