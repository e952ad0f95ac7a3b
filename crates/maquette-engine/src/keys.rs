//! The key of an environment, and the host keys that follow from it.
//!
//! One Ed25519 key pair is made for each environment. Guests' host keys are derived from its secret
//! and the guest's identifier, so that they are known before anything is made and need not be kept
//! anywhere: the public half is in the domain's metadata, the private half in the guest.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use maquette_core::guest::Secret;
use maquette_core::values::{PublicKey, ValueError};
use sha2::{Digest, Sha256};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey};
use ssh_key::{LineEnding, PrivateKey};
use thiserror::Error;
use uuid::Uuid;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// A file could not be read or written.
    #[error("cannot use key file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{path} is not an unencrypted Ed25519 private key")]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The key could not be written in OpenSSH's format.
    #[error("cannot encode a key")]
    Encode(#[source] ssh_key::Error),
    /// The comment of a key is more than words.
    #[error("cannot name a key: {0}")]
    Comment(ValueError),
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The key pair of an environment.
pub struct EnvironmentKey {
    secret: [u8; 32],
    public: PublicKey,
}

/// File name of the private key in a workspace.
pub const KEY_FILE: &str = "id_ed25519";
/// What the older tool called it; a link, for the programs that look for it.
pub const KEY_LINK: &str = "id_rsa";

impl EnvironmentKey {
    /// Reads the key of a workspace, if it has one.
    pub fn read(directory: &Path) -> Result<Option<Self>, KeyError> {
        let path = directory.join(KEY_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(KeyError::File { path, source }),
        };
        let key =
            PrivateKey::from_openssh(&text).map_err(|_| KeyError::Form { path: path.clone() })?;
        let pair = key.key_data().ed25519().ok_or(KeyError::Form { path })?;
        Self::from_secret(pair.private.to_bytes()).map(Some)
    }

    /// Makes a new key, in memory only.
    pub fn generate() -> Result<Self, KeyError> {
        let mut secret = [0u8; 32];
        getrandom::getrandom(&mut secret).map_err(KeyError::Random)?;
        Self::from_secret(secret)
    }

    fn from_secret(secret: [u8; 32]) -> Result<Self, KeyError> {
        let public = public_text(&pair(secret), "maquette")?;
        Ok(Self { secret, public })
    }

    /// Writes both halves, unless the private one is there already, into a workspace, the private one readable by its owner only.
    pub fn write(&self, directory: &Path) -> Result<(), KeyError> {
        let path = directory.join(KEY_FILE);
        let key =
            PrivateKey::new(pair(self.secret).into(), "maquette").map_err(KeyError::Encode)?;
        let text = key.to_openssh(LineEnding::LF).map_err(KeyError::Encode)?;
        let link = directory.join(KEY_LINK);
        if !path.exists() {
            write_private(&path, text.as_bytes())
                .map_err(|source| KeyError::File { path: path.clone(), source })?;
        }
        // By rename: a link of that name must not lead elsewhere.
        write_private(&path.with_extension("pub"), format!("{}\n", self.public).as_bytes())
            .and_then(|()| relink(KEY_FILE, &link))
            .and_then(|()| relink(&format!("{KEY_FILE}.pub"), &link.with_extension("pub")))
            .map_err(|source| KeyError::File { path, source })
    }

    /// The public half, as a line of `authorized_keys`.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The host key of a guest: private half in OpenSSH's format.
    pub fn host_private(&self, node: &str, uuid: Uuid) -> Result<Secret, KeyError> {
        let key = PrivateKey::new(self.host_pair(uuid).into(), node).map_err(KeyError::Encode)?;
        let text = key.to_openssh(LineEnding::LF).map_err(KeyError::Encode)?;
        Ok(Secret::new(text.as_str()))
    }

    /// The host key of a guest: public half, as in `known_hosts`.
    pub fn host_public(&self, node: &str, uuid: Uuid) -> Result<PublicKey, KeyError> {
        public_text(&self.host_pair(uuid), node)
    }

    /// A VNC password that is the same in every run; VNC uses no more than 8 characters.
    pub fn vnc_password(&self) -> Secret {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let bytes = self.derive("vnc password", b"");
        let letters = bytes.iter().take(8).map(|b| char::from(LETTERS[usize::from(b % 32)]));
        Secret::new(letters.collect::<String>())
    }

    /// Tells secrets apart; only who has the key can try guesses against it.
    pub fn tag(&self, secret: &Secret) -> String {
        let bytes = self.derive("tag", secret.reveal().as_bytes());
        bytes.iter().take(8).map(|b| format!("{b:02x}")).collect()
    }

    fn derive(&self, purpose: &str, more: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(format!("maquette {purpose} 1\0"));
        hash.update(self.secret);
        hash.update(more);
        hash.finalize().into()
    }

    fn host_pair(&self, uuid: Uuid) -> Ed25519Keypair {
        pair(self.derive("ssh host key", uuid.as_bytes()))
    }
}

/// The fingerprint of a public key, as `ssh-keygen -l` shows it; none for what is not a key.
pub fn fingerprint(public: &str) -> Option<String> {
    let key = ssh_key::PublicKey::from_openssh(public).ok()?;
    Some(key.fingerprint(ssh_key::HashAlg::Sha256).to_string())
}

fn pair(secret: [u8; 32]) -> Ed25519Keypair {
    Ed25519Keypair::from(Ed25519PrivateKey::from_bytes(&secret))
}

fn public_text(pair: &Ed25519Keypair, comment: &str) -> Result<PublicKey, KeyError> {
    let key = ssh_key::PublicKey::new(pair.public.into(), comment);
    let text = key.to_openssh().map_err(KeyError::Encode)?;
    text.parse().map_err(KeyError::Comment)
}

/// Makes a symbolic link, in place of whatever is there.
pub fn relink(target: &str, link: &Path) -> std::io::Result<()> {
    if fs::read_link(link).is_ok_and(|old| old == Path::new(target)) {
        return Ok(());
    }
    let temporary = link.with_extension("link");
    let _ = fs::remove_file(&temporary);
    std::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, link)
}

