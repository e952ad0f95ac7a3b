//! Reading YAML: the library's nodes become ours.

use std::collections::BTreeMap;

use saphyr::{AnnotatedMapping, MarkedYaml, YamlData, YamlLoader};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::{Entry, Node, SourceId, Sources, Span, Style, Value};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Deepest nesting that is read; topology files use five.
const MAX_DEPTH: usize = 64;

/// Reads one YAML document. An empty document is an empty mapping.
///
/// Duplicate keys and alias bombs are errors. Merge keys are those of YAML 1.1
/// (<https://yaml.org/type/merge.html>), as PyYAML reads them: keys written out win over merged ones, of
/// several mappings (`<<: [*a, *b]`) the first that has a key wins, values are taken whole, and a quoted
/// `"<<"` is a key like any other.
pub fn parse(sources: &Sources, id: SourceId, diags: &mut Diagnostics) -> Option<Node> {
    let text = &sources.get(id).text;
    let offsets = Offsets::new(text);
    let reader = Reader { id, offsets: &offsets };
    if let Some(place) = too_deep(text) {
        let start = offsets.byte(place.index());
        let span = Span { source: id, start, end: start };
        diags.push(Diagnostic::error("yaml::depth", "the file is nested too deeply").at(span, ""));
        return None;
    }
    match load(text) {
        Err(error) => {
            diags.push(syntax_error(&reader, text, &error));
            None
        }
        Ok(documents) => match documents.as_slice() {
            [] => Some(Node::empty_map(sources.whole(id))),
            [one] => reader.node(one, 0, diags).map(|node| match node.value {
                Value::Null => Node::empty_map(node.span),
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

/// Where a document nests deeper than is read. The loader calls itself for each level and for each
/// alias copies what it stands for, so this has to be known before it is asked.
fn too_deep(text: &str) -> Option<Marker> {
    // Levels below each anchor, and below what is open; an anchor of 0 is none.
    let mut below: BTreeMap<usize, usize> = BTreeMap::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.ok()?;
        let levels = match event {
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                open.push((anchor, 0));
                0
            }
            Event::Alias(anchor) => below.get(&anchor).copied().unwrap_or(0),
            Event::SequenceEnd | Event::MappingEnd => {
                let (anchor, inner) = open.pop()?;
                below.insert(anchor, inner + 1);
                inner + 1
            }
            _ => 0,
        };
        if open.len() + levels > MAX_DEPTH {
            return Some(span.start);
        }
        if let Some((_, inner)) = open.last_mut() {
            *inner = levels.max(*inner);
        }
    }
    None
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
    let span = Span { source: reader.id, start, end: end as u32 };
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
}

impl Reader<'_> {
    fn span(&self, yaml: &MarkedYaml<'_>) -> Span {
        let start = self.offsets.byte(yaml.span.start.index());
        let end = self.offsets.byte(yaml.span.end.index()).max(start);
        Span { source: self.id, start, end }
    }

    fn node(&self, yaml: &MarkedYaml<'_>, depth: usize, diags: &mut Diagnostics) -> Option<Node> {
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
        Some(Node { value, span })
    }

    fn entries<'a>(
        &self,
        map: &AnnotatedMapping<'a, MarkedYaml<'a>>,
        depth: usize,
        diags: &mut Diagnostics,
    ) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        for (key, value) in map {
            let key_span = self.span(key);
            let Some((name, form)) = self.key(key, diags) else { continue };
            let Some(value) = self.node(value, depth + 1, diags) else { continue };
            if name == "<<" && form == Style::Bare {
                merged.extend(mappings(value, diags));
            } else if let Some(first) = entries.iter().find(|e| e.key == name) {
                // The library takes `a` and `"a"` for two keys.
                diags.push(
                    Diagnostic::error("yaml::duplicate", format!("`{name}` is here twice"))
                        .at(key_span, "again here")
                        .at(first.key_span, "first here"),
                );
            } else {
                entries.push(Entry { key: name, key_span, value });
            }
        }
        for entry in merged {
            if !entries.iter().any(|e| e.key == entry.key) {
                entries.push(entry);
            }
        }
        entries
    }

    fn key(&self, key: &MarkedYaml<'_>, diags: &mut Diagnostics) -> Option<(String, Style)> {
        match &key.data {
            YamlData::Representation(text, form, tag) => {
                Some((text.to_string(), style(*form, tag.as_deref())))
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

fn style(form: ScalarStyle, tag: Option<&Tag>) -> Style {
    let text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if form == ScalarStyle::Plain && !text { Style::Bare } else { Style::Text }
}

fn scalar(text: &str, style: Style) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" if style == Style::Bare => Value::Null,
        _ => Value::Scalar(text.to_string(), style),
    }
}

/// All that a merge key brings, in the order in which it wins.
fn mappings(value: Node, diags: &mut Diagnostics) -> Vec<Entry> {
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

    fn read(text: &str) -> (Option<Node>, Diagnostics, Sources) {
        let mut sources = Sources::default();
        let id = sources.add("t.yml", text);
        let mut diags = Diagnostics::default();
        let node = parse(&sources, id, &mut diags);
        (node, diags, sources)
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
        ] {
            let (_, diags, _) = read(text);
            let first = diags.iter().next().unwrap_or_else(|| panic!("{text:?} passed"));
            assert_eq!(first.code, "yaml::merge");
            assert!(first.message.ends_with(&format!("not {kind}")), "{first:?}");
        }
        let (_, diags, _) = read("a: &a {x: 1}\nb: {<<: *a, <<: *a}\n");
        assert!(diags.has_errors(), "a merge key twice is a key twice");
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

    #[test]
    fn an_empty_file_is_an_empty_mapping() {
        assert!(read("").0.unwrap().is_empty());
        assert!(read("# nothing\n").0.unwrap().is_empty());
    }
}
