//! A located tree as YAML, in the order in which it was written.

use saphyr::{Mapping, Scalar, ScalarStyle, Yaml, YamlEmitter};

use super::{Style, Tree, Value, scalar};

/// As YAML in block style. What was written as text stays text.
pub fn written(node: &Tree) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = YamlEmitter::new(&mut text).dump(&document(node));
    let body = text.strip_prefix("---\n").unwrap_or(&text);
    format!("{}\n", body.trim_end_matches('\n'))
}

fn document(node: &Tree) -> Yaml<'_> {
    match &node.value {
        Value::Null => Yaml::Value(Scalar::Null),
        Value::Scalar(text, style) => word(text, *style),
        Value::List(items) => Yaml::Sequence(items.iter().map(document).collect()),
        Value::Map(entries) => {
            let mut out = Mapping::new();
            for entry in entries {
                out.insert(scalar::document(&entry.key), document(&entry.value));
            }
            Yaml::Mapping(out)
        }
    }
}

/// A word that was written bare is written so again: it may be a truth value to one reader and a name to another.
fn word(text: &str, style: Style) -> Yaml<'_> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let begins =
        text.starts_with(|c: char| c.is_ascii_alphanumeric()) || text.parse::<f64>().is_ok();
    // Text that this program has made is bare, too.
    let is_nothing = text.eq_ignore_ascii_case("null");
    match style == Style::Bare && begins && !is_nothing && text.chars().all(is_word) {
        true => Yaml::Representation(text.into(), ScalarStyle::Plain, None),
        false => scalar::document(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::syntax::{Plain, Sources, parse};

    /// A fuzz target found one that grew as it was written, and was not read again.
    #[test]
    fn keys_that_could_not_be_read_again_are_not_read_at_all() {
        let read = |key: &str| {
            let mut sources = Sources::default();
            let id = sources.add("t", format!("? \"{key}\"\n: 1\n"));
            let mut diags = Diagnostics::default();
            let tree = parse(&sources, id, &mut diags);
            tree.filter(|_| !diags.has_errors())
        };
        for unit in ["a", "\\\"", "\\\\", "\\x06", "\\n", "\\u0085", "\\u2028", "\u{e9}"] {
            let longest = (1..1100).rev().find(|n| read(&unit.repeat(*n)).is_some()).unwrap();
            let tree = read(&unit.repeat(longest)).unwrap();
            let text = written(&tree);
            let mut sources = Sources::default();
            let id = sources.add("t", &text);
            let mut diags = Diagnostics::default();
            let again = parse(&sources, id, &mut diags).filter(|_| !diags.has_errors());
            let again = again.unwrap_or_else(|| panic!("{longest} times {unit}"));
            assert_eq!(again.entries()[0].key, tree.entries()[0].key);
        }
    }

    /// A fuzz target found one: a node type may be called `no`, which was written `false`.
    #[test]
    fn words_stay_the_words_that_they_were() {
        let text = "a: no\nb: Yes\nc: 012\nd: 1.50\ne: 2026-11-30\nf: \"no\"\ng: \"012\"\nh: -5\ni: -1.5\nj: .5\n\
                    k: \"a\u{3000}\"\n";
        let mut sources = Sources::default();
        let id = sources.add("t", text);
        let tree = parse(&sources, id, &mut Diagnostics::default()).unwrap();
        let words = |tree: &Tree| {
            let entries = tree.entries().iter();
            entries.map(|e| e.value.value.clone()).collect::<Vec<_>>()
        };
        let written = written(&tree);
        assert!(
            written.starts_with("a: no\nb: Yes\nc: 012\nd: 1.50\ne: 2026-11-30\n"),
            "{written}"
        );
        let id = sources.add("again", &written);
        let again = parse(&sources, id, &mut Diagnostics::default()).unwrap();
        let (known, read) = (words(&tree), words(&again));
        assert_eq!(known[..10], read[..10], "{written}");
        let Value::Scalar(last, _) = &read[10] else { panic!("{written}") };
        assert_eq!(last, "a\u{3000}");
        // What this program makes of a text is one, whatever it says.
        let made = Value::Scalar("null".into(), Style::Bare);
        let made = Tree { value: made, span: tree.span };
        assert_eq!(super::written(&made), "\"null\"\n");
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for text in [
            "b: 1\na: [x, 'yes', no, '12', v1.10, ~]\n",
            "disks: [{size: 50G, bus: scsi}]\nsubnet: 10.1.{{ net }}.0/24\n",
            "a: {b: {c: []}, d: {}}\ntext: |\n  one\n  two: three\n",
        ] {
            let read = |text: &str| {
                let mut sources = Sources::default();
                let id = sources.add("t", text);
                parse(&sources, id, &mut Diagnostics::default()).unwrap()
            };
            let first = read(text);
            let again = read(&written(&first));
            let keys =
                |node: &Tree| node.entries().iter().map(|e| e.key.clone()).collect::<Vec<_>>();
            assert_eq!(keys(&first), keys(&again));
            let same = |node: &Tree| Plain::of(node).yaml().replace("'", "").replace('"', "");
            assert_eq!(same(&first), same(&again), "{text}");
        }
    }
}
