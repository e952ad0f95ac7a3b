//! Workspaces as archives: one place that decides what may come out of one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use maquette_engine::StepError;
use maquette_engine::keys::write_private;
use tar::{Archive, Builder, EntryType, Header};
use uuid::Uuid;

use crate::failure::Failure;
use crate::inventory::Inventory;
use crate::outputs;
use crate::workspace::{SAVED, Workspace};

/// Stands for the workspace's path in an archive.
const PLACEHOLDER: &str = "%%workspace_dir%%";

/// Most bytes that an archive may unpack to; keys and texts take a few kilobytes.
const LARGEST: u64 = 1 << 30;

/// Writes a workspace into `target`; keys from elsewhere go along if `copy_keys`.
pub fn export(workspace: &Workspace, target: &Path, copy_keys: bool) -> Result<(), Failure> {
    let failed =
        |e: io::Error| Failure::because(format!("cannot write archive {}", target.display()), &e);
    let mut rewrites = vec![(workspace.path.display().to_string(), PLACEHOLDER.to_string())];
    let mut keys = Vec::new();
    if copy_keys {
        for key in outside_keys(workspace).map_err(failed)? {
            let base = key.file_name().and_then(|n| n.to_str()).unwrap_or("key");
            let unique = Uuid::new_v5(&Uuid::NAMESPACE_URL, key.as_os_str().as_encoded_bytes());
            let name = format!("{base}-{}", &unique.simple().to_string()[..8]);
            let text = fs::read(&key)
                .map_err(|e| Failure::because(format!("cannot read key {}", key.display()), &e))?;
            rewrites.push((key.display().to_string(), format!("{PLACEHOLDER}/{name}")));
            keys.push((name, text));
        }
    }
    let temporary = target.with_extension("tgz.new");
    let _ = fs::remove_file(&temporary);
    write_private(&temporary, b"").map_err(failed)?;
    let file = fs::OpenOptions::new().write(true).open(&temporary).map_err(failed)?;
    let mut tar = Builder::new(GzEncoder::new(file, Compression::default()));
    tar.follow_symlinks(false);
    pack(&mut tar, &workspace.path, Path::new("."), &rewrites).map_err(failed)?;
    for (name, text) in keys {
        append(&mut tar, &Path::new(".").join(name), &text, 0o600).map_err(failed)?;
    }
    tar.into_inner().and_then(GzEncoder::finish).and_then(|f| f.sync_all()).map_err(failed)?;
    fs::rename(&temporary, target).map_err(failed)
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

fn pack<W: io::Write>(
    tar: &mut Builder<W>,
    directory: &Path,
    name: &Path,
    rewrites: &[(String, String)],
) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(directory)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            pack(tar, &path, &name, rewrites)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&path)?;
            // A link's target inside the workspace is relative, wherever it is unpacked.
            let target = target.strip_prefix(directory).unwrap_or(&target).to_path_buf();
            let mut header = Header::new_gnu();
            header.set_size(0);
            header.set_mode(0o777);
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, &name, target)?;
        } else if kind.is_file() {
            let mut bytes = fs::read(&path)?;
            if is_rewritten(&name)
                && let Ok(mut text) = String::from_utf8(bytes.clone())
            {
                for (from, to) in rewrites {
                    text = text.replace(from, to);
                }
                bytes = text.into_bytes();
            }
            append(tar, &name, &bytes, 0o600)?;
        }
    }
    Ok(())
}

/// Files that name paths of the workspace: inventories, and what is written beside them.
fn is_rewritten(name: &Path) -> bool {
    let name = name.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.starts_with("hosts") || [outputs::LOCAL, outputs::SSH_CONFIG, SAVED].contains(&name)
}

/// Unpacks an archive into an empty workspace. Members that would end up elsewhere are refused, and
/// then nothing of the archive is kept.
pub fn import(archive: &Path, workspace: &Workspace) -> Result<(), Failure> {
    let unpacked = unpack(archive, &workspace.path);
    unpacked.map_err(|why| {
        Failure::Failed(StepError::new(format!("cannot use archive {}: {why}", archive.display())))
    })
}

