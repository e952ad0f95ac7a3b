//! Reading YAML: the library's nodes become ours.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use saphyr::{AnnotatedMapping, MarkedYaml, YamlData, YamlLoader};
use saphyr_parser::{Marker, Parser, ScalarStyle, ScanError, Tag};

use super::bounds::{self, MAX_DEPTH};
use super::{Entry, SourceId, Sources, Span, Style, Tree, Value};
use crate::diagnostic::{DUPLICATE_KEY, Diagnostic, Diagnostics};

/// Reads one YAML document. An empty document is an empty mapping.
///
/// Duplicate keys, alias bombs and tags that are not YAML's own are errors. Merge keys are those of YAML 1.1
/// (<https://yaml.org/type/merge.html>), as PyYAML reads them: keys written out win over merged ones, of
/// several mappings (`<<: [*a, *b]`) the first that has a key wins, of several merge keys the last that has it, values are
/// taken whole, and a quoted `"<<"` is a key like any other.
pub fn parse(sources: &Sources, id: SourceId, diags: &mut Diagnostics) -> Option<Tree> {
    let text = &sources.get(id).text;
    let offsets = Offsets::new(text);
    let merges = bounds::merged_again(text);
    let secret = sources.get(id).secret;
    let again = BTreeMap::new();
    let mut reader = Reader { id, offsets: &offsets, secret, merges: &merges, again };
    if let Some((diagnostic, place)) = bounds::refusal(text) {
        diags.push(diagnostic.at(reader.place(place.start, place.end), ""));
        return None;
    }
    let apart = told_apart(text, &merges);
    let named;
    let mut loaded = load(&apart);
    if loaded.as_ref().is_err_and(|error| error.info() == DUPLICATE) {
        reader.again = bounds::keys_again(&apart);
        named = with_names(&apart, merges.len(), &reader.again);
        loaded = load(&named);
    }
    match loaded {
        Err(error) => {
            diags.push(syntax_error(&reader, text, &error));
            None
        }
        Ok(documents) => match documents.as_slice() {
            [] => Some(Tree::empty_map(sources.whole(id))),
            [one] => reader.node(one, 0, diags).map(|node| match node.value {
                Value::Null => Tree::empty_map(node.span),
                _ => node,
            }),
            [_, second, ..] => {
                diags.push(
                    Diagnostic::error("yaml::documents", "the file holds more than one document")
                        .at(reader.span(second), "the second starts here"),
                );
                None
            }
        },
    }
}

/// What the library says of a key that is there twice, and of nothing else.
const DUPLICATE: &str = "duplicated key in mapping";

/// Private characters that stand for keys: the first one, and how many there are.
const PRIVATE: u32 = 0xE000;
const NAMES: u32 = 0x1800;

/// A text in which keys that their mappings have already get names of their own, of as many characters: the places of all
/// else stay. So many names are taken.
fn with_names(text: &str, taken: usize, again: &BTreeMap<usize, String>) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (number, (place, key)) in (taken..).zip(again) {
        let own = characters.get_mut(*place..).unwrap_or_default().iter_mut();
        let own: Vec<&mut char> = own.take(key.chars().count()).collect();
        let mut rest = number;
        for character in own.into_iter().rev() {
            let digit = u32::try_from(rest % NAMES as usize).unwrap_or_default();
            *character = char::from_u32(PRIVATE + digit).unwrap_or(*character);
            rest /= NAMES as usize;
        }
    }
    characters.into_iter().collect()
}

/// The library takes a second merge key for a key that is there twice, so each gets a name of its own, of as many characters.
fn told_apart<'a>(text: &'a str, merges: &BTreeSet<usize>) -> Cow<'a, str> {
    if merges.is_empty() {
        return text.into();
    }
    let mut characters: Vec<char> = text.chars().collect();
    for (number, place) in (0..).zip(merges) {
        let name = [number / NAMES, number % NAMES].map(|part| char::from_u32(PRIVATE + part));
        // A tag may stand before it.
        let rest = characters.get_mut(*place..).unwrap_or_default();
        let Some(at) = rest.windows(2).position(|pair| pair == ['<', '<']) else { continue };
        if let [Some(first), Some(second)] = name {
            rest[at..at + 2].copy_from_slice(&[first, second]);
        }
    }
    characters.into_iter().collect::<String>().into()
}

