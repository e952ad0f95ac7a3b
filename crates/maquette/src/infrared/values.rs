//! What was given: on the command line, in an answers file, in the environment; and what follows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};
use maquette_core::diagnostic::slip;
use maquette_core::names::EnvName;
use maquette_core::syntax::{Plain, parse_bool};
use maquette_engine::StepError;

use super::ansible::{self, Argument};
use super::options::{self, OPTIONS, Opt, OptionKind, REQUIRED_WHEN};
use super::{abbreviated, answers, refuse};
use crate::cli::Locking;
use crate::consent;
use crate::failure::Failure;
use crate::load;
use crate::world::{Environment, World};

/// Values of all options, the strongest source of each.
#[derive(Debug, Default)]
pub struct InfraredValues {
    /// Values by option; from any source.
    values: BTreeMap<String, Vec<String>>,
    /// Options that somebody gave, on the command line or elsewhere, and what they are known as there.
    user: BTreeMap<String, String>,
    /// Options of the command line alone.
    line: Vec<(String, Vec<String>)>,
    /// Unknown keys of the answers file with their values, which become settings, and what they are called in messages.
    settings: Vec<(String, Plain, String)>,
    /// What is likely not meant.
    pub warnings: Vec<String>,
    /// What to do if somebody else is changing the environment.
    pub locking: Locking,
    /// Extra variables of `-e`, as they were given.
    pub extra: Vec<String>,
    /// The file of `-o`, if it was given.
    pub output: Option<PathBuf>,
    /// `--dry-run`.
    pub dry_run: bool,
    /// `--yes`, or `MAQUETTE_YES`: agrees to a clean-up, the latter to that of one environment.
    pub yes: bool,
    /// `--yes` alone: agrees to what this very command line loses.
    pub yes_on_line: bool,
    /// Words of `--accept`, or of `MAQUETTE_ACCEPT`.
    accept: Vec<String>,
    /// The file of `--generate-answers-file`, if it was given.
    pub generate: Option<PathBuf>,
    /// The file of `--from-file`, if it was given.
    pub from_file: Option<PathBuf>,
    /// Options about the hypervisor's host key with their values, and what each was given by. They are no part of the
    /// settings tree, where `host.key` is a value.
    pub trusted: Vec<(&'static str, String, String)>,
    /// `--strict`.
    pub strict: bool,
    /// `virsh plan`: what would be built is shown.
    pub plan: bool,
    /// The file of `--inventory`, if it was given.
    pub inventory: Option<PathBuf>,
    /// `--ansible-args`, taken apart.
    pub ansible_args: Vec<Argument>,
    /// How often `-v` was given.
    pub verbose: u8,
}

/// Options of every command of InfraRed's that an answers file may have.
const COMMON: [&str; 8] = [
    "extra-vars",
    "output",
    "inventory",
    "ansible-args",
    "dry-run",
    "verbose",
    FINGERPRINT,
    KNOWN_HOSTS,
];

/// The options for a host key that is not known yet.
const FINGERPRINT: &str = "host-key-fingerprint";
const KNOWN_HOSTS: &str = "host-known-hosts";

/// The command line for completions and manual pages, with the word that may stand before all options.
pub fn documented() -> Command {
    let plan = Arg::new("plan").value_parser(["plan"]);
    command().arg(plan.help("Show what would be built, and build nothing"))
}

fn command() -> Command {
    let mut command = Command::new("virsh")
        .bin_name("maquette virsh")
        .about("InfraRed's provisioner: the same options, answers files and variables")
        .infer_long_args(true)
        .max_term_width(100)
        .after_help("`maquette virsh plan …` with the same options shows what would be built, and builds nothing")
        .next_help_heading("Common");
    let common = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).action(ArgAction::Append)
    };
    command = command
        .arg(Arg::new("verbose").short('v').long("verbose").action(ArgAction::Count).help(
            "More of what ansible-playbook says; given several times, still more",
        ))
        .arg(
            Arg::new("extra-vars")
                .short('e')
                .long("extra-vars")
                .value_name("KEY=VALUE|@FILE")
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .help("Change a setting, or merge a file; repeatable"),
        )
        .arg(common("output", "FILE", "Write the settings there instead of printing them").short('o'))
        .arg(
            common(
                "ansible-args",
                "ARGS",
                "Stages (`tags=…`, `skip-tags=…`) and arguments of the user's playbooks, between `;`",
            )
            .allow_hyphen_values(true),
        )
        .arg(
            Arg::new("yes")
                .long("yes")
                .action(ArgAction::SetTrue)
                .help("Do not ask before --cleanup removes everything, nodes lose their disks, edited networks go, or the environment expires sooner"),
        )
        .arg(
            Arg::new("accept")
                .long("accept")
                .value_name("lose-disks|undo-edits|bridge-default-nic|expire-sooner")
                .action(ArgAction::Append)
                .help("Do not ask before just that (or MAQUETTE_ACCEPT); may be given several times"),
        )
        .arg(
            Arg::new("strict")
                .long("strict")
                .action(ArgAction::SetTrue)
                .help("Treat unknown keys, and extra variables without effect, as errors instead of warnings"),
        );
    let command = files(command);
    OPTIONS.iter().fold(command, |command, option| command.arg(argument(option)))
}

