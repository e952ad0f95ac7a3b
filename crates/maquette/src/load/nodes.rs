//! `--topology-nodes undercloud:1,controller:3`, or the same as a mapping in the project file.

use maquette_core::defaults::Kind;
use maquette_core::diagnostic::Diagnostic;
use maquette_core::syntax::{Entry, Node, Span, Value};
use maquette_core::topology::NodeRequest;

use super::{Reader, lookup};

/// Most nodes of one type; more is surely a slip.
const MOST: u32 = 100_000;

/// One part, before its file is looked up.
struct Part {
    name: String,
    name_span: Span,
    count: Option<u32>,
    count_span: Span,
}

/// Reads all node types that were asked for.
pub fn read(reader: &mut Reader<'_>, node: &Node) -> Vec<NodeRequest> {
    // How a count is written where this one is missing.
    let colon = if matches!(node.value, Value::Map(_)) { ": " } else { ":" };
    let parts = match &node.value {
        Value::Scalar(text, _) => parts_of_text(text, node.span),
        Value::Map(entries) => entries.iter().map(part_of_mapping).collect(),
        _ => {
            let expected = "`type:count,…` or a mapping of types to counts";
            reader.diags.push(maquette_core::decode::wrong_type(node, "`nodes`", expected));
            return Vec::new();
        }
    };
    let mut seen: Vec<(String, Span)> = Vec::new();
    let mut requests = Vec::new();
    for part in parts {
        if part.name.is_empty() {
            reader.diags.push(
                Diagnostic::error("topology::nodes", "a node type is missing here")
                    .at(part.name_span, "")
                    .help("write `type:count,type:count`"),
            );
            continue;
        }
        if let Some((_, first)) = seen.iter().find(|(name, _)| *name == part.name) {
            reader.diags.push(
                Diagnostic::error(
                    "topology::nodes",
                    format!("node type `{}` is asked for twice", part.name),
                )
                .at(part.name_span, "")
                .at(*first, "the first is here"),
            );
            continue;
        }
        seen.push((part.name.clone(), part.name_span));
        if part.count.is_none() {
            reader.diags.push(
                Diagnostic::error(
                    "topology::nodes",
                    format!("the number of nodes of type `{}` is missing", part.name),
                )
                .at(part.count_span, "a whole number belongs here")
                .help(format!("write `{}{colon}1`", part.name)),
            );
        }
        let found = lookup::find(reader, Kind::Nodes, &part.name, part.name_span);
        if let (Some(found), Some(count)) = (found, part.count) {
            requests.push(NodeRequest {
                file: found.name,
                path: found.path,
                tree: found.tree,
                count,
                span: part.name_span,
            });
        }
    }
    requests
}

fn part_of_mapping(entry: &Entry) -> Part {
    Part {
        name: entry.key.clone(),
        name_span: entry.key_span,
        count: match &entry.value.value {
            Value::Scalar(text, _) => count(text),
            _ => None,
        },
        count_span: entry.value.span,
    }
}

fn count(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|n| *n <= MOST)
}

/// Splits at commas, then each part at its last colon; blanks around either do not count.
fn parts_of_text(text: &str, span: Span) -> Vec<Part> {
    // A quoted scalar's place includes its quotes; pointing at the whole is then all one can do.
    let exact = (span.end - span.start) as usize == text.len();
    let mut parts = Vec::new();
    let mut at = 0;
    for piece in text.split(',') {
        let (name, number) = match piece.rsplit_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (piece, None),
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
            count_span,
        });
        at += piece.len() + 1;
    }
    parts
}
