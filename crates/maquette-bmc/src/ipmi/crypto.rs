//! The two cipher suites (IPMI 2.0, 22.15.2): 3 is SHA-1, 17 is SHA-256, both with AES-128. Those without a password or
//! without encryption there are not.

use aes::Aes128;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::secret::random;

/// How a session is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128.
    Three,
    /// RAKP-HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128.
    Seventeen,
}

impl Suite {
    /// All, with their numbers and algorithms: who it is, whether it is whole, and encryption.
    pub const ALL: [(u8, [u8; 3], Self); 2] =
        [(3, [1, 1, 1], Self::Three), (17, [3, 4, 1], Self::Seventeen)];

    /// The suite of three algorithms.
    pub fn of(algorithms: [u8; 3]) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == algorithms).map(|(_, _, suite)| *suite)
    }

    /// The numbers of its algorithms: who it is, whether it is whole, and encryption.
    pub fn algorithms(self) -> [u8; 3] {
        match self {
            Self::Three => [1, 1, 1],
            Self::Seventeen => [3, 4, 1],
        }
    }

    /// A code of bytes, whole.
    pub fn code(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Three => mac::<Hmac<Sha1>>(key, bytes),
            Self::Seventeen => mac::<Hmac<Sha256>>(key, bytes),
        }
    }

    /// How much of a code is sent with a packet, and with the last message of the key exchange.
    pub fn short(self) -> usize {
        match self {
            Self::Three => 12,
            Self::Seventeen => 16,
        }
    }
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <M as Mac>::new_from_slice(key) else { return Vec::new() };
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

/// Whether two codes are the same; an empty one is no code.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    !a.is_empty() && a.ct_eq(b).into()
}

/// The keys of a session.
#[derive(Clone)]
pub struct Keys {
    suite: Suite,
    integrity: Vec<u8>,
    encryption: [u8; 16],
}

impl Keys {
    /// The keys that follow from a session's own key.
    pub fn of(suite: Suite, session: &[u8]) -> Self {
        let integrity = suite.code(session, &[1; 20]);
        let whole = suite.code(session, &[2; 20]);
        let mut encryption = [0; 16];
        encryption.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        Self { suite, integrity, encryption }
    }

    /// The code of a packet.
    pub fn sign(&self, covered: &[u8]) -> Vec<u8> {
        let mut code = self.suite.code(&self.integrity, covered);
        code.truncate(self.suite.short());
        code
    }

    /// Whether a packet's code is right.
    pub fn is_signed(&self, covered: &[u8], code: &[u8]) -> bool {
        same(&self.sign(covered), code)
    }

    /// Encrypts a payload; none if the system has no random numbers.
    pub fn encrypt(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let iv: [u8; 16] = random().ok()?;
        let pad = (16 - (payload.len() + 1) % 16) % 16;
        let mut plain = payload.to_vec();
        plain.extend((1..=pad).map(|n| n as u8));
        plain.push(pad as u8);
        let cipher = cbc::Encryptor::<Aes128>::new(&self.encryption.into(), &iv.into());
        let mut bytes = iv.to_vec();
        bytes.extend(cipher.encrypt_padded_vec_mut::<NoPadding>(&plain));
        Some(bytes)
    }

    /// Decrypts a payload whose packet was signed; none if it is not one.
    pub fn decrypt(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (iv, encrypted) = bytes.split_at_checked(16)?;
        let iv: [u8; 16] = iv.try_into().ok()?;
        let cipher = cbc::Decryptor::<Aes128>::new(&self.encryption.into(), &iv.into());
        let mut plain = cipher.decrypt_padded_vec_mut::<NoPadding>(encrypted).ok()?;
        let pad = usize::from(plain.pop()?);
        let length = plain.len().checked_sub(pad).filter(|_| pad < 16)?;
        let padding = plain.split_off(length);
        padding.iter().zip(1u8..).all(|(byte, n)| *byte == n).then_some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::hex;

    #[test]
    fn codes_are_those_of_the_standards() {
        // RFC 2202 and RFC 4231, test case 2.
        let (key, text) = (b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&Suite::Three.code(key, text)), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert!(
            hex(&Suite::Seventeen.code(key, text)).starts_with("5bdcc146bf60754e6a042426089575c7")
        );
    }

    #[test]
    fn what_is_encrypted_is_decrypted_and_nothing_else() {
        for suite in [Suite::Three, Suite::Seventeen] {
            let keys = Keys::of(suite, b"key");
            for length in 0..50 {
                let plain = vec![7; length];
                let bytes = keys.encrypt(&plain).unwrap();
                assert_eq!(keys.decrypt(&bytes), Some(plain));
            }
            for bytes in [&[][..], &[0; 15], &[0; 16], &[0; 17], &[0; 40]] {
                assert_eq!(keys.decrypt(bytes), None);
            }
        }
        assert_eq!(Suite::of([0, 0, 0]), None);
        assert_eq!(Suite::of([1, 1, 0]), None);
        assert!(!same(&[], &[]));
    }
}
