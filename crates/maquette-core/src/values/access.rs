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

/// Groups and keys of an inventory that are not a node's to be in: Ansible's own, and those of the machines
/// that are not nodes.
const RESERVED_GROUPS: [&str; 6] =
    ["_meta", "all", "ungrouped", "local", "localhost", "hypervisor"];

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

checked!(
    /// An Ansible connection plug-in by which nodes are reached, such as `ssh` or
    /// `ansible.netcommon.network_cli`. Not `local`: that would run a node's tasks on the machine that
    /// Ansible runs on.
    ConnectionPlugin,
    |text| {
        Form {
            what: "a valid connection plug-in",
            longest: 128,
            first: |c| c.is_ascii_lowercase(),
            rest: |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.'),
            rule: "names of plug-ins have small letters, digits, `_` and `.` only",
        }
        .check(text)?;
        if text.rsplit('.').next() == Some("local") {
            return Err(ValueError::new(
                "the connection plug-in `local` would run a node's tasks on the machine that Ansible \
                 runs on",
            ));
        }
        Ok(())
    }
);

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
