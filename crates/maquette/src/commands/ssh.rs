//! `maquette ssh`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use maquette_core::diagnostic::Diagnostic;

use super::foreground::{self, NO_CONNECTION};
use super::ssh_routes::Routes;
use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::world::World;

/// Arguments of `ssh`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// The node, or USER@NODE
    pub node: String,
    /// Options of ssh (`-L 8080:localhost:80`), then a command to run there instead of a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub words: Vec<String>,
    /// Whether `--` stood before all of these: none is an option then.
    #[arg(skip)]
    pub is_command: bool,
}

impl Args {
    /// Finds out whether `--` came right after the node, which is all that is not seen in the arguments themselves: they
    /// are the last of a command line's words.
    pub fn read_end_of_options(&mut self, line: &[OsString]) {
        let before = line.len().checked_sub(self.words.len() + 1);
        self.is_command = before.and_then(|at| line.get(at)).is_some_and(|word| word == "--");
    }
}

/// Options of ssh that take a value, by ssh(1).
const WITH_VALUE: &str = "BbcDEeFIiJLlmOoPpQRSWw";

/// Options of ssh without one.
const PLAIN: &str = "46AaCfGgKkMNnqsTtVvXxYy";

/// Whether a word is one of ssh's own options, as `-q`.
pub(super) fn is_option(word: &str) -> bool {
    let letter = word.strip_prefix('-').filter(|rest| rest.len() == 1);
    letter.is_some_and(|letter| WITH_VALUE.contains(letter) || PLAIN.contains(letter))
}

/// ssh's own options at the beginning of words, and the command after them. `--` ends the options.
fn split(words: &[String]) -> Result<(&[String], &[String]), String> {
    let mut at = 0;
    while let Some(letters) = words.get(at).and_then(|word| word.strip_prefix('-')) {
        if letters == "-" {
            return Ok((&words[..at], &words[at + 1..]));
        }
        let valued = letters.find(|c| WITH_VALUE.contains(c));
        let plain = &letters[..valued.unwrap_or(letters.len())];
        if letters.is_empty() || !plain.chars().all(|c| PLAIN.contains(c)) {
            return Err(format!("ssh has no option `-{letters}`"));
        }
        at += 1;
        // Without a value in the same word, the next word is it.
        if valued.is_some_and(|valued| valued + 1 == letters.len()) {
            if at == words.len() {
                return Err(format!("ssh's option `-{letters}` needs a value"));
            }
            at += 1;
        }
    }
    Ok(words.split_at(at))
}

/// Becomes `ssh`, so that its exit code, its terminal and its signals are the user's. Of a node of another hypervisor's it is
/// found out only afterwards why there was no connection.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let split = match args.is_command {
        true => Ok((&[][..], args.words.as_slice())),
        false => split(&args.words),
    };
    let (options, command) = split.map_err(|why| {
        Failure::input(
            Diagnostic::error("ssh::option", why)
                .help("a command that begins with `-` stands after `--`, as in `maquette ssh NODE -- COMMAND`"),
        )
    })?;
    let routes = Routes::open(world, &args.place)?;
    let route = routes.one(&args.node)?;
    routes.must_run(world, &route)?;
    let mut ssh = Command::new("ssh");
    ssh.args(route.options(options.iter().map(String::as_str)));
    // ssh decides by itself where its config says who it talks to; InfraRed's nodes were entered with a terminal.
    ssh.args(route.own.then_some("-t"));
    ssh.arg("--").arg(&route.destination).args(command);
    let routes_there = std::slice::from_ref(&route);
    if !routes.are_elsewhere(routes_there) {
        return Err(Failure::because("cannot run ssh", ssh.exec()));
    }
    let status = foreground::run(world, &mut ssh);
    let status = status.map_err(|e| Failure::because("cannot run ssh", e))?;
    if status == NO_CONNECTION {
        routes.explain_lost(world, routes_there).map_err(|failure| failure.with_status(status))?;
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn parts(text: &str) -> Result<(String, String), String> {
        let words: Vec<String> = text.split_whitespace().map(String::from).collect();
        split(&words).map(|(options, command)| (options.join(" "), command.join(" ")))
    }

    #[test]
    fn options_of_ssh_end_where_the_command_begins() {
        let is = |text: &str, options: &str, command: &str| {
            assert_eq!(parts(text), Ok((options.into(), command.into())), "{text}");
        };
        is("", "", "");
        is("uptime -p", "", "uptime -p");
        is("-L 8080:localhost:80", "-L 8080:localhost:80", "");
        is("-NL8080:localhost:80 -o A=b ls -l", "-NL8080:localhost:80 -o A=b", "ls -l");
        is("-tt -- -weird x", "-tt", "-weird x");
        is("-vvvL 1:b:2 top", "-vvvL 1:b:2", "top");
    }

    /// `--` right after the node makes all that follows a command, whatever it looks like; later ones are part of it.
    #[test]
    fn what_comes_after_the_end_of_options_is_a_command() {
        let is_command = |line: &str| {
            let line: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let cli = crate::commands::Cli::try_parse_from(&line).unwrap();
            let crate::commands::Command::Ssh(mut args) = cli.command else { panic!("not ssh") };
            args.read_end_of_options(&line);
            (args.is_command, args.words.join(" "))
        };
        let is = |line: &str, command: bool, words: &str| {
            assert_eq!(is_command(line), (command, words.into()), "{line}");
        };
        is("maquette ssh web-0 -- -oProxyCommand=x", true, "-oProxyCommand=x");
        is("maquette ssh web-0 -- git log -- file", true, "git log -- file");
        is("maquette ssh web-0 -L 1:b:2 -- -x", false, "-L 1:b:2 -- -x");
        is("maquette ssh web-0 git log -- file", false, "git log -- file");
        is("maquette ssh web-0", false, "");
    }

    #[test]
    fn all_options_of_ssh_are_known() {
        for option in ["-L", "-l", "-q", "-v", "-4"] {
            assert!(is_option(option), "{option}");
        }
        for other in ["", "-", "-Z", "-vv", "q", "--q", "-é"] {
            assert!(!is_option(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_option_of_ssh_is_told() {
        assert!(parts("-L").unwrap_err().contains("needs a value"));
        assert!(parts("-Z x").is_err());
        assert!(parts("--help").is_err());
        assert!(parts("-é").is_err());
    }
}
