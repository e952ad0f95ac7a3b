//! Trees that are made here, of what was written elsewhere.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::syntax::{Entry, Span, Style, Tree, Value};

/// A mapping that is being made.
#[derive(Debug)]
pub(super) struct Map {
    entries: Vec<Entry>,
    span: Span,
}

impl Map {
    /// An empty one, for what is at a place.
    pub fn at(span: Span) -> Self {
        Self { entries: Vec::new(), span }
    }

    /// Adds a key.
    pub fn put(&mut self, key: &str, value: Tree) {
        self.entries.push(Entry { key: key.into(), key_span: value.span, value });
    }

    /// Adds a key that was written somewhere itself.
    pub fn put_at(&mut self, key: &str, key_span: Span, value: Tree) {
        self.entries.push(Entry { key: key.into(), key_span, value });
    }

    /// Adds a key with a single value, at the place of the whole.
    pub fn text(&mut self, key: &str, text: impl Into<String>) {
        self.put(key, bare(text, self.span));
    }

    /// What was made.
    pub fn done(self) -> Tree {
        Tree { value: Value::Map(self.entries), span: self.span }
    }
}

/// A single value.
pub(super) fn bare(text: impl Into<String>, span: Span) -> Tree {
    Tree { value: Value::Scalar(text.into(), Style::Bare), span }
}

/// A list.
pub(super) fn list(items: Vec<Tree>, span: Span) -> Tree {
    Tree { value: Value::List(items), span }
}

/// An address as it is in an environment without a prefix. With one, its third octet moves on as that of `{{ net }}` in
/// network files does, so that several of a layout can be on one hypervisor. Larger subnets stay where they are.
pub(super) fn moving(address: Ipv4Addr, net: Ipv4Net) -> String {
    let [a, b, c, d] = address.octets();
    match (net.prefix_len() >= 24, c) {
        (false, _) => address.to_string(),
        (true, 0) => format!("{a}.{b}.{{{{ net }}}}.{d}"),
        (true, c) => format!("{a}.{b}.{{{{ (net | int + {c}) % 256 }}}}.{d}"),
    }
}
