//! What preparation has changed on a hypervisor, kept there, so that it can be undone.
//!
//! Each preparing step writes its line before it changes anything: an interrupted one is undone too.

use serde_json::{Value, json};

use super::{Host, HostError, read_text};

/// Where the record is, on the hypervisor.
pub const PATH: &str = "/var/lib/maquette/preparation.json";

/// What preparation has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    pub pools: Vec<String>,
    /// Whether the SSH server's limits were raised.
    pub ssh_limits: bool,
    /// The module for which nested virtualisation was switched on.
    pub nested: Option<String>,
    /// Interfaces with the `accept_ra` they had.
    pub router_interfaces: Vec<(String, String)>,
    /// The time zone that was set before.
    pub timezone: Option<String>,
    /// Whether libvirt's network hook was installed.
    pub network_hook: bool,
    /// Whether Open vSwitch's daemons were started.
    pub vswitch: bool,
    /// How many inotify instances a user was allowed.
    pub inotify: Option<u32>,
}

impl Record {
    /// Reads the record's text; none at all is an empty one. The error says why it cannot be read: it
    /// must then not be written anew, since what it said would be lost.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if !value.is_object() {
            return Err("it is not a JSON object".into());
        }
        let texts = |value: &Value| -> Vec<String> {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(|v| v.as_str().map(String::from)).collect()
        };
        let pair = |value: &Value| match texts(value).as_slice() {
            [a, b] => Some((a.clone(), b.clone())),
            _ => None,
        };
        let text = |key: &str| value[key].as_str().map(String::from);
        Ok(Self {
            packages: texts(&value["packages"]),
            kvm: pair(&value["kvm"]),
            daemons: value["daemons"].as_bool().unwrap_or(false),
            restoring: value["restoring"].as_bool().unwrap_or(false),
            pools: texts(&value["pools"]),
            ssh_limits: value["ssh_limits"].as_bool().unwrap_or(false),
            nested: text("nested"),
            router_interfaces: value["router_interfaces"]
                .as_array()
                .map(|list| list.iter().filter_map(pair).collect())
                .unwrap_or_default(),
            timezone: text("timezone"),
            network_hook: value["network_hook"].as_bool().unwrap_or(false),
            vswitch: value["vswitch"].as_bool().unwrap_or(false),
            inotify: value["inotify"].as_u64().and_then(|n| u32::try_from(n).ok()),
        })
    }

    /// The record's text.
    pub fn text(&self) -> String {
        let value = json!({
            "schema": 1,
            "packages": self.packages,
            "kvm": self.kvm.as_ref().map(|(mode, group)| [mode, group]),
            "daemons": self.daemons,
            "restoring": self.restoring,
            "pools": self.pools,
            "ssh_limits": self.ssh_limits,
            "nested": self.nested,
            "router_interfaces":
                self.router_interfaces.iter().map(|(a, b)| [a, b]).collect::<Vec<_>>(),
            "timezone": self.timezone,
            "network_hook": self.network_hook,
            "vswitch": self.vswitch,
            "inotify": self.inotify,
        });
        format!("{value:#}\n")
    }

    /// Whether nothing was changed, or all is undone.
    pub fn is_empty(&self) -> bool {
        Self { restoring: false, ..self.clone() } == Self::default()
    }
}

/// Changes the record on the hypervisor; an empty one is removed.
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
        return host.remove(PATH);
    }
    host.write(PATH, record.text().as_bytes(), 0o600)
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
            pools: vec!["images".into()],
            ssh_limits: true,
            nested: Some("kvm_intel".into()),
            router_interfaces: vec![("eth0".into(), "1".into())],
            timezone: Some("Etc/UTC".into()),
            network_hook: true,
            vswitch: true,
            inotify: Some(128),
        };
        assert_eq!(Record::parse(&record.text()).unwrap(), record);
        assert!(Record::parse("").unwrap().is_empty());
        for text in ["hello\n{}", "{", "[]", "null", "\0"] {
            assert!(Record::parse(text).is_err(), "{text:?}");
        }
    }
}
