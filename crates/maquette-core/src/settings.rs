//! The settings of an environment: one table, from which everything about them follows.
//!
//! A row declares a setting's type, default, documentation, and where it is given. From the table come
//! [`Settings`] itself, the flags of every verb, environment variables, keys of `maquette.yaml`, options of
//! `maquette virsh` with its answers files and settings tree, the site's page of settings, and the JSON schema of
//! project files. Adding a setting takes a row, and the place that uses it.

mod table;
mod values;

pub use table::{SETTINGS, Settings};
pub use values::{BgpMode, Lines, Mebibytes, Seconds, StartChoice, Value, VirtChoice};

/// How a setting is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// One line of text, and in words which texts its type takes.
    Text(&'static str),
    /// Options of virt-install: text that begins with dashes.
    Arguments,
    /// A password, or with `@` a file whose first line is one.
    Secret,
    /// A truth value.
    YesNo,
    /// A whole number between two, both included.
    Number(u64, u64),
    /// One of a few words.
    Words(&'static [Word]),
    /// Name or address of a machine.
    Address,
    /// Node types with counts: `type:count,…`, or a mapping.
    Nodes,
    /// Name or path of a network file.
    Network,
    /// Networks with their keys: a mapping.
    Networks,
    /// Changes of node and network files: a mapping, or `key=value` and `@file`, repeatedly.
    Changes,
}

/// One of the words that a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub word: &'static str,
    /// What it stands for.
    pub doc: &'static str,
    /// Whether help leaves it out.
    pub hidden: bool,
}

impl Word {
    const fn new(word: &'static str, doc: &'static str) -> Self {
        Self { word, doc, hidden: false }
    }
}

impl SettingKind {
    /// Whether a text is of this kind, as far as the kind alone tells.
    pub fn takes(self, text: &str) -> bool {
        match self {
            Self::YesNo => crate::syntax::parse_bool(text).is_some(),
            Self::Number(least, most) => {
                text.trim().parse().is_ok_and(|n: u64| (least..=most).contains(&n))
            }
            Self::Words(words) => words.iter().any(|w| w.word == text),
            _ => true,
        }
    }

    /// What a text of this kind is, for messages: "a number from 0 to 255".
    pub fn expected(self) -> String {
        match self {
            Self::YesNo => "yes or no".into(),
            Self::Number(0, u64::MAX) => "a whole number".into(),
            Self::Number(least, most) => format!("a number from {least} to {most}"),
            Self::Words(words) => {
                let words: Vec<&str> = words.iter().map(|w| w.word).collect();
                format!("one of {}", crate::decode::quoted_list(&words))
            }
            _ => "a single value".into(),
        }
    }
}

/// Headings of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Which environment.
    Environment,
    /// The hypervisor it is built on.
    Hypervisor,
    /// Which nodes and networks.
    Topology,
    /// What nodes are like.
    Guests,
}

impl Group {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Environment => "Environment",
            Self::Hypervisor => "Hypervisor",
            Self::Topology => "Topology",
            Self::Guests => "Guests",
        }
    }
}

/// A setting as an option of InfraRed's provisioner, which has the same name in `maquette virsh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Infrared {
    /// Heading of its help.
    pub heading: &'static str,
    /// Its place below that heading.
    pub place: u8,
    /// Its default there; none if it has none.
    pub default: Option<&'static str>,
    /// Whether nothing is done without it there.
    pub required: bool,
}

/// Reads a text, and has [`Settings`] hold what it says; or says why the text is not valid.
pub type Setter = fn(&mut Settings, &str) -> Result<(), String>;

/// A row of the table of settings.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name: that of the flag without dashes, of the variable in capitals.
    pub name: &'static str,
    /// What its value is called in help, as in `--prefix <NAME>`; empty if there is no flag.
    pub value: &'static str,
    /// How it is written.
    pub kind: SettingKind,
    /// Its default, as it would be written; none where `unset` says what holds.
    pub default: Option<&'static str>,
    /// What holds without a value, where no value stands for it.
    pub unset: Option<&'static str>,
    /// A value for examples, where neither its kind nor its default tells one.
    pub example: Option<&'static str>,
    /// Heading of the help.
    pub group: Group,
    /// What it is.
    pub doc: &'static str,
    /// Whether verbs that build nothing take it, too, since it says where the environment is.
    pub locates: bool,
    /// Where it is in the project file: `hypervisor.address`.
    pub key: Option<&'static str>,
    /// What it is for InfraRed's users; none if InfraRed has no such option.
    pub infrared: Option<Infrared>,
    /// Reads a text, and has [`Settings`] hold it. Absent where a value takes more than its text.
    pub set: Option<Setter>,
}

impl Setting {
    /// What rows leave out.
    const BASE: Self = Self {
        name: "",
        value: "",
        kind: SettingKind::Text("text"),
        default: None,
        unset: None,
        example: None,
        group: Group::Guests,
        doc: "",
        locates: false,
        key: None,
        infrared: None,
        set: None,
    };

    /// Its flag with dashes, if it has one.
    pub fn flag(&self) -> Option<String> {
        (!self.value.is_empty()).then(|| format!("--{}", self.name))
    }

    /// Its environment variable. Changes of files come one by one, which no variable can say.
    pub fn variable(&self) -> Option<String> {
        let variable = || format!("MAQUETTE_{}", self.name.to_uppercase().replace('-', "_"));
        (!self.value.is_empty() && self.kind != SettingKind::Changes).then(variable)
    }

    /// What it is, and what holds without it.
    pub fn help(&self) -> String {
        match self.default.or(self.unset) {
            Some(default) => format!("{} [default: {default}]", self.doc),
            None => self.doc.into(),
        }
    }
}

/// The setting of a name.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.name == name)
}

/// What sets the setting that an extra variable is called as, in words.
pub fn in_place_of(key: &str) -> Option<String> {
    let row = SETTINGS.iter().find(|row| row.name.replace('-', "_") == *key.replace('-', "_"))?;
    let file = row.key.map(|key| format!(", or `{key}` in maquette.yaml,")).unwrap_or_default();
    Some(format!(
        "`--{}`{file} is the setting; extra variables are for topology files and playbooks",
        row.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_what_the_table_says() {
        let mut tried = 0;
        for row in SETTINGS {
            let (Some(text), Some(set)) = (row.default, row.set) else { continue };
            let mut settings = Settings::default();
            set(&mut settings, text).unwrap_or_else(|why| panic!("{}: {why}", row.name));
            assert_eq!(settings, Settings::default(), "{}", row.name);
            tried += 1;
        }
        assert!(tried > 5, "{tried}");
    }

    #[test]
    fn names_and_keys_are_the_settings_own() {
        for (n, row) in SETTINGS.iter().enumerate() {
            assert!(row.flag().is_some() || row.key.is_some(), "{} cannot be given", row.name);
            assert!(!row.doc.ends_with('.') && !row.doc.is_empty(), "{}", row.name);
            for other in &SETTINGS[n + 1..] {
                assert_ne!(row.name, other.name);
                assert!(row.key.is_none() || row.key != other.key, "{}", row.name);
                let place = |s: &Setting| s.infrared.map(|i| (i.heading, i.place));
                assert!(place(row).is_none() || place(row) != place(other), "{}", row.name);
            }
        }
    }
}
