//! Numbers of a record: sizes, and those that have a least and a most.

use std::ops::RangeInclusive;
use std::str::FromStr;

use maquette_core::units::ByteSize;

use super::{Field, MetadataError, Named, Names, Optional, Source, Tree};

/// A number that has a least and a most: with another one a record is nothing that we wrote.
pub(in super::super) struct Within<N>(
    pub(in super::super) &'static str,
    pub(in super::super) RangeInclusive<N>,
);

impl<N: FromStr + ToString + PartialOrd> Field<N> for Within<N> {
    fn write(&self, value: &N, tree: &mut Tree) {
        tree.put(self.0, value.to_string());
    }

    fn read(&self, from: Source<'_, '_>) -> Result<N, MetadataError> {
        let number = from.need(self.0)?;
        let is_one = self.1.contains(&number);
        is_one.then_some(number).ok_or_else(|| MetadataError::Attribute(self.0.into()))
    }
}

/// The same where it may be absent.
pub(in super::super) struct OptionalWithin<N>(
    pub(in super::super) &'static str,
    pub(in super::super) RangeInclusive<N>,
);

impl<N: FromStr + ToString + PartialOrd> Field<Option<N>> for OptionalWithin<N> {
    fn write(&self, value: &Option<N>, tree: &mut Tree) {
        if let Some(value) = value {
            tree.put(self.0, value.to_string());
        }
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Option<N>, MetadataError> {
        let Some(number) = from.get(self.0)? else { return Ok(None) };
        let is_one = self.1.contains(&number);
        is_one.then_some(Some(number)).ok_or_else(|| MetadataError::Attribute(self.0.into()))
    }
}

impl<N> Named for Within<N> {
    fn names(&self, element: &'static str, names: &mut Names) {
        names.insert((element, self.0));
    }
}

impl<N> Named for OptionalWithin<N> {
    fn names(&self, element: &'static str, names: &mut Names) {
        names.insert((element, self.0));
    }
}

/// A size in bytes, if there is one.
pub(in super::super) struct Bytes(pub(in super::super) &'static str);

impl Field<Option<ByteSize>> for Bytes {
    fn write(&self, value: &Option<ByteSize>, tree: &mut Tree) {
        Optional(self.0).write(&value.map(|size| size.0), tree);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Option<ByteSize>, MetadataError> {
        Ok(from.get(self.0)?.map(ByteSize))
    }
}

impl Named for Bytes {
    fn names(&self, element: &'static str, names: &mut Names) {
        names.insert((element, self.0));
    }
}
