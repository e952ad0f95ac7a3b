//! What differs between what is recorded and what is wanted, field by field.
//!
//! Each function takes both sides apart without `..`: a field that nobody has given a class does not
//! compile. All differences are kept, so that a plan names every change of an object.

mod first_boot;
mod network;
mod node;
mod switching;

pub(super) use network::{mode, network, outside};
pub(super) use node::node;

pub(super) use crate::file_keys::Class;

/// What differs, where something else depends on whether it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// An address of a node's interface.
    Address,
    /// Anything else.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Difference {
    class: Class,
    what: What,
    words: String,
}

/// Everything that differs, in the order it was found; each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Differences(Vec<Difference>);

impl Differences {
    fn add(&mut self, class: Class, what: What, words: String) {
        match self.0.iter_mut().find(|known| known.words == words) {
            Some(known) => known.class = class.max(known.class),
            None => self.0.push(Difference { class, what, words }),
        }
    }

    /// Notes a difference if there is one.
    fn note(&mut self, differs: bool, class: Class, words: impl Into<String>) {
        if differs {
            self.add(class, What::Other, words.into());
        }
    }

    /// Notes that a value became another one.
    fn change<T: PartialEq + ToString>(&mut self, class: Class, name: &str, old: &T, new: &T) {
        if old != new {
            self.add(class, What::Other, became(name, old, new));
        }
    }

    /// Notes that an address of an interface became another one.
    fn change_address(&mut self, class: Class, name: &str, old: &str, new: &str) {
        if old != new {
            self.add(class, What::Address, became(name, &old, &new));
        }
    }

    /// Whether that was noted to differ.
    fn tells(&self, what: What) -> bool {
        self.0.iter().any(|known| known.what == what)
    }

    /// The worst class, if anything differs.
    pub(super) fn worst(&self) -> Option<Class> {
        self.0.iter().map(|known| known.class).max()
    }

    /// What differs, in words, the worst first.
    pub(super) fn words(&self) -> Vec<String> {
        let mut sorted: Vec<&Difference> = self.0.iter().collect();
        sorted.sort_by_key(|known| std::cmp::Reverse(known.class));
        sorted.into_iter().map(|known| known.words.clone()).collect()
    }

    /// What differs of one class, in words.
    pub(super) fn of(&self, class: Class) -> impl Iterator<Item = String> {
        self.0.iter().filter(move |known| known.class == class).map(|known| known.words.clone())
    }

    /// The same without those of one class.
    pub(super) fn without(&self, class: Class) -> Self {
        let rest = self.0.iter().filter(|known| known.class != class);
        Self(rest.cloned().collect())
    }
}

fn became<T: ToString>(name: &str, old: &T, new: &T) -> String {
    format!("{name}: {} → {}", old.to_string(), new.to_string())
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
