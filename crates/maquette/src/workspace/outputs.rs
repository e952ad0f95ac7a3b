//! What an environment hands to other programs: Ansible inventory, ssh config, known_hosts.

mod ansible;
mod bmcs;
pub mod merge;
mod ssh_config;
mod switches;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use maquette_core::blueprint::Node;
use maquette_core::lifetime::Lifetime;
use maquette_core::names::EnvName;
use maquette_core::values::{BmcCredentials, PlainPath, PublicKey, Secret};
use maquette_engine::bmc::{BmcSecrets, CREDENTIALS};
use maquette_engine::host::ssh::Target;
use maquette_engine::private_file::{read_text, relink, write_private};
use maquette_engine::ssh_keys::{KEY_FILE, KEY_LINK, SECRET_FILE};

use crate::host_args::Remote;
use crate::workspace::inventory::{self as inventories, Host, Inventory};
use crate::workspace::{Owner, SAVED, Workspace};

pub use ansible::{Scope, dynamic, inventory};
pub use bmcs::{BMCS, remove as remove_bmcs, write as write_bmcs};
pub use ssh_config::LIMITS;
pub use switches::ports as switch_ports;

/// The inventory's path for other programs: a link, as InfraRed's plug-ins expect.
pub const INVENTORY: &str = "hosts";
/// The inventory of what was built, in Ansible's INI form, with everything that InfraRed has in it.
const BUILT: &str = "hosts-prov";
/// What Maquette wrote last into an inventory that others change, too.
const BASE: &str = "hosts-maquette";
/// The inventory of the nodes alone.
const NODES: &str = "hosts-nodes";
/// The inventory of a workspace without an environment.
pub const LOCAL: &str = "local_hosts";
/// SSH configuration, for `ssh -F`.
pub const SSH_CONFIG: &str = "ansible.ssh.config";
/// Password of the VNC servers.
pub const VNC_PASSWORD: &str = "vnc-password";
/// What the last command did, for others who look on: JSON, one event a line.
pub const EVENTS: &str = "events.jsonl";
/// Until when the environment lasts, as far as is known here: what is noted on the hypervisor.
pub const LIFETIME: &str = "lease";
/// Public keys of colleagues that open the nodes, as far as is known here: what `maquette unshare` completes.
pub const COLLEAGUES: &str = "colleagues";
/// Pinned host keys.
pub const KNOWN_HOSTS: &str = "known_hosts";

/// The texts of ssh config, known_hosts and inventory.
pub fn texts(nodes: &[&Node], files: &Files<'_>) -> (String, String, String) {
    let known_hosts = ssh_config::known_hosts(nodes, files.remote);
    (ssh_config::config(nodes, files), known_hosts, inventory(nodes, files, Scope::Everything))
}

/// Writes all outputs. Everything in them is known before anything is built. Logins use the key in a file, or the
/// workspace's own.
pub fn write(
    workspace: &Workspace,
    nodes: &[&Node],
    remote: Option<&Remote>,
    key: Option<&Path>,
) -> io::Result<()> {
    workspace.create()?;
    let files = Files::new(workspace, remote, key)?;
    let (ssh_config, known_hosts, inventory) = texts(nodes, &files);
    let before = read_text(&workspace.file(KNOWN_HOSTS)).unwrap_or_default();
    write_private(&workspace.file(KNOWN_HOSTS), known_hosts.as_bytes())?;
    write_private(&workspace.file(SSH_CONFIG), ssh_config.as_bytes())?;
    if workspace.is_named() {
        return write_shared(workspace, &inventory, &Keys::read(&before, &known_hosts));
    }
    write_private(&workspace.file(BUILT), inventory.as_bytes())?;
    let alone = ansible::inventory(nodes, &files, Scope::Nodes);
    write_private(&workspace.file(NODES), alone.as_bytes())?;
    relink(NODES, &workspace.file(INVENTORY))
}

