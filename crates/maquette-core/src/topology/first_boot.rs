//! What a node's first boot installs, writes and runs besides setting the node up.

use std::collections::BTreeMap;
use std::fmt::Write;

use uuid::Uuid;

use crate::decode::{self, Fields};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file_keys::{Form, Key, key};
use crate::syntax::{Entry, Span, Tree, Value};
use crate::values::{
    BootPart, FileMode, GuestPath, GuestText, Line, Login, Owner, PackageName, Secret,
};

/// What the login user is logged in by at the serial console, for all instances of systemd's unit.
const GETTY: &str = "/etc/systemd/system/serial-getty@.service.d/maquette.conf";
/// Has systemd read it, and starts those again that run already. A systemd that is too busy to answer has read it, too.
const GETTY_AGAIN: &str =
    "systemctl daemon-reload || :; systemctl --no-block try-restart 'serial-getty@*.service'";

/// Where sshd is told that passwords are for consoles. cloud-init tells it so itself, unless `user_data` says otherwise.
const KEYS_ONLY: &str = "/etc/ssh/sshd_config.d/10-maquette.conf";
/// What it is told there.
const NO_PASSWORDS: &str = "PasswordAuthentication no\nKbdInteractiveAuthentication no\n";

/// The command that gives a user a password. Nobody but root sees what a shell has on its standard input.
fn set_password(user: &Login, password: &Secret) -> String {
    let line = format!("{user}:{}", password.reveal().lines().next().unwrap_or_default());
    // Only a byte 0 cannot be quoted, and no argument and no line of a file has one.
    let quoted = shlex::try_quote(&line).unwrap_or_default();
    format!("printf '%s\\n' {quoted} | chpasswd")
}

/// Most bytes of all files and commands: they travel on the seed volume.
const MOST_BYTES: usize = 4 << 20;

/// Keys of one of `files`.
const FILE: &[Key] = &[
    key("content", Form::Anything, "Its text").example("welcome").needed(),
    key("mode", Form::Parsed("a file mode", "0600"), "Its permissions in octal [default: 0644]")
        .example("\"0600\""),
    key(
        "owner",
        Form::Parsed("an owner", "root:adm"),
        "User, or user and group, such as `www-data:adm` [default: root]",
    )
    .example("root:adm"),
];

/// How `packages` is written.
pub(super) const PACKAGES: Form = Form::List(&Form::Parsed("a package name", "tcpdump"));
/// How `files` is written.
pub(super) const FILES: Form =
    Form::Entries("^/", &Form::Either(&[Form::Anything, Form::Map(FILE)]));
/// How `commands` is written.
pub(super) const COMMANDS: Form = Form::List(&Form::Anything);
/// How `console` is written.
pub(super) const CONSOLE: Form = Form::Words(&["login", "autologin"]);
/// How `user_data` is written.
pub(super) const USER_DATA: Form = Form::Either(&[
    Form::Entries("", &Form::Anything),
    Form::Parsed("a file of cloud-config", "web.cfg"),
]);

/// Directories, which end in `/`, and files that systemd, udev and what runs in every system read as they start:
/// systemd.directives(7), and Debian's and Fedora's base systems.
const READ_WHILE_STARTING: &[&str] = &[
    "/etc/NetworkManager/",
    "/etc/apparmor.d/",
    "/etc/apparmor/",
    "/etc/audit/",
    "/etc/chrony/",
    "/etc/chrony.conf",
    "/etc/crypttab",
    "/etc/dbus-1/",
    "/etc/default/",
    "/etc/firewalld/",
    "/etc/fstab",
    "/etc/init.d/",
    "/etc/iptables/",
    "/etc/locale.conf",
    "/etc/modprobe.d/",
    "/etc/modules",
    "/etc/modules-load.d/",
    "/etc/netplan/",
    "/etc/network/",
    "/etc/nftables.conf",
    "/etc/nftables/",
    "/etc/polkit-1/",
    "/etc/rc.local",
    "/etc/rsyslog.conf",
    "/etc/rsyslog.d/",
    "/etc/selinux/",
    "/etc/sysconfig/",
    "/etc/sysusers.d/",
    "/etc/systemd/",
    "/etc/tmpfiles.d/",
    "/etc/udev/",
    "/etc/ufw/",
    "/etc/vconsole.conf",
    "/lib/modprobe.d/",
    "/lib/modules-load.d/",
    "/lib/systemd/",
    "/lib/sysusers.d/",
    "/lib/tmpfiles.d/",
    "/lib/udev/",
    "/run/",
    "/usr/lib/modprobe.d/",
    "/usr/lib/modules-load.d/",
    "/usr/lib/sysusers.d/",
    "/usr/lib/systemd/",
    "/usr/lib/tmpfiles.d/",
    "/usr/lib/udev/",
    "/usr/local/lib/modprobe.d/",
    "/usr/local/lib/modules-load.d/",
    "/usr/local/lib/systemd/",
    "/usr/local/lib/sysusers.d/",
    "/usr/local/lib/tmpfiles.d/",
    "/usr/local/lib/udev/",
    "/var/lib/systemd/",
];

