//! What there is of an environment, for people: the table of nodes, what is not as it should be, how they are reached.

use std::collections::BTreeMap;

use maquette_core::names::EnvName;
use maquette_core::node_state::{Evidence, NodeState};
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_core::values::NetworkName;

use crate::render::{self, Row};
use crate::session::lockout;
use crate::workspace::{Workspace, outputs};
use crate::world::Environment;

/// The table of nodes, what is not as it should be, and how to reach them. What is off while somebody else changes the
/// environment is theirs.
pub fn text(
    environment: &EnvName,
    (observed, changed_by): (&Observed, Option<&str>),
    evidence: &BTreeMap<String, Evidence>,
    (workspace, user): (&Workspace, &Environment),
) -> String {
    let rows = Row::all(observed, evidence);
    let drifts = plan::drifts(observed);
    let mut out = match (rows.is_empty(), observed.networks.is_empty()) {
        (true, true) => "no nodes and no networks\n".into(),
        (true, false) => format!("no nodes; networks: {}\n", names(observed)),
        (false, _) => render::nodes(&rows),
    };
    out.push_str(&render::reasons(&rows));
    if !drifts.is_empty() {
        out.push_str(&match changed_by {
            Some(who) => format!("\nbeing changed by {who}; by now:\n"),
            None => "\nnot as Maquette left it (`maquette up` repairs it):\n".into(),
        });
        for drift in &drifts {
            out.push_str(&format!("  {} {}: {}\n", drift.kind, drift.name, drift.what));
        }
    }
    // A way in that this workspace does not have counts as missing.
    if let Some(lockout) = lockout::of(observed, workspace, user) {
        out.push_str(&format!("\n{}\n", lockout.text(environment, workspace)));
        return out;
    }
    let has_login = |r: &&Row| r.user != "-" && r.address != "-";
    if !rows.iter().any(|r| has_login(&r)) {
        return out;
    }
    // Who follows this line gets in.
    let answers = |r: &&Row| matches!(r.state, NodeState::Ready | NodeState::Running);
    let login = rows.iter().filter(has_login).find(answers).map(|row| {
        let config = user.at_home(&workspace.file(outputs::SSH_CONFIG));
        let name = &row.name;
        format!("log in:    maquette ssh {name}\nor:        ssh -F {config} {name}\n")
    });
    let inventory = user.at_home(&workspace.file(outputs::INVENTORY));
    let login = login.unwrap_or_default();
    out.push_str(&format!("\n{login}inventory: {inventory}\n"));
    out
}

fn names(observed: &Observed) -> String {
    observed.networks.keys().map(NetworkName::as_str).collect::<Vec<_>>().join(", ")
}
