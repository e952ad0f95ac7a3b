//! Whose an object is, by its record: this environment's, somebody else's, or this environment's and not believed.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::blueprint::Guest;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_engine::ssh_keys::RecordKey;

use super::ObserveError;
use super::listed::{Described, undescribed};
use crate::xml::metadata::seal::Seal;
use crate::xml::metadata::{MetadataError, NetworkRecord, NodeRecord};
use crate::xml::read::{Parsed, Record};

/// Whose an object is.
pub(super) enum Owner<R> {
    /// This environment's.
    Own(R),
    /// This environment's, and what is recorded of it is not believed.
    Edited(String),
    /// Somebody else's.
    Other,
}

/// What is said of objects besides.
#[derive(Default)]
pub(super) struct Asides {
    pub(super) unreadable: Vec<String>,
    pub(super) sealed_by_others: Vec<String>,
    pub(super) copies: Vec<String>,
    /// Files of disks of others' domains that are off, with these domains.
    pub(super) off: BTreeMap<String, BTreeSet<String>>,
}

/// Who looks.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) environment: &'a EnvName,
    pub(super) key: Option<&'a RecordKey>,
}

/// What is found on a hypervisor.
pub(super) struct Object<'a> {
    pub(super) kind: ObjectKind,
    pub(super) name: &'a str,
    pub(super) xml: &'a Parsed<'a>,
}

/// A record, as far as it tells who wrote it.
pub(crate) trait Written {
    fn environment(&self) -> &EnvName;
    /// Whether it has what was recorded only since records are sealed.
    fn is_sealed_by_age(&self) -> bool;
    /// Whose record it is, in words, if not that of the object that has it.
    fn of_another(&self) -> Option<String>;
    /// Leaves out what only who has the environment's secret may say.
    fn distrust(&mut self);
}

impl Written for NodeRecord {
    fn environment(&self) -> &EnvName {
        &self.environment
    }

    fn is_sealed_by_age(&self) -> bool {
        let younger = |guest: &Guest| guest.generation.is_some() || !guest.shared.is_empty();
        self.node.guest.as_ref().is_some_and(younger)
    }

    fn of_another(&self) -> Option<String> {
        let name = self.node_name();
        (name != self.node.name).then(|| format!("the record of `{name}`"))
    }

    /// `up` gives the keys of one node to all.
    fn distrust(&mut self) {
        self.node.guest.iter_mut().for_each(|guest| guest.shared.clear());
    }
}

impl Written for NetworkRecord {
    fn environment(&self) -> &EnvName {
        &self.environment
    }

    /// A client without the secret can remove nodes, and records that with their networks.
    fn is_sealed_by_age(&self) -> bool {
        false
    }

    fn of_another(&self) -> Option<String> {
        (!self.network.is_under_its_name(&self.environment))
            .then(|| format!("a record of environment `{}`", self.environment))
    }

    fn distrust(&mut self) {}
}

impl Judge<'_> {
    /// An object's definition; none if there is nothing to read. Who has the name of an object that libvirt refuses to
    /// describe is noted, unless the name is this environment's, which is an error. Without a prefix no name tells that.
    pub(super) fn definition(
        self,
        (kind, name): (ObjectKind, &str),
        described: Described,
        claimed: &mut BTreeSet<String>,
        asides: &mut Asides,
    ) -> Result<Option<String>, ObserveError> {
        let prefix = self.environment.qualify("");
        described.map_or_else(
            |source| {
                if !prefix.is_empty() && name.starts_with(&prefix) {
                    return Err(ObserveError::Undescribed { kind, name: name.into(), source });
                }
                asides.unreadable.push(undescribed(kind, name));
                claimed.insert(name.into());
                Ok(None)
            },
            Ok,
        )
    }

    /// Whose an object is, by its record. What others have need not be understood. What is ours and
    /// cannot be understood was edited by somebody, and is mended by making it again; but a later version
    /// knows what we do not.
    pub(super) fn owner<R: Written>(
        self,
        record: Record<R>,
        object: &Object<'_>,
        asides: &mut Asides,
    ) -> Result<Owner<R>, ObserveError> {
        let Object { kind, name, xml } = *object;
        match record {
            Record::Good(mut record) if record.environment() == self.environment => {
                // Whatever its seal is: it was not written for this object.
                if let Some(whose) = record.of_another() {
                    asides.copies.push(format!("{kind} `{name}` has {whose}"));
                    return Ok(Owner::Other);
                }
                let edited = || Owner::Edited(MetadataError::Edited.to_string());
                match xml.seal(self.key) {
                    Seal::Broken => return Ok(edited()),
                    // Whoever takes the seal away makes no older record of it.
                    Seal::None if self.key.is_some() && record.is_sealed_by_age() => {
                        return Ok(edited());
                    }
                    // Networks are rewritten by whoever removes a node, with a secret or without.
                    Seal::Other if self.key.is_some() && kind == ObjectKind::Domain => {
                        asides.sealed_by_others.push(format!("{kind} `{name}`"));
                        record.distrust();
                    }
                    Seal::None | Seal::Other | Seal::Fits => {}
                }
                Ok(Owner::Own(record))
            }
            Record::Bad(Some(of), source) if of == *self.environment => match source {
                MetadataError::Newer(_) => {
                    Err(ObserveError::Record { kind, name: name.into(), source })
                }
                why => Ok(Owner::Edited(why.to_string())),
            },
            // Whatever is the matter with it: it was not written for this object.
            Record::Copied(of, whose) if of == *self.environment => {
                asides.copies.push(format!("{kind} `{name}` has {whose}"));
                Ok(Owner::Other)
            }
            Record::Bad(None, _) => {
                asides.unreadable.push(format!("Maquette's record of {kind} `{name}`"));
                Ok(Owner::Other)
            }
            _ => Ok(Owner::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::metadata::tests::full_node;

    /// `up` would bring the keys of whoever can edit a domain to all nodes.
    #[test]
    fn a_record_without_a_seal_brings_no_keys_of_colleagues() {
        let mut record = full_node();
        let guest = record.node.guest.as_mut().unwrap();
        (guest.generation, guest.shared) = (None, Vec::new());
        assert!(!record.is_sealed_by_age());
        let guest = record.node.guest.as_mut().unwrap();
        guest.shared = vec!["ssh-ed25519 EEEE eve".parse().unwrap()];
        assert!(record.is_sealed_by_age());
    }
}