/// How the names of units begin that a running system cannot start again, or not without all that depends on them.
const BASE_UNITS: &[&str] = &["cloud-", "dbus", "maquette-", "systemd-", "user@", "user-"];

fn read_while_starting(path: &str) -> bool {
    let listed = |place: &&str| match place.ends_with('/') {
        true => path.starts_with(*place),
        false => path == *place,
    };
    // The agent has systemd read the files of units again, and restarts those that run; not what a directory beside one
    // is about.
    let restarts =
        |name: &str| !name.contains('/') && !BASE_UNITS.iter().any(|begin| name.starts_with(begin));
    let unit = path.split_once("/systemd/system/").is_some_and(|(_, name)| restarts(name));
    READ_WHILE_STARTING.iter().any(listed) && !unit
}

/// A file that a first boot writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFile {
    /// Where it is in the guest.
    pub path: GuestPath,
    /// Its text, which may hold what is nobody's business.
    pub content: Secret,
    /// Its permissions.
    pub mode: FileMode,
    /// Whose it is, if not root's.
    pub owner: Option<Owner>,
}

/// A part of what a first boot does, as a node's record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootDigest {
    /// Which part.
    pub part: BootPart,
    /// A digest of what it is; nothing can be guessed from it without the environment's secret.
    pub content: Uuid,
}

/// Most packages, and most files, that a record names one by one: it has to stay small enough for libvirt.
const MOST_NAMED: usize = 64;

/// What a first boot installs, writes and runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirstBoot {
    /// Packages, installed when the network is up.
    pub packages: Vec<PackageName>,
    /// Files, written before services start.
    pub files: Vec<BootFile>,
    /// Shell commands that root runs last, one after another until one fails.
    pub commands: Vec<Secret>,
    /// Whether the serial console logs the login user in without a password.
    pub autologin: bool,
    /// cloud-config of the user's own that only cloud-init can do, as a mapping in JSON; none if there is none.
    pub user_data: Option<Secret>,
    /// The login user's password, for consoles; none leaves consoles without one.
    pub password: Option<Secret>,
}

