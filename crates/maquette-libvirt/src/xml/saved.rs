//! The head of a memory image that libvirt has saved: its own format of version 2, little-endian as on every CPU that
//! nodes run on (`virQEMUSaveHeader` in libvirt's `qemu_saveimage.h`, unchanged since 1.1.3).
//!
//! The head says how long the text is that follows it: the domain's definition, a zero, what libvirt notes of the
//! running domain, a zero, and room for a definition that grows. Then comes what QEMU wrote. Nothing else is
//! understood, and what is not understood is not used.

use thiserror::Error;

/// Length of the fixed part in bytes.
const FIXED: usize = 92;

/// How many bytes of an image are enough to see definition and notes; room is left for the largest of domains.
pub const ENOUGH: usize = 128 * 1024;

/// Longest text that is believed, in bytes: definition, notes and room.
const LONGEST: usize = 4 << 20;

const MAGIC: &[u8; 16] = b"LibvirtQemudSave";
const VERSION: u32 = 2;

/// Why a memory image is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadError {
    /// It has another magic number, or is unfinished.
    #[error("it is not a memory image that libvirt has finished")]
    Magic,
    /// It has another version.
    #[error("libvirt writes memory images of version {0}, and only version 2 is known")]
    Version(u32),
    /// Its memory cannot be searched.
    #[error("it is compressed, as `save_image_format` in libvirt's qemu.conf says")]
    Compressed,
    /// Its lengths contradict each other.
    #[error("the lengths in its head contradict each other")]
    Lengths,
    /// A node's definition does not fit.
    #[error("the domain's definition has no room in it")]
    NoRoom,
}

/// The head of a memory image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    fixed: [u8; FIXED],
    length: usize,
    /// The definition of the domain that was saved.
    pub xml: String,
    notes: Vec<u8>,
}

impl Head {
    /// Reads an image's first bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>().ok_or(HeadError::Magic)?;
        if !fixed.starts_with(MAGIC) {
            return Err(HeadError::Magic);
        }
        let version = number(fixed, 16)?;
        if version != VERSION {
            return Err(HeadError::Version(version));
        }
        if number(fixed, 28)? != 0 {
            return Err(HeadError::Compressed);
        }
        let size = |at| Ok(usize::try_from(number(fixed, at)?).unwrap_or(usize::MAX));
        // Between these two: whether it ran.
        let (length, notes_at) = (size(20)?, size(32)?);
        if length > LONGEST || notes_at > length {
            return Err(HeadError::Lengths);
        }
        let (xml, after) = text(rest)?;
        let notes = match notes_at {
            0 => Vec::new(),
            at if at == rest.len() - after.len() => text(after)?.0.to_vec(),
            _ => return Err(HeadError::Lengths),
        };
        let xml = String::from_utf8(xml.to_vec()).map_err(|_| HeadError::Lengths)?;
        let head = Self { fixed: *fixed, length, xml, notes };
        if head.text(&head.xml).len() > length {
            return Err(HeadError::Lengths);
        }
        Ok(head)
    }

    /// Where it ends and the memory begins, in bytes.
    pub fn end(&self) -> u64 {
        (FIXED + self.length) as u64
    }

    /// The bytes that the image begins with if it is of another domain, which is paused when it is restored: it has to hear
    /// who it is before it runs.
    pub fn of(&self, xml: &str) -> Result<Vec<u8>, HeadError> {
        let text = self.text(xml);
        if text.len() > self.length || xml.contains('\0') {
            return Err(HeadError::NoRoom);
        }
        let mut head = self.fixed;
        head[24..28].copy_from_slice(&0u32.to_le_bytes());
        let notes_at = if self.notes.is_empty() { 0 } else { xml.len() + 1 };
        let notes_at = u32::try_from(notes_at).map_err(|_| HeadError::NoRoom)?;
        head[32..36].copy_from_slice(&notes_at.to_le_bytes());
        Ok([&head, text.as_slice()].concat())
    }

    /// Definition and notes as they stand after the fixed part.
    fn text(&self, xml: &str) -> Vec<u8> {
        let mut text = [xml.as_bytes(), b"\0"].concat();
        if !self.notes.is_empty() {
            text.extend([self.notes.as_slice(), b"\0"].concat());
        }
        text
    }
}

fn number(fixed: &[u8; FIXED], at: usize) -> Result<u32, HeadError> {
    let bytes = fixed.get(at..at + 4).and_then(|b| b.try_into().ok());
    bytes.map(u32::from_le_bytes).ok_or(HeadError::Lengths)
}

/// What comes before a zero, and what comes after it.
fn text(bytes: &[u8]) -> Result<(&[u8], &[u8]), HeadError> {
    let end = bytes.iter().position(|b| *b == 0).ok_or(HeadError::Lengths)?;
    Ok((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn image(length: u32, xml: &str, notes: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let notes_at = if notes.is_empty() { 0 } else { u32::try_from(xml.len()).unwrap() + 1 };
        for number in [VERSION, length, 0, 0, notes_at] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(FIXED, 0);
        bytes.extend(xml.as_bytes());
        bytes.push(0);
        if !notes.is_empty() {
            bytes.extend(notes.as_bytes());
            bytes.push(0);
        }
        bytes.resize(FIXED + length as usize, 0);
        bytes.extend(b"QEVM");
        bytes
    }

    #[test]
    fn another_definition_takes_the_place_of_the_first_and_notes_stay() {
        let mut ran = image(100, "<domain>a</domain>", "<cookie/>");
        ran[24] = 1;
        let head = Head::parse(&ran).unwrap();
        assert_eq!(head.xml, "<domain>a</domain>");
        let new = head.of("<domain>another</domain>").unwrap();
        assert_eq!(number(&new[..FIXED].try_into().unwrap(), 24), Ok(0), "it is paused");
        let mut whole = image(100, "<domain>a</domain>", "<cookie/>");
        whole[..new.len()].copy_from_slice(&new);
        assert!(whole.ends_with(b"QEVM"));
        let read = Head::parse(&whole).unwrap();
        assert_eq!(
            (read.xml.as_str(), read.notes.as_slice()),
            ("<domain>another</domain>", &b"<cookie/>"[..])
        );
        assert_eq!(head.of(&"x".repeat(100)), Err(HeadError::NoRoom));
        assert_eq!(head.of("a\0b"), Err(HeadError::NoRoom));
    }

    #[test]
    fn what_is_not_understood_is_not_used() {
        let good = image(100, "<domain/>", "<cookie/>");
        let with = |at: usize, bytes: &[u8]| {
            let mut bad = good.clone();
            bad[at..at + bytes.len()].copy_from_slice(bytes);
            Head::parse(&bad)
        };
        assert_eq!(with(0, b"LibvirtQemudPart"), Err(HeadError::Magic));
        assert_eq!(with(16, &3u32.to_le_bytes()), Err(HeadError::Version(3)));
        assert_eq!(with(16, &2u32.to_be_bytes()), Err(HeadError::Version(2 << 24)));
        for (at, number) in [(20, 5u32), (20, u32::MAX), (32, 3), (32, 101), (32, u32::MAX)] {
            assert_eq!(with(at, &number.to_le_bytes()), Err(HeadError::Lengths), "{at} {number}");
        }
        for end in 0..good.len() {
            // However little of it is there, nothing panics; the room after the notes is not needed.
            let _ = Head::parse(&good[..end]);
        }
        assert_eq!(Head::parse(&good[..FIXED + 5]), Err(HeadError::Lengths));
    }
}
