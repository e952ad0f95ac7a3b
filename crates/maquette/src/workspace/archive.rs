//! Workspaces as archives: one place that decides what may come out of one.

mod arguments;
mod bundle;
mod checked;
mod contents;
mod hosts;
mod place;
mod words;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use maquette_core::diagnostic::Diagnostic;
use maquette_core::values::printable;
use maquette_engine::StepError;
use maquette_engine::private_file;
use tar::{Builder, EntryType, Header};
use uuid::Uuid;

use crate::failure::Failure;
use crate::userfile::{self, Content};
use crate::workspace::inventory::Inventory;
use crate::workspace::outputs;
use crate::workspace::{SAVED, Workspace};
use crate::world::Terminal;
use words::PLACEHOLDER;

pub use bundle::bundle;

/// InfraRed's list of what a workspace was used for.
pub const REGISTRY: &str = ".registry";

/// What no other workspace has a use for: what the last command did here, and what is known here of how long the environment
/// lasts and with whom it is shared.
const LEFT_OUT: [&str; 3] = [outputs::EVENTS, outputs::LIFETIME, outputs::COLLEAGUES];

/// Writes a workspace into `target`; keys from elsewhere go along if `copy_keys`.
pub fn export(
    terminal: &Terminal,
    workspace: &Workspace,
    target: &Path,
    copy_keys: bool,
) -> Result<(), Failure> {
    let failed =
        |e: io::Error| Failure::because(format!("cannot write archive {}", target.display()), e);
    let mut rewrites = vec![(workspace.path.display().to_string(), PLACEHOLDER.to_string())];
    let mut keys = Vec::new();
    if copy_keys {
        for key in outside_keys(workspace).map_err(failed)? {
            let base = key.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let base = if contents::is_plain(base) && base.len() < 200 { base } else { "key" };
            let unique = Uuid::new_v5(&Uuid::NAMESPACE_URL, key.as_os_str().as_encoded_bytes());
            let name = format!("{base}-{}", &unique.simple().to_string()[..8]);
            let text = private_key(&key)?;
            rewrites.push((key.display().to_string(), format!("{PLACEHOLDER}/{name}")));
            // Whoever gets the archive gets these, too.
            terminal.talk(&format!("packed: private key {}", key.display()));
            keys.push((name, text));
        }
    }
    // The user's file is written once all of it is there.
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    tar.follow_symlinks(false);
    let root = workspace.path.canonicalize().map_err(failed)?;
    let mut packing = Packing {
        tar,
        root,
        rewrites,
        left: contents::LARGEST,
        names: BTreeSet::new(),
        left_out: Vec::new(),
    };
    packing.pack(&workspace.path, Path::new(".")).map_err(failed)?;
    for (name, text) in keys {
        append(&mut packing.tar, &Path::new(".").join(name), &text, 0o600).map_err(failed)?;
    }
    for (path, why) in &packing.left_out {
        let path = printable(&path.display().to_string()).replace('\n', " ");
        terminal.talk(&format!("not packed: {path}, which {why}"));
    }
    let bytes = packing.tar.into_inner().and_then(GzEncoder::finish).map_err(failed)?;
    // An archive that nobody can take in again is noticed when what it was made of is gone.
    contents::read(bytes.as_slice()).map_err(|why| {
        failed(io::Error::other(format!("`workspace import` would not take it: {why}")))
    })?;
    userfile::write(terminal, target, &bytes, Content::Secret)
}

/// Keys outside the workspace that its inventory names.
fn outside_keys(workspace: &Workspace) -> io::Result<Vec<PathBuf>> {
    let mut keys = Vec::new();
    let path = workspace.file(outputs::INVENTORY);
    if !path.exists() {
        return Ok(keys);
    }
    for host in Inventory::read(&path)?.hosts {
        let Some(key) = host.var("ansible_ssh_private_key_file").map(PathBuf::from) else {
            continue;
        };
        if key.is_absolute() && !key.starts_with(&workspace.path) && !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Most bytes of a private key: the longest of RSA that OpenSSH makes takes a quarter of that.
const LONGEST_KEY: usize = 64 << 10;

/// A private key from elsewhere. An inventory may name any file as one, of a user who may read more than whoever wrote
/// it: what is not a key stays where it is.
fn private_key(path: &Path) -> Result<Vec<u8>, Failure> {
    let text = private_file::read(path)
        .map_err(|e| Failure::because(format!("cannot read key {}", path.display()), e))?;
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    let is_key = first.starts_with(b"-----BEGIN ") && first.ends_with(b"PRIVATE KEY-----");
    if is_key && text.len() <= LONGEST_KEY {
        return Ok(text);
    }
    let message = format!("{} is not a private key, and is not packed", path.display());
    let error = StepError::new(message)
        .hint("`ansible_ssh_private_key_file` of the workspace's inventory names it as one")
        .hint("without `--copy-keys` the archive has the workspace alone");
    Err(Failure::Failed(error))
}

fn append<W: io::Write>(
    tar: &mut Builder<W>,
    name: &Path,
    text: &[u8],
    mode: u32,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(mode);
    header.set_entry_type(EntryType::Regular);
    tar.append_data(&mut header, name, text)
}

/// What is in a file, out of what an archive may still have.
fn whole(path: &Path, left: &mut u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(*left + 1).read_to_end(&mut bytes)?;
    *left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
        let (file, most) = (path.display(), contents::LARGEST >> 20);
        let message = format!(
            "with {file} it has more than {most} MiB, which `workspace import` does not take; keep what is large elsewhere"
        );
        io::Error::new(io::ErrorKind::FileTooLarge, message)
    })?;
    Ok(bytes)
}

