//! Archives of workspaces, which come from strangers.

use std::collections::{BTreeMap, BTreeSet};
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
            // Tabs stay in what people read.
            check::no_controls("why an archive is refused", &why.replace('\t', " "));
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
            if !name.ends_with(".pub") {
                runs_nothing(&text);
            }
        }
    }
}

/// Groups that this machine may be in.
const OWN_GROUPS: [&str; 4] = ["all", "hypervisor", "local", "ungrouped"];

/// An inventory as Ansible's `ini` plug-in reads it: no host but `localhost` and `hypervisor` is this machine, and they are in
/// no group of others; of Ansible's variables there are those of InfraRed's files; no value becomes a template.
fn runs_nothing(text: &str) {
    let (mut group, mut kind) = ("ungrouped", "");
    let (mut local, mut members) = (BTreeSet::from(["localhost".to_string()]), BTreeSet::new());
    let (mut is_named, mut is_local) = (false, false);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(head) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            (group, kind) = head.split_once(':').unwrap_or((head, ""));
            continue;
        }
        match kind {
            "vars" => {
                let (name, value) = line.split_once('=').expect("a variable has a value");
                variable(name.trim(), literal(value));
                assert!(name.trim() != "ansible_connection" || literal(value) != "local", "{text}");
                let is_address = ["ansible_host", "ansible_ssh_host"].contains(&name.trim());
                assert!(!is_address || !is_here(&literal(value)), "whoever is here: {text}");
            }
            "children" => assert!(!OWN_GROUPS.contains(&line), "{line} is in {group}: {text}"),
            "" => {
                let words = shlex::split(line).expect("what is written can be read");
                let (word, vars) = words.split_first().expect("the line is not empty");
                // A number behind the last colon is a port, unless there are several.
                let host = match word.rsplit_once(':') {
                    Some((host, port)) if !host.contains(':') && port.parse::<u64>().is_ok() => {
                        host
                    }
                    _ => word,
                };
                assert!(
                    host == "localhost" || !is_here(host),
                    "another name of this machine: {text}"
                );
                is_named |= host == "localhost";
                for (name, value) in vars.iter().filter_map(|var| var.split_once('=')) {
                    variable(name, value.to_string());
                    if of_address(host, (name, value), text) {
                        local.insert(host.to_string());
                    }
                    is_local |= host == "localhost" && name == "ansible_connection";
                    if name == "ansible_connection" && value == "local" {
                        local.insert(host.to_string());
                    }
                }
                members.insert((host.to_string(), group));
            }
            other => panic!("Ansible knows no section of the kind {other}: {text}"),
        }
    }
    assert!(is_local || !is_named, "localhost may be elsewhere: {text}");
    for host in &local {
        assert!(["localhost", "hypervisor"].contains(&host.as_str()), "{host} is here: {text}");
    }
    for (host, group) in members.iter().filter(|(host, _)| local.contains(host)) {
        assert!(OWN_GROUPS.contains(group), "{host} is in {group}: {text}");
    }
}

/// Whether a variable says that a host is this machine; only that of the hypervisor may, and `localhost` is nowhere else.
fn of_address(host: &str, (name, value): (&str, &str), text: &str) -> bool {
    if host == "localhost" && name.starts_with("ansible") {
        let is_python = name == "ansible_python_interpreter";
        assert!(is_python || value == "local", "localhost is elsewhere: {text}");
    }
    let says_here = ["ansible_host", "ansible_ssh_host"].contains(&name) && is_here(value);
    assert!(host == "hypervisor" || !says_here, "{host} is here: {text}");
    says_here
}

/// Whether `ssh` comes to this machine by a name or an address, as far as the system's resolver says so without asking anybody.
fn is_here(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let own = |ip: std::net::IpAddr| match ip.to_canonical() {
        std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_unspecified(),
        std::net::IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified(),
    };
    let words =
        ["localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback", "0", "127.1"];
    words.contains(&host.as_str()) || host.parse().is_ok_and(own)
}

/// What Python makes of a value in quotes, as far as that is a text.
fn literal(value: &str) -> String {
    let value = value.trim();
    let inner = ['\'', '"'].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
    inner.unwrap_or(value).to_string()
}

fn variable(name: &str, value: String) {
    let lower = name.to_ascii_lowercase();
    let taken = [
        "ansible_become",
        "ansible_become_method",
        "ansible_become_user",
        "ansible_connection",
        "ansible_host",
        "ansible_port",
        "ansible_private_key_file",
        "ansible_python_interpreter",
        "ansible_ssh_common_args",
        "ansible_ssh_extra_args",
        "ansible_ssh_host",
        "ansible_ssh_port",
        "ansible_ssh_private_key_file",
        "ansible_ssh_user",
        "ansible_user",
    ];
    assert!(!lower.starts_with("ansible") || taken.contains(&name), "{name} is taken");
    // Escapes, and strings beside each other, are something else to Python than to whoever looks for marks.
    assert!(!value.contains('\\'), "{name}={value} has an escape");
    if value != "{{ ansible_playbook_python }}" {
        let joined = value.replace(['"', '\'', ' ', '(', ')', 'u', 'r', 'b'], "");
        let mark = ["{{", "{%", "{#"].into_iter().find(|mark| joined.contains(mark));
        assert!(!value.contains('"') || mark.is_none(), "{name}={value} is a template");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_that_runs_something_here_does_not_pass() {
        let passes = |text: &str| std::panic::catch_unwind(|| runs_nothing(text)).is_ok();
        for text in [
            "localhost ansible_connection=local\n[local]\nlocalhost\n[web]\na ansible_host=fd00::1 x=[1]\n",
            "localhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'\n[web:vars]\nx='a b'\n",
            "[web]\nfd00::22\n[all:children]\nweb\n",
            "localhost ansible_connection=local\nhypervisor ansible_host=127.0.0.1\n",
        ] {
            assert!(passes(text), "{text}");
        }
        for text in [
            "[tester]\nlocalhost:22\n",
            "hypervisor ansible_connection=local\n[tester]\nhypervisor\n",
            "[tester]\nhypervisor:22 ansible_connection=local\n",
            "a ansible_connection=ssh ansible_connection=local\n",
            "[tester]\n127.0.0.1\n",
            "[tester:children]\nlocal\n",
            "a ansible_host=127.0.0.1\n",
            "a ansible_ssh_host=[::1]\n",
            "[all:vars]\nansible_host=localhost\n",
            "[tester]\nhypervisor ansible_host=127.0.0.1\n",
            "localhost ansible_host=192.0.2.9\n",
            "[local]\nlocalhost\n",
            "[tester:]\nlocalhost\n",
            "a ansible_ssh_executable=/tmp/x\n",
            "a x='\"{\" \"{ y }\" \"}\"'\n",
            "[a:vars]\nx='\\x7b\\x7b y }}'\n",
        ] {
            assert!(!passes(text), "{text}");
        }
    }
}
