//! What a service keeps over a restart of its own: a few small documents, each by its name.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest document, in bytes.
pub const LONGEST: usize = 1 << 20;

/// Keeps documents by their names over a restart of the service.
pub trait Store: Send + Sync {
    /// The document of a name; none if there is none.
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>>;
    /// Keeps a document, in the place of the one before: whole, or not at all.
    fn save(&self, name: &str, document: &[u8]) -> Result<()>;
}

/// Documents in a directory of the service's own, as files that nobody else can read.
pub struct Directory(PathBuf);

impl Directory {
    /// A directory that is there.
    pub fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// Where a document is. Names are the service's own words.
    fn file(&self, name: &str) -> Result<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(Error::new(ErrorKind::InvalidInput, format!("`{name}` is not a name")));
        }
        Ok(self.0.join(format!("{name}.json")))
    }
}

impl Store for Directory {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let file = match File::open(self.file(name)?) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut document = Vec::new();
        file.take(LONGEST as u64 + 1).read_to_end(&mut document)?;
        if document.len() > LONGEST {
            return Err(Error::new(ErrorKind::InvalidData, "the file is too long"));
        }
        Ok(Some(document))
    }

    fn save(&self, name: &str, document: &[u8]) -> Result<()> {
        if document.len() > LONGEST {
            return Err(Error::new(ErrorKind::InvalidData, "the document is too long"));
        }
        let path = self.file(name)?;
        let new = path.with_extension("new");
        // One that a service which has ended had begun is in the way, and nobody's.
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(document)?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        // The name is on the disk, too.
        File::open(&self.0)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_document_is_the_last_one_that_was_kept_and_nobody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let store = Directory::new(directory.path());
        assert_eq!(store.load("accounts").unwrap(), None);
        for text in ["first", "second"] {
            std::fs::write(directory.path().join("accounts.new"), "half of").unwrap();
            store.save("accounts", text.as_bytes()).unwrap();
            assert_eq!(store.load("accounts").unwrap().unwrap(), text.as_bytes());
        }
        let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().flatten().collect();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn names_lead_nowhere_else_and_documents_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let store = Directory::new(directory.path());
        for name in ["", "../x", "a/b", ".", "a.b"] {
            assert!(store.save(name, b"x").is_err() && store.load(name).is_err(), "{name}");
        }
        assert!(store.save("x", &vec![0; LONGEST + 1]).is_err());
        std::fs::write(directory.path().join("x.json"), vec![0; LONGEST + 1]).unwrap();
        assert!(store.load("x").is_err());
    }
}
