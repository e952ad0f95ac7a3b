//! The little that must be known of a disk image before it is used.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What the first bytes of an image tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// qcow2: <https://www.qemu.org/docs/master/interop/qcow2.html>.
    Qcow2 {
        /// Virtual size in bytes.
        size: u64,
        /// Whether it refers to another file.
        backed: bool,
    },
    /// A compressed file, with the name of the compression.
    Compressed(&'static str),
    /// Anything else is taken as the bytes of a disk.
    Raw,
}

/// Reads the header of a file.
pub fn read(path: &Path) -> std::io::Result<Header> {
    let mut bytes = Vec::new();
    File::open(path)?.take(32).read_to_end(&mut bytes)?;
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Header {
    let number = |at: usize| {
        bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes)
    };
    match bytes {
        [b'Q', b'F', b'I', 0xfb, ..] => Header::Qcow2 { size: number(24), backed: number(8) != 0 },
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Header::Compressed("xz"),
        [0x1f, 0x8b, ..] => Header::Compressed("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Header::Compressed("zstd"),
        [b'B', b'Z', b'h', ..] => Header::Compressed("bzip2"),
        _ => Header::Raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_apart() {
        let mut qcow2 = vec![b'Q', b'F', b'I', 0xfb, 0, 0, 0, 3];
        qcow2.extend(0u64.to_be_bytes());
        qcow2.extend([0; 8]);
        qcow2.extend((10u64 << 30).to_be_bytes());
        assert_eq!(parse(&qcow2), Header::Qcow2 { size: 10 << 30, backed: false });
        qcow2[15] = 9;
        assert_eq!(parse(&qcow2), Header::Qcow2 { size: 10 << 30, backed: true });
        assert_eq!(parse(b"\x1f\x8b\x08"), Header::Compressed("gzip"));
        assert_eq!(parse(b"\xeb\x63\x90"), Header::Raw);
        assert_eq!(parse(b""), Header::Raw);
    }
}
