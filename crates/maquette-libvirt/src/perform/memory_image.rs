//! Images of memory: what nodes start from, and what of it is each node's own.

use maquette_engine::StepError;
use maquette_engine::host::Host;
use maquette_engine::image::template::{self, Found, Kind, Patch};
use uuid::Uuid;

use crate::client::LibvirtError;
use crate::xml::saved::{self, Head, HeadError};

/// What has to be known of a memory image before a node can start from it.
pub(super) struct MemoryImage {
    /// How it begins.
    pub(super) head: Head,
    /// Where the UUID is, as guests read it from the firmware's tables and as their kernel has written it down.
    uuids: Vec<Found>,
}

impl MemoryImage {
    /// Looks at a memory image of the domain with a UUID.
    ///
    /// # Errors
    ///
    /// Nodes cannot start from it, and why.
    pub(super) fn examine(host: &dyn Host, path: &str, uuid: Uuid) -> Result<Self, StepError> {
        let unusable = || StepError::new(format!("memory image {path} cannot be used"));
        let (bytes, mut uuids) = template::read(host, path, saved::ENOUGH, uuid)?;
        let head = Head::parse(&bytes).map_err(|e| unusable().because(e))?;
        // The head has the definition, and a node's own takes its place.
        uuids.retain(|found| found.at >= head.end());
        if Kind::ALL.iter().any(|kind| !uuids.iter().any(|found| found.kind == *kind)) {
            return Err(unusable().because(LibvirtError::refused("the domain's UUID is not in it")));
        }
        Ok(Self { head, uuids })
    }

    /// What is others in the copy of a node.
    ///
    /// # Errors
    ///
    /// Its definition has no room.
    pub(super) fn patches(&self, definition: &str, uuid: Uuid) -> Result<Vec<Patch>, HeadError> {
        let begins = Patch { at: 0, bytes: self.head.of(definition)? };
        let own = |found: &Found| Patch { at: found.at, bytes: found.kind.bytes(uuid) };
        Ok(std::iter::once(begins).chain(self.uuids.iter().map(own)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use maquette_engine::host::Local;

    use super::*;
    use crate::xml::saved::tests::image;

    fn definition(name: &str, uuid: Uuid) -> String {
        format!("<domain><name>{name}</name><uuid>{uuid}</uuid><metadata/></domain>")
    }

    fn memory(uuid: Uuid) -> Vec<u8> {
        let text = uuid.hyphenated().to_string();
        [b"\0\n_SM3_", &uuid.to_bytes_le()[..], b"\n\0\0", text.as_bytes(), b"\0", text.as_bytes()]
            .concat()
    }

    /// The definition at its head has the UUID, too, and elsewhere than a node's has its own.
    #[test]
    fn a_copy_is_the_nodes_whatever_it_is_called() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let (old, new) = (Uuid::from_u128(u128::MAX / 7), Uuid::from_u128(u128::MAX / 9));
        let head = image(512, &definition("maquette-warm-0123", old), "<cookie/>");
        fs::write(path("a.save"), [head, memory(old)].concat()).unwrap();
        let found = MemoryImage::examine(&Local, &path("a.save"), old).unwrap();
        for name in
            ["a", "maquette-warm-9876", "a-node-with-a-name-that-is-longer-than-the-templates"]
        {
            let wanted = definition(name, new);
            let patches = found.patches(&wanted, new).unwrap();
            let copy = template::Copy::make(&Local, &path("a.save"), &path("b"), &patches).unwrap();
            let bytes = fs::read(copy.path()).unwrap();
            let head = Head::parse(&bytes).unwrap();
            assert_eq!(head.xml, wanted);
            let begins = usize::try_from(head.end()).unwrap();
            assert_eq!(bytes[begins..], [&b"QEVM"[..], &memory(new)].concat());
        }
    }

    #[test]
    fn what_cannot_be_searched_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.save").display().to_string();
        let (old, other) = (Uuid::from_u128(u128::MAX / 7), Uuid::from_u128(u128::MAX / 9));
        let refused = |bytes: Vec<u8>, word: &str| {
            fs::write(&path, bytes).unwrap();
            let error = MemoryImage::examine(&Local, &path, old).err().unwrap();
            assert!(format!("{error:?}").contains(word), "{error:?}");
        };
        let head = image(512, &definition("t", old), "");
        refused([head.clone(), memory(other)].concat(), "UUID is not in it");
        let mut compressed = [head, memory(old)].concat();
        compressed[28] = 2;
        refused(compressed, "compressed");
    }
}
