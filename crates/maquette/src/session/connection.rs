//! The way to the hypervisor: this machine, or one over SSH.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use maquette_core::diagnostic::Diagnostic;
use maquette_core::image::redact;
use maquette_core::values::{Login, PlainPath, ValueError, is_unprintable};
use maquette_engine::StepError;
use maquette_engine::host::Host;
use maquette_engine::host::ssh::{ConnectError, HostKey, Target};
use maquette_engine::private_file;
use maquette_engine::probe::Reach;
use maquette_engine::ssh_keys::RecordKey;

use crate::failure::Failure;
use crate::host_args::{HostArgs, Remote};
use crate::signals;
use crate::workspace::Workspace;
use crate::world::{Environment, World};

/// The variable that names another driver of libvirt than QEMU's, such as its test driver, for trying things out without guests.
const URI: &str = "MAQUETTE_LIBVIRT_URI";

/// libvirt's address on this machine.
pub fn local_uri(world: &World) -> String {
    world.environment.text(URI).unwrap_or_else(|| "qemu:///system".into())
}

/// Refuses an address of libvirt on another machine: locks, files and all that is asked of a hypervisor besides would be this
/// machine's.
pub fn check_uri(environment: &Environment) -> Result<(), Failure> {
    let Some(uri) = environment.text(URI) else { return Ok(()) };
    let drivers = ["qemu:///", "qemu+unix:///", "test:///", "test+unix:///"];
    if drivers.iter().any(|driver| uri.starts_with(driver)) && !uri.chars().any(is_unprintable) {
        return Ok(());
    }
    let message =
        format!("{URI} has to be an address of libvirt on this machine, not `{}`", redact(&uri));
    Err(Failure::input(
        Diagnostic::error("environment::value", message)
            .help("it is `qemu:///system` by itself, and `test:///default` for trying things out")
            .help("`--host-address ADDRESS` names another hypervisor, which is reached over SSH"),
    ))
}

/// A hypervisor that is reached.
pub struct Connection {
    /// Its own side.
    pub host: Box<dyn Host>,
    /// libvirt's address, as `virsh -c` takes it.
    pub uri: String,
    /// libvirt's address, as people know it.
    pub label: String,
    /// How it is reached, if over SSH.
    pub remote: Option<Remote>,
    /// Options of `ssh` that lead to guests through the open connection.
    pub jump: Vec<String>,
    /// The key of the environment's records, if the workspace has its secret.
    pub records: Option<RecordKey>,
}

impl Connection {
    /// Whether it is this machine.
    pub fn reach(&self) -> Reach {
        if self.remote.is_some() { Reach::Remote } else { Reach::Local }
    }

    /// This machine's libvirt, which is reached without SSH.
    pub fn local(world: &World) -> Self {
        Self {
            host: world.hosts.here(),
            label: local_uri(world),
            uri: local_uri(world),
            remote: None,
            jump: Vec::new(),
            records: None,
        }
    }
}

/// Checks what can be checked of a hypervisor's name without touching anything, and completes it.
pub fn resolve(world: &World, args: &HostArgs) -> Result<Option<Target>, Failure> {
    let Some(address) = args.address.clone().filter(|_| args.is_remote()) else {
        return Ok(None);
    };
    let user = match &args.user {
        Some(user) => user.clone(),
        None => {
            // A user that the ssh configuration names; by itself ssh takes the local one.
            let configured = world.hosts.effective(&address).map_err(refused)?.user;
            let own = ["USER", "LOGNAME"].iter().find_map(|name| world.environment.text(name));
            if own.is_some_and(|own| own == configured) {
                Login::known("root")
            } else {
                configured.parse().map_err(|e: ValueError| {
                    input("hypervisor::user", format!("the ssh configuration's user: {e}"), None)
                })?
            }
        }
    };
    if !user.is_shell_word() {
        let message =
            format!("the login `{user}` cannot lead to nodes: shells read `$@` as a variable");
        let hint = "`--host-user` names another login of the hypervisor";
        return Err(input("hypervisor::user", message, Some(hint.into())));
    }
    let key = args.key.as_deref().map(|key| expand(&world.environment, key));
    // It is named in ProxyCommands, which shells take apart.
    let plain = |key: PathBuf| key.display().to_string().parse::<PlainPath>();
    let key = key.map(plain).transpose().map_err(|e| {
        let hint = Some("make a symbolic link to it with a plain name, and name that".into());
        input("hypervisor::key", format!("key file {e}"), hint)
    })?;
    Ok(Some(Target { address, user, key }))
}

