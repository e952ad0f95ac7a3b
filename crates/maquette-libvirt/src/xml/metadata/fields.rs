//! How the parts of a record are written and read: each is declared once, for both directions.
//!
//! A [`Field`] knows the attributes or elements that one value becomes, and [`record!`] lists the fields
//! of a struct. It takes the struct apart without `..` to write it and puts it together again to read
//! it, so that a part that nobody declared does not compile. Records are read by every version after
//! the one that wrote them: what newer versions added has a value where it is absent.

mod formerly;
mod numbers;

use std::collections::BTreeSet;
use std::str::FromStr;

use maquette_core::blueprint::Image;
use maquette_core::topology::Dhcp;
use maquette_core::values::Line;
use roxmltree::Node as Element;
use uuid::Uuid;

use super::super::Writer;
use super::{MetadataError, NAMESPACE};
pub(super) use formerly::{Formerly, Groups};
pub(super) use numbers::{Bytes, OptionalWithin, Within};

/// An element that is being written.
#[derive(Debug)]
pub(super) struct Tree {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Tree>,
    /// Whether it is written as an element that holds others, even if there are none.
    holds: bool,
}

impl Tree {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), children: Vec::new(), holds: false }
    }

    fn put(&mut self, key: &'static str, value: impl ToString) {
        self.attributes.push((key, value.to_string()));
    }

    /// An attribute before all others.
    pub(super) fn lead(&mut self, key: &'static str, value: impl ToString) {
        self.attributes.insert(0, (key, value.to_string()));
    }

    fn child(&mut self, child: Self) {
        self.holds = true;
        self.children.push(child);
    }

    /// Brings its children into the order of a list; those of a name stay as they are.
    pub(super) fn order(&mut self, names: &[&str]) {
        let place = |child: &Self| names.iter().position(|n| *n == child.name);
        self.children.sort_by_key(place);
    }

    /// Writes it; `more` are attributes before its own.
    pub(super) fn write(&self, w: &mut Writer, more: &[(&str, &str)]) {
        let name = format!("maquette:{}", self.name);
        let own = self.attributes.iter().map(|(key, value)| (*key, value.as_str()));
        let attributes: Vec<(&str, &str)> = more.iter().copied().chain(own).collect();
        if !self.holds {
            return w.empty(&name, &attributes);
        }
        w.element(&name, &attributes, |w| self.children.iter().for_each(|c| c.write(w, &[])));
    }
}

/// An element that is being read, and which of libvirt's objects carries it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a, 'i> {
    pub(super) element: Element<'a, 'i>,
    pub(super) name: &'a str,
    pub(super) uuid: Uuid,
}

impl<'a, 'i> Source<'a, 'i> {
    pub(super) fn children(self, name: &'static str) -> impl Iterator<Item = Self> {
        let ours = self.element.children().filter(move |c| c.has_tag_name((NAMESPACE, name)));
        ours.map(move |element| Self { element, ..self })
    }

    pub(super) fn child(self, name: &'static str) -> Option<Self> {
        self.children(name).next()
    }

    pub(super) fn parent(self) -> Option<Self> {
        Some(Self { element: self.element.parent_element()?, ..self })
    }

    /// An attribute that may be absent.
    pub(super) fn get<T: FromStr>(self, key: &'static str) -> Result<Option<T>, MetadataError> {
        let broken = || MetadataError::Attribute(key.into());
        let parse = |text: &str| {
            // Whoever may define domains writes here: whatever the key, it is a value and no more.
            let line: Line = text.parse().map_err(|_| broken())?;
            line.parse().map_err(|_| broken())
        };
        self.element.attribute(key).map(parse).transpose()
    }

    fn need<T: FromStr>(self, key: &'static str) -> Result<T, MetadataError> {
        self.get(key)?.ok_or_else(|| MetadataError::Attribute(key.into()))
    }
}

/// All attributes that a record may have, each with its element.
pub(super) type Names = BTreeSet<(&'static str, &'static str)>;

/// What has attributes.
pub(super) trait Named {
    /// Tells its attributes; they are on `element` unless it makes elements of its own.
    fn names(&self, element: &'static str, names: &mut Names);
}

/// A part of a record: how it is written, and how it is read.
pub(super) trait Field<T>: Named {
    /// Adds a value to its element.
    fn write(&self, value: &T, tree: &mut Tree);
    /// Finds a value in its element.
    fn read(&self, from: Source<'_, '_>) -> Result<T, MetadataError>;
}

/// Declares how a struct is recorded: its fields, each once, in the order in which they are written.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident: $type:ident { $($part:ident: $field:expr),* $(,)? }) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl $crate::xml::metadata::fields::Named for $name {
            fn names(&self, element: &'static str, names: &mut $crate::xml::metadata::fields::Names) {
                $($field.names(element, names);)*
            }
        }

        impl $crate::xml::metadata::fields::Field<$type> for $name {
            fn write(&self, value: &$type, tree: &mut $crate::xml::metadata::fields::Tree) {
                let $type { $($part),* } = value;
                $($field.write($part, tree);)*
            }

            fn read(
                &self,
                from: $crate::xml::metadata::fields::Source<'_, '_>,
            ) -> Result<$type, $crate::xml::metadata::MetadataError> {
                Ok($type { $($part: $field.read(from)?),* })
            }
        }
    };
}
pub(super) use record;

