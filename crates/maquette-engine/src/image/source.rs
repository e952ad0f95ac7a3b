//! What the user's word for an image means.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use maquette_core::blueprint::{Image, ImageOrigin};
use maquette_core::diagnostic::closest;
use maquette_core::hex::hex;
use maquette_core::image::{
    Checksum, Format, HEAD, ImageLocation, ImageRef, ImageRefError, NotAnImage, inspect,
};
use maquette_core::values::ValueError;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::catalogue::{self, Entry};
use super::checksum;

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An address of `http` or `https`.
    Url(String),
    /// A file on this machine: given by path, or built here under a name.
    File(PathBuf),
    /// A published image.
    Catalogue(&'static Entry),
}

/// An image that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it comes from.
    pub origin: Origin,
    /// What it has to be, where the user said so.
    pub sum: Option<Checksum>,
}

/// Why a word does not name an image.
#[derive(Debug, Error)]
pub enum SourceError {
    /// It is not a word for an image at all.
    #[error(transparent)]
    ImageRef(#[from] ImageRefError),
    /// Neither a URL, nor a file, nor a known name.
    #[error("there is no image `{name}`")]
    Unknown {
        /// The word as it was given.
        name: String,
        /// A known name that is like it, if there is one.
        suggestion: Option<&'static str>,
    },
    /// The file is there and cannot be used.
    #[error("cannot read image {path}")]
    File {
        /// The file on this machine.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{path} is not a disk image that can be used")]
    NotAnImage {
        /// The file on this machine.
        path: PathBuf,
        /// What it is.
        #[source]
        source: NotAnImage,
    },
    /// The file is not the one that was asked for.
    #[error("image {path} does not match its checksum: wanted {wanted}, and it has {actual}")]
    Checksum {
        /// The file on this machine.
        path: PathBuf,
        /// What it should have.
        wanted: Checksum,
        /// What it has, with its kind.
        actual: String,
    },
}

impl Source {
    /// Understands a word. Images built here (in `built`) win over published ones of that name.
    pub fn parse(word: &str, built: &Path) -> Result<Self, SourceError> {
        // A file may be called what looks like an image with a checksum.
        if Path::new(word).is_file() {
            return Ok(Self { origin: Origin::File(word.into()), sum: None });
        }
        let ImageRef { place, sum } = ImageRef::parse(word)?;
        let name = match place {
            ImageLocation::Url(url) => return Ok(Self { origin: Origin::Url(url), sum }),
            ImageLocation::Local(name) => name,
        };
        let path = Path::new(&name);
        if name.contains('/') || path.is_file() {
            return Ok(Self { origin: Origin::File(path.to_path_buf()), sum });
        }
        let own = built.join(format!("{name}.qcow2"));
        if own.is_file() {
            return Ok(Self { origin: Origin::File(own), sum });
        }
        match catalogue::find(&name) {
            Some(entry) => Ok(Self { origin: Origin::Catalogue(entry), sum }),
            None => {
                let suggestion = closest(&name, catalogue::ENTRIES.iter().map(|e| e.name));
                Err(SourceError::Unknown { name, suggestion })
            }
        }
    }
}

impl Source {
    /// What an image from elsewhere is known by, as [`Resolved`] has it; none for a file, which has to be read for that.
    pub(super) fn identity(&self) -> Option<String> {
        match &self.origin {
            Origin::Url(url) => Some(identity(url, self.sum.as_ref())),
            Origin::Catalogue(entry) => Some(identity(entry.url, self.sum.as_ref())),
            Origin::File(_) => None,
        }
    }
}

/// An image with its name in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The image, with the volume that it is cached as.
    pub image: Image,
    /// What it is known by, in hexadecimal; its volume's name has the first digits.
    pub identity: String,
    /// Its virtual size in bytes, where that can be known beforehand.
    pub size: Option<u64>,
    /// Where it comes from.
    pub origin: ImageOrigin,
}

/// Finds out what volume an image is cached as: by content for files, by address and checksum for what
/// is elsewhere. A file is looked at and verified.
pub fn resolve(word: &str, built: &Path) -> Result<Resolved, SourceError> {
    let Source { origin, sum } = Source::parse(word, built)?;
    let download = |url: &str| ImageOrigin::Download { server: server(url).into() };
    let (stem, key, size, origin) = match origin {
        Origin::Url(url) => {
            (stem(named_by(&url)), identity(&url, sum.as_ref()), None, download(&url))
        }
        Origin::Catalogue(entry) => {
            let key = identity(entry.url, sum.as_ref());
            (entry.name.to_string(), key, None, download(entry.url))
        }
        Origin::File(path) => {
            let Looked { size, bytes } = look(&path)?;
            let failed = |source| SourceError::File { path: path.clone(), source };
            if let Some(wanted) = sum {
                let actual = checksum::of(&path, wanted.kind()).map_err(failed)?;
                if actual != wanted.digits() {
                    let actual = format!("{}:{actual}", wanted.kind().word());
                    return Err(SourceError::Checksum { path, wanted, actual });
                }
            }
            let key = checksum::sha256(&path).map_err(failed)?;
            let origin = match path.starts_with(built) {
                true => ImageOrigin::Built { bytes },
                false => ImageOrigin::File { bytes },
            };
            (stem(&path.to_string_lossy()), key, size, origin)
        }
    };
    let volume = format!("maquette-{stem}-{}.qcow2", &key[..12]).parse();
    let volume = volume.map_err(|error: ValueError| SourceError::File {
        path: word.into(),
        source: std::io::Error::other(error),
    })?;
    Ok(Resolved { image: Image { source: word.into(), volume }, identity: key, size, origin })
}

/// A file that is an image, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// Size of its disk in bytes; none if it is packed.
    pub size: Option<u64>,
    /// Its own size in bytes.
    pub bytes: u64,
}

