//! `maquette init`: a project file to begin with.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use maquette_core::diagnostic::{Diagnostic, closest};
use maquette_core::examples::{self, Example, examples};
use maquette_core::names::EnvName;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::load::PROJECT;
use crate::session::elsewhere;
use crate::workspace::Workspace;
use crate::world::{Environment, World};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to begin with; `--list` names all
    #[arg(value_name = "EXAMPLE", default_value = examples::FIRST, hide_default_value = true)]
    pub example: String,
    /// List the examples, and write nothing
    #[arg(long)]
    pub list: bool,
    /// Print as JSON: what is written, or with `--list` the examples
    #[arg(long)]
    pub json: bool,
}

/// What to do next, for `maquette` without a verb.
pub fn next_steps() -> String {
    let first = match Path::new(PROJECT).is_file() {
        true => format!(
            "{PROJECT} is here: `maquette plan` shows what would be built, `maquette up` builds it\n\
             `maquette status` shows what is there, `maquette ssh NODE` logs in, `maquette down` removes it"
        ),
        false => format!(
            "there is no {PROJECT} here: `maquette init` writes one, `maquette init --list` shows examples\n\
             then `maquette up` builds what it describes, and `maquette down` removes it"
        ),
    };
    format!("{first}\n`maquette --help` lists all that it can do")
}

/// Writes an example as the project file of this directory, or lists all.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let all = examples();
    if args.list {
        world.terminal.result(&if args.json { listed_json(&all) } else { listed(&all) });
        return Ok(0);
    }
    let Some(example) = all.iter().find(|e| e.name == args.example) else {
        return Err(Failure::input(unknown(&args.example, &all)));
    };
    let prefix = prefix(&world.environment);
    let text = prefix.as_ref().map(|(name, _)| prefixed(example.text, name));
    write(text.as_deref().unwrap_or(example.text))?;
    if args.json {
        let name = prefix.as_ref().map(|(name, _)| name.to_string());
        let value = json!({
            "schema": 1,
            "event": "project-written",
            "file": PROJECT,
            "example": example.name,
            "prefix": name,
        });
        world.terminal.result(&value.to_string());
        return Ok(0);
    }
    world.terminal.talk(&format!("{PROJECT} is written: {}", example.title));
    if let Some((name, other)) = prefix {
        let other = world.environment.at_home(&other);
        world.terminal.talk(&format!(
            "`prefix: {name}` makes an environment of its own of it, since {other} built `{}`",
            EnvName::DEFAULT
        ));
    }
    world.terminal.talk("`maquette plan` shows what would be built, and `maquette up` builds it");
    Ok(0)
}

fn listed(all: &[Example]) -> String {
    let width = all.iter().map(|e| e.name.len()).max().unwrap_or(0);
    let lines = all.iter().map(|e| format!("{:width$}  {}", e.name, e.title));
    lines.collect::<Vec<_>>().join("\n")
}

fn listed_json(all: &[Example]) -> String {
    let rows = all.iter().map(|e| json!({"name": e.name, "title": e.title}));
    format!("{:#}", Value::from_iter(rows))
}

fn unknown(name: &str, all: &[Example]) -> Diagnostic {
    let diagnostic = Diagnostic::error("init::unknown", format!("there is no example `{name}`"));
    match closest(name, all.iter().map(|e| e.name)) {
        Some(like) => diagnostic.help(format!("did you mean `{like}`?")),
        None => diagnostic.help("`maquette init --list` shows all"),
    }
}

/// The prefix that a project file needs here, and the project of another folder that has the environment without one.
fn prefix(user: &Environment) -> Option<(EnvName, PathBuf)> {
    let folder = user.absolute(".").canonicalize().ok()?;
    let project = Workspace::of(user, &EnvName::default()).saved()?.project?;
    let is_elsewhere = project.is_file() && project.parent() != Some(&folder);
    let name = elsewhere::free_name(user, &folder).filter(|_| is_elsewhere)?;
    Some((name, project))
}

/// An example with a prefix: in the place of the line that shows one, or above its image or nodes.
fn prefixed(text: &str, name: &EnvName) -> String {
    let shown = |line: &&str| line.starts_with("# prefix:");
    let first = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
    let line = text.lines().find(shown).or_else(|| text.lines().find(first)).unwrap_or_default();
    match line.starts_with('#') {
        true => text.replacen(line, &format!("prefix: {name}"), 1),
        false => text.replacen(line, &format!("prefix: {name}\n{line}"), 1),
    }
}

/// Writes the project file. A file that is there is never overwritten: it is somebody's work.
fn write(text: &str) -> Result<(), Failure> {
    let failed = |e| Failure::because(format!("cannot write {PROJECT}"), e);
    match OpenOptions::new().write(true).create_new(true).open(PROJECT) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(failed),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let message = format!("there is a {PROJECT} here already");
            Err(Failure::input(
                Diagnostic::error("init::exists", message)
                    .help("`maquette plan` shows what it describes; begin in another directory"),
            ))
        }
        Err(e) => Err(failed(e)),
    }
}
