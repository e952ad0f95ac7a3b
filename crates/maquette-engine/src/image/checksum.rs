//! Checksums: published ones, and those of files here.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

/// A checksum and the program that computes its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// `sha256sum`, `sha512sum`.
    pub program: &'static str,
    /// Hexadecimal digits, lower case.
    pub digits: String,
}

impl Checksum {
    /// Recognises the kind by its length.
    pub fn new(digits: &str) -> Option<Self> {
        if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        let program = match digits.len() {
            64 => "sha256sum",
            96 => "sha384sum",
            128 => "sha512sum",
            _ => return None,
        };
        Some(Self { program, digits: digits.to_ascii_lowercase() })
    }
}

/// The SHA-256 of a file of this machine, in hexadecimal digits.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Finds a file's checksum in a published list: `HASH  FILE`, `HASH *FILE` or
/// `SHA256 (FILE) = HASH`. The strongest wins.
pub fn find(list: &str, file: &str) -> Option<Checksum> {
    list.lines()
        .filter_map(|line| {
            if let Some((left, digits)) = line.split_once(") = ") {
                let (_, name) = left.split_once('(')?;
                return (name == file).then(|| Checksum::new(digits.trim())).flatten();
            }
            let (digits, name) = line.trim().split_once(char::is_whitespace)?;
            let name = name.trim().trim_start_matches('*').trim_start_matches("./");
            (name == file).then(|| Checksum::new(digits)).flatten()
        })
        .max_by_key(|c| c.digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_lists_are_read() {
        let a = "a".repeat(64);
        let b = "B".repeat(128);
        let list = format!(
            "# comment\n{a}  other.img\n{a} *x.qcow2\nSHA512 (y.qcow2) = {b}\nshort  y.qcow2\n"
        );
        assert_eq!(find(&list, "x.qcow2").unwrap().program, "sha256sum");
        let y = find(&list, "y.qcow2").unwrap();
        assert_eq!((y.program, y.digits), ("sha512sum", "b".repeat(128)));
        assert_eq!(find(&list, "z.qcow2"), None);
    }
}
