//! Taking keys from a mapping: each reader reports what is wrong and goes on.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::diagnostic::{Diagnostic, Diagnostics, UNKNOWN_KEY, closest};
use crate::file_keys::{Form, Key, peers};
use crate::scrub::scrub;
use crate::syntax::{Entry, Span, Spanned, Style, Tree, Value, parse_bool};
use crate::units::{ByteSize, MIB};
use crate::values::{Line, Name, ValueError};

/// The keys of one mapping. [`Fields::finish`] reports those that nobody took.
pub struct Fields<'a> {
    node: &'a Tree,
    what: String,
    /// The rows of its keys; none where keys come from elsewhere.
    keys: &'static [Key],
    /// Keys that were asked for.
    known: Vec<&'static str>,
    /// Keys that nobody knows, and that were told already, such as where one is missing that is meant by them.
    told: Vec<&'a str>,
    /// Code of a key that nobody knows.
    code: &'static str,
}

impl<'a> Fields<'a> {
    /// Starts on a mapping, called `what` in messages ("network `net1`").
    pub fn new(
        node: &'a Tree,
        what: impl Into<String>,
        keys: &'static [Key],
        diags: &mut Diagnostics,
    ) -> Option<Self> {
        Some(Self { keys, ..Self::open(node, what, diags)? })
    }

    /// The same for a mapping whose keys are not rows of a table: those count that are taken.
    pub fn open(node: &'a Tree, what: impl Into<String>, diags: &mut Diagnostics) -> Option<Self> {
        let what = what.into();
        if !matches!(node.value, Value::Map(_)) {
            diags.push(wrong_type(node, &what, "a mapping"));
            return None;
        }
        let (known, told) = (Vec::new(), Vec::new());
        Some(Self { node, what, keys: &[], known, told, code: UNKNOWN_KEY })
    }

    /// The same as [`Fields::new`] where people write something shorter: `write` is how that is written.
    pub fn or_else(
        node: &'a Tree,
        what: impl Into<String>,
        keys: &'static [Key],
        write: impl FnOnce(&str) -> String,
        diags: &mut Diagnostics,
    ) -> Option<Self> {
        let text = match &node.value {
            // What may be a password is not in a help either.
            Value::Scalar(..) if node.span.secret => "",
            Value::Scalar(text, _) => text.trim(),
            _ => return Self::new(node, what, keys, diags),
        };
        diags.push(
            wrong_type(node, &what.into(), "a mapping").help(format!("write `{}`", write(text))),
        );
        None
    }

    /// How a key is written.
    fn form(&self, key: &str) -> Form {
        self.keys.iter().find(|k| k.name == key).map_or(Form::Anything, |k| k.form)
    }

    /// A key's value; that it is absent is reported if its row says that there must be one.
    fn get(&mut self, key: &'static str, diags: &mut Diagnostics) -> Option<&'a Tree> {
        match self.keys.iter().any(|k| k.name == key && k.needed) {
            true => self.need(key, diags),
            false => self.take(key),
        }
    }

    /// The place of the whole mapping.
    pub fn span(&self) -> Span {
        self.node.span
    }

    /// A key's value; null counts as absent.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Tree> {
        self.known.push(key);
        self.node.get(key).filter(|n| n.value != Value::Null)
    }

