//! The master connection.

use std::fmt::Display;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use maquette_core::values::{HostAddress, Login as User, PlainPath, SshCommand, SshPath, SshWord};

use super::super::command::{login_line, quote};
use super::super::heard::Heard;
use super::super::process::{Frame, bounded, brief, first_words, lines};
use super::error::{ConnectError, classify};
use super::sockets::{Directories, Directory};

/// A hypervisor's SSH server and how to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name or address, as the user's ssh configuration may know it.
    pub address: HostAddress,
    /// Who logs in.
    pub user: User,
    /// Private key; none leaves the choice to the user's configuration and agent.
    pub key: Option<PlainPath>,
}

/// What the user's ssh configuration makes of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Login that `ssh` would use by itself.
    pub user: String,
    /// Where it connects to.
    pub hostname: HostAddress,
    /// Port; none is ssh's own, 22.
    pub port: Option<NonZeroU16>,
    /// Name that its host key is known by, if another.
    pub host_key_alias: Option<SshWord>,
    /// Hosts it jumps through, if any.
    pub proxy_jump: Option<SshWord>,
    /// Program it connects through, if any.
    pub proxy_command: Option<SshCommand>,
    /// Private keys that it offers.
    pub identity_files: Vec<SshPath>,
    /// Whether it offers no others.
    pub identities_only: bool,
    /// Files with known host keys; new ones are added to the first.
    pub known_hosts: Vec<PathBuf>,
}

impl Effective {
    /// A target that no configuration says anything of.
    pub fn plain(address: HostAddress) -> Self {
        Self {
            user: String::new(),
            hostname: address,
            port: None,
            host_key_alias: None,
            proxy_jump: None,
            proxy_command: None,
            identity_files: Vec::new(),
            identities_only: false,
            known_hosts: Vec::new(),
        }
    }
}

/// Asks `ssh` what it makes of a target; touches no network.
pub fn effective(address: &HostAddress, home: Option<&Path>) -> Result<Effective, ConnectError> {
    let mut ssh = Command::new("ssh");
    ssh.args(["-G", "--", address]).stdin(Stdio::null());
    let output = brief(&mut ssh, LIMIT).map_err(ConnectError::Local)?.ok_or_else(|| {
        let why = "`ssh -G` did not end; look at `Match exec` in the ssh configuration";
        ConnectError::Local(std::io::Error::other(why))
    })?;
    let seen = read_effective(&String::from_utf8_lossy(&output.stdout), address, home);
    seen.map_err(|error| {
        let why = format!("in the ssh configuration of {address}, {error}");
        ConnectError::Local(std::io::Error::other(why))
    })
}

/// Reads what `ssh -G` says. A way to the target that cannot be written out is an error, since another one would lead
/// elsewhere; a key file of such a name is left out, since ssh has others.
fn read_effective(
    text: &str,
    address: &HostAddress,
    home: Option<&Path>,
) -> Result<Effective, String> {
    let some = |key: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' '))?.trim();
        (line != "none").then(|| line.to_string())
    };
    let value = |key: &str| some(key).unwrap_or_default();
    let files = ["userknownhostsfile", "globalknownhostsfile"].map(|key| paths(&value(key)));
    let path = |file: &str| match (file.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(file),
    };
    Ok(Effective {
        user: value("user"),
        hostname: checked(some("hostname"), "HostName")?.unwrap_or_else(|| address.clone()),
        port: checked(some("port"), "Port")?.filter(|port: &NonZeroU16| port.get() != 22),
        host_key_alias: checked(some("hostkeyalias"), "HostKeyAlias")?,
        proxy_jump: checked(some("proxyjump"), "ProxyJump")?,
        proxy_command: checked(some("proxycommand"), "ProxyCommand")?,
        identity_files: text
            .lines()
            .filter_map(|l| l.strip_prefix("identityfile "))
            .filter_map(|file| path(file.trim()).display().to_string().parse().ok())
            .collect(),
        identities_only: value("identitiesonly") == "yes",
        known_hosts: files.concat().iter().map(|file| path(file)).collect(),
    })
}

