//! Text that is shown to nobody, and random bytes.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// A password or a token. `Debug` does not print it, only what a service keeps for itself has it, and comparing takes the same time wherever two differ.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for whoever computes with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `text` is the secret.
    pub fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Random bytes of the system. Fails where it has none, in which case nothing may be begun that needs them.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed_and_is_compared_whole() {
        let secret = Secret::new("topsecret");
        assert_eq!(format!("{secret:?}"), "Secret");
        assert!(secret.is("topsecret"));
        for other in ["", "topsecre", "topsecret ", "Topsecret"] {
            assert!(!secret.is(other), "{other}");
        }
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
    }
}
