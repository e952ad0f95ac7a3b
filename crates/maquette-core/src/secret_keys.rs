//! Keys of node types whose values may have passwords in them, and the lines that these are on: of a mistake there the place
//! is shown, and neither line nor value. And trees of settings without what is secret in them.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::diagnostic::{Diagnostic, Diagnostics, slip};
use crate::file_keys::own_word;
use crate::image::redact;
use crate::scrub::{is_secret_name, scrub};
use crate::syntax::{Plain, SourceId, Sources, Span, Tree, Value, parse};

/// These keys.
const KEYS: [&str; 3] = ["commands", "files", "user_data"];

/// No word that is meant for one of them is longer.
const LONGEST: usize = 16;

/// Whether a key is one of them, misspelt ones and words of other tools among them.
pub fn is_secret(key: &str) -> bool {
    if key.len() > LONGEST {
        return false;
    }
    let key = key.to_lowercase().replace('-', "_");
    // `provision` is where InfraRed's settings are.
    let word = || own_word(&key, &KEYS).filter(|_| key != "provision");
    KEYS.contains(&key.as_str()) || slip(&key, KEYS).is_some() || word().is_some()
}

/// Marks the places of all values below such keys of a tree.
pub fn mark(tree: &mut Tree) {
    each(tree, &mut |value| hide(value));
}

fn each(tree: &mut Tree, found: &mut dyn FnMut(&mut Tree)) {
    match &mut tree.value {
        Value::Null | Value::Scalar(..) => {}
        Value::List(items) => items.iter_mut().for_each(|item| each(item, found)),
        Value::Map(entries) => {
            for entry in entries {
                match is_secret(&entry.key) {
                    true => found(&mut entry.value),
                    false => each(&mut entry.value, found),
                }
            }
        }
    }
}

fn hide(node: &mut Tree) {
    node.span.secret = true;
    match &mut node.value {
        Value::Null | Value::Scalar(..) => {}
        Value::List(items) => items.iter_mut().for_each(hide),
        Value::Map(entries) => {
            for entry in entries {
                entry.key_span.secret = true;
                hide(&mut entry.value);
            }
        }
    }
}

/// Settings as expressions see them: node and network files may be a stranger's, and write what they see to where anybody
/// reads it. What is named like a secret is left out, and addresses are without credentials.
pub fn for_strangers(settings: &Plain) -> Plain {
    without(settings, None)
}

/// Settings as they are shown, with `mask` for each secret.
pub fn masked(settings: &Plain, mask: &str) -> Plain {
    without(settings, Some(mask))
}

fn without(tree: &Plain, mask: Option<&str>) -> Plain {
    match tree {
        Plain::Map(map) => {
            let shown = map.iter().filter_map(|(key, value)| match (is_secret_name(key), mask) {
                (true, None) => None,
                (true, Some(mask)) => Some((key.clone(), Plain::text(mask))),
                (false, _) => Some((key.clone(), without(value, mask))),
            });
            Plain::Map(shown.collect())
        }
        Plain::List(items) => Plain::List(items.iter().map(|item| without(item, mask)).collect()),
        Plain::Text(text) => Plain::text(scrub(&address(text), &[])),
        other => other.clone(),
    }
}

/// A text without what is secret in the address in it.
fn address(text: &str) -> String {
    match text.matches("://").count() {
        0 | 1 => redact(text),
        // Where one ends and the next begins is anybody's guess: a password has any character.
        _ => text.split_once("://").map_or_else(String::new, |(begin, _)| format!("{begin}://***")),
    }
}

/// Lines that are not shown, of the texts that mistakes are in.
#[derive(Debug, Default)]
pub struct SecretLines {
    bytes: BTreeMap<SourceId, Vec<Range<usize>>>,
}

impl SecretLines {
    /// Those of all texts that some mistakes are in.
    pub fn of(diagnostics: &Diagnostics, sources: &Sources) -> Self {
        let mut bytes = BTreeMap::new();
        for label in diagnostics.iter().flat_map(|d| &d.labels) {
            let id = label.span.source;
            bytes.entry(id).or_insert_with(|| secret_bytes(sources, id));
        }
        Self { bytes }
    }

