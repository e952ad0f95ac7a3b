//! Where a memory image has what only one guest may have.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Encoding};
use maquette_core::units::MacAddr;
use uuid::Uuid;

use crate::StepError;
use crate::host::{Command, Host, check};

const SEARCH: &str = include_str!("../../../assets/image/memory-search.sh");

/// What the agent of a template has in its memory before the boot ID (`MARK` in `maquette_template.py`).
pub const MARK: &str = "maquette boot id ";

/// Length in bytes of a UUID's text.
const TEXT: usize = 36;

/// Most places that are changed: each takes a millisecond of a node's start.
const PLACES: usize = 2000;

/// Most bytes of matches that are looked at. An end of line in a boot ID may leave few bytes to look for.
const MATCHES: &str = "4000000";

/// What comes before the boot ID in an entry of a journal: the time of day and that since the boot, in microseconds and
/// 64 bits little-endian. A template has removed its journals, but for what is still in memory, a thousand times.
const ENTRY: &str = r"(?<![\x06-\x09]\x00[^\x0a]{5}\x00\x00\x00)";

/// What is random in a guest, and its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// The UUID of its domain.
    pub uuid: Uuid,
    /// Its boot ID.
    pub boot: Uuid,
    /// The addresses of the NICs that are in its memory, in order.
    pub macs: Vec<MacAddr>,
}

/// What of a guest is in its memory, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The UUID as in the firmware's tables (System Management BIOS 2.6 and later, 7.2.1): its first three fields are
    /// little-endian.
    Firmware,
    /// The UUID as text, as Linux writes it down when it starts.
    Text,
    /// The machine-id that systemd has made of the UUID, as its services remember it (`sd_id128_t`).
    MachineId,
    /// The boot ID: the kernel's (`sysctl_bootid`, which is aligned so that it is in one page), and that of systemd and its
    /// services, which remember what they have read. Sixteen bytes that are the same are the same ID, so that all of them are
    /// changed, or processes would not agree. As text it is in journals, which a node begins again.
    BootId,
    /// The address of a NIC: QEMU's, its driver's and that of whoever manages the network.
    Mac(usize),
    /// The same as text, as udev notes it down.
    MacText(usize),
    /// The same in a name of that NIC (`ID_NET_NAME_MAC`).
    MacName(usize),
}

impl Kind {
    /// All of a guest with so many NICs in its memory.
    pub fn all(nics: usize) -> Vec<Self> {
        let of_nic = |nic| [Self::Mac(nic), Self::MacText(nic), Self::MacName(nic)];
        let of_guest = [Self::Firmware, Self::Text, Self::MachineId, Self::BootId];
        of_guest.into_iter().chain((0..nics).flat_map(of_nic)).collect()
    }

    /// Whether it is in the memory of each guest.
    pub fn is_in_each(self) -> bool {
        // Not all versions of systemd make a machine-id so, or write addresses down.
        !matches!(self, Self::MachineId | Self::MacText(_) | Self::MacName(_))
    }

    /// Whether it is text, which is looked for together.
    fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::MacText(_) | Self::MacName(_))
    }

    /// How it is written of a guest.
    pub fn bytes(self, ids: &Ids) -> Vec<u8> {
        match self {
            Self::Firmware => ids.uuid.to_bytes_le().to_vec(),
            Self::Text => text(ids.uuid).into_bytes(),
            Self::MachineId => ids.uuid.as_bytes().to_vec(),
            Self::BootId => ids.boot.as_bytes().to_vec(),
            Self::Mac(nic) => mac(ids, nic).0.to_vec(),
            Self::MacText(nic) => mac(ids, nic).to_string().into_bytes(),
            Self::MacName(nic) => mac(ids, nic).to_string().replace(':', "").into_bytes(),
        }
    }
}

/// The address of a NIC; one that nobody has where there is no such NIC.
fn mac(ids: &Ids, nic: usize) -> MacAddr {
    ids.macs.get(nic).copied().unwrap_or(MacAddr([0xff; 6]))
}

