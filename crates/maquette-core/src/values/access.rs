//! Who logs in where, with what, and in which groups.

use super::{Form, ValueError, checked, shortened, word};

checked!(
    /// A login name, on a node or a hypervisor: as `useradd` takes them, and what directories add
    /// (capital letters, a dot, `@` and a domain).
    Login,
    // A `$` ends names of machines in directories; anywhere else a shell would read a variable.
    |text| Form {
        what: "a valid login name",
        longest: 64,
        first: word,
        rest: |c| word(c) || matches!(c, '-' | '.' | '@'),
        rule: "letters, digits, `_`, `-`, `.` and `@` only, and it begins with a letter, digit or `_`",
    }
    .check(text.strip_suffix('$').unwrap_or(text))
);

impl Login {
    /// Whether `LOGIN@HOST` means itself to every shell: with a `$` before it, `@` is a variable.
    pub fn is_shell_word(&self) -> bool {
        !self.as_str().ends_with('$')
    }
}

/// Groups and keys of an inventory that no file puts a node into: Ansible's own, those of the machines that are not nodes, and
/// the one that tells which nodes have a BMC.
const RESERVED_GROUPS: [&str; 7] =
    ["_meta", "all", "ungrouped", "local", "localhost", "hypervisor", "bmcs"];

/// Those of them that earlier releases put nodes into.
const ONCE_TAKEN_GROUPS: [&str; 1] = ["bmcs"];

checked!(
    /// An Ansible group of nodes.
    Group,
    |text| {
        if RESERVED_GROUPS.contains(&text) {
            let message = format!("`{text}` has a meaning of its own in inventories; nodes cannot be in it");
            return Err(ValueError::new(message));
        }
        Form {
            what: "a valid group name",
            longest: 128,
            first: word,
            rest: |c| word(c) || matches!(c, '-' | '.'),
            rule: "letters, digits, `_`, `-` and `.` only, and it begins with a letter, digit or `_`",
        }
        .check(text)
    }
);

impl Group {
    /// Whether nodes could be in it in earlier releases, and cannot any more.
    pub fn was_taken(text: &str) -> bool {
        ONCE_TAKEN_GROUPS.contains(&text)
    }

    /// The group of a node type, with the characters that Ansible wants in names; none where that means something else.
    pub fn of_type(node_type: &str) -> Option<Self> {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = node_type.chars().map(plain).collect();
        match name.starts_with(|c: char| c.is_ascii_digit()) {
            true => format!("_{name}").parse().ok(),
            false => name.parse().ok(),
        }
    }
}

/// Connection plug-ins that reach a guest over the network and run nothing where Ansible runs: SSH by the program whose ssh
/// config and known_hosts the workspace has, switches, and Windows. Others are a stranger's way to the machine that Ansible runs
/// on (`local`, `community.docker.nsenter`, `chroot`, containers' and jails'), or do not look at the host keys that the
/// workspace has pinned (`paramiko`, `libssh`).
const CONNECTION_PLUGINS: [&str; 12] = [
    "ssh",
    "ansible.builtin.ssh",
    "network_cli",
    "ansible.netcommon.network_cli",
    "netconf",
    "ansible.netcommon.netconf",
    "httpapi",
    "ansible.netcommon.httpapi",
    "winrm",
    "ansible.builtin.winrm",
    "psrp",
    "ansible.builtin.psrp",
];

/// Plug-ins that speak SSH by a library, which knows neither the workspace's ssh config nor its host keys.
const SSH_LIBRARIES: [&str; 3] = ["paramiko", "paramiko_ssh", "libssh"];

checked!(
    /// An Ansible connection plug-in by which nodes are reached: one of `CONNECTION_PLUGINS`.
    ConnectionPlugin,
    |text| {
        if CONNECTION_PLUGINS.contains(&text) {
            return Ok(());
        }
        let shown = shortened(text);
        let name = text.rsplit('.').next().unwrap_or_default();
        Err(ValueError::new(match SSH_LIBRARIES.contains(&name) {
            true => format!(
                "the connection plug-in `{shown}` does not look at the host keys that the workspace has pinned: write `ssh`"
            ),
            false => format!(
                "`{shown}` is not one of the connection plug-ins that reach a node over the network: `ssh`, `network_cli`, \
                 `netconf`, `httpapi`, `winrm`, `psrp`; others run a node's tasks on the machine that Ansible runs on, or may"
            ),
        }))
    }
);

impl ConnectionPlugin {
    /// What a plug-in counts as that an earlier release recorded and that is refused now: a node that has it was reached by
    /// SSH as well. None where no release would have taken it.
    pub fn of_record(text: &str) -> Option<Self> {
        let form = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.');
        let was_taken = text.len() <= 128 && !text.is_empty() && text.chars().all(form);
        let own = text.rsplit('.').next() != Some("local");
        if was_taken && own { "ssh".parse().ok() } else { None }
    }
}

checked!(
    /// A time zone's name, such as `Europe/Prague`.
    TimeZone,
    |text| {
        Form {
            what: "a valid time zone",
            longest: 64,
            first: |c| c.is_ascii_alphabetic(),
            rest: |c| word(c) || matches!(c, '-' | '+' | '/'),
            rule: "time zones are written like `Europe/Prague` or `UTC`",
        }
        .check(text)?;
        if text.split('/').any(str::is_empty) {
            return Err(ValueError::new(format!("`{}` is not a valid time zone", shortened(text))));
        }
        Ok(())
    }
);

checked!(
    /// A public SSH key as in `authorized_keys`, without options: type, base64, and perhaps a comment
    /// of plain words.
    PublicKey,
    |text| {
        let wrong = || ValueError::new(format!("`{}` is not a public SSH key", shortened(text)));
        let mut parts = text.splitn(3, ' ');
        let kind = parts.next().unwrap_or_default();
        let blob = parts.next().unwrap_or_default();
        let comment = parts.next().unwrap_or_default();
        let kind_form = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '@' | '.');
        let blob_form = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let comment_form = |c: char| word(c) || matches!(c, '-' | '.' | '@' | ' ' | ':' | '/' | '+');
        let known = ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| kind.starts_with(prefix));
        if !known || text.len() > 16 * 1024 || blob.is_empty() {
            return Err(wrong());
        }
        let fits = kind.chars().all(kind_form)
            && blob.chars().all(blob_form)
            && comment.chars().all(comment_form);
        if fits { Ok(()) } else { Err(wrong()) }
    }
);

impl PublicKey {
    /// Whether it is the same key, whatever the comments are.
    pub fn is_same(&self, other: &Self) -> bool {
        let key = |text: &Self| text.as_str().split(' ').nth(1).map(String::from);
        key(self) == key(other)
    }

    /// Type and key, whatever the comment is.
    pub fn without_comment(&self) -> String {
        self.as_str().splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// Whose it is, as its comment says; none where it has none.
    pub fn comment(&self) -> Option<&str> {
        self.as_str().splitn(3, ' ').nth(2).map(str::trim).filter(|comment| !comment.is_empty())
    }
}