/// The flags with which values come from elsewhere, or go there.
fn files(command: Command) -> Command {
    let common = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).action(ArgAction::Append)
    };
    let dry_run = Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue);
    command
        .arg(dry_run.help("Print the settings, show what would be built, and stop"))
        .arg(common("from-file", "FILE", "Read options from an answers file"))
        .arg(common("generate-answers-file", "FILE", "Write an answers file, and stop"))
        .arg(common(
            FINGERPRINT,
            "SHA256:…",
            "Accept the hypervisor's host key if it has this fingerprint, also in the place of another one",
        ))
        .arg(common(
            KNOWN_HOSTS,
            "FILE",
            "Accept the hypervisor's host key if this file of known_hosts has it, also in the place of another one",
        ))
        .arg(common("inventory", "FILE", "Have the workspace use a copy of this inventory"))
}

/// The flag of an option.
fn argument(option: &Opt) -> Arg {
    let mut help = option.help.to_string();
    if option.required {
        help.push_str(" [required]");
    }
    if let Some(default) = option.default.filter(|d| !d.is_empty()) {
        help.push_str(&format!(" [default: {default}]"));
    }
    if let options::Support::Later { .. } = option.support {
        help.push_str(" [not supported yet]");
    }
    let arg = Arg::new(option.name)
        .long(option.name)
        .help(help)
        .help_heading(option.group)
        .value_name(option.value)
        .action(ArgAction::Append)
        .allow_hyphen_values(true);
    match (option.kind, option.kind.words()) {
        (OptionKind::Choice(_), Some(words)) => arg.value_parser(words),
        _ => arg,
    }
}

/// A command line of `maquette virsh`.
pub struct Line {
    /// Whether it only asks for the plan.
    plan: bool,
    matches: ArgMatches,
}

impl Line {
    /// Takes it apart. Help is an error here, too.
    pub fn parse(args: &[String]) -> Result<Self, clap::Error> {
        let (plan, args) = match args.split_first() {
            Some((first, rest)) if first == "plan" => (true, rest),
            _ => (false, args),
        };
        let command = command();
        let line = abbreviated::whole(&command, args);
        let line = std::iter::once("maquette virsh".to_string()).chain(line);
        let matches = command.clone().try_get_matches_from(line);
        let corrected = |error| abbreviated::corrected(error, &command, plan);
        Ok(Self { plan, matches: matches.map_err(corrected)? })
    }
}

