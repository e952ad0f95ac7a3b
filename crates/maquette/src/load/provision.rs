//! Extra variables that are settings: `-e provision.disk.bus=scsi` is `--disk-bus scsi`, and wins over it, as with InfraRed;
//! `-e net=N` is `--net_subnet N`.

use maquette_core::diagnostic::{Diagnostic, Diagnostics, UNUSED_EXTRA, slip};
use maquette_core::layers::{self, ExtraVar};
use maquette_core::settings::{Kind, SETTINGS, Setting};
use maquette_core::syntax::{Node, Span, Value};
use maquette_core::topology::{Request, is_read};

use super::Reader;
use crate::cli::Given;

/// Where InfraRed has its settings.
const PROVISION: &str = "provision";

fn tree(list: &[ExtraVar]) -> Option<Node> {
    let mut vars = Node::empty_map(list.first()?.span);
    // What is wrong with them is said elsewhere.
    layers::put(&mut vars, list, &mut Diagnostics::default());
    Some(vars)
}

/// Takes settings from extra variables, for verbs that have no other tree of settings. What is no setting has no effect
/// there, unless a playbook or an expression reads it.
pub fn settings(reader: &mut Reader<'_>, list: &[ExtraVar], given: &mut Given) {
    let Some(vars) = tree(list) else { return };
    let Some(provision) = vars.get(PROVISION) else { return };
    for row in SETTINGS.iter().filter(|row| row.infrared.is_some()) {
        let path: Vec<&str> = row.name.split('-').collect();
        let Some(node) = provision.at(&path).filter(|node| node.value != Value::Null) else {
            continue;
        };
        let told = format!("`{PROVISION}.{}`", path.join("."));
        if let Value::List(hosts) = &node.value
            && row.kind == Kind::Address
            && hosts.len() > 1
        {
            let message = format!("several hypervisors ({told}) are not supported yet");
            reader.diags.push(Diagnostic::error("feature::later", message).at(node.span, ""));
            continue;
        }
        match text(row, node) {
            Some(text) => given.set_as(row.name, vec![text], told),
            None => {
                let message = format!("{told} is not a value that a setting can have");
                reader.diags.push(Diagnostic::error("extra::setting", message).at(node.span, ""));
            }
        }
    }
}

/// A setting's value as its flag has it.
fn text(row: &Setting, node: &Node) -> Option<String> {
    let scalar = |node: &Node| match &node.value {
        Value::Scalar(text, _) => Some(text.clone()),
        _ => None,
    };
    match &node.value {
        Value::List(list) if row.kind == Kind::Address => list.first().and_then(scalar),
        Value::Map(types) if row.kind == Kind::Nodes => {
            let counted =
                |e: &maquette_core::syntax::Entry| Some(format!("{}:{}", e.key, scalar(&e.value)?));
            let all: Option<Vec<String>> = types.iter().map(counted).collect();
            all.map(|all| all.join(","))
        }
        _ => scalar(node),
    }
}

/// `net` and `data_net` are what `--net_subnet` and `--data_subnet` say, so that no other number is chosen beside them.
pub fn subnets(list: &[ExtraVar], given: &mut Given) {
    let Some(vars) = tree(list) else { return };
    for (variable, name) in [("net", "net_subnet"), ("data_net", "data_subnet")] {
        if let Some(Value::Scalar(text, _)) = vars.get(variable).map(|node| &node.value)
            && text.parse::<u8>().is_ok()
        {
            given.set_as(name, vec![text.clone()], format!("`{variable}`"));
        }
    }
}

/// The user's password, which has no option: InfraRed has it in the tree alone.
const PASSWORD: &str = "topology.password";

/// Says which extra variables below `provision` nobody reads: none of `known`, which are all settings where that is not
/// given, and of no expression and no playbook.
pub fn idle(
    reader: &mut Reader<'_>,
    list: &[ExtraVar],
    known: Option<&[String]>,
    request: &Request,
) {
    if is_read(request, PROVISION) {
        return;
    }
    let settings = || {
        let rows = SETTINGS.iter().filter(|row| row.infrared.is_some());
        rows.map(|row| row.name.replace('-', ".")).collect::<Vec<_>>()
    };
    let mut known = known.map_or_else(settings, <[String]>::to_vec);
    known.push(PASSWORD.into());
    let mut found = Vec::new();
    // All settings of the run stand behind what somebody gave.
    for var in
        list.iter().filter(|var| reader.sources.get(var.span.source).name != super::extra::OPTIONS)
    {
        match var.path.split_first() {
            Some((first, rest)) if first == PROVISION => {
                leaves(rest.join("."), &var.value, var.span, &known, &mut found);
            }
            None => {
                if let Some(value) = var.value.get(PROVISION) {
                    leaves(String::new(), value, value.span, &known, &mut found);
                }
            }
            Some(_) => {}
        }
    }
    for (path, span) in found {
        let whole = if path.is_empty() { PROVISION.into() } else { format!("{PROVISION}.{path}") };
        let message = format!("`{whole}` is not a setting, and has no effect");
        let diagnostic = Diagnostic::warning(UNUSED_EXTRA, message).at(span, "");
        let meant = slip(&path, known.iter().map(String::as_str));
        reader.diags.push(match meant {
            Some(meant) => diagnostic.help(format!("did you mean `{PROVISION}.{meant}`?")),
            None => diagnostic,
        });
    }
}

/// Paths of values that are neither settings nor part of one.
fn leaves(
    path: String,
    node: &Node,
    span: Span,
    known: &[String],
    found: &mut Vec<(String, Span)>,
) {
    if known.contains(&path) {
        return;
    }
    let above = path.is_empty()
        || known.iter().any(|k| k.strip_prefix(&path).is_some_and(|r| r.starts_with('.')));
    match &node.value {
        Value::Map(entries) if above => {
            for entry in entries {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(
                    format!("{path}{dot}{}", entry.key),
                    &entry.value,
                    entry.key_span,
                    known,
                    found,
                );
            }
        }
        _ => found.push((path, span)),
    }
}
