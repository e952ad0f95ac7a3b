//! Node and network files with every key that there is, so that tests about all keys miss none.

use std::collections::BTreeSet;

use maquette_core::schema::{self, File};
use maquette_core::syntax::Plain;

/// Files that go together.
pub struct Sample {
    /// Node types by their names.
    pub nodes: &'static [(&'static str, &'static str)],
    /// A network file.
    pub networks: &'static str,
    /// What the project file describes: its `networks`. Node types are its, too, if there are any.
    pub described: &'static str,
}

/// Files with every key of node and network files, and of what project files describe, except `count`, which says only how
/// many nodes there are. Two keys that cannot be together are in two samples or node types.
pub const SAMPLES: [Sample; 3] = [
    Sample {
        nodes: &[
            ("web", include_str!("../samples/web.yml")),
            ("odd", include_str!("../samples/odd.yml")),
        ],
        networks: include_str!("../samples/networks.yml"),
        described: "",
    },
    Sample {
        nodes: &[("leaf", include_str!("../samples/leaf.yml"))],
        networks: include_str!("../samples/bgp.yml"),
        described: "",
    },
    Sample {
        nodes: &[("app", include_str!("../samples/described_node.yml"))],
        networks: "networks: {}\n",
        described: include_str!("../samples/described_networks.yml"),
    },
];

/// A key that is refused whatever its value is.
const REFUSED: &str = "/disks/*/path";

/// Every key that Maquette reads, by its path: `*` stands for names and numbers of the user's own.
fn keys(schema: &Plain, path: &str, out: &mut BTreeSet<String>) {
    match schema {
        Plain::List(alternatives) => alternatives.iter().for_each(|one| keys(one, path, out)),
        Plain::Map(words) => {
            for (word, value) in words {
                match (word.as_str(), value) {
                    ("properties", Plain::Map(all)) => {
                        for (name, schema) in all {
                            let is_unread =
                                matches!(schema, Plain::Map(s) if s.contains_key("deprecated"));
                            if !is_unread {
                                out.insert(format!("{path}/{name}"));
                                keys(schema, &format!("{path}/{name}"), out);
                            }
                        }
                    }
                    ("patternProperties", Plain::Map(all)) => {
                        let own = all.iter().filter(|(pattern, _)| *pattern != "^x-");
                        own.for_each(|(_, schema)| keys(schema, &format!("{path}/*"), out));
                    }
                    ("additionalProperties" | "items", schema) => {
                        keys(schema, &format!("{path}/*"), out);
                    }
                    ("anyOf", alternatives) => keys(alternatives, path, out),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// Every path of a text; a key may be one that is declared, or a name.
fn paths(tree: &Plain, path: &str, out: &mut BTreeSet<String>) {
    match tree {
        Plain::Map(entries) => {
            for (name, value) in entries {
                for step in [name, "*"] {
                    let path = format!("{path}/{step}");
                    out.insert(path.clone());
                    paths(value, &path, out);
                }
            }
        }
        Plain::List(items) => items.iter().for_each(|item| paths(item, &format!("{path}/*"), out)),
        _ => {}
    }
}

/// The path of a key of an interface is the same wherever interfaces are listed.
fn interface(key: &str) -> String {
    for list in ["/interfaces/basic/*/*/", "/interfaces/*/"] {
        if let Some(key) = key.strip_prefix(list) {
            return format!("/networks/*/{key}");
        }
    }
    key.into()
}

/// Keys that are declared and in no sample.
pub fn keys_without_sample() -> Vec<String> {
    let mut missing = Vec::new();
    let mut compare = |what: &str, file: File, texts: Vec<&str>, of: fn(&str) -> bool| {
        let (mut declared, mut written) = (BTreeSet::new(), BTreeSet::new());
        keys(&schema::schema(file), "", &mut declared);
        for text in texts {
            paths(&Plain::read(text).expect("a sample is YAML"), "", &mut written);
        }
        let written: BTreeSet<String> = written.iter().map(|key| interface(key)).collect();
        let without = declared.into_iter().filter(|key| of(key));
        let without = without.filter(|key| !written.contains(&interface(key)));
        missing.extend(without.map(|key| format!("{what}{key}")));
    };
    let nodes = SAMPLES.iter().flat_map(|s| s.nodes).map(|(_, text)| *text).collect();
    compare("node file: ", File::Nodes, nodes, |key| key != REFUSED);
    let networks = SAMPLES.iter().map(|s| s.networks).collect();
    // Keys of node files again.
    compare("network file: ", File::Network, networks, |key| !key.starts_with("/nodes/*/"));
    missing
}
