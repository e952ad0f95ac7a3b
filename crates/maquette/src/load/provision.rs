//! Extra variables that are settings: `-e provision.disk.bus=scsi` is `--disk-bus scsi`, and wins over it, as with InfraRed;
//! `-e net=N` is `--net_subnet N`.

use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::layers::{self, ExtraVar};
use maquette_core::settings::{Kind, SETTINGS, Setting};
use maquette_core::syntax::{Node, Value};

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
