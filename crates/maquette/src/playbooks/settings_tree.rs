//! InfraRed's settings tree: what options and extra variables become for playbooks, and what
//! `--dry-run` prints.

use maquette_core::syntax::Plain;
use serde_json::Value as Json;

/// Applies `-e` values from left to right: `@FILE`, `key=@FILE`, `key=TEXT`. Text stays text.
pub fn extra(tree: &mut Plain, list: &[String]) -> Result<(), String> {
    for item in list {
        apply(tree, item).map_err(|why| format!("extra variable `{item}`: {why}"))?;
    }
    Ok(())
}

fn apply(tree: &mut Plain, item: &str) -> Result<(), String> {
    if let Some(path) = item.strip_prefix('@') {
        tree.merge(file(path)?);
        return Ok(());
    }
    let (key, value) =
        item.split_once('=').ok_or("neither `key=value` nor `@file`; there is no `=`")?;
    let path: Vec<&str> = key.split('.').collect();
    let place = tree.place(&path)?;
    match value.strip_prefix('@') {
        Some(name) => place.merge(file(name)?),
        None => *place = Plain::text(value),
    }
    Ok(())
}

fn file(path: &str) -> Result<Plain, String> {
    let text = crate::reading::text(path).map_err(|e| format!("cannot read {path}: {e}"))?;
    Plain::read(&text).map_err(|e| format!("{path}: {e}"))
}

/// The tree as JSON, for Ansible.
pub fn json(tree: &Plain) -> Json {
    match tree {
        Plain::Null => Json::Null,
        Plain::Bool(truth) => (*truth).into(),
        Plain::Int(number) => (*number).into(),
        Plain::Float(number) => (*number).into(),
        Plain::Text(text) => text.clone().into(),
        Plain::List(items) => items.iter().map(json).collect(),
        Plain::Map(map) => map.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}
