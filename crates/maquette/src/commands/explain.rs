//! `maquette explain`: what a setting or key means and how it is written.

use clap::{Arg, Command, CommandFactory};
use maquette_core::decode::quoted_list;
use maquette_core::diagnostic::Diagnostic;
use maquette_core::explain::{self, Topic};
use serde_json::{Value, json};

use crate::commands::Cli;
use crate::failure::Failure;
use crate::world::World;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A key, a flag or a variable: `memory`, `nodes.web.disks`, `networks.forward`, `--prefix` [default: list all]
    #[arg(value_name = "KEY", allow_hyphen_values = true)]
    pub key: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Explains a key, or lists all.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let topics = match &args.key {
        Some(key) => explain::find(key).map_err(|instead| unknown(key, instead))?,
        None => explain::topics(),
    };
    let text = match (args.json, &args.key) {
        (true, _) => format!("{:#}", Value::from_iter(topics.iter().map(as_json))),
        (false, None) => list(&topics),
        (false, Some(_)) => topics.iter().map(explained).collect::<Vec<_>>().join("\n\n"),
    };
    world.terminal.result(&text);
    Ok(0)
}

fn unknown(key: &str, instead: Option<String>) -> Failure {
    let instead = of_verbs(key).or(instead);
    let diagnostic = Diagnostic::error("explain::unknown", format!("there is no key `{key}`"));
    Failure::input(
        diagnostic.help(instead.unwrap_or_else(|| "`maquette explain` lists all".into())),
    )
}

/// Which verbs have a flag or a variable that is no setting, and what it means.
fn of_verbs(word: &str) -> Option<String> {
    let mut verbs: Vec<String> = Vec::new();
    let mut meaning = None;
    let is_it = |arg: &&Arg| {
        let long = arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
        let short = || arg.get_short().is_some_and(|short| word == format!("-{short}"));
        let variable = || arg.get_env().is_some_and(|variable| variable == word);
        !arg.is_hide_set() && (long || short() || variable())
    };
    let mut whole = Cli::command();
    whole.build();
    let mut all: Vec<(String, &Command)> = vec![(String::new(), &whole)];
    while let Some((name, command)) = all.pop() {
        if let Some(arg) = command.get_arguments().find(is_it) {
            meaning = arg.get_help().map(|help| first_line(&help.to_string()));
            verbs.push(name.clone());
        }
        let of = |inner: &Command| format!("{name} {}", inner.get_name()).trim_start().to_string();
        all.extend(
            command.get_subcommands().filter(|c| !c.is_hide_set()).map(|inner| (of(inner), inner)),
        );
    }
    verbs.sort();
    // What all have (`--help`) is no verb's.
    let first = verbs.first().filter(|name| !name.is_empty())?;
    let meaning = meaning.map_or(String::new(), |said| format!(": {said}"));
    let kind = if word.starts_with('-') { "a flag" } else { "a variable" };
    Some(format!(
        "`{word}` is {kind} of {}{meaning}; `maquette {first} --help` has more",
        quoted_list(&verbs)
    ))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_string()
}

/// All settings and keys that have an effect, a line each, under the mapping that they are written in.
fn list(topics: &[Topic]) -> String {
    let shown: Vec<&Topic> = topics.iter().filter(|t| t.has_effect).collect();
    let name = |topic: &Topic| match topic.path.strip_prefix(&topic.group) {
        Some(rest) => rest.trim_start_matches('.').to_string(),
        None => topic.path.clone(),
    };
    let mut lines = Vec::new();
    let mut groups: Vec<&str> = Vec::new();
    for topic in &shown {
        // A row such as `nodes.NAME` would say less than the group of the keys below it.
        if groups.contains(&topic.group.as_str()) || topic.path.ends_with(".NAME") {
            continue;
        }
        groups.push(&topic.group);
        let own: Vec<&&Topic> = shown.iter().filter(|t| t.group == topic.group).collect();
        let width = own.iter().map(|t| name(t).len()).max().unwrap_or(0);
        lines.push(format!("{}{}", if lines.is_empty() { "" } else { "\n" }, topic.group));
        lines.extend(own.iter().map(|t| format!("  {:width$}  {}", name(t), t.doc)));
    }
    lines.push("\n`maquette explain KEY` says how one is written, and where".into());
    lines.join("\n")
}

/// All about a topic.
fn explained(topic: &Topic) -> String {
    let mut lines = vec![topic.path.clone(), format!("  {}", topic.doc)];
    let mut line =
        |name: &str, text: &str| lines.push(format!("  {:10}{text}", format!("{name}:")));
    line("type", &topic.kind);
    if let Some(default) = &topic.default {
        line("default", default);
    }
    if topic.required {
        line("required", "yes");
    }
    if let Some(change) = topic.change() {
        line("change", change);
    }
    if !topic.keys.is_empty() {
        line("keys", &topic.keys.join(", "));
    }
    line("example", &topic.example);
    line("written", &topic.places.join(", "));
    lines.join("\n")
}

fn as_json(topic: &Topic) -> Value {
    json!({
        "key": topic.path,
        "group": topic.group,
        "meaning": topic.doc,
        "type": topic.kind,
        "default": topic.default,
        "required": topic.required,
        "change": topic.change(),
        "keys": topic.keys,
        "example": topic.example,
        "written": topic.places,
        "has_effect": topic.has_effect,
    })
}
