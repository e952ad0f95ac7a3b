//! `maquette status`.

use maquette_core::observed::Observed;
use serde_json::json;

use crate::cli::Status;
use crate::failure::Failure;
use crate::render::Row;
use crate::workspace::Workspace;
use crate::{connection, load, outputs, pipeline, print, render};

/// Shows an environment. Exit code 1 if a node is not as `up` leaves it.
pub fn run(args: &Status) -> Result<u8, Failure> {
    let located = load::located(&args.place)?;
    let workspace = &located.workspace;
    let connection = connection::open(&located.host)?;
    let hypervisor = pipeline::running(&connection, &located.environment, &located.pool)?;
    let observed = hypervisor.observed();
    let rows = Row::all(&observed);
    if args.json {
        let networks: Vec<_> = observed
            .networks
            .values()
            .map(|n| json!({"name": n.name, "active": n.active}))
            .collect();
        let value = json!({
            "schema": 1,
            "environment": located.environment.to_string(),
            "nodes": rows.iter().map(Row::json).collect::<Vec<_>>(),
            "networks": networks,
            "workspace": workspace.path.display().to_string(),
        });
        print::result(&format!("{value:#}"));
    } else if rows.is_empty() && observed.networks.is_empty() {
        print::talk(&format!(
            "environment `{}` does not exist; `maquette up` builds it",
            located.environment
        ));
    } else {
        print::result(&text(&observed, workspace));
    }
    Ok(u8::from(!rows.iter().all(|r| r.good)))
}

/// The table of nodes, and how to reach them.
pub fn text(observed: &Observed, workspace: &Workspace) -> String {
    let rows = Row::all(observed);
    match (rows.is_empty(), observed.networks.is_empty()) {
        (true, true) => return "no nodes and no networks\n".into(),
        (true, false) => return format!("no nodes; networks: {}\n", names(observed)),
        (false, _) => {}
    }
    let mut out = render::nodes(&rows);
    let reachable = rows.iter().find(|r| r.user != "-" && r.address != "-");
    if let Some(row) = reachable {
        let config = workspace.file(outputs::SSH_CONFIG);
        out.push_str(&format!(
            "\nlog in:    maquette ssh {name}   or   ssh -F {config} {name}\ninventory: {inventory}\n",
            name = row.name,
            config = config.display(),
            inventory = workspace.file(outputs::INVENTORY).display(),
        ));
    }
    out
}

fn names(observed: &Observed) -> String {
    observed.networks.keys().cloned().collect::<Vec<_>>().join(", ")
}
