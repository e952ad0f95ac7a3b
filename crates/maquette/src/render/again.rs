//! Flags that say which environment is meant, for the commands that the program advises: a hint that is typed as it stands is
//! about the environment that the command was about.

use std::borrow::Cow;
use std::ffi::OsString;

/// Flags that choose an environment, its hypervisor, its workspace or its file.
const FLAGS: [&str; 6] =
    ["prefix", "host-address", "host-user", "host-key", "workspace", "project"];

/// Verbs that are about a hypervisor, whatever environments are on it.
const OF_HYPERVISORS: [&str; 3] = ["host", "image", "list"];

/// What follows a command that somebody else is to type, in a place of theirs.
const THERE: &str = "` there";

/// How a command begins in a text: between backquotes, or behind the words that `status` ends with.
const BEGINS: [&str; 2] = ["`maquette ", "log in:    maquette "];

/// What was given of [`FLAGS`] on the command line. What variables and files say is so in the next command, too.
#[derive(Debug, Default)]
pub struct Again {
    /// Their names, and they as a shell takes them.
    flags: Vec<(&'static str, String)>,
    /// The verbs that take them, word by word.
    verbs: Vec<Vec<String>>,
}

impl Again {
    /// Reads them from the words of a command line, by the program's arguments.
    pub fn of(words: &[OsString], program: impl FnOnce() -> clap::Command) -> Self {
        let mut again = Self::default();
        let mut words =
            words.iter().skip(1).map(|word| word.to_str()).take_while(|w| *w != Some("--"));
        while let Some(word) = words.next() {
            let Some(flag) = word.and_then(|word| word.strip_prefix("--")) else { continue };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (flag, None),
            };
            let Some(name) = FLAGS.iter().find(|known| **known == name) else { continue };
            let Some(value) = value.or_else(|| words.next().flatten()) else { continue };
            let Ok(value) = shlex::try_quote(value) else { continue };
            again.flags.push((name, format!(" --{name} {value}")));
        }
        if !again.flags.is_empty() {
            takers(&program(), &[], &mut again.verbs);
        }
        again
    }

    /// The text with the flags in each command of ours that takes them, but for those that it has.
    pub fn filled<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.flags.is_empty() || !text.contains("maquette ") {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((at, begin)) = BEGINS.iter().filter_map(|b| Some((rest.find(b)?, *b))).min()
        {
            let (before, command) = rest.split_at(at + begin.len());
            out.push_str(before);
            let end = command.find(['`', '\n']).unwrap_or(command.len());
            let (written, behind) = command.split_at(end);
            let verb = self.verb(written);
            out.push_str(verb);
            if !verb.is_empty() {
                let flags = self.flags_of(verb, written, behind.starts_with(THERE));
                flags.for_each(|flag| out.push_str(flag));
            }
            rest = &command[verb.len()..];
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// The flags that a command is given, typed here or by somebody else. One that names its environment may be about another
    /// one, with another workspace and file.
    fn flags_of(&self, verb: &str, written: &str, is_there: bool) -> impl Iterator<Item = &str> {
        let verb = verb.split(' ').next().unwrap_or_default();
        let of_host = OF_HYPERVISORS.contains(&verb);
        let has = |name: &str| {
            let flag = format!("--{name}");
            written.split([' ', '=']).any(|word| word == flag)
        };
        let of_another = has("prefix");
        let fits = move |name: &str| match name {
            "workspace" | "project" => !of_host && !is_there && !of_another,
            "prefix" => !of_host,
            _ => !is_there,
        };
        let flags = self.flags.iter().filter(move |(name, _)| fits(name) && !has(name));
        flags.map(|(_, flag)| flag.as_str())
    }

    /// The verb of a command that takes the flags; nothing if it is no such command.
    fn verb<'a>(&self, command: &'a str) -> &'a str {
        let begins = |verb: &&Vec<String>| {
            let mut words = command.split(' ');
            verb.iter().all(|word| words.next() == Some(word))
        };
        let longest = self.verbs.iter().filter(begins).max_by_key(|verb| verb.len());
        let end = longest.map_or(0, |verb| verb.join(" ").len());
        command.get(..end).unwrap_or_default()
    }
}

/// The verbs below a command that take the first of the flags, by all of their names.
fn takers(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
    for verb in command.get_subcommands() {
        let takes = verb.get_arguments().any(|arg| arg.get_long() == Some(FLAGS[0]));
        for name in std::iter::once(verb.get_name()).chain(verb.get_all_aliases()) {
            let path: Vec<String> = path.iter().cloned().chain([name.to_string()]).collect();
            takers(verb, &path, found);
            if takes {
                found.push(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    fn program() -> Command {
        let place = || Arg::new("prefix").long("prefix");
        Command::new("maquette")
            .subcommand(Command::new("up").arg(place()))
            .subcommand(Command::new("down").arg(place()))
            .subcommand(Command::new("list"))
            .subcommand(Command::new("host").subcommand(Command::new("check").arg(place())))
            .subcommand(
                Command::new("link")
                    .arg(place())
                    .subcommand(Command::new("down").alias("cut").arg(place())),
            )
    }

    fn filled(words: &[&str], text: &str) -> String {
        let words: Vec<OsString> = ["maquette"].iter().chain(words).map(OsString::from).collect();
        Again::of(&words, program).filled(text).into_owned()
    }

    #[test]
    fn advised_commands_have_the_flags_that_say_which_environment_is_meant() {
        let lab: &[&str] = &["status", "--prefix", "lab", "--json"];
        for (text, expected) in [
            ("`maquette up` builds it", "`maquette up --prefix lab` builds it"),
            (
                "`maquette up web` and `maquette list`",
                "`maquette up --prefix lab web` and `maquette list`",
            ),
            ("`maquette link down NODE`", "`maquette link down --prefix lab NODE`"),
            ("`maquette link cut NODE`", "`maquette link cut --prefix lab NODE`"),
            ("`maquette up --prefix red`", "`maquette up --prefix red`"),
            ("`maquette up --prefix=red`", "`maquette up --prefix=red`"),
            ("`maquette up --prefixes`", "`maquette up --prefix lab --prefixes`"),
            ("`maquette host check`", "`maquette host check`"),
            ("`maquette upward` maquette up", "`maquette upward` maquette up"),
            ("a\nlog in:    maquette up x\nb", "a\nlog in:    maquette up --prefix lab x\nb"),
            ("`maquette `", "`maquette `"),
        ] {
            assert_eq!(filled(lab, text), expected);
        }
    }

    #[test]
    fn what_is_not_given_on_the_command_line_is_not_repeated() {
        let text = "`maquette up`";
        assert_eq!(filled(&["status"], text), text);
        assert_eq!(filled(&["ssh", "web-0", "--", "x", "--prefix", "y"], text), text);
        assert_eq!(filled(&["status", "--prefix"], text), text);
        let many =
            ["up", "--prefix=", "--host-address", "hv", "--workspace", "a b", "--timeout", "3"];
        let expected = "`maquette up --prefix '' --host-address hv --workspace 'a b'`";
        assert_eq!(filled(&many, text), expected);
        // What is about another environment is at the same hypervisor.
        let expected = "`maquette down --host-address hv --prefix red`";
        assert_eq!(filled(&many, "`maquette down --prefix red`"), expected);
        // Somebody else is in another directory, at another machine.
        assert_eq!(filled(&many, "`maquette up` there"), "`maquette up --prefix ''` there");
        assert_eq!(
            filled(&many, "`maquette host check`"),
            "`maquette host check --host-address hv`"
        );
    }
}
