//! What we record in libvirt's metadata: whose an object is, and what it was made from.
//!
//! The form is versioned by its namespace and a `schema` attribute; readers refuse a schema that is
//! newer than theirs rather than guess.

mod fields;
#[doc(hidden)]
pub mod forge;
mod interface;
mod network;
mod node;
mod pools;
#[cfg(test)]
mod properties;
pub mod seal;
mod switching;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;

use maquette_core::hex::hex;
use maquette_core::names::EnvName;
use roxmltree::Node as Element;
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use network::{NetworkRecord, network_of_another, read_network, write_network};
pub use node::{NodeRecord, node_of_another, read_node, write_node};

use super::Writer;
use fields::{Field, Required, Source, Tree};

/// Namespace of what an object was made from.
pub const NAMESPACE: &str = "https://maquette.dev/xmlns/libvirt/1";
/// How that is shortened in libvirt's XML.
pub const PREFIX: &str = "maquette";
/// Namespace of what became of it.
pub const STATE_NAMESPACE: &str = "https://maquette.dev/xmlns/state/1";
/// Namespace of who made an object, and when; nothing is decided by it, so it is in no record.
pub const ORIGIN_NAMESPACE: &str = "https://maquette.dev/xmlns/origin/1";
/// Name of the element with that.
pub const ORIGIN: &str = "made";
/// What became of a node: whether its first boot was seen to end.
pub fn state_name(ready: bool) -> &'static str {
    if ready { "ready" } else { "booting" }
}
/// Version of the form.
pub const SCHEMA: u32 = 1;

/// Why metadata cannot be read.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum MetadataError {
    /// Written by a later version.
    #[error("it was made by a newer Maquette (schema {0}); use that one")]
    Newer(u32),
    /// An attribute is missing or makes no sense.
    #[error("attribute `{0}` of its metadata is missing, or its value is refused")]
    Attribute(String),
    /// It is not what was written.
    #[error("its metadata was changed by hand")]
    Edited,
}

/// Attribute with the digest of all others: what a record names is deleted one day, so a record that
/// somebody has changed must not be trusted.
const DIGEST: &str = "digest";

/// Writes a record with its digest: once to see what it is, and once for good.
fn sealed(w: &mut Writer, element: &'static str, fill: impl Fn(&mut Tree)) {
    let mut tree = Tree::new(element);
    fill(&mut tree);
    let schema = SCHEMA.to_string();
    let head = [("xmlns:maquette", NAMESPACE), ("schema", schema.as_str())];
    let mut alone = Writer::default();
    tree.write(&mut alone, &head);
    let text = alone.finish();
    let digest = roxmltree::Document::parse(&text).map(|d| fingerprint(d.root_element()));
    let digest = digest.as_deref().map(|d| (DIGEST, d));
    let head: Vec<(&str, &str)> = head.into_iter().chain(digest.ok()).collect();
    tree.write(w, &head);
}

/// Digest of an element of ours, whatever order its attributes are in.
fn fingerprint(element: Element<'_, '_>) -> String {
    hex(&Sha256::digest(canonical(element, &[DIGEST]))[..8])
}

/// An element of ours with all that is in it, as bytes to make a digest of: without some attributes, and
/// whatever order the others are in.
fn canonical(element: Element<'_, '_>, without: &[&str]) -> Vec<u8> {
    fn feed(element: Element<'_, '_>, without: &[&str], out: &mut Vec<u8>) {
        out.extend(element.tag_name().name().bytes());
        let mut attributes: Vec<(&str, &str)> = element
            .attributes()
            .filter(|a| !without.contains(&a.name()))
            .map(|a| (a.name(), a.value()))
            .collect();
        attributes.sort_unstable();
        for (name, value) in attributes {
            out.extend(format!("\0{name}\0{value}").bytes());
        }
        for child in element.children().filter(|c| c.tag_name().namespace() == Some(NAMESPACE)) {
            out.push(1);
            feed(child, without, out);
            out.push(2);
        }
    }
    let mut out = Vec::new();
    feed(element, without, &mut out);
    out
}

/// Whether a record is of a form that we know, and as it was written.
fn schema(from: Source<'_, '_>) -> Result<(), MetadataError> {
    let schema: u32 = Required("schema").read(from)?;
    if schema > SCHEMA {
        return Err(MetadataError::Newer(schema));
    }
    match from.element.attribute(DIGEST) {
        Some(digest) if digest == fingerprint(from.element) => Ok(()),
        _ => Err(MetadataError::Edited),
    }
}

/// Every attribute that a record may have, each with its element.
pub fn attributes() -> BTreeSet<(&'static str, &'static str)> {
    let mut names = BTreeSet::new();
    node::names(&mut names);
    network::names(&mut names);
    names
}

/// The environment that an element of ours says it belongs to; it may say more that cannot be read.
pub fn environment(element: Element<'_, '_>) -> Option<EnvName> {
    element.attribute("environment")?.parse().ok()
}