impl InfraredValues {
    /// Reads all sources: defaults, then environment, then answers file, then command line.
    pub fn read(world: &World, line: &Line) -> Result<Self, Failure> {
        let environment = &world.environment;
        let Line { plan, matches } = line;
        let last = |name: &str| all(matches, name).pop();
        let locking = Locking::from_environment(environment)?;
        let mut given = Self { locking, plan: *plan, ..Self::default() };
        let mut common = given.variables(environment);
        given.from_file = last("from-file").map(PathBuf::from);
        if let Some(path) = &given.from_file.clone() {
            given.answers(environment, path, &mut common)?;
        }
        given.options(matches);
        for name in COMMON.into_iter().filter(|name| !["dry-run", "verbose"].contains(name)) {
            let values = all(matches, name);
            if !values.is_empty() {
                common.insert(name, values);
            }
        }
        let common = |name: &str| common.get(name).cloned().unwrap_or_default();
        given.extra = common("extra-vars");
        given.output = common("output").pop().map(PathBuf::from);
        given.inventory = common("inventory").pop().map(PathBuf::from);
        let trusted = |name: &'static str| {
            let text = common(name).pop()?;
            let variable = variable(environment, &name.to_uppercase().replace('-', "_"));
            let called = variable.filter(|(_, told)| *told == text).map(|(name, _)| name);
            Some((name, text, called.unwrap_or_else(|| format!("--{name}"))))
        };
        given.trusted = [FINGERPRINT, KNOWN_HOSTS].into_iter().filter_map(trusted).collect();
        given.generate = last("generate-answers-file").map(PathBuf::from);
        given.yes_on_line = matches.get_flag("yes");
        given.yes = given.yes_on_line || consent::yes_of_environment(environment);
        given.accept = match all(matches, "accept") {
            words if words.is_empty() => environment.text("MAQUETTE_ACCEPT").into_iter().collect(),
            words => words,
        };
        given.strict = matches.get_flag("strict")
            || variable(environment, "STRICT").is_some_and(|(_, text)| is_yes(&text));
        given.dry_run = matches.get_flag("dry-run")
            || common("dry-run").iter().any(|t| parse_bool(t) != Some(false));
        given.verbose = match matches.get_count("verbose") {
            0 => common("verbose")
                .pop()
                .or_else(|| environment.text("ANSIBLE_VERBOSITY"))
                .and_then(|t| t.trim().parse().ok())
                .unwrap_or(0),
            count => count,
        };
        let args = common("ansible-args").pop().unwrap_or_default();
        given.ansible_args = ansible::taken_apart(&args).map_err(refuse)?;
        Ok(given)
    }

    /// Takes defaults and variables of options; the variables of what is common to all commands are the result.
    fn variables(&mut self, environment: &Environment) -> BTreeMap<&'static str, Vec<String>> {
        for option in OPTIONS.iter() {
            if let Some(default) = option.default {
                self.values.insert(option.name.into(), vec![default.into()]);
            }
            if let Some((called, text)) = variable(environment, &option.variable()) {
                self.set(option.name, split(option, &text), called);
            }
        }
        let of = |name: &str| variable(environment, &name.to_uppercase().replace('-', "_"));
        COMMON.iter().filter_map(|name| Some((*name, vec![of(name)?.1]))).collect()
    }

    /// Takes the options of the command line.
    fn options(&mut self, matches: &ArgMatches) {
        for option in OPTIONS.iter() {
            let values = all(matches, option.name);
            if values.is_empty() {
                continue;
            }
            self.line.push((option.name.into(), values.clone()));
            let values = match option.kind {
                OptionKind::Addresses => values.iter().flat_map(|v| split(option, v)).collect(),
                _ => values.last().cloned().into_iter().collect(),
            };
            self.set(option.name, values, format!("--{}", option.name));
        }
    }

    fn set(&mut self, name: &str, values: Vec<String>, called: String) {
        self.values.insert(name.into(), values);
        self.user.insert(name.into(), called);
    }

    /// What whoever gave an option knows it as: for messages.
    pub fn called(&self, name: &str) -> String {
        self.user.get(name).cloned().unwrap_or_else(|| format!("--{name}"))
    }

    fn answers(
        &mut self,
        environment: &Environment,
        path: &std::path::Path,
        common: &mut BTreeMap<&str, Vec<String>>,
    ) -> Result<(), Failure> {
        let failed = |why: String| {
            Failure::Failed(StepError::new(format!(
                "cannot use answers file {}: {why}",
                path.display()
            )))
        };
        let text = crate::reading::text(path).map_err(|e| failed(e.to_string()))?;
        let read = answers::read(&text, &|name| environment.text(name)).map_err(failed)?;
        let mut wrong = Vec::new();
        for answer in read {
            let name = answer.name.as_str();
            let called = format!("`{name}` ({}, line {})", path.display(), answer.line);
            let mut one = |between: Option<char>| {
                let several = answer.values.len() > 1 && between.is_none();
                wrong.extend(several.then(|| format!("{called} takes one value, not a list")));
                answer.values.join(&between.map(String::from).unwrap_or_default())
            };
            match options::find(name) {
                Some(option) if option.kind == OptionKind::Addresses => {
                    let all = answer.values.iter().flat_map(|v| split(option, v)).collect();
                    self.set(name, all, called);
                }
                Some(option) => {
                    let is_list = matches!(option.kind, OptionKind::Nodes | OptionKind::List);
                    let text = one(is_list.then_some(','));
                    self.set(name, vec![text], called);
                }
                None => match COMMON.into_iter().find(|common| *common == name) {
                    Some("extra-vars") => drop(common.insert("extra-vars", answer.values)),
                    Some("ansible-args") => {
                        drop(common.insert("ansible-args", vec![one(Some(';'))]));
                    }
                    Some(known) => drop(common.insert(known, vec![one(None)])),
                    None if ["from-file", "generate-answers-file"].contains(&name) => {
                        self.warnings.push(format!("{called} has no effect in an answers file"));
                    }
                    None => {
                        self.warnings.extend(likely_misspelt(name, &called));
                        self.settings.push((name.into(), typed(&answer), called));
                    }
                },
            }
        }
        stop(wrong).map_err(refuse)
    }

    /// What was agreed to by name.
    pub fn accepted(&self) -> Result<Vec<consent::Kind>, Failure> {
        consent::accepted(&self.accept)
    }

    /// Values of an option, from whatever source.
    pub fn texts(&self, name: &str) -> Vec<String> {
        if name == "extra-vars" {
            return self.extra.clone();
        }
        self.values.get(name).cloned().unwrap_or_default()
    }

    /// Keys of the answers file that are not options, and what they are called in messages.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(name, _, called)| (name.as_str(), called.as_str()))
    }

    /// Whether somebody gave it.
    pub fn by_user(&self, name: &str) -> bool {
        self.user.contains_key(name)
    }

    /// Options of the command line, as given.
    pub fn line(&self) -> &[(String, Vec<String>)] {
        &self.line
    }

    fn one(&self, name: &str) -> Option<String> {
        self.texts(name).pop()
    }

    /// InfraRed's checks: each names every offender.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let is_missing = |name: &str| self.one(name).is_none_or(|v| v.is_empty());
        let missing = OPTIONS.iter().filter(|o| o.required && is_missing(o.name));
        let missing: Vec<String> = missing.map(|o| format!("--{}", o.name)).collect();
        if !missing.is_empty() {
            return Err(vec![format!("required options are missing: {}", missing.join(", "))]);
        }
        let yes = |name: &str| self.one(name).is_some_and(|t| parse_bool(&t) == Some(true));
        // What is not supported is refused itself, and not for what goes with it.
        let is_later = |name: &str| {
            options::find(name).is_some_and(|o| matches!(o.support, options::Support::Later { .. }))
        };
        let needed: Vec<String> = REQUIRED_WHEN
            .iter()
            .filter(|(name, when)| {
                self.one(name).is_none() && when.iter().any(|other| yes(other) && !is_later(other))
            })
            .map(|(name, when)| format!("--{name} is needed with --{}", when.join(", --")))
            .collect();
        stop(needed)?;
        if let Some(prefix) = self.one("prefix")
            && prefix.chars().count() > EnvName::LONGEST_PREFIX
        {
            stop(vec![format!(
                "{} is longer than {} characters: `{prefix}`",
                self.called("prefix"),
                EnvName::LONGEST_PREFIX
            )])?;
        }
        let mut wrong = Vec::new();
        for option in OPTIONS.iter() {
            if let OptionKind::Choice(_) = option.kind
                && let Some(value) = self.one(option.name)
                && !option.kind.takes(&value)
            {
                wrong.push(option.refusal(&self.called(option.name), &format!("`{value}`")));
            }
        }
        stop(wrong)
    }

    /// The settings tree, without extra variables.
    pub fn tree(&self, environment: &Environment) -> Result<Plain, Vec<String>> {
        let mut tree = Plain::map();
        let mut wrong = Vec::new();
        let mut put = |path: Vec<&str>, value: Plain| {
            let path: Vec<&str> = std::iter::once("provision").chain(path).collect();
            match tree.place(&path) {
                Ok(place) => *place = value,
                Err(why) => wrong.push(why),
            }
        };
        let mut bad = Vec::new();
        for (name, value, _) in &self.settings {
            put(name.split('-').collect(), value.clone());
        }
        for option in OPTIONS.iter() {
            let values = self.texts(option.name);
            if values.is_empty() {
                continue;
            }
            match self.convert(environment, option, values) {
                Ok(value) => put(option.path(), value),
                Err(why) => bad.push(why),
            }
        }
        wrong.extend(bad);
        stop(wrong)?;
        Ok(tree)
    }

    fn convert(
        &self,
        environment: &Environment,
        option: &Opt,
        values: Vec<String>,
    ) -> Result<Plain, String> {
        let list = |all: Vec<String>| Plain::List(all.into_iter().map(Plain::Text).collect());
        let one = values.last().cloned().unwrap_or_default();
        Ok(match option.kind {
            OptionKind::Addresses => list(values),
            OptionKind::List => list(one.split(',').map(String::from).collect()),
            OptionKind::Bool => match parse_bool(&one) {
                Some(truth) => Plain::Bool(truth),
                None => {
                    let called = self.called(option.name);
                    return Err(format!("{called} expects yes or no, not `{one}`"));
                }
            },
            // Also where an answers file repeats the default.
            OptionKind::Value | OptionKind::Choice(_)
                if option.default == Some("no") && one == "no" =>
            {
                Plain::Bool(false)
            }
            OptionKind::Value | OptionKind::Choice(_) => Plain::Text(one),
            OptionKind::Network => Plain::Text(load::path_of_network(environment, &one)?),
            OptionKind::Nodes => {
                let mut map = BTreeMap::new();
                for (path, count) in load::paths_of_nodes(environment, &one)? {
                    map.insert(path, Plain::Int(count));
                }
                Plain::Map(map)
            }
        })
    }

    /// Arguments of the user's playbooks: verbosity, and what is not for us.
    pub fn playbook_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        if self.verbose > 0 {
            args.push(format!("-{}", "v".repeat(self.verbose.min(6).into())));
        }
        for argument in &self.ansible_args {
            if matches!(argument.name, "tags" | "skip-tags") {
                continue;
            }
            args.push(format!("--{}", argument.name));
            args.extend(argument.value.clone());
        }
        // As parts of InfraRed's own run, playbooks have the tag of their stage, and so all of their tasks run where the stage
        // does, but for those that a word says more of.
        for (name, usual) in [("tags", Some("all")), ("skip-tags", None)] {
            let words = ansible::words(&self.ansible_args, name);
            if !words.is_empty() {
                let words = usual.into_iter().map(String::from).chain(words);
                args.extend([format!("--{name}"), words.collect::<Vec<_>>().join(",")]);
            }
        }
        args
    }
}

