//! Values in an archive that are taken: what each kind may look like.

use maquette_core::values::Line;

/// Stands for the workspace's path in an archive.
pub const PLACEHOLDER: &str = "%%workspace_dir%%";

fn all(text: &str, longest: usize, others: &str) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && !text.starts_with('-')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// A word without any meaning to a shell, `ssh` or Ansible.
pub fn is_word(text: &str) -> bool {
    all(text, 64, "_.-")
}

/// A host's name or address, in brackets or with a zone perhaps.
pub fn is_host(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    all(inner, 255, "_.:-")
}

/// A login name.
pub fn is_user(text: &str) -> bool {
    all(text, 64, "_.-")
}

/// A TCP port.
pub fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0) && !text.starts_with('+')
}

/// A path, of the workspace or of this machine, that does not go up.
pub fn is_path(text: &str) -> bool {
    let rest = text.strip_prefix(PLACEHOLDER).unwrap_or(text);
    all(rest, 1024, "_./~@+-") && !rest.split('/').any(|part| part == "..")
}

/// Whether a value is plain text: no line or other control character, no mark of a template.
pub fn is_text(text: &str) -> bool {
    text.parse::<Line>().is_ok()
}
