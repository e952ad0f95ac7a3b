//! Archives of workspaces, which come from strangers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use maquette::fuzzing;
use tar::{Builder, EntryType, Header};

use crate::check;

/// The input is an archive without its compression; or, after a line `%% script`, lines that make one:
/// a kind (`file`, `dir`, `link`, `hard`, `char`, `fifo`), a name, and what is in it or where it leads.
pub fn archive(data: &[u8]) {
    let packed = match data.strip_prefix(b"%% script\n") {
        Some(script) => compressed(&scripted(&String::from_utf8_lossy(script))),
        None => compressed(data),
    };
    let root = tempfile::tempdir().expect("there is room");
    let home = root.path().join("home");
    fs::create_dir_all(home.join(".ssh")).expect("there is room");
    fs::create_dir_all(home.join(".infrared/.workspaces")).expect("there is room");
    fs::write(home.join(".ssh/authorized_keys"), "canary").expect("there is room");
    let before = contents(root.path());
    let workspace = home.join(".infrared/.workspaces/new");
    let result = fuzzing::unpack(packed.as_slice(), &workspace);
    let mut after = contents(root.path());
    let made: Vec<String> = after
        .keys()
        .filter(|name| name.starts_with("home/.infrared/.workspaces/new"))
        .cloned()
        .collect();
    for name in &made {
        after.remove(name);
    }
    assert_eq!(before, after, "something beside the workspace changed");
    match result {
        Ok(()) => {
            inside(&workspace);
            again(&workspace, &home.join("again"));
        }
        Err(why) => {
            check::no_controls("why an archive is refused", &why);
            assert!(made.is_empty(), "an archive that is refused leaves {made:?}");
        }
    }
}

fn compressed(tar: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::none());
    std::io::Write::write_all(&mut out, tar).expect("memory takes it");
    out.finish().expect("memory takes it")
}

/// An archive as a hostile hand makes it: no library in between that would mind.
fn scripted(script: &str) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for line in script.lines().take(64) {
        let mut words = line.splitn(3, ' ');
        let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let rest = words.next().unwrap_or_default().replace("\\n", "\n");
        let kind = match kind {
            "dir" => EntryType::Directory,
            "link" => EntryType::Symlink,
            "hard" => EntryType::Link,
            "char" => EntryType::Char,
            "fifo" => EntryType::Fifo,
            _ => EntryType::Regular,
        };
        let mut header = Header::new_gnu();
        let put = |field: &mut [u8], text: &str| {
            let length = text.len().min(field.len());
            field[..length].copy_from_slice(&text.as_bytes()[..length]);
        };
        put(&mut header.as_old_mut().name, name);
        header.set_entry_type(kind);
        header.set_mode(0o4777);
        header.set_uid(0);
        header.set_gid(0);
        let content = if kind == EntryType::Regular { rest.as_bytes() } else { b"" };
        if kind == EntryType::Symlink || kind == EntryType::Link {
            put(&mut header.as_old_mut().linkname, &rest);
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content).expect("memory takes it");
    }
    tar.into_inner().expect("memory takes it")
}

/// Everything below a directory, as `ls` would show it and with what is in it.
fn contents(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, directory: &Path, all: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(directory).expect("it is ours").flatten() {
            let path = entry.path();
            let kind = entry.file_type().expect("it is there");
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let what = if kind.is_symlink() {
                format!("link to {:?}", fs::read_link(&path).ok())
            } else if kind.is_dir() {
                walk(root, &path, all);
                "directory".into()
            } else if kind.is_file() {
                format!("file {:?}", fs::read(&path).ok())
            } else {
                format!("{kind:?}")
            };
            all.insert(name, what);
        }
    }
    let mut all = BTreeMap::new();
    walk(root, root, &mut all);
    all
}

/// What is read of the workspace, through whatever links, is what an import takes unchanged.
fn again(workspace: &Path, second: &Path) {
    let read = ["known_hosts", "maquette.json", "id_ed25519.pub", "ansible.ssh.config"];
    let named = fs::read_dir(workspace).expect("it is ours").flatten();
    let named = named.filter_map(|e| e.file_name().into_string().ok()).filter(|name| {
        let lower = name.to_lowercase();
        read.contains(&lower.as_str()) || lower.starts_with("hosts") || lower == "local_hosts"
    });
    let mut tar = Builder::new(Vec::new());
    let mut taken = BTreeMap::new();
    for name in named {
        let path = workspace.join(&name);
        // A link may lead nowhere; it does not lead to a directory, which Ansible would read as inventories.
        assert!(!path.is_dir(), "{name} is a directory");
        let Ok(bytes) = fs::read(&path) else { continue };
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, &name, bytes.as_slice()).expect("memory takes it");
        taken.insert(name, bytes);
    }
    // A public key is that of a private one, where there is one.
    if let Ok(key) = fs::read(workspace.join("id_ed25519")) {
        let mut header = Header::new_gnu();
        header.set_size(key.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, "id_ed25519", key.as_slice()).expect("memory takes it");
    }
    let packed = compressed(&tar.into_inner().expect("memory takes it"));
    fuzzing::unpack(packed.as_slice(), second).expect("it was taken before");
    let (from, to) = (second.display().to_string(), workspace.display().to_string());
    for (name, bytes) in taken.iter().filter(|(name, _)| *name != "ansible.ssh.config") {
        let text = fs::read_to_string(second.join(name)).unwrap_or_default().replace(&from, &to);
        assert_eq!(
            text,
            String::from_utf8_lossy(bytes),
            "{name} was taken, and would not be again"
        );
    }
}

/// What was taken is files, directories and links to names beside them; nobody else may look; and what ssh
/// reads says nothing that would be run.
fn inside(workspace: &Path) {
    for (name, what) in contents(workspace) {
        let path = workspace.join(&name);
        let meta = path.symlink_metadata().expect("it is there");
        if meta.is_symlink() {
            let target = fs::read_link(&path).expect("it is a link");
            assert_eq!(target.components().count(), 1, "{name} leads to {}", target.display());
            assert!(
                !target.is_absolute() && !target.ends_with(".."),
                "{name}: {}",
                target.display()
            );
            continue;
        }
        assert!(meta.is_file() || meta.is_dir(), "{name} is a {what}");
        assert_eq!(
            meta.permissions().mode() & 0o7077,
            0,
            "{name}: {:o}",
            meta.permissions().mode()
        );
    }
    if let Ok(config) = fs::read_to_string(workspace.join("ansible.ssh.config")) {
        check::no_controls("an imported ssh config", &config);
        for line in config.lines() {
            let words = line.split_whitespace().next().unwrap_or_default().to_lowercase();
            let runs =
                ["match", "localcommand", "permitlocalcommand", "knownhostscommand", "include"];
            let own = line == "Match all" || line == "  Include ~/.ssh/config";
            assert!(own || !runs.contains(&words.as_str()), "an imported ssh config: {line:?}");
        }
    }
    for entry in fs::read_dir(workspace).expect("it is ours").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("hosts") && name != "local_hosts" {
            continue;
        }
        if let Ok(text) = fs::read_to_string(entry.path()) {
            check::no_controls("an imported inventory", &text);
            let plain = text.replace("{{ ansible_playbook_python }}", "");
            for mark in ["{{", "{%", "{#"] {
                assert!(!plain.contains(mark), "an imported inventory: {text}");
            }
        }
    }
}
