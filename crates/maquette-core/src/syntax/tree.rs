//! The located tree. Scalars stay text, since the key they belong to decides their type; how they were
//! written is kept for [`super::Plain`], which knows no keys.

use super::Span;

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// What was written.
    pub value: Value,
    /// Where it was written.
    pub span: Span,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// Any scalar, as text.
    Scalar(String, Style),
    /// A sequence.
    List(Vec<Tree>),
    /// A mapping, in the order written.
    Map(Vec<Entry>),
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Bare: a number, a truth value or text, as YAML takes it.
    Bare,
    /// In quotes, as a block, tagged `!!str`, or on the command line: text, whatever it looks like.
    Text,
}

/// One pair of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// The key's place.
    pub key_span: Span,
    /// The value.
    pub value: Tree,
}

impl Tree {
    /// A scalar that is text, whatever it looks like.
    pub fn scalar(text: impl Into<String>, span: Span) -> Self {
        Self { value: Value::Scalar(text.into(), Style::Text), span }
    }

    /// A mapping without entries.
    pub fn empty_map(span: Span) -> Self {
        Self { value: Value::Map(Vec::new()), span }
    }

    /// Whether there is nothing: null, or an empty collection.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Scalar(..) => false,
            Value::List(list) => list.is_empty(),
            Value::Map(map) => map.is_empty(),
        }
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Tree> {
        self.entries().iter().find(|e| e.key == key).map(|e| &e.value)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Tree> {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().find(|e| e.key == key).map(|e| &mut e.value),
            _ => None,
        }
    }

    /// The value at a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Tree> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Whether it says nothing, or no.
    pub fn is_no(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Scalar(text, _) => super::parse_bool(text) == Some(false),
            _ => false,
        }
    }

    /// What a reader would call it.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(..) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
