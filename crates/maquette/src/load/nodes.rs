//! `--topology-nodes undercloud:1,controller:3`, or the same as a mapping in the project file, which may describe node
//! types as well.

use maquette_core::decode::{self, within, wrong_type};
use maquette_core::defaults::Kind;
use maquette_core::diagnostic::Diagnostic;
use maquette_core::syntax::{Entry, Span, Tree, Value};
use maquette_core::topology::{MOST_NODES, NodeRequest};
use maquette_core::values::NodeType;

use super::{Reader, lookup};

/// One part, before its file is looked up.
struct Part<'a> {
    name: String,
    name_span: Span,
    count: Option<u32>,
    /// What stands where the count belongs.
    written: Option<String>,
    count_span: Span,
    /// Its keys, if it is described in the project file.
    keys: Option<&'a Tree>,
}

/// Reads all node types that were asked for; `project` is what the project file says of nodes.
pub fn read(reader: &mut Reader<'_>, node: &Tree, project: Option<&Tree>) -> Vec<NodeRequest> {
    // How a count is written where this one is missing.
    let colon = if matches!(node.value, Value::Map(_)) { ": " } else { ":" };
    let mut parts = match &node.value {
        Value::Scalar(text, _) => parts_of_text(text, node.span),
        Value::Map(entries) => entries.iter().map(|e| part_of_mapping(reader, e)).collect(),
        _ => {
            let expected = "`type:count,…`, or a mapping of types to counts or to their keys";
            let error = wrong_type(node, "`nodes`", expected);
            reader.diags.push(error.help(decode::as_mapping(node, "nodes")));
            return Vec::new();
        }
    };
    // A flag may ask for other numbers of what the project file describes.
    let keys = |name: &str| project?.get(name).filter(|n| matches!(n.value, Value::Map(_)));
    parts.iter_mut().for_each(|part| part.keys = part.keys.or(keys(&part.name)));
    let mut seen: Vec<(String, Span)> = Vec::new();
    let mut requests = Vec::new();
    for part in parts {
        let first = seen.iter().find(|(name, _)| *name == part.name).map(|(_, span)| *span);
        let Err(mistake) = can_be(&part, first, colon) else {
            seen.push((part.name.clone(), part.name_span));
            requests.extend(request(reader, &part, requests.len()));
            continue;
        };
        reader.diags.push(mistake);
        // Another mistake in it is told, too.
        let is_one =
            !part.name.is_empty() && !part.name.contains(|c: char| c == '=' || c.is_whitespace());
        if part.count.is_none() && is_one {
            lookup::find(reader, Kind::Nodes, &part.name, part.name_span);
        }
    }
    requests
}

/// What is wrong with a part by itself; `first` is where its type was asked for before.
fn can_be(part: &Part<'_>, first: Option<Span>, colon: &str) -> Result<(), Diagnostic> {
    let mistake =
        |text: String, span, label| Diagnostic::error("topology::nodes", text).at(span, label);
    if part.name.is_empty() {
        let text = "a node type is missing here".to_string();
        return Err(mistake(text, part.name_span, "").help("write `type:count,type:count`"));
    }
    if let Some(first) = first {
        let text = format!("node type `{}` is asked for twice", part.name);
        return Err(mistake(text, part.name_span, "").at(first, "the first is here"));
    }
    if part.count.is_none() {
        let text = match part.written.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
            Some(text) => format!("`{text}` is not a number of nodes of type `{}`", part.name),
            None => format!("the number of nodes of type `{}` is missing", part.name),
        };
        return Err(mistake(text, part.count_span, "a whole number belongs here")
            .help(with_counts(&part.name, colon)));
    }
    Ok(())
}

/// How node types are written with their numbers; people write several with blanks between them.
fn with_counts(name: &str, colon: &str) -> String {
    let names = decode::pieces(name.split('=').next().unwrap_or_default());
    let [_, _, ..] = names.as_slice() else {
        return format!("write `{}{colon}1`", names.concat());
    };
    if names.iter().any(|name| name.parse::<NodeType>().is_err()) {
        return "write `type:count,type:count`".into();
    }
    let counted: Vec<String> = names.iter().map(|name| format!("{name}{colon}1")).collect();
    let described: Vec<String> = names.iter().map(|name| format!("{name}: {{}}")).collect();
    format!(
        "write `{}`; or `nodes: {{{}}}`, which describes them",
        counted.join(if colon == ":" { "," } else { ", " }),
        described.join(", ")
    )
}

