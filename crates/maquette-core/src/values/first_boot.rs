//! What a first boot installs, writes and runs.

use std::fmt;
use std::str::FromStr;

use super::{Form, ValueError, checked, is_unprintable, shortened, word};

checked!(
    /// A package by its name, and for those who can say more: `nginx=1.22*` (apt), `nginx-1.22` (dnf). It begins like a
    /// name, so that no package manager takes it for an option.
    PackageName,
    |text| Form {
        what: "a valid package name",
        longest: 200,
        first: |c| c.is_ascii_alphanumeric(),
        rest: |c| word(c) || "+-.:~=*@/^".contains(c),
        rule: "they begin with a letter or digit and have no blanks",
    }
    .check(text)
);

checked!(
    /// An absolute path of a file in a guest.
    GuestPath,
    |text| {
        let shown = || shortened(text);
        if !text.starts_with('/') || text.ends_with('/') {
            return Err(ValueError(format!("`{}` is not an absolute path of a file", shown())));
        }
        if text.len() > 4096
            || text.chars().any(is_unprintable)
            || text.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."))
        {
            return Err(ValueError(format!("`{}` is not a plain path of a file", shown())));
        }
        Ok(())
    }
);

checked!(
    /// Text of a file or of commands. It may have lines, and nothing that YAML could not carry.
    GuestText,
    |text| match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
        Some(sign) => Err(ValueError(format!("it has the control character {}", sign.escape_default()))),
        None => Ok(()),
    }
);

checked!(
    /// Who owns a file: a user, or a user and a group.
    Owner,
    |text| {
        let form = Form {
            what: "a valid owner",
            longest: 64,
            first: |c| word(c),
            rest: |c| word(c) || matches!(c, '-' | '.'),
            rule: "it is a user such as `root`, or a user and a group such as `www-data:adm`",
        };
        text.splitn(2, ':').try_for_each(|name| form.check(name))
    }
);

/// A part of what a first boot does, as a node's record calls it; its order is that of the record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum BootPart {
    /// A package.
    Package(PackageName),
    /// Packages that are not named one by one.
    Packages,
    /// A file.
    File(GuestPath),
    /// Files that are not named one by one.
    Files,
    /// All commands.
    Commands,
    /// The user's own cloud-config.
    UserData,
    /// The login at the console.
    Console,
    /// The login user's password.
    Password,
}

impl BootPart {
    /// Those that are a single word.
    const WORDS: [(&'static str, Self); 6] = [
        ("packages", Self::Packages),
        ("files", Self::Files),
        ("commands", Self::Commands),
        ("user_data", Self::UserData),
        ("console", Self::Console),
        ("password", Self::Password),
    ];
}

impl fmt::Display for BootPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(name) => write!(f, "package {name}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Packages => f.write_str("packages"),
            Self::Files => f.write_str("files"),
            Self::Commands => f.write_str("commands"),
            Self::UserData => f.write_str("user_data"),
            Self::Console => f.write_str("console"),
            Self::Password => f.write_str("password"),
        }
    }
}

impl FromStr for BootPart {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(' ') {
            Some(("package", name)) => return name.parse().map(Self::Package),
            Some(("file", path)) => return path.parse().map(Self::File),
            _ => {}
        }
        let found = Self::WORDS.into_iter().find(|(word, _)| *word == text);
        found.map(|(_, part)| part).ok_or_else(|| {
            ValueError(format!("`{}` is not a part of a first boot", shortened(text)))
        })
    }
}

/// Permissions of a file, in octal. Bits beyond these go where an owner is given after them, as cloud-init does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// Everybody reads it, its owner writes.
    pub const USUAL: Self = Self(0o644);

    /// As a number.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for FileMode {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal =
            (3..=5).contains(&digits.len()) && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let bits = u32::from_str_radix(digits, 8).ok().filter(|bits| octal && *bits <= 0o777);
        bits.map(Self).ok_or_else(|| {
            ValueError(format!("`{}` is not a file mode such as `0644`, in octal", shortened(text)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_first_boot_is_given_is_plain() {
        for good in ["nginx", "nginx=1.22*", "libc6:amd64", "@development-tools", "python3.11"] {
            assert_eq!(good.parse::<PackageName>().is_ok(), !good.starts_with('@'), "{good}");
        }
        for bad in ["", "-y", "a b", "a;b", "$(x)", "a\nb"] {
            assert!(bad.parse::<PackageName>().is_err(), "{bad}");
        }
        for (path, is_good) in [
            ("/etc/motd", true),
            ("/srv/a b", true),
            ("etc/motd", false),
            ("/", false),
            ("/etc/", false),
            ("/etc/../x", false),
            ("/etc//x", false),
            ("/a\nb", false),
            ("/etc/\u{202e}dtom", false),
        ] {
            assert_eq!(path.parse::<GuestPath>().is_ok(), is_good, "{path}");
        }
        for (mode, bits) in [
            ("0644", Some(0o644)),
            ("755", Some(0o755)),
            ("0o600", Some(0o600)),
            ("0777", Some(0o777)),
        ] {
            assert_eq!(mode.parse::<FileMode>().ok().map(FileMode::bits), bits);
        }
        for bad in ["", "6", "+644", "888", "4755", "17777", "rw-r--r--"] {
            assert!(bad.parse::<FileMode>().is_err(), "{bad}");
        }
        assert!("www-data:adm".parse::<Owner>().is_ok());
        for bad in ["", "a:", ":b", "a b", "a:b:c", "-x"] {
            assert!(bad.parse::<Owner>().is_err(), "{bad}");
        }
        for part in ["package nginx", "file /srv/a b", "packages", "files", "commands", "user_data"]
        {
            assert_eq!(part.parse::<BootPart>().map(|part| part.to_string()), Ok(part.to_string()));
        }
        for (word, part) in BootPart::WORDS {
            assert_eq!(part.to_string(), word);
        }
        for bad in ["", "package", "package -y", "file etc/motd", "commands ", "script x"] {
            assert!(bad.parse::<BootPart>().is_err(), "{bad}");
        }
        assert!("a\n\tb".parse::<GuestText>().is_ok() && "a\u{1b}".parse::<GuestText>().is_err());
    }
}
