//! Commands of pages are tried: those of `console` blocks are played on the model, `console guests` are typed by
//! `tests/e2e/type-page`; those of `sh` blocks, which have no output, are in a transcript with the same flags, or in a test
//! that is named here.

use std::collections::BTreeSet;
use std::fs;

use super::commands::{shown, typed, verb_and_flags};
use super::{files, pages, root};

/// Commands that no transcript has: the page, how it begins, the file that does it, and the words for it there.
const ELSEWHERE: [(&str, &str, &str, &str); 30] = [
    ("README.md", "scripts/quickstart", "tests/e2e/quickstart", "scripts/quickstart"),
    ("README.md", "scripts/test", ".ci/run", "exec scripts/test"),
    ("tutorial.md", "mkdir ~/lab", "tests/e2e/installed", "cd /root/lab"),
    ("tutorial.md", "cd ~/lab", "tests/e2e/installed", "cd /root/lab"),
    (
        "tutorial.md",
        "apt install --no-install-recommends ansible-core",
        "tests/e2e/installed",
        "apt-get install -q -y --no-install-recommends ansible-core",
    ),
    (
        "how-to/ansible.md",
        "ansible -i",
        "tests/e2e/quickstart",
        "ansible -i \"$inventory\" all -m ping",
    ),
    ("how-to/ansible.md", "printf '#!/bin/sh", "tests/e2e/quickstart", "exec maquette inventory"),
    ("how-to/ansible.md", "chmod +x inventory.sh", "tests/e2e/quickstart", "chmod +x"),
    (
        "how-to/ansible.md",
        "ansible-playbook -i inventory.sh",
        "tests/e2e/quickstart",
        "ansible -i \"$work/inventory.sh\"",
    ),
    (
        "how-to/ansible.md",
        "ansible-galaxy collection build",
        "tests/e2e/collection",
        "collection build",
    ),
    (
        "how-to/ansible.md",
        "ansible-galaxy collection install",
        "tests/e2e/collection",
        "collection install",
    ),
    (
        "how-to/ansible.md",
        "printf 'plugin:",
        "tests/e2e/collection",
        "plugin: maquette.libvirt.maquette",
    ),
    (
        "how-to/ansible.md",
        "ansible-playbook -i lab.maquette.yml",
        "tests/e2e/collection",
        "lab.maquette.yml",
    ),
    ("how-to/bmc.md", "curl --cacert", "tests/e2e/bmc/service", "--cacert"),
    (
        "how-to/bmc.md",
        "ipmitool -I lanplus -C 17",
        "tests/e2e/bmc/service",
        "ipmitool -I lanplus -C 17",
    ),
    ("how-to/bmc.md", "openstack baremetal node set", "tests/e2e/bmc/ironic", "redfish_verify_ca"),
    ("how-to/install.md", "scripts/release", "tests/e2e/release", "scripts/release"),
    ("how-to/install.md", "cd target/packages", "tests/e2e/release", "cd \"$packages\""),
    (
        "how-to/install.md",
        "apt install ./maquette",
        "tests/e2e/installed",
        "apt-get install -q -y $extra /root/maquette.deb",
    ),
    (
        "how-to/install.md",
        "apt install --no-install-recommends ansible-core",
        "tests/e2e/installed",
        "apt-get install -q -y --no-install-recommends ansible-core",
    ),
    ("how-to/install.md", "tar -xzf maquette", "tests/e2e/packages", "tar -xzf \"$archive\""),
    ("how-to/install.md", "ssh-keygen -Y verify", "tests/e2e/release", "/^ssh-keygen -Y verify/p"),
    ("how-to/install.md", "sha256sum --check", "tests/e2e/release", "/^sha256sum --check/p"),
    ("how-to/install.md", "scripts/quickstart", "tests/e2e/quickstart", "scripts/quickstart"),
    (
        "how-to/install.md",
        "apt install gcc",
        "scripts/deps",
        "build=(gcc libc6-dev pkg-config libvirt-dev",
    ),
    ("how-to/install.md", "source", "crates/maquette/tests/completions.rs", "completions"),
    ("how-to/log-in.md", "maquette logs -f", "crates/maquette/tests/e2e.rs", "&[\"logs\", \"-f\""),
    ("how-to/remote-hypervisor.md", "ssh-keygen -lf", "tests/e2e/remote", "ssh-keygen -lf"),
    (
        "how-to/troubleshoot.md",
        "tcpdump -r -",
        "crates/maquette/tests/transcripts/codes_of_rare_cases.txt",
        "tcpdump -n -r -",
    ),
    ("how-to/view.md", "maquette view --allow-changes", "tests/e2e/view", "\"--allow-changes\""),
];