fn load(text: &str) -> Result<Vec<MarkedYaml<'_>>, ScanError> {
    let mut loader = YamlLoader::default();
    loader.early_parse(false);
    Parser::new_from_str(text).load(&mut loader, true)?;
    match loader.error() {
        Some(error) => Err(error.clone()),
        None => Ok(loader.into_documents()),
    }
}

fn syntax_error(reader: &Reader<'_>, text: &str, error: &ScanError) -> Diagnostic {
    let start = reader.offsets.byte(error.marker().index());
    let end = (start as usize + 1).min(text.len()).max(start as usize);
    let span = Span { source: reader.id, start, end: end as u32, secret: reader.secret };
    let diagnostic =
        Diagnostic::error("yaml::syntax", format!("this is not YAML: {}", error.info()))
            .at(span, "");
    if text.as_bytes().get(start as usize) == Some(&b'\t') {
        return diagnostic.help("YAML indents with blanks, never with tabs");
    }
    diagnostic
}

/// Byte offsets of characters: the library counts characters, spans count bytes.
struct Offsets {
    ascii: bool,
    bytes: Vec<u32>,
    len: u32,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let ascii = text.is_ascii();
        let bytes =
            if ascii { Vec::new() } else { text.char_indices().map(|(i, _)| i as u32).collect() };
        Self { ascii, bytes, len: text.len() as u32 }
    }

    fn byte(&self, character: usize) -> u32 {
        if self.ascii {
            return (character as u32).min(self.len);
        }
        self.bytes.get(character).copied().unwrap_or(self.len)
    }
}

struct Reader<'a> {
    id: SourceId,
    offsets: &'a Offsets,
    secret: bool,
    /// Where merge keys are that are not their mapping's first.
    merges: &'a BTreeSet<usize>,
    /// Where keys are that their mapping has already, and what they are called.
    again: BTreeMap<usize, String>,
}

impl Reader<'_> {
    fn span(&self, yaml: &MarkedYaml<'_>) -> Span {
        self.place(yaml.span.start, yaml.span.end)
    }

    fn place(&self, start: Marker, end: Marker) -> Span {
        let start = self.offsets.byte(start.index());
        let end = self.offsets.byte(end.index()).max(start);
        Span { source: self.id, start, end, secret: self.secret }
    }

    fn node(&self, yaml: &MarkedYaml<'_>, depth: usize, diags: &mut Diagnostics) -> Option<Tree> {
        let span = self.span(yaml);
        if depth > MAX_DEPTH {
            diags.push(
                Diagnostic::error("yaml::depth", "the file is nested too deeply").at(span, ""),
            );
            return None;
        }
        let value = match &yaml.data {
            YamlData::Representation(text, form, tag) => scalar(text, style(*form, tag.as_deref())),
            YamlData::Value(_) | YamlData::Alias(_) | YamlData::BadValue => Value::Null,
            YamlData::Tagged(_, inner) => return self.node(inner, depth + 1, diags),
            YamlData::Sequence(list) => {
                Value::List(list.iter().filter_map(|n| self.node(n, depth + 1, diags)).collect())
            }
            YamlData::Mapping(map) => Value::Map(self.entries(map, depth, diags)),
        };
        Some(Tree { value, span })
    }

    fn entries<'a>(
        &self,
        map: &AnnotatedMapping<'a, MarkedYaml<'a>>,
        depth: usize,
        diags: &mut Diagnostics,
    ) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: BTreeMap<String, Span> = BTreeMap::new();
        let mut merged = Vec::new();
        for (key, value) in map {
            let key_span = self.span(key);
            let Some((name, form)) = self.key(key, diags) else { continue };
            let Some(value) = self.node(value, depth + 1, diags) else { continue };
            let is_again = self.merges.contains(&key.span.start.index());
            if is_again || name == bounds::MERGE && form == Style::Bare {
                merged.push(mappings(value, diags));
            } else if let Some(first) = places.get(&name) {
                // The library takes `a` and `"a"` for two keys.
                diags.push(
                    Diagnostic::error(DUPLICATE_KEY, format!("`{name}` is here twice"))
                        .at(key_span, "again here")
                        .at(*first, "first here")
                        .help("leave one of them out; most readers of YAML take the last one"),
                );
                if let Some(known) = entries.iter_mut().find(|entry| entry.key == name) {
                    *known = Entry { key: name, key_span, value };
                }
            } else {
                places.insert(name.clone(), key_span);
                entries.push(Entry { key: name, key_span, value });
            }
        }
        for entry in merged.into_iter().rev().flatten() {
            if !places.contains_key(&entry.key) {
                places.insert(entry.key.clone(), entry.key_span);
                entries.push(entry);
            }
        }
        entries
    }

    fn key(&self, key: &MarkedYaml<'_>, diags: &mut Diagnostics) -> Option<(String, Style)> {
        match &key.data {
            YamlData::Representation(text, form, tag) => {
                let again = self.again.get(&key.span.start.index());
                let name = again.cloned().unwrap_or_else(|| text.to_string());
                if let Some(diagnostic) = bounds::long_key(&name) {
                    diags.push(diagnostic.at(self.span(key), ""));
                    return None;
                }
                Some((name, style(*form, tag.as_deref())))
            }
            YamlData::Mapping(_) => {
                diags.push(
                    Diagnostic::error("yaml::unquoted-expression", "an expression is not quoted")
                        .at(self.span(key), "YAML reads this as a mapping")
                        .help("write it in quotes: `\"{{ net }}\"`"),
                );
                None
            }
            _ => {
                diags.push(
                    Diagnostic::error("yaml::key", "a key must be a single word")
                        .at(self.span(key), ""),
                );
                None
            }
        }
    }
}

