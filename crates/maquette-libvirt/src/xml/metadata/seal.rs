//! The keyed digest of a record: who has the environment's secret can tell whether somebody without it
//! changed the record, or moved it to another object.
//!
//! It stands beside the digest that everybody can check, so that a client without the secret, and version
//! 0.1, read sealed records as they read others. It names the key that it was made with, without telling
//! anything of it: a seal of another key is a colleague's workspace, or one that was lost, and not an
//! edited record.

use hmac::{Hmac, Mac};
use maquette_engine::ssh_keys::RecordKey;
use roxmltree::{Document, Node as Element};
use sha2::Sha256;

use super::{DIGEST, NAMESPACE, canonical, hex};

/// Attribute with the seal: the name of the key and the keyed digest.
const SEAL: &str = "seal";

/// What the seal of an object's record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// There is none: version 0.1 made it, or somebody without the environment's secret.
    None,
    /// It was made with another key, or with one that is not known here.
    Other,
    /// It fits: this is what somebody wrote who has the environment's secret.
    Fits,
    /// It is one of this key, and does not fit.
    Broken,
}

/// Puts a seal on the record in an object's XML, in whose place the digest is computed again.
pub fn sealed(xml: &str, key: &RecordKey) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let record = record(&document)?;
    let seal = format!("{}:{}", name(key), hex(&digest(record, key).finalize().into_bytes()[..16]));
    let place = record.attribute_node(DIGEST)?.range();
    let (before, after) = (xml.get(..place.start)?, xml.get(place.start..)?);
    super::forge::sealed_anew(&format!("{before}{SEAL}='{seal}' {after}"))
}

/// What the seal of the record in an object's XML says.
pub fn check(xml: &str, key: Option<&RecordKey>) -> Seal {
    Document::parse(xml).map_or(Seal::None, |document| of(&document, key))
}

/// The same of XML that was parsed before.
pub(in crate::xml) fn of(document: &Document<'_>, key: Option<&RecordKey>) -> Seal {
    let Some((record, seal)) = record(document).and_then(|r| Some((r, r.attribute(SEAL)?))) else {
        return Seal::None;
    };
    let (of, written) = seal.split_once(':').unwrap_or((seal, ""));
    match key {
        Some(key) if of == name(key) => {
            let made = digest(record, key).finalize().into_bytes();
            if hex(&made[..16]) == written { Seal::Fits } else { Seal::Broken }
        }
        _ => Seal::Other,
    }
}

fn record<'a, 'i>(document: &'a Document<'i>) -> Option<Element<'a, 'i>> {
    let metadata = document.root_element().children().find(|c| c.has_tag_name("metadata"))?;
    metadata
        .children()
        .find(|c| c.tag_name().namespace() == Some(NAMESPACE) && c.has_attribute(DIGEST))
}

/// What a key is called.
fn name(key: &RecordKey) -> String {
    let mut mac = keyed(key);
    mac.update(b"name of the key");
    hex(&mac.finalize().into_bytes()[..8])
}

/// A record says nothing of the object it is on, but its seal does.
fn digest(record: Element<'_, '_>, key: &RecordKey) -> Hmac<Sha256> {
    let mut mac = keyed(key);
    let object = record.document().root_element();
    let of = |name: &str| object.children().find(|c| c.has_tag_name(name)).and_then(|c| c.text());
    for part in [object.tag_name().name(), of("name").unwrap_or(""), of("uuid").unwrap_or("")] {
        mac.update(part.trim().as_bytes());
        mac.update(b"\0");
    }
    mac.update(&canonical(record, &[DIGEST, SEAL]));
    mac
}

fn keyed(key: &RecordKey) -> Hmac<Sha256> {
    // It takes keys of any length; should that change, what follows fits nothing.
    Hmac::new_from_slice(key.bytes()).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{full_network, full_node};
    use super::*;
    use crate::xml::read::{self, Record};

    fn keys() -> [RecordKey; 2] {
        [RecordKey::made_of([1; 32]), RecordKey::made_of([2; 32])]
    }

    fn node_xml() -> String {
        let record = full_node();
        crate::xml::domain(
            &record.node,
            &record.environment,
            &record.pool,
            &crate::xml::Mark::ready(),
        )
    }

    /// Where the environment's secret is known, who can only define domains makes no record that fits.
    #[test]
    fn who_has_the_secret_tells_what_was_edited_and_who_has_not_reads_all_the_same() {
        let [key, other] = keys();
        let plain = node_xml();
        assert_eq!(check(&plain, Some(&key)), Seal::None);
        let xml = sealed(&plain, &key).unwrap();
        assert_eq!(check(&xml, Some(&key)), Seal::Fits);
        assert_eq!(check(&xml, Some(&other)), Seal::Other);
        assert_eq!(check(&xml, None), Seal::Other);
        let read = |xml: &str| read::domain(xml).unwrap().record;
        assert_eq!(read(&xml), read(&plain));
        assert!(matches!(read(&xml), Record::Good(_)));
        // Neither a right digest nor a seal of another object helps.
        let edited = super::super::forge::sealed_anew(&xml.replace("lab-n-0-disk1", "precious"));
        let edited = edited.unwrap();
        assert!(matches!(read(&edited), Record::Good(_)));
        assert_eq!(check(&edited, Some(&key)), Seal::Broken);
        assert_eq!(check(&edited, None), Seal::Other);
        let moved = xml.replace("<name>lab-n-0</name>", "<name>lab-n-1</name>");
        assert_eq!(check(&moved, Some(&key)), Seal::Broken);
        // Neither what becomes of the object nor who made it is sealed.
        let grown = xml.replace("<vcpu>4</vcpu>", "<vcpu>5</vcpu>");
        assert_ne!(grown, xml);
        assert_eq!(check(&grown, Some(&key)), Seal::Fits);
    }

    #[test]
    fn networks_are_sealed_too_and_nothing_secret_is_in_a_seal() {
        let [key, _] = keys();
        let record = full_network();
        let plain = crate::xml::network(&record.network, &record.environment, record.allocation);
        let xml = sealed(&plain, &key).unwrap();
        assert_eq!(check(&xml, Some(&key)), Seal::Fits);
        assert_eq!(read::network(&xml).unwrap().record, Record::Good(record));
        assert!(!xml.contains(&hex(&key.bytes()[..8])));
        assert_eq!(sealed(&plain, &key).unwrap(), xml, "it is the same in every run");
        assert_eq!(sealed("<network/>", &key), None);
    }
}
