//! Taking keys from a mapping: each reader reports what is wrong and goes on.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::diagnostic::{Diagnostic, Diagnostics, UNKNOWN_KEY};
use crate::syntax::{Node, Span, Spanned, Value, parse_bool};
use crate::units::ByteSize;
use crate::values::{Line, ValueError};

/// The keys of one mapping. [`Fields::finish`] reports those that nobody took.
pub struct Fields<'a> {
    node: &'a Node,
    what: String,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Starts on a mapping, called `what` in messages ("network `net1`").
    pub fn new(node: &'a Node, what: impl Into<String>, diags: &mut Diagnostics) -> Option<Self> {
        let what = what.into();
        if !matches!(node.value, Value::Map(_)) {
            diags.push(wrong_type(node, &what, "a mapping"));
            return None;
        }
        Some(Self { node, what, known: Vec::new() })
    }

    /// The place of the whole mapping.
    pub fn span(&self) -> Span {
        self.node.span
    }

    /// A key's value; null counts as absent.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.node.get(key).filter(|n| n.value != Value::Null)
    }

    /// Like [`Fields::take`], reporting absence.
    pub fn need(&mut self, key: &'static str, diags: &mut Diagnostics) -> Option<&'a Node> {
        let node = self.take(key);
        if node.is_none() {
            diags.push(
                Diagnostic::error("topology::missing-key", format!("{} has no `{key}`", self.what))
                    .at(self.node.span, format!("`{key}` is needed here")),
            );
        }
        node
    }

    /// Text of a key.
    pub fn text(&mut self, key: &'static str, diags: &mut Diagnostics) -> Option<Spanned<String>> {
        let node = self.take(key)?;
        text(node, key, diags)
    }

    /// Text of a kind that has a type of its own, which says what is wrong with it.
    pub fn checked<T>(&mut self, key: &'static str, diags: &mut Diagnostics) -> Option<Spanned<T>>
    where
        T: FromStr<Err = ValueError>,
    {
        let node = self.take(key)?;
        checked(node, key, diags)
    }

    /// A whole number from `range`.
    pub fn within(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        unit: &str,
        diags: &mut Diagnostics,
    ) -> Option<u64> {
        let node = self.take(key)?;
        within(node, key, range, unit, diags)
    }

    /// A truth value.
    pub fn bool(&mut self, key: &'static str, diags: &mut Diagnostics) -> Option<bool> {
        let node = self.take(key)?;
        boolean(node, key, diags)
    }

    /// A whole number that is at least `min`.
    pub fn number(
        &mut self,
        key: &'static str,
        min: u64,
        unit: &str,
        diags: &mut Diagnostics,
    ) -> Option<u64> {
        let node = self.take(key)?;
        number(node, key, min, unit, diags)
    }

    /// Anything that parses from text: an address, a size.
    pub fn parsed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        diags: &mut Diagnostics,
    ) -> Option<Spanned<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let node = self.take(key)?;
        parsed(node, key, expected, diags)
    }

    /// Accepts keys that other tools read and Maquette does not.
    pub fn ignore(&mut self, keys: &[&'static str]) {
        self.known.extend_from_slice(keys);
    }

    /// Reports every key that nobody took.
    pub fn finish(self, diags: &mut Diagnostics) {
        for entry in self.node.entries() {
            if !self.known.contains(&entry.key.as_str()) && !entry.key.starts_with("x-") {
                let mut known = self.known.clone();
                known.sort_unstable();
                let diagnostic = Diagnostic::error(
                    UNKNOWN_KEY,
                    format!("{} has no key `{}`", self.what, entry.key),
                )
                .at(entry.key_span, "")
                .suggest(&entry.key, known.iter().copied());
                diags.push(if diagnostic.help.is_empty() {
                    diagnostic.help(format!("it knows {}", quoted_list(&known)))
                } else {
                    diagnostic
                });
            }
        }
    }
}