impl FirstBoot {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        let Self { packages, files, commands, autologin, user_data, password } = self;
        packages.is_empty()
            && files.is_empty()
            && commands.is_empty()
            && !autologin
            && user_data.is_none()
            && password.is_none()
    }

    /// Lines and values that may be secret, or have a secret in them: of files, commands and the user's own cloud-config.
    pub fn secret_texts(&self) -> Vec<String> {
        let Self { packages: _, files, commands, autologin: _, user_data, password } = self;
        let texts = files.iter().map(|file| &file.content).chain(commands).chain(password);
        let mut all: Vec<String> = texts.map(|text| text.reveal().to_string()).collect();
        let data = user_data.as_ref().and_then(|data| serde_json::from_str(data.reveal()).ok());
        let mut rest: Vec<serde_json::Value> = data.into_iter().collect();
        while let Some(value) = rest.pop() {
            match value {
                serde_json::Value::Array(items) => rest.extend(items),
                serde_json::Value::Object(entries) => rest.extend(entries.into_values()),
                serde_json::Value::String(text) => all.push(text),
                serde_json::Value::Number(number) => all.push(number.to_string()),
                serde_json::Value::Null | serde_json::Value::Bool(_) => {}
            }
        }
        let lines = all.iter().flat_map(|text| text.lines()).map(str::trim);
        // What a command hands to a program, and what follows a name, is in its output without the rest.
        let words = |line: &str| {
            let ends = |c: char| c.is_whitespace() || "\"'=:,;".contains(c);
            line.split(ends).map(String::from).collect::<Vec<_>>()
        };
        let looks_secret = |word: &String| {
            let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
            has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
        };
        let words = lines.clone().flat_map(words).filter(looks_secret);
        words.chain(lines.map(String::from)).filter(|text| !text.is_empty()).collect()
    }

    /// Whether only cloud-init can do it: the agent of built images leaves the node to it.
    pub fn needs_cloud_init(&self) -> bool {
        self.user_data.is_some()
    }

    /// The same in packages, files and commands, for a login user that is known.
    pub fn of_user(&self, user: &Login) -> Self {
        let mut all = self.clone();
        if self.autologin {
            let content = format!(
                "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin {user} \
                 --keep-baud 115200,57600,38400,9600 %I $TERM\n"
            );
            let content = Secret::new(content);
            let path = GuestPath::known(GETTY);
            all.files.push(BootFile { path, content, mode: FileMode::USUAL, owner: None });
            // Before those of which one may fail.
            all.commands.insert(0, Secret::new(GETTY_AGAIN));
        }
        if let Some(password) = &self.password {
            all.commands.insert(0, Secret::new(set_password(user, password)));
            if self.user_data.is_none() {
                let (path, content) = (GuestPath::known(KEYS_ONLY), Secret::new(NO_PASSWORDS));
                all.files.push(BootFile { path, content, mode: FileMode::USUAL, owner: None });
            }
        }
        all
    }

    /// A file that is read while a system starts, and by nobody whom the agent of a node could have read it that has
    /// started as another one.
    pub fn read_while_starting(&self) -> Option<&GuestPath> {
        self.files.iter().map(|file| &file.path).find(|path| read_while_starting(path))
    }

    /// A digest of all of it, by which a change is seen; none if there is nothing to do. `tag` keeps those from trying
    /// guesses who read it on the hypervisor, for there may be passwords in it.
    pub fn digest(&self, tag: &dyn Fn(&Secret) -> String) -> Option<Uuid> {
        let mut parts = String::new();
        let mut part = |text: &str| {
            let _ = write!(parts, "{} {text}\0", text.len());
        };
        let Self { packages, files, commands, autologin, user_data, password } = self;
        packages.iter().for_each(|name| part(name));
        part("files");
        for BootFile { path, content, mode, owner } in files {
            part(path);
            part(content.reveal());
            part(&format!("{:o}", mode.bits()));
            part(owner.as_ref().map_or("", Owner::as_str));
        }
        part("commands");
        commands.iter().for_each(|command| part(command.reveal()));
        // Digests of earlier versions know nothing of these.
        if *autologin {
            part("autologin");
        }
        if let Some(user_data) = user_data {
            part("user_data");
            part(user_data.reveal());
        }
        if let Some(password) = password {
            part("password");
            part(password.reveal());
        }
        let parts = Secret::new(parts);
        (!self.is_empty()).then(|| Uuid::new_v5(&Uuid::NAMESPACE_OID, tag(&parts).as_bytes()))
    }

    /// The same part by part, by which it is seen what a change is of. `tag` as for [`digest`](Self::digest).
    pub fn parts(&self, tag: &dyn Fn(&Secret) -> String) -> Vec<BootDigest> {
        let Self { packages, files, commands, autologin, user_data, password } = self;
        let mut texts: BTreeMap<BootPart, String> = BTreeMap::new();
        let mut add = |part: BootPart, text: &str| {
            let _ = write!(texts.entry(part).or_default(), "{} {text}\0", text.len());
        };
        for (at, name) in packages.iter().enumerate() {
            add(named(at, BootPart::Package(name.clone()), BootPart::Packages), name);
        }
        for (at, BootFile { path, content, mode, owner }) in files.iter().enumerate() {
            let part = named(at, BootPart::File(path.clone()), BootPart::Files);
            let mode = format!("{:o}", mode.bits());
            let owner = owner.as_ref().map_or("", Owner::as_str);
            for text in [path.as_str(), content.reveal(), mode.as_str(), owner] {
                add(part.clone(), text);
            }
        }
        commands.iter().for_each(|command| add(BootPart::Commands, command.reveal()));
        if *autologin {
            add(BootPart::Console, "autologin");
        }
        user_data.iter().for_each(|data| add(BootPart::UserData, data.reveal()));
        password.iter().for_each(|password| add(BootPart::Password, password.reveal()));
        let digest = |(part, text): (BootPart, String)| {
            // What is in one part is no part's that has another name.
            let text = Secret::new(format!("{part}\0{text}"));
            let content = Uuid::new_v5(&Uuid::NAMESPACE_OID, tag(&text).as_bytes());
            BootDigest { part, content }
        };
        texts.into_iter().map(digest).collect()
    }
}

