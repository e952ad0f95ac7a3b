//! `maquette complete-names`: the names that fit where a user of a shell is typing. Scripts of shells call it at each
//! press of Tab, so it reads files of the workspace and asks no hypervisor. Whatever goes wrong, it prints nothing.

use std::collections::BTreeSet;

use clap::{Arg, Args as _, Command, FromArgMatches};
use maquette_core::defaults::{self, Kind};
use maquette_core::examples::examples;
use maquette_core::explain;
use maquette_core::syntax::{Tree, Value};
use maquette_core::topology::{NodeRequest, Request};
use maquette_core::values::PublicKey;
use maquette_engine::image::build::BUILDABLE;
use maquette_engine::image::catalogue;
use maquette_engine::ssh_keys::fingerprint;

use super::ssh_routes::Routes;
use super::virsh;
use crate::cli::{EnvironmentArgs, TopologyArgs};
use crate::failure::Failure;
use crate::load;
use crate::workspace::named::Workspaces;
use crate::workspace::outputs;
use crate::world::World;

/// Arguments of `complete-names`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The words after `maquette`; the last one is being typed
    #[arg(last = true, allow_hyphen_values = true, value_name = "WORD")]
    pub words: Vec<String>,
}

/// The kind of name that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// Nodes, node types and groups.
    Nodes,
    /// A path on a node.
    Path,
    /// An interface of a node.
    Interface,
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
    /// Whose key opens nodes that were shared.
    Colleague,
    /// A built-in node type or network file.
    BuiltIn,
    /// An image that can be built.
    Buildable,
    /// A workspace of InfraRed's.
    Workspace,
    /// One of these words.
    Words(Vec<String>),
}

/// A word that is being typed.
#[derive(Debug, PartialEq, Eq)]
struct Typed<'a> {
    /// What fits there.
    what: What,
    /// The part of it that stays: a flag with `=`, and what is complete of a list.
    kept: &'a str,
    /// The rest, which is the beginning of a name.
    begun: &'a str,
}

/// Prints the names, a line each, with what is before them in the word.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let Some((word, before)) = args.words.split_last() else { return Ok(0) };
    let Some(typed) = typed(before, word) else { return Ok(0) };
    let names = names(world, &typed, before).into_iter();
    let names = names.filter(|name| name.starts_with(typed.begun));
    let words = names.map(|name| format!("{}{name}", typed.kept));
    words.filter(|word| is_harmless(word)).for_each(|word| world.terminal.result(&word));
    Ok(0)
}

/// Whether a word stays one, and means nothing else, where a shell's script splits words and inserts them.
fn is_harmless(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/,=@+".contains(c))
}

fn names(world: &World, typed: &Typed<'_>, before: &[String]) -> BTreeSet<String> {
    let named = |kind| defaults::names(kind).into_iter().map(String::from);
    let own = |kind| load::own_files(&world.environment, kind);
    match &typed.what {
        What::Nodes => nodes(world, typed.begun, before, true),
        What::Path => {
            let nodes = nodes(world, typed.begun, before, false).into_iter();
            nodes.map(|name| format!("{name}:")).collect()
        }
        What::Prefix => environments(world),
        What::Types => {
            let asked = requested(world, before).nodes.into_iter().map(|node| node.file);
            let all = named(Kind::Nodes).chain(own(Kind::Nodes)).chain(asked);
            all.map(|name| format!("{name}:")).collect()
        }
        What::Network => named(Kind::Network).chain(own(Kind::Network)).collect(),
        What::Example => examples().into_iter().map(|example| example.name.into()).collect(),
        What::Key => keys(),
        What::Colleague => colleagues(world, before),
        What::BuiltIn => named(Kind::Nodes).chain(named(Kind::Network)).collect(),
        What::Buildable => BUILDABLE.iter().map(|(name, _)| (*name).to_string()).collect(),
        What::Interface => interfaces(world, before),
        What::Workspace => Workspaces::of(&world.environment).names().into_iter().collect(),
        What::Image => catalogue::ENTRIES.iter().map(|entry| entry.name.to_string()).collect(),
        What::Words(words) => words.iter().cloned().collect(),
    }
}

/// Names of the nodes of the environment that a command line's words name, without its prefix.
pub fn of_nodes(world: &World, words: &[String]) -> Vec<String> {
    nodes(world, "", words, false).into_iter().collect()
}

/// Names of nodes; with `sets` those of node types and groups as well. Before they are built, those that are asked for.
fn nodes(world: &World, typed: &str, before: &[String], sets: bool) -> BTreeSet<String> {
    let place = place(before).unwrap_or_default();
    let built = Routes::read(world, &place).map(|routes| routes.words(typed, sets));
    let mut names = built.unwrap_or_default();
    if names.is_empty() {
        let asked = requested(world, before);
        for node in &asked.nodes {
            let own = own_name(&asked, node);
            names.extend(sets.then(|| own.to_string()));
            for index in 0..node.count {
                let name = format!("{own}-{index}");
                let whole = asked.settings.environment.qualify(&name);
                names.extend((!typed.is_empty()).then_some(whole));
                names.insert(name);
            }
        }
    }
    names
}

