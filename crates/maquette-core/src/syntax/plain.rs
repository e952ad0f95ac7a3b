//! Values without places: what options and extra variables become for the user's playbooks.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use saphyr::{Mapping, Scalar, Yaml, YamlEmitter};
use serde::{Serialize, Serializer};

use super::{Entry, Sources, Span, Style, Tree, Value, parse, parse_bool, scalar};
use crate::diagnostic::Diagnostics;

/// A value with YAML's types; keys are sorted.
#[derive(Debug, Clone, PartialEq)]
pub enum Plain {
    /// Nothing: `null`.
    Null,
    /// A truth value, in YAML 1.1's words.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other finite number.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Plain>),
    /// A mapping.
    Map(BTreeMap<String, Plain>),
}

/// A number of a [`Plain`] is finite, so that each equals itself.
impl Eq for Plain {}

impl Hash for Plain {
    fn hash<H: Hasher>(&self, to: &mut H) {
        std::mem::discriminant(self).hash(to);
        match self {
            Self::Null => {}
            Self::Bool(truth) => truth.hash(to),
            Self::Int(number) => number.hash(to),
            // Zero equals minus zero.
            Self::Float(number) => (number + 0.0).to_bits().hash(to),
            Self::Text(text) => text.hash(to),
            Self::List(items) => items.hash(to),
            Self::Map(map) => map.hash(to),
        }
    }
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

    /// Reads a YAML document; an empty one is an empty mapping. The error has the line: `line 3: …`.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut sources = Sources::default();
        let id = sources.add("", text);
        let mut diags = Diagnostics::default();
        let node = parse(&sources, id, &mut diags);
        match (node, diags.iter().next()) {
            (Some(node), None) => Ok(Self::of(&node)),
            (_, first) => Err(first.map_or(String::new(), |first| {
                let line = first.labels.first().map_or(1, |l| sources.position(l.span).0);
                format!("line {line}: {}", first.message)
            })),
        }
    }

    /// A located tree without its places; scalars have the types that YAML gives them.
    pub fn of(node: &Tree) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Scalar(text, Style::Text) => Self::text(text),
            Value::Scalar(text, Style::Bare) => Self::scalar(text),
            Value::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Map(entries) => {
                Self::Map(entries.iter().map(|e| (e.key.clone(), Self::of(&e.value))).collect())
            }
        }
    }

    /// The same with places, which are all `span`: what [`Plain::of`] makes this of again.
    pub fn located(&self, span: Span) -> Tree {
        let bare = |text: String| Value::Scalar(text, Style::Bare);
        let value = match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => bare(truth.to_string()),
            Self::Int(number) => bare(number.to_string()),
            // With its point, without which it would be a whole number.
            Self::Float(number) if number.fract() == 0.0 => bare(format!("{number}.0")),
            Self::Float(number) => bare(number.to_string()),
            Self::Text(text) => Value::Scalar(text.clone(), Style::Text),
            Self::List(items) => Value::List(items.iter().map(|i| i.located(span)).collect()),
            Self::Map(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        key_span: span,
                        value: value.located(span),
                    })
                    .collect(),
            ),
        };
        Tree { value, span }
    }

    /// The type of an unquoted scalar.
    fn scalar(text: &str) -> Self {
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

    /// As YAML: block style, sorted keys.
    pub fn yaml(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = YamlEmitter::new(&mut text).dump(&self.document());
        let body = text.strip_prefix("---\n").unwrap_or(&text);
        format!("{}\n", body.trim_end_matches('\n'))
    }

    fn document(&self) -> Yaml<'_> {
        match self {
            Self::Null => Yaml::Value(Scalar::Null),
            Self::Bool(truth) => Yaml::Value(Scalar::Boolean(*truth)),
            Self::Int(number) => Yaml::Value(Scalar::Integer(*number)),
            Self::Float(number) => Yaml::Value(Scalar::FloatingPoint((*number).into())),
            Self::Text(text) => scalar::document(text),
            Self::List(items) => Yaml::Sequence(items.iter().map(Self::document).collect()),
            Self::Map(map) => {
                let mut out = Mapping::new();
                for (key, value) in map {
                    out.insert(scalar::document(key), value.document());
                }
                Yaml::Mapping(out)
            }
        }
    }
}