/// The part that a package or file is: itself, or the rest of its kind where a record cannot name it.
fn named(at: usize, part: BootPart, rest: BootPart) -> BootPart {
    match at < MOST_NAMED && part.to_string().parse::<Line>().is_ok() {
        true => part,
        false => rest,
    }
}

/// Reads `packages`, `files`, `commands` and `console` of a node type.
pub(super) fn decode(fields: &mut Fields<'_>, role: &str, diags: &mut Diagnostics) -> FirstBoot {
    let packages = fields.take("packages").map_or(Vec::new(), |node| {
        let items = decode::list_of::<PackageName>(node, ("packages", "packages"), diags);
        let write = "a package is one text, such as `tcpdump`";
        let items = decode::singles(items, ("packages", "a package name"), write, diags);
        let items = items.into_iter();
        items.filter_map(|item| decode::checked(item, "packages", diags)).map(|p| p.value).collect()
    });
    let files = fields.take("files").map_or(Vec::new(), |node| files(node, role, diags));
    let commands = fields.take("commands").map_or(Vec::new(), |node| {
        let items = decode::list(node, "commands", diags);
        // What it has in it is shown nowhere.
        let write =
            "a command is one text for the shell, such as `echo hi`, and not a list of its words";
        let items = decode::singles(items, ("commands", "a single value"), write, diags);
        items.into_iter().filter_map(|item| text(item, "commands", diags)).collect()
    });
    let autologin = autologin(fields, diags);
    FirstBoot { packages, files, commands, autologin, ..FirstBoot::default() }
}

/// Refuses what would not go onto a seed volume.
pub(super) fn check_size(found: &FirstBoot, role: &str, span: Span, diags: &mut Diagnostics) {
    let texts = found.files.iter().map(|f| &f.content).chain(&found.commands);
    let sizes = texts.chain(&found.user_data).map(|s| s.reveal().len());
    if sizes.sum::<usize>() > MOST_BYTES {
        let message =
            format!("what node type `{role}` has for its first boot is larger than 4 MiB");
        let diagnostic = Diagnostic::error("topology::first-boot", message).at(span, "");
        diags.push(
            diagnostic.help("`maquette ssh` and Ansible bring larger files to nodes that are up"),
        );
    }
}

/// Whether `console` says so.
fn autologin(fields: &mut Fields<'_>, diags: &mut Diagnostics) -> bool {
    let Some(word) = fields.text("console", diags) else { return false };
    match word.value.as_str() {
        "autologin" => return true,
        "login" => {}
        other => diags.push(
            Diagnostic::error("topology::console", format!("`{other}` is not a kind of console"))
                .at(word.span, "")
                .help("it is `login`, which asks for a password, or `autologin`"),
        ),
    }
    false
}

fn files(node: &Tree, role: &str, diags: &mut Diagnostics) -> Vec<BootFile> {
    let what = format!("`files` of node type `{role}`");
    let write = |text: &str| match text.starts_with('/') && !text.contains('\n') {
        true => format!("files: {{{text}: TEXT}}"),
        false => "files: {/etc/motd: TEXT}".into(),
    };
    if let Value::List(items) = &node.value {
        // As cloud-init's `write_files` and kcli's `files` are written.
        let path = |item: &Tree| match &item.get("path")?.value {
            Value::Scalar(path, _) if path.parse::<GuestPath>().is_ok() => Some(path.clone()),
            _ => None,
        };
        // A path is no secret.
        let paths: Vec<String> = items.iter().filter_map(path).take(3).collect();
        let all = match paths.is_empty() {
            true => "/etc/motd: {content: …}".into(),
            false => {
                paths.iter().map(|p| format!("{p}: {{content: …}}")).collect::<Vec<_>>().join(", ")
            }
        };
        let error = decode::wrong_type(node, &what, "a mapping");
        diags.push(error.help(format!("write `files: {{{all}}}`")));
        return Vec::new();
    }
    if Fields::or_else(node, what, &[], write, diags).is_none() {
        return Vec::new();
    }
    node.entries().iter().filter_map(|entry| file(entry, role, diags)).collect()
}

