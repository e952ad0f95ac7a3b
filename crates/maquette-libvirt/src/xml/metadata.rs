//! What we record in libvirt's metadata: whose an object is, and what it was made from.
//!
//! The form is versioned by its namespace and a `schema` attribute; readers refuse a schema that is
//! newer than theirs rather than guess.

#[doc(hidden)]
pub mod forge;
mod network;
mod node;
mod switching;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use maquette_core::blueprint::Pool;
use maquette_core::names::EnvName;
use maquette_core::values::{Directory, Line, Name};
use roxmltree::Node as Element;
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use network::{NetworkRecord, read_network, write_network};
pub use node::{NodeRecord, read_node, write_node};

use super::Writer;

/// Namespace of what an object was made from.
pub const NAMESPACE: &str = "https://maquette.dev/xmlns/libvirt/1";
/// Namespace of what became of it.
pub const STATE_NAMESPACE: &str = "https://maquette.dev/xmlns/state/1";
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
    #[error("attribute `{0}` of its metadata is missing or broken")]
    Attribute(String),
    /// It is not what was written.
    #[error("its metadata was changed by hand")]
    Edited,
}

/// Attributes collected before they are written.
struct Attributes(Vec<(&'static str, String)>);

impl Attributes {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn put(mut self, key: &'static str, value: impl ToString) -> Self {
        self.0.push((key, value.to_string()));
        self
    }

    fn maybe(self, key: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    fn refs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(k, v)| (*k, v.as_str())).collect()
    }
}

/// Attribute with the digest of all others: what a record names is deleted one day, so a record that
/// somebody has changed must not be trusted.
const DIGEST: &str = "digest";

/// Writes an element with its digest: once to see what it is, and once for good.
fn sealed(w: &mut Writer, write: impl Fn(&mut Writer, Option<String>)) {
    let mut alone = Writer::default();
    write(&mut alone, None);
    let text = alone.finish();
    let digest = roxmltree::Document::parse(&text).map(|d| fingerprint(d.root_element()));
    write(w, digest.ok());
}

/// Digest of an element of ours, whatever order its attributes are in.
fn fingerprint(element: Element<'_, '_>) -> String {
    fn feed(element: Element<'_, '_>, hash: &mut Sha256) {
        hash.update(element.tag_name().name());
        let mut attributes: Vec<(&str, &str)> = element
            .attributes()
            .filter(|a| a.name() != DIGEST)
            .map(|a| (a.name(), a.value()))
            .collect();
        attributes.sort_unstable();
        for (name, value) in attributes {
            hash.update(format!("\0{name}\0{value}"));
        }
        for child in element.children().filter(|c| c.tag_name().namespace() == Some(NAMESPACE)) {
            hash.update("\x01");
            feed(child, hash);
            hash.update("\x02");
        }
    }
    let mut hash = Sha256::new();
    feed(element, &mut hash);
    hash.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect()
}

fn need<T: FromStr>(element: Element<'_, '_>, key: &str) -> Result<T, MetadataError> {
    maybe(element, key)?.ok_or_else(|| MetadataError::Attribute(key.into()))
}

/// An attribute that has the form of a `T`, as text.
fn text<T: FromStr + ToString>(
    element: Element<'_, '_>,
    key: &str,
) -> Result<String, MetadataError> {
    need::<T>(element, key).map(|value| value.to_string())
}

/// The same of an attribute that may be absent.
fn some_text<T: FromStr + ToString>(
    element: Element<'_, '_>,
    key: &str,
) -> Result<Option<String>, MetadataError> {
    Ok(maybe::<T>(element, key)?.map(|value| value.to_string()))
}

/// What libvirt calls an object of ours: we gave it its name, and write it into files of others.
fn own_name(name: &str) -> Result<String, MetadataError> {
    let name: Name = name.parse().map_err(|_| MetadataError::Attribute("name".into()))?;
    Ok(name.to_string())
}

/// A pool as a record names it.
fn pool(element: Element<'_, '_>) -> Result<Pool, MetadataError> {
    Ok(Pool {
        name: text::<Name>(element, "pool")?,
        path: text::<Directory>(element, "pool-path")?,
    })
}

fn maybe<T: FromStr>(element: Element<'_, '_>, key: &str) -> Result<Option<T>, MetadataError> {
    element
        .attribute(key)
        .map(|text| {
            // Whoever may define domains writes here: whatever the key, it is a value and no more.
            let line: Line = text.parse().map_err(|_| MetadataError::Attribute(key.into()))?;
            line.parse().map_err(|_| MetadataError::Attribute(key.into()))
        })
        .transpose()
}

fn children<'a, 'i>(
    element: Element<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Element<'a, 'i>> {
    element.children().filter(move |c| c.has_tag_name((NAMESPACE, name)))
}

fn schema(element: Element<'_, '_>) -> Result<(), MetadataError> {
    let schema: u32 = need(element, "schema")?;
    if schema > SCHEMA {
        return Err(MetadataError::Newer(schema));
    }
    match element.attribute(DIGEST) {
        Some(digest) if digest == fingerprint(element) => Ok(()),
        _ => Err(MetadataError::Edited),
    }
}

/// The environment that an element of ours says it belongs to; it may say more that cannot be read.
pub fn environment(element: Element<'_, '_>) -> Option<EnvName> {
    element.attribute("environment")?.parse().ok()
}
