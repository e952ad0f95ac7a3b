//! What earlier releases wrote and files may not have any more: a node that runs must not count as edited for it, since what was
//! edited is defined again.

use std::str::FromStr;

use maquette_core::values::{Group, Line};

use super::{Field, Many, MetadataError, Named, Names, Required, Source, Tree};

/// A value whose form was wider once, and what is read of a former one.
pub(in super::super) struct Formerly<T>(
    pub(in super::super) &'static str,
    pub(in super::super) fn(&str) -> Option<T>,
);

impl<T> Named for Formerly<T> {
    fn names(&self, element: &'static str, names: &mut Names) {
        names.insert((element, self.0));
    }
}

impl<T: FromStr + ToString> Field<T> for Formerly<T> {
    fn write(&self, value: &T, tree: &mut Tree) {
        Required(self.0).write(value, tree);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<T, MetadataError> {
        Required(self.0).read(from).or_else(|error| {
            let line: Option<Line> = from.get(self.0)?;
            line.and_then(|line| (self.1)(line.as_str())).ok_or(error)
        })
    }
}

/// Groups, without those that have got a meaning of their own since.
pub(in super::super) struct Groups(pub(in super::super) Many<Required>);

impl Named for Groups {
    fn names(&self, element: &'static str, names: &mut Names) {
        self.0.names(element, names);
    }
}

impl Field<Vec<Group>> for Groups {
    fn write(&self, value: &Vec<Group>, tree: &mut Tree) {
        self.0.write(value, tree);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Vec<Group>, MetadataError> {
        let Many(element, Required(name)) = self.0;
        let reserved = |from: &Source<'_, '_>| {
            let name = from.element.attribute(name);
            name.is_some_and(Group::was_taken)
        };
        let own = from.children(element).filter(|child| !reserved(child));
        own.map(|child| Required(name).read(child)).collect()
    }
}