    /// Whether the lines that a mistake is shown with have any of these among or between them.
    pub fn are_shown_by(&self, diagnostic: &Diagnostic, sources: &Sources) -> bool {
        if diagnostic.secret {
            return true;
        }
        let mut shown: BTreeMap<SourceId, Range<usize>> = BTreeMap::new();
        for span in diagnostic.labels.iter().map(|label| label.span) {
            let text = &sources.get(span.source).text;
            let start = (span.start as usize).min(text.len());
            let line = lines(text, start..start);
            let all = shown.entry(span.source).or_insert_with(|| line.clone());
            *all = all.start.min(line.start)..all.end.max(line.end);
        }
        shown.iter().any(|(id, shown)| {
            let secret = self.bytes.get(id).map_or(&[][..], Vec::as_slice);
            secret.iter().any(|s| s.start <= shown.end && shown.start <= s.end)
        })
    }
}

/// The bytes of the lines of one text that may have passwords in them.
fn secret_bytes(sources: &Sources, id: SourceId) -> Vec<Range<usize>> {
    let source = sources.get(id);
    let text = source.text.as_str();
    if source.secret {
        let whole = 0..text.len();
        return vec![whole];
    }
    let mut mistakes = Diagnostics::default();
    let mut found: Vec<Range<usize>> = Vec::new();
    if let Some(mut tree) = parse(sources, id, &mut mistakes) {
        let mut note = |span: Span| {
            let end = (span.end as usize).min(text.len());
            let start = (span.start as usize).min(end);
            // A block ends where the next one begins.
            let end = start + text.get(start..end).map_or(0, |part| part.trim_end().len());
            found.push(lines(text, start..end));
        };
        each(&mut tree, &mut |value| places(value, &mut note));
        // Text that is not a mapping may have keys in it all the same.
        if mistakes.is_empty() && matches!(tree.value, Value::Map(_)) {
            return found;
        }
    }
    // Where the text is not understood, nobody knows where a value ends.
    if let Some(first) = first_mention(text) {
        found.push(first..text.len());
    }
    found
}

/// All places of a value, for it may be written elsewhere than below its key.
fn places(node: &Tree, note: &mut dyn FnMut(Span)) {
    note(node.span);
    match &node.value {
        Value::Null | Value::Scalar(..) => {}
        Value::List(items) => items.iter().for_each(|item| places(item, note)),
        Value::Map(entries) => {
            for entry in entries {
                note(entry.key_span);
                places(&entry.value, note);
            }
        }
    }
}

/// The same bytes with all that is on the same lines.
fn lines(text: &str, bytes: Range<usize>) -> Range<usize> {
    let before = text.get(..bytes.start).and_then(|part| part.rfind('\n'));
    let after = text.get(bytes.end..).and_then(|part| part.find('\n'));
    before.map_or(0, |at| at + 1)..after.map_or(text.len(), |at| bytes.end + at)
}

