//! What a document may be, found out before the YAML library loads it: the library calls itself for each
//! level, copies what an alias stands for, and drops tags that it does not know.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::scalar::quoted;
use crate::diagnostic::Diagnostic;

/// Deepest nesting that is read; topology files use five.
pub(super) const MAX_DEPTH: usize = 64;

/// Most bytes that anchors and aliases may add to a document.
const MAX_COPIED: usize = 16 << 20;

/// What a node takes besides its text, in bytes, at least.
const NODE: usize = 64;

/// Tags of YAML's core schema, and of merge keys, that are understood.
const TAGS: [&str; 8] = ["str", "int", "float", "bool", "null", "seq", "map", "merge"];

/// What a node is, with all that is below it.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    levels: usize,
    bytes: usize,
}

/// The key that merges.
pub(super) const MERGE: &str = "<<";

/// Where a mapping has a merge key again: the places of these keys, in characters.
pub(super) fn merged_again(text: &str) -> BTreeSet<usize> {
    let mut places = BTreeSet::new();
    // Of each collection around a node, how many nodes of a mapping there were, and whether one was a merge key.
    let mut open: Vec<(Option<usize>, bool)> = Vec::new();
    if text.matches(MERGE).count() < 2 {
        return places;
    }
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        let is_merge = match &event {
            Event::Scalar(text, ScalarStyle::Plain, _, tag) => {
                *text == MERGE && tag.as_ref().is_none_or(|tag| tag.suffix == "merge")
            }
            _ => false,
        };
        match event {
            Event::MappingEnd | Event::SequenceEnd => drop(open.pop()),
            Event::MappingStart(..)
            | Event::SequenceStart(..)
            | Event::Scalar(..)
            | Event::Alias(_) => {}
            _ => continue,
        }
        match event {
            Event::MappingStart(..) => open.push((Some(0), false)),
            Event::SequenceStart(..) => open.push((None, false)),
            // A collection counts once it is over.
            _ => {
                let Some((Some(count), has_merge)) = open.last_mut() else { continue };
                if is_merge && *count % 2 == 0 && std::mem::replace(has_merge, true) {
                    places.insert(span.start.index());
                }
                *count += 1;
            }
        }
    }
    places
}

/// Plain keys that their mapping has already: their places, in characters, and what they are called.
pub(super) fn keys_again(text: &str) -> BTreeMap<usize, String> {
    let mut places = BTreeMap::new();
    // Of each collection around a node, how many nodes of a mapping there were, and the keys among them.
    let mut open: Vec<(Option<usize>, BTreeSet<String>)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        match &event {
            Event::MappingEnd | Event::SequenceEnd => drop(open.pop()),
            Event::Scalar(..) | Event::Alias(_) => {}
            Event::MappingStart(..) => {
                open.push((Some(0), BTreeSet::new()));
                continue;
            }
            Event::SequenceStart(..) => {
                open.push((None, BTreeSet::new()));
                continue;
            }
            _ => continue,
        }
        // A collection counts once it is over.
        let Some((Some(count), keys)) = open.last_mut() else { continue };
        if let Event::Scalar(key, ScalarStyle::Plain, 0, None) = &event
            && *count % 2 == 0
            && *key != MERGE
            && !keys.insert(key.to_string())
        {
            places.insert(span.start.index(), key.to_string());
        }
        *count += 1;
    }
    places
}

/// Characters of a key before its colon: YAML's own limit for keys that are not marked with `?`, as we write none.
/// <https://yaml.org/spec/1.2.2/#742-flow-mappings>
const LONGEST_KEY: usize = 1024;

/// Why a key is not read: it could not be written again, with its quotes and what stands for characters that are none to print.
pub(super) fn long_key(key: &str) -> Option<Diagnostic> {
    let length = quoted(key).chars().count();
    let message = format!("a key takes {length} characters, and YAML takes {LONGEST_KEY} at most");
    (length > LONGEST_KEY).then(|| Diagnostic::error("yaml::key", message))
}

/// Why a document is not read, and where.
pub(super) fn refusal(text: &str) -> Option<(Diagnostic, Span)> {
    let mut anchored: BTreeMap<usize, Size> = BTreeMap::new();
    let mut open: Vec<(usize, Size)> = Vec::new();
    let mut copied = 0usize;
    for event in Parser::new_from_str(text) {
        // What is not YAML is the loader's to say.
        let (event, span) = event.ok()?;
        if let Some(diagnostic) = tag(&event).and_then(foreign) {
            return Some((diagnostic, span));
        }
        // An anchor of 0 stands for none; the library copies what has one.
        let (size, copy) = match event {
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                open.push((anchor, Size::default()));
                (Size::default(), false)
            }
            Event::Scalar(text, _, anchor, _) => {
                let size = Size { levels: 0, bytes: NODE + text.len() };
                anchored.insert(anchor, size);
                (size, anchor > 0)
            }
            Event::Alias(anchor) if open.iter().any(|(above, _)| *above == anchor) => {
                let message = "an alias refers to a value that contains the alias";
                return Some((Diagnostic::error("yaml::alias", message), span));
            }
            Event::Alias(anchor) => (anchored.get(&anchor).copied().unwrap_or_default(), true),
            Event::SequenceEnd | Event::MappingEnd => {
                let (anchor, inner) = open.pop()?;
                let size =
                    Size { levels: inner.levels + 1, bytes: inner.bytes.saturating_add(NODE) };
                anchored.insert(anchor, size);
                (size, anchor > 0)
            }
            _ => continue,
        };
        if open.len() + size.levels > MAX_DEPTH {
            return Some((Diagnostic::error("yaml::depth", "the file is nested too deeply"), span));
        }
        if copy {
            copied = copied.saturating_add(size.bytes);
        }
        if copied > MAX_COPIED {
            let message = format!("aliases make more than {} MiB of this", MAX_COPIED >> 20);
            return Some((Diagnostic::error("yaml::alias", message), span));
        }
        if let Some((_, above)) = open.last_mut() {
            above.levels = above.levels.max(size.levels);
            above.bytes = above.bytes.saturating_add(size.bytes);
        }
    }
    None
}

fn tag<'a>(event: &'a Event<'_>) -> Option<&'a Tag> {
    match event {
        Event::Scalar(_, _, _, tag)
        | Event::SequenceStart(_, tag)
        | Event::MappingStart(_, tag) => tag.as_deref(),
        _ => None,
    }
}

/// A tag whose meaning is not known: without it, `!vault` would be the cipher text itself.
fn foreign(tag: &Tag) -> Option<Diagnostic> {
    let core = tag.is_yaml_core_schema();
    let lone = tag.handle.is_empty() && tag.suffix == "!";
    if lone || core && TAGS.contains(&tag.suffix.as_str()) {
        return None;
    }
    let handle = if core { "!!" } else { &tag.handle };
    let message = format!("the tag `{handle}{}` is not understood", tag.suffix);
    let error = Diagnostic::error("yaml::tag", message);
    Some(error.help("write the value itself; of tags only YAML's own, such as `!!str`, are read"))
}
