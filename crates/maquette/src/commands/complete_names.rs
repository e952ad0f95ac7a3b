//! `maquette complete-names`: the names that fit where a user of a shell is typing. Scripts of shells call it at each
//! press of Tab, so it reads files of the workspace and asks no hypervisor. Whatever goes wrong, it prints nothing.

use std::collections::BTreeSet;

use clap::{Arg, Args as _, Command, CommandFactory, FromArgMatches};
use maquette_core::defaults::{self, Kind};
use maquette_core::examples::examples;
use maquette_core::explain;
use maquette_engine::image::build::BUILDABLE;
use maquette_engine::image::catalogue;

use super::ssh_routes::Routes;
use crate::cli::Place;
use crate::commands::Cli;
use crate::failure::Failure;
use crate::workspace::named::Workspaces;
use crate::world::World;

/// Arguments of `complete-names`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The words after `maquette`; the last one is being typed
    #[arg(last = true, allow_hyphen_values = true, value_name = "WORD")]
    pub words: Vec<String>,
}

/// The kind of name that is being typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Nodes, node types and groups.
    Nodes,
    /// A path on a node.
    Path,
    /// An environment.
    Prefix,
    /// Node types with their count.
    Types,
    /// A network file.
    Network,
    /// A base image.
    Image,
    /// A project file to begin with.
    Example,
    /// What can be explained.
    Key,
    /// A built-in node type or network file.
    BuiltIn,
    /// An image that can be built.
    Buildable,
    /// A workspace of InfraRed's.
    Workspace,
}

/// Prints the names, a line each.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let Some((typed, before)) = args.words.split_last() else { return Ok(0) };
    let names = what(before).map(|what| names(world, what, typed, before)).unwrap_or_default();
    // A shell's script splits and inserts them.
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    for name in names.iter().filter(|n| n.starts_with(typed) && n.chars().all(harmless)) {
        world.terminal.result(name);
    }
    Ok(0)
}

fn names(world: &World, what: What, typed: &str, before: &[String]) -> BTreeSet<String> {
    let named = |kind| defaults::names(kind).into_iter().map(String::from);
    match what {
        What::Nodes => nodes(world, typed, before, true),
        What::Path => {
            let nodes = nodes(world, typed, before, false).into_iter();
            nodes.map(|name| format!("{name}:")).collect()
        }
        What::Prefix => environments(world),
        What::Types => named(Kind::Nodes).map(|name| format!("{name}:")).collect(),
        What::Network => named(Kind::Network).collect(),
        What::Example => examples().into_iter().map(|example| example.name.into()).collect(),
        What::Key => keys(),
        What::BuiltIn => named(Kind::Nodes).chain(named(Kind::Network)).collect(),
        What::Buildable => BUILDABLE.iter().map(|(name, _)| (*name).to_string()).collect(),
        What::Workspace => Workspaces::of(&world.environment).names().into_iter().collect(),
        What::Image => catalogue::ENTRIES.iter().map(|entry| entry.name.to_string()).collect(),
    }
}

/// Names of nodes; with `sets` those of node types and groups as well.
fn nodes(world: &World, typed: &str, before: &[String], sets: bool) -> BTreeSet<String> {
    let place = place(before).unwrap_or_default();
    Routes::read(world, &place).map(|routes| routes.words(typed, sets)).unwrap_or_default()
}

/// What `maquette explain` knows, by its path and by its name alone.
fn keys() -> BTreeSet<String> {
    let paths = explain::topics().into_iter().map(|topic| topic.path);
    let both = |path: String| {
        let name = path.rsplit('.').next().map(String::from);
        [Some(path), name].into_iter().flatten()
    };
    paths.flat_map(both).collect()
}

/// Environments that have a workspace here.
fn environments(world: &World) -> BTreeSet<String> {
    let usual = world.environment.workspace(&Default::default());
    let entries = usual.parent().and_then(|all| std::fs::read_dir(all).ok());
    let names = entries.into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| *name != maquette_core::names::EnvName::DEFAULT).collect()
}

/// Which environment the words name.
fn place(before: &[String]) -> Option<Place> {
    let flags = ["--prefix", "--project", "--workspace"];
    let mut words = vec!["maquette".to_string()];
    for (at, word) in before.iter().enumerate() {
        match word.split_once('=') {
            Some((flag, _)) if flags.contains(&flag) => words.push(word.clone()),
            None if flags.contains(&word.as_str()) => {
                words.extend(before[at..].iter().take(2).cloned());
            }
            _ => {}
        }
    }
    let matches = Place::augment_args(Command::new("maquette")).try_get_matches_from(words).ok()?;
    Place::from_arg_matches(&matches).ok()
}