/// Pages whose `console guests` blocks are typed, and where.
const TYPED: [(&str, &str); 2] =
    [("tutorial.md", "tests/e2e/installed"), ("README.md", "tests/e2e/quickstart")];

/// What no test does: it needs what is not here.
const NOT_HERE: [(&str, &str); 9] = [
    ("apt install git", "a machine to clone on"),
    ("rustup default stable", "another toolchain"),
    ("git clone https://github.com/maquette-dev/maquette", "its address"),
    ("cd maquette", "a clone"),
    (
        "dnf install ./maquette",
        "a system with dnf; `tests/e2e/release` unpacks the package and checks what it requires",
    ),
    (
        "cargo install --locked --path crates/maquette",
        "another build; `scripts/test` has `cargo build --locked`",
    ),
    ("wireshark -k -i -", "a screen"),
    ("infrared tripleo-undercloud", "InfraRed's other plugins"),
    ("ansible-playbook -i $(maquette workspace inventory)", "a playbook of the reader's"),
];

#[test]
fn every_command_of_the_pages_is_tried() {
    let mut sources = files(&root().join("crates/maquette/tests/transcripts"), "txt");
    let mut written: Vec<_> =
        ["how-to", "migrate"].iter().flat_map(|f| files(&pages().join(f), "md")).collect();
    written.extend([pages().join("tutorial.md"), root().join("README.md")]);
    sources.extend(written.iter().cloned());
    let played: Vec<_> = sources
        .iter()
        .flat_map(|file| typed(&fs::read_to_string(file).unwrap()))
        .filter(|command| command.starts_with("maquette"))
        .map(|command| verb_and_flags(&command))
        .collect();
    assert!(played.len() > 400, "{}", played.len());
    let mut used: BTreeSet<(&str, &str)> = BTreeSet::new();
    let (mut untried, mut seen) = (Vec::new(), 0);
    for page in &written {
        let name =
            page.strip_prefix(pages()).map_or("README.md".into(), |p| p.display().to_string());
        for (language, command) in shown(&fs::read_to_string(page).unwrap()) {
            seen += 1;
            if language == "console guests" {
                let Some((page, file)) = TYPED.iter().find(|(page, _)| *page == name) else {
                    panic!("nobody types what {name} shows: {command}");
                };
                let text = fs::read_to_string(root().join(file)).unwrap();
                assert!(text.contains("type-page") && text.contains(page), "{file}: {name}");
                continue;
            }
            if command.starts_with("maquette ") {
                let (verb, flags) = verb_and_flags(&command);
                if played.iter().any(|(v, f)| *v == verb && flags.is_subset(f)) {
                    continue;
                }
            }
            let row = ELSEWHERE
                .iter()
                .find(|(of, begins, ..)| *of == name && command.starts_with(begins));
            let without = NOT_HERE.iter().find(|(begins, _)| command.starts_with(begins));
            match (row, without) {
                (Some((of, begins, file, needle)), _) => {
                    used.insert((of, begins));
                    let text = fs::read_to_string(root().join(file)).unwrap();
                    assert!(text.contains(needle), "{file} does not do what {of} shows: {command}");
                }
                (None, Some((begins, _))) => {
                    used.insert(("", begins));
                }
                (None, None) => untried.push(format!("{name}: {command}")),
            }
        }
    }
    assert!(
        untried.is_empty(),
        "no test has these: write a `console` block or a row:\n{}",
        untried.join("\n")
    );
    assert!(seen > 60, "{seen}");
    let rows = ELSEWHERE.iter().map(|(of, begins, ..)| (*of, *begins));
    let rows = rows.chain(NOT_HERE.iter().map(|(begins, _)| ("", *begins)));
    let idle: Vec<_> = rows.filter(|row| !used.contains(row)).collect();
    assert!(idle.is_empty(), "no page has these any more: {idle:?}");
}
