//! Reading YAML: the library's nodes become ours.

use std::collections::BTreeMap;

use saphyr::{MarkedYaml, YamlData, YamlLoader};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::{Entry, Node, Plain, SourceId, Sources, Span, Value};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Deepest nesting that is read; topology files use five.
const MAX_DEPTH: usize = 64;

/// Reads one YAML document. An empty document is an empty mapping.
///
/// Duplicate keys and alias bombs are errors; merge keys (`<<`) are expanded, with the keys written
/// out winning over merged ones.
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

impl Plain {
    /// Reads a YAML document; an empty one is an empty mapping.
    pub fn read(text: &str) -> Result<Self, String> {
        match plain(text)? {
            Self::Null => Ok(Self::map()),
            other => Ok(other),
        }
    }
}

/// Reads one YAML document into values without places.
fn plain(text: &str) -> Result<Plain, String> {
    if let Some(place) = too_deep(text) {
        return Err(format!("line {}: the file is nested too deeply", place.line()));
    }
    let documents = load(text).map_err(|e| {
        let line = e.marker().line();
        format!("line {line}: this is not YAML: {}", e.info())
    })?;
    match documents.as_slice() {
        [] => Ok(Plain::Null),
        [one] => plain_node(one, 0),
        _ => Err("the file holds more than one document".into()),
    }
}

fn plain_node(yaml: &MarkedYaml<'_>, depth: usize) -> Result<Plain, String> {
    if depth > MAX_DEPTH {
        return Err("the file is nested too deeply".into());
    }
    Ok(match &yaml.data {
        YamlData::Representation(text, ScalarStyle::Plain, _) => Plain::scalar(text),
        YamlData::Representation(text, _, _) => Plain::text(text.as_ref()),
        YamlData::Value(_) | YamlData::Alias(_) | YamlData::BadValue => Plain::Null,
        YamlData::Tagged(_, inner) => plain_node(inner, depth + 1)?,
        YamlData::Sequence(list) => {
            Plain::List(list.iter().map(|n| plain_node(n, depth + 1)).collect::<Result<_, _>>()?)
        }
        YamlData::Mapping(map) => {
            let mut written = Plain::map();
            let mut merged = Plain::map();
            for (key, value) in map {
                let YamlData::Representation(name, _, _) = &key.data else {
                    return Err(format!(
                        "line {}: a key must be a single word",
                        key.span.start.line()
                    ));
                };
                let value = plain_node(value, depth + 1)?;
                match (name.as_ref(), value) {
                    ("<<", Plain::List(all)) => all.into_iter().for_each(|one| merged.merge(one)),
                    ("<<", one) => merged.merge(one),
                    (name, value) => *written.place(&[name])? = value,
                }
            }
            // What is written out replaces what is merged in, key by key.
            match (&mut merged, written) {
                (Plain::Map(into), Plain::Map(from)) => into.extend(from),
                (into, from) => *into = from,
            }
            merged
        }
    })
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
            YamlData::Representation(text, style, _) => scalar(text, *style),
            YamlData::Value(_) | YamlData::Alias(_) | YamlData::BadValue => Value::Null,
            YamlData::Tagged(_, inner) => return self.node(inner, depth + 1, diags),
            YamlData::Sequence(list) => {
                Value::List(list.iter().filter_map(|n| self.node(n, depth + 1, diags)).collect())
            }
            YamlData::Mapping(map) => {
                let mut entries = Vec::new();
                let mut merged = Vec::new();
                for (key, value) in map {
                    let key_span = self.span(key);
                    let Some(name) = self.key(key, diags) else { continue };
                    let Some(value) = self.node(value, depth + 1, diags) else { continue };
                    if name == "<<" {
                        merged.push(value);
                    } else {
                        entries.push(Entry { key: name, key_span, value });
                    }
                }
                merge_keys(&mut entries, merged);
                Value::Map(entries)
            }
        };
        Some(Node { value, span })
    }

    fn key(&self, key: &MarkedYaml<'_>, diags: &mut Diagnostics) -> Option<String> {
        match &key.data {
            YamlData::Representation(text, _, _) => Some(text.to_string()),
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

fn scalar(text: &str, style: ScalarStyle) -> Value {
    let plain = style == ScalarStyle::Plain;
    match text {
        "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
        _ => Value::Scalar(text.to_string()),
    }
}

/// YAML 1.1 merge keys: <https://yaml.org/type/merge.html>.
fn merge_keys(entries: &mut Vec<Entry>, merged: Vec<Node>) {
    let sources = merged.into_iter().flat_map(|node| match node.value {
        Value::List(list) => list,
        _ => vec![node],
    });
    for source in sources {
        if let Value::Map(extra) = source.value {
            for entry in extra {
                if !entries.iter().any(|e| e.key == entry.key) {
                    entries.push(entry);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(b.get("x").unwrap().value, Value::Scalar("1".into()));
        assert_eq!(b.get("y").unwrap().value, Value::Scalar("3".into()));
    }

    #[test]
    fn mistakes_have_places() {
        for (text, line) in
            [("a: 1\na: 2\n", 2), ("a:\n\tb: 1\n", 2), ("a: {{ net }}\n", 1), ("a: [1\n", 2)]
        {
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