/// The kind of name that follows the words, by the command line's definition; none where no names are known.
fn what(before: &[String]) -> Option<What> {
    let whole = Cli::command();
    let (mut command, mut positions, mut words) = (&whole, 0, before.iter());
    let mut after_options = None;
    while let Some(word) = words.next() {
        after_options = None;
        if word == "--" {
            return None;
        } else if word.starts_with('-') {
            let option = option(command, word);
            // Its value is the next word, which may be the one that is being typed.
            if option.is_some() && !word.contains('=') && words.next().is_none() {
                after_options = option;
            }
        } else if let Some(verb) = command.find_subcommand(word) {
            (command, positions) = (verb, 0);
        } else {
            positions += 1;
        }
    }
    match after_options {
        Some(option) => match option.get_long()? {
            "prefix" => Some(What::Prefix),
            "topology-nodes" => Some(What::Types),
            "topology-network" => Some(What::Network),
            "image-url" => Some(What::Image),
            _ => None,
        },
        None => positional(command, positions),
    }
}

/// The option that a word is, if that takes a value.
fn option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let found = match word.strip_prefix("--") {
        Some(long) => {
            let long = long.split('=').next()?;
            command.get_arguments().find(|arg| arg.get_long() == Some(long))
        }
        None => command.get_arguments().find(|arg| arg.get_short() == word.chars().next_back()),
    };
    found.filter(|arg| arg.get_action().takes_values())
}

fn positional(command: &Command, at: usize) -> Option<What> {
    let mut found = None;
    for (number, arg) in command.get_positionals().filter(|arg| !arg.is_last_set()).enumerate() {
        let many = matches!(arg.get_action(), clap::ArgAction::Append);
        if number == at || (many && number < at) {
            found = Some(arg);
        }
    }
    let name = found?.get_value_names().and_then(|names| names.first());
    match name.map_or(found?.get_id().as_str(), |name| name.as_str()) {
        "NODE" | "NODES" | "node" => Some(What::Nodes),
        "SOURCE" | "DESTINATION" => Some(What::Path),
        "EXAMPLE" => Some(What::Example),
        // Those of `share` are files.
        "KEY" if found?.get_id() == "key" => Some(What::Key),
        "NAME" | "NAMES" => match command.get_name() {
            "show" => Some(What::BuiltIn),
            "build" => Some(What::Buildable),
            "checkout" | "delete" | "cleanup" | "inventory" => Some(What::Workspace),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_follows_from_the_command_lines_definition() {
        let is = |text: &str, expected: Option<What>| {
            let words: Vec<String> = text.split_whitespace().map(String::from).collect();
            assert_eq!(what(&words), expected, "{text}");
        };
        for verb in ["ssh", "console", "logs -f", "stop", "stop web-0", "up", "plan --json", "down"]
        {
            is(verb, Some(What::Nodes));
        }
        is("link down", Some(What::Nodes));
        is("link show --prefix lab", Some(What::Nodes));
        is("logs web-0", None);
        is("forward web-0", None);
        is("ssh web-0", None);
        is("exec web-0", Some(What::Nodes));
        is("exec web-0 --", None);
        for verb in ["open", "screenshot", "doctor"] {
            is(verb, Some(What::Nodes));
        }
        is("list --prefix", Some(What::Prefix));
        is("extend", None);
        is("extend --prefix", Some(What::Prefix));
        is("share", None);
        is("unshare", None);
        is("init", Some(What::Example));
        is("explain", Some(What::Key));
        is("cp", Some(What::Path));
        is("scp -r notes.txt", Some(What::Path));
        is("stop --prefix", Some(What::Prefix));
        is("stop --prefix lab", Some(What::Nodes));
        is("stop --prefix=lab", Some(What::Nodes));
        is("up --topology-nodes", Some(What::Types));
        is("up --topology-network", Some(What::Network));
        is("up --image-url", Some(What::Image));
        is("stop --timeout", None);
        is("", None);
        is("topology show", Some(What::BuiltIn));
        is("image build", Some(What::Buildable));
        is("workspace create", None);
        for verb in ["checkout", "delete a", "inventory"] {
            is(&format!("workspace {verb}"), Some(What::Workspace));
        }
    }
}
