//! Checksums: published ones, and those of files here.

use std::fs::File;
use std::io;
use std::path::Path;

use maquette_core::hex::hex;
use maquette_core::image::{Checksum, Kind};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The SHA-256 of a file of this machine, in hexadecimal digits.
pub fn sha256(path: &Path) -> io::Result<String> {
    of(path, Kind::Sha256)
}

/// A checksum of a file of this machine, in hexadecimal digits.
pub fn of(path: &Path, kind: Kind) -> io::Result<String> {
    let mut file = File::open(path)?;
    match kind {
        Kind::Sha256 => digest::<Sha256>(&mut file),
        Kind::Sha384 => digest::<Sha384>(&mut file),
        Kind::Sha512 => digest::<Sha512>(&mut file),
    }
}

fn digest<D: Digest + io::Write>(file: &mut File) -> io::Result<String> {
    let mut hash = D::new();
    io::copy(file, &mut hash)?;
    Ok(hex(hash.finalize()))
}

/// Finds a file's checksum in a published list: `HASH  FILE`, `HASH *FILE` or
/// `SHA256 (FILE) = HASH`. The strongest wins.
pub fn find(list: &str, file: &str) -> Option<Checksum> {
    list.lines()
        .filter_map(|line| {
            if let Some((left, digits)) = line.split_once(") = ") {
                let (_, name) = left.split_once('(')?;
                return (name == file).then(|| Checksum::from_digits(digits.trim())).flatten();
            }
            let (digits, name) = line.trim().split_once(char::is_whitespace)?;
            let name = name.trim().trim_start_matches('*').trim_start_matches("./");
            (name == file).then(|| Checksum::from_digits(digits)).flatten()
        })
        .max_by_key(Checksum::kind)
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
        assert_eq!(find(&list, "x.qcow2").unwrap().kind(), Kind::Sha256);
        let y = find(&list, "y.qcow2").unwrap();
        assert_eq!((y.kind(), y.digits()), (Kind::Sha512, "b".repeat(128).as_str()));
        assert_eq!(find(&list, "z.qcow2"), None);
    }
}
