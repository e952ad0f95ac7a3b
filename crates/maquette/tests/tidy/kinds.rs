//! What to do about an error follows from its kind, decided where it comes in: its words differ by version and language.

use super::{Allowed, crates, program_files, program_text};

/// What values are called that hold what went wrong, in words.
const OF_FAILURES: [&str; 16] = [
    "cause", "causes", "detail", "e", "err", "error", "errors", "failure", "hint", "hints",
    "message", "reason", "reasons", "said", "stderr", "why",
];

/// Who searches in such words, and why it may.
const BORDERS: Allowed = &[
    (
        "maquette-core/src/expr/ansible.rs",
        "minijinja has no kind of its own for an operation on what is undefined",
    ),
    (
        "maquette-engine/src/host/fence.rs",
        "a shell's words for a program that is missing, and those of our own script",
    ),
    ("maquette-engine/src/host/ssh.rs", "a shell's words for a program that is missing"),
    ("maquette-engine/src/host/ssh/error.rs", "ssh and sudo have words only"),
    ("maquette-engine/src/net/netem.rs", "tc has words only"),
    ("maquette-engine/src/ready.rs", "cloud-init has words only"),
    ("maquette-libvirt/src/client.rs", "programs that libvirt calls have words only"),
    ("maquette/src/commands/share.rs", "a list of kinds, and no text"),
];

/// The names of what a text, line by line, is searched in.
fn searched(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for call in [".contains(", ".starts_with(", ".ends_with("] {
        for (at, _) in text.match_indices(call) {
            let mut before = &text[..at];
            for end in [".as_str()", ".to_string()", "()"] {
                before = before.strip_suffix(end).unwrap_or(before);
            }
            let begin = before.rfind(|c: char| !c.is_alphanumeric() && c != '_');
            found.push(&before[begin.map_or(0, |at| at + 1)..]);
        }
    }
    found
}

/// The text without comments and indentation; a chain of calls is one line.
fn joined(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap().trim());
    lines.collect::<Vec<_>>().join("\n").replace("\n.", ".")
}

#[test]
fn hints_follow_from_kinds() {
    let mut found = Vec::new();
    for file in program_files() {
        let text = joined(&program_text(&file));
        let in_words = searched(&text).iter().any(|name| OF_FAILURES.contains(name));
        if in_words || text.contains("causes.iter().any(") {
            found.push(file.strip_prefix(crates()).unwrap().display().to_string());
        }
    }
    found.sort();
    let known: Vec<&str> = BORDERS.iter().map(|(file, _)| *file).collect();
    assert_eq!(found, known);
}

#[test]
fn a_search_in_the_words_of_an_error_is_found() {
    for (line, name) in [
        ("if error.to_string().contains(\"x\") {", "error"),
        ("let is = error\n    .message()\n    .starts_with(\"x\");", "message"),
        ("causes.iter().any(|e| e.ends_with(WORD))", "e"),
        ("self.why.contains(&words)", "why"),
    ] {
        assert_eq!(searched(&joined(line)), [name], "{line}");
    }
}
