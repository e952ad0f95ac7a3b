//! InfraRed's settings tree: what options and extra variables become for playbooks, and what
//! `--dry-run` prints.

use maquette_core::syntax::Plain;
use serde_json::Value as Json;

/// The tree as JSON, for Ansible.
pub fn json(tree: &Plain) -> Json {
    match tree {
        Plain::Null => Json::Null,
        Plain::Bool(truth) => (*truth).into(),
        Plain::Int(number) => (*number).into(),
        Plain::Float(number) => (*number).into(),
        Plain::Text(text) => text.clone().into(),
        Plain::List(items) => items.iter().map(json).collect(),
        Plain::Map(map) => map.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}