/// Looks at a file's first bytes; an error if no image begins so.
pub fn look(path: &Path) -> Result<Looked, SourceError> {
    let failed = |source| SourceError::File { path: path.into(), source };
    // Others, such as pipes, have no end, or none that is known.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("it is not a regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let mut head = Vec::new();
    file.take(HEAD as u64).read_to_end(&mut head).map_err(failed)?;
    let size = match inspect(&head, len) {
        Ok(Format::Qcow2 { size }) => Some(size),
        Ok(Format::Raw) => Some(len),
        Ok(Format::Compressed(_)) => None,
        Err(source) => return Err(SourceError::NotAnImage { path: path.into(), source }),
    };
    Ok(Looked { size, bytes: len })
}

/// The server of an address, without whoever asks it.
fn server(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// What an address calls its image: its path, or the server where it has none.
fn named_by(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
    if path.starts_with('/') { path } else { server(url) }
}

/// What an image from elsewhere is known by: its address without whoever asks for it, and its checksum.
fn identity(url: &str, sum: Option<&Checksum>) -> String {
    let mut known = url.to_string();
    if let Some((scheme, rest)) = url.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        known = format!("{scheme}://{}{}", server(url), &rest[authority.len()..]);
    }
    if let Some(sum) = sum {
        known = format!("{known}#{sum}");
    }
    digest(known.as_bytes())
}

