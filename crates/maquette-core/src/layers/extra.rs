//! Extra variables: `-e a.b=text`, `-e @file`, `-e a.b=@file`.

use super::merge::merge_union;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::{Entry, Node, Span, Value};

/// One `-e`, its file (if any) already read.
#[derive(Debug, Clone)]
pub struct ExtraVar {
    /// Keys down to the place concerned; empty for the root.
    pub path: Vec<String>,
    /// What to put there.
    pub value: Node,
    /// Whether `value` was read from a file, and so merges rather than replaces.
    pub from_file: bool,
    /// The flag.
    pub span: Span,
}

/// Applies extra variables left to right onto an empty tree.
pub fn extra_vars(list: &[ExtraVar], root_span: Span, diags: &mut Diagnostics) -> Node {
    let mut root = Node::empty_map(root_span);
    for extra in list {
        set(&mut root, extra, diags);
    }
    root
}

/// Applies one extra variable to a tree.
pub fn set(root: &mut Node, extra: &ExtraVar, diags: &mut Diagnostics) {
    if extra.path.is_empty() && !matches!(extra.value.value, Value::Map(_)) {
        let message = format!("a file of extra variables is a mapping, not {}", extra.value.kind());
        diags.push(
            Diagnostic::error("extra::mapping", message)
                .at(extra.value.span, "")
                .help("`-e key=@file` puts a list or a single value below a key"),
        );
        return;
    }
    let mut node = root;
    for (depth, key) in extra.path.iter().enumerate() {
        if !matches!(node.value, Value::Map(_)) {
            let above = extra.path[..depth].join(".");
            let kind = node.kind();
            diags.push(
                Diagnostic::error(
                    "extra::below-value",
                    format!("`{above}` is {kind}; nothing can be set below it"),
                )
                .at(extra.span, "set here")
                .at(node.span, "the value is here"),
            );
            return;
        }
        let Value::Map(entries) = &mut node.value else { return };
        let index = match entries.iter().position(|e| e.key == *key) {
            Some(index) => index,
            None => {
                entries.push(Entry {
                    key: key.clone(),
                    key_span: extra.span,
                    value: Node::empty_map(extra.span),
                });
                entries.len() - 1
            }
        };
        node = &mut entries[index].value;
    }
    if extra.from_file {
        merge_union(node, &extra.value);
    } else {
        *node = extra.value.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{Plain, Sources, Style, parse};

    fn flag(sources: &mut Sources, path: &str, text: &str) -> ExtraVar {
        let id = sources.add("-e", format!("{path}={text}"));
        let span = sources.whole(id);
        ExtraVar {
            path: path.split('.').map(String::from).collect(),
            value: Node::scalar(text, span),
            from_file: false,
            span,
        }
    }

    #[test]
    fn later_flags_win_and_paths_are_made() {
        let mut sources = Sources::default();
        let list = [
            flag(&mut sources, "override.a.memory", "1"),
            flag(&mut sources, "override.a.cpu", "2"),
            flag(&mut sources, "override.a.memory", "3"),
        ];
        let mut diags = Diagnostics::default();
        let root = extra_vars(&list, list[0].span, &mut diags);
        assert!(diags.is_empty());
        assert_eq!(
            root.at(&["override", "a", "memory"]).unwrap().value,
            Value::Scalar("3".into(), Style::Text)
        );
        assert_eq!(
            root.at(&["override", "a", "cpu"]).unwrap().value,
            Value::Scalar("2".into(), Style::Text)
        );
    }

    #[test]
    fn setting_below_a_value_is_an_error() {
        let mut sources = Sources::default();
        let list = [flag(&mut sources, "a.b", "1"), flag(&mut sources, "a.b.c", "2")];
        let mut diags = Diagnostics::default();
        extra_vars(&list, list[0].span, &mut diags);
        let first = diags.iter().next().unwrap();
        assert_eq!(first.message, "`a.b` is a single value; nothing can be set below it");
    }

    #[test]
    fn a_file_that_is_no_mapping_needs_a_key() {
        let mut sources = Sources::default();
        let id = sources.add("f.yml", "[1, 2]\n");
        let mut diags = Diagnostics::default();
        let value = parse(&sources, id, &mut diags).unwrap();
        let span = value.span;
        let file = |path: &[&str]| ExtraVar {
            path: path.iter().map(|key| (*key).to_string()).collect(),
            value: value.clone(),
            from_file: true,
            span,
        };
        let root = extra_vars(&[file(&["a"])], span, &mut diags);
        assert!(diags.is_empty());
        assert_eq!(Plain::of(&root), Plain::read("a: [1, 2]").unwrap());
        extra_vars(&[file(&[])], span, &mut diags);
        assert_eq!(diags.iter().next().unwrap().code, "extra::mapping");
    }

    #[test]
    fn a_file_merges_at_its_path() {
        let mut sources = Sources::default();
        let first = flag(&mut sources, "override.a.cpu", "2");
        let id = sources.add("f.yml", "memory: 7\n");
        let mut diags = Diagnostics::default();
        let file = parse(&sources, id, &mut diags).unwrap();
        let second = ExtraVar {
            path: vec!["override".into(), "a".into()],
            span: file.span,
            value: file,
            from_file: true,
        };
        let root = extra_vars(&[first.clone(), second], first.span, &mut diags);
        assert_eq!(root.at(&["override", "a"]).unwrap().entries().len(), 2);
    }
}