/// A tag decides, otherwise how it is written. A lone `!` makes text.
fn style(form: ScalarStyle, tag: Option<&Tag>) -> Style {
    match tag.map(|tag| tag.suffix.as_str()) {
        Some("str" | "!") => Style::Text,
        Some("int" | "float" | "bool" | "null" | "merge") => Style::Bare,
        _ if form == ScalarStyle::Plain => Style::Bare,
        _ => Style::Text,
    }
}

fn scalar(text: &str, style: Style) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" if style == Style::Bare => Value::Null,
        _ => Value::Scalar(text.to_string(), style),
    }
}

/// All that a merge key brings, in the order in which it wins.
fn mappings(value: Tree, diags: &mut Diagnostics) -> Vec<Entry> {
    let sources = match value.value {
        Value::List(list) => list,
        _ => vec![value],
    };
    let mut entries = Vec::new();
    for source in sources {
        match source.value {
            Value::Map(own) => entries.extend(own),
            _ => diags.push(
                Diagnostic::error(
                    "yaml::merge",
                    format!("`<<` merges a mapping or a list of mappings, not {}", source.kind()),
                )
                .at(source.span, ""),
            ),
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Plain;
    use proptest::prelude::*;

    fn read(text: &str) -> (Option<Tree>, Diagnostics, Sources) {
        let mut sources = Sources::default();
        let id = sources.add("t.yml", text);
        let mut diags = Diagnostics::default();
        let node = parse(&sources, id, &mut diags);
        (node, diags, sources)
    }

    /// It was said not to be YAML, at one of the places, where PyYAML takes the last one.
    #[test]
    fn a_key_that_is_there_twice_is_told_with_both_places_and_the_last_one_counts() {
        let text = "größe: {memory: 512, b: 1, memory: 1024}\nb: 1\nb: [2]\nb: {b: 3}\n";
        let (node, diags, sources) = read(text);
        let expected = "{größe: {memory: 1024, b: 1}, b: {b: 3}}";
        assert_eq!(Plain::of(&node.unwrap()), Plain::read(expected).unwrap());
        let said: Vec<_> = diags.iter().map(|d| (d.code, d.message.as_str())).collect();
        let twice = |message| ("yaml::duplicate", message);
        assert_eq!(said[..2], [twice("`memory` is here twice"), twice("`b` is here twice")]);
        let first = diags.iter().next().unwrap();
        let places: Vec<_> = first.labels.iter().map(|l| sources.position(l.span)).collect();
        assert_eq!(places, [(1, 28), (1, 9)]);
        // In a file for other tools, too, it is a warning.
        let mut sources = Sources::default();
        let id = sources.add("t.yml", text);
        let mut diags = Diagnostics::usual();
        diags.be_lenient_in(id);
        assert!(parse(&sources, id, &mut diags).is_some() && !diags.has_errors());
    }

    #[test]
    fn places_are_exact_after_non_ascii_text() {
        let (node, _, sources) = read("# größe\nname: añb\nnet: x\n");
        let node = node.unwrap();
        assert_eq!(sources.text(node.get("net").unwrap().span), "x");
        assert_eq!(sources.text(node.entries()[0].key_span), "name");
        assert_eq!(sources.position(node.get("net").unwrap().span), (3, 6));
    }

    #[test]
    fn merge_keys_lose_to_written_ones() {
        let (node, diags, _) = read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n");
        assert!(diags.is_empty());
        let node = node.unwrap();
        let b = node.get("b").unwrap();
        assert_eq!(b.get("x").unwrap().value, Value::Scalar("1".into(), Style::Bare));
        assert_eq!(b.get("y").unwrap().value, Value::Scalar("3".into(), Style::Bare));
    }

    /// What PyYAML 6 makes of the same texts.
    #[test]
    fn merge_keys_are_those_of_yaml_1_1() {
        let anchors = "a: &a {x: 1, y: {p: 1}}\nb: &b {x: 2, z: 3}\nl: &l [{x: 5}, {w: 6}]\n";
        for (merging, expected) in [
            // Of a list the first wins, whatever comes between.
            ("{<<: [*a, *b]}", "{x: 1, y: {p: 1}, z: 3}"),
            ("{<<: [*b, *a]}", "{x: 2, y: {p: 1}, z: 3}"),
            ("{<<: *l}", "{x: 5, w: 6}"),
            ("{<<: []}", "{}"),
            // Own keys win, before it and after it, and values are taken whole.
            ("{x: 9, <<: *a}", "{x: 9, y: {p: 1}}"),
            ("{<<: *a, x: 9}", "{x: 9, y: {p: 1}}"),
            ("{<<: *a, y: {q: 2}}", "{x: 1, y: {q: 2}}"),
            ("{<<: [{y: {q: 2}}, *a]}", "{x: 1, y: {q: 2}}"),
            ("{<<: *a, x: }", "{x: , y: {p: 1}}"),
            // What is merged in may merge itself.
            ("{<<: {<<: *a, x: 7}, v: 8}", "{x: 7, y: {p: 1}, v: 8}"),
            ("{<<: [{<<: *b, v: 1}, *a]}", "{v: 1, x: 2, z: 3, y: {p: 1}}"),
            ("{n: {<<: *b, x: 4}}", "{n: {x: 4, z: 3}}"),
            ("[{<<: *b}]", "[{x: 2, z: 3}]"),
            // Of several merge keys the last wins.
            ("{<<: *a, <<: *b}", "{y: {p: 1}, x: 2, z: 3}"),
            ("{<<: *b, <<: *a}", "{x: 1, y: {p: 1}, z: 3}"),
            ("{<<: *a, v: 1, <<: *b, x: 9, <<: {z: 4}}", "{v: 1, x: 9, y: {p: 1}, z: 4}"),
            ("{<<: [*a, *b], <<: {<<: {w: 1}, <<: {w: 2}}}", "{x: 1, y: {p: 1}, z: 3, w: 2}"),
            ("{!!merge <<: *a, !!merge <<: *b}", "{y: {p: 1}, x: 2, z: 3}"),
            ("[{<<: *a, <<: *a}, {<<: *b}]", "[{x: 1, y: {p: 1}}, {x: 2, z: 3}]"),
            ("{é: <<, <<: *b, <<: {v: <<}}", "{é: <<, x: 2, z: 3, v: <<}"),
            ("{\n  <<: *b,\n  <<: *a}", "{x: 1, y: {p: 1}, z: 3}"),
            // Text that looks like one.
            ("{'<<': 3}", "{'<<': 3}"),
            ("{!!str <<: 3}", "{'<<': 3}"),
            ("{s: !!str 1, t: '1', u: 1}", "{s: '1', t: '1', u: 1}"),
        ] {
            let (node, diags, _) = read(&format!("{anchors}c: {merging}\n"));
            assert!(diags.is_empty(), "{merging}: {diags:?}");
            let found = Plain::of(node.unwrap().get("c").unwrap());
            let expected = Plain::read(&format!("c: {expected}")).unwrap();
            assert_eq!(Some(&found), expected.at(&["c"]), "{merging}");
        }
    }

    #[test]
    fn merge_keys_that_merge_nothing_are_mistakes() {
        for (text, kind) in [
            ("a: {<<: 3}\n", "a single value"),
            ("a: {<<: }\n", "nothing"),
            ("a: {<<: [{x: 1}, y]}\n", "a single value"),
            ("a: {<<: [[{x: 1}]]}\n", "a list"),
            ("a: {<<: {x: 1}, <<: 3}\n", "a single value"),
        ] {
            let (_, diags, _) = read(text);
            let first = diags.iter().next().unwrap_or_else(|| panic!("{text:?} passed"));
            assert_eq!(first.code, "yaml::merge");
            assert!(first.message.ends_with(&format!("not {kind}")), "{first:?}");
        }
    }

    fn flow(map: &BTreeMap<String, u8>) -> String {
        let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        pairs.join(", ")
    }

    fn any_map() -> impl Strategy<Value = BTreeMap<String, u8>> {
        prop::collection::btree_map("[a-e]", any::<u8>(), 0..5)
    }

    proptest! {
        /// Both trees, and the rule: whoever comes first has the key.
        #[test]
        fn the_first_that_has_a_key_wins(own in any_map(), list in prop::collection::vec(any_map(), 1..4)) {
            let mut text = String::new();
            for (i, map) in list.iter().enumerate() {
                text += &format!("m{i}: &m{i} {{{}}}\n", flow(map));
            }
            let names: Vec<String> = (0..list.len()).map(|i| format!("*m{i}")).collect();
            let separator = if own.is_empty() { "" } else { ", " };
            text += &format!("c: {{<<: [{}]{separator}{}}}\n", names.join(", "), flow(&own));
            let mut expected = own.clone();
            for map in &list {
                for (key, value) in map {
                    expected.entry(key.clone()).or_insert(*value);
                }
            }
            let (node, diags, _) = read(&text);
            prop_assert!(diags.is_empty(), "{text}{diags:?}");
            let node = node.expect("without errors there is a tree");
            let c = node.get("c").expect("it is written");
            prop_assert_eq!(c.entries().len(), expected.len());
            let plain = Plain::of(c);
            for (key, value) in expected {
                let located = c.get(&key).map(|n| n.value.clone());
                prop_assert_eq!(located, Some(Value::Scalar(value.to_string(), Style::Bare)));
                prop_assert_eq!(plain.at(&[&key]), Some(&Plain::Int(value.into())));
            }
        }
    }

    #[test]
    fn mistakes_have_places() {
        for (text, line) in [
            ("a: 1\na: 2\n", 2),
            ("a: 1\n'a': 2\n", 2),
            ("a:\n\tb: 1\n", 2),
            ("a: {{ net }}\n", 1),
            ("a: [1\n", 2),
        ] {
            let (_, diags, sources) = read(text);
            let first = diags.iter().next().unwrap_or_else(|| panic!("{text:?} passed"));
            assert_eq!(sources.position(first.labels[0].span).0, line, "{text:?}: {first:?}");
        }
    }

    /// The first mistake, and the line and column that it is at.
    fn mistake(text: &str) -> Option<(&'static str, String, (usize, usize))> {
        let (_, diags, sources) = read(text);
        let first = diags.iter().next()?;
        let place = sources.position(first.labels[0].span);
        Some((first.code, first.message.clone(), place))
    }

    #[test]
    fn a_duplicate_key_is_found_at_any_depth() {
        for (text, place) in [
            ("a: 1\nb: 2\n'a': 3\n", (3, 1)),
            ("a:\n  - {x: 1, \"x\": 2}\n", (2, 12)),
            ("a: &a\n  b: 1\n  'b': 2\nc: *a\n", (3, 3)),
            ("{\"a\": 1,\n \"a\": 2}\n", (2, 2)),
            ("1: a\n'1': b\n", (2, 1)),
        ] {
            let (_, _, found) = mistake(text).unwrap_or_else(|| panic!("{text:?} passed"));
            assert_eq!(found, place, "{text:?}");
        }
        // A key that is merged in does not count as a second one.
        assert_eq!(mistake("a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: {<<: [*a, *a]}\n"), None);
    }

    #[test]
    fn what_aliases_make_is_bounded() {
        let levels = |open: &str, close: &str| {
            let mut text = "a0: &a0 [1, 2]\n".to_string();
            for level in 1..60 {
                let below = vec![format!("*a{}", level - 1); 10].join(", ");
                text += &format!("a{level}: &a{level} {open}{below}{close}\n");
            }
            text
        };
        let long = "x".repeat(1 << 18);
        for text in [
            levels("[", "]"),
            levels("{k: [", "]}"),
            // Keys, which the library does not count.
            levels("{? [", "] : 1}"),
            levels("{<<: [{n: [", "]}]}"),
            format!("a: &a {long}\nb: [{}]\n", vec!["*a"; 100].join(", ")),
            format!("a: {}\n", nested_anchors(40, 1 << 13)),
        ] {
            let (code, message, _) = mistake(&text).unwrap_or_else(|| panic!("{text:.100} passed"));
            assert_eq!(code, "yaml::alias", "{text:.100}: {message}");
        }
        let few = format!("a: &a {long}\nb: [*a, *a, *a]\n");
        assert_eq!(mistake(&few), None);
    }

    /// Lists in each other, each with an anchor of its own, around many items.
    fn nested_anchors(levels: usize, items: usize) -> String {
        let open: String = (0..levels).map(|n| format!("&n{n} [")).collect();
        format!("{open}{}{}", "1, ".repeat(items), "]".repeat(levels))
    }

    #[test]
    fn an_alias_of_what_it_is_in_is_a_mistake() {
        for text in ["a: &a {x: *a}\n", "a: &a [*a]\n", "a: &a {*a : 1}\n", "&a {<<: *a}\n"] {
            let (code, message, _) = mistake(text).unwrap_or_else(|| panic!("{text:?} passed"));
            assert_eq!(code, "yaml::alias", "{text:?}: {message}");
        }
        let (code, ..) = mistake("a: *b\nb: &b 1\n").unwrap();
        assert_eq!(code, "yaml::syntax");
        // An anchor that is used again is another one from there on.
        let again = Plain::read("a: &a 1\nb: *a\nc: &a 2\nd: *a\n");
        assert_eq!(again, Plain::read("{a: 1, b: 1, c: 2, d: 2}"));
    }

    #[test]
    fn tags_are_understood_or_refused() {
        let text =
            "{a: !!str 1, b: !!int '1', c: ! 2, d: !!map {x: 1}, e: !!seq [1], f: !!bool 'yes'}";
        let plain = "{a: '1', b: 1, c: '2', d: {x: 1}, e: [1], f: yes}";
        assert_eq!(Plain::read(text), Plain::read(plain));
        for (text, name, place) in [
            ("a: !vault |\n  abc\n", "!vault", (1, 4)),
            ("a:\n  - !unsafe '{{ x }}'\n", "!unsafe", (2, 5)),
            ("a: !set {x: 1}\n", "!set", (1, 4)),
            ("a: !!binary aGVsbG8=\n", "!!binary", (1, 4)),
            ("a: !!python/object:os.system x\n", "!!python/object:os.system", (1, 4)),
        ] {
            let (code, message, found) = mistake(text).unwrap_or_else(|| panic!("{text:?} passed"));
            assert_eq!(code, "yaml::tag");
            assert_eq!(message, format!("the tag `{name}` is not understood"));
            assert_eq!(found.0, place.0, "{text:?}: {found:?}");
        }
    }

    #[test]
    fn json_and_what_editors_write_are_yaml() {
        let expected = Plain::read("{a: {b: [1, 'x', yes, null]}}");
        for text in [
            "{\"a\": {\"b\": [1, \"x\", true, null]}}",
            "{\n\t\"a\": {\n\t\t\"b\": [1, \"x\", true, null]\n\t}\n}\n",
            "\u{feff}a: {b: [1, x, yes, ~]}\n",
            "a:\r\n  b: [1, x, on, ~]\r\n",
            "---\na: {b: [1, x, yes, null]}\n...\n",
        ] {
            assert_eq!(Plain::read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn more_than_one_document_is_a_mistake() {
        for (text, line) in [("a: 1\n---\nb: 2\n", 3), ("---\n---\na: 1\n", 3), ("a: 1\n---\n", 3)]
        {
            let (code, _, place) = mistake(text).unwrap_or_else(|| panic!("{text:?} passed"));
            assert_eq!((code, place.0), ("yaml::documents", line), "{text:?}");
        }
    }

    #[test]
    fn many_keys_are_read_in_no_time() {
        let text: String = (0..20_000).map(|n| format!("k{n}: {n}\n")).collect();
        assert_eq!(read(&text).0.unwrap().entries().len(), 20_000);
    }

    #[test]
    fn an_empty_file_is_an_empty_mapping() {
        for text in ["---\n", "--- ~\n", "---\n...\n", "\n\n", "null\n", "{}"] {
            assert!(read(text).0.unwrap().is_empty(), "{text:?}");
            assert!(read(text).1.is_empty(), "{text:?}");
        }
        assert!(read("").0.unwrap().is_empty());
        assert!(read("# nothing\n").0.unwrap().is_empty());
    }
}
