//! What is wrong, as `doctor` tells it.

use std::collections::BTreeSet;

use maquette_core::doctor::{Finding, Subject};
use serde_json::{Value, json};

/// What a finding is about, and its kind for JSON.
fn subject(subject: &Subject) -> (&'static str, Option<&str>, String) {
    match subject {
        Subject::Hypervisor => ("hypervisor", None, "the hypervisor".into()),
        Subject::Network(name) => ("network", Some(name), format!("network {name}")),
        Subject::Node(name) => ("node", Some(name), name.clone()),
    }
}

/// Nodes that nothing was found to be wrong with.
fn sound<'a>(all: &[Finding], nodes: &'a BTreeSet<String>) -> Vec<&'a str> {
    let about =
        |name: &str| all.iter().any(|f| matches!(&f.subject, Subject::Node(node) if node == name));
    nodes.iter().map(String::as_str).filter(|name| !about(name)).collect()
}

/// Findings, each with what shows it and what to do; then the nodes that nothing is wrong with.
pub fn findings(all: &[Finding], nodes: &BTreeSet<String>) -> String {
    let mut out = String::new();
    for finding in all {
        let (_, _, mut about) = subject(&finding.subject);
        if matches!(finding.subject, Subject::Node(_)) {
            about = format!("{about}, {}", finding.layer.as_str());
        }
        out.push_str(&format!("{about}: {}\n", finding.cause));
        finding.evidence.iter().for_each(|line| out.push_str(&format!("  seen: {line}\n")));
        finding.advice.iter().for_each(|line| out.push_str(&format!("  help: {line}\n")));
        out.push('\n');
    }
    let sound = sound(all, nodes);
    if !sound.is_empty() {
        out.push_str(&format!("nothing is wrong with {}\n", sound.join(", ")));
    } else if all.is_empty() {
        out.push_str("nothing is wrong with the hypervisor\n");
    }
    out
}

/// The same for programs.
pub fn findings_json(all: &[Finding], nodes: &BTreeSet<String>) -> Value {
    let finding = |finding: &Finding| {
        let (kind, name, _) = subject(&finding.subject);
        json!({
            "kind": kind,
            "name": name,
            "layer": finding.layer.as_str(),
            "code": finding.code,
            "cause": finding.cause,
            "evidence": finding.evidence,
            "advice": finding.advice,
        })
    };
    json!({
        "schema": 1,
        "findings": all.iter().map(finding).collect::<Vec<_>>(),
        "nodes": nodes,
        "sound": sound(all, nodes),
    })
}