/// Connects to the hypervisor of a workspace, whose secret tells records that were edited.
pub fn open(world: &World, args: &HostArgs, workspace: &Workspace) -> Result<Connection, Failure> {
    let records = RecordKey::read(&workspace.path);
    let Some(target) = resolve(world, args)? else {
        return Ok(Connection { records, ..Connection::local(world) });
    };
    signals::watch(&world.terminal).map_err(|e| Failure::because("cannot catch signals", e))?;
    if let Some(key) = &target.key {
        close_to_others(world, Path::new(key.as_str()), args.said.key)?;
    }
    let replacing = args.with_replacing_keys();
    let reached = match world.hosts.connect(&target) {
        Err(ConnectError::UnknownHostKey { .. }) => {
            trust(world, &target, args, false)?;
            world.hosts.connect(&target)
        }
        // A machine that was installed again: who knows its new fingerprint does not have to edit files.
        Err(ConnectError::ChangedHostKey { .. })
            if replacing.fingerprint.is_some() || replacing.known_hosts.is_some() =>
        {
            trust(world, &target, &replacing, true)?;
            world.hosts.connect(&target)
        }
        other => other,
    }
    .map_err(refused)?;
    let label = format!("qemu+ssh://{}@{}/system", target.user, bracketed(&target.address));
    let transport = reached
        .transport
        .map_err(|e| Failure::because("cannot prepare the connection to libvirt", e))?;
    // The transport knows where to go; the name here is only for libvirt's own messages.
    let command = percent_encoded(&transport.display().to_string());
    let uri = format!("qemu+ssh://hypervisor/system?command={command}");
    let effective = world.hosts.effective(&target.address).map_err(refused)?;
    let host_keys = world.hosts.known(&target).map_err(refused)?;
    let remote = Some(Remote { target, effective, host_keys });
    Ok(Connection { host: reached.host, uri, label, remote, jump: reached.jump, records })
}

/// A value in a URI's query (RFC 3986, section 2.1).
fn percent_encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-~".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.into() }
}

/// `~/` is the user's home, in files as in the shell.
fn expand(environment: &Environment, path: &Path) -> PathBuf {
    let expanded = match (path.strip_prefix("~"), environment.home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_path_buf(),
    };
    environment.absolute(expanded)
}

/// `ssh` refuses keys of its user's that others can read; InfraRed made them private, so this does, too: when the
/// key is used, and not while input is still being checked. The mode of a file that a project file or a workspace names
/// stays as it is.
fn close_to_others(world: &World, key: &Path, is_said: bool) -> Result<(), Failure> {
    let Ok(metadata) = key.metadata() else { return Ok(()) };
    let private =
        || private_file::read(key).is_ok_and(|b| b.windows(11).any(|w| w == b"PRIVATE KEY"));
    let open = metadata.permissions().mode() & 0o077 != 0 && metadata.is_file();
    // Somebody else's key may be read by a group, and `ssh` takes it as it is.
    if !open || metadata.uid() != rustix::process::getuid().as_raw() || !private() {
        return Ok(());
    }
    if !is_said {
        let message = format!(
            "others can read key file {}, and `ssh` does not take such a key",
            key.display()
        );
        let hint = format!("`chmod 600 {}` makes it private", key.display());
        return Err(input("hypervisor::key", message, Some(hint)));
    }
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).map_err(|e| {
        Failure::because(format!("cannot make {} private, as ssh wants it", key.display()), e)
    })?;
    world
        .terminal
        .talk(&format!("note: {} could be read by others; its mode is 0600 now", key.display()));
    world.terminal.touched(format!("the mode of {}", key.display()));
    Ok(())
}

fn input(code: &'static str, message: String, hint: Option<String>) -> Failure {
    let diagnostic = Diagnostic::error(code, message);
    Failure::input(match hint {
        Some(hint) => diagnostic.help(hint),
        None => diagnostic,
    })
}

