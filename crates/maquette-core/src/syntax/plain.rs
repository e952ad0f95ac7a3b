//! Values without places: what options and extra variables become for the user's playbooks.

use std::collections::BTreeMap;

use saphyr::{Mapping, Scalar, Yaml, YamlEmitter};

use super::{Node, Value, parse_bool};

/// A value with YAML's types; keys are sorted.
#[derive(Debug, Clone, PartialEq)]
pub enum Plain {
    /// Nothing.
    Null,
    /// A truth value, in YAML 1.1's words.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Plain>),
    /// A mapping.
    Map(BTreeMap<String, Plain>),
}

impl Plain {
    /// An empty mapping.
    pub fn map() -> Self {
        Self::Map(BTreeMap::new())
    }

    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A located tree without its places; scalars have the types that they would have unquoted.
    pub fn of(node: &Node) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Scalar(text) => Self::scalar(text),
            Value::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Map(entries) => {
                Self::Map(entries.iter().map(|e| (e.key.clone(), Self::of(&e.value))).collect())
            }
        }
    }

    /// The type of an unquoted scalar.
    pub(super) fn scalar(text: &str) -> Self {
        if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            return Self::Null;
        }
        if let Some(truth) = parse_bool(text) {
            return Self::Bool(truth);
        }
        let digits = text.trim_start_matches(['-', '+']);
        // What begins with a zero is text here, octal there; a post code or a MAC's part in any case.
        let whole = digits == "0" || !digits.starts_with('0');
        match text.parse::<i64>() {
            Ok(number) if whole => Self::Int(number),
            Ok(_) => Self::text(text),
            Err(_) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() && text.contains('.') => Self::Float(number),
                _ => Self::text(text),
            },
        }
    }

    /// The value at a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, key| match value {
            Self::Map(map) => map.get(*key),
            _ => None,
        })
    }

    /// The place of a path, made if need be; the key below which nothing can be, otherwise.
    pub fn place(&mut self, path: &[&str]) -> Result<&mut Self, String> {
        let mut at = self;
        for (depth, key) in path.iter().enumerate() {
            let Self::Map(map) = at else {
                return Err(format!(
                    "`{}` is a single value; nothing can be set below it",
                    path[..depth].join(".")
                ));
            };
            at = map.entry((*key).to_string()).or_insert_with(Self::map);
        }
        Ok(at)
    }

    /// Lays `over` on this: mappings merge deeply, lists become their union, anything else is
    /// replaced.
    pub fn merge(&mut self, over: Self) {
        match (self, over) {
            (Self::Map(into), Self::Map(from)) => {
                for (key, value) in from {
                    match into.get_mut(&key) {
                        Some(existing) => existing.merge(value),
                        None => {
                            into.insert(key, value);
                        }
                    }
                }
            }
            (Self::List(into), Self::List(from)) => {
                for item in from {
                    if !into.contains(&item) {
                        into.push(item);
                    }
                }
            }
            (into, from) => *into = from,
        }
    }

    /// As YAML: block style, sorted keys.
    pub fn yaml(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = YamlEmitter::new(&mut text).dump(&self.document());
        let body = text.strip_prefix("---\n").unwrap_or(&text);
        format!("{}\n", body.trim_end())
    }

    fn document(&self) -> Yaml<'_> {
        match self {
            Self::Null => Yaml::Value(Scalar::Null),
            Self::Bool(truth) => Yaml::Value(Scalar::Boolean(*truth)),
            Self::Int(number) => Yaml::Value(Scalar::Integer(*number)),
            Self::Float(number) => Yaml::Value(Scalar::FloatingPoint((*number).into())),
            Self::Text(text) => Yaml::Value(Scalar::String(text.as_str().into())),
            Self::List(items) => Yaml::Sequence(items.iter().map(Self::document).collect()),
            Self::Map(map) => {
                let mut out = Mapping::new();
                for (key, value) in map {
                    let key = Yaml::Value(Scalar::String(key.as_str().into()));
                    out.insert(key, value.document());
                }
                Yaml::Mapping(out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_get_the_types_of_yaml_1_1() {
        let read = Plain::read("a: yes\nb: 'yes'\nc: 12\nd: 012\ne: 1.5\nf:\ng: text\n").unwrap();
        assert_eq!(read.at(&["a"]), Some(&Plain::Bool(true)));
        assert_eq!(read.at(&["b"]), Some(&Plain::text("yes")));
        assert_eq!(read.at(&["c"]), Some(&Plain::Int(12)));
        assert_eq!(read.at(&["d"]), Some(&Plain::text("012")));
        assert_eq!(read.at(&["e"]), Some(&Plain::Float(1.5)));
        assert_eq!(read.at(&["f"]), Some(&Plain::Null));
        assert_eq!(Plain::read("").unwrap(), Plain::map());
        assert!(Plain::read("a: [").is_err());
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let text = "a:\n  - 1\n  - x: 'no'\nb: {c: '', d: ' e', f: '12', g: on}\nh: []\ni: {}\n";
        let read = Plain::read(text).unwrap();
        assert_eq!(Plain::read(&read.yaml()).unwrap(), read);
        insta::assert_snapshot!(read.yaml());
    }

    #[test]
    fn merging_and_placing() {
        let mut tree = Plain::read("a: {b: [1], c: 1}").unwrap();
        tree.merge(Plain::read("a: {b: [1, 2], d: 2}").unwrap());
        assert_eq!(tree, Plain::read("a: {b: [1, 2], c: 1, d: 2}").unwrap());
        *tree.place(&["a", "e", "f"]).unwrap() = Plain::text("x");
        assert_eq!(tree.at(&["a", "e", "f"]), Some(&Plain::text("x")));
        let error = tree.place(&["a", "c", "g"]).unwrap_err();
        assert!(error.contains("`a.c` is a single value"), "{error}");
    }
}