fn digest(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
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
        let origin = |w: &str| parse(w).unwrap().origin;
        assert!(matches!(origin("https://x/y.qcow2"), Origin::Url(_)));
        assert!(matches!(origin("./y.qcow2"), Origin::File(_)));
        assert!(matches!(origin("file:///y.qcow2"), Origin::File(_)));
        assert!(matches!(origin("debian-12"), Origin::Catalogue(_)));
        std::fs::write(built.path().join("debian-12.qcow2"), "x").unwrap();
        assert!(matches!(origin("debian-12"), Origin::File(_)));
        assert!(matches!(parse("scp://x/y.qcow2"), Err(SourceError::ImageRef(_))));
        match parse("debain-12") {
            Err(SourceError::Unknown { suggestion, .. }) => {
                assert_eq!(suggestion, Some("debian-12"));
            }
            other => panic!("{other:?}"),
        }
    }

    /// A disk with a boot sector, and something behind it.
    fn disk(content: &str) -> Vec<u8> {
        let mut bytes = vec![0u8; 1 << 20];
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        bytes[1024..1024 + content.len()].copy_from_slice(content.as_bytes());
        bytes
    }

    #[test]
    fn files_are_cached_by_content() {
        let directory = tempfile::tempdir().unwrap();
        let volume = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, disk(content)).unwrap();
            resolve(path.to_str().unwrap(), directory.path()).unwrap().image.volume
        };
        let first = volume("a.img", "one");
        assert_eq!(volume("a.img", "one"), first);
        assert_ne!(volume("a.img", "two"), first);
        assert!(first.starts_with("maquette-a-") && first.ends_with(".qcow2"));
    }

    #[test]
    fn a_checksum_is_part_of_what_an_image_is_and_a_password_is_not() {
        let volume = |word: &str| resolve(word, Path::new("/nowhere")).unwrap().image.volume;
        let plain = volume("https://h/x.qcow2");
        assert_eq!(volume("https://user:secret@h/x.qcow2"), plain);
        assert_eq!(volume("https://user:secret@h"), volume("https://h"));
        let sum = |digit: &str| format!("#sha256:{}", digit.repeat(64));
        let first = volume(&format!("https://h/x.qcow2{}", sum("a")));
        assert_ne!(first, plain);
        assert_ne!(first, volume(&format!("https://h/x.qcow2{}", sum("b"))));
        assert_eq!(first, volume(&format!("https://h/x.qcow2{}", sum("A").replace(':', "="))));
        assert_ne!(volume("debian-12"), volume(&format!("debian-12{}", sum("a"))));
    }

    #[test]
    fn where_an_image_comes_from_is_told_without_a_password() {
        let built = tempfile::tempdir().unwrap();
        let origin = |word: &str| resolve(word, built.path()).unwrap().origin.to_string();
        assert_eq!(origin("https://user:secret@h:8443/x.qcow2"), "is downloaded from h:8443");
        assert_eq!(origin("debian-12"), "is downloaded from cloud.debian.org");
        let own = built.path().join("debian-12.qcow2");
        std::fs::write(&own, disk("one")).unwrap();
        assert_eq!(origin("debian-12"), "was built on this machine, 1 MiB");
        let elsewhere = tempfile::tempdir().unwrap();
        let file = elsewhere.path().join("x.img");
        std::fs::write(&file, disk("one")).unwrap();
        assert_eq!(origin(file.to_str().unwrap()), "is copied from this machine, 1 MiB");
    }

    #[test]
    fn a_file_is_looked_at_and_verified_before_anything_is_planned() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.img");
        let resolve = |word: &str| resolve(word, directory.path());
        let word = path.to_str().unwrap();
        assert!(matches!(resolve("/dev/zero"), Err(SourceError::File { .. })));
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let others: [(&[u8], &str); 6] = [
            (b"", "empty"),
            (b"image: debian-12\n", "text file"),
            (b"<!DOCTYPE html><html>", "web page"),
            (&tar, "tar archive"),
            (b"KDMV\x01", "VMDK"),
            (b"LUKS\xba\xbe", "encrypted"),
        ];
        for (content, says) in others {
            std::fs::write(&path, content).unwrap();
            match resolve(word).unwrap_err() {
                SourceError::NotAnImage { source, .. } => {
                    assert!(source.to_string().contains(says), "{says}: {source}");
                }
                other => panic!("{says}: {other}"),
            }
        }
        std::fs::write(&path, disk("x")).unwrap();
        assert_eq!(resolve(word).unwrap().size, Some(1 << 20));
        let right = checksum::of(&path, maquette_core::image::Kind::Sha512).unwrap();
        resolve(&format!("{word}#sha512={right}")).unwrap();
        let wrong = "0".repeat(64);
        let error = resolve(&format!("{word}#sha256:{wrong}")).unwrap_err().to_string();
        let actual = checksum::sha256(&path).unwrap();
        assert!(error.contains(&wrong) && error.contains(&actual), "{error}");
    }

    #[test]
    fn file_names_are_sane() {
        assert_eq!(stem("https://x/y/Cloud Image.qcow2?token=a/b"), "Cloud_Image");
        assert_eq!(stem("https://x/"), "image");
    }
}
