//! Images of memory: what nodes start from, and what of it is each node's own.

use maquette_engine::StepError;
use maquette_engine::host::Host;
use maquette_engine::image::template::{self, Found, Ids, Kind, Patch, Searched};
use uuid::Uuid;

use crate::client::LibvirtError;
use crate::xml::saved::{self, Head, HeadError};

/// What has to be known of a memory image before a node can start from it.
pub(super) struct MemoryImage {
    /// How it begins.
    pub(super) head: Head,
    /// What is its guest's own: UUID and boot ID, wherever they are.
    found: Vec<Found>,
}

impl MemoryImage {
    /// Looks at a memory image of the domain with a UUID.
    ///
    /// # Errors
    ///
    /// Nodes cannot start from it, and why.
    pub(super) fn examine(host: &dyn Host, path: &str, uuid: Uuid) -> Result<Self, StepError> {
        let unusable = || StepError::new(format!("memory image {path} cannot be used"));
        let Searched { head, mut found } = template::search(host, path, saved::ENOUGH, uuid)?;
        let head = Head::parse(&head).map_err(|e| unusable().because(e))?;
        // The head has the definition, and a node's own takes its place.
        found.retain(|found| found.at >= head.end());
        let missing = |kind: &&Kind| kind.is_in_each() && !found.iter().any(|f| f.kind == **kind);
        if let Some(kind) = Kind::ALL.iter().find(missing) {
            let what = match kind {
                Kind::BootId => "its boot ID is not in it",
                Kind::Firmware | Kind::Text | Kind::MachineId => "the domain's UUID is not in it",
            };
            return Err(unusable().because(LibvirtError::refused(what)));
        }
        Ok(Self { head, found })
    }

    /// What is others in the copy of a node.
    ///
    /// # Errors
    ///
    /// Its definition has no room.
    pub(super) fn patches(&self, definition: &str, ids: &Ids) -> Result<Vec<Patch>, HeadError> {
        let begins = Patch { at: 0, bytes: self.head.of(definition)? };
        let own = |found: &Found| Patch { at: found.at, bytes: found.kind.bytes(ids) };
        Ok(std::iter::once(begins).chain(self.found.iter().map(own)).collect())
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

    const OLD: Ids =
        Ids { uuid: Uuid::from_u128(u128::MAX / 7), boot: Uuid::from_u128(u128::MAX / 11) };
    const NEW: Ids =
        Ids { uuid: Uuid::from_u128(u128::MAX / 9), boot: Uuid::from_u128(u128::MAX / 13) };

    /// Some of it more than once.
    fn memory(ids: &Ids) -> Vec<u8> {
        let said = format!("{}{}", template::MARK, OLD.boot);
        let parts = Kind::ALL.map(|kind| [&b"\n\0"[..], &kind.bytes(ids), b"\0\n_SM3_"].concat());
        [parts.concat(), said.into_bytes(), parts.concat()].concat()
    }

    /// The definition at its head has the UUID, too, and elsewhere than a node's has its own.
    #[test]
    fn a_copy_is_the_nodes_whatever_it_is_called() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let head = image(512, &definition("maquette-warm-0123", OLD.uuid), "<cookie/>");
        fs::write(path("a.save"), [head, memory(&OLD)].concat()).unwrap();
        let found = MemoryImage::examine(&Local, &path("a.save"), OLD.uuid).unwrap();
        for name in
            ["a", "maquette-warm-9876", "a-node-with-a-name-that-is-longer-than-the-templates"]
        {
            let wanted = definition(name, NEW.uuid);
            let patches = found.patches(&wanted, &NEW).unwrap();
            let copy = template::Copy::make(&Local, &path("a.save"), &path("b"), &patches).unwrap();
            let bytes = fs::read(copy.path()).unwrap();
            let head = Head::parse(&bytes).unwrap();
            assert_eq!(head.xml, wanted);
            let begins = usize::try_from(head.end()).unwrap();
            assert_eq!(bytes[begins..], [&b"QEVM"[..], &memory(&NEW)].concat());
        }
    }

    #[test]
    fn what_cannot_be_searched_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.save").display().to_string();
        let refused = |bytes: Vec<u8>, word: &str| {
            fs::write(&path, bytes).unwrap();
            let error = MemoryImage::examine(&Local, &path, OLD.uuid).err().unwrap();
            assert!(format!("{error:?}").contains(word), "{error:?}");
        };
        let head = image(512, &definition("t", OLD.uuid), "");
        let (uuid, boot) = (Ids { uuid: NEW.uuid, ..OLD }, Ids { boot: NEW.boot, ..OLD });
        refused([head.clone(), memory(&uuid)].concat(), "UUID is not in it");
        refused([head.clone(), memory(&boot)].concat(), "boot ID is not in it");
        refused(head.clone(), "does not say which boot ID");
        let mut compressed = [head, memory(&OLD)].concat();
        compressed[28] = 2;
        refused(compressed, "compressed");
    }
}
