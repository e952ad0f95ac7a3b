//! What is decided, and what a topology asks for, ends in the XML of domains and networks, in ssh configs, inventories and
//! cloud-config: there is a type for each kind of such text, and no plain text.

use super::{crates, program_text, sources};

/// What is decided, and what is asked for.
const DECIDED: [(&str, &str); 2] =
    [("maquette-core/src", "blueprint"), ("maquette-core/src", "topology")];

/// Fields that are plain text, by file and name, each with the reason.
const PLAIN: &[(&str, &str, &str)] = &[
    ("blueprint.rs", "only", "names of nodes that are looked for among those that there are"),
    ("blueprint.rs", "bmc_tag", "a digest of ours"),
    (
        "blueprint.rs",
        "source",
        "the user's words; whoever fetches it parses it, and records have it as one line",
    ),
    ("blueprint.rs", "server", "for people alone"),
    ("blueprint.rs", "tag", "a digest of ours, read as a file's name"),
    ("blueprint/template.rs", "key", "a digest of ours"),
    ("blueprint/bmc.rs", "digest", "a digest of ours"),
    ("topology.rs", "flawed", "looked for among node types"),
    ("topology/built_in.rs", "vcpus", "for people alone"),
    ("topology/built_in.rs", "memory_mib", "for people alone"),
    ("topology/built_in.rs", "disks", "for people alone"),
    ("topology/built_in.rs", "groups", "for people alone"),
    ("topology/disk.rs", "import_url", "read as one line; whoever fetches it parses it"),
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

/// Fields of what is decided that are plain numbers, by file and name, each with the reason.
const NUMBERS: &[(&str, &str, &str)] = &[
    (
        "blueprint.rs",
        "shutdown_s",
        "a setting, which has a most; how long is waited, and nothing else",
    ),
    ("blueprint.rs", "bytes", "for people alone"),
    ("blueprint.rs", "index", "counted, or read within bounds"),
    ("blueprint.rs", "memory_mib", "of a key with bounds, or read within bounds"),
    ("blueprint.rs", "memory_max_mib", "the same"),
    ("blueprint.rs", "swap_mib", "the same"),
    ("blueprint.rs", "generation", "drawn by lot"),
];

/// What is found out about a hypervisor's way and its keys, by file: ssh config, known_hosts and inventory have it.
const WAYS: [(&str, &str); 3] = [
    ("maquette-engine/src", "host/ssh/master"),
    ("maquette-engine/src", "host/ssh/hostkey"),
    ("maquette/src", "host_args"),
];

/// Fields of these that are plain text.
const PLAIN_WAYS: &[(&str, &str, &str)] = &[
    ("host/ssh/master.rs", "user", "parsed by whoever logs in"),
    ("host/ssh/master.rs", "known_hosts", "files that are read, and nothing else"),
    ("host/ssh/hostkey.rs", "algorithm", "for people alone"),
    ("host/ssh/hostkey.rs", "fingerprint", "for people, and compared"),
    ("host_args.rs", "key", "the user's words; the way to the hypervisor has it as a plain path"),
    ("host_args.rs", "fingerprint", "compared, and not used"),
    ("host_args.rs", "known_hosts", "a file that is read, and nothing else"),
];

/// Whether a declaration has text in it that anything can stand in.
fn is_plain(of_type: &str) -> bool {
    has_word(of_type, &["String", "PathBuf", "OsString"])
}

/// Whether it has a number in it that may be any.
fn is_number(of_type: &str) -> bool {
    has_word(of_type, &["u8", "u16", "u32", "u64", "usize", "i32", "i64"])
}

fn has_word(of_type: &str, wanted: &[&str]) -> bool {
    let mut words = of_type.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| wanted.contains(&word))
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

/// Looks for fields of a kind in files, each with what is below it: those that are in no list, and those of the list that are
/// not there.
fn strangers(
    wanted: &[(&str, &str)],
    is_wanted: fn(&str) -> bool,
    known: &[(&str, &str, &str)],
) -> (usize, Vec<String>, Vec<String>) {
    let mut files = Vec::new();
    for (root, name) in wanted {
        let (root, mut own) = (crates().join(root), Vec::new());
        own.push(root.join(format!("{name}.rs")));
        if root.join(name).is_dir() {
            sources(&root.join(name), &mut own);
        }
        files.extend(own.into_iter().map(|file| (root.clone(), file)));
    }
    let (mut seen, mut strange, mut found) = (0, Vec::new(), vec![false; known.len()]);
    for (root, file) in files {
        let text = program_text(&file);
        let file = file.strip_prefix(&root).unwrap().display().to_string();
        for (name, of_type) in fields(&text) {
            seen += 1;
            if is_wanted(of_type) {
                match known.iter().position(|(f, n, _)| *f == file && *n == name) {
                    Some(place) => found[place] = true,
                    None => strange.push(format!("{file}: {name}: {of_type}")),
                }
            }
        }
    }
    let gone = known.iter().zip(found).filter(|(_, there)| !there);
    (seen, strange, gone.map(|(row, _)| format!("{row:?}")).collect())
}

#[test]
fn what_is_decided_has_a_type_for_each_kind_of_text() {
    let (seen, plain, gone) = strangers(&DECIDED, is_plain, PLAIN);
    assert!(seen > 250, "{seen}");
    assert!(plain.is_empty(), "give it a type of `maquette_core::values`: {plain:#?}");
    assert!(gone.is_empty(), "is not plain text any more: {gone:#?}");
}

/// A record is anybody's who may define domains: a number that has bounds had them only where a topology was read.
#[test]
fn what_is_decided_has_a_type_for_each_number_that_has_bounds() {
    let (seen, plain, gone) = strangers(&DECIDED[..1], is_number, NUMBERS);
    assert!(seen > 100, "{seen}");
    assert!(plain.is_empty(), "give it a type that has its bounds: {plain:#?}");
    assert!(gone.is_empty(), "is not a plain number any more: {gone:#?}");
}

/// What `ssh -G` says, and lines of any known_hosts, went as they were into files that ssh and Ansible obey.
#[test]
fn the_way_to_a_hypervisor_has_a_type_for_each_kind_of_text() {
    let (seen, plain, gone) = strangers(&WAYS, is_plain, PLAIN_WAYS);
    assert!(seen > 20, "{seen}");
    assert!(plain.is_empty(), "give it a type of `maquette_core::values`: {plain:#?}");
    assert!(gone.is_empty(), "is not plain text any more: {gone:#?}");
}
