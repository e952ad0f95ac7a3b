//! Names, checked once: what parses can be used anywhere.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Why a name is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name must not be empty")]
    Empty,
    /// Too long for where it ends up.
    #[error("`{0}` is longer than {1} characters")]
    TooLong(String, usize),
    /// Characters that host names or libvirt do not take.
    #[error(
        "`{0}` may hold letters, digits, `-`, `_` and `.` only, and starts with a letter or digit"
    )]
    Characters(String),
}

fn check(text: &str, longest: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.chars().count() > longest {
        return Err(NameError::TooLong(text.into(), longest));
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.chars().all(word) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(NameError::Characters(text.into()));
    }
    Ok(())
}

/// An environment: the prefix of everything in it, or none.
///
/// At most 4 characters, because bridges are named `PREFIX-network` and Linux allows 15.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EnvName(Option<String>);

impl EnvName {
    /// The environment without a prefix is called this where a name is needed.
    pub const DEFAULT: &'static str = "default";
    /// Longest prefix, in characters.
    pub const LONGEST_PREFIX: usize = 4;

    /// The environment of a prefix.
    pub fn from_prefix(prefix: &str) -> Result<Self, NameError> {
        check(prefix, Self::LONGEST_PREFIX)?;
        Ok(Self(Some(prefix.into())))
    }

    /// The prefix, if it has one.
    pub fn prefix(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// `PREFIX-name`, or just the name.
    pub fn qualify(&self, name: &str) -> String {
        match &self.0 {
            Some(prefix) => format!("{prefix}-{name}"),
            None => name.into(),
        }
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or(Self::DEFAULT))
    }
}

impl FromStr for EnvName {
    type Err = NameError;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == Self::DEFAULT { Ok(Self(None)) } else { Self::from_prefix(text) }
    }
}

/// Checks the name of a node type or network.
pub fn check_name(text: &str) -> Result<(), NameError> {
    check(text, 63)
}

/// Longest name of a Linux network interface (`IFNAMSIZ` less its terminator).
pub const LONGEST_INTERFACE: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_round_trip() {
        for text in ["default", "lab", "a"] {
            assert_eq!(text.parse::<EnvName>().unwrap().to_string(), text);
        }
        assert_eq!("lab".parse::<EnvName>().unwrap().qualify("x"), "lab-x");
        assert_eq!(EnvName::default().qualify("x"), "x");
        assert!("toolong".parse::<EnvName>().is_err());
        assert!("a/b".parse::<EnvName>().is_err());
    }
}
