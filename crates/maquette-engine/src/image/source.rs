//! What the user's word for an image means.

use std::fs::File;
use std::path::{Path, PathBuf};

use maquette_core::blueprint::Image;
use maquette_core::diagnostic::closest;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::catalogue::{self, Entry};
use super::header::{self, Header};

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An address that curl understands.
    Url(String),
    /// A file on this machine: given by path, or built here under a name.
    File(PathBuf),
    /// A published image.
    Catalogue(&'static Entry),
}

/// Why a word names no image.
#[derive(Debug, Error)]
pub enum SourceError {
    /// Neither a URL, nor a file, nor a known name.
    #[error("there is no image `{name}`")]
    Unknown {
        /// The word.
        name: String,
        /// A name like it.
        suggestion: Option<&'static str>,
    },
    /// The file is there and cannot be used.
    #[error("cannot read image {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file needs unpacking.
    #[error("image {path} is compressed with {compression}; unpack it first")]
    Compressed {
        /// The file.
        path: PathBuf,
        /// How it is compressed.
        compression: &'static str,
    },
    /// The file refers to another file.
    #[error("image {path} has a backing file; flatten it with `qemu-img convert` first")]
    Backed {
        /// The file.
        path: PathBuf,
    },
}

impl Source {
    /// Understands a word. Images built here (in `built`) win over published ones of that name.
    pub fn parse(word: &str, built: &Path) -> Result<Self, SourceError> {
        // A `file://` that is not here is a file of the hypervisor; curl reads it there.
        if let Some(path) = word.strip_prefix("file://").map(Path::new)
            && path.is_file()
        {
            return Ok(Self::File(path.into()));
        }
        if word.contains("://") {
            return Ok(Self::Url(word.into()));
        }
        let path = Path::new(word);
        if word.contains('/') || path.is_file() {
            return Ok(Self::File(path.to_path_buf()));
        }
        let own = built.join(format!("{word}.qcow2"));
        if own.is_file() {
            return Ok(Self::File(own));
        }
        catalogue::find(word).map(Self::Catalogue).ok_or_else(|| SourceError::Unknown {
            name: word.into(),
            suggestion: closest(word, catalogue::ENTRIES.iter().map(|e| e.name)),
        })
    }
}

/// An image with its name in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The image.
    pub image: Image,
    /// Its virtual size in bytes, where that can be known beforehand.
    pub size: Option<u64>,
}

/// Finds out what volume an image is cached as: by content for files, by address for what is
/// elsewhere.
pub fn resolve(word: &str, built: &Path) -> Result<Resolved, SourceError> {
    let (stem, key, size) = match Source::parse(word, built)? {
        Source::Url(url) => (stem(&url), digest(url.as_bytes()), None),
        Source::Catalogue(entry) => (entry.name.to_string(), digest(entry.url.as_bytes()), None),
        Source::File(path) => {
            let failed = |source| SourceError::File { path: path.clone(), source };
            let size = match header::read(&path).map_err(failed)? {
                Header::Qcow2 { backed: true, .. } => return Err(SourceError::Backed { path }),
                Header::Compressed(compression) => {
                    return Err(SourceError::Compressed { path, compression });
                }
                Header::Qcow2 { size, .. } => size,
                Header::Raw => path.metadata().map_err(failed)?.len(),
            };
            let mut hash = Sha256::new();
            let mut file = File::open(&path).map_err(failed)?;
            std::io::copy(&mut file, &mut hash).map_err(failed)?;
            (stem(&path.to_string_lossy()), hex(&hash.finalize()), Some(size))
        }
    };
    let volume = format!("maquette-{stem}-{}.qcow2", &key[..12]);
    Ok(Resolved { image: Image { source: word.into(), volume }, size })
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The last component without query and ending, with nothing that a file name should not have.
fn stem(address: &str) -> String {
    let last = address.split(['?', '#']).next().unwrap_or("").rsplit('/').next().unwrap_or("");
    let last = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    let clean: String = last
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .take(60)
        .collect();
    if clean.is_empty() { "image".into() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood() {
        let built = tempfile::tempdir().unwrap();
        let parse = |w: &str| Source::parse(w, built.path());
        assert!(matches!(parse("https://x/y.qcow2"), Ok(Source::Url(_))));
        assert!(matches!(parse("./y.qcow2"), Ok(Source::File(_))));
        assert!(matches!(parse("debian-12"), Ok(Source::Catalogue(_))));
        std::fs::write(built.path().join("debian-12.qcow2"), "x").unwrap();
        assert!(matches!(parse("debian-12"), Ok(Source::File(_))));
        match parse("debain-12") {
            Err(SourceError::Unknown { suggestion, .. }) => {
                assert_eq!(suggestion, Some("debian-12"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_are_cached_by_content() {
        let directory = tempfile::tempdir().unwrap();
        let volume = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            resolve(path.to_str().unwrap(), directory.path()).unwrap().image.volume
        };
        let first = volume("a.img", "one");
        assert_eq!(volume("a.img", "one"), first);
        assert_ne!(volume("a.img", "two"), first);
        assert!(first.starts_with("maquette-a-") && first.ends_with(".qcow2"));
    }

    #[test]
    fn file_names_are_sane() {
        assert_eq!(stem("https://x/y/Cloud Image.qcow2?token=a/b"), "Cloud_Image");
        assert_eq!(stem("https://x/"), "image");
    }
}