/// A part with what is known of its type.
fn request(reader: &mut Reader<'_>, part: &Part<'_>, place: usize) -> Option<NodeRequest> {
    if let Some(keys) = part.keys {
        return Some(described(part, keys, place));
    }
    let (kind, count) = (Kind::Nodes, part.count.unwrap_or(1));
    let found = lookup::find_or_describe(reader, kind, &part.name, part.name_span, count)?;
    Some(NodeRequest {
        file: found.name,
        path: found.path,
        tree: found.tree,
        count: part.count?,
        span: part.name_span,
        described: false,
    })
}

/// A node type that the project file describes. Those of files come first, then these as they are written.
fn described(part: &Part<'_>, keys: &Tree, place: usize) -> NodeRequest {
    let mut tree = keys.clone();
    if let Value::Map(entries) = &mut tree.value {
        entries.retain(|e| e.key != "count");
    }
    NodeRequest {
        file: part.name.clone(),
        path: format!("nodes/{place:05}/{}", part.name),
        tree,
        count: part.count.unwrap_or(0),
        span: part.name_span,
        described: true,
    }
}

/// A type with its number of nodes, or with its keys, of which one is the number.
fn part_of_mapping<'a>(reader: &mut Reader<'_>, entry: &'a Entry) -> Part<'a> {
    let mut part = Part {
        name: entry.key.clone(),
        name_span: entry.key_span,
        count: None,
        written: None,
        count_span: entry.value.span,
        keys: None,
    };
    match &entry.value.value {
        Value::Scalar(text, _) => {
            part.count = count(text);
            part.written = Some(text.clone());
        }
        Value::Map(_) => {
            let most = u64::from(MOST_NODES);
            let given = entry.value.get("count").filter(|n| n.value != Value::Null);
            let number = given.map(|n| within(n, "count", 0..=most, "", &mut reader.diags));
            // A number that is wrong has been reported.
            part.count = Some(number.unwrap_or(Some(1)).unwrap_or(0) as u32);
            part.keys = Some(&entry.value);
        }
        _ => {}
    }
    part
}

fn count(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|n| *n <= MOST_NODES)
}

/// Splits at commas, then each part at its last colon; blanks around either do not count.
fn parts_of_text<'a>(text: &str, span: Span) -> Vec<Part<'a>> {
    // A quoted scalar's place includes its quotes; pointing at the whole is then all one can do.
    let exact = (span.end - span.start) as usize == text.len();
    let mut parts = Vec::new();
    let mut at = 0;
    let pieces: Vec<&str> = text.split([',', ';']).collect();
    for (index, piece) in pieces.iter().enumerate() {
        // A comma at the end asks for nothing.
        if index > 0 && index + 1 == pieces.len() && piece.trim().is_empty() {
            continue;
        }
        // Old answers files have `type=count;type=count`.
        let (name, number) = match piece.rsplit_once([':', '=']) {
            Some((name, number)) => (name, Some(number)),
            None => (*piece, None),
        };
        let place = |from: usize, part: &str| {
            if !exact {
                return span;
            }
            let blank = part.len() - part.trim_start().len();
            let start = span.start + (from + blank) as u32;
            Span { start, end: start + part.trim().len() as u32, ..span }
        };
        let name_span = place(at, name);
        let count_span = match number {
            Some(number) => place(at + name.len() + 1, number),
            None => name_span,
        };
        parts.push(Part {
            name: name.trim().into(),
            name_span,
            count: number.and_then(count),
            written: number.map(String::from),
            count_span,
            keys: None,
        });
        at += piece.len() + 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use maquette_core::syntax::Sources;

    use super::*;

    #[test]
    fn types_and_counts_are_told_apart_as_older_answers_files_wrote_them() {
        for text in [
            "undercloud:1,controller:3",
            "undercloud=1;controller=3",
            "undercloud=1;controller=3;",
            "undercloud=1,controller:3,",
            " undercloud = 1 ; controller : 3",
        ] {
            let mut sources = Sources::default();
            let id = sources.add("--topology-nodes", text);
            let parts = parts_of_text(text, sources.whole(id));
            let found: Vec<_> = parts.iter().map(|p| (p.name.as_str(), p.count)).collect();
            assert_eq!(found, [("undercloud", Some(1)), ("controller", Some(3))], "{text}");
            for part in &parts {
                assert_eq!(sources.text(part.name_span), part.name, "{text}");
                let number = part.count.unwrap().to_string();
                assert_eq!(sources.text(part.count_span), number, "{text}");
            }
        }
    }
}
