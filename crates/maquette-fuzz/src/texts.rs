//! Smaller readers: what a probe, a record, an inventory, a guest, an image's first bytes say.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use maquette::fuzzing;
use maquette_core::image::{Format, ImageLocation, ImageRef, inspect, redact, redact_words};
use maquette_core::lifetime::Lifetime;
use maquette_core::observed::{self, Access};
use maquette_core::values::{Directory, printable};
use maquette_engine::guests::{self, Guest};
use maquette_engine::image::resolve;
use maquette_engine::prepare::record::Record;
use maquette_engine::probe;
use maquette_libvirt::Lines;
use maquette_libvirt::xml::saved::Head;

use crate::check;

/// What the probe script prints on a hypervisor.
pub fn probe(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let facts = probe::read(&text);
    assert!(facts.cpus > 0);
    for (environment, lifetime) in &facts.lifetimes {
        let again = Lifetime::parse_all(&lifetime.text(environment));
        assert_eq!(again.get(environment).cloned().unwrap_or_default(), *lifetime);
        check::no_controls(
            "an owner, as it is shown",
            lifetime.owner.as_deref().unwrap_or_default(),
        );
    }
    who_may_write(&facts.pool_access);
    // What is asked of directories that disks name, besides.
    let asked = ["/srv/disks", "/srv/fast"].map(|path| path.parse().ok());
    let asked: BTreeSet<Directory> = asked.into_iter().flatten().collect();
    let found = probe::read_directories(&text, &asked);
    assert!(found.keys().eq(&asked), "{found:?}");
    found.values().for_each(|facts| who_may_write(&facts.access));
}

/// Who may write to directories is shown to people, and nobody's numbers are more than a mode has.
fn who_may_write(access: &[Access]) {
    for Access { path, mode, stranger } in access {
        check::no_controls("whose a directory is", stranger.as_deref().unwrap_or_default());
        assert!(path.starts_with('/') && *mode <= 0o7777, "{path} {mode:o}");
    }
    if let Some((at, _)) = observed::open(access) {
        assert!(access.iter().any(|access| access.path == *at), "{at}");
    }
}

/// The record of preparation, what a workspace remembers, answers files.
pub fn record(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(record) = Record::parse(&text) {
        assert_eq!(Record::parse(&record.text()).as_ref(), Ok(&record));
    }
    if let Ok(answers) = fuzzing::answers(&text) {
        assert!(answers.iter().all(|(name, _)| !name.contains('\n')));
    }
}

/// Inventories of the user's own, or that came with an archive.
pub fn inventory(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let hosts = fuzzing::inventory(&text);
    let mut names = BTreeSet::new();
    for (name, _, groups) in &hosts {
        assert!(names.insert(name), "{name} is there twice");
        assert!(!groups.is_empty(), "{name}");
        for group in groups.iter().filter(|group| *group != "ungrouped") {
            assert!(text.contains(&format!("[{group}]")), "{name} is in {group}");
        }
    }
    // What is said twice is said.
    assert_eq!(fuzzing::inventory(&format!("{text}\n[ungrouped]\n{text}")), hosts);
}

/// What a guest writes to its port, in whatever pieces it comes; or, after a line `%% guests`, what is found out about
/// guests, the end of their consoles included.
pub fn report(data: &[u8]) {
    if let Some(said) = data.strip_prefix(b"%% guests\n") {
        return looked_at(&String::from_utf8_lossy(said));
    }
    const LONGEST: usize = 4096;
    let mut lines = Lines::default();
    let mut words = Vec::new();
    let piece = usize::from(data.first().copied().unwrap_or(1)).max(1);
    for bytes in data.chunks(piece) {
        words.extend(lines.read(bytes));
    }
    assert!(words.len() <= data.iter().filter(|b| **b == b'\n').count());
    // Bytes that are not text become a character of three bytes each.
    assert!(words.iter().all(|word| word.len() <= 3 * LONGEST && !word.is_empty()));
    assert_eq!(Lines::default().read(data), words, "pieces make a difference");
    let whole = data.last() == Some(&b'\n');
    let flood = lines.read(&[b'x'; 2 * LONGEST]);
    assert!(flood.is_empty(), "a line that has not ended is a word");
    assert_eq!(lines.read(b"\nend\n"), ["end"], "after a flood (new line: {whole})");
    for word in words {
        check::no_controls(
            "what a guest said, as it is shown",
            &printable(&word).replace(['\u{fffd}', '\t'], ""),
        );
    }
}

