//! The key of an environment, and the host keys that follow from it.
//!
//! One Ed25519 key pair is made for each environment: whoever has it can log in to the guests. A secret
//! of its own beside it is never lent: guests' host keys are derived from it (HKDF-SHA256, RFC 5869), the
//! guest's identifier and its generation, so that they are known before anything is made and need not be
//! kept anywhere: the public half is in the domain's metadata, the private half in the guest.
//!
//! Version 0.1 had no such secret and derived host keys from the login key. Its nodes, which have no
//! generation, keep theirs until they are made again.

use std::path::{Path, PathBuf};

use hkdf::Hkdf;
use maquette_core::blueprint::Guest;
use maquette_core::hex::hex;
use maquette_core::values::Secret;
use maquette_core::values::{PublicKey, ValueError};
use sha2::{Digest, Sha256};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey};
use ssh_key::{LineEnding, PrivateKey};
use thiserror::Error;
use uuid::Uuid;

use crate::private_file::{read_text, relink, write_first, write_private};

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// A file could not be read or written.
    #[error("cannot use key file {path}")]
    File {
        /// The file in the workspace.
        path: PathBuf,
        /// Why that failed.
        #[source]
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{path} is not an unencrypted Ed25519 private key")]
    Form {
        /// The file in the workspace.
        path: PathBuf,
    },
    /// The environment's secret is something else.
    #[error("{path} is not an environment's secret: 64 hexadecimal digits")]
    Secret {
        /// The file in the workspace.
        path: PathBuf,
    },
    /// Another run has made one since it was looked for.
    #[error("another run has made {path} meanwhile; run the same command again, which takes that")]
    Another {
        /// The file in the workspace.
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

/// The keys of an environment: the pair that opens its guests, and the secret that all else follows from.
pub struct EnvironmentKey {
    login: [u8; 32],
    public: PublicKey,
    secret: [u8; 32],
    /// Whether the secret was made just now, beside a login key that was there.
    new_secret: bool,
}

/// Seals an environment's records: what carries its seal was recorded by somebody who has its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordKey([u8; 32]);

impl RecordKey {
    /// The key of a workspace whose secret is known.
    pub fn read(directory: &Path) -> Option<Self> {
        // A secret that is broken is reported where it is needed for more than looking.
        read_secret(&directory.join(SECRET_FILE)).ok().flatten().map(|s| Self::of(&s))
    }

    fn of(secret: &[u8; 32]) -> Self {
        Self(derive(secret, "records", &[]))
    }

    /// A key that nobody has, for tests.
    #[doc(hidden)]
    pub fn made_of(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Derives a key for one purpose that only who has this one knows.
    pub(crate) fn derive(&self, purpose: &str, more: &[u8]) -> [u8; 32] {
        derive(&self.0, purpose, more)
    }

    /// Its bytes, to compute with.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKey(…)")
    }
}

/// File name of the private key in a workspace.
pub const KEY_FILE: &str = "id_ed25519";
/// File name of the environment's secret in a workspace: 64 hexadecimal digits.
pub const SECRET_FILE: &str = "environment.secret";
/// What InfraRed called it; a link, for the programs that look for it.
pub const KEY_LINK: &str = "id_rsa";

impl EnvironmentKey {
    /// Reads the key of a workspace, if it has one.
    pub fn read(directory: &Path) -> Result<Option<Self>, KeyError> {
        let Some(login) = read_login(&directory.join(KEY_FILE))? else { return Ok(None) };
        let secret = read_secret(&directory.join(SECRET_FILE))?;
        let new_secret = secret.is_none();
        let secret = secret.map_or_else(random, Ok)?;
        Ok(Some(Self { new_secret, ..Self::of(login, secret)? }))
    }

    /// The key of a workspace, or a new one in memory. A secret that is there without a login key, as after a run that was killed
    /// between the two, is the one that is read from then on: what is made now has to follow from it.
    pub fn of_workspace(directory: &Path) -> Result<Self, KeyError> {
        if let Some(key) = Self::read(directory)? {
            return Ok(key);
        }
        let secret = read_secret(&directory.join(SECRET_FILE))?;
        Self::of(random()?, secret.map_or_else(random, Ok)?)
    }

    /// Makes a new key, in memory only. An error if the system gives no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        Self::of(random()?, random()?)
    }

    fn of(login: [u8; 32], secret: [u8; 32]) -> Result<Self, KeyError> {
        let public = public_text(&pair(login), "maquette")?;
        Ok(Self { login, public, secret, new_secret: false })
    }

    /// Writes the pair and the secret into a workspace, where only the owner can read them. What is there already stays.
    ///
    /// # Errors
    ///
    /// What is there is another key or secret, so that nothing can be made of these: nobody would find them again.
    pub fn write(&self, directory: &Path) -> Result<(), KeyError> {
        let path = directory.join(SECRET_FILE);
        write_first(&path, format!("{}\n", hex(self.secret)).as_bytes())
            .map_err(|source| KeyError::File { path: path.clone(), source })?;
        if read_secret(&path)? != Some(self.secret) {
            return Err(KeyError::Another { path });
        }
        self.write_login(directory)
    }

    /// Writes the pair alone, which logs in where it is let in, and builds nothing.
    pub fn write_login(&self, directory: &Path) -> Result<(), KeyError> {
        let path = directory.join(KEY_FILE);
        let key = PrivateKey::new(pair(self.login).into(), "maquette").map_err(KeyError::Encode)?;
        let text = key.to_openssh(LineEnding::LF).map_err(KeyError::Encode)?;
        let link = directory.join(KEY_LINK);
        write_first(&path, text.as_bytes())
            .map_err(|source| KeyError::File { path: path.clone(), source })?;
        if read_login(&path)? != Some(self.login) {
            return Err(KeyError::Another { path });
        }
        // By rename: a link of that name must not lead elsewhere.
        write_private(&path.with_extension("pub"), format!("{}\n", self.public).as_bytes())
            .and_then(|()| relink(KEY_FILE, &link))
            .and_then(|()| relink(&format!("{KEY_FILE}.pub"), &link.with_extension("pub")))
            .map_err(|source| KeyError::File { path, source })
    }

    /// Whether a node was made with this login key and with a secret that is not here: the key was lent.
    pub fn lacks_secret_of(&self, guest: &Guest) -> bool {
        self.new_secret && guest.generation.is_some() && guest.authorized_key == self.public
    }

    /// The public half, as a line of `authorized_keys`.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The host key of a guest: private half in OpenSSH's format.
    pub fn host_private(
        &self,
        node: &str,
        uuid: Uuid,
        generation: Option<u64>,
    ) -> Result<Secret, KeyError> {
        let pair = self.host_pair(uuid, generation);
        let key = PrivateKey::new(pair.into(), node).map_err(KeyError::Encode)?;
        let text = key.to_openssh(LineEnding::LF).map_err(KeyError::Encode)?;
        Ok(Secret::new(text.as_str()))
    }

    /// The host key of a guest: public half, as in `known_hosts`.
    pub fn host_public(
        &self,
        node: &str,
        uuid: Uuid,
        generation: Option<u64>,
    ) -> Result<PublicKey, KeyError> {
        public_text(&self.host_pair(uuid, generation), node)
    }

    /// A VNC password that is the same in every run; VNC uses no more than 8 characters.
    pub fn vnc_password(&self) -> Secret {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let bytes = self.derive("vnc password", &[]);
        let letters = bytes.iter().take(8).map(|b| char::from(LETTERS[usize::from(b % 32)]));
        Secret::new(letters.collect::<String>())
    }

    /// Tells secrets apart; only who has the environment's secret can try guesses against it.
    pub fn tag(&self, secret: &Secret) -> String {
        hex(&self.derive("tag", secret.reveal().as_bytes())[..8])
    }

    /// The key of its records.
    pub fn records(&self) -> RecordKey {
        RecordKey::of(&self.secret)
    }

    fn derive(&self, purpose: &str, more: &[u8]) -> [u8; 32] {
        derive(&self.secret, purpose, more)
    }

    fn host_pair(&self, uuid: Uuid, generation: Option<u64>) -> Ed25519Keypair {
        match generation {
            Some(number) => {
                let more = [uuid.as_bytes().as_slice(), &number.to_be_bytes()].concat();
                pair(self.derive("ssh host key", &more))
            }
            None => pair(self.first_host_secret(uuid)),
        }
    }

    /// How version 0.1 derived host keys, from the login key.
    fn first_host_secret(&self, uuid: Uuid) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update("maquette ssh host key 1\0");
        hash.update(self.login);
        hash.update(uuid.as_bytes());
        hash.finalize().into()
    }
}

