//! Images of memory: what nodes start from, and what of it is each node's own.

use maquette_core::units::MacAddr;
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
    /// What is its guest's own: UUID, boot ID and addresses of NICs, wherever they are.
    found: Vec<Found>,
}

impl MemoryImage {
    /// Looks at a memory image of the domain with a UUID and these NICs.
    ///
    /// # Errors
    ///
    /// Nodes cannot start from it, and why.
    pub(super) fn examine(
        host: &dyn Host,
        path: &str,
        uuid: Uuid,
        macs: &[MacAddr],
    ) -> Result<Self, StepError> {
        let unusable = || StepError::new(format!("memory image {path} cannot be used"));
        let Searched { head, mut found } = template::search(host, path, saved::ENOUGH, uuid, macs)?;
        let head = Head::parse(&head).map_err(|e| unusable().because(e))?;
        // The head has the definition, and a node's own takes its place.
        found.retain(|found| found.at >= head.end());
        let missing = |kind: &&Kind| kind.is_in_each() && !found.iter().any(|f| f.kind == **kind);
        if let Some(kind) = Kind::all(macs.len()).iter().find(missing) {
            let what = match kind {
                Kind::BootId => "its boot ID is not in it",
                Kind::Firmware | Kind::Text | Kind::MachineId => "the domain's UUID is not in it",
                Kind::Mac(_) | Kind::MacText(_) | Kind::MacName(_) => {
                    "the address of one of the domain's NICs is not in it"
                }
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

    fn ids(uuid: u128, boot: u128, mac: u8) -> Ids {
        let macs = [1, 2].map(|nic| MacAddr([0x62, mac, 3, 4, 5, nic])).to_vec();
        let of = |n: u128| Uuid::from_u128(u128::MAX / n);
        Ids { uuid: of(uuid), boot: of(boot), macs }
    }

    fn old() -> Ids {
        ids(7, 11, 0x77)
    }

    fn new() -> Ids {
        ids(9, 13, 0x78)
    }

    fn examined(path: &str) -> Result<MemoryImage, StepError> {
        MemoryImage::examine(&Local, path, old().uuid, &old().macs)
    }

    /// Some of it more than once.
    fn memory(ids: &Ids) -> Vec<u8> {
        let said = format!("{}{}", template::MARK, old().boot);
        let part = |kind: &Kind| [&b"\n\0"[..], &kind.bytes(ids), b"\0\n_SM3_"].concat();
        let parts: Vec<Vec<u8>> = Kind::all(2).iter().map(part).collect();
        [parts.concat(), said.into_bytes(), parts.concat()].concat()
    }

    /// The definition at its head has the UUID, too, and elsewhere than a node's has its own.
    #[test]
    fn a_copy_is_the_nodes_whatever_it_is_called() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let head = image(512, &definition("maquette-warm-0123", old().uuid), "<cookie/>");
        fs::write(path("a.save"), [head, memory(&old())].concat()).unwrap();
        let found = examined(&path("a.save")).unwrap();
        for name in
            ["a", "maquette-warm-9876", "a-node-with-a-name-that-is-longer-than-the-templates"]
        {
            let wanted = definition(name, new().uuid);
            let patches = found.patches(&wanted, &new()).unwrap();
            let copy = template::Copy::make(&Local, &path("a.save"), &path("b"), &patches).unwrap();
            let bytes = fs::read(copy.path()).unwrap();
            let head = Head::parse(&bytes).unwrap();
            assert_eq!(head.xml, wanted);
            let begins = usize::try_from(head.end()).unwrap();
            assert_eq!(bytes[begins..], [&b"QEVM"[..], &memory(&new())].concat());
        }
    }

    #[test]
    fn what_cannot_be_searched_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.save").display().to_string();
        let refused = |bytes: Vec<u8>, word: &str| {
            fs::write(&path, bytes).unwrap();
            let error = examined(&path).err().unwrap();
            assert!(format!("{error:?}").contains(word), "{error:?}");
        };
        let head = image(512, &definition("t", old().uuid), "");
        let (uuid, boot) = (Ids { uuid: new().uuid, ..old() }, Ids { boot: new().boot, ..old() });
        let nic = Ids { macs: vec![old().macs[0], new().macs[1]], ..old() };
        refused([head.clone(), memory(&uuid)].concat(), "UUID is not in it");
        refused([head.clone(), memory(&boot)].concat(), "boot ID is not in it");
        refused([head.clone(), memory(&nic)].concat(), "NICs is not in it");
        refused(head.clone(), "does not say which boot ID");
        let mut compressed = [head, memory(&old())].concat();
        compressed[28] = 2;
        refused(compressed, "compressed");
    }
}
