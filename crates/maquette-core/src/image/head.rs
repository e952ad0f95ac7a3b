//! What a file is, told by its own first bytes, before any program that would guess opens it.
//!
//! QEMU knows formats that name other files, and takes whatever it does not know for the bytes of a
//! disk. So only two formats are taken: qcow2 that names no other file, and raw with something at its
//! beginning that a disk has. Everything else is called what it is.

use super::qcow2;
use super::refusal::NotAnImage;

/// How many bytes of a file [`inspect`] wants to see, if it has as many: up to btrfs' superblock.
pub const HEAD: usize = 0x10048;

/// The smallest raw disk, in bytes: a mebibyte is where partitions begin.
const SMALLEST_RAW: u64 = 1 << 20;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip, RFC 1952.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl Compression {
    /// The program that unpacks it.
    pub fn program(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// qcow2 that stands alone.
    Qcow2 {
        /// Virtual size in bytes.
        size: u64,
    },
    /// The bytes of a disk.
    Raw,
    /// Something to unpack, which is to be inspected again then.
    Compressed(Compression),
}

/// Tells what a file is. `head` is its beginning, [`HEAD`] bytes or all there is, `len` the length of
/// the whole.
pub fn inspect(head: &[u8], len: u64) -> Result<Format, NotAnImage> {
    if len == 0 || head.is_empty() {
        return Err(NotAnImage::Empty);
    }
    if head.starts_with(qcow2::MAGIC) {
        return qcow2::check(head, len).map(|size| Format::Qcow2 { size });
    }
    if let Some(compression) = compression(head) {
        return Ok(Format::Compressed(compression));
    }
    if let Some(other) = named(head) {
        return Err(other);
    }
    if is_description(head) {
        return Err(NotAnImage::Other(DESCRIPTION, Some("vmdk")));
    }
    if is_text(head) {
        let what = text(head);
        return Err(NotAnImage::Other(what, (what == DESCRIPTION).then_some("vmdk")));
    }
    if head.iter().all(|b| *b == 0) {
        return Err(NotAnImage::Other("blank: it begins with nothing but zeros", Some("raw")));
    }
    if !is_disk(head) {
        return Err(NotAnImage::Unknown);
    }
    if len < SMALLEST_RAW { Err(NotAnImage::Short) } else { Ok(Format::Raw) }
}

fn compression(head: &[u8]) -> Option<Compression> {
    match head {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Compression::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        _ => None,
    }
}

/// Formats that are known by their first bytes, and are not taken.
fn named(head: &[u8]) -> Option<NotAnImage> {
    use NotAnImage::{Other, Packed};
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|h| h.starts_with(magic));
    let known: [(usize, &[u8], NotAnImage); 22] = [
        (0, b"KDMV", Other("a VMDK image", Some("vmdk"))),
        (0, b"COWD", Other("a VMDK image", Some("vmdk"))),
        (0, b"vhdxfile", Other("a VHDX image", Some("vhdx"))),
        (0, b"conectix", Other("a VHD image", Some("vpc"))),
        (0x40, &[0x7f, 0x10, 0xda, 0xbe], Other("a VirtualBox image (VDI)", Some("vdi"))),
        (0, b"QED\0", Other("a QED image", Some("qed"))),
        (0, b"WithoutFreeSpace", Other("a Parallels image", Some("parallels"))),
        (0, b"WithouFreSpacExt", Other("a Parallels image", Some("parallels"))),
        (0, b"Bochs Virtual HD Image", Other("a Bochs image", Some("bochs"))),
        (0, b"LUKS\xba\xbe", NotAnImage::Encrypted),
        (0, b"BZh", Packed("bunzip2")),
        (0, b"7z\xbc\xaf\x27\x1c", Packed("7z x")),
        (0, b"Rar!", Packed("unrar")),
        (0, &[0x04, 0x22, 0x4d, 0x18], Packed("unlz4")),
        (0, b"LZIP", Packed("lzip -d")),
        (0, b"PK\x03\x04", Packed("unzip")),
        (0, b"PK\x05\x06", Packed("unzip")),
        (257, b"ustar", Other("a tar archive", None)),
        (0, b"\x7fELF", Other("a program (ELF)", None)),
        (0, b"%PDF-", Other("a PDF document", None)),
        (0, b"\xed\xab\xee\xdb", Other("an RPM package", None)),
        (0, b"!<arch>\n", Other("an archive or Debian package", None)),
    ];
    known.into_iter().find(|(offset, magic, _)| at(*offset, magic)).map(|(_, _, what)| what)
}

/// A text that QEMU takes for an image, and reads the files that it names.
const DESCRIPTION: &str = "the description of a VMDK image, which names other files";

/// What QEMU takes for the description of a VMDK image (`vmdk_probe` in its `block/vmdk.c`): comments and empty
/// lines, whatever bytes are in them, and then a version. What follows may look like a disk.
fn is_description(head: &[u8]) -> bool {
    let mut lines = head.split(|b| *b == b'\n');
    let first = lines.find(|line| !line.starts_with(b"#") && !line.trim_ascii().is_empty());
    head.starts_with(b"# Disk") || first.is_some_and(|line| line.starts_with(b"version="))
}

/// Text has no bytes that a disk is full of.
fn is_text(head: &[u8]) -> bool {
    let start = &head[..head.len().min(4096)];
    start
        .iter()
        .all(|b| *b >= 0x20 && *b != 0x7f || matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b))
}

fn text(head: &[u8]) -> &'static str {
    let start = String::from_utf8_lossy(&head[..head.len().min(1024)]).to_ascii_lowercase();
    let start = start.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    if start.contains("disk descriptorfile") || start.contains("createtype=") {
        DESCRIPTION
    } else if start.starts_with("<!doctype html") || start.contains("<html") {
        "a web page (HTML)"
    } else if start.starts_with('<') {
        "an XML document"
    } else if start.starts_with(['{', '[']) {
        "a JSON document"
    } else if start.starts_with("#!") {
        "a script"
    } else if start.starts_with("version https://git-lfs") {
        "a pointer of Git LFS, and not the file that it stands for"
    } else {
        "a text file"
    }
}

/// Whether a disk, partition or file system begins so: a boot sector, GPT, and the superblocks of what
/// Linux guests use.
fn is_disk(head: &[u8]) -> bool {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|h| h.starts_with(magic));
    let labels = [0, 512, 1024, 1536];
    at(510, &[0x55, 0xaa])
        || at(512, b"EFI PART")
        || at(4096, b"EFI PART")
        || at(1080, &[0x53, 0xef])
        || at(0, b"XFSB")
        || at(0x10040, b"_BHRfS_M")
        || at(4086, b"SWAPSPACE2")
        || at(0x8001, b"CD001")
        || at(0, b"hsqs")
        || labels.into_iter().any(|o| at(o, b"LABELONE"))
}

#[cfg(test)]
mod tests;
