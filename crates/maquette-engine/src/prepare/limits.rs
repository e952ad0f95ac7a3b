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

fn set(host: &dyn Host, verb: &str, limit: &Limit, value: u64) -> Result<String, HostError> {
    let args = [verb, &file(limit), limit.key, &limit.proc_file(), &value.to_string()];
    check(host, &Command::script(SCRIPT, args))
}

pub(super) fn apply(host: &dyn Host, limit: &Limit, value: u64) -> Result<(), HostError> {
    let before = probe::gather(host, Reach::Local)?.limits.get(limit.key).copied();
    record::update(host, |r| {
        if let Some(before) = before {
            r.limits.entry(limit.key.into()).or_insert(before);
        }
    })?;
    set(host, "apply", limit, value).map(|_| ())
}

pub(super) fn noted(record: &Record) -> impl Iterator<Item = Setting> {
    let each = record.limits.iter();
    each.filter_map(|(key, value)| Some(Setting::Limit { limit: Limit::of(key)?, value: *value }))
}

pub(super) fn restore(host: &dyn Host, limit: &Limit, before: u64) -> Result<String, HostError> {
    set(host, "restore", limit, before)
}

pub(super) fn forget(record: &mut Record, limit: &Limit) {
    record.limits.remove(limit.key);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::host::Local;

    /// An administrator's value was written over.
    #[test]
    fn a_limit_goes_back_only_as_long_as_it_is_what_was_set() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let (file, kernel) = (at("90-maquette-x.conf"), at("kernel"));
        let run = |verb: &str, value: &str| {
            let args = [verb, &file, "fs.no.such.limit", &kernel, value];
            check(&Local, &Command::script(SCRIPT, args)).unwrap()
        };
        let now = || fs::read_to_string(&kernel).unwrap().trim().to_string();
        let applied = || {
            fs::write(&kernel, "128\n").unwrap();
            run("apply", "4096");
            run("apply", "8192");
            assert_eq!(now(), "8192");
        };
        applied();
        assert_eq!((run("restore", "128"), now()), (String::new(), "128".into()));
        assert!(!fs::exists(&file).unwrap());
        applied();
        fs::write(&kernel, "9000\n").unwrap();
        let said = "fs.no.such.limit stays 9000, which somebody has set since\n";
        assert_eq!((run("restore", "128"), now()), (said.into(), "9000".into()));
        assert!(!fs::exists(&file).unwrap());
        // Ended after the file was written, before the kernel had it.
        applied();
        fs::write(&kernel, "4096\n").unwrap();
        assert_eq!((run("restore", "128"), now()), (String::new(), "128".into()));
    }
}
