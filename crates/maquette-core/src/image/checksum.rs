//! Checksums that somebody gave for an image.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Kind {
    /// All that are taken.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// What users call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The program of coreutils that computes it.
    pub fn program(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256sum",
            Self::Sha384 => "sha384sum",
            Self::Sha512 => "sha512sum",
        }
    }

    /// How many hexadecimal digits it has.
    pub fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

/// A checksum: its kind, and as many hexadecimal digits as that has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Checksum {
    kind: Kind,
    digits: String,
}

impl Checksum {
    /// Takes bare digits; their number tells the kind.
    pub fn from_digits(digits: &str) -> Option<Self> {
        let kind = Kind::ALL.into_iter().find(|k| k.digits() == digits.len())?;
        let hex = digits.chars().all(|c| c.is_ascii_hexdigit());
        hex.then(|| Self { kind, digits: digits.to_ascii_lowercase() })
    }

    /// How it is computed.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its hexadecimal digits, in lower case.
    pub fn digits(&self) -> &str {
        &self.digits
    }
}

impl fmt::Display for Checksum {
    /// `sha256:…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.word(), self.digits)
    }
}

/// Why a text is not a checksum.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ChecksumError {
    /// It does not begin with a kind.
    #[error("`{0}` is not a checksum: write `sha256:` and 64 hexadecimal digits")]
    Form(String),
    /// Kinds that can be forged, and those that nobody knows.
    #[error("checksums of kind `{0}` are not supported: use `sha256`, `sha384` or `sha512`")]
    Kind(String),
    /// Too long, too short, or something other than digits.
    #[error("a `{kind}` checksum has {wanted} hexadecimal digits; `{given}` is not that")]
    Digits {
        /// The kind, as users call it: `sha256`.
        kind: &'static str,
        /// How many it has.
        wanted: usize,
        /// What was given.
        given: String,
    },
}

impl FromStr for Checksum {
    type Err = ChecksumError;

    /// Reads `sha256:DIGITS` or `sha256=DIGITS`, and so for SHA-384 and SHA-512.
    fn from_str(text: &str) -> Result<Self, ChecksumError> {
        let text = text.trim();
        let (word, digits) =
            text.split_once([':', '=']).ok_or_else(|| ChecksumError::Form(text.into()))?;
        let kind = Kind::ALL
            .into_iter()
            .find(|k| k.word().eq_ignore_ascii_case(word))
            .ok_or_else(|| ChecksumError::Kind(word.into()))?;
        match Self::from_digits(digits) {
            Some(sum) if sum.kind == kind => Ok(sum),
            _ => Err(ChecksumError::Digits {
                kind: kind.word(),
                wanted: kind.digits(),
                given: digits.into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_checked() {
        let digits = "Ab".repeat(32);
        for text in [format!("sha256:{digits}"), format!("SHA256={digits}")] {
            let sum: Checksum = text.parse().unwrap();
            assert_eq!(sum.to_string(), format!("sha256:{}", "ab".repeat(32)));
        }
        let wrong = |text: &str| text.parse::<Checksum>().unwrap_err().to_string();
        assert!(wrong("abc").contains("not a checksum"));
        assert!(wrong("md5:d41d8cd98f00b204e9800998ecf8427e").contains("`md5`"));
        assert!(wrong("sha256=0000").contains("64 hexadecimal digits; `0000`"));
        assert!(wrong(&format!("sha512:{digits}")).contains("128"));
        assert!(wrong(&format!("sha256:{}", "xy".repeat(32))).contains("is not that"));
        assert_eq!(Checksum::from_digits("12"), None);
    }
}
