//! Environment variables that are not settings: a table on the page of settings, with a row for each that the source of the
//! program reads.

use std::collections::BTreeSet;
use std::fs;

use maquette_core::settings::SETTINGS;
use regex_automata::meta::Regex;

use super::{files, root, table};

/// Maquette's own, and InfraRed's: what they do, and the flag that says the same.
const OURS: [(&str, &str); 19] = [
    ("MAQUETTE_PROJECT", "the project file; `--project`"),
    ("MAQUETTE_WORKSPACE", "directory for inventory, ssh config and key; `--workspace`"),
    ("MAQUETTE_STRICT", "anything without effect is an error; `--strict`"),
    ("MAQUETTE_ACCEPT", "words of `--accept`, with commas between them"),
    (
        "MAQUETTE_YES",
        "agrees to `down`, to the clean-up of one environment and to the end of a workspace, and to nothing that is lost when `up` builds",
    ),
    (
        "MAQUETTE_LOCK_WAIT",
        "seconds to wait for somebody else who changes the environment; `--lock-wait`",
    ),
    (
        "MAQUETTE_TIMEOUT",
        "seconds that a boot may take; `--timeout` of `up`, `start` and `image warm`",
    ),
    (
        "MAQUETTE_POWER_TIMEOUT",
        "seconds that a guest may take to shut down; `--timeout` of `stop` and `restart`",
    ),
    (
        "MAQUETTE_LIBVIRT_URI",
        "libvirt's address where the hypervisor is this machine, instead of `qemu:///system`: for trying things on libvirt's \
         test driver, which has no guests",
    ),
    (
        "MAQUETTE_HOME",
        "directory of `maquette workspace`; counts more than `IR_HOME` [default: `~/.infrared`]",
    ),
    ("IR_HOME", "the same for InfraRed's users"),
    (
        "MAQUETTE_ACTIVE_WORKSPACE",
        "name of the workspace of a command alone; counts more than `IR_WORKSPACE`",
    ),
    ("IR_WORKSPACE", "the same for InfraRed's users"),
    (
        "IR_ANSIBLE_LOG_OUTPUT",
        "what playbooks print is kept in the workspace, in `ansible_outputs`",
    ),
    ("IR_ANSIBLE_LOG_OUTPUT_NO_ANSI", "the same without colours"),
    ("IR_ANSIBLE_NO_STDOUT", "what playbooks print on standard output is not shown"),
    ("IR_ANSIBLE_NO_STDERR", "nor on standard error"),
    ("IR_GEN_VARS_JSON", "the settings of a run are kept in the workspace, in `ansible_vars`"),
    ("IR_NO_EXTRAS", "playbooks are not told which Python runs Ansible"),
];

/// Those that other programs have, too.
const OF_OTHERS: [(&str, &str); 13] = [
    ("ANSIBLE_CONFIG", "Ansible's configuration, which is left to it then"),
    ("ANSIBLE_VERBOSITY", "how much playbooks of `maquette virsh` say, without `-v`"),
    ("CI", "no progress is drawn, as on no terminal"),
    ("HOME", "where the directories below begin, and the user's ssh configuration is"),
    ("HOSTNAME", "what this machine is called where others see who is at work"),
    ("PATH", "where `ansible-playbook` and VNC viewers are looked for"),
    ("SUDO_UID", "whose workspaces and project files root may use by `sudo`"),
    ("TMPDIR", "where the sockets of SSH connections are, without `XDG_RUNTIME_DIR`"),
    ("XDG_CACHE_HOME", "built images and downloads [default: `~/.cache`]"),
    ("XDG_CONFIG_HOME", "one's own node and network files [default: `~/.config`]"),
    ("XDG_DATA_HOME", "workspaces [default: `~/.local/share`]"),
    ("XDG_RUNTIME_DIR", "where the sockets of SSH connections are"),
    ("XDG_STATE_HOME", "what happened here before [default: `~/.local/state`]"),
];

/// Variables that the program's source names, without its tests.
fn read() -> BTreeSet<String> {
    let ours = Regex::new(r#""((?:MAQUETTE|IR)_[A-Z0-9_]+)""#).unwrap();
    let asked = r#"(?:text|raw|said|xdg|named|is_yes|OsStr::new)\((?:\s*environment,)?\s*"([A-Z][A-Z0-9_]+)""#;
    let asked = Regex::new(asked).unwrap();
    let mut found = BTreeSet::new();
    for file in files(&root().join("crates/maquette/src"), "rs") {
        if file.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for pattern in [&ours, &asked] {
            let groups = pattern.captures_iter(text).filter_map(|c| c.get_group(1));
            found.extend(groups.map(|span| text[span.range()].to_string()));
        }
    }
    found
}

/// Writes their tables; fails if the source reads one that has no row, or a row's is read nowhere.
pub fn others(out: &mut String) {
    let mut read = read();
    let settings: BTreeSet<String> = SETTINGS.iter().filter_map(|row| row.variable()).collect();
    read.retain(|name| !settings.contains(name));
    let all = || OURS.iter().chain(&OF_OTHERS);
    let known: BTreeSet<String> = all().map(|(name, _)| (*name).to_string()).collect();
    assert_eq!(read, known, "the variables that the program reads, and those with a row here");
    out.push_str(
        "## Other variables\n\nOne of Maquette's or InfraRed's that is empty is not set.\n\n",
    );
    let row = |(name, does): &(&str, &str)| vec![format!("`{name}`"), (*does).to_string()];
    let head = ["variable", "what it does"];
    table(out, &head, OURS.iter().map(row));
    out.push_str("Of other programs' it minds:\n\n");
    table(out, &head, OF_OTHERS.iter().map(row));
}