/// Fields that are one attribute, whose name is their first part.
macro_rules! attributes {
    ($([$($param:ident)?] $name:ty),* $(,)?) => {
        $(impl$(<$param>)? Named for $name {
            fn names(&self, element: &'static str, names: &mut Names) {
                names.insert((element, self.0));
            }
        })*
    };
}
attributes!(
    [] Required, [] Optional, [] Set, [] Added, [] NameOtherwiseOwn, [] List,
    [C] OptionalText<C>, [] Filled, [T] Word<T>, [T] Words<T>, [T] Otherwise<T>,
    [T] OptionalOtherwise<T>,
);

/// A value that is always there.
pub(super) struct Required(pub(super) &'static str);

impl<T: FromStr + ToString> Field<T> for Required {
    fn write(&self, value: &T, tree: &mut Tree) {
        tree.put(self.0, value.to_string());
    }

    fn read(&self, from: Source<'_, '_>) -> Result<T, MetadataError> {
        from.need(self.0)
    }
}

/// A value that may be absent.
pub(super) struct Optional(pub(super) &'static str);

impl<T: FromStr + ToString> Field<Option<T>> for Optional {
    fn write(&self, value: &Option<T>, tree: &mut Tree) {
        if let Some(value) = value {
            tree.put(self.0, value.to_string());
        }
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Option<T>, MetadataError> {
        from.get(self.0)
    }
}

/// Text that has the form of a `C`, if there is any.
pub(super) struct OptionalText<C>(&'static str, std::marker::PhantomData<C>);

/// Text that has the form of a `C`, or none.
pub(super) const fn optional_text<C>(key: &'static str) -> OptionalText<C> {
    OptionalText(key, std::marker::PhantomData)
}

impl<C: FromStr + ToString> Field<Option<String>> for OptionalText<C> {
    fn write(&self, value: &Option<String>, tree: &mut Tree) {
        if let Some(value) = value {
            tree.put(self.0, value);
        }
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Option<String>, MetadataError> {
        Ok(from.get::<C>(self.0)?.map(|value| value.to_string()))
    }
}

/// A value that is written unless it is nothing.
pub(super) struct Filled(pub(super) &'static str);

impl<T: FromStr + ToString + Default + PartialEq> Field<T> for Filled {
    fn write(&self, value: &T, tree: &mut Tree) {
        if *value != T::default() {
            tree.put(self.0, value.to_string());
        }
    }

    fn read(&self, from: Source<'_, '_>) -> Result<T, MetadataError> {
        Ok(from.get(self.0)?.unwrap_or_default())
    }
}

/// A value that is written as a word.
pub(super) struct Word<T>(pub(super) &'static str, pub(super) fn(T) -> &'static str);

impl<T: FromStr + Copy> Field<T> for Word<T> {
    fn write(&self, value: &T, tree: &mut Tree) {
        tree.put(self.0, (self.1)(*value));
    }

    fn read(&self, from: Source<'_, '_>) -> Result<T, MetadataError> {
        from.need(self.0)
    }
}

/// The same of a value whose words are the record's own; all values are listed.
pub(super) struct Words<T: 'static>(
    pub(super) &'static str,
    pub(super) fn(T) -> &'static str,
    pub(super) &'static [T],
);

impl<T: Copy> Field<T> for Words<T> {
    fn write(&self, value: &T, tree: &mut Tree) {
        tree.put(self.0, (self.1)(*value));
    }

    fn read(&self, from: Source<'_, '_>) -> Result<T, MetadataError> {
        let word: String = from.need(self.0)?;
        let found = self.2.iter().find(|value| (self.1)(**value) == word);
        found.copied().ok_or_else(|| MetadataError::Attribute(self.0.into()))
    }
}

/// Something that is written only where it is so.
pub(super) struct Set(pub(super) &'static str);

impl Field<bool> for Set {
    fn write(&self, value: &bool, tree: &mut Tree) {
        if *value {
            tree.put(self.0, true);
        }
    }

    fn read(&self, from: Source<'_, '_>) -> Result<bool, MetadataError> {
        Ok(from.get(self.0)?.unwrap_or(false))
    }
}

/// Something that is always written, and that records of the first version do not have.
pub(super) struct Added(pub(super) &'static str);

impl Field<bool> for Added {
    fn write(&self, value: &bool, tree: &mut Tree) {
        tree.put(self.0, value);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<bool, MetadataError> {
        Ok(from.get(self.0)?.unwrap_or(false))
    }
}

/// What a field is where a record says nothing of it.
type Older<T> = fn(Source<'_, '_>) -> Result<T, MetadataError>;

/// A value that is always written, and that older records tell in another way.
pub(super) struct Otherwise<T>(pub(super) &'static str, pub(super) Older<T>);

impl<T: FromStr + ToString> Field<T> for Otherwise<T> {
    fn write(&self, value: &T, tree: &mut Tree) {
        tree.put(self.0, value.to_string());
    }

    fn read(&self, from: Source<'_, '_>) -> Result<T, MetadataError> {
        from.get(self.0)?.map_or_else(|| (self.1)(from), Ok)
    }
}

/// A value that may be absent, and that older records tell in another way.
pub(super) struct OptionalOtherwise<T>(pub(super) &'static str, pub(super) Older<Option<T>>);

impl<T: FromStr + ToString> Field<Option<T>> for OptionalOtherwise<T> {
    fn write(&self, value: &Option<T>, tree: &mut Tree) {
        Optional(self.0).write(value, tree);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Option<T>, MetadataError> {
        from.get(self.0)?.map_or_else(|| (self.1)(from), |value| Ok(Some(value)))
    }
}

/// A name that was the object's own before it could be another one. It has always been the first
/// attribute.
pub(super) struct NameOtherwiseOwn(pub(super) &'static str);

impl<T: FromStr + ToString> Field<T> for NameOtherwiseOwn {
    fn write(&self, value: &T, tree: &mut Tree) {
        tree.lead(self.0, value.to_string());
    }

    fn read(&self, from: Source<'_, '_>) -> Result<T, MetadataError> {
        let own = || from.name.parse().map_err(|_| MetadataError::Attribute(self.0.into()));
        from.get(self.0)?.map_or_else(own, Ok)
    }
}

/// Values in one attribute, with spaces between them.
pub(super) struct List(pub(super) &'static str);

impl<T: FromStr + ToString> Field<Vec<T>> for List {
    fn write(&self, value: &Vec<T>, tree: &mut Tree) {
        let words: Vec<String> = value.iter().map(ToString::to_string).collect();
        tree.put(self.0, words.join(" "));
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Vec<T>, MetadataError> {
        let text: String = from.need(self.0)?;
        let parse = |word: &str| word.parse().map_err(|_| MetadataError::Attribute(self.0.into()));
        text.split_whitespace().map(parse).collect()
    }
}

/// What is not written: it is read as nothing.
pub(super) struct Unwritten;

impl Named for Unwritten {
    fn names(&self, _: &'static str, _: &mut Names) {}
}

impl<T: Default> Field<T> for Unwritten {
    fn write(&self, _: &T, _: &mut Tree) {}

    fn read(&self, _: Source<'_, '_>) -> Result<T, MetadataError> {
        Ok(T::default())
    }
}

/// The name that libvirt knows an object by: we gave it, and write it into files of others.
pub(super) struct OwnName;

impl Named for OwnName {
    fn names(&self, _: &'static str, _: &mut Names) {}
}

impl<T: FromStr> Field<T> for OwnName {
    fn write(&self, _: &T, _: &mut Tree) {}

    fn read(&self, from: Source<'_, '_>) -> Result<T, MetadataError> {
        from.name.parse().map_err(|_| MetadataError::Attribute("name".into()))
    }
}

/// The identifier that libvirt knows an object by.
pub(super) struct OwnUuid;

impl Named for OwnUuid {
    fn names(&self, _: &'static str, _: &mut Names) {}
}

impl Field<Uuid> for OwnUuid {
    fn write(&self, _: &Uuid, _: &mut Tree) {}

    fn read(&self, from: Source<'_, '_>) -> Result<Uuid, MetadataError> {
        Ok(from.uuid)
    }
}

/// First and last address, or none.
pub(super) struct Range(pub(super) &'static str, pub(super) &'static str);

impl Named for Range {
    fn names(&self, element: &'static str, names: &mut Names) {
        names.extend([(element, self.0), (element, self.1)]);
    }
}

impl<T: FromStr + ToString + Copy> Field<Option<Dhcp<T>>> for Range {
    fn write(&self, value: &Option<Dhcp<T>>, tree: &mut Tree) {
        if let Some(Dhcp { start, end }) = value {
            tree.put(self.0, start.to_string());
            tree.put(self.1, end.to_string());
        }
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Option<Dhcp<T>>, MetadataError> {
        let ends = from.get(self.0)?.zip(from.get(self.1)?);
        Ok(ends.map(|(start, end)| Dhcp { start, end }))
    }
}

/// An image that a disk overlays, without what may be secret in its address; or none.
pub(super) struct Backing(pub(super) &'static str, pub(super) &'static str);

impl Named for Backing {
    fn names(&self, element: &'static str, names: &mut Names) {
        names.extend([(element, self.0), (element, self.1)]);
    }
}

impl Field<Option<Image>> for Backing {
    fn write(&self, value: &Option<Image>, tree: &mut Tree) {
        if let Some(image) = value {
            let Image { source: _, volume } = image;
            tree.put(self.0, image.shown());
            tree.put(self.1, volume);
        }
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Option<Image>, MetadataError> {
        let source = optional_text::<Line>(self.0).read(from)?;
        let volume = Optional(self.1).read(from)?;
        Ok(source.zip(volume).map(|(source, volume)| Image { source, volume }))
    }
}

/// An element for each value of a list.
pub(super) struct Many<F>(pub(super) &'static str, pub(super) F);

impl<F: Named> Named for Many<F> {
    fn names(&self, _: &'static str, names: &mut Names) {
        self.1.names(self.0, names);
    }
}

impl<T, F: Field<T>> Field<Vec<T>> for Many<F> {
    fn write(&self, value: &Vec<T>, tree: &mut Tree) {
        tree.holds = true;
        write_each(self.0, &self.1, value, tree);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Vec<T>, MetadataError> {
        read_each(self.0, &self.1, from)
    }
}

fn write_each<T>(element: &'static str, field: &impl Field<T>, values: &[T], tree: &mut Tree) {
    for value in values {
        let mut child = Tree::new(element);
        field.write(value, &mut child);
        tree.child(child);
    }
}

fn read_each<T>(
    element: &'static str,
    field: &impl Field<T>,
    from: Source<'_, '_>,
) -> Result<Vec<T>, MetadataError> {
    from.children(element).map(|child| field.read(child)).collect()
}

/// The same of a list that did not exist in the first version: where it is empty, nothing is written.
pub(super) struct Few<F>(pub(super) &'static str, pub(super) F);

impl<F: Named> Named for Few<F> {
    fn names(&self, _: &'static str, names: &mut Names) {
        self.1.names(self.0, names);
    }
}

impl<T, F: Field<T>> Field<Vec<T>> for Few<F> {
    fn write(&self, value: &Vec<T>, tree: &mut Tree) {
        write_each(self.0, &self.1, value, tree);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Vec<T>, MetadataError> {
        read_each(self.0, &self.1, from)
    }
}

/// An element for a value, if there is one.
pub(super) struct One<F>(pub(super) &'static str, pub(super) F);

impl<F: Named> Named for One<F> {
    fn names(&self, _: &'static str, names: &mut Names) {
        self.1.names(self.0, names);
    }
}

impl<T, F: Field<T>> Field<Option<T>> for One<F> {
    fn write(&self, value: &Option<T>, tree: &mut Tree) {
        if let Some(value) = value {
            let mut child = Tree::new(self.0);
            self.1.write(value, &mut child);
            tree.child(child);
        }
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Option<T>, MetadataError> {
        from.child(self.0).map(|child| self.1.read(child)).transpose()
    }
}

/// A value on an element of its own.
pub(super) struct On<F>(pub(super) &'static str, pub(super) F);

impl<F: Named> Named for On<F> {
    fn names(&self, _: &'static str, names: &mut Names) {
        self.1.names(self.0, names);
    }
}

impl<T, F: Field<T>> Field<T> for On<F> {
    fn write(&self, value: &T, tree: &mut Tree) {
        let mut child = Tree::new(self.0);
        self.1.write(value, &mut child);
        tree.child(child);
    }

    fn read(&self, from: Source<'_, '_>) -> Result<T, MetadataError> {
        let child = from.child(self.0).ok_or_else(|| MetadataError::Attribute(self.0.into()))?;
        self.1.read(child)
    }
}

/// A value that is there where an element is, and that may have more than that element.
pub(super) struct Where<F>(pub(super) &'static str, pub(super) F);

impl<F: Named> Named for Where<F> {
    fn names(&self, element: &'static str, names: &mut Names) {
        self.1.names(element, names);
    }
}

impl<T, F: Field<T>> Field<Option<T>> for Where<F> {
    fn write(&self, value: &Option<T>, tree: &mut Tree) {
        if let Some(value) = value {
            self.1.write(value, tree);
        }
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Option<T>, MetadataError> {
        from.child(self.0).map(|_| self.1.read(from)).transpose()
    }
}
