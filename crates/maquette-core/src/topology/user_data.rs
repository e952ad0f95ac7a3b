//! cloud-config of the user's own: what of it anybody can do who sets nodes up, what is left to cloud-init, and what is
//! refused, since Maquette has to have it its own way.

use super::first_boot::{self, BootFile, FirstBoot};
use crate::decode::Fields;
use crate::diagnostic::{Diagnostic, Diagnostics, slip};
use crate::syntax::{Entry, Plain, Span, Style, Tree, Value};
use crate::values::{FileMode, GuestText, Owner, PackageName, Secret};

/// Keys that are refused, each with who decides instead.
const REFUSED: [(&str, &str); 17] = [
    ("hostname", "a node is called as Maquette names it"),
    ("fqdn", "a node is called as Maquette names it"),
    ("preserve_hostname", "a node is called as Maquette names it"),
    ("prefer_fqdn_over_hostname", "a node is called as Maquette names it"),
    ("user", "`--topology-username` names the login user; `users` adds others"),
    ("disable_root", "Maquette logs in as root, too"),
    ("ssh_keys", "known_hosts of the workspace has the host key that Maquette gives a node"),
    ("ssh_deletekeys", "known_hosts of the workspace has the host key that Maquette gives a node"),
    ("ssh_genkeytypes", "known_hosts of the workspace has the host key that Maquette gives a node"),
    ("network", "`networks` and `interfaces` say what a node's network is"),
    ("power_state", "`maquette up` waits for the first boot; `maquette restart` comes after it"),
    (
        "system_info",
        "the image knows its distribution, and `--topology-username` names the login user",
    ),
    ("datasource", "a node's first boot reads its seed"),
    ("datasource_list", "a node's first boot reads its seed"),
    ("cloud_init_modules", "all modules of the image's run"),
    ("cloud_config_modules", "all modules of the image's run"),
    ("cloud_final_modules", "all modules of the image's run"),
];

/// Keys that Maquette has something in, too: both lists are one.
const LISTS: [&str; 5] = ["users", "bootcmd", "write_files", "packages", "runcmd"];

/// Keys of cloud-config, by its reference of modules; newer ones are not here, and are no mistakes.
const KNOWN: &[&str] = &[
    "ansible",
    "apk_repos",
    "apt",
    "apt_pipelining",
    "bootcmd",
    "byobu_by_default",
    "ca_certs",
    "chef",
    "chpasswd",
    "disable_root",
    "disk_setup",
    "final_message",
    "fs_setup",
    "groups",
    "growpart",
    "grub_dpkg",
    "keyboard",
    "landscape",
    "locale",
    "lxd",
    "manage_etc_hosts",
    "manage_resolv_conf",
    "mount_default_fields",
    "mounts",
    "ntp",
    "output",
    "package_reboot_if_required",
    "package_update",
    "package_upgrade",
    "packages",
    "password",
    "phone_home",
    "power_state",
    "puppet",
    "random_seed",
    "resize_rootfs",
    "resolv_conf",
    "rh_subscription",
    "rsyslog",
    "runcmd",
    "salt_minion",
    "snap",
    "ssh",
    "ssh_authorized_keys",
    "ssh_deletekeys",
    "ssh_genkeytypes",
    "ssh_import_id",
    "ssh_keys",
    "ssh_publish_hostkeys",
    "ssh_pwauth",
    "swap",
    "timezone",
    "ubuntu_pro",
    "user",
    "users",
    "wireguard",
    "write_files",
    "yum_repos",
    "zypper",
];

/// Older spellings, which releases of cloud-init take.
const OLDER: [&str; 3] = ["ca-certs", "grub-dpkg", "manage-resolv-conf"];

/// Reads all that a node type has for its first boot.
pub(super) fn first_boot(
    fields: &mut Fields<'_>,
    role: &str,
    diags: &mut Diagnostics,
) -> FirstBoot {
    let mut found = first_boot::decode(fields, role, diags);
    if let Some(node) = fields.take("user_data") {
        decode(node, role, &mut found, diags);
    }
    first_boot::check_size(&found, role, fields.span(), diags);
    found
}

/// Reads `user_data`, and puts it into what a first boot does: as packages, files and commands where that is all there is.
fn decode(node: &Tree, role: &str, found: &mut FirstBoot, diags: &mut Diagnostics) {
    let Value::Map(entries) = &node.value else {
        let message = format!("`user_data` of node type `{role}` is not a mapping of cloud-config");
        let diagnostic = Diagnostic::error("topology::user-data", message).at(node.span, "");
        diags.push(
            diagnostic.help("write its keys below `user_data`, or name a file that has them"),
        );
        return;
    };
    let before = diags.iter().count();
    for entry in entries {
        refuse(entry, role, diags);
    }
    plain(node, role, diags);
    let is_refused = diags.iter().count() > before;
    entries.iter().for_each(|entry| warn_of_slip(entry, role, diags));
    if is_refused || entries.is_empty() {
        return;
    }
    if let Some(simple) = entries.iter().map(Simple::of).collect::<Option<Vec<_>>>() {
        simple.into_iter().for_each(|part| part.put(found));
        return;
    }
    let json = serde_json::to_string(&Plain::of(node)).unwrap_or_default();
    found.user_data = Some(Secret::new(json));
}