/// Derives a key for one purpose from a secret.
fn derive(secret: &[u8; 32], purpose: &str, more: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let label = format!("maquette {purpose} 2\0");
    let info = [label.as_bytes(), more];
    // It refuses lengths above 255 hashes only; ours is one.
    let _ = Hkdf::<Sha256>::new(None, secret).expand_multi_info(&info, &mut out);
    out
}

/// A random generation for nodes that are made now. An error if the system gives no random numbers.
pub fn generation() -> Result<u64, KeyError> {
    let mut bytes = [0u8; 8];
    getrandom::getrandom(&mut bytes).map_err(KeyError::Random)?;
    Ok(u64::from_be_bytes(bytes))
}

fn random() -> Result<[u8; 32], KeyError> {
    let mut bytes = [0u8; 32];
    getrandom::getrandom(&mut bytes).map_err(KeyError::Random)?;
    Ok(bytes)
}

/// Reads the private half of a login key, if there is one.
fn read_login(path: &Path) -> Result<Option<[u8; 32]>, KeyError> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KeyError::File { path: path.into(), source }),
    };
    let form = || KeyError::Form { path: path.into() };
    let key = PrivateKey::from_openssh(&text).map_err(|_| form())?;
    let pair = key.key_data().ed25519().ok_or_else(form)?;
    Ok(Some(pair.private.to_bytes()))
}

