//! Where in a tree its keys are, so that many variables are put into it in as many steps as there are of them.

use std::collections::{HashMap, HashSet};

use crate::syntax::{Entry, Plain, Span, Tree};

/// What is known of a node that only grows. Who puts another value in its place begins a new index with it.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// How many entries or items of the node are known.
    known: usize,
    keys: HashMap<String, KnownEntry>,
    items: HashSet<Plain>,
}

/// Where the entry of a key is, and what is known of its value.
#[derive(Debug)]
struct KnownEntry {
    number: usize,
    below: Index,
}

impl Index {
    /// The number of a key's entry, and the index of its value.
    pub(super) fn find(&mut self, entries: &[Entry], key: &str) -> Option<(usize, &mut Self)> {
        self.learn(entries);
        self.keys.get_mut(key).map(|place| (place.number, &mut place.below))
    }

    /// The value of a key and its index. A key that is missing gets an empty mapping.
    pub(super) fn open<'a>(
        &'a mut self,
        entries: &'a mut Vec<Entry>,
        key: &str,
        span: Span,
    ) -> (&'a mut Tree, &'a mut Self) {
        self.learn(entries);
        let place = self.keys.entry(key.to_string()).or_insert_with(|| {
            entries.push(Entry {
                key: key.to_string(),
                key_span: span,
                value: Tree::empty_map(span),
            });
            KnownEntry { number: entries.len() - 1, below: Self::default() }
        });
        self.known = entries.len();
        (&mut entries[place.number].value, &mut place.below)
    }

    /// Whether a list has that item, wherever it was written. As with InfraRed, `1` and `"1"` are two.
    pub(super) fn has(&mut self, list: &[Tree], item: &Plain) -> bool {
        for item in &list[self.known..] {
            looked_at();
            self.items.insert(Plain::of(item));
        }
        self.known = list.len();
        self.items.contains(item)
    }

    fn learn(&mut self, entries: &[Entry]) {
        for (number, entry) in entries.iter().enumerate().skip(self.known) {
            looked_at();
            let place = KnownEntry { number, below: Self::default() };
            self.keys.entry(entry.key.clone()).or_insert(place);
        }
        self.known = entries.len();
    }
}

#[cfg(test)]
thread_local! {
    /// How many entries and items this thread has looked at.
    pub(super) static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts for tests how much work it is.
fn looked_at() {
    #[cfg(test)]
    LOOKED_AT.set(LOOKED_AT.get() + 1);
}
