//! `maquette status`.

use maquette_core::observed::Observed;
use maquette_engine::StepError;
use maquette_engine::host::facts;
use maquette_libvirt::Client;
use serde_json::json;

use crate::cli::Status;
use crate::failure::Failure;
use crate::pipeline::Hypervisor;
use crate::render::Row;
use crate::workspace::Workspace;
use crate::{load, outputs, pipeline, print, render};

/// Shows an environment. Exit code 1 if a node is not as `up` leaves it.
pub fn run(args: &Status) -> Result<u8, Failure> {
    let located = load::located(&args.place)?;
    let workspace = Workspace::locate(args.place.workspace.as_deref(), &located.environment);
    let hypervisor = connect()?;
    let observed = pipeline::look(&hypervisor, &located.environment, &located.pool_name)?;
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
        print::result(&text(&observed, &workspace));
    }
    Ok(u8::from(!rows.iter().all(|r| r.good)))
}

/// A connection for commands that need one and prepare nothing.
pub fn connect() -> Result<Hypervisor, Failure> {
    let facts = facts::gather(pipeline::host())
        .map_err(|e| Failure::because("cannot look at the hypervisor", &e))?;
    let client = Client::open(pipeline::URI).map_err(|e| {
        Failure::Failed(
            StepError::new(format!("cannot connect to libvirt at {}", pipeline::URI))
                .because(&e)
                .hint("`maquette up` installs and starts it"),
        )
    })?;
    Ok(Hypervisor { facts, preparation: Default::default(), client: Some(client) })
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
