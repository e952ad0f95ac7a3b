//! What clap says of a mistake in the command line, put right where it blames or suggests the wrong thing.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory, Error};
use maquette_core::diagnostic::closest;

use super::Cli;
use crate::world::Environment;

/// A mistake in the words of a command line, as it is told.
pub fn corrected(mut error: Error, words: &[OsString], environment: &Environment) -> Error {
    if let Some(variable) = blamed(&error, words, environment) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    if let Some(verb) = text(&error, ContextKind::InvalidSubcommand) {
        // Clap finds `inventory` in `network`.
        let names = suggested(&error, ContextKind::SuggestedSubcommand);
        match closest(verb, names.iter().map(String::as_str)) {
            Some(name) => {
                let name = ContextValue::Strings(vec![name.to_string()]);
                error.insert(ContextKind::SuggestedSubcommand, name);
            }
            None => {
                error.remove(ContextKind::SuggestedSubcommand);
                // It is empty, and a line of its own.
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
    // What is on the command line counts more, so that it is what was refused.
    let flag = format!("--{}", argument.get_long()?);
    let is_flag = |word: &OsString| {
        let word = word.to_string_lossy();
        word == flag.as_str() || word.strip_prefix(&flag).is_some_and(|rest| rest.starts_with('='))
    };
    (one && !words.iter().any(is_flag)).then(|| variable.to_string_lossy().into_owned())
}

/// The command that the words name.
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