/// Writes the inventory of one of InfraRed's workspaces. What others have made of it stays, as does the file that `hosts`
/// leads to.
fn write_shared(workspace: &Workspace, inventory: &str, hosts: &Keys) -> io::Result<()> {
    let path = workspace.file(INVENTORY);
    let link = std::fs::read_link(&path).ok();
    let shared = link.as_deref().and_then(|link| shared_name(workspace, link));
    // Whatever it is, it is the inventory that others see, unless it has nothing but this machine.
    let is_local = shared.as_deref() == Some(LOCAL);
    let theirs = text_of(&path)?.unwrap_or_default();
    let theirs = if is_this_machine_alone(&theirs) { String::new() } else { theirs };
    if let Some(form @ ("YAML" | "JSON")) = inventories::other_form(&theirs) {
        let path = path.display();
        let message = format!(
            "inventory {path} is {form}, and what is built is written in INI: write it as INI, or name another one by `virsh --inventory FILE`"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    // The file of this machine alone stays that, for when the environment is gone: others go on with a copy.
    let shared = shared.filter(|_| !is_local).unwrap_or_else(|| BUILT.into());
    let merged = match text_of(&workspace.file(BASE))? {
        Some(base) => merge::merged(&base, &theirs, inventory, &hosts.made_anew()),
        None => {
            let mark = workspace.file(KNOWN_HOSTS).display().to_string();
            merge::merged_first(&theirs, inventory, &hosts.not_built_before(), &mark)
        }
    };
    if shared != BUILT {
        write_private(&workspace.file(BUILT), inventory.as_bytes())?;
    }
    write_private(&workspace.file(&shared), merged.as_bytes())?;
    write_private(&workspace.file(BASE), inventory.as_bytes())?;
    relink(&shared, &path)
}

/// Whether an inventory says what [`ansible::local`] and InfraRed write for a new workspace, and nothing else.
fn is_this_machine_alone(inventory: &str) -> bool {
    let is_usual = |word: &str| {
        word == "localhost"
            || word == "ansible_connection=local"
            || word.starts_with("ansible_python_interpreter=")
    };
    let usual = |line: &str| {
        let words = shlex::split(line).unwrap_or_default();
        words.first().is_some_and(|name| name == "localhost") && words.iter().all(|w| is_usual(w))
    };
    let lines = inventory.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.into_iter().all(|line| line == "[local]" || usual(line))
}

/// The text of a file; none if it is not there.
fn text_of(path: &Path) -> io::Result<Option<String>> {
    match read_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // It would be written over.
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            Err(io::Error::new(error.kind(), message))
        }
    }
}

/// The name of the file in the workspace that a link leads to, however its path is spelled; none if that is elsewhere.
fn shared_name(workspace: &Workspace, link: &Path) -> Option<String> {
    let directory = workspace.path.join(link.parent()?);
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let inside = real(&directory).is_some_and(|path| real(&workspace.path) == Some(path));
    inside.then(|| link.file_name()?.to_str().map(String::from)).flatten()
}

/// Keys of nodes, by their names: those in known_hosts before, and those that are there now.
struct Keys {
    before: BTreeMap<String, String>,
    now: BTreeMap<String, String>,
}

impl Keys {
    fn read(before: &str, now: &str) -> Self {
        let named = |line: &str| {
            let (names, key) = line.split_once(' ')?;
            Some((names.split(',').next()?.to_string(), key.to_string()))
        };
        let keys = |text: &str| text.lines().filter_map(named).collect();
        Self { before: keys(before), now: keys(now) }
    }

    /// Nodes that show another host key than before: they were made again.
    fn made_anew(&self) -> BTreeSet<String> {
        let mut names = self.not_built_before();
        names.retain(|name| self.before.contains_key(name));
        names
    }

    /// The same, and nodes that were not known.
    fn not_built_before(&self) -> BTreeSet<String> {
        let other = |(name, key): &(&String, &String)| self.before.get(*name) != Some(*key);
        self.now.iter().filter(other).map(|(name, _)| name.clone()).collect()
    }
}

/// The inventory for playbooks at injection points, and for finding nodes whatever can be done with them. In InfraRed's
/// workspaces it is the one that its plug-ins add to.
pub fn whole_inventory(workspace: &Workspace) -> PathBuf {
    let built = workspace.file(BUILT);
    match workspace.is_named() || !built.exists() {
        true => workspace.file(INVENTORY),
        false => built,
    }
}

