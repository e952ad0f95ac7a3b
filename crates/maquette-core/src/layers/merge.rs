//! How two trees become one.

use super::index::Index;
use crate::syntax::{Entry, Plain, Tree, Value};

/// What becomes of two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// The upper one stays (InfraRed's rule for `override.*` and node types).
    Replaced,
    /// Their union, in order (InfraRed's rule for `-e @file`).
    United,
}

/// Lays `over` on `base`: mappings merge deeply, everything else is replaced.
pub fn merge(base: &mut Tree, over: &Tree) {
    lay(base, over, Lists::Replaced, &mut Index::default());
}

/// Lays `over` on `base`, whose index this is.
pub(super) fn lay(base: &mut Tree, over: &Tree, lists: Lists, index: &mut Index) {
    match (&mut base.value, &over.value) {
        (Value::Map(into), Value::Map(from)) => {
            from.iter().for_each(|entry| lay_entry(into, entry, lists, index));
        }
        (Value::List(into), Value::List(from)) if lists == Lists::United => {
            for item in from {
                if !index.has(into, &Plain::of(item)) {
                    into.push(item.clone());
                }
            }
        }
        _ => {
            *base = over.clone();
            *index = Index::default();
        }
    }
}

fn lay_entry(into: &mut Vec<Entry>, entry: &Entry, lists: Lists, index: &mut Index) {
    match index.find(into, &entry.key) {
        Some((number, below)) => {
            let existing = &mut into[number];
            lay(&mut existing.value, &entry.value, lists, below);
            existing.key_span = entry.key_span;
        }
        None => into.push(entry.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::syntax::{Sources, parse};
    use proptest::prelude::*;

    fn same(a: &Tree, b: &Tree) -> bool {
        Plain::of(a) == Plain::of(b)
    }

    fn merge_union(base: &mut Tree, over: &Tree) {
        lay(base, over, Lists::United, &mut Index::default());
    }

    fn tree(text: &str) -> Tree {
        let mut sources = Sources::default();
        let id = sources.add("t", text);
        parse(&sources, id, &mut Diagnostics::default()).unwrap()
    }

    #[test]
    fn mappings_merge_and_lists_are_replaced() {
        let mut base = tree("a: {b: 1, c: [1, 2]}\nd: 4");
        merge(&mut base, &tree("a: {c: [3], e: 5}"));
        assert!(same(&base, &tree("a: {b: 1, c: [3], e: 5}\nd: 4")));
    }

    #[test]
    fn lists_of_extra_files_become_their_union() {
        let mut base = tree("a: [1, 2]");
        merge_union(&mut base, &tree("a: [2, 3]"));
        assert!(same(&base, &tree("a: [1, 2, 3]")));
    }

    #[test]
    fn a_number_and_its_text_are_two_items() {
        let mut base = tree("a: [1, yes, x]");
        merge_union(&mut base, &tree("a: ['1', on, 'x']"));
        assert!(same(&base, &tree("a: [1, yes, x, '1']")));
    }

    fn any_tree() -> impl Strategy<Value = Tree> {
        let span = tree("a: 1").span;
        let leaf = "[a-c]{1,2}".prop_map(move |s| Tree::scalar(s, span));
        leaf.prop_recursive(3, 12, 4, move |inner| {
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(move |map| Tree {
                value: Value::Map(
                    map.into_iter()
                        .map(|(key, value)| Entry { key, key_span: span, value })
                        .collect(),
                ),
                span,
            })
        })
    }

    proptest! {
        #[test]
        fn merging_twice_is_merging_once(a in any_tree(), b in any_tree()) {
            let mut once = a.clone();
            merge(&mut once, &b);
            let mut twice = once.clone();
            merge(&mut twice, &b);
            prop_assert!(same(&once, &twice));
        }

        #[test]
        fn merging_with_oneself_changes_nothing(a in any_tree()) {
            let mut b = a.clone();
            merge(&mut b, &a);
            prop_assert!(same(&a, &b));
        }

        #[test]
        fn every_leaf_of_the_upper_layer_wins(a in any_tree(), b in any_tree()) {
            let mut merged = a;
            merge(&mut merged, &b);
            fn check(over: &Tree, merged: &Tree) -> bool {
                match &over.value {
                    Value::Map(entries) if !entries.is_empty() => entries
                        .iter()
                        .all(|e| merged.get(&e.key).is_some_and(|m| check(&e.value, m))),
                    Value::Map(_) => true,
                    _ => same(over, merged),
                }
            }
            prop_assert!(check(&b, &merged));
        }
    }
}