/// As JSON and the like: for Ansible, and for `maquette schema`.
impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(truth) => to.serialize_bool(*truth),
            Self::Int(number) => to.serialize_i64(*number),
            Self::Float(number) => to.serialize_f64(*number),
            Self::Text(text) => to.serialize_str(text),
            Self::List(items) => to.collect_seq(items),
            Self::Map(map) => to.collect_map(map),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn places_are_made() {
        let mut tree = Plain::read("a: {c: 1}").unwrap();
        *tree.place(&["a", "e", "f"]).unwrap() = Plain::text("x");
        assert_eq!(tree.at(&["a", "e", "f"]), Some(&Plain::text("x")));
        let error = tree.place(&["a", "c", "g"]).unwrap_err();
        assert!(error.contains("`a.c` is a single value"), "{error}");
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, expected) in [
            ("a: [", "line 1: this is not YAML"),
            ("a: 1\n? [b]\n: 2\n", "line 2: a key must be a single word"),
            ("a: 1\nb: {<<: 3}\n", "line 2: `<<` merges a mapping or a list"),
            ("a: 1\n\"a\": 2\n", "line 2: `a` is here twice"),
        ] {
            let error = Plain::read(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    fn span() -> Span {
        let mut sources = Sources::default();
        let id = sources.add("t", "");
        sources.whole(id)
    }

    fn tree() -> impl Strategy<Value = Plain> {
        const WORDS: [&str; 12] =
            ["yes", "no", "12", "012", "1.5", "~", "", "null", "<<", "a b", "x: y", "'"];
        let leaf = prop_oneof![
            Just(Plain::Null),
            any::<bool>().prop_map(Plain::Bool),
            any::<i64>().prop_map(Plain::Int),
            any::<i32>().prop_map(|n| Plain::Float(f64::from(n) / 4.0)),
            prop::sample::select(&WORDS[..]).prop_map(Plain::text),
            "[ -~]{0,6}".prop_map(Plain::text),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Plain::List),
                prop::collection::btree_map("[a-e]", inner, 0..4).prop_map(Plain::Map),
            ]
        })
    }

    /// What the located tree says, without the types.
    fn words(node: &Tree) -> Vec<String> {
        match &node.value {
            Value::Null => vec!["nothing".into()],
            Value::Scalar(text, _) => vec![text.clone()],
            Value::List(items) => items.iter().flat_map(words).collect(),
            Value::Map(entries) => {
                let mut sorted: Vec<&Entry> = entries.iter().collect();
                sorted.sort_by(|a, b| a.key.cmp(&b.key));
                sorted
                    .iter()
                    .flat_map(|e| [vec![e.key.clone()], words(&e.value)].concat())
                    .collect()
            }
        }
    }

    proptest! {
        #[test]
        fn places_can_be_put_on_and_taken_off(tree in tree()) {
            prop_assert_eq!(Plain::of(&tree.located(span())), tree);
        }

        /// The tree that topologies are read from and the one for playbooks say the same.
        #[test]
        fn both_trees_agree_on_any_text(tree in tree()) {
            let tree = Plain::Map([("root".to_string(), tree)].into());
            let text = tree.yaml();
            let mut sources = Sources::default();
            let id = sources.add("t", text.as_str());
            let mut diags = Diagnostics::default();
            let node = parse(&sources, id, &mut diags);
            prop_assert!(diags.is_empty(), "{text}\n{diags:?}");
            let node = node.expect("without errors there is a tree");
            prop_assert_eq!(Plain::of(&node), tree.clone(), "{}", text);
            prop_assert_eq!(words(&node), words(&tree.located(span())), "{}", text);
        }
    }
}