/// Keeps the account of BMCs, or removes it where it is the usual one: commands that know no project file tell it, too.
pub fn write_bmc_credentials(workspace: &Workspace, account: &BmcCredentials) -> io::Result<()> {
    let text = Some(account.text()).filter(|_| *account != BmcCredentials::Node);
    write_secret(&workspace.file(CREDENTIALS), text.as_ref())
}

/// Writes the VNC password, or removes it where there is none.
pub fn write_vnc_password(workspace: &Workspace, password: Option<&Secret>) -> io::Result<()> {
    write_secret(&workspace.file(VNC_PASSWORD), password)
}

fn write_secret(file: &Path, secret: Option<&Secret>) -> io::Result<()> {
    match secret {
        Some(secret) => write_private(file, format!("{}\n", secret.reveal()).as_bytes()),
        None => match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// Keeps what is noted of how long an environment lasts, so that a login can tell of it without asking the hypervisor.
pub fn write_lifetime(
    workspace: &Workspace,
    environment: &EnvName,
    lifetime: &Lifetime,
) -> io::Result<()> {
    match lifetime.expires_s {
        Some(_) => {
            workspace.create()?;
            write_private(&workspace.file(LIFETIME), lifetime.text(environment).as_bytes())
        }
        None => delete(workspace, &[LIFETIME]),
    }
}

/// How long an environment lasts, as far as is known here.
pub fn lifetime(workspace: &Workspace, environment: &EnvName) -> Option<Lifetime> {
    let text = read_text(&workspace.file(LIFETIME)).ok()?;
    Lifetime::parse_all(&text).remove(environment)
}

/// Keeps the public keys of colleagues, a line each, so that a shell can complete whose they are without asking the hypervisor.
pub fn write_colleagues(workspace: &Workspace, keys: &[PublicKey]) -> io::Result<()> {
    if keys.is_empty() {
        return delete(workspace, &[COLLEAGUES]);
    }
    let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
    write_private(&workspace.file(COLLEAGUES), text.as_bytes())
}

/// Public keys of colleagues, as far as is known here.
pub fn colleagues(workspace: &Workspace) -> Vec<PublicKey> {
    let text = read_text(&workspace.file(COLLEAGUES)).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Whether a workspace has an inventory of something built.
pub fn is_built(workspace: &Workspace) -> bool {
    workspace.file(BUILT).exists()
}

/// Nodes in the inventory of a workspace in which nothing was ever built here: InfraRed has built them.
pub fn nodes_of_infrared(workspace: &Workspace) -> Vec<String> {
    let path = workspace.file(INVENTORY);
    let link = std::fs::read_link(&path).ok();
    let shared = link.as_deref().and_then(|link| shared_name(workspace, link));
    if shared.as_deref() != Some(BUILT) || workspace.file(BASE).exists() {
        return Vec::new();
    }
    let hosts = Inventory::read(&path).unwrap_or_default().hosts;
    let is_node = |host: &Host| !host.is_local() && host.name != ansible::HYPERVISOR;
    hosts.into_iter().filter(is_node).map(|host| host.name).collect()
}

/// Points a workspace at an inventory with nothing but this machine, unless it has one.
pub fn write_local(workspace: &Workspace) -> io::Result<()> {
    workspace.create()?;
    if !workspace.file(LOCAL).exists() {
        write_private(&workspace.file(LOCAL), ansible::local().as_bytes())?;
    }
    match workspace.file(INVENTORY).exists() {
        true => Ok(()),
        false => relink(LOCAL, &workspace.file(INVENTORY)),
    }
}

/// The user's own inventory in a workspace: whatever its file was called, it takes the place of no other.
const OWN: &str = "hosts-own";

/// Has the workspace's inventory be the user's own.
pub fn adopt(workspace: &Workspace, text: &str) -> io::Result<()> {
    workspace.create()?;
    write_private(&workspace.file(OWN), text.as_bytes())?;
    relink(OWN, &workspace.file(INVENTORY))
}

/// Whether the inventory of a workspace is an environment's; one that was never anybody's may become it.
pub fn belongs(workspace: &Workspace, owner: &Owner) -> bool {
    workspace.saved().and_then(|s| s.owner).is_none_or(|o| o == *owner)
}

/// What the key or the secret of a workspace is for, in words; none if it has neither, or nothing is noted that they open but
/// what has gone.
pub fn opened(workspace: &Workspace, is_gone: impl Fn(&Owner) -> bool) -> Option<String> {
    if ![KEY_FILE, SECRET_FILE].iter().any(|name| workspace.file(name).exists()) {
        return None;
    }
    match workspace.recall() {
        Ok(Some(saved)) => {
            let left = saved.opens.iter().filter(|owner| !is_gone(owner));
            let labels: Vec<String> = left.map(Owner::label).collect();
            (!labels.is_empty()).then(|| format!("environment {}", labels.join(", ")))
        }
        Ok(None) | Err(_) => Some("an environment that is not noted there".into()),
    }
}

/// What becomes of a workspace's key and secret when an environment is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// They go, if they are no other environment's.
    Go,
    /// They stay, for what is left of the environment: nobody else has them.
    Stay,
}

/// Removes what [`write()`] wrote for an environment that is gone, and the key once it opens no other
/// environment's nodes and nothing is left. What is another environment's stays; false if that is all there is. The
/// directory goes if nothing else is in it; one that has a name of its own stays, with an inventory of
/// this machine alone.
pub fn remove(workspace: &Workspace, owner: &Owner, secrets: Secrets) -> io::Result<bool> {
    let Some(mut saved) = workspace.saved() else {
        // Without a record, whose files they are is not known.
        return Ok(!is_built(workspace));
    };
    let written = saved.owner.as_ref().is_none_or(|o| o == owner);
    let held = saved.opens.iter().any(|o| o == owner);
    if !written && !held {
        return Ok(false);
    }
    if secrets == Secrets::Go {
        saved.opens.retain(|o| o != owner);
    }
    if saved.owner.as_ref() == Some(owner) {
        let built = [
            INVENTORY,
            BUILT,
            BASE,
            NODES,
            SSH_CONFIG,
            KNOWN_HOSTS,
            VNC_PASSWORD,
            CREDENTIALS,
            EVENTS,
            LIFETIME,
            COLLEAGUES,
        ];
        delete(workspace, &built)?;
        bmcs::remove(workspace)?;
        saved.owner = None;
        if workspace.file(LOCAL).exists() {
            relink(LOCAL, &workspace.file(INVENTORY))?;
        }
    }
    if !saved.opens.is_empty() {
        return workspace.save(&saved).map(|()| true);
    }
    if held {
        let public = |name: &str| format!("{name}.pub");
        let (file, link) = (public(KEY_FILE), public(KEY_LINK));
        delete(workspace, &[KEY_FILE, KEY_LINK, &file, &link, SECRET_FILE])?;
    }
    delete(workspace, &[SAVED])?;
    // It may hold other things, or be a link or a mount: an empty directory harms nobody.
    let _ = std::fs::remove_dir(&workspace.path);
    Ok(true)
}

fn delete(workspace: &Workspace, names: &[&str]) -> io::Result<()> {
    for name in names {
        match std::fs::remove_file(workspace.file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Paths that outputs refer to, and the way to the nodes.
pub struct Files<'a> {
    key: PlainPath,
    known_hosts: PlainPath,
    remote: Option<&'a Remote>,
    /// Secrets of BMCs; none in a workspace that did not build the environment, whatever else it has built.
    bmcs: Option<BmcSecrets>,
}

impl<'a> Files<'a> {
    /// The files of a workspace, with the key that an environment was shared with if it did not build that. A path that ssh, Ansible or a shell would
    /// take apart is an error.
    pub fn new(
        workspace: &Workspace,
        remote: Option<&'a Remote>,
        key: Option<&Path>,
    ) -> io::Result<Self> {
        let own = (workspace.file(KEY_LINK), workspace.file(KNOWN_HOSTS));
        let path = |path: &Path| {
            let path: Result<PlainPath, _> = path.display().to_string().parse();
            path.map_err(|e| {
                let message = format!("{e}; choose another directory with `--workspace`");
                io::Error::new(io::ErrorKind::InvalidInput, message)
            })
        };
        let is_built = key.is_none();
        let (key, known_hosts) = (path(key.unwrap_or(&own.0))?, path(&own.1)?);
        // No account has the name of its environment in it.
        let bmcs = BmcSecrets::read(&workspace.path, &EnvName::default()).filter(|_| is_built);
        Ok(Self { key, known_hosts, remote, bmcs })
    }

    /// The hypervisor's SSH login, if nodes are reached through it.
    fn jump(&self) -> Option<&'a Target> {
        self.remote.map(|r| &r.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_args::HostArgs;
    use crate::workspace::Saved;

    fn owner(prefix: &str, address: &str) -> Owner {
        let host = HostArgs { address: Some(address.parse().unwrap()), ..HostArgs::default() };
        Owner::new(&EnvName::from_prefix(prefix).unwrap(), &host)
    }

    fn workspace(owners: &[&Owner]) -> (tempfile::TempDir, Workspace) {
        let home = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(&home.path().join("ws"));
        workspace.create().unwrap();
        workspace.save(&Saved::default()).unwrap();
        for owner in owners {
            workspace.claim(owner).unwrap();
        }
        for name in [BUILT, SSH_CONFIG, KNOWN_HOSTS, KEY_FILE, SECRET_FILE] {
            std::fs::write(workspace.file(name), "x").unwrap();
        }
        (home, workspace)
    }

    /// A copy in place of the link, and a link by another spelling of the path, counted as nothing.
    #[test]
    fn what_others_added_stays_whatever_the_inventory_is() {
        let home = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(home.path(), home.path().join("other")).unwrap();
        let workspace = Workspace::at(&home.path().join("ws"));
        workspace.create().unwrap();
        let (hosts, ours) = (workspace.file(INVENTORY), "\nweb-0  ansible_host=10.0.0.2\n");
        let foreign = "\nceph-9  ansible_host=10.9.9.9\n";
        let outside = home.path().join("inventory");
        std::fs::write(&outside, foreign).unwrap();
        let spelled = home.path().join("other/ws/hosts-prov");
        for target in [None, Some(outside), Some(spelled), Some("hosts-own".into())] {
            let _ = std::fs::remove_file(&hosts);
            let _ = std::fs::remove_file(workspace.file(BASE));
            match &target {
                None => std::fs::write(&hosts, foreign).unwrap(),
                Some(target) => {
                    std::fs::write(workspace.path.join(target), foreign).unwrap();
                    std::os::unix::fs::symlink(target, &hosts).unwrap();
                }
            }
            write_shared(&workspace, ours, &Keys::read("", "")).unwrap();
            let text = std::fs::read_to_string(&hosts).unwrap();
            assert!(
                text.contains("\nceph-9  ") && text.contains("\nweb-0  "),
                "{target:?}: {text}"
            );
        }
        for added in ["", "\n[ceph]\nmon0 ansible_host=10.9.9.9\n"] {
            std::fs::remove_file(workspace.file(BASE)).unwrap();
            relink(LOCAL, &hosts).unwrap();
            std::fs::write(workspace.file(LOCAL), ansible::local() + added).unwrap();
            write_shared(&workspace, ours, &Keys::read("", "")).unwrap();
            let text = std::fs::read_to_string(&hosts).unwrap();
            match added {
                "" => assert_eq!(text, ours),
                // A plug-in may run first, and add its machines to a workspace that was just made.
                _ => assert!(text.contains("mon0  ") && text.contains("\nweb-0  "), "{text}"),
            }
            assert_eq!(std::fs::read_link(&hosts).unwrap(), Path::new(BUILT));
        }
    }

    #[test]
    fn an_inventory_in_yaml_is_not_written_into() {
        let home = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(&home.path().join("ws"));
        let yaml = "all:\n  hosts:\n    mon0:\n";
        adopt(&workspace, yaml).unwrap();
        let refused = write_shared(&workspace, "\nweb-0  a=b\n", &Keys::read("", ""));
        assert!(refused.unwrap_err().to_string().contains("is YAML"));
        assert_eq!(std::fs::read_to_string(workspace.file(INVENTORY)).unwrap(), yaml);
    }

    /// `--kill yes` said that there is nothing to do, and InfraRed's nodes went on running.
    #[test]
    fn nodes_that_infrared_has_built_are_known_by_its_inventory() {
        let home = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(&home.path().join("ws"));
        write_local(&workspace).unwrap();
        assert!(nodes_of_infrared(&workspace).is_empty());
        let built = "localhost ansible_connection=local\nhypervisor  ansible_host=h\n\
                     undercloud-0  ansible_host=10.0.0.2\n[undercloud]\nundercloud-0\n";
        std::fs::write(workspace.file(BUILT), built).unwrap();
        relink(BUILT, &workspace.file(INVENTORY)).unwrap();
        assert_eq!(nodes_of_infrared(&workspace), ["undercloud-0"]);
        std::fs::write(workspace.file(BASE), built).unwrap();
        assert!(nodes_of_infrared(&workspace).is_empty());
    }

    #[test]
    fn colleagues_of_one_environment_are_not_anothers() {
        let (mine, other) = (owner("job", "h"), owner("zz", "h"));
        let (_home, workspace) = workspace(&[&mine]);
        let key = PublicKey::known("ssh-ed25519 AAAA bob@desk");
        write_colleagues(&workspace, std::slice::from_ref(&key)).unwrap();
        workspace.claim(&mine).unwrap();
        assert_eq!(colleagues(&workspace), [key]);
        workspace.claim(&other).unwrap();
        assert!(colleagues(&workspace).is_empty());
    }

    #[test]
    fn removing_one_environment_leaves_anothers_key_and_inventory() {
        let (mine, other) = (owner("job", "h"), owner("zz", "h"));
        let (_home, workspace) = workspace(&[&mine]);
        assert!(!remove(&workspace, &other, Secrets::Go).unwrap());
        // The same name on another hypervisor is another environment.
        assert!(!remove(&workspace, &owner("job", "elsewhere"), Secrets::Go).unwrap());
        for name in [BUILT, SSH_CONFIG, KNOWN_HOSTS, KEY_FILE, SECRET_FILE, SAVED] {
            assert!(workspace.file(name).exists(), "{name}");
        }
        assert!(remove(&workspace, &mine, Secrets::Go).unwrap());
        assert!(!workspace.path.exists());
    }

    #[test]
    fn a_key_stays_until_no_environment_is_left_that_it_opens() {
        let (first, second) = (owner("a", "h"), owner("b", "h"));
        let (_home, workspace) = workspace(&[&first, &second]);
        assert!(remove(&workspace, &second, Secrets::Go).unwrap());
        assert!(workspace.file(KEY_FILE).exists() && !workspace.file(BUILT).exists());
        assert!(remove(&workspace, &first, Secrets::Go).unwrap());
        assert!(!workspace.path.exists());
    }

    /// A node that somebody has renamed, for instance: nobody else has the key to it.
    #[test]
    fn what_is_left_of_an_environment_keeps_its_key_until_it_has_gone() {
        let mine = owner("job", "h");
        let (_home, workspace) = workspace(&[&mine]);
        for _ in 0..2 {
            assert!(remove(&workspace, &mine, Secrets::Stay).unwrap());
            let there = |name| workspace.file(name).exists();
            assert!(there(KEY_FILE) && there(SECRET_FILE) && !there(BUILT) && !there(KNOWN_HOSTS));
        }
        assert!(remove(&workspace, &mine, Secrets::Go).unwrap());
        assert!(!workspace.path.exists());
    }

    #[test]
    fn without_a_record_nothing_is_taken_for_ours() {
        let (_home, workspace) = workspace(&[]);
        std::fs::remove_file(workspace.file(SAVED)).unwrap();
        assert!(!remove(&workspace, &owner("a", "h"), Secrets::Go).unwrap());
        assert!(workspace.file(KEY_FILE).exists());
    }

    #[test]
    fn a_workspace_of_the_first_release_holds_the_environment_that_it_remembers() {
        let (_home, workspace) = workspace(&[]);
        let text = r#"{"schema": 1, "prefix": "a", "hypervisor": {"address": "h"}}"#;
        std::fs::write(workspace.file(SAVED), text).unwrap();
        assert!(!remove(&workspace, &owner("zz", "h"), Secrets::Go).unwrap());
        assert!(remove(&workspace, &owner("a", "h"), Secrets::Go).unwrap());
        assert!(!workspace.path.exists());
    }
}
