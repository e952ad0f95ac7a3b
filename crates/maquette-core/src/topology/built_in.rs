//! What the built-in node types and network files are, in short, for lists of them.

use std::collections::BTreeMap;

use crate::defaults::{self, Kind};
use crate::syntax::Plain;

/// A built-in node type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltInType {
    /// Its name, as `--topology-nodes` takes it.
    pub name: &'static str,
    /// Number of virtual CPUs.
    pub vcpus: String,
    /// Memory in MiB.
    pub memory_mib: String,
    /// Sizes of its disks that have one.
    pub disks: Vec<String>,
    /// Whether its nodes have an operating system.
    pub has_os: bool,
    /// Whether its image is one that only its vendor gives out.
    pub has_own_image: bool,
    /// Ansible groups.
    pub groups: Vec<String>,
}

/// A built-in network file: its name, and those of its networks.
pub type BuiltInNetworks = (&'static str, Vec<String>);

/// All node types, by name.
pub fn built_in_types() -> Vec<BuiltInType> {
    let of = |name: &'static str| {
        let file = read(Kind::Nodes, name);
        let text = |key: &str| file.at(&[key]).map(text).unwrap_or_default();
        let disks: Vec<&Plain> = entries(&file, "disks").map(|(_, disk)| disk).collect();
        let groups = match file.at(&["groups"]) {
            Some(Plain::List(groups)) => groups.iter().map(self::text).collect(),
            _ => Vec::new(),
        };
        BuiltInType {
            name,
            vcpus: text("cpu"),
            memory_mib: text("memory"),
            disks: disks.iter().filter_map(|disk| disk.at(&["size"])).map(self::text).collect(),
            has_os: file.at(&["deploy_os"]) != Some(&Plain::Bool(false)),
            has_own_image: disks.iter().any(|disk| disk.at(&["import_url"]).is_some()),
            groups,
        }
    };
    defaults::names(Kind::Nodes).into_iter().map(of).collect()
}

/// All network files, by name.
pub fn built_in_networks() -> Vec<BuiltInNetworks> {
    let of = |name: &'static str| {
        let file = read(Kind::Network, name);
        let called = |(key, network): (&String, &Plain)| match network.at(&["name"]) {
            Some(Plain::Text(name)) => name.clone(),
            _ => key.clone(),
        };
        (name, entries(&file, "networks").map(called).collect())
    };
    defaults::names(Kind::Network).into_iter().map(of).collect()
}

fn read(kind: Kind, name: &str) -> Plain {
    defaults::get(kind, name).and_then(|text| Plain::read(text).ok()).unwrap_or(Plain::Null)
}

/// Entries of a mapping below a key, by their keys.
fn entries<'a>(file: &'a Plain, key: &str) -> impl Iterator<Item = (&'a String, &'a Plain)> {
    static NONE: BTreeMap<String, Plain> = BTreeMap::new();
    match file.at(&[key]) {
        Some(Plain::Map(map)) => map.iter(),
        _ => NONE.iter(),
    }
}

fn text(value: &Plain) -> String {
    match value {
        Plain::Text(text) => text.clone(),
        Plain::Int(number) => number.to_string(),
        Plain::Float(number) => number.to_string(),
        Plain::Bool(truth) => truth.to_string(),
        Plain::Null | Plain::List(_) | Plain::Map(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_with_the_program_is_known_in_short() {
        let types = built_in_types();
        let of = |name: &str| types.iter().find(|t| t.name == name).unwrap();
        let controller = of("controller");
        assert_eq!((controller.vcpus.as_str(), controller.memory_mib.as_str()), ("8", "32768"));
        assert_eq!(controller.disks, ["64G"]);
        assert!(!controller.has_os && !controller.has_own_image);
        assert!(controller.groups.contains(&"overcloud_nodes".to_string()));
        let own: Vec<_> = types.iter().filter(|t| t.has_own_image).map(|t| t.name).collect();
        assert_eq!(own, ["veos", "vqfx", "vqfx-pfe"]);
        let networks = built_in_networks();
        let three = networks.iter().find(|(name, _)| *name == "3_nets").unwrap();
        assert_eq!(three.1.len(), 3);
        assert!(networks.iter().all(|(_, names)| !names.is_empty()));
    }
}