/// `a`, `b` and `c`, each in backticks.
pub fn quoted_list<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{}`", w.as_ref())).collect();
    match quoted.as_slice() {
        [] => "nothing".into(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

/// The error for a value of the wrong type.
pub fn wrong_type(node: &Node, what: &str, expected: &str) -> Diagnostic {
    let found = match &node.value {
        Value::Scalar(text) => format!("`{text}`"),
        _ => node.kind().to_string(),
    };
    Diagnostic::error("topology::wrong-type", format!("{what} must be {expected}, not {found}"))
        .at(node.span, "")
}

/// A scalar's text: one line without anything that a terminal or a template engine would obey, whatever
/// the key. Keys with a narrower meaning take [`checked`].
pub fn text(node: &Node, what: &str, diags: &mut Diagnostics) -> Option<Spanned<String>> {
    let line = checked::<Line>(node, what, diags)?;
    Some(Spanned::new(line.value.to_string(), line.span))
}

/// Text of a kind that has a type of its own, which says what is wrong with it.
pub fn checked<T>(node: &Node, what: &str, diags: &mut Diagnostics) -> Option<Spanned<T>>
where
    T: FromStr<Err = ValueError>,
{
    let Value::Scalar(text) = &node.value else {
        diags.push(wrong_type(node, &format!("`{what}`"), "a single value"));
        return None;
    };
    match text.parse::<T>() {
        Ok(value) => Some(Spanned::new(value, node.span)),
        Err(error) => {
            let message = format!("`{what}`: {error}");
            diags.push(Diagnostic::error("topology::value", message).at(node.span, ""));
            None
        }
    }
}

/// A whole number from `range`; `unit` is for the message ("MiB", or empty).
pub fn within(
    node: &Node,
    what: &str,
    range: RangeInclusive<u64>,
    unit: &str,
    diags: &mut Diagnostics,
) -> Option<u64> {
    let value = number(node, what, *range.start(), unit, diags)?;
    if range.contains(&value) {
        return Some(value);
    }
    let of = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let expected = format!("at most {}{of}", range.end());
    diags.push(wrong_type(node, &format!("`{what}`"), &expected));
    None
}

/// A truth value; quoted ones count too, since flags have no other kind.
pub fn boolean(node: &Node, what: &str, diags: &mut Diagnostics) -> Option<bool> {
    let value = match &node.value {
        Value::Scalar(text) => parse_bool(text),
        _ => None,
    };
    if value.is_none() {
        diags.push(wrong_type(node, &format!("`{what}`"), "yes or no"));
    }
    value
}

/// A whole number of at least `min`; `unit` is for the message ("MiB", or empty).
pub fn number(
    node: &Node,
    what: &str,
    min: u64,
    unit: &str,
    diags: &mut Diagnostics,
) -> Option<u64> {
    let value = match &node.value {
        Value::Scalar(text) => text.trim().parse::<u64>().ok().filter(|n| *n >= min),
        _ => None,
    };
    if value.is_none() {
        let of = if unit.is_empty() { String::new() } else { format!(" of {unit}") };
        diags.push(wrong_type(
            node,
            &format!("`{what}`"),
            &format!("a whole number{of}, {min} or more"),
        ));
    }
    value
}

/// Anything that parses from text.
pub fn parsed<T>(
    node: &Node,
    what: &str,
    expected: &str,
    diags: &mut Diagnostics,
) -> Option<Spanned<T>>
where
    T: FromStr,
    T::Err: Display,
{
    let Value::Scalar(text) = &node.value else {
        diags.push(wrong_type(node, &format!("`{what}`"), expected));
        return None;
    };
    match text.trim().parse::<T>() {
        Ok(value) => Some(Spanned::new(value, node.span)),
        Err(error) => {
            diags.push(wrong_type(node, &format!("`{what}`"), expected).help(error.to_string()));
            None
        }
    }
}

/// A size such as `46G`.
pub fn size(node: &Node, what: &str, diags: &mut Diagnostics) -> Option<Spanned<ByteSize>> {
    parsed(node, what, "a size such as `40G`", diags)
}

/// The items of a list; anything else is reported.
pub fn list<'a>(node: &'a Node, what: &str, diags: &mut Diagnostics) -> &'a [Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null => &[],
        _ => {
            diags.push(wrong_type(node, &format!("`{what}`"), "a list"));
            &[]
        }
    }
}
