//! Extra variables: `-e a.b=text`, `-e @file`, `-e a.b=@file`.

use super::index::Index;
use super::merge::{Lists, lay};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::{Span, Tree, Value};

/// One `-e`, its file (if any) already read.
#[derive(Debug, Clone)]
pub struct ExtraVar {
    /// Keys down to the place concerned; empty for the root.
    pub path: Vec<String>,
    /// What to put there.
    pub value: Tree,
    /// Whether `value` was read from a file, and so merges rather than replaces.
    pub from_file: bool,
    /// Where the flag is on the command line.
    pub span: Span,
}

/// Applies extra variables left to right onto an empty tree.
pub fn extra_vars(list: &[ExtraVar], root_span: Span, diags: &mut Diagnostics) -> Tree {
    let mut root = Tree::empty_map(root_span);
    put(&mut root, list, diags);
    root
}

/// Applies extra variables left to right to a tree.
pub fn put<'a>(
    root: &mut Tree,
    list: impl IntoIterator<Item = &'a ExtraVar>,
    diags: &mut Diagnostics,
) {
    let mut index = Index::default();
    for extra in list {
        put_one(root, &mut index, extra, diags);
    }
}

fn put_one(root: &mut Tree, index: &mut Index, extra: &ExtraVar, diags: &mut Diagnostics) {
    if extra.path.is_empty() && !matches!(extra.value.value, Value::Map(_)) {
        let message = format!("a file of extra variables is a mapping, not {}", extra.value.kind());
        diags.push(
            Diagnostic::error("extra::mapping", message)
                .at(extra.value.span, "")
                .help("`-e key=@file` puts a list or a single value below a key"),
        );
        return;
    }
    let (mut node, mut index) = (root, index);
    for (depth, key) in extra.path.iter().enumerate() {
        let (kind, span) = (node.kind(), node.span);
        let Value::Map(entries) = &mut node.value else {
            let above = extra.path[..depth].join(".");
            let message = format!("`{above}` is {kind}; nothing can be set below it");
            diags.push(
                Diagnostic::error("extra::below-value", message)
                    .at(extra.span, "set here")
                    .at(span, "the value is here"),
            );
            return;
        };
        (node, index) = index.open(entries, key, extra.span);
    }
    if extra.from_file {
        lay(node, &extra.value, Lists::United, index);
    } else {
        *node = extra.value.clone();
        *index = Index::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{Plain, Sources, Style, parse};
    use proptest::prelude::*;

    fn flag(sources: &mut Sources, path: &str, text: &str) -> ExtraVar {
        let id = sources.add("-e", format!("{path}={text}"));
        let span = sources.whole(id);
        ExtraVar {
            path: path.split('.').map(String::from).collect(),
            value: Tree::scalar(text, span),
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
    fn a_file_that_is_not_a_mapping_needs_a_key() {
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

    /// What so many variables give, and how many entries and items were looked at for that.
    fn work(list: &[ExtraVar]) -> (Plain, usize) {
        use super::super::index::LOOKED_AT;
        let before = LOOKED_AT.get();
        let mut diags = Diagnostics::default();
        let root = extra_vars(list, list[0].span, &mut diags);
        assert!(diags.is_empty());
        (Plain::of(&root), LOOKED_AT.get() - before)
    }

    /// A hundred thousand of them took minutes, since each looked at all before it.
    #[test]
    fn each_of_many_variables_is_looked_at_once() {
        let mut sources = Sources::default();
        let mut file = |name: &str, text: &str| {
            let id = sources.add(name, text);
            parse(&sources, id, &mut Diagnostics::default()).unwrap()
        };
        let item = file("items.yml", "l: [1, 2, 3]");
        for count in [100, 1000] {
            let mut sources = Sources::default();
            let flags: Vec<_> =
                (0..count).map(|i| flag(&mut sources, &format!("a.b{i}.c"), "1")).collect();
            let (tree, looked_at) = work(&flags);
            assert!(matches!(tree.at(&["a"]), Some(Plain::Map(all)) if all.len() == count));
            // `b…` and `c` of each, and `a`.
            assert!(looked_at <= 2 * count + 1, "{looked_at} for {count}");
            // So many files that are laid on each other.
            let files: Vec<_> = (0..count)
                .map(|_| ExtraVar {
                    path: Vec::new(),
                    value: item.clone(),
                    from_file: true,
                    span: item.span,
                })
                .collect();
            let (tree, looked_at) = work(&files);
            assert_eq!(tree, Plain::read("l: [1, 2, 3]").unwrap());
            assert!(looked_at <= 8, "{looked_at} for {count} files");
            // One file with so many items and keys, on another.
            let numbers = |from: usize| -> String {
                let items: Vec<_> = (from..from + count).map(|i| i.to_string()).collect();
                let keys: Vec<_> = items.iter().map(|i| format!("k{i}: 1")).collect();
                format!("l: [{}]\nm: {{{}}}\n", items.join(", "), keys.join(", "))
            };
            let large = [0, count / 2].map(|from| {
                let id = sources.add("f.yml", numbers(from));
                let value = parse(&sources, id, &mut Diagnostics::default()).unwrap();
                ExtraVar { path: Vec::new(), span: value.span, value, from_file: true }
            });
            let (tree, looked_at) = work(&large);
            let Some(Plain::List(all)) = tree.at(&["l"]) else { panic!("{tree:?}") };
            assert_eq!(all.len(), count + count / 2);
            assert!(looked_at <= 3 * count + 4, "{looked_at} for {count} items and keys");
        }
    }

    fn any_variable() -> impl Strategy<Value = (Vec<String>, Option<&'static str>)> {
        let files = [
            "a: 1",
            "a: {b: 1, c: [1, 2]}",
            "b: {a: {c: x}}",
            "c: [2, '2']",
            "[1, 2]",
            "[2, 3]",
            "x",
            "{a: [], b: {}}",
        ];
        let path = prop::collection::vec("[abc]", 0..4);
        (path, prop::option::of(prop::sample::select(files.to_vec())))
    }

    proptest! {
        /// What is known of a tree never gets in the way of what is in it.
        #[test]
        fn all_at_once_give_what_one_after_another_give(
            given in prop::collection::vec(any_variable(), 1..8)
        ) {
            let mut sources = Sources::default();
            let list: Vec<ExtraVar> = given
                .iter()
                .filter(|(path, file)| !path.is_empty() || file.is_some())
                .map(|(path, file)| {
                    let id = sources.add("-e", file.unwrap_or("v"));
                    let span = sources.whole(id);
                    let read = || parse(&sources, id, &mut Diagnostics::default()).unwrap();
                    let value = file.map_or(Tree::scalar("v", span), |_| read());
                    ExtraVar { path: path.clone(), value, from_file: file.is_some(), span }
                })
                .collect();
            let id = sources.add("-e", "");
            let mut one_by_one = Tree::empty_map(sources.whole(id));
            let mut said = Diagnostics::default();
            for extra in &list {
                put(&mut one_by_one, [extra], &mut said);
            }
            let mut diags = Diagnostics::default();
            let at_once = extra_vars(&list, sources.whole(id), &mut diags);
            prop_assert_eq!(at_once, one_by_one);
            prop_assert_eq!(diags.iter().count(), said.iter().count());
        }
    }
}
