//! What differs between what is recorded and what is wanted, field by field.
//!
//! Each function takes both sides apart without `..`: a field that nobody has given a class does not
//! compile. All differences are kept, so that a plan names every change of an object.

mod network;
mod node;
mod switching;

pub(super) use network::{mode, network, outside};
pub(super) use node::node;

pub(super) use crate::file_keys::Class;

/// Everything that differs, in the order it was found; each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Differences(Vec<(Class, String)>);

impl Differences {
    /// Notes a difference if there is one.
    fn note(&mut self, differs: bool, class: Class, words: impl Into<String>) {
        if differs {
            let words = words.into();
            match self.0.iter_mut().find(|(_, known)| *known == words) {
                Some((known, _)) => *known = class.max(*known),
                None => self.0.push((class, words)),
            }
        }
    }

    /// Notes that a value became another one.
    fn change<T: PartialEq + ToString>(&mut self, class: Class, what: &str, old: &T, new: &T) {
        if old != new {
            self.note(true, class, format!("{what}: {} → {}", old.to_string(), new.to_string()));
        }
    }

    /// Whether something was noted whose words begin so.
    fn tells(&self, words: &str) -> bool {
        self.0.iter().any(|(_, known)| known.starts_with(words))
    }

    /// The worst class, if anything differs.
    pub(super) fn worst(&self) -> Option<Class> {
        self.0.iter().map(|(class, _)| *class).max()
    }

    /// What differs, in words, the worst first.
    pub(super) fn words(&self) -> Vec<String> {
        let mut sorted: Vec<&(Class, String)> = self.0.iter().collect();
        sorted.sort_by_key(|(class, _)| std::cmp::Reverse(*class));
        sorted.into_iter().map(|(_, words)| words.clone()).collect()
    }

    /// What differs of one class, in words.
    pub(super) fn of(&self, class: Class) -> impl Iterator<Item = String> {
        self.0.iter().filter(move |(c, _)| *c == class).map(|(_, words)| words.clone())
    }
}

/// Values one after the other, or a word for none.
fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

/// A value, or a word for none.
fn or<T: ToString>(value: Option<&T>, none: &str) -> String {
    value.map_or_else(|| none.to_string(), ToString::to_string)
}