fn file(entry: &Entry, role: &str, diags: &mut Diagnostics) -> Option<BootFile> {
    let path = match entry.key.parse::<GuestPath>() {
        Ok(path) => path,
        Err(why) => {
            let diagnostic = Diagnostic::error("topology::first-boot", why.to_string());
            diags.push(diagnostic.at(entry.key_span, "").help("such as `/etc/motd`"));
            return None;
        }
    };
    if let Value::Scalar(..) = entry.value.value {
        let content = text(&entry.value, &entry.key, diags)?;
        return Some(BootFile { path, content, mode: FileMode::USUAL, owner: None });
    }
    let what = format!("file `{path}` of node type `{role}`");
    let mut fields = Fields::new(&entry.value, what, FILE, diags)?;
    let content = fields.need("content", diags).and_then(|node| text(node, "content", diags));
    let mode = fields.parsed("mode", diags).map_or(FileMode::USUAL, |mode| mode.value);
    let owner = fields.parsed("owner", diags).map(|owner| owner.value);
    fields.finish(diags);
    Some(BootFile { path, content: content?, mode, owner })
}

/// Text that may have lines.
fn text(node: &Tree, what: &str, diags: &mut Diagnostics) -> Option<Secret> {
    let text = decode::checked::<GuestText>(node, what, diags);
    text.map(|text| Secret::new(text.value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_files_are_read_while_a_system_starts() {
        for (path, read) in [
            ("/etc/udev/rules.d/70-own.rules", true),
            ("/etc/fstab", true),
            ("/etc/fstab.d/own", false),
            ("/etc/systemd/journald.conf.d/own.conf", true),
            ("/etc/systemd/system/own.service", false),
            ("/etc/systemd/system/ssh.service", false),
            ("/etc/systemd/system/dbus.service", true),
            ("/lib/systemd/system/systemd-networkd.service", true),
            ("/var/lib/systemd/linger/cloud-user", true),
            ("/usr/local/lib/tmpfiles.d/own.conf", true),
            ("/etc/systemd/system/cron.service.d/own.conf", true),
            ("/etc/systemd/network/10-own.network", true),
            ("/usr/local/lib/systemd/system/own.timer", false),
            ("/etc/sysctl.d/90-own.conf", false),
            ("/etc/ssh/sshd_config.d/10-own.conf", false),
            ("/etc/nginx/nginx.conf", false),
            ("/srv/etc/fstab", false),
        ] {
            assert_eq!(read_while_starting(path), read, "{path}");
        }
    }

    /// libvirt takes no definition that is too long, and a record no name that is not a plain line.
    #[test]
    fn a_record_names_some_packages_and_files_and_has_a_digest_of_the_rest() {
        let file = |path: &str, content: &str| BootFile {
            path: path.parse().unwrap(),
            content: Secret::new(content),
            mode: FileMode::USUAL,
            owner: None,
        };
        let names: Vec<PackageName> =
            (0..MOST_NAMED + 2).map(|number| format!("p{number}").parse().unwrap()).collect();
        let all = |odd: &str| FirstBoot {
            packages: names.clone(),
            files: vec![file("/etc/motd", "hello"), file("/srv/{{ x }}", odd)],
            ..FirstBoot::default()
        };
        let tag = |text: &Secret| text.reveal().to_string();
        let (before, after) = (all("a").parts(&tag), all("b").parts(&tag));
        assert_eq!(before.len(), MOST_NAMED + 3);
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after);
        let changed: Vec<String> = changed.map(|(before, _)| before.part.to_string()).collect();
        assert_eq!(changed, ["files"]);
        let named = |name: &str| before.iter().any(|known| known.part.to_string() == name);
        assert!(named("package p63") && !named("package p64") && named("packages"));
        assert!(named("file /etc/motd") && !named("file /srv/{{ x }}"));
    }
}
