//! What is decided, and what a topology asks for, ends in the XML of domains and networks, in ssh configs, inventories and
//! cloud-config: there is a type for each kind of such text, and no plain text.

use super::{crates, program_text, sources};

/// Fields that are plain text, by file and name, each with the reason.
const PLAIN: &[(&str, &str, &str)] = &[
    ("blueprint.rs", "only", "names of nodes that are looked for among those that there are"),
    ("blueprint.rs", "bmc_tag", "a digest of ours"),
    (
        "blueprint.rs",
        "source",
        "the user's words; whoever fetches it parses it, and records have it as one line",
    ),
    ("blueprint.rs", "volume", "of a node's name and a disk's key, or read as a file's name"),
    ("blueprint.rs", "volumes", "the same"),
    ("blueprint.rs", "seed", "the same"),
    ("blueprint.rs", "server", "for people alone"),
    (
        "blueprint.rs",
        "name",
        "libvirt's own entry of DHCP, which may be anybody's, and ours is of a node's name",
    ),
    ("blueprint.rs", "tag", "a digest of ours, read as a file's name"),
    (
        "blueprint/switching.rs",
        "name",
        "libvirt's own portgroup, which may be anybody's; records have it as one line",
    ),
    (
        "blueprint/interface.rs",
        "portgroup",
        "that of a network whose portgroups have checked names",
    ),
    ("blueprint/template.rs", "key", "a digest of ours"),
    ("blueprint/bmc.rs", "digest", "a digest of ours"),
    ("topology.rs", "flawed", "looked for among node types"),
    ("topology/disk.rs", "import_url", "read as one line; whoever fetches it parses it"),
    ("topology/disk.rs", "path", "compared with the pool's directory, and not used"),
    ("topology/disk.rs", "dev", "compared with the device, and not used"),
    ("topology/network.rs", "key", "for messages alone"),
    ("topology/role.rs", "file", "for messages alone"),
    ("topology/role.rs", "import_url", "read as one line; whoever fetches it parses it"),
    ("topology/role.rs", "macs", "each MAC address with its text, for messages alone"),
    ("topology/compile.rs", "file", "for messages alone"),
    ("topology/compile.rs", "path", "a file that is read, and nothing else"),
    ("topology/compile.rs", "network_name", "for messages alone"),
    ("topology/interface.rs", "portgroup", "looked for among those of its network"),
    ("topology/interface.rs", "to", "looked for among node types"),
];

/// Whether a declaration has text in it that anything can stand in.
fn is_plain(of_type: &str) -> bool {
    let words = of_type.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.into_iter().any(|word| matches!(word, "String" | "PathBuf" | "OsString"))
}

/// Fields of structs and variants in a text, with their types: what is indented, begins with a name and ends with a comma.
fn fields(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("pub struct ") || line.starts_with("pub enum ") {
            inside = line.ends_with('{');
        } else if line.starts_with('}') {
            inside = false;
        } else if let Some((name, of_type)) = line.split_once(": ").filter(|_| inside) {
            let name = name.trim().trim_start_matches("pub ");
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if is_name && of_type.ends_with(',') {
                found.push((name, of_type));
            }
        }
    }
    found
}

#[test]
fn what_is_decided_has_a_type_for_each_kind_of_text() {
    let core = crates().join("maquette-core/src");
    let mut files = vec![core.join("blueprint.rs"), core.join("topology.rs")];
    sources(&core.join("blueprint"), &mut files);
    sources(&core.join("topology"), &mut files);
    let (mut seen, mut plain, mut known) = (0, Vec::new(), vec![false; PLAIN.len()]);
    for file in files {
        let text = program_text(&file);
        let file = file.strip_prefix(&core).unwrap().display().to_string();
        for (name, of_type) in fields(&text) {
            seen += 1;
            if is_plain(of_type) {
                match PLAIN.iter().position(|(f, n, _)| *f == file && *n == name) {
                    Some(place) => known[place] = true,
                    None => plain.push(format!("{file}: {name}: {of_type}")),
                }
            }
        }
    }
    assert!(seen > 250, "{seen}");
    assert!(plain.is_empty(), "give it a type of `maquette_core::values`: {plain:#?}");
    let gone: Vec<_> = PLAIN.iter().zip(known).filter(|(_, there)| !there).collect();
    assert!(gone.is_empty(), "is not plain text any more: {gone:#?}");
}
