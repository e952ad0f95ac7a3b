//! Arguments that verbs share, with their help and environment variables.

mod blank;
mod setting_flags;

use std::path::PathBuf;

use clap::builder::EnumValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use maquette_core::diagnostic::Diagnostic;
use maquette_core::settings::Seconds;

use crate::consent::Kind;
use crate::failure::Failure;
use crate::reading;
use crate::world::Environment;
pub use blank::parsed;
pub use setting_flags::{BuildingFlags, FlagTexts, LocatingFlags};

/// Which environment, and where.
#[derive(Debug, Clone, Default, Args)]
pub struct EnvironmentArgs {
    /// Project file [default: maquette.yaml, if there is one]
    #[arg(long, value_name = "FILE", env = "MAQUETTE_PROJECT", help_heading = "Environment")]
    pub project: Option<PathBuf>,
    /// What the environment is called, and which hypervisor it is on.
    #[command(flatten)]
    pub flags: LocatingFlags,
    /// Directory for inventory, ssh config and key
    /// [default: ~/.local/share/maquette/workspaces/ENVIRONMENT]
    #[arg(long, value_name = "DIR", env = "MAQUETTE_WORKSPACE", help_heading = "Environment")]
    pub workspace: Option<PathBuf>,
}

/// What to build.
#[derive(Debug, Default, Args)]
pub struct TopologyArgs {
    /// Where it is built, and under what name.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// What is built, and how: all other settings.
    #[command(flatten)]
    pub flags: BuildingFlags,
    /// Treat unknown keys, and anything without effect, as errors instead of warnings
    #[arg(long, env = "MAQUETTE_STRICT", value_parser = clap::builder::FalseyValueParser::new(), help_heading = "Environment")]
    pub strict: bool,
}

impl TopologyArgs {
    /// All settings that were given, as flags or as environment variables.
    pub fn given(&self) -> FlagTexts {
        self.place.flags.0.with(&self.flags.0)
    }
}

/// Flags of `up` that say nothing to another verb, which takes them all the same: who calls several verbs in turn names them
/// once.
#[derive(Debug, Clone, Default)]
pub struct FlagsOfUp {
    /// Those of [`TELLING`] that were given.
    given: Vec<&'static str>,
    /// Extra variables, which may say which environment is meant.
    pub extra: Vec<String>,
}

/// Flags that narrow what `up` builds.
const NARROWING: [&str; 2] = ["topology-nodes", "topology-extend"];

/// Flags of `up` that somebody may expect something of from another verb.
const TELLING: [&str; 3] = [NARROWING[0], NARROWING[1], "accept"];

impl FlagsOfUp {
    /// A flag that reads as if the verb were about a part of the environment.
    pub fn narrowing(&self) -> Option<&'static str> {
        self.given.iter().find(|name| NARROWING.contains(*name)).copied()
    }

    /// Whether `--accept` was given.
    pub fn has_accept(&self) -> bool {
        self.given.contains(&"accept")
    }
}

impl Args for FlagsOfUp {
    fn augment_args(command: clap::Command) -> clap::Command {
        let more = setting_flags::unused().into_iter().chain([
            Arg::new("accept")
                .long("accept")
                .value_parser(EnumValueParser::<Kind>::new())
                .value_delimiter(',')
                .action(ArgAction::Append)
                .hide(true),
            Arg::new("timeout").long("timeout").value_parser(seconds).hide(true),
            Arg::new("strict").long("strict").action(ArgAction::SetTrue).hide(true),
            Arg::new("yes").short('y').long("yes").action(ArgAction::SetTrue).hide(true),
            Arg::new("lock_wait").long("lock-wait").value_parser(seconds).hide(true),
            Arg::new("take_over").long("take-over").action(ArgAction::SetTrue).hide(true),
        ]);
        let is_new =
            |arg: &Arg| command.get_arguments().all(|known| known.get_id() != arg.get_id());
        let more: Vec<Arg> = more.filter(is_new).collect();
        command.args(more)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FlagsOfUp {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_given = |name: &&str| matches.value_source(name) == Some(ValueSource::CommandLine);
        let extra = matches.try_get_many::<String>("extra-vars").ok().flatten();
        let extra = extra.map(|all| all.cloned().collect()).unwrap_or_default();
        Ok(Self { given: TELLING.into_iter().filter(is_given).collect(), extra })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Reads a number of seconds, from 0 to a year; the error says what was expected.
pub fn seconds(text: &str) -> Result<u64, String> {
    let number = text.trim().parse().ok().filter(|n| *n <= Seconds::MOST);
    number.ok_or_else(|| "expected a number of seconds, a year at most".into())
}

/// What to do if somebody else is changing the environment.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Locking {
    /// How long to wait for somebody else who is changing the environment, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = seconds,
        default_value_t = 0,
        hide_default_value = true,
        env = "MAQUETTE_LOCK_WAIT",
        help_heading = "Environment"
    )]
    pub lock_wait: u64,
    /// End whoever is changing the environment, and go on from there
    #[arg(long, help_heading = "Environment")]
    pub take_over: bool,
}

impl Locking {
    /// Waiting as MAQUETTE_LOCK_WAIT says, for commands that do not have these flags. Fails if that is not a number of
    /// seconds.
    pub fn from_environment(environment: &Environment) -> Result<Self, Failure> {
        let name = "MAQUETTE_LOCK_WAIT";
        let wait: Option<String> = reading::variable(environment, name, "text")?;
        let wait = wait.map_or(Ok(0), |text| {
            let refused = |why| format!("invalid value `{text}` for {name}: {why}");
            seconds(&text).map_err(refused)
        });
        let refused = |why| Failure::input(Diagnostic::error("environment::value", why));
        Ok(Self { lock_wait: wait.map_err(refused)?, take_over: false })
    }
}