/// A place in a memory image that is a guest's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it begins, in bytes.
    pub at: u64,
    /// What it is.
    pub kind: Kind,
}

/// What was found of a memory image.
#[derive(Debug)]
pub struct Searched {
    /// Its first bytes.
    pub head: Vec<u8>,
    /// What is its guest's own.
    pub found: Vec<Found>,
}

/// What matches a pattern, by where it begins.
type Matches = BTreeMap<u64, Vec<u8>>;

/// The first bytes of a memory image on the hypervisor, at most `limit`, and where it has what is its guest's own, whose
/// domain has a UUID and NICs.
///
/// # Errors
///
/// It cannot be read, or does not say which boot ID its guest has.
pub fn search(
    host: &dyn Host,
    path: &str,
    limit: usize,
    uuid: Uuid,
    macs: &[MacAddr],
) -> Result<Searched, StepError> {
    let failed = |why: &str| {
        StepError::new(format!("cannot read {path}"))
            .because(std::io::Error::other(why.to_string()))
    };
    let mut ids = Ids { uuid, boot: Uuid::nil(), macs: macs.to_vec() };
    let kinds = Kind::all(macs.len());
    let texts = kinds.iter().filter(|kind| kind.is_text());
    let words = texts.map(|kind| String::from_utf8_lossy(&kind.bytes(&ids)).into_owned());
    let words: Vec<String> = words.chain([format!("{MARK}[0-9a-f-]{{{TEXT}}}")]).collect();
    let (head, texts) = look(host, path, limit, &words.join("|"))?;
    let said: BTreeSet<Uuid> = texts.values().filter_map(|text| boot_id(text)).collect();
    let (Some(boot), 1) = (said.first().copied(), said.len()) else {
        return Err(failed("its agent does not say which boot ID it has"));
    };
    if boot.as_bytes().windows(2).any(|pair| pair == b"\n\n") {
        // One of them may be none in what is found.
        return Err(failed("its boot ID cannot be searched for; the next try gets another one"));
    }
    ids.boot = boot;
    let needles: Vec<Needle> = kinds.iter().map(|kind| Needle::new(*kind, &ids)).collect();
    let binary = needles.iter().filter(|needle| !needle.kind.is_text());
    let patterns: Vec<String> = binary.map(Needle::pattern).collect();
    let (_, binary) = look(host, path, 0, &patterns.join("|"))?;
    let matches: Matches = texts.into_iter().chain(binary).collect();
    let mut found: Vec<Found> = needles.iter().flat_map(|needle| needle.places(&matches)).collect();
    if found.len() > PLACES {
        return Err(failed("what belongs to its guest alone is in it too often"));
    }
    found.sort();
    Ok(Searched { head, found })
}

fn text(uuid: Uuid) -> String {
    uuid.hyphenated().to_string()
}

/// The boot ID that is behind its mark.
fn boot_id(found: &[u8]) -> Option<Uuid> {
    let said = std::str::from_utf8(found.strip_prefix(MARK.as_bytes())?).ok()?;
    // Not what is written in another way: it is a part of a program's text.
    said.parse().ok().filter(|uuid| text(*uuid) == said)
}

