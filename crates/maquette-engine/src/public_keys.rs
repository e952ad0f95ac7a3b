//! Public keys as text: parsed and rewritten, so that nothing else rides along.

use maquette_core::values::KnownHost;
use ssh_key::{PrivateKey, PublicKey};

/// A line of a `.pub` file, from the first key in `text`: algorithm, key and a comment of plain words;
/// options before the key are refused.
pub fn line(text: &str) -> Option<String> {
    let line = text.lines().find(|l| !l.trim().is_empty())?.trim();
    let mut key = PublicKey::from_openssh(line).ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.@:-".contains(c);
    if !key.comment().chars().all(plain) {
        key.set_comment("");
    }
    key.to_openssh().ok()
}

/// The public half of an unencrypted private key, as a line of a `.pub` file.
pub fn of_private(text: &[u8]) -> Option<String> {
    PrivateKey::from_openssh(text).ok()?.public_key().to_openssh().ok()
}

/// A line of `known_hosts` without markers and wildcards: host names and addresses, or a hash of one, and
/// a key.
pub fn known_host(line: &str) -> Option<KnownHost> {
    let (hosts, key) = line.trim().split_once([' ', '\t'])?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.,:[]|=/+-".contains(c);
    if hosts.is_empty() || hosts.starts_with('-') || !hosts.chars().all(plain) {
        return None;
    }
    let mut key = PublicKey::from_openssh(key.trim()).ok()?;
    key.set_comment("");
    format!("{hosts} {}", key.to_openssh().ok()?.trim()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn keys_are_parsed_and_nothing_rides_along() {
        assert_eq!(line(&format!("{KEY} me@here\n")).unwrap(), format!("{KEY} me@here"));
        assert_eq!(line(&format!("{KEY} a\tb")).unwrap().trim(), KEY);
        assert_eq!(line(&format!("command=\"x\" {KEY}")), None);
        assert_eq!(line("ssh-ed25519 nonsense"), None);
        assert_eq!(known_host(&format!("a,[b]:22 {KEY} c")).unwrap(), *format!("a,[b]:22 {KEY}"));
        for line in ["@cert-authority a", "@revoked a", "*", "!a,*", "", "-a", "a b"] {
            assert_eq!(known_host(&format!("{line} {KEY}")), None, "{line}");
        }
        let key = crate::ssh_keys::EnvironmentKey::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        key.write(directory.path()).unwrap();
        let private = std::fs::read(directory.path().join("id_ed25519")).unwrap();
        assert_eq!(of_private(&private).unwrap(), key.public().as_str());
    }
}