    /// Whether somebody has written a value for one of these keys, whatever it is.
    pub fn has_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.node.get(key).is_some_and(|n| n.value != Value::Null))
    }

    /// Like [`Fields::take`], reporting absence.
    pub fn need(&mut self, key: &'static str, diags: &mut Diagnostics) -> Option<&'a Tree> {
        let node = self.take(key);
        if node.is_none() {
            let error =
                Diagnostic::error("topology::missing-key", format!("{} has no `{key}`", self.what));
            let meant = self.meant(key).map(|entry| (entry.key.as_str(), entry.key_span));
            diags.push(match meant {
                Some((_, span)) => error.at(span, "").help(format!("did you mean `{key}`?")),
                None => error.at(self.node.span, format!("`{key}` is needed here")),
            });
            self.told.extend(meant.map(|(word, _)| word));
        }
        node
    }

    /// A key that nobody knows, which is misspelt or another tool's word for one of ours.
    pub fn meant(&self, key: &str) -> Option<&'a Entry> {
        let names: Vec<&str> = self.keys.iter().map(|k| k.name).collect();
        let is_unknown = |e: &&Entry| !names.contains(&e.key.as_str()) && !e.key.starts_with("x-");
        self.node.entries().iter().filter(is_unknown).find(|entry| {
            let own = peers::meant(&entry.key, &names);
            own.or_else(|| closest(&entry.key, names.iter().copied())) == Some(key)
        })
    }

    /// Has [`Self::finish`] report a key that nobody knows by another code: [`UNKNOWN_KEY`] is a warning where nothing is strict.
    #[must_use]
    pub fn unknown_as(self, code: &'static str) -> Self {
        Self { code, ..self }
    }

    /// Text of a key.
    pub fn text(&mut self, key: &'static str, diags: &mut Diagnostics) -> Option<Spanned<String>> {
        let node = self.get(key, diags)?;
        text(node, key, diags)
    }

    /// Text of a kind that has a type of its own.
    pub fn checked<T>(&mut self, key: &'static str, diags: &mut Diagnostics) -> Option<Spanned<T>>
    where
        T: FromStr<Err = ValueError>,
    {
        let node = self.get(key, diags)?;
        checked(node, key, diags)
    }

    /// A truth value.
    pub fn bool(&mut self, key: &'static str, diags: &mut Diagnostics) -> Option<bool> {
        let node = self.get(key, diags)?;
        boolean(node, key, diags)
    }

    /// A whole number, from the range that the key's row has.
    pub fn number(&mut self, key: &'static str, diags: &mut Diagnostics) -> Option<u64> {
        let node = self.get(key, diags)?;
        match self.form(key) {
            Form::Number(least, u64::MAX, unit) => number(node, key, least, unit, diags),
            Form::Number(least, most, unit) => within(node, key, least..=most, unit, diags),
            _ => number(node, key, 0, "", diags),
        }
    }

    /// Anything that parses from text: an address, a size. What it is, the key's row says.
    pub fn parsed<T>(&mut self, key: &'static str, diags: &mut Diagnostics) -> Option<Spanned<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let node = self.get(key, diags)?;
        let expected = match self.form(key) {
            Form::Parsed(expected, _) => expected.to_string(),
            Form::Words(words) => format!("one of {}", quoted_list(words)),
            _ => "a single value".into(),
        };
        parsed(node, key, &expected, diags)
    }

    /// The same as [`Self::finish`]; whether a key that was reported as an error means one that the mapping knows.
    pub fn finish_and_tell(self, key: &str, diags: &mut Diagnostics) -> bool {
        let (before, is_meant) = (diags.mistakes(), self.meant(key).is_some());
        self.finish(diags);
        is_meant && diags.mistakes() > before
    }

    /// Reports every key that the mapping does not know.
    pub fn finish(self, diags: &mut Diagnostics) {
        let mut known = match self.keys {
            [] => self.known,
            keys => {
                let unasked = keys.iter().filter(|k| k.read && !self.known.contains(&k.name));
                let unasked: Vec<&str> = unasked.map(|k| k.name).collect();
                debug_assert!(unasked.is_empty(), "nobody reads {unasked:?} of {}", self.what);
                let names: Vec<&'static str> = keys.iter().map(|k| k.name).collect();
                let strange = self.known.iter().find(|k| !names.contains(*k));
                debug_assert!(strange.is_none(), "{strange:?} of {} has no row", self.what);
                names
            }
        };
        known.sort_unstable();
        let unread = |name: &str| self.keys.iter().any(|k| k.name == name && !k.read);
        for entry in self.node.entries() {
            let key = entry.key.as_str();
            if !known.contains(&key) && !key.starts_with("x-") && !self.told.contains(&key) {
                let diagnostic = Diagnostic::error(
                    self.code,
                    format!("{} has no key `{}`", self.what, entry.key),
                )
                .at(entry.key_span, "");
                let diagnostic = match peers::instead(&entry.key, &known) {
                    Some(advice) => diagnostic.help(advice),
                    None => diagnostic.suggest(&entry.key, known.iter().copied()),
                };
                diags.push(if diagnostic.help.is_empty() {
                    let told = || known.iter().copied().filter(|name| !unread(name));
                    let list = || format!("it knows {}", quoted_list(&told().collect::<Vec<_>>()));
                    diagnostic.help(peers::listed(&known).map_or_else(list, String::from))
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

/// The error for a value of the wrong type. What may be a password is not in it.
pub fn wrong_type(node: &Tree, what: &str, expected: &str) -> Diagnostic {
    let found = match &node.value {
        Value::Scalar(..) if node.span.secret => String::new(),
        Value::Scalar(text, _) => format!(", not `{text}`"),
        _ => format!(", not {}", node.kind()),
    };
    Diagnostic::error("topology::wrong-type", format!("{what} must be {expected}{found}"))
        .at(node.span, "")
}

/// How a list of things, or one name, is written where a mapping by their names belongs, for a help.
pub fn as_mapping(node: &Tree, key: &str) -> String {
    let name = |item: &Tree| match item.get("name").unwrap_or(item).value.clone() {
        Value::Scalar(text, _) if text.parse::<Name>().is_ok() => Some(text),
        _ => None,
    };
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let names: Vec<String> = items.iter().filter_map(name).take(3).collect();
    let all = match names.is_empty() || node.span.secret {
        true => "NAME: {…}".into(),
        false => names.iter().map(|name| format!("{name}: {{…}}")).collect::<Vec<_>>().join(", "),
    };
    format!("write `{key}: {{{all}}}`; `maquette explain {key}.NAME` lists what belongs into one")
}

/// What a mapping names where a single value belongs, as `{name: debian-12}` of other tools.
pub fn named_inside(node: &Tree) -> Option<&str> {
    let inner = ["name", "url", "path", "file"].iter().find_map(|key| node.get(key))?;
    match &inner.value {
        Value::Scalar(text, _) if !node.span.secret && !inner.span.secret => Some(text.trim()),
        _ => None,
    }
}

/// A scalar's text: one line without anything that a terminal or a template engine would obey, whatever
/// the key. Keys with a narrower meaning take [`checked`].
pub fn text(node: &Tree, what: &str, diags: &mut Diagnostics) -> Option<Spanned<String>> {
    let line = checked::<Line>(node, what, diags)?;
    Some(Spanned::new(line.value.to_string(), line.span))
}

/// Text of a kind that has a type of its own, which says what is wrong with it.
pub fn checked<T>(node: &Tree, what: &str, diags: &mut Diagnostics) -> Option<Spanned<T>>
where
    T: FromStr<Err = ValueError>,
{
    let Value::Scalar(text, _) = &node.value else {
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
    node: &Tree,
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
pub fn boolean(node: &Tree, what: &str, diags: &mut Diagnostics) -> Option<bool> {
    let value = match &node.value {
        Value::Scalar(text, _) => parse_bool(text),
        _ => None,
    };
    if value.is_none() {
        diags.push(wrong_type(node, &format!("`{what}`"), "yes or no"));
    }
    value
}

/// A whole number of at least `min`; `unit` is for the message ("MiB", or empty).
pub fn number(
    node: &Tree,
    what: &str,
    min: u64,
    unit: &str,
    diags: &mut Diagnostics,
) -> Option<u64> {
    let value = match &node.value {
        Value::Scalar(text, style) => whole(text.trim(), *style).filter(|n| *n >= min),
        _ => None,
    };
    if value.is_none() {
        let of = if unit.is_empty() { String::new() } else { format!(" of {unit}") };
        let expected = format!("a whole number{of}, {min} or more");
        let diagnostic = wrong_type(node, &format!("`{what}`"), &expected);
        diags.push(match in_mib(node).filter(|_| unit == "MiB") {
            Some(mib) => diagnostic.help(format!("write `{mib}`, without a unit")),
            None => diagnostic,
        });
    }
    value
}

/// A whole number, in the forms that YAML 1.1 has for one where it is not quoted: `0x4`, `0b100`, `8_192`; but `010` is ten.
/// <https://yaml.org/type/int.html>
fn whole(text: &str, style: Style) -> Option<u64> {
    let plain = || {
        let digits = text.replace('_', "");
        let is_number = style == Style::Bare && text.starts_with(|c: char| c.is_ascii_digit());
        let number = match (digits.strip_prefix("0x"), digits.strip_prefix("0b")) {
            (Some(digits), _) => u64::from_str_radix(digits, 16),
            (_, Some(digits)) => u64::from_str_radix(digits, 2),
            _ => digits.parse(),
        };
        number.ok().filter(|_| is_number)
    };
    text.parse().ok().or_else(plain)
}

/// How many MiB a size is that was written with its unit.
fn in_mib(node: &Tree) -> Option<u64> {
    let Value::Scalar(text, _) = &node.value else { return None };
    let ByteSize(bytes) = text.trim().parse().ok()?;
    (bytes >= MIB && bytes % MIB == 0).then_some(bytes / MIB)
}

/// An IPv4 address, or a subnet with its length, whose numbers have zeros in front (`10.0.01.2/24`), without these. They are
/// decimal, as libvirt reads them; expressions of InfraRed's files make such.
pub fn decimal(text: &str) -> Option<String> {
    let (address, length) = text.split_at(text.find('/').unwrap_or(text.len()));
    let number = |part: &str| {
        let is_plain = part.chars().all(|c| c.is_ascii_digit());
        part.parse::<u8>().ok().filter(|_| is_plain)
    };
    let numbers: Vec<u8> = address.split('.').map(number).collect::<Option<_>>()?;
    let [a, b, c, d] = <[u8; 4]>::try_from(numbers).ok()?;
    Some(format!("{a}.{b}.{c}.{d}{length}"))
}

/// Anything that parses from text.
pub fn parsed<T>(
    node: &Tree,
    what: &str,
    expected: &str,
    diags: &mut Diagnostics,
) -> Option<Spanned<T>>
where
    T: FromStr,
    T::Err: Display,
{
    let Value::Scalar(text, _) = &node.value else {
        diags.push(wrong_type(node, &format!("`{what}`"), expected));
        return None;
    };
    let text = text.trim();
    let read = text.parse::<T>();
    match read.or_else(|error| decimal(text).and_then(|text| text.parse().ok()).ok_or(error)) {
        Ok(value) => Some(Spanned::new(value, node.span)),
        Err(error) => {
            // What looks like a secret is not shown, since it may be refused for that.
            let looks_secret = scrub(text, &[]) != *text;
            let why = match node.span.secret {
                false if looks_secret => Some(scrub(&error.to_string(), &[text.to_string()])),
                false => Some(error.to_string()),
                true => unquoted(&error.to_string(), text),
            };
            let mut node = node.clone();
            node.span.secret |= looks_secret;
            let diagnostic = wrong_type(&node, &format!("`{what}`"), expected);
            diags.push(match why {
                Some(why) => diagnostic.help(why),
                None => diagnostic,
            });
            None
        }
    }
}

/// What is said of a text, without that text; none if that cannot be told apart.
fn unquoted(said: &str, text: &str) -> Option<String> {
    let rest = said.replace(&format!("`{text}`"), "it");
    (rest != said && !rest.contains(text)).then_some(rest)
}

/// A size such as `46G`.
pub fn size(node: &Tree, what: &str, diags: &mut Diagnostics) -> Option<Spanned<ByteSize>> {
    parsed(node, what, "a size such as `40G`", diags)
}

/// The items of a list that are single values, `expected` in words; others are reported by their numbers, with `write`.
pub fn singles<'a>(
    items: &'a [Tree],
    (what, expected): (&str, &str),
    write: &str,
    diags: &mut Diagnostics,
) -> Vec<&'a Tree> {
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if matches!(item.value, Value::Scalar(..)) {
            found.push(item);
            continue;
        }
        let error = wrong_type(item, &format!("item {} of `{what}`", index + 1), expected);
        let name = item.get("name").filter(|_| !item.span.secret).map(|name| &name.value);
        diags.push(match name {
            Some(Value::Scalar(name, _)) => error.help(format!("write `{}`", name.trim())),
            _ => error.help(write),
        });
    }
    found
}

/// What stands in a text that is written where a list belongs: parts with commas or blanks between them.
pub fn pieces(text: &str) -> Vec<&str> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty()).collect()
}

/// The items of a list of texts of a kind, `of` in words; anything else is reported, with how it is written if it is such
/// items.
pub fn list_of<'a, T: FromStr>(
    node: &'a Tree,
    (what, of): (&str, &str),
    diags: &mut Diagnostics,
) -> &'a [Tree] {
    let text = match &node.value {
        Value::Scalar(text, _) if !node.span.secret && !text.trim_start().starts_with('[') => text,
        _ => return list(node, what, diags),
    };
    let items = pieces(text);
    let are_items = !items.is_empty() && items.iter().all(|item| item.parse::<T>().is_ok());
    let help = match are_items {
        true => format!("write `{what}: [{}]`", items.join(", ")),
        false => format!("it lists {of}"),
    };
    diags.push(wrong_type(node, &format!("`{what}`"), "a list").help(help));
    &[]
}

/// The items of a list; anything else is reported.
pub fn list<'a>(node: &'a Tree, what: &str, diags: &mut Diagnostics) -> &'a [Tree] {
    match &node.value {
        Value::List(items) => items,
        Value::Null => &[],
        _ => {
            let diagnostic = wrong_type(node, &format!("`{what}`"), "a list");
            let bracket = |text: &String| text.trim_start().starts_with('[');
            diags.push(match &node.value {
                Value::Scalar(text, _) if bracket(text) => diagnostic
                    .help("a flag takes single values; a list is written in a file: `overrides` of the project file, or `-e @FILE`"),
                Value::Scalar(..) => diagnostic.help(format!("write `{what}: […]`")),
                _ => diagnostic,
            });
            &[]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_those_of_yaml_1_1() {
        for (text, number) in [
            ("8192", Some(8192)),
            ("8_192", Some(8192)),
            ("0x1F", Some(31)),
            ("0b11", Some(3)),
            ("010", Some(10)),
            ("_8", None),
            ("x4", None),
            ("1.5", None),
            ("-1", None),
        ] {
            assert_eq!(whole(text, Style::Bare), number, "{text}");
        }
        assert_eq!(whole("0x4", Style::Text), None);
    }
}
