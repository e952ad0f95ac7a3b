//! Storage pools: libvirt makes and removes them, and here is noted which ones were not there before.

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Host, HostError};

/// Notes that a pool is about to be defined.
pub fn note(host: &dyn Host, name: &str) -> Result<(), HostError> {
    record::update(host, |r| {
        r.pools.insert(name.into());
    })
}

pub(super) fn noted(record: &Record) -> impl Iterator<Item = Setting> {
    record.pools.iter().map(|name| Setting::Pool { name: name.clone(), directory: None })
}

pub(super) fn forget(record: &mut Record, name: &str) {
    record.pools.remove(name);
}