/// Values of an argument, in their order.
fn all(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches.get_many::<String>(name).map(|v| v.cloned().collect()).unwrap_or_default()
}

/// Whether a variable of a flag turns that on: as clap reads those of other verbs.
fn is_yes(text: &str) -> bool {
    FalseyValueParser::new().parse_ref(&Command::new("virsh"), None, text.as_ref()).unwrap_or(true)
}

/// Nothing wrong, or everything that is.
fn stop(wrong: Vec<String>) -> Result<(), Vec<String>> {
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// An unknown key's value: only the two words that InfraRed took for booleans become some.
fn typed(answer: &answers::Answer) -> Plain {
    match answer.values.as_slice() {
        [one] if !answer.is_list => match one.as_str() {
            "True" => Plain::Bool(true),
            "False" => Plain::Bool(false),
            other => Plain::text(other),
        },
        all => Plain::List(all.iter().map(Plain::text).collect()),
    }
}

/// Addresses may be given in one text, too.
fn split(option: &Opt, text: &str) -> Vec<String> {
    match option.kind {
        OptionKind::Addresses => {
            text.split(',').map(str::trim).filter(|p| !p.is_empty()).map(String::from).collect()
        }
        _ => vec![text.to_string()],
    }
}

/// A variable of InfraRed's, or of our own, and its name.
fn variable(environment: &Environment, name: &str) -> Option<(String, String)> {
    ["MAQUETTE_", "IR_"].iter().map(|p| format!("{p}{name}")).find_map(|variable| {
        let text = environment.text(&variable)?;
        Some((variable, text))
    })
}

/// A warning about a key that is not an option, but nearly one. Other such keys are the user's own settings,
/// as with InfraRed.
fn likely_misspelt(name: &str, called: &str) -> Option<String> {
    let near = slip(name, OPTIONS.iter().map(|o| o.name).chain(COMMON))?;
    let path = name.replace('-', ".");
    Some(format!(
        "{called} is not an option, and becomes the setting `provision.{path}`; did you mean `{near}`?"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `skip-tags=destructive` was warned of, and the tasks ran.
    #[test]
    fn playbooks_of_the_users_own_get_the_tags() {
        let args = |text: &str| {
            let ansible_args = ansible::taken_apart(text).unwrap();
            InfraredValues { ansible_args, ..InfraredValues::default() }.playbook_args()
        };
        assert_eq!(args("skip-tags=destructive,vms"), ["--skip-tags", "destructive,vms"]);
        assert_eq!(args("diff;tags=post;tags=mine"), ["--diff", "--tags", "all,post,mine"]);
        assert_eq!(args("forks=5"), ["--forks", "5"]);
    }
}