/// Reads a secret, if there is one.
fn read_secret(path: &Path) -> Result<Option<[u8; 32]>, KeyError> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KeyError::File { path: path.into(), source }),
    };
    let digits = text.trim_end().as_bytes();
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let byte = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    let secret = bytes.and_then(|bytes| bytes.try_into().ok());
    secret.map(Some).ok_or_else(|| KeyError::Secret { path: path.into() })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
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
        let of = |k: &EnvironmentKey, generation| k.host_public("x", id, generation).unwrap();
        assert_eq!(of(&key, Some(7)), of(&again, Some(7)));
        let mode = fs::metadata(directory.path().join(SECRET_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    /// A run that was killed between the two files made the next one's host keys follow from a secret that nobody had any more: all
    /// nodes would have been made again by the run after that.
    #[test]
    fn a_secret_without_a_login_key_is_the_one_that_all_follows_from() {
        let directory = tempfile::tempdir().unwrap();
        let killed = EnvironmentKey::of_workspace(directory.path()).unwrap();
        killed.write(directory.path()).unwrap();
        fs::remove_file(directory.path().join(KEY_FILE)).unwrap();
        let key = EnvironmentKey::of_workspace(directory.path()).unwrap();
        assert_ne!(key.public(), killed.public());
        key.write(directory.path()).unwrap();
        let next = EnvironmentKey::of_workspace(directory.path()).unwrap();
        let of = |key: &EnvironmentKey| key.host_public("x", Uuid::from_u128(1), Some(1)).unwrap();
        assert_eq!((of(&key), key.records()), (of(&next), next.records()));
        assert_eq!((key.public(), key.records()), (next.public(), killed.records()));
    }

    /// Two runs for two environments in one workspace: the nodes of one opened to a key that was nowhere.
    #[test]
    fn a_key_that_another_run_has_made_meanwhile_is_not_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let [one, other] = [0, 1].map(|_| EnvironmentKey::of_workspace(directory.path()).unwrap());
        one.write(directory.path()).unwrap();
        let error = other.write(directory.path()).unwrap_err();
        assert!(matches!(error, KeyError::Another { .. }), "{error}");
        let lent = EnvironmentKey { secret: one.secret, ..other };
        let error = lent.write(directory.path()).unwrap_err();
        assert!(matches!(error, KeyError::Another { .. }), "{error}");
        one.write(directory.path()).unwrap();
        let there = EnvironmentKey::read(directory.path()).unwrap().unwrap();
        assert_eq!((there.public(), there.records()), (one.public(), one.records()));
    }

    /// One secret was login key and root of all host keys, and a node that was made again had
    /// the host key of its predecessor.
    #[test]
    fn the_login_key_gives_no_host_keys_and_a_node_made_anew_has_another_one() {
        let id = Uuid::from_u128(1);
        let directory = tempfile::tempdir().unwrap();
        let key = EnvironmentKey::generate().unwrap();
        key.write(directory.path()).unwrap();
        fs::remove_file(directory.path().join(SECRET_FILE)).unwrap();
        let lent = EnvironmentKey::read(directory.path()).unwrap().unwrap();
        assert_eq!(lent.public(), key.public());
        let of = |k: &EnvironmentKey, generation| k.host_public("x", id, generation).unwrap();
        assert_ne!(of(&key, Some(1)), of(&lent, Some(1)));
        assert_ne!(key.vnc_password(), lent.vnc_password());
        assert_ne!(of(&key, Some(1)), of(&key, Some(2)));
        let mut guest = Guest {
            seed: "x-seed.img".parse().unwrap(),
            drive: maquette_core::topology::SeedDrive::CdRom,
            user: maquette_core::values::Login::known("cloud"),
            authorized_key: key.public().clone(),
            shared: Vec::new(),
            host_key: of(&key, Some(1)),
            generation: Some(1),
            timezone: None,
            swap_mib: 0,
            first_boot: None,
            first_boot_parts: Vec::new(),
        };
        assert!(lent.lacks_secret_of(&guest) && !key.lacks_secret_of(&guest));
        guest.generation = None;
        assert!(!lent.lacks_secret_of(&guest), "version 0.1 had no secret");
    }

    /// What version 0.1 derived stays as it is: its nodes go on with it.
    #[test]
    fn nodes_of_the_first_version_keep_their_host_keys() {
        let key = EnvironmentKey::of([7; 32], [1; 32]).unwrap();
        let other = EnvironmentKey::of([7; 32], [2; 32]).unwrap();
        let id = Uuid::from_u128(1);
        let public = key.host_public("x", id, None).unwrap();
        assert_eq!(public, other.host_public("x", id, None).unwrap());
        assert_eq!(
            public,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzCKCpXGVvHRHyFGKz/pUG5l1VWBMeCc8qqINwfJ96G x"
        );
    }

    #[test]
    fn a_secret_that_is_broken_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        EnvironmentKey::generate().unwrap().write(directory.path()).unwrap();
        for text in ["", "zz", &"0".repeat(63), &"0".repeat(66), &"é".repeat(32)] {
            fs::write(directory.path().join(SECRET_FILE), text).unwrap();
            let error = EnvironmentKey::read(directory.path()).err();
            assert!(matches!(error, Some(KeyError::Secret { .. })), "{text}");
        }
    }

    #[test]
    fn every_guest_has_its_own_host_key() {
        let key = EnvironmentKey::generate().unwrap();
        let a = key.host_public("n", Uuid::from_u128(1), Some(1)).unwrap();
        let b = key.host_public("n", Uuid::from_u128(2), Some(1)).unwrap();
        assert_ne!(a, b);
        let private = key.host_private("n", Uuid::from_u128(1), Some(1)).unwrap();
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
    fn who_has_the_secret_has_the_key_of_its_records() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(RecordKey::read(directory.path()), None);
        let key = EnvironmentKey::generate().unwrap();
        key.write(directory.path()).unwrap();
        assert_eq!(RecordKey::read(directory.path()), Some(key.records()));
        assert_ne!(EnvironmentKey::generate().unwrap().records(), key.records());
        assert_ne!(key.records().bytes(), &key.secret, "the secret itself is never used");
        assert_eq!(format!("{:?}", key.records()), "RecordKey(…)");
    }

    #[test]
    fn something_else_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(KEY_FILE), "nonsense").unwrap();
        assert!(matches!(EnvironmentKey::read(directory.path()), Err(KeyError::Form { .. })));
    }
}