fn unpack(archive: &Path, directory: &Path) -> Result<(), String> {
    let text = |e: io::Error| e.to_string();
    let file = File::open(archive).map_err(text)?;
    let mut tar = Archive::new(GzDecoder::new(file));
    let mut links = Vec::new();
    let mut total = 0;
    for entry in tar.entries().map_err(text)? {
        let mut entry = entry.map_err(text)?;
        let name = entry.path().map_err(text)?.into_owned();
        let inside = relative(&name).ok_or(format!("`{}` leads out of it", name.display()))?;
        let target = directory.join(&inside);
        total += entry.size();
        if total > LARGEST {
            return Err("it unpacks to more than a workspace holds".into());
        }
        match entry.header().entry_type() {
            EntryType::Directory => make(&target).map_err(text)?,
            EntryType::Regular | EntryType::Continuous => {
                if let Some(parent) = target.parent() {
                    make(parent).map_err(text)?;
                }
                let mut bytes = Vec::new();
                (&mut entry).take(LARGEST).read_to_end(&mut bytes).map_err(text)?;
                if is_rewritten(&inside)
                    && let Ok(content) = String::from_utf8(bytes.clone())
                {
                    let path = directory.display().to_string();
                    bytes = content.replace(PLACEHOLDER, &path).into_bytes();
                }
                write_private(&target, &bytes).map_err(text)?;
            }
            EntryType::Symlink => {
                let link = entry.link_name().map_err(text)?.unwrap_or_default().into_owned();
                // The older tool's links are absolute, into the workspace that was exported: what
                // counts is the file's name there.
                let link = if link.is_absolute() {
                    PathBuf::from(link.file_name().unwrap_or_default())
                } else {
                    link
                };
                let parent = inside.parent().unwrap_or(Path::new(""));
                if relative(&parent.join(&link)).is_none() {
                    return Err(format!("link `{}` leads out of it", name.display()));
                }
                links.push((link, target));
            }
            EntryType::XGlobalHeader | EntryType::XHeader | EntryType::GNULongName => {}
            other => {
                return Err(format!(
                    "`{}` is neither file nor directory ({other:?})",
                    name.display()
                ));
            }
        }
    }
    // Last, so that nothing is ever written through one.
    for (link, target) in links {
        if let Some(parent) = target.parent() {
            make(parent).map_err(text)?;
        }
        std::os::unix::fs::symlink(&link, &target).map_err(text)?;
    }
    Ok(())
}

/// A path without its dots; none if it leads out of where it starts, or starts at the root.
fn relative(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir if out.pop() => {}
            _ => return None,
        }
    }
    Some(out)
}

fn make(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with one member, as a hostile hand would make it.
    fn hostile(name: &[u8], kind: EntryType, link: Option<&str>) -> Vec<u8> {
        let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(0o777);
        header.set_size(if kind == EntryType::Regular { 4 } else { 0 });
        if let Some(link) = link {
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_cksum();
        let content: &[u8] = if kind == EntryType::Regular { b"evil" } else { b"" };
        tar.append(&header, content).unwrap();
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn nothing_comes_out_beside_the_workspace() {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("a.tgz");
        let target = directory.path().join("in/deep");
        let cases: [(&[u8], EntryType, Option<&str>); 6] = [
            (b"../evil", EntryType::Regular, None),
            (b"/etc/evil", EntryType::Regular, None),
            (b"a/../../evil", EntryType::Regular, None),
            (b"link", EntryType::Symlink, Some("../../outside")),
            (b"hard", EntryType::Link, Some("/etc/passwd")),
            (b"device", EntryType::Char, None),
        ];
        for (name, kind, link) in cases {
            fs::write(&archive, hostile(name, kind, link)).unwrap();
            let error = unpack(&archive, &target);
            assert!(error.is_err(), "{:?}", String::from_utf8_lossy(name));
        }
        assert!(!directory.path().join("evil").exists());
        // A link that is absolute is one to a file beside it.
        fs::create_dir_all(&target).unwrap();
        fs::write(&archive, hostile(b"hosts", EntryType::Symlink, Some("/old/ws/hosts-prov")))
            .unwrap();
        unpack(&archive, &target).unwrap();
        assert_eq!(fs::read_link(target.join("hosts")).unwrap(), Path::new("hosts-prov"));
    }

    #[test]
    fn a_workspace_survives_the_journey_with_its_keys() {
        let directory = tempfile::tempdir().unwrap();
        let old = Workspace::at(&directory.path().join("old"));
        old.create().unwrap();
        let key = directory.path().join("elsewhere");
        fs::write(&key, "PRIVATE").unwrap();
        let own = old.file("id_rsa");
        fs::write(&own, "OWN").unwrap();
        let line = format!(
            "a ansible_ssh_private_key_file={} ansible_ssh_common_args='-i {} x'\n\
             b ansible_ssh_private_key_file={}\n",
            own.display(),
            key.display(),
            key.display()
        );
        fs::write(old.file("hosts-prov"), &line).unwrap();
        std::os::unix::fs::symlink("hosts-prov", old.file("hosts")).unwrap();
        let archive = directory.path().join("a.tgz");
        export(&old, &archive, true).unwrap();
        let new = Workspace::at(&directory.path().join("new"));
        import(&archive, &new).unwrap();
        let read = Inventory::read(&new.file("hosts")).unwrap();
        let moved = read.find("b").unwrap().var("ansible_ssh_private_key_file").unwrap();
        assert!(moved.starts_with(new.path.to_str().unwrap()), "{moved}");
        assert_eq!(fs::read_to_string(moved).unwrap(), "PRIVATE");
        let a = read.find("a").unwrap();
        assert_eq!(a.var("ansible_ssh_private_key_file"), new.file("id_rsa").to_str());
        assert!(a.var("ansible_ssh_common_args").unwrap().contains(moved));
        use std::os::unix::fs::PermissionsExt;
        for file in [archive.as_path(), Path::new(moved)] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o077, 0);
        }
        // The original is as it was.
        assert_eq!(fs::read_to_string(old.file("hosts-prov")).unwrap(), line);
    }
}
