//! What preparation has changed on a hypervisor, kept there, so that it can be undone.
//!
//! Each preparing step writes its line before it changes anything: an interrupted one is undone too.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::plan::Limit;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::host::{Command, Host, HostError, read_text};
use crate::probe::Facts;

/// Where the record is, on the hypervisor.
pub const PATH: &str = "/var/lib/maquette/preparation.json";

/// Version of the record's form. Earlier ones are read; a later one says more than would be kept.
const SCHEMA: u32 = 1;

/// The limit that earlier versions noted under `inotify`.
const INOTIFY: &str = "fs.inotify.max_user_instances";

/// What preparation has changed. Declared here for writing and reading; what a record lacks is as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// Packages that were not there before.
    pub packages: Vec<String>,
    /// Mode and group that `/dev/kvm` had.
    pub kvm: Option<(String, String)>,
    /// Whether libvirt's daemons were started.
    pub daemons: bool,
    /// Whether undoing has stopped the daemons, and is not through: they may be started again to see what
    /// still exists. Nothing by itself.
    pub restoring: bool,
    /// Storage pools that were defined.
    pub pools: BTreeSet<String>,
    /// Whether the SSH server's limits were raised.
    pub ssh_limits: bool,
    /// The module for which nested virtualisation was switched on.
    pub nested: Option<String>,
    /// Interfaces with the `accept_ra` they had.
    pub router_interfaces: Vec<(String, String)>,
    /// The time zone that was set before.
    pub timezone: Option<String>,
    /// The one that was set last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone_set: Option<String>,
    /// Whether libvirt's network hook was installed.
    pub network_hook: bool,
    /// Whether what removes expired environments was installed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expiry: bool,
    /// Whether Open vSwitch's daemons were started.
    pub vswitch: bool,
    /// Limits of the kernel's, by their names for sysctl, with what they were.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, u64>,
}

impl Record {
    /// Reads the record's text; none at all is an empty one. The error says why it cannot be read: it
    /// must then not be rewritten, since what it said would be lost.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let object = value.as_object_mut().ok_or("it is not a JSON object")?;
        if let Some(schema) = object.remove("schema").filter(|schema| *schema != SCHEMA) {
            return Err(format!("its schema is {schema}, of another version of Maquette"));
        }
        // The first limit that was raised had a key of its own.
        let instances = object.remove("inotify").filter(|value| !value.is_null());
        let mut record: Self = serde_json::from_value(value).map_err(|e| e.to_string())?;
        if let Some(instances) = instances {
            let number = instances.as_u64().ok_or("`inotify` is not a number of instances")?;
            record.limits.entry(INOTIFY.into()).or_insert(number);
        }
        match record.limits.keys().find(|key| Limit::of(key).is_none()) {
            Some(key) => Err(format!("it names the limit `{key}`, of another version of Maquette")),
            None => Ok(record),
        }
    }

    /// What a probe has found of it. An error if it is of another version, or was changed by hand.
    pub fn of(facts: &Facts) -> Result<Self, String> {
        Self::parse(&facts.record)
    }

    /// The record's text.
    pub fn text(&self) -> String {
        let mut value = json!(self);
        value["schema"] = SCHEMA.into();
        format!("{value:#}\n")
    }

    /// Whether nothing was changed, or all is undone.
    pub fn is_empty(&self) -> bool {
        Self { restoring: false, ..self.clone() } == Self::default()
    }
}

/// Changes the record on the hypervisor; an empty one is removed, and one that cannot be read is left alone, which is an error.
pub fn update(host: &dyn Host, change: impl FnOnce(&mut Record)) -> Result<(), HostError> {
    let before = Record::parse(&read_text(host, PATH)?).map_err(|why| HostError::File {
        verb: "use the record of what preparation has changed,",
        path: PATH.into(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, why),
    })?;
    let mut record = before.clone();
    change(&mut record);
    if record == before {
        return Ok(());
    }
    if record.is_empty() {
        // One that was killed may have left what it was about to say.
        host.remove(&format!("{PATH}.new"))?;
        return host.remove(PATH);
    }
    host.write(PATH, record.text().as_bytes(), 0o600)
}

/// Removes the directory of what is kept on a hypervisor, unless something is in it still: then it stays, and that is no error.
pub fn remove_directory(host: &dyn Host) -> Result<(), HostError> {
    let directory = PATH.rsplit_once('/').map_or(PATH, |(directory, _)| directory);
    host.run(&Command::new("rmdir").args(["--", directory]), &mut |_| {}).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_text() {
        let record = Record {
            packages: vec!["qemu".into()],
            kvm: Some(("600".into(), "root".into())),
            daemons: true,
            restoring: true,
            pools: ["images".into()].into(),
            ssh_limits: true,
            nested: Some("kvm_intel".into()),
            router_interfaces: vec![("eth0".into(), "1".into())],
            timezone: Some("Etc/UTC".into()),
            timezone_set: Some("Europe/Berlin".into()),
            network_hook: true,
            expiry: true,
            vswitch: true,
            limits: [(INOTIFY.to_string(), 128)].into(),
        };
        assert_eq!(Record::parse(&record.text()).unwrap(), record);
        assert!(Record::parse("").unwrap().is_empty());
        for text in ["hello\n{}", "{", "[]", "null", "\0"] {
            assert!(Record::parse(text).is_err(), "{text:?}");
        }
    }

    /// What would be dropped by rewriting it is not read.
    #[test]
    fn a_record_that_says_more_or_something_else_is_not_read() {
        let told = |text: &str| Record::parse(text).unwrap_err();
        assert!(told(r#"{"schema": 2}"#).contains("another version"), "a later version");
        assert!(told(r#"{"zram": true}"#).contains("zram"), "an unknown key");
        assert!(told(r#"{"pools": "images"}"#).contains("sequence"), "another type");
        assert!(told(r#"{"inotify": -1}"#).contains("instances"), "a number that does not fit");
        assert!(told(r#"{"limits": {"kernel.x": 1}}"#).contains("kernel.x"), "an unknown limit");
    }

    /// As the first release wrote it, with a pool that was noted each time it was defined.
    #[test]
    fn the_first_releases_record_is_read() {
        let text = r#"{"daemons": true, "inotify": 128, "kvm": ["600", "root"], "nested": null,
            "network_hook": false, "packages": ["qemu-utils"], "pools": ["images", "images"],
            "router_interfaces": [["eth0", "1"]], "schema": 1, "ssh_limits": false,
            "timezone": null, "vswitch": false}"#;
        let expected = Record {
            packages: vec!["qemu-utils".into()],
            kvm: Some(("600".into(), "root".into())),
            daemons: true,
            pools: ["images".into()].into(),
            router_interfaces: vec![("eth0".into(), "1".into())],
            limits: [(INOTIFY.to_string(), 128)].into(),
            ..Record::default()
        };
        assert_eq!(Record::parse(text).unwrap(), expected);
    }
}