fn looked_at(said: &str) {
    let guest = |name: &str| Guest {
        name: name.into(),
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        log: Some("/x".into()),
    };
    let found = guests::read(said, &[guest("a"), guest("b")]);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"]);
    for console in found.values().filter_map(|evidence| evidence.console.as_ref()) {
        let shown = console.text.replace(['\u{fffd}', '\t'], "");
        check::no_controls("the end of a console", &shown);
    }
}

/// The head of a memory image, as libvirt writes it and anybody who may write there.
fn memory_head(data: &[u8]) {
    let Ok(head) = Head::parse(data) else { return };
    let whole = head.of(&head.xml).expect("what was in it has room");
    assert!(whole.len() as u64 <= head.end(), "it would reach into the memory");
    let again = Head::parse(&whole).expect("what is written can be read");
    assert_eq!((&again.xml, again.end()), (&head.xml, head.end()));
    assert!(head.of(&format!("{}{}", head.xml, "x".repeat(8 << 20))).is_err());
}

/// The first bytes of an image; or, after a line `%% memory`, those of a memory image; after a line `%% word`, what a user names one by.
pub fn image(data: &[u8]) {
    if let Some(word) = data.strip_prefix(b"%% word\n") {
        return image_word(&String::from_utf8_lossy(word));
    }
    if let Some(head) = data.strip_prefix(b"%% memory\n") {
        return memory_head(head);
    }
    for len in [data.len() as u64, 1 << 30, u64::MAX] {
        match inspect(data, len) {
            Ok(Format::Qcow2 { size }) => {
                let zero = |from: usize, to: usize| {
                    data.get(from..to).is_none_or(|bytes| bytes.iter().all(|b| *b == 0))
                };
                assert!(data.starts_with(b"QFI\xfb"));
                assert!(size > 0, "a disk without a byte");
                assert!(zero(8, 16), "it has a backing file");
                assert!(zero(32, 36), "it is encrypted");
                let version3 = data.get(7) == Some(&3);
                let external = data.get(79).is_some_and(|bits| bits & 4 != 0);
                assert!(!(version3 && external), "its data are in another file");
            }
            Ok(Format::Raw) => {
                for magic in [
                    &b"QFI\xfb"[..],
                    b"KDMV",
                    b"COWD",
                    b"vhdxfile",
                    b"conectix",
                    b"QED\0",
                    b"# Disk",
                ] {
                    assert!(!data.starts_with(magic), "QEMU would take it for another format");
                }
                // So does a description: comments, then a version.
                let after =
                    data.iter().position(|b| *b == b'\n').map_or(&[][..], |n| &data[n + 1..]);
                let described = data.starts_with(b"#") && after.starts_with(b"version=");
                assert!(!described, "QEMU would take it for a VMDK image");
            }
            Ok(Format::Compressed(_)) => {}
            Err(why) => {
                check::no_controls("why it is not an image", &why.to_string());
                check::no_controls("what to do", &why.hint());
            }
        }
    }
}

fn image_word(text: &str) {
    const SECRET: &str = "cAnArY";
    if let Ok(word) = ImageRef::parse(text)
        && let ImageLocation::Url(url) = &word.place
    {
        check::no_controls("an address", &url.replace(|c: char| !c.is_control(), ""));
        let scheme = url.split("://").next().unwrap_or_default().to_lowercase();
        assert!(scheme == "http" || scheme == "https", "{url:?}");
        assert!(!url.contains(char::is_whitespace), "{url:?}");
    }
    // Whatever comes behind it, a password is not shown.
    if text.contains(SECRET) {
        return;
    }
    for word in [
        format!("https://me:{SECRET}@{text}"),
        format!("https://me:x/{SECRET}@{text}"),
        format!("https://host/x?token={SECRET}{text}"),
    ] {
        assert!(!redact(&word).contains(SECRET), "{word:?} is shown as {:?}", redact(&word));
        match ImageRef::parse(&word) {
            Err(why) => assert!(!why.to_string().contains(SECRET), "{word:?}: {why}"),
            Ok(_) => {
                let resolved = resolve(&word, Path::new("/nonexistent")).expect("it is an address");
                let known = format!("{:?} {:?}", resolved.image.volume, resolved.origin);
                assert!(!known.contains(SECRET), "{word:?} is known as {known}");
            }
        }
        let said = redact_words(&format!("cannot fetch '{word}'"));
        assert!(!said.contains(SECRET), "{said}");
    }
}