/// What is put into an archive, and what is not.
struct Packing<W: io::Write> {
    tar: Builder<W>,
    /// The workspace, without links.
    root: PathBuf,
    /// Paths that are other ones where it is unpacked.
    rewrites: Vec<(String, String)>,
    /// Bytes that it may still have.
    left: u64,
    /// Names that it has, in lower case: those that differ in case only are one file elsewhere.
    names: BTreeSet<String>,
    /// What of the workspace it does not have, and why: what `workspace import` would refuse, and links that lead out of the
    /// workspace. Whoever put such a link there may have been able to read less than whoever packs.
    left_out: Vec<(PathBuf, String)>,
}

impl<W: io::Write> Packing<W> {
    fn pack(&mut self, directory: &Path, name: &Path) -> io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(directory)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if name == Path::new(".") && LEFT_OUT.iter().any(|left| entry.file_name() == *left) {
                continue;
            }
            let (path, name) = (entry.path(), name.join(entry.file_name()));
            let kind = entry.file_type()?;
            if let Err(why) = self.is_taken(&name) {
                self.left_out.push((path, why));
            } else if kind.is_dir() {
                self.pack(&path, &name)?;
            } else if kind.is_symlink() {
                self.link(directory, &path, &name)?;
            } else if kind.is_file() {
                let mut bytes = whole(&path, &mut self.left)?;
                if is_rewritten(&name)
                    && let Ok(mut text) = String::from_utf8(bytes.clone())
                {
                    for (from, to) in &self.rewrites {
                        text = text.replace(from, to);
                    }
                    bytes = text.into_bytes();
                }
                append(&mut self.tar, &name, &bytes, 0o600)?;
            }
        }
        Ok(())
    }

    /// Notes a name that the archive gets; the error is why `workspace import` would not take it.
    fn is_taken(&mut self, name: &Path) -> Result<(), String> {
        let parts = contents::path(name.as_os_str().as_encoded_bytes())?;
        match self.names.insert(parts.join("/").to_lowercase()) {
            true => Ok(()),
            false => Err("differs from another name in case only".into()),
        }
    }

    /// Packs a link to a file beside it, or what one to elsewhere in the workspace leads to.
    fn link(&mut self, directory: &Path, path: &Path, name: &Path) -> io::Result<()> {
        let target = fs::read_link(path)?;
        // A link's target inside the workspace is relative, wherever it is unpacked.
        let target = target.strip_prefix(directory).unwrap_or(&target).to_path_buf();
        if target.to_str().is_some_and(contents::is_plain) {
            let mut header = Header::new_gnu();
            header.set_size(0);
            header.set_mode(0o777);
            header.set_entry_type(EntryType::Symlink);
            return self.tar.append_link(&mut header, name, target);
        }
        // No such link would be taken in again; what it leads to may be.
        let why = match path.canonicalize() {
            Ok(end) if !end.starts_with(&self.root) => "leads out of the workspace",
            Ok(end) if end.is_file() => {
                return append(&mut self.tar, name, &whole(&end, &mut self.left)?, 0o600);
            }
            Ok(_) => "leads to something else than a file",
            Err(_) => "leads nowhere",
        };
        self.left_out.push((path.into(), why.into()));
        Ok(())
    }
}

/// Files that name paths of the workspace: inventories, and what is written beside them.
fn is_rewritten(name: &Path) -> bool {
    let name = name.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.starts_with("hosts") || [outputs::LOCAL, outputs::SSH_CONFIG, SAVED].contains(&name)
}

/// Makes a workspace of an archive: whole, or not at all. Returns what of it is not taken, in words.
pub fn import(archive: &Path, workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let tree =
        File::open(archive).map_err(|e| e.to_string()).and_then(understood).map_err(|why| {
            let message = format!("cannot use archive {}: {why}", archive.display());
            Failure::input(Diagnostic::error("archive::unusable", message))
        })?;
    make(tree, &workspace.path).map_err(|why| Failure::Failed(StepError::new(why)))
}

/// Makes `directory`, which must not exist, from an archive. What Maquette, `ssh` or Ansible would
/// interpret is rewritten from checked values; what is not taken is returned, in words.
pub fn unpack(archive: impl Read, directory: &Path) -> Result<Vec<String>, String> {
    make(understood(archive)?, directory)
}

/// What is in an archive. Libraries' errors quote what they have read.
fn understood(archive: impl Read) -> Result<contents::Tree, String> {
    contents::read(archive).map_err(|why| printable(&why).replace('\n', " "))
}

fn make(tree: contents::Tree, directory: &Path) -> Result<Vec<String>, String> {
    let (mut tree, left_out) = checked::check(tree, &directory.display().to_string());
    if tree.get(REGISTRY).is_none() {
        tree.set(REGISTRY, contents::Node::File(Vec::new()));
    }
    place::place(&tree, directory)
        .map_err(|e| format!("cannot make {}: {e}", directory.display()))?;
    Ok(left_out)
}

#[cfg(test)]
mod tests;