/// Paths in a list of `ssh`'s, which puts no quotes around one with blanks: what begins as no path of its own belongs to the one
/// before.
fn paths(list: &str) -> Vec<String> {
    let is_whole = |path: &str| path.starts_with(['/', '~']);
    let mut all: Vec<String> = Vec::new();
    for word in list.trim().split(' ') {
        let is_rest = !is_whole(word) && all.last().is_some_and(|before| is_whole(before));
        match all.last_mut().filter(|_| is_rest) {
            Some(before) => before.extend([" ", word]),
            None => all.push(word.into()),
        }
    }
    all.retain(|path| !path.is_empty());
    all
}

/// A value of the configuration, or what is wrong with it.
fn checked<T: FromStr<Err: Display>>(
    text: Option<String>,
    keyword: &str,
) -> Result<Option<T>, String> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|error| format!("`{keyword}`: {error}"))).transpose()
}

/// Who we are on the other side.
#[derive(Debug, Clone, Default)]
pub(super) struct Login {
    pub root: bool,
    pub user: String,
    pub sudo: bool,
    pub said: String,
    /// Whether the login shell printed something before.
    pub noisy: bool,
}

pub(super) struct Master {
    /// Holds the socket and the wrappers; only its owner can enter it.
    directory: Directory,
    address: HostAddress,
    child: Mutex<Child>,
    /// Words that say who logs in, for a connection of its own.
    login: Vec<String>,
    /// Its end ends the connection.
    _leash: ChildStdin,
}

/// The whole of connecting and logging in may take this long.
pub(super) const LIMIT: Duration = Duration::from_secs(9);

/// The connection's own process is asked whether it is there, and should know at once.
const CHECK: Duration = Duration::from_secs(5);

/// The master's own session: says who we are, then lives as long as its input.
const GREETING: &str = "id -un; id -u; if [ \"$(id -u)\" = 0 ]; then echo root; \
    else sudo -n true 2>&1 && echo sudo; fi; echo maquette-ready";

/// How a connection is opened that nobody watches, whatever the user's configuration says.
fn login_words(target: &Target) -> Vec<String> {
    let mut words: Vec<String> = [
        ["-o", "BatchMode=yes", "-o", "ConnectTimeout=8", "-o", "LogLevel=ERROR"],
        ["-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=3", "-o", "ForwardX11=no"],
        ["-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no", "-o", "ForwardAgent=no"],
        ["-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none", "-l", &target.user],
    ]
    .concat()
    .into_iter()
    .map(String::from)
    .collect();
    words.push("-T".into());
    if let Some(key) = &target.key {
        words.extend(["-i".into(), key.to_string()]);
        words.extend(["-o".into(), "IdentitiesOnly=yes".into()]);
    }
    words
}

