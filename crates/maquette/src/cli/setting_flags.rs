//! Flags of settings, made of the table.

use std::collections::BTreeMap;

use clap::builder::{PossibleValue, PossibleValuesParser, StringValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, ValueHint};
use maquette_core::settings::{self, SETTINGS, Setting, SettingKind};

/// Texts that were given for settings, by the settings' names. They are not read yet.
#[derive(Debug, Clone, Default)]
pub struct FlagTexts(BTreeMap<&'static str, Texts>);

/// What was given for one setting.
#[derive(Debug, Clone)]
struct Texts {
    texts: Vec<String>,
    /// The flag or environment variable that it was given by, for messages.
    name: String,
}

impl FlagTexts {
    /// All texts of a setting that may be given repeatedly, in their order.
    pub fn texts(&self, name: &str) -> &[String] {
        self.0.get(name).map(|told| told.texts.as_slice()).unwrap_or_default()
    }

    /// The flag or environment variable that a setting was given by, and its last text.
    pub fn told(&self, name: &str) -> Option<(&str, &str)> {
        let told = self.0.get(name)?;
        Some((told.name.as_str(), told.texts.last()?))
    }

    /// Whether a setting was given.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Gives a setting by its flag.
    pub fn set(&mut self, name: &'static str, texts: Vec<String>) {
        self.set_as(name, texts, format!("--{name}"));
    }

    /// Gives a setting by something else than its flag; messages call it `told`.
    pub fn set_as(&mut self, name: &'static str, texts: Vec<String>, told: String) {
        self.0.insert(name, Texts { texts, name: told });
    }

    /// Takes away what was given as nothing (`--ttl ''`): so somebody takes back for one run what a file says. The names of
    /// these settings. An empty environment variable takes nothing back: it is one that is not set. Of settings that say
    /// where an environment is, or which nodes and networks it has, an empty variable of a script must not make others.
    pub fn take_empty(&mut self) -> Vec<&'static str> {
        let is_empty = |name: &&'static str| {
            settings::find(name).is_some_and(can_be_empty)
                && self.told(name).is_some_and(|(_, text)| text.is_empty())
        };
        let names: Vec<&'static str> = self.0.keys().copied().filter(is_empty).collect();
        let of_flags = |name: &&'static str| {
            self.0.remove(*name).is_some_and(|told| told.name.starts_with("--"))
        };
        names.into_iter().filter(of_flags).collect()
    }

    /// The settings of both groups of flags. No setting is in more than one.
    pub fn with(&self, other: &Self) -> Self {
        let both = self.0.iter().chain(&other.0);
        Self(both.map(|(name, told)| (*name, told.clone())).collect())
    }
}

/// Those without which there are other networks, or other nodes.
const NEVER_EMPTY: [&str; 4] =
    ["net_subnet", "data_subnet", "host-network-mtu-size", "topology-username"];

/// Whether a flag takes an empty value, which is none.
fn can_be_empty(row: &Setting) -> bool {
    !row.locates && row.set.is_some() && !NEVER_EMPTY.contains(&row.name)
}

/// A group of flags: the settings of which a condition holds.
macro_rules! flags {
    ($(#[$doc:meta])* $name:ident: $of:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        pub struct $name(pub FlagTexts);

        impl $name {
            fn rows() -> impl Iterator<Item = &'static Setting> {
                let of: fn(&Setting) -> bool = $of;
                SETTINGS.iter().filter(move |row| !row.value.is_empty() && of(row))
            }
        }

        impl Args for $name {
            fn augment_args(command: Command) -> Command {
                Self::rows().fold(command, |command, row| command.arg(argument(row)))
            }

            fn augment_args_for_update(command: Command) -> Command {
                Self::augment_args(command)
            }
        }

        impl FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
                let mut flags = Self::default();
                flags.update_from_arg_matches(matches)?;
                Ok(flags)
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
                for row in Self::rows() {
                    let Some(texts) = matches.get_many::<String>(row.name) else { continue };
                    let texts = texts.cloned().collect();
                    match (matches.value_source(row.name), row.variable()) {
                        (Some(ValueSource::EnvVariable), Some(variable)) => {
                            self.0.set_as(row.name, texts, variable);
                        }
                        _ => self.0.set(row.name, texts),
                    }
                }
                Ok(())
            }
        }
    };
}

flags! {
    /// Where an environment is.
    LocatingFlags: |row| row.locates
}

flags! {
    /// What is built there.
    BuildingFlags: |row| !row.locates
}

/// Flags of what is built, for a verb that takes them and does not use them.
pub fn unused() -> Vec<Arg> {
    let flag = |row: &'static Setting| {
        let arg = Arg::new(row.name).long(row.name).action(ArgAction::Append).hide(true);
        let arg = match row.name.contains('_') {
            true => arg.alias(row.name.replace('_', "-")),
            false => arg,
        };
        typed(arg, row)
    };
    BuildingFlags::rows().map(flag).collect()
}

/// The flag of a setting.
fn argument(row: &Setting) -> Arg {
    let mut arg = Arg::new(row.name)
        .long(row.name)
        .value_name(row.value)
        .help(row.help())
        .help_heading(row.group.title())
        .action(ArgAction::Set);
    if let Some(variable) = row.variable() {
        arg = arg.env(variable);
    }
    // InfraRed has some names with `_`, which are hard to remember beside all the others.
    if row.name.contains('_') {
        arg = arg.alias(row.name.replace('_', "-"));
    }
    if ["FILE", "DIR", "PATH"].iter().any(|word| row.value.contains(word)) {
        arg = arg.value_hint(ValueHint::AnyPath);
    }
    match row.kind {
        SettingKind::Secret => arg.hide_env_values(true),
        SettingKind::Changes => typed(arg, row).action(ArgAction::Append),
        _ => typed(arg, row),
    }
}

/// What a flag takes, which is the same for every verb: where it takes no value but its own, the next word is not one.
fn typed(arg: Arg, row: &Setting) -> Arg {
    match row.kind {
        SettingKind::YesNo if row.default != Some("yes") => {
            arg.value_parser(told(*row)).num_args(0..=1).default_missing_value("yes")
        }
        SettingKind::YesNo | SettingKind::Number(..) => arg.value_parser(told(*row)),
        SettingKind::Words(words) => {
            let value = |word: &settings::Word| {
                let value = PossibleValue::new(word.word).hide(word.hidden);
                if word.doc.is_empty() { value } else { value.help(word.doc) }
            };
            let nothing = can_be_empty(row).then(|| PossibleValue::new("").hide(true));
            let values: Vec<PossibleValue> = words.iter().map(value).chain(nothing).collect();
            arg.value_parser(PossibleValuesParser::new(values))
        }
        SettingKind::Arguments => arg.allow_hyphen_values(true),
        SettingKind::Changes => arg.short('e'),
        SettingKind::Secret
        | SettingKind::Text(_)
        | SettingKind::Address
        | SettingKind::Nodes
        | SettingKind::Network
        | SettingKind::Networks => arg,
    }
}

/// A parser that takes the texts of a setting's kind, and leaves them texts.
fn told(row: Setting) -> impl TypedValueParser<Value = String> {
    StringValueParser::new().try_map(move |text| {
        match row.kind.takes(&text) || (text.is_empty() && can_be_empty(&row)) {
            true => Ok(text),
            false => Err(format!("expected {}", row.kind.expected())),
        }
    })
}
