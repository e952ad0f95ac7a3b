//! Storage pools: libvirt makes and removes them, and here is noted which ones were not there before.

use maquette_core::blueprint::Pool;
use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Host, HostError};

/// Notes that a pool is about to be defined.
pub fn note(host: &dyn Host, name: &str) -> Result<(), HostError> {
    record::update(host, |r| {
        r.pools.insert(name.into());
    })
}

/// A pool is undefined by its name: its directory is not noted.
pub(super) fn noted(record: &Record) -> impl Iterator<Item = Setting> {
    let pool = |name: &String| Setting::Pool(Pool { name: name.clone(), path: String::new() });
    record.pools.iter().map(pool)
}

pub(super) fn forget(record: &mut Record, name: &str) {
    record.pools.remove(name);
}