/// Warns of a key that cloud-init does not know and that is likely another, misspelt.
fn warn_of_slip(entry: &Entry, role: &str, diags: &mut Diagnostics) {
    let key = entry.key.as_str();
    if KNOWN.contains(&key) || OLDER.contains(&key) {
        return;
    }
    let Some(meant) = slip(key, KNOWN.iter().copied()) else { return };
    let message = format!("`user_data` of node type `{role}` has the key `{key}`");
    let help = "cloud-init passes over keys that it does not know; did you mean";
    // The line may have a password, too.
    diags.push(
        Diagnostic::warning("topology::user-data", message)
            .at(entry.key_span, "")
            .help(format!("{help} `{meant}`?"))
            .secret(),
    );
}

fn refuse(entry: &Entry, role: &str, diags: &mut Diagnostics) {
    let key = entry.key.as_str();
    let mut mistake = |message: String, span: Span, help: &str| {
        let diagnostic = Diagnostic::error("topology::user-data", message).at(span, "");
        diags.push(diagnostic.help(help));
    };
    if let Some((_, instead)) = REFUSED.iter().find(|(refused, _)| *refused == key) {
        let message = format!("`user_data` of node type `{role}` cannot have `{key}`");
        mistake(message, entry.key_span, instead);
    }
    let is_list = matches!(entry.value.value, Value::List(_) | Value::Null);
    if LISTS.contains(&key) && !is_list {
        let message = format!("`{key}` in `user_data` of node type `{role}` has to be a list");
        mistake(message, entry.value.span, "what Maquette needs of it stands in the same list");
    }
}

/// Text that no YAML could carry is refused.
fn plain(node: &Tree, role: &str, diags: &mut Diagnostics) {
    let mut check = |text: &str, span: Span| {
        if let Err(why) = text.parse::<GuestText>() {
            let message = format!("`user_data` of node type `{role}`: {why}");
            diags.push(Diagnostic::error("topology::user-data", message).at(span, ""));
        }
    };
    match &node.value {
        Value::Null => {}
        Value::Scalar(text, _) => check(text, node.span),
        Value::List(items) => items.iter().for_each(|item| plain(item, role, diags)),
        Value::Map(entries) => {
            entries.iter().for_each(|e| check(&e.key, e.key_span));
            entries.iter().for_each(|e| plain(&e.value, role, diags));
        }
    }
}

/// A key of cloud-config that the agent of built images can do, too.
enum Simple {
    Packages(Vec<PackageName>),
    Files(Vec<BootFile>),
    Commands(Vec<Secret>),
    /// It says what is so anyway.
    Nothing,
}

impl Simple {
    fn of(entry: &Entry) -> Option<Self> {
        let items = match &entry.value.value {
            Value::List(items) => items.as_slice(),
            _ => &[],
        };
        match (entry.key.as_str(), &entry.value.value) {
            ("packages", Value::List(_)) => {
                let names = items.iter().map(|item| word(item)?.parse().ok());
                names.collect::<Option<_>>().map(Self::Packages)
            }
            ("package_update", Value::Scalar(..)) => {
                (Plain::of(&entry.value) == Plain::Bool(true)).then_some(Self::Nothing)
            }
            ("write_files", Value::List(_)) => {
                items.iter().map(file).collect::<Option<_>>().map(Self::Files)
            }
            ("runcmd", Value::List(_)) => {
                items.iter().map(command).collect::<Option<_>>().map(Self::Commands)
            }
            (_, Value::Null) => Some(Self::Nothing),
            _ => None,
        }
    }

    fn put(self, found: &mut FirstBoot) {
        match self {
            Self::Packages(names) => found.packages.extend(names),
            Self::Files(files) => found.files.extend(files),
            // cloud-init goes on where one of these fails.
            Self::Commands(commands) if !commands.is_empty() => {
                found.commands.push(Secret::new("set +e"));
                found.commands.extend(commands);
            }
            Self::Commands(_) | Self::Nothing => {}
        }
    }
}

/// Text in one scalar; not what YAML takes for something else.
fn word(node: &Tree) -> Option<&str> {
    match (&node.value, Plain::of(node)) {
        (Value::Scalar(text, _), Plain::Text(_)) => Some(text),
        _ => None,
    }
}

/// A command: a line of the shell, or words that it is not to take apart.
fn command(node: &Tree) -> Option<Secret> {
    let Value::List(words) = &node.value else { return word(node).map(Secret::new) };
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\"'\"'"));
    let words = words.iter().map(|item| match &item.value {
        Value::Scalar(text, _) => Some(quoted(text)),
        _ => None,
    });
    let words: Option<Vec<String>> = words.collect();
    words.filter(|words| !words.is_empty()).map(|words| Secret::new(words.join(" ")))
}

/// A file that is written as it stands, before services start.
fn file(node: &Tree) -> Option<BootFile> {
    const KNOWN: [&str; 4] = ["path", "content", "permissions", "owner"];
    let entries = node.entries();
    if entries.iter().any(|e| !KNOWN.contains(&e.key.as_str())) {
        return None;
    }
    let mode = match node.get("permissions").map(|n| &n.value) {
        None => FileMode::USUAL,
        // Without a zero or quotes it is a decimal number.
        Some(Value::Scalar(text, style)) if *style == Style::Text || text.starts_with('0') => {
            text.parse().ok()?
        }
        Some(_) => return None,
    };
    let owner: Option<Owner> = match node.get("owner") {
        None => None,
        Some(owner) => Some(word(owner)?.parse().ok()?),
    };
    let content = node.get("content").map_or(Some(""), word)?;
    let path = word(node.get("path")?)?.parse().ok()?;
    Some(BootFile { path, content: Secret::new(content), mode, owner })
}
