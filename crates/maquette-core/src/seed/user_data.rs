//! cloud-config of the user's own, beside what Maquette needs: one document, in which lists are joined.

use serde_json::{Map, Value};

use crate::syntax::quoted;
use crate::topology::FirstBoot;

/// Lists in which both have something.
const JOINED: [&str; 5] = ["users", "bootcmd", "write_files", "packages", "runcmd"];

/// The user's own, by its keys.
#[derive(Default)]
pub(super) struct UserData(Map<String, Value>);

impl UserData {
    /// What of a first boot is left to cloud-init.
    pub(super) fn of(first_boot: Option<&FirstBoot>) -> Self {
        let text = first_boot.and_then(|first_boot| first_boot.user_data.as_ref());
        let read = text.and_then(|text| serde_json::from_str(text.reveal()).ok());
        Self(read.unwrap_or_default())
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it says something of a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !value.is_null())
    }

    /// What it adds to a list, each in one line.
    pub(super) fn items(&self, key: &str) -> impl Iterator<Item = String> {
        self.0.get(key).and_then(Value::as_array).into_iter().flatten().map(flow)
    }

    /// Everything else, a line for each key.
    pub(super) fn rest(&self) -> impl Iterator<Item = String> {
        let rest = self.0.iter().filter(|(key, _)| !JOINED.contains(&key.as_str()));
        rest.map(|(key, value)| format!("{}: {}", quoted(key), flow(value)))
    }
}

/// A value in YAML's flow style.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let pair =
                |(key, value): (&String, &Value)| format!("{}: {}", quoted(key), flow(value));
            let pairs: Vec<String> = map.iter().map(pair).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        // As JSON has them.
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
