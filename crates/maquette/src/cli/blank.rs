//! Variables that are set and empty.

use std::ffi::OsString;

use clap::{Arg, Command, Parser};

use crate::world::Environment;

/// A name that no variable has.
const NOBODYS: &str = "=";

/// Reads a command line. Of the variables of flags those that are empty are not set: clap would take them for values.
///
/// # Errors
///
/// What clap says of it, which may be the help.
pub fn parsed<C: Parser>(words: &[OsString], environment: &Environment) -> Result<C, clap::Error> {
    let mut command = without(C::command(), environment);
    let matches = command.try_get_matches_from_mut(words)?;
    C::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn without(command: Command, environment: &Environment) -> Command {
    let blank = |arg: &Arg| {
        let name = arg.get_env().and_then(|name| name.to_str());
        name.is_some_and(|name| environment.is_blank(name))
    };
    let command = command.mut_args(|arg| match blank(&arg) {
        true => arg.env(NOBODYS).hide_env(true),
        false => arg,
    });
    command.mut_subcommands(|command| without(command, environment))
}