/// Where the first line begins that has such a key.
fn first_mention(text: &str) -> Option<usize> {
    let part = |c: char| !(c.is_alphanumeric() || c == '_' || c == '-');
    let is_key = |before: &str| {
        let before = before.trim_end().trim_end_matches(['"', '\'']);
        before.rsplit(part).next().is_some_and(is_secret)
    };
    let mut keys = text.match_indices(':').map(|(at, _)| at);
    let at = keys.find(|at| is_key(text.get(..*at).unwrap_or_default()))?;
    Some(lines(text, at..at).start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_meant_for_these_are_secret_too() {
        for (key, secret) in [
            ("commands", true),
            ("command", true),
            ("user-data", true),
            ("runcmd", true),
            ("write_files", true),
            ("file", true),
            ("memory", false),
            ("provision", false),
            ("nodes", false),
            ("disks", false),
            ("filter_rules_of_some_kind", false),
        ] {
            assert_eq!(is_secret(key), secret, "{key}");
        }
    }

    #[test]
    fn secrets_are_in_no_setting_that_others_see_however_deep_it_is() {
        let tree = "{vnc: {password: s3, port: 1}, tokens: {a: s3}, users: [{name: a, password: s3}, [s3x]], \
                    url: 'https://me:s3@h/x?sig=s3', more: ['https://me:s3@h/x?sig=s3', 'a --password s3 b'], \
                    both: 'https://a,https://me:s3,s3@h/x', prefix: x}";
        let tree = Plain::read(tree).unwrap();
        let shown = "{vnc: {port: 1}, users: [{name: a}, [s3x]], url: 'https://***@h/x?***', \
                     more: ['https://***@h/x?***', 'a --password *** b'], both: 'https://***', prefix: x}";
        assert_eq!(for_strangers(&tree), Plain::read(shown).unwrap());
        let shown = "{vnc: {password: '#', port: 1}, tokens: '#', users: [{name: a, password: '#'}, [s3x]], \
                     url: 'https://***@h/x?***', more: ['https://***@h/x?***', 'a --password *** b'], \
                     both: 'https://***', prefix: x}";
        assert_eq!(masked(&tree, "#"), Plain::read(shown).unwrap());
    }

    /// Lines of a text that a mistake in them is not shown with.
    fn hidden(text: &str) -> Vec<usize> {
        let mut sources = Sources::default();
        let source = sources.add("t.yml", text);
        let is_hidden = |line: usize| {
            let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
            let start = u32::try_from(start).unwrap();
            let span = Span { source, start, end: start + 1, secret: false };
            let mistake = Diagnostic::error("a::b", "c").at(span, "");
            let mut diags = Diagnostics::default();
            diags.push(mistake.clone());
            SecretLines::of(&diags, &sources).are_shown_by(&mistake, &sources)
        };
        (0..text.lines().count()).filter(|line| is_hidden(*line)).map(|line| line + 1).collect()
    }

    #[test]
    fn lines_of_their_values_are_not_shown_and_others_are() {
        for (text, expected) in [
            ("cpu: 1\ncommands:\n  - a\n  - |\n    b\n    c\nmemory: 2\n", &[3, 4, 5, 6][..]),
            (
                "cpu: 1\nfiles:\n  /etc/x:\n    content: >\n      b\n    mode: 9\nmemory: 2\n",
                &[3, 4, 5, 6],
            ),
            ("a: {cpu: 1, user_data: {b: c}}\nmemory: 2\n", &[1]),
            ("nodes:\n  web:\n    commands: [a,\n      b]\n    cpu: 1\n", &[3, 4]),
            // Written elsewhere; the line that names it may have more.
            ("x-a: &a\n  - b\ncpu: 1\ncommands: *a\n", &[2, 4]),
            ("cpu: 1\ncommand: [a]\n", &[2]),
            ("user_data: a.yaml\ncpu: 1\n", &[1]),
            // Text that cannot be read.
            ("cpu: 1\n\"commands\" : [a\nmemory: 2\n", &[2, 3]),
            ("cpu: 1\ncpu: 2\ncommands: [a]\ncommands: [b]\n", &[3, 4]),
            ("cpu: [1\nmemory: 2\n", &[]),
            ("override={web: {commands: [a]}}", &[1]),
        ] {
            assert_eq!(hidden(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_between_two_places_are_shown_with_them() {
        let mut sources = Sources::default();
        let source = sources.add("t.yml", "a: 1\ncommands: [b]\nc: 2\n");
        let at = |start| Span { source, start, end: start + 1, secret: false };
        let mut diags = Diagnostics::default();
        diags.push(Diagnostic::error("a::b", "c").at(at(0), "").at(at(19), ""));
        diags.push(Diagnostic::error("a::b", "c").at(at(0), ""));
        let lines = SecretLines::of(&diags, &sources);
        let shown: Vec<bool> = diags.iter().map(|d| lines.are_shown_by(d, &sources)).collect();
        assert_eq!(shown, [true, false]);
    }
}