/// What the nodes of a type are called, before their number: that may be another name than its own.
fn own_name<'a>(asked: &'a Request, node: &'a NodeRequest) -> &'a str {
    let changed = asked.extra.at(&["override", &node.file, "name"]);
    match changed.or(node.tree.get("name")).map(|name| &name.value) {
        Some(Value::Scalar(name, _)) => name.trim(),
        _ => &node.file,
    }
}

/// What an interface of the node can be called that was typed before: by its network, or by its number.
fn interfaces(world: &World, before: &[String]) -> BTreeSet<String> {
    let asked = requested(world, before);
    let environment = &asked.settings.environment;
    let is_one = |node: &&NodeRequest| {
        let mut names = (0..node.count).map(|index| format!("{}-{index}", own_name(&asked, node)));
        names.any(|name| {
            before.iter().any(|word| *word == name || *word == environment.qualify(&name))
        })
    };
    let Some(node) = asked.nodes.iter().find(is_one) else { return BTreeSet::new() };
    let own = || node.tree.get("networks").or(node.tree.get("interfaces"));
    let of_file = |name: &str| asked.network.at(&["nodes", name, "interfaces"]);
    let list = own().or_else(|| of_file(&node.file)).or_else(|| of_file("default"));
    let network = |item: &Tree| match &item.get("network").unwrap_or(item).value {
        Value::Scalar(name, _) => Some(name.trim().to_string()),
        _ => None,
    };
    let items = match list.map(|list| &list.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    let numbered = (0..items.len()).map(|number| format!("eth{number}"));
    // Nodes that say nothing of networks are on the first one.
    let only = asked.networks.iter().flat_map(|networks| networks.entries().first());
    let only = only.map(|entry| entry.key.clone()).chain(["eth0".to_string()]);
    match items.is_empty() {
        true => only.collect(),
        false => items.iter().filter_map(network).chain(numbered).collect(),
    }
}

/// What the project file asks for, as far as that can be read.
fn requested(world: &World, before: &[String]) -> Request {
    let place = place(before).unwrap_or_default();
    load::described(&world.environment, &TopologyArgs { place, ..TopologyArgs::default() }).request
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

/// With whom the environment is shared, as far as is known here: by the names of their keys, and by fingerprints where a name
/// is not one key's.
fn colleagues(world: &World, before: &[String]) -> BTreeSet<String> {
    let place = place(before).unwrap_or_default();
    let Ok(located) = load::located(&world.environment, &place) else { return BTreeSet::new() };
    let keys = outputs::colleagues(&located.workspace);
    // What a key calls itself may look like an option, or like another key's fingerprint.
    let is_name =
        |name: &str| is_harmless(name) && !name.starts_with('-') && !name.starts_with("SHA256:");
    let is_one = |name: &str| keys.iter().filter(|key| key.comment() == Some(name)).count() == 1;
    let word = |key: &PublicKey| match key.comment() {
        Some(name) if is_one(name) && is_name(name) => Some(name.to_string()),
        _ => fingerprint(key),
    };
    keys.iter().filter_map(word).collect()
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
fn place(before: &[String]) -> Option<EnvironmentArgs> {
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
    let matches =
        EnvironmentArgs::augment_args(Command::new("maquette")).try_get_matches_from(words).ok()?;
    EnvironmentArgs::from_arg_matches(&matches).ok()
}

/// What is being typed behind other words, by the command line's definition; none where no names are known.
fn typed<'a>(before: &[String], word: &'a str) -> Option<Typed<'a>> {
    let whole = virsh::documented();
    let (mut command, mut positions, mut words) = (&whole, 0, before.iter());
    let mut flag = None;
    while let Some(word) = words.next() {
        if word == "--" {
            return None;
        } else if word.starts_with('-') {
            let option = option(command, word);
            // Its value is the next word, which may be the one that is being typed.
            if option.is_some() && !word.contains('=') && words.next().is_none() {
                flag = option;
            }
        } else if let Some(verb) = command.find_subcommand(word) {
            (command, positions) = (verb, 0);
        } else {
            positions += 1;
        }
    }
    let mut kept = 0;
    if let (None, Some((name, _))) = (flag, word.split_once('=').filter(|_| word.starts_with("--")))
    {
        (flag, kept) = (Some(option(command, name)?), name.len() + 1);
    }
    let (what, arg) = match flag {
        Some(arg) => (value(arg)?, arg),
        None => positional(command, positions)?,
    };
    // A user may stand before the node, as ssh has it.
    let takes_user = ["ssh", "forward", "exec"].contains(&command.get_name());
    if what == What::Path || (what == What::Nodes && flag.is_none() && takes_user) {
        kept = word.rfind('@').map_or(kept, |at| at + 1);
    }
    if what == What::Types || arg.get_value_delimiter().is_some() {
        kept = word.rfind(',').map_or(kept, |comma| kept.max(comma + 1));
    }
    let (kept, begun) = word.split_at(kept);
    Some(Typed { what, kept, begun })
}

/// What the value of a flag is.
fn value(flag: &Arg) -> Option<What> {
    match flag.get_long()? {
        "prefix" => Some(What::Prefix),
        "topology-nodes" => Some(What::Types),
        "topology-network" => Some(What::Network),
        "image-url" => Some(What::Image),
        // Only verbs about InfraRed's workspaces have it.
        "name" => Some(What::Workspace),
        _ => words(flag),
    }
}

/// The words that an argument is one of, where there are few.
fn words(arg: &Arg) -> Option<What> {
    let values = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
    let words: Vec<String> = values.map(|value| value.get_name().to_string()).collect();
    (!words.is_empty()).then_some(What::Words(words))
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

fn positional(command: &Command, at: usize) -> Option<(What, &Arg)> {
    let mut found = None;
    for (number, arg) in command.get_positionals().filter(|arg| !arg.is_last_set()).enumerate() {
        let many = matches!(arg.get_action(), clap::ArgAction::Append);
        if number == at || (many && number < at) {
            found = Some(arg);
        }
    }
    let found = found?;
    let name = found.get_value_names().and_then(|names| names.first());
    let what = match name.map_or(found.get_id().as_str(), |name| name.as_str()) {
        "NODE" | "NODES" | "node" => Some(What::Nodes),
        "SOURCE" | "DESTINATION" => Some(What::Path),
        "INTERFACE" => Some(What::Interface),
        "EXAMPLE" => Some(What::Example),
        "KEY" if found.get_id() == "key" => Some(What::Key),
        // Those of `share` are files.
        "KEY" if command.get_name() == "unshare" => Some(What::Colleague),
        "NAME" | "NAMES" => match command.get_name() {
            "show" => Some(What::BuiltIn),
            "build" => Some(What::Buildable),
            "checkout" | "delete" | "cleanup" | "inventory" => Some(What::Workspace),
            _ => None,
        },
        _ => words(found),
    };
    what.map(|what| (what, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_follows_from_the_command_lines_definition() {
        let is = |text: &str, expected: Option<What>| {
            let words: Vec<String> = text.split_whitespace().map(String::from).collect();
            assert_eq!(typed(&words, "").map(|typed| typed.what), expected, "{text}");
        };
        for verb in ["ssh", "console", "logs -f", "stop", "stop web-0", "up", "plan --json", "down"]
        {
            is(verb, Some(What::Nodes));
        }
        is("link down", Some(What::Nodes));
        is("link down web-0", Some(What::Interface));
        is("link limit --rate 1mbit web-0", Some(What::Interface));
        is("capture web-0", Some(What::Interface));
        is("link show --prefix lab", Some(What::Nodes));
        is("workspace export -n", Some(What::Workspace));
        is("workspace node-list --name", Some(What::Workspace));
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
        for line in ["unshare", "unshare --reachable", "unshare bob@laptop", "unshare --prefix lab"]
        {
            is(line, Some(What::Colleague));
        }
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
        is("virsh --topology-network", Some(What::Network));
        is("virsh --host-address a --topology-nodes", Some(What::Types));
        is("virsh plan --image-url", Some(What::Image));
        is("virsh", Some(What::Words(vec!["plan".into()])));
        is("", None);
        is("topology show", Some(What::BuiltIn));
        is("image build", Some(What::Buildable));
        is("workspace create", None);
        for verb in ["checkout", "delete a", "inventory"] {
            is(&format!("workspace {verb}"), Some(What::Workspace));
        }
    }

    #[test]
    fn what_is_complete_of_a_word_stays() {
        let is = |text: &str, word: &str, kept: &str, begun: &str| {
            let before: Vec<String> = text.split_whitespace().map(String::from).collect();
            let typed = typed(&before, word).unwrap();
            assert_eq!((typed.kept, typed.begun), (kept, begun), "{text} {word}");
        };
        is("up --topology-nodes", "controller:1,comp", "controller:1,", "comp");
        is("up", "--topology-nodes=web:1,a=b:2,c", "--topology-nodes=web:1,a=b:2,", "c");
        is("status", "--prefix=l", "--prefix=", "l");
        is("virsh", "--prefix=", "--prefix=", "");
        is("up", "--accept=lose-disks,", "--accept=lose-disks,", "");
        is("cp", "web", "", "web");
        is("ssh", "root@we", "root@", "we");
        is("cp notes.txt", "root@we", "root@", "we");
        is("stop", "root@we", "", "root@we");
        is("unshare", "bob@l", "", "bob@l");
        assert_eq!(typed(&["status".into()], "--no-such=l"), None);
    }
}
