//! What an archive holds, as a value: nothing is made while it is read.
//!
//! Only plain files, directories, and links to a plain name in the same directory are taken. A tree of
//! checked names cannot lead out of the directory that it is put into, whatever order, repetition or
//! chain of links the archive comes with.

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

/// Most bytes that an archive may unpack to, headers included; keys and texts take a few kilobytes.
pub const LARGEST: u64 = 256 << 20;
/// A block of zeros is the end of an archive, in bytes.
const BLOCK: usize = 512;
/// Most members of an archive.
const MEMBERS: usize = 20_000;
/// Longest name of a file, in bytes (Linux's `NAME_MAX`).
const LONGEST: usize = 255;
/// Most links that are followed one after the other (Linux's `MAXSYMLINKS`).
const LINKS: usize = 40;
/// How deep directories may be nested.
const DEEPEST: usize = 16;

/// One thing in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory(Tree),
    /// A file with its content.
    File(Vec<u8>),
    /// A link to a name in the same directory.
    Link(String),
}

/// A directory's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// By name in lower case: on some file systems names that differ in case only are one file.
    entries: BTreeMap<String, (String, Node)>,
}

impl Tree {
    /// Names and what they stand for, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.values().map(|(name, node)| (name.as_str(), node))
    }

    /// What a name stands for, whatever its case.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entries.get(&name.to_lowercase()).map(|(_, node)| node)
    }

    /// What a name stands for in the end, with its name, whatever its case: links lead to names beside them.
    /// Nothing where they lead nowhere, or round in a circle.
    pub fn end(&self, name: &str) -> Option<(&str, &Node)> {
        let mut name = name.to_lowercase();
        for _ in 0..=LINKS {
            match self.entries.get(&name)? {
                (_, Node::Link(target)) => name = target.to_lowercase(),
                (known, node) => return Some((known, node)),
            }
        }
        None
    }

    /// Puts something in place of what is there.
    pub fn set(&mut self, name: &str, node: Node) {
        self.entries.insert(name.to_lowercase(), (name.into(), node));
    }

    /// The directory at a path, made if it is not there; the error is the path that is something else.
    fn directory(&mut self, path: &[String]) -> Result<&mut Self, String> {
        let Some((name, rest)) = path.split_first() else { return Ok(self) };
        let fresh = || (name.clone(), Node::Directory(Self::default()));
        match self.entries.entry(name.to_lowercase()).or_insert_with(fresh) {
            (known, Node::Directory(tree)) if known == name => tree.directory(rest),
            _ => Err(name.clone()),
        }
    }
}

/// Reads a gzipped tar archive. The error is a sentence's end: why it is not taken.
pub fn read(archive: impl Read) -> Result<Tree, String> {
    let limited = Limited { inner: GzDecoder::new(archive), left: LARGEST, zeros: 0 };
    let mut tar = Archive::new(limited);
    let mut tree = Tree::default();
    let text = |e: io::Error| e.to_string();
    for (count, entry) in tar.entries().map_err(text)?.enumerate() {
        if count == MEMBERS {
            return Err(format!("it has more than {MEMBERS} members"));
        }
        add(&mut tree, entry.map_err(text)?)?;
    }
    // What is behind the last member says that it was the last one, and that nothing was damaged.
    let mut rest = tar.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(text)?;
    if rest.zeros < BLOCK {
        return Err("its end is missing".into());
    }
    Ok(tree)
}

fn add<R: Read>(tree: &mut Tree, mut entry: Entry<'_, R>) -> Result<(), String> {
    let kind = entry.header().entry_type();
    if matches!(kind, EntryType::XGlobalHeader) {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(&entry.path_bytes()).escape_debug().to_string();
    let shown = shown.chars().take(80).collect::<String>();
    let path = path(&entry.path_bytes()).map_err(|why| format!("`{shown}` {why}"))?;
    let Some((name, parents)) = path.split_last() else {
        return if kind == EntryType::Directory {
            Ok(())
        } else {
            Err(format!("`{shown}` is not a file's name"))
        };
    };
    let node = match kind {
        EntryType::Directory => {
            let taken = tree.directory(&path).map(|_| ());
            return taken
                .map_err(|at| format!("`{shown}` leads through `{at}`, which is not a directory"));
        }
        EntryType::Regular | EntryType::Continuous => {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
            Node::File(bytes)
        }
        EntryType::Symlink => {
            let target = entry.link_name_bytes().unwrap_or_default();
            let target = link(&target).ok_or_else(|| {
                format!("link `{shown}` leads elsewhere than to a file beside it")
            })?;
            Node::Link(target)
        }
        other => {
            return Err(format!("`{shown}` is neither a file, a directory nor a link ({other:?})"));
        }
    };
    let directory = tree
        .directory(parents)
        .map_err(|at| format!("`{shown}` leads through `{at}`, which is not a directory"))?;
    if directory.get(name).is_some() {
        return Err(format!("`{shown}` is in it twice, or differs from another name in case only"));
    }
    directory.set(name, node);
    Ok(())
}

/// The parts of a member's path; the error is a sentence's end: why it is not taken.
pub fn path(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    if text.starts_with('/') {
        return Err("is an absolute path".into());
    }
    let parts: Vec<String> =
        text.split('/').filter(|p| !p.is_empty() && *p != ".").map(String::from).collect();
    if parts.len() > DEEPEST {
        return Err("is nested too deeply".into());
    }
    match parts.iter().find(|p| !is_plain(p)) {
        Some(part) if part == ".." => Err("leads out of the workspace".into()),
        Some(_) => Err("has a name that is not taken".into()),
        None => Ok(parts),
    }
}

/// Whether a name can only be that of something in the same directory.
pub fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && name.len() <= LONGEST
        && !name.chars().any(|c| c.is_control() || c == '/')
}

/// The name in the same directory that a link leads to. InfraRed's links are absolute, into the
/// workspace that was exported: what counts is the file's name there.
fn link(target: &[u8]) -> Option<String> {
    let target = std::str::from_utf8(target).ok()?;
    let name = if target.starts_with('/') { target.rsplit('/').next()? } else { target };
    is_plain(name).then(|| name.to_string())
}

/// Ends with an error where an archive unpacks to more than it may.
struct Limited<R> {
    inner: R,
    left: u64,
    /// How many zeros it ends with so far, or a block's.
    zeros: usize,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        let zeros = read.iter().rev().take(BLOCK).take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == count { (self.zeros + zeros).min(BLOCK) } else { zeros };
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                let most = LARGEST >> 20;
                return Err(io::Error::other(format!("it unpacks to more than {most} MiB")));
            }
        }
        Ok(count)
    }
}
