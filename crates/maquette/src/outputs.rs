//! What an environment hands to other programs: Ansible inventory, ssh config, known_hosts.

mod ansible;
mod ssh;

use std::io;

use maquette_core::blueprint::Node;
use maquette_engine::keys::{KEY_FILE, write_private};

use crate::workspace::Workspace;

/// Ansible inventory, in Ansible's INI form.
pub const INVENTORY: &str = "hosts";
/// SSH configuration, for `ssh -F`.
pub const SSH_CONFIG: &str = "ansible.ssh.config";
/// Pinned host keys.
pub const KNOWN_HOSTS: &str = "known_hosts";

/// Writes all outputs. Everything in them is known before anything is built.
pub fn write(workspace: &Workspace, nodes: &[&Node]) -> io::Result<()> {
    workspace.create()?;
    let files = Files {
        key: workspace.file(KEY_FILE).display().to_string(),
        known_hosts: workspace.file(KNOWN_HOSTS).display().to_string(),
    };
    write_private(&workspace.file(KNOWN_HOSTS), ssh::known_hosts(nodes).as_bytes())?;
    write_private(&workspace.file(SSH_CONFIG), ssh::config(nodes, &files).as_bytes())?;
    write_private(&workspace.file(INVENTORY), ansible::inventory(nodes, &files).as_bytes())
}

/// Removes what [`write()`] wrote, and the key; the directory goes if nothing else is in it.
pub fn remove(workspace: &Workspace) -> io::Result<()> {
    let public = format!("{KEY_FILE}.pub");
    for name in [INVENTORY, SSH_CONFIG, KNOWN_HOSTS, KEY_FILE, &public] {
        match std::fs::remove_file(workspace.file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    match std::fs::remove_dir(&workspace.path) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Paths that outputs refer to.
struct Files {
    key: String,
    known_hosts: String,
}
