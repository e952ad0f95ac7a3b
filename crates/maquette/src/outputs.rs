//! What an environment hands to other programs: Ansible inventory, ssh config, known_hosts.

mod ansible;
mod ssh;
mod switches;

use std::io;
use std::path::Path;

use maquette_core::blueprint::Node;
use maquette_core::guest::Secret;
use maquette_engine::host::ssh::Target;
use maquette_engine::keys::{KEY_FILE, KEY_LINK, relink, write_private};

use crate::connection::Remote;
use crate::workspace::{SAVED, Workspace};

pub use ansible::dynamic;
pub use switches::ports as switch_ports;

/// The inventory's path for other programs: a link, as the older tool's plug-ins expect.
pub const INVENTORY: &str = "hosts";
/// The inventory of what was built, in Ansible's INI form.
const BUILT: &str = "hosts-prov";
/// The inventory of a workspace without an environment.
pub const LOCAL: &str = "local_hosts";
/// SSH configuration, for `ssh -F`.
pub const SSH_CONFIG: &str = "ansible.ssh.config";
/// Password of the VNC servers.
pub const VNC_PASSWORD: &str = "vnc-password";
/// Pinned host keys.
pub const KNOWN_HOSTS: &str = "known_hosts";

/// Writes all outputs. Everything in them is known before anything is built.
pub fn write(workspace: &Workspace, nodes: &[&Node], remote: Option<&Remote>) -> io::Result<()> {
    workspace.create()?;
    let files = Files::new(workspace, remote);
    let known_hosts = ssh::known_hosts(nodes, remote);
    write_private(&workspace.file(KNOWN_HOSTS), known_hosts.as_bytes())?;
    write_private(&workspace.file(SSH_CONFIG), ssh::config(nodes, &files).as_bytes())?;
    write_private(&workspace.file(BUILT), ansible::inventory(nodes, &files).as_bytes())?;
    relink(BUILT, &workspace.file(INVENTORY))
}

/// Writes the VNC password, or removes it where there is none.
pub fn write_vnc_password(workspace: &Workspace, password: Option<&Secret>) -> io::Result<()> {
    let file = workspace.file(VNC_PASSWORD);
    match password {
        Some(password) => write_private(&file, format!("{}\n", password.reveal()).as_bytes()),
        None => match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// Whether a workspace has an inventory of something built.
pub fn is_built(workspace: &Workspace) -> bool {
    workspace.file(BUILT).exists()
}

/// Points a workspace at an inventory with nothing but this machine, unless it has one.
pub fn write_local(workspace: &Workspace, again: bool) -> io::Result<()> {
    workspace.create()?;
    if !workspace.file(LOCAL).exists() {
        write_private(&workspace.file(LOCAL), ansible::local().as_bytes())?;
    }
    if again || !workspace.file(INVENTORY).exists() {
        relink(LOCAL, &workspace.file(INVENTORY))?;
    }
    Ok(())
}

/// Has the workspace's inventory be a copy of the user's own.
pub fn adopt(workspace: &Workspace, file: &Path) -> io::Result<()> {
    let name = file.file_name().and_then(|n| n.to_str()).unwrap_or("hosts-own");
    let name = if name == INVENTORY { "hosts-own" } else { name };
    workspace.create()?;
    write_private(&workspace.file(name), &std::fs::read(file)?)?;
    relink(name, &workspace.file(INVENTORY))
}

/// Removes what [`write()`] wrote, and the key. The directory goes if nothing else is in it; one that
/// has a name of its own stays, with an inventory of this machine alone.
pub fn remove(workspace: &Workspace) -> io::Result<()> {
    let public = |name: &str| format!("{name}.pub");
    let keys = [KEY_FILE.into(), KEY_LINK.into(), public(KEY_FILE), public(KEY_LINK)];
    let named = workspace.file(LOCAL).exists();
    let files = [INVENTORY, BUILT, SSH_CONFIG, KNOWN_HOSTS, VNC_PASSWORD, SAVED].map(String::from);
    for name in files.iter().chain(&keys) {
        match std::fs::remove_file(workspace.file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if named {
        return write_local(workspace, true);
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

/// Paths that outputs refer to, and the way to the nodes.
pub struct Files<'a> {
    key: String,
    known_hosts: String,
    remote: Option<&'a Remote>,
}

impl<'a> Files<'a> {
    /// The files of a workspace.
    pub fn new(workspace: &Workspace, remote: Option<&'a Remote>) -> Self {
        Self {
            key: workspace.file(KEY_LINK).display().to_string(),
            known_hosts: workspace.file(KNOWN_HOSTS).display().to_string(),
            remote,
        }
    }

    /// The hypervisor's SSH login, if nodes are reached through it.
    fn jump(&self) -> Option<&'a Target> {
        self.remote.map(|r| &r.target)
    }
}