impl Master {
    pub(super) fn open(
        target: &Target,
        frame: &Frame,
        user: &Directories,
    ) -> Result<(Self, Login), ConnectError> {
        if let Some(key) = &target.key {
            check_key(Path::new(key.as_str()))?;
        }
        let directory = Directory::new(user).map_err(ConnectError::Local)?;
        let login = login_words(target);
        let mut ssh = Command::new("ssh");
        ssh.args(&login).args(["-o", "ControlMaster=yes", "-o", "ControlPersist=no"]);
        ssh.arg("-S").arg(directory.path().join("ssh"));
        let greeting = format!("printf %s {}; {GREETING}; exec cat >/dev/null", frame.begin);
        ssh.args(["--", &target.address, &login_line(&greeting)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for us; the connection must outlive it to end in order.
            .process_group(0);
        let mut child = ssh.spawn().map_err(ConnectError::Local)?;
        let (Some(leash), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(ConnectError::Local(std::io::Error::other("ssh has no pipes")));
        };
        let greeting = read_greeting(stdout, frame.begin.clone());
        let complaints = read_all(stderr);
        let said = match greeting.recv_timeout(LIMIT) {
            Ok(Greeting::Ready(who)) => {
                let address = target.address.clone();
                let child = Mutex::new(child);
                return Ok((Self { directory, address, child, login, _leash: leash }, who));
            }
            Ok(Greeting::Ended(said)) => Some(said),
            Err(_) => None,
        };
        // A shell may have closed its output, or printed too much, and stay.
        let status = ended(&mut child, if said.is_some() { END_LIMIT } else { Duration::ZERO });
        let complained = complaints.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        Err(not_ready(target, said, status, &complained))
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Words for a client of this connection. Without the master it fails rather than connect again.
    pub(super) fn client_words(&self) -> Vec<String> {
        let socket = self.directory.path().join("ssh").display().to_string();
        ["-S", &socket, "-o", "ControlMaster=no", "-o", "ProxyCommand=false"]
            .into_iter()
            .chain(["-o", "BatchMode=yes", "-o", "LogLevel=ERROR"])
            .chain(["-o", "RemoteCommand=none", "-T"])
            .map(String::from)
            .collect()
    }

    pub(super) fn client(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(self.client_words()).stdin(Stdio::null()).process_group(0);
        ssh
    }

    /// A client that connects and logs in by itself.
    pub(super) fn separate_client(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(&self.login).args(["-o", "ControlMaster=no", "-o", "ControlPath=none"]);
        ssh.stdin(Stdio::null()).process_group(0);
        ssh
    }

    /// A program that runs one remote line in this connection, whatever its arguments.
    pub(super) fn wrapper(&self, name: &str, line: &str) -> std::io::Result<PathBuf> {
        self.program(name, &format!("exec setsid {}", self.client_line(line)))
    }

    /// The same for a login shell that prints something before: what comes until a line with `begin` is
    /// not passed on.
    pub(super) fn filtered(&self, name: &str, line: &str, begin: &str) -> std::io::Result<PathBuf> {
        let client = self.client_line(line);
        // The last line of noise may have no end.
        let filter = format!(
            "{client} | while IFS= read -r line; do \
             case $line in *{begin}) exec cat;; esac; done"
        );
        self.program(name, &format!("exec setsid sh -c {}", quote(&filter)))
    }

    fn client_line(&self, line: &str) -> String {
        let words: Vec<String> = self.client_words().iter().map(|w| quote(w)).collect();
        format!("ssh {} -- {} {}", words.join(" "), quote(&self.address), quote(line))
    }

    fn program(&self, name: &str, command: &str) -> std::io::Result<PathBuf> {
        let path = self.directory.path().join(name);
        let script =
            format!("#!/bin/sh\n# Its own session: Ctrl-C must not cut libvirt off.\n{command}\n");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o700)
            .open(&path)?;
        file.write_all(script.as_bytes())?;
        Ok(path)
    }

    /// Whether the connection is gone. A client notices before the master's process has ended; then
    /// the socket no longer answers.
    pub(super) fn is_lost(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        let mut check = self.client();
        check.args(["-O", "check", "--", &self.address]);
        !brief(&mut check, CHECK).is_ok_and(|o| o.is_some_and(|o| o.status.success()))
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// How long `ssh` may take to end once nothing more is heard of it.
const END_LIMIT: Duration = Duration::from_secs(2);

/// The status of a process that ends by itself within some time; of another one, which is ended, none.
fn ended(child: &mut Child, patience: Duration) -> Option<i32> {
    Heard::new(child.id(), patience).await_end();
    child.wait().ok().and_then(|status| status.code())
}

/// Most bytes of a private key's file.
const LARGEST_KEY: usize = 64 * 1024;

/// Finds the mistakes that `ssh` would only hint at.
fn check_key(path: &Path) -> Result<(), ConnectError> {
    let wrong = |why: &str| ConnectError::KeyFile { path: path.into(), why: why.into() };
    let bytes = match std::fs::File::open(path).map(|file| bounded(file, LARGEST_KEY)) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(wrong("it is larger than any key")),
        // That is not the key's fault.
        Err(error) if matches!(error.raw_os_error(), Some(23 | 24)) => {
            return Err(ConnectError::Local(error));
        }
        Err(error) => return Err(wrong(&error.to_string())),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.contains("PRIVATE KEY") || text.starts_with("PuTTY-User-Key-File") {
        return Ok(());
    }
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") || text.starts_with("sk-") {
        return Err(wrong("it is a public key; the private one has no `.pub` in its name"));
    }
    Err(wrong("it holds no private key"))
}

/// Why there is no greeting. `ssh` ends with 255 if it is its own fault.
fn not_ready(
    target: &Target,
    said: Option<String>,
    status: Option<i32>,
    complained: &str,
) -> ConnectError {
    let shell = |what: String| {
        let (user, address) = (target.user.clone(), target.address.clone());
        ConnectError::Shell { user: user.to_string(), address: address.to_string(), what }
    };
    match said {
        Some(said) if !said.is_empty() => {
            shell(format!("does not run the commands it is given; it says: {said}"))
        }
        Some(_) if status != Some(255) => {
            let said = first_words(complained.as_bytes());
            let said = if said.is_empty() { said } else { format!("; it says: {said}") };
            shell(format!("does not run the commands it is given{said}"))
        }
        None if complained.trim().is_empty() => {
            let said = format!("no login within {} s: it timed out", LIMIT.as_secs());
            classify(&target.user, &target.address, &said)
        }
        _ => classify(&target.user, &target.address, complained),
    }
}

/// What the master's session says.
enum Greeting {
    /// Who we are.
    Ready(Login),
    /// It ended, or printed more than a login shell may: its first words.
    Ended(String),
}

/// Most bytes of a greeting, noise included.
const LONGEST: usize = 64 * 1024;

/// Reads the greeting in the background; login shells may say something before.
fn read_greeting(
    mut stdout: impl Read + Send + 'static,
    begin: String,
) -> mpsc::Receiver<Greeting> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut seen = Vec::new();
        let mut buffer = [0u8; 4096];
        let heard = loop {
            match stdout.read(&mut buffer) {
                Ok(count @ 1..) => seen.extend_from_slice(&buffer[..count]),
                _ => break Greeting::Ended(first_words(&seen)),
            }
            if let Some(login) = greeting(&String::from_utf8_lossy(&seen), &begin) {
                break Greeting::Ready(login);
            }
            if seen.len() > LONGEST {
                break Greeting::Ended(first_words(&seen));
            }
        };
        // Nobody may be waiting any more.
        let _ = sender.send(heard);
    });
    receiver
}

