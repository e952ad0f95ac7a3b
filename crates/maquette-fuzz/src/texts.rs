//! Smaller readers: what a probe, a record, an inventory, a guest, an image's first bytes say.

use maquette::fuzzing;
use maquette_engine::host::facts;
use maquette_engine::host::record::Record;

/// What the probe script prints on a hypervisor.
pub fn probe(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let facts = facts::read(&text);
    assert!(facts.cpus > 0);
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
    for (name, _, groups) in fuzzing::inventory(&text) {
        assert!(!groups.is_empty(), "{name}");
    }
}

/// What a guest writes to its port.
pub fn report(_data: &[u8]) {}

/// The first bytes of an image.
pub fn image(_data: &[u8]) {}
