//! Reads what the probe script prints: sections that begin with `@@ NAME`.

use std::collections::BTreeMap;

/// Sections by name.
pub(crate) struct Sections(BTreeMap<String, String>);

impl Sections {
    /// What comes before the first section is a login shell's noise.
    pub(crate) fn parse(text: &str) -> Self {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        let mut name = None;
        for line in text.lines() {
            if let Some(next) = line.strip_prefix("@@ ") {
                name = Some(next.to_string());
                all.insert(next.to_string(), String::new());
            } else if let Some(section) = name.as_ref().and_then(|n| all.get_mut(n)) {
                section.push_str(line);
                section.push('\n');
            }
        }
        Self(all)
    }

    /// A section's text; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |t| t.trim())
    }

    /// Its lines, without empty ones.
    pub(crate) fn lines<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.text(name).lines().filter(|l| !l.trim().is_empty())
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.trim()))
    }

    /// Whether it says yes.
    pub(crate) fn yes(&self, name: &str) -> bool {
        self.text(name) == "yes"
    }
}