/// Bytes that are looked for by a tool that looks at lines.
struct Needle {
    kind: Kind,
    length: u64,
    /// What is between ends of lines, and where.
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Needle {
    fn new(kind: Kind, ids: &Ids) -> Self {
        let bytes = kind.bytes(ids);
        let (mut pieces, mut at) = (Vec::new(), 0);
        for piece in bytes.split(|byte| *byte == b'\n') {
            pieces.push((at, piece.to_vec()));
            at += piece.len() as u64 + 1;
        }
        // Where an end of line comes first or last, nothing is beyond it.
        pieces.retain(|(_, piece)| !piece.is_empty());
        Self { kind, length: bytes.len() as u64, pieces }
    }

    /// What finds its pieces, in lines of their own where ends of lines are beside them.
    fn pattern(&self) -> String {
        let piece = |(at, piece): &(u64, Vec<u8>)| {
            let (first, last) = (*at == 0, at + piece.len() as u64 == self.length);
            let begin = match self.kind {
                _ if !first => "^",
                Kind::BootId => ENTRY,
                _ => "",
            };
            let bytes: String = piece.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("{begin}{bytes}{}", if last { "" } else { "$" })
        };
        self.pieces.iter().map(piece).collect::<Vec<_>>().join("|")
    }

    /// Where all of it is.
    fn places(&self, matches: &Matches) -> Vec<Found> {
        let Some((first, rest)) = self.pieces.split_first() else { return Vec::new() };
        let has = |at: u64, piece: &[u8]| matches.get(&at).is_some_and(|bytes| bytes == piece);
        let begin = |at: &u64| at.checked_sub(first.0).filter(|_| has(*at, &first.1));
        let begins = matches.keys().filter_map(begin);
        let whole = begins
            .filter(|begin| rest.iter().all(|(at, piece)| has(begin.saturating_add(*at), piece)));
        whole.map(|at| Found { at, kind: self.kind }).collect()
    }
}

/// What a memory image begins with, and what matches a pattern in it.
fn look(
    host: &dyn Host,
    path: &str,
    limit: usize,
    pattern: &str,
) -> Result<(Vec<u8>, Matches), StepError> {
    let failed = || StepError::new(format!("cannot read {path}"));
    let strange = |why: &str| failed().because(std::io::Error::other(why.to_string()));
    let arguments = [path, &limit.to_string(), pattern, MATCHES].map(String::from);
    let said = check(host, &Command::script(SEARCH, arguments)).map_err(|e| failed().because(e))?;
    let part = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        Base64::decode_vec(line).map_err(|_| strange("it is not base64"))
    };
    let found = part("found ")?;
    let whole = found.strip_suffix(b"ended 0\n").or(found.strip_suffix(b"ended 1\n"));
    let mut rest = whole.ok_or_else(|| strange("`grep` cannot look for everything in it"))?;
    let mut matches = Matches::new();
    // No match has an end of line.
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, more) = (&rest[..end], &rest[end + 1..]);
        let colon = line.iter().position(|byte| *byte == b':');
        let (at, bytes) = line.split_at(colon.ok_or_else(|| strange("a match is nowhere"))?);
        let at = std::str::from_utf8(at).ok().and_then(|at| at.parse().ok());
        matches.insert(at.ok_or_else(|| strange("a match is nowhere"))?, bytes[1..].to_vec());
        rest = more;
    }
    Ok((part("head ")?, matches))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Local;

    fn ids() -> Ids {
        let macs = vec![MacAddr(*b"bcdefg"), MacAddr([0x62, 0xff, 0x80, 1, 2, 3])];
        Ids { uuid: Uuid::from_u128(u128::MAX / 7), boot: Uuid::from_u128(u128::MAX / 11), macs }
    }

    fn searched(ids: &Ids, memory: &[&[u8]]) -> Result<Vec<(u64, Kind)>, StepError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.save");
        std::fs::write(&path, memory.concat()).unwrap();
        let searched = search(&Local, path.to_str().unwrap(), 1, ids.uuid, &ids.macs)?;
        Ok(searched.found.into_iter().map(|found| (found.at, found.kind)).collect())
    }

    /// An end of line is in one boot ID of twenty, and what has a part of one only is left alone.
    #[test]
    fn a_boot_id_is_found_whatever_its_bytes_are() {
        let uuid = Uuid::from_u128(u128::MAX / 7);
        for bytes in [
            *b"0123456789abcdef",
            *b"\x000123456\x008\xff\x80bcde",
            *b"\n123456\x00\x8f9abcde\n",
            *b"\xff\n2\n45\x00\x00\x8f\n.*|)\xff\n",
            *b"\n\x00\n\x00\n\x01\x4f\n\x8f\n\x00\x00\x00\n\x00\n",
        ] {
            let ids = Ids { uuid, boot: Uuid::from_bytes(bytes), macs: Vec::new() };
            let said = format!("{MARK}{}\0", text(ids.boot));
            let mut memory = vec![0xff; 4096];
            for at in 0..16 {
                let mut other = bytes;
                other[at] ^= 0x80;
                memory.extend(other);
                memory.push(0x7f);
            }
            let begin = memory.len() as u64;
            let memory: [&[u8]; 5] = [&memory, &bytes, &bytes, b"\n", said.as_bytes()];
            let found = searched(&ids, &memory).unwrap();
            assert_eq!(found, [begin, begin + 16].map(|at| (at, Kind::BootId)), "{bytes:x?}");
        }
    }

    /// They have been removed, and would be a thousand.
    #[test]
    fn entries_of_journals_are_passed_over() {
        let ids = ids();
        let boot = Kind::BootId.bytes(&ids);
        let said = format!("{MARK}{}\n", text(ids.boot));
        let (now, since) = (1_795_000_000_123_456_u64.to_le_bytes(), 61_234_567_u64.to_le_bytes());
        let entry = [&now[..], &since, &boot, b"hash"].concat();
        let found = searched(&ids, &[said.as_bytes(), &entry.repeat(5000), &boot]).unwrap();
        let at = said.len() as u64 + 5000 * entry.len() as u64;
        assert_eq!(found, [(at, Kind::BootId)]);
    }

    /// What systemd and its services remember; and the start of the file, before which there is nothing.
    #[test]
    fn everything_of_a_guest_is_found() {
        let ids = ids();
        let all = Kind::all(2).iter().flat_map(|kind| kind.bytes(&ids)).collect::<Vec<u8>>();
        let said = format!("{MARK}{}", text(ids.boot));
        let found = searched(&ids, &[&all, said.as_bytes(), b"\n", &all]).unwrap();
        let at = |begin: u64| {
            let guest =
                [(0, Kind::Firmware), (16, Kind::Text), (52, Kind::MachineId), (68, Kind::BootId)];
            let nic = |nic: usize| {
                [(0, Kind::Mac(nic)), (6, Kind::MacText(nic)), (23, Kind::MacName(nic))]
            };
            let nics =
                (0..2).flat_map(|n| nic(n).map(|(at, kind)| (84 + 35 * n as u64 + at, kind)));
            guest.into_iter().chain(nics).map(|(at, kind)| (begin + at, kind)).collect::<Vec<_>>()
        };
        assert_eq!(found, [at(0), at(84 + 70 + 17 + 36 + 1)].concat());
    }

    #[test]
    fn a_memory_image_that_does_not_say_its_boot_id_is_not_used() {
        let ids = ids();
        let said = |n: u128| format!("{MARK}{}", text(Uuid::from_u128(n)));
        let bytes = Kind::BootId.bytes(&ids);
        // Its program has these words, too.
        let none = searched(&ids, &[&bytes, MARK.as_bytes(), b"\" + more than that, and more"]);
        let two = searched(&ids, &[said(u128::MAX / 11).as_bytes(), said(5).as_bytes()]);
        for failed in [none, two] {
            let why = failed.unwrap_err().in_one_line();
            assert!(why.contains("does not say which boot ID"), "{why}");
        }
        let blank = Uuid::from_bytes(*b"01234567\x8f9ab\n\nef");
        let said_blank = format!("{MARK}{}", text(blank));
        let why = searched(&ids, &[said_blank.as_bytes()]).unwrap_err().in_one_line();
        assert!(why.contains("cannot be searched for"), "{why}");
        let often = [said(u128::MAX / 11).as_bytes(), b"\n", &bytes.repeat(PLACES + 1)].concat();
        let why = searched(&ids, &[&often]).unwrap_err().in_one_line();
        assert!(why.contains("too often"), "{why}");
    }

    /// One thing, said by two languages.
    #[test]
    fn the_agent_marks_what_is_looked_for() {
        let agent = include_str!("../../../assets/guest-agent/maquette_template.py");
        assert!(agent.contains(&format!("MARK = b\"{MARK}\"\n")));
    }
}
