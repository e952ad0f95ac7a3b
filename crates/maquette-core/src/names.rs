//! Names, checked once: what parses can be used anywhere.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use crate::hex::hex;

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
        "`{0}` is not a valid name: letters, digits, `-`, `_` and `.`, with a letter or digit first"
    )]
    Characters(String),
    /// The word for having no prefix.
    #[error("`{0}` means the environment without a prefix")]
    Reserved(String),
    /// On the hypervisor there are files called so beside those of another environment.
    #[error(
        "`{0}` ends in `{1}`, which no prefix does: files that belong to another environment's end in it"
    )]
    Ending(String, &'static str),
}

/// What files end in that are beside one of an environment's: what was begun of it, and a lock.
const ENDINGS: [&str; 2] = [".new", ".busy"];

pub(crate) fn check(text: &str, longest: usize) -> Result<(), NameError> {
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
/// Names of bridges are shortened where they would be longer than Linux allows, so it can be long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EnvName(Option<String>);

impl EnvName {
    /// The environment without a prefix is called this where a name is needed.
    pub const DEFAULT: &'static str = "default";
    /// Longest prefix, in characters: host names have 63, and node types and numbers are in them, too.
    pub const LONGEST_PREFIX: usize = 40;

    /// The environment of a prefix. An error if host names do not take it, or it is a word or an ending with a meaning of its
    /// own.
    pub fn from_prefix(prefix: &str) -> Result<Self, NameError> {
        check(prefix, Self::LONGEST_PREFIX)?;
        if prefix == Self::DEFAULT {
            return Err(NameError::Reserved(prefix.into()));
        }
        if let Some(ending) = ENDINGS.into_iter().find(|ending| prefix.ends_with(ending)) {
            return Err(NameError::Ending(prefix.into(), ending));
        }
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

    /// Whether a domain may be one of its nodes, by its name: without a prefix, whatever ends in a number.
    pub fn may_call(&self, domain: &str) -> bool {
        let number = |(_, n): (&str, &str)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
        match &self.0 {
            Some(_) => domain.starts_with(&self.qualify("")),
            None => domain.rsplit_once('-').is_some_and(number),
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

/// Longest label of a host name (RFC 1123), in characters.
pub const LONGEST_HOST_NAME: usize = 63;

/// Checks the name of a node type or network: 1 to 63 letters, digits, `-`, `_` and `.`, a letter or digit first.
pub fn check_name(text: &str) -> Result<(), NameError> {
    check(text, 63)
}

/// The node type, of some, that a node's name is of: `web` of `web-0`.
pub fn type_of_node<'a>(name: &str, types: &[&'a str]) -> Option<&'a str> {
    let (before, number) = name.rsplit_once('-')?;
    number.parse::<u32>().ok()?;
    types.iter().copied().find(|of| *of == before)
}

/// Longest name of a Linux network interface (`IFNAMSIZ` less its terminator).
pub const LONGEST_INTERFACE: usize = 15;

/// Whether a name is one as Linux takes them for interfaces (`dev_valid_name` in the kernel), and as ours are written.
pub fn is_interface(name: &str) -> bool {
    name.len() <= LONGEST_INTERFACE && check_name(name).is_ok()
}

/// The network interface that goes with a name: the name itself, or its beginning with a hash of all
/// of it, so that names that differ only at their end stay apart.
pub fn interface_name(name: &str) -> String {
    if name.len() <= LONGEST_INTERFACE {
        return name.into();
    }
    const KEPT: usize = LONGEST_INTERFACE - 7;
    let digest = Sha256::digest(name.as_bytes());
    let hash = hex(&digest[..3]);
    // Names are ASCII: they were checked.
    let kept: String = name.chars().take(KEPT).collect();
    format!("{kept}-{hash}")
}

/// A namespace of our own, so that identifiers depend on nothing but names.
pub(crate) fn identifier(kind: &str, environment: &EnvName, name: &str) -> Uuid {
    let space = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"https://maquette.dev/");
    Uuid::new_v5(&space, format!("{kind}\0{environment}\0{name}").as_bytes())
}

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
        assert!("x".repeat(41).parse::<EnvName>().is_err());
        assert!("a/b".parse::<EnvName>().is_err());
        assert!(EnvName::from_prefix("default").is_err());
        for text in ["new", "busy", "a.newer", "a-new"] {
            assert!(EnvName::from_prefix(text).is_ok(), "{text}");
        }
        for text in ["a.new", "a.busy", "x.new.busy"] {
            assert!(EnvName::from_prefix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn interfaces_keep_short_names_and_long_ones_stay_apart() {
        assert_eq!(interface_name("abcd-management"), "abcd-management");
        let long = interface_name("environment-management");
        assert_eq!(long.len(), LONGEST_INTERFACE);
        assert!(long.starts_with("environm-"), "{long}");
        assert_ne!(long, interface_name("environment-management2"));
    }

    #[test]
    fn identifiers_differ_by_kind_environment_and_name() {
        let lab = EnvName::from_prefix("lab").unwrap();
        let ids = [
            identifier("domain", &lab, "a"),
            identifier("network", &lab, "a"),
            identifier("domain", &EnvName::default(), "a"),
            identifier("domain", &lab, "b"),
        ];
        for (i, a) in ids.iter().enumerate() {
            assert!(ids[i + 1..].iter().all(|b| a != b));
        }
    }
}
