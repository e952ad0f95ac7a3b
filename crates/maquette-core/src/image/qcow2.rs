//! The header of a qcow2 file: <https://www.qemu.org/docs/master/interop/qcow2.html>.

use super::refusal::NotAnImage;

/// What every qcow2 file, and the older qcow, begins with.
pub(super) const MAGIC: &[u8] = b"QFI\xfb";

/// Largest virtual size that is believed, in bytes: 1 PiB. No file system of a guest is near it.
const LARGEST: u64 = 1 << 50;
/// QEMU's own limit of the first table of clusters, in entries of 8 bytes.
const LARGEST_L1: u64 = (32 << 20) / 8;
/// QEMU's own limit of the table of reference counts, in bytes.
const LARGEST_REFCOUNTS: u64 = 8 << 20;

const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

/// Checks a header; returns the virtual size in bytes. `len` is the file's.
pub(super) fn check(head: &[u8], len: u64) -> Result<u64, NotAnImage> {
    use NotAnImage::{Damaged, Needs};
    let header = Header(head);
    let (version, short) = (header.u32(4), Damaged("it ends within its header"));
    if version == Some(1) {
        return Err(NotAnImage::Other("an image of the old format qcow", Some("qcow")));
    }
    if !matches!(version, Some(2 | 3)) {
        return Err(Needs("an unknown version of qcow2"));
    }
    let (Some(backing), Some(backing_len)) = (header.u64(8), header.u32(16)) else {
        return Err(short);
    };
    if backing != 0 || backing_len != 0 {
        return Err(NotAnImage::Refers("a backing file"));
    }
    let (Some(bits), Some(size), Some(crypt)) = (header.u32(20), header.u64(24), header.u32(32))
    else {
        return Err(short);
    };
    if crypt != 0 {
        return Err(NotAnImage::Encrypted);
    }
    if !(9..=21).contains(&bits) {
        return Err(Damaged("its cluster size is not valid"));
    }
    if size == 0 || size > LARGEST {
        return Err(Damaged("its virtual size is not valid"));
    }
    let cluster = 1u64 << bits;
    let mut extended = false;
    if version == Some(3) {
        extended = check_features(&header, cluster)?;
    }
    tables(&header, cluster, size, extended, len)?;
    Ok(size)
}

/// What version 3 adds; returns whether the entries of its second tables have twice the length.
fn check_features(header: &Header<'_>, cluster: u64) -> Result<bool, NotAnImage> {
    use NotAnImage::{Damaged, Needs};
    let short = Damaged("it ends within its header");
    let (Some(features), Some(order), Some(length)) =
        (header.u64(72), header.u32(96), header.u32(100))
    else {
        return Err(short);
    };
    if features & DATA_FILE != 0 {
        return Err(NotAnImage::Refers("an external data file"));
    }
    if features & CORRUPT != 0 {
        return Err(Damaged("it is marked as corrupt"));
    }
    if features & !(DIRTY | COMPRESSION | EXTENDED_L2) != 0 {
        return Err(Needs("an unknown feature of qcow2"));
    }
    if length < 104 || !length.is_multiple_of(8) || u64::from(length) > cluster {
        return Err(Damaged("its header length is not valid"));
    }
    if order > 6 {
        return Err(Damaged("the width of its reference counts is not valid"));
    }
    let kind = if length > 104 { header.byte(104).ok_or(short)? } else { 0 };
    // 0 is zlib, 1 zstd; the feature says that it is not zlib.
    if kind > 1 || (kind != 0) != (features & COMPRESSION != 0) {
        return Err(Needs("an unknown compression"));
    }
    Ok(features & EXTENDED_L2 != 0)
}

/// Whether the tables are as large as the disk needs, and within the file.
fn tables(
    header: &Header<'_>,
    cluster: u64,
    size: u64,
    extended: bool,
    len: u64,
) -> Result<(), NotAnImage> {
    use NotAnImage::Damaged;
    let (Some(l1), Some(l1_at), Some(counts_at), Some(counts)) =
        (header.u32(36), header.u64(40), header.u64(48), header.u32(56))
    else {
        return Err(Damaged("it ends within its header"));
    };
    let (l1, counts) = (u64::from(l1), u64::from(counts) * cluster);
    let per_table = cluster / if extended { 16 } else { 8 };
    if l1 > LARGEST_L1 || l1 < size.div_ceil(cluster * per_table) {
        return Err(Damaged("its first table does not fit its virtual size"));
    }
    if counts == 0 || counts > LARGEST_REFCOUNTS.max(cluster) {
        return Err(Damaged("the size of its reference counts is not valid"));
    }
    let within = |at: u64, bytes: u64| {
        at >= cluster
            && at.is_multiple_of(cluster)
            && at.checked_add(bytes).is_some_and(|e| e <= len)
    };
    if !within(l1_at, l1 * 8) || !within(counts_at, counts) {
        return Err(Damaged("its tables are beyond its end: it was cut off"));
    }
    Ok(())
}

/// Big-endian numbers of a header.
struct Header<'a>(&'a [u8]);

impl Header<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.0.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.0.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes)
    }
}
