//! `-e KEY=VALUE`, `-e @FILE`, `-e KEY=@FILE`.

use maquette_core::diagnostic::Diagnostic;
use maquette_core::layers::{self, ExtraVar};
use maquette_core::scrub::is_secret_name;
use maquette_core::secret_keys;
use maquette_core::syntax::{Plain, Sources, Span, Tree, parse};

use super::Reader;
use crate::world::Environment;

/// What settings of a run are called among the texts that variables come from.
pub(super) const OPTIONS: &str = "options";

/// Extra variables that were read once, whatever they are put into: a file of them may be a pipe.
#[derive(Debug, Default)]
pub struct Extra {
    pub(super) sources: Sources,
    pub(super) list: Vec<ExtraVar>,
    /// Settings of the run, by their paths below `provision`.
    pub(super) known: Vec<String>,
}

impl Extra {
    /// Reads each `-e`; or all that is wrong with them.
    pub fn read(environment: &Environment, list: &[String]) -> Result<Self, Vec<String>> {
        let mut reader = Reader::new(environment);
        let list = list.iter().filter_map(|text| read(&mut reader, text)).collect();
        reader.said()?;
        Ok(Self { sources: reader.sources, list, known: Vec::new() })
    }

    /// These over the settings that options have made, which expressions see, too, except for what is secret in them; `known`
    /// are the paths of those that something reads.
    #[must_use]
    pub fn with_settings(mut self, options: &Plain, known: Vec<String>) -> Self {
        self.known = known;
        let id = self.sources.add(OPTIONS, "");
        let span = self.sources.whole(id);
        if let Some(settings) = secret_keys::for_strangers(options).at(&["provision"]) {
            let (path, value) = (vec!["provision".into()], settings.located(span));
            self.list.insert(0, ExtraVar { path, value, from_file: false, span });
        }
        self
    }

    /// A settings tree with these put into it from left to right; or all that cannot be.
    pub fn over(&self, environment: &Environment, tree: &Plain) -> Result<Plain, Vec<String>> {
        let mut reader = Reader { sources: self.sources.clone(), ..Reader::new(environment) };
        let id = reader.sources.add(OPTIONS, "");
        let mut root = tree.located(reader.sources.whole(id));
        layers::put(&mut root, &self.list, &mut reader.diags);
        reader.said()?;
        Ok(Plain::of(&root))
    }
}

/// Understands one `-e`.
pub fn read(reader: &mut Reader<'_>, text: &str) -> Option<ExtraVar> {
    let name = text.split('=').next().unwrap_or_default();
    // What follows may be a password.
    let is_secret = |key: &str| secret_keys::is_secret(key) || is_secret_name(key);
    let id = match name.split('.').any(is_secret) {
        true => reader.sources.add_secret("-e", text),
        false => reader.sources.add("-e", text),
    };
    let span = reader.sources.whole(id);
    if let Some(path) = text.strip_prefix('@') {
        let value = file(reader, path, span)?;
        return Some(ExtraVar { path: Vec::new(), value, from_file: true, span });
    }
    // Ansible takes it; here it would become a key with braces in it.
    if text.trim_start().starts_with(['{', '[']) {
        reader.diags.push(
            Diagnostic::error("extra::form", "this extra variable is JSON or YAML")
                .at(span, "")
                .help("put it into a file: `-e @file`, or `-e key=@file`"),
        );
        return None;
    }
    let Some((key, value)) = text.split_once('=') else {
        reader.diags.push(
            Diagnostic::error("extra::form", "this extra variable has no `=`")
                .at(span, "")
                .help("write `-e key=value` or `-e @file`"),
        );
        return None;
    };
    if key.is_empty() || key.split('.').any(str::is_empty) {
        reader.diags.push(
            Diagnostic::error("extra::key", "a part of the key is empty")
                .at(Span { end: key.len() as u32, ..span }, "")
                .help("write it like `override.controller.memory`"),
        );
        return None;
    }
    let path = key.split('.').map(String::from).collect();
    if let Some(name) = value.strip_prefix('@') {
        let value = file(reader, name, span)?;
        return Some(ExtraVar { path, value, from_file: true, span });
    }
    let start = span.start + key.len() as u32 + 1;
    let value = Tree::scalar(value, Span { start, ..span });
    Some(ExtraVar { path, value, from_file: false, span })
}

fn file(reader: &mut Reader<'_>, path: &str, span: Span) -> Option<Tree> {
    match crate::reading::text(path) {
        Ok(text) => {
            let id = match span.secret {
                true => reader.sources.add_secret(path, text),
                false => reader.sources.add(path, text),
            };
            parse(&reader.sources, id, &mut reader.diags)
        }
        Err(error) => {
            reader.diags.push(
                Diagnostic::error("extra::unreadable", format!("cannot read {path}: {error}"))
                    .at(span, ""),
            );
            None
        }
    }
}