/// Writes a file that only its owner can read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_survives_its_file_and_only_the_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        assert!(EnvironmentKey::read(directory.path()).unwrap().is_none());
        let key = EnvironmentKey::generate().unwrap();
        key.write(directory.path()).unwrap();
        let again = EnvironmentKey::read(directory.path()).unwrap().unwrap();
        assert_eq!(key.public(), again.public());
        let mode = fs::metadata(directory.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let id = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"x");
        assert_eq!(key.host_public("x", id).unwrap(), again.host_public("x", id).unwrap());
    }

    #[test]
    fn every_guest_has_its_own_host_key() {
        let key = EnvironmentKey::generate().unwrap();
        let a = key.host_public("n", Uuid::from_u128(1)).unwrap();
        let b = key.host_public("n", Uuid::from_u128(2)).unwrap();
        assert_ne!(a, b);
        let private = key.host_private("n", Uuid::from_u128(1)).unwrap();
        let parsed = PrivateKey::from_openssh(private.reveal()).unwrap();
        assert_eq!(parsed.public_key().to_openssh().unwrap(), a.as_str());
        assert!(!format!("{private:?}").contains("OPENSSH"));
    }

    #[test]
    fn passwords_are_the_same_in_every_run_and_their_tags_tell_nothing() {
        let (key, other) =
            (EnvironmentKey::generate().unwrap(), EnvironmentKey::generate().unwrap());
        let password = key.vnc_password();
        assert_eq!(password, key.vnc_password());
        assert_eq!(password.reveal().len(), 8);
        assert_ne!(password, other.vnc_password());
        assert_ne!(key.tag(&password), other.tag(&password));
        assert_ne!(key.tag(&password), key.tag(&Secret::new("x")));
    }

    #[test]
    fn something_else_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(KEY_FILE), "nonsense").unwrap();
        assert!(matches!(EnvironmentKey::read(directory.path()), Err(KeyError::Form { .. })));
    }
}
