//! What is read of files and of other programs has an end: somebody may have put a device there, or anything else that has
//! none.

use super::{crates, program_files, program_text};

/// Where something is read to its end without a bound beside it: file, what, how often, and why it has an end.
const WITHOUT_BOUND: &[(&str, &str, usize, &str)] = &[
    ("maquette-bmc/src/reach/routes.rs", "fs::read_to_string(", 3, "the kernel's"),
    (
        "maquette-engine/src/host/ssh/hostkey.rs",
        "fs::read_to_string(",
        1,
        "what `ssh` has just written",
    ),
    (
        "maquette-engine/src/host/ssh/hostkey.rs",
        ".output()",
        1,
        "`ssh-keygen`, of a file of the user's",
    ),
    (
        "maquette-libvirt/src/bmc/serve.rs",
        "fs::read_to_string(",
        3,
        "root's own, on the hypervisor, and the kernel's",
    ),
    ("maquette-libvirt/src/bmc/sockets.rs", "fs::read_to_string(", 1, "its own"),
    (
        "maquette/src/playbooks/output.rs",
        ".output()",
        1,
        "the user's Python, which says its version",
    ),
    ("maquette/src/session/locking.rs", "fs::read_to_string(", 2, "the system's"),
    ("maquette/src/commands/common/foreground.rs", "fs::read_to_string(", 1, "the kernel's"),
    ("maquette/src/signals.rs", "fs::read_to_string(", 1, "the kernel's"),
    (
        "maquette/src/workspace/archive/contents.rs",
        ".read_to_end(",
        1,
        "of a stream that ends after as many bytes as an archive may have",
    ),
    ("maquette/src/world/terminal.rs", ".read_to_end(", 1, "what a test types"),
];

/// Words that read all there is.
const READS: [&str; 6] = [
    "fs::read_to_string(",
    "fs::read(",
    ".output()",
    ".wait_with_output()",
    ".read_to_end(",
    ".read_to_string(",
];

#[test]
fn what_others_write_is_not_read_without_end() {
    let mut found = Vec::new();
    for file in program_files() {
        let name = file.strip_prefix(crates()).unwrap().display().to_string();
        if name.ends_with("/properties.rs") {
            continue;
        }
        let text = program_text(&file);
        for what in READS {
            let unbounded = |line: &&str| {
                let code = line.split("//").next().unwrap();
                code.contains(what) && !code.contains(".take(")
            };
            let count = text.lines().filter(unbounded).count();
            if count > 0 {
                found.push((name.clone(), what, count));
            }
        }
    }
    let known: Vec<_> = WITHOUT_BOUND
        .iter()
        .map(|(name, what, count, _)| ((*name).to_string(), *what, *count))
        .collect();
    let new: Vec<_> = found.iter().filter(|one| !known.contains(one)).collect();
    let gone: Vec<_> = known.iter().filter(|one| !found.contains(one)).collect();
    assert!(
        new.is_empty(),
        "`private_file::read`, `reading::text` or `take` give it an end: {new:#?}"
    );
    assert!(gone.is_empty(), "is not there any more: {gone:#?}");
}