fn refused(error: ConnectError) -> Failure {
    let hint = error.hint();
    match error {
        ConnectError::KeyFile { .. } => input("hypervisor::key", error.to_string(), hint),
        _ => {
            let mut failure = StepError::of(error);
            failure.hints.extend(hint);
            Failure::Failed(failure)
        }
    }
}

/// Has a host key confirmed that nobody knows yet: by its fingerprint, or at the terminal.
/// One that is known takes the place of another with a fingerprint only.
fn trust(world: &World, target: &Target, args: &HostArgs, replaces: bool) -> Result<(), Failure> {
    let keys = world.hosts.fetch_host_keys(target).map_err(refused)?;
    let shown: Vec<String> =
        keys.iter().map(|k| format!("{} key {}", k.algorithm, k.fingerprint)).collect();
    let shown = shown.join(", ");
    let address = &target.address;
    if args.fingerprint.is_some() || args.known_hosts.is_some() {
        let agreed = agreed(world, target, args, &keys)?;
        if agreed.is_empty() {
            return Err(unexpected(address, &shown, args, &keys));
        }
        if !replaces {
            return remember(world, target, &agreed);
        }
        world.terminal.talk(&format!("{address} has another host key than before: {shown}"));
        let file = world.hosts.replace(target, &agreed).map_err(refused)?;
        world.terminal.talk(&format!("it takes the old one's place in {file}"));
        world.terminal.touched(file);
        return Ok(());
    }
    if !world.terminal.is_interactive() {
        return Err(Failure::Failed(
            StepError::new(format!("the host key of {address} is not known: {shown}"))
                .hint("if that is its key, say so with `--host-key-fingerprint SHA256:…`")
                .hint(format!("or add to ~/.ssh/known_hosts: {}", lines(&keys)))
                .hint("or name a file with that line: `--host-known-hosts FILE`"),
        ));
    }
    world.terminal.talk(&format!("The host key of {address} is not known yet: {shown}"));
    world.terminal.talk("Compare it with `ssh-keygen -lf` on that machine.");
    if !world.terminal.ask("Is it the right one?")? {
        return Err(Failure::Failed(StepError::new("the host key was not accepted")));
    }
    remember(world, target, &keys)
}

/// Those of the keys that a hypervisor shows which somebody has said to be its.
fn agreed(
    world: &World,
    target: &Target,
    args: &HostArgs,
    keys: &[HostKey],
) -> Result<Vec<HostKey>, Failure> {
    let wanted = args.fingerprint.as_deref().map(|text| text.trim_end_matches('='));
    let mut agreed: Vec<HostKey> =
        keys.iter().filter(|key| Some(key.fingerprint.as_str()) == wanted).cloned().collect();
    if let Some(file) = &args.known_hosts {
        let file = expand(&world.environment, file);
        // What `<(…)` of a shell is can be opened once only.
        if let Err(error) = file.metadata() {
            let message =
                format!("cannot read {}, which is to have host keys: {error}", file.display());
            return Err(input("hypervisor::known-hosts", message, None));
        }
        let noted = world.hosts.noted_in(target, &file, keys).map_err(refused)?;
        agreed.extend(noted.into_iter().filter(|key| Some(key.fingerprint.as_str()) != wanted));
    }
    Ok(agreed)
}

/// Why a hypervisor is not trusted that shows none of the keys that it was said to have.
fn unexpected(address: &str, shown: &str, args: &HostArgs, keys: &[HostKey]) -> Failure {
    let error = StepError::new(format!("{address} shows another host key than expected: {shown}"));
    let error =
        error.hint("somebody may be in between; compare with `ssh-keygen -lf` on that machine");
    Failure::Failed(match &args.known_hosts {
        Some(file) => error.hint(format!("the line for {}: {}", file.display(), lines(keys))),
        None => error,
    })
}

/// Host keys as lines of known_hosts.
fn lines(keys: &[HostKey]) -> String {
    keys.iter().map(|key| key.line.as_str()).collect::<Vec<_>>().join("\n")
}

fn remember(world: &World, target: &Target, keys: &[HostKey]) -> Result<(), Failure> {
    let file = world.hosts.remember(target, keys).map_err(refused)?;
    world.terminal.talk(&format!("added the host key of {} to {file}", target.address));
    world.terminal.touched(file);
    Ok(())
}