/// `[noise] BEGIN USER UID (root | sudo | complaint) maquette-ready`, if it is whole.
fn greeting(text: &str, begin: &str) -> Option<Login> {
    let (noise, said) = text.split_once(begin)?;
    let lines: Vec<&str> = said.split_once("maquette-ready\n")?.0.lines().map(str::trim).collect();
    let (user, rest) = lines.split_first()?;
    let (id, rest) = rest.split_first()?;
    Some(Login {
        root: *id == "0",
        user: user.to_string(),
        sudo: rest.contains(&"sudo"),
        said: rest.iter().filter(|l| !l.is_empty()).copied().collect::<Vec<_>>().join(" "),
        noisy: !noise.is_empty(),
    })
}

fn read_all(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(lines(pipe, &mut |_| {}));
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(text: &str) -> Login {
        greeting(text, "@@begin@@").unwrap()
    }

    #[test]
    fn the_greeting_tells_who_we_are() {
        let root = login("welcome\n@@begin@@root\n0\nroot\nmaquette-ready\n");
        assert!(root.root && root.user == "root" && root.noisy);
        let sudoer = login("@@begin@@stack\n1000\nsudo\nmaquette-ready\n");
        assert!(!sudoer.root && sudoer.sudo && !sudoer.noisy);
        let nobody = login("@@begin@@stack\n1000\nsudo: a password is required\nmaquette-ready\n");
        assert!(!nobody.root && !nobody.sudo);
        assert_eq!(nobody.said, "sudo: a password is required");
        for part in ["", "noise", "@@begin@@root\n0\n", "root\n0\nmaquette-ready\n"] {
            assert!(greeting(part, "@@begin@@").is_none());
        }
    }

    /// It was waited for until the user lost patience.
    #[test]
    fn a_shell_that_closes_its_output_and_stays_is_ended() {
        for script in ["exec >&-; exec sleep 300", "head -c 200000 /dev/zero; exec sleep 300"] {
            let mut shell = Command::new("sh");
            let mut child = shell.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
            let greeting = read_greeting(child.stdout.take().unwrap(), "@@begin@@".into());
            assert!(matches!(greeting.recv().unwrap(), Greeting::Ended(_)), "{script}");
            assert_eq!(ended(&mut child, Duration::from_millis(50)), None, "{script}");
        }
        let mut child = Command::new("sh").args(["-c", "exit 255"]).spawn().unwrap();
        assert_eq!(ended(&mut child, Duration::from_secs(60)), Some(255));
    }

    #[test]
    fn the_users_configuration_is_understood() {
        let text = "user stack\nhostname 192.0.2.1\nport 2222\nproxyjump bastion\n\
                    identityfile ~/.ssh/lab\nidentitiesonly yes\n\
                    userknownhostsfile ~/.ssh/known_hosts ~/.ssh/known_hosts2\n\
                    globalknownhostsfile /etc/ssh/ssh_known_hosts\nproxycommand none\n";
        let address: HostAddress = "hv".parse().unwrap();
        let read = |text: &str| read_effective(text, &address, Some(Path::new("/home/me")));
        let seen = read(text).unwrap();
        assert_eq!((seen.user.as_str(), seen.port.map(NonZeroU16::get)), ("stack", Some(2222)));
        assert_eq!(seen.hostname, "192.0.2.1");
        assert_eq!(seen.proxy_jump.as_deref(), Some("bastion"));
        assert_eq!(seen.proxy_command, None);
        assert_eq!(seen.known_hosts[0], Path::new("/home/me/.ssh/known_hosts"));
        assert_eq!(seen.known_hosts.len(), 3);
        assert_eq!(seen.identity_files, ["/home/me/.ssh/lab"]);
        assert!(seen.identities_only);
        assert_eq!(read("port 22\n").unwrap(), Effective::plain(address.clone()));
        // New keys were added to a file that is called as a part of its name.
        let blanks = "userknownhostsfile /home/my  own keys/known ~/other known\nglobalknownhostsfile /etc/a /etc/b\n";
        let expected = ["/home/my  own keys/known", "/home/me/other known", "/etc/a", "/etc/b"];
        assert_eq!(read(blanks).unwrap().known_hosts, expected.map(PathBuf::from));
        let relative = "userknownhostsfile known other /etc/a\n";
        assert_eq!(
            read(relative).unwrap().known_hosts,
            ["known", "other", "/etc/a"].map(PathBuf::from)
        );
    }

    /// They were written into the workspace's ssh config as they were.
    #[test]
    fn what_cannot_be_written_out_of_the_users_configuration_is_an_error_or_left_out() {
        let address: HostAddress = "hv".parse().unwrap();
        let read = |text: &str| read_effective(text, &address, None);
        for (text, keyword) in [
            ("hostname a b\n", "HostName"),
            ("hostname a\u{1b}[2J\n", "HostName"),
            ("port 0\n", "Port"),
            ("port 65536\n", "Port"),
            ("hostkeyalias \"a\n", "HostKeyAlias"),
            ("hostkeyalias {{ x }}\n", "HostKeyAlias"),
            ("proxyjump a b\n", "ProxyJump"),
            ("proxycommand a\u{9b}b\n", "ProxyCommand"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(keyword) && !error.contains('\u{1b}'), "{text}: {error}");
        }
        let text = "proxycommand sh -c 'nc $(docker inspect -f \"{{.IP}}\" \tgate) %p'\n\
                    identityfile /home/my keys/id\nidentityfile ~/\"x\nidentityfile %d/.ssh/{{ x }}\n";
        let seen = read(text).unwrap();
        assert_eq!(
            format!("proxycommand {}", seen.proxy_command.unwrap()),
            text.lines().next().unwrap()
        );
        assert_eq!(seen.identity_files, ["/home/my keys/id"]);
    }

    #[test]
    fn key_files_are_looked_at_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            check_key(&path).map_err(|e| e.to_string())
        };
        assert!(said("-----BEGIN OPENSSH PRIVATE KEY-----\n").is_ok());
        assert!(said("ssh-ed25519 AAAA me").unwrap_err().contains("public key"));
        assert!(said("").unwrap_err().contains("no private key"));
        assert!(check_key(Path::new("/nonexistent")).is_err());
        assert!(check_key(Path::new("/dev/zero")).unwrap_err().to_string().contains("larger"));
    }
}
