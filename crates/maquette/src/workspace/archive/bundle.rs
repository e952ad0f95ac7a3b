//! An archive of texts.

use std::io;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::Builder;

use super::append;

/// Packs texts under their names into a gzipped tar archive, all in `folder`.
pub fn bundle(folder: &str, files: &[(String, String)]) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in files {
        append(&mut tar, &Path::new(folder).join(name), text.as_bytes(), 0o600)?;
    }
    tar.into_inner().and_then(GzEncoder::finish)
}
