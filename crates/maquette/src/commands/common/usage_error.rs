//! Mistakes in the command line, as clap reports them, corrected in two points: a wrong value of an environment variable is
//! not blamed on the flag, and a verb is suggested only if it is like what was typed.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory, Error};
use maquette_core::diagnostic::closest;

use crate::commands::Cli;
use crate::world::Environment;

/// Plug-ins of InfraRed's that are not here.
const PLUGINS: [&str; 14] = [
    "beaker",
    "cloud-config",
    "collect-logs",
    "foreman",
    "list-builds",
    "openstack",
    "ospdui",
    "packstack",
    "pytest-runner",
    "rally",
    "tempest",
    "tripleo-overcloud",
    "tripleo-standalone",
    "tripleo-undercloud",
];

/// Verbs of other tools that none here is like, and what there is instead.
const ELSEWHERE: [(&[&str], &str); 13] = [
    (
        &["snapshot", "snapshots", "save", "revert"],
        "Maquette makes no snapshots; `virsh snapshot-create-as NODE NAME` of libvirt does",
    ),
    (&["apply", "deploy", "create", "build"], "`maquette up` builds what is described"),
    (
        &["provision"],
        "`maquette up` builds what is described; a changed first boot has it replace nodes, and what nodes do later is for Ansible",
    ),
    (&["halt", "poweroff", "shutdown"], "`maquette stop NODE` shuts nodes down"),
    (&["suspend"], "`maquette pause NODE` holds nodes as libvirt's `suspend` does"),
    (&["reload", "reboot"], "`maquette restart NODE` shuts nodes down and starts them"),
    (
        &["delete", "rm", "remove", "undefine", "teardown"],
        "`maquette down` removes the environment, or a node",
    ),
    (&["kill"], "`maquette stop --force NODE` switches nodes off, `maquette down` removes them"),
    (&["prune", "clean"], "`maquette image prune` removes images that no node uses"),
    (
        &["download", "pull", "images"],
        "`maquette image list` names images, and `maquette up` downloads them",
    ),
    (&["global-status"], "`maquette list` shows the environments of a hypervisor"),
    (&["version"], "`maquette --version` prints it"),
    (
        &["ps", "inspect", "info", "show"],
        "`maquette status` shows the nodes, `maquette list` the environments",
    ),
];

/// clap's error for a command line's `words`, corrected in these two points.
pub fn corrected(mut error: Error, words: &[OsString], environment: &Environment) -> Error {
    if let Some(variable) = blamed(&error, words, environment) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    let plugin = text(&error, ContextKind::InvalidSubcommand).filter(|verb| PLUGINS.contains(verb));
    let verb = text(&error, ContextKind::InvalidSubcommand);
    let elsewhere = verb.and_then(|verb| ELSEWHERE.iter().find(|(verbs, _)| verbs.contains(&verb)));
    if let Some((_, tip)) = elsewhere {
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![(*tip).into()]));
    } else if let Some(plugin) = plugin {
        let tip = format!(
            "`infrared {plugin} …` runs that plug-in of InfraRed's; it finds the inventory of the active workspace, \
             which is in the same $IR_HOME"
        );
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    } else if let Some(verb) = text(&error, ContextKind::InvalidSubcommand) {
        // Clap finds `inventory` in `network`.
        let names = suggested(&error, ContextKind::SuggestedSubcommand);
        match closest(verb, names.iter().map(String::as_str)) {
            Some(name) => {
                let name = ContextValue::Strings(vec![name.to_string()]);
                error.insert(ContextKind::SuggestedSubcommand, name);
            }
            None => {
                error.remove(ContextKind::SuggestedSubcommand);
                // What is left of it would be printed as an empty line.
                error.remove(ContextKind::Suggested);
            }
        }
    }
    error
}

/// The environment variable that a refused value comes from.
fn blamed(error: &Error, words: &[OsString], environment: &Environment) -> Option<String> {
    let shown = text(error, ContextKind::InvalidArg)?;
    let value = text(error, ContextKind::InvalidValue)?;
    let mut command = Cli::command();
    command.build();
    let command = verb(&command, words);
    let argument = command.get_arguments().find(|a| a.to_string() == shown)?;
    let variable = argument.get_env()?;
    let given = environment.text(variable.to_str()?)?;
    let delimiter = argument.get_value_delimiter();
    let one = given == value || delimiter.is_some_and(|d| given.split(d).any(|part| part == value));
    // A flag counts more than its variable: where both are given, the flag's value was refused.
    let flag = format!("--{}", argument.get_long()?);
    let is_flag = |word: &OsString| {
        let word = word.to_string_lossy();
        word == flag.as_str() || word.strip_prefix(&flag).is_some_and(|rest| rest.starts_with('='))
    };
    (one && !words.iter().any(is_flag)).then(|| variable.to_string_lossy().into_owned())
}

/// The verb, or the verb of a verb, that the words name.
fn verb<'a>(top: &'a Command, words: &[OsString]) -> &'a Command {
    let words = words.iter().skip(1).map(OsString::as_os_str).filter_map(OsStr::to_str);
    words.fold(top, |command, word| command.find_subcommand(word).unwrap_or(command))
}

fn text(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

fn suggested(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(name)) => vec![name.clone()],
        Some(ContextValue::Strings(names)) => names.clone(),
        _ => Vec::new(),
    }
}
