//! `maquette inventory`: Ansible's dynamic inventory, from what is on the hypervisor.

use maquette_core::blueprint::Node;
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use serde_json::json;

use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::session::Session;
use crate::workspace::identity::{self, Way};
use crate::workspace::outputs::{self, Scope};
use crate::world::World;

/// Arguments of `inventory`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// All groups and hosts (what Ansible asks for)
    #[arg(long, conflicts_with = "host")]
    pub list: bool,
    /// Nodes without an operating system, the hypervisor and localhost as well, as InfraRed has them
    #[arg(long)]
    pub everything: bool,
    /// Variables of one host
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

/// Nodes that a playbook would pass over, each with the reason. Those without an operating system are meant to be.
fn left_out(observed: &Observed, scope: Scope) -> Vec<(&str, String)> {
    let edited = observed.edited.iter().filter(|edited| edited.kind == ObjectKind::Domain);
    let edited = edited
        .map(|edited| (edited.name.as_str(), format!("{}; `maquette up` repairs it", edited.why)));
    let nodes = observed.domains.values().map(|domain| &domain.recorded);
    let nodes = nodes.filter(|node| node.deploy_os && !scope.has(node));
    let unknown = |node: &Node| {
        format!("its address is not known yet; `maquette doctor {}` says why", node.name)
    };
    edited.chain(nodes.map(|node| (node.name.as_str(), unknown(node)))).collect()
}

/// Answers `--list` and `--host NAME`.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let mut session = Session::at(world, &args.place)?;
    let observed = session.running()?.observed();
    let located = &session.located;
    let mut nodes: Vec<&Node> = observed.domains.values().map(|d| &d.recorded).collect();
    nodes.sort_by(|a, b| (&a.role, a.index).cmp(&(&b.role, b.index)));
    let way = identity::way(&observed, &located.workspace, &world.environment);
    let key = way.and_then(Way::shared);
    let remote = session.connection.remote.as_ref();
    let files = outputs::Files::new(&located.workspace, remote, key.as_deref())
        .map_err(|e| Failure::because("cannot name the workspace's files", e))?;
    let scope = match args.everything || located.workspace.is_named() {
        true => Scope::Everything,
        false => Scope::Nodes,
    };
    for (name, why) in left_out(&observed, scope) {
        // Ansible's users see what is said on standard error.
        world.terminal.talk_once(format!("warning: `{name}` is left out: {why}"));
    }
    let all = outputs::dynamic(&nodes, &files, scope);
    let answer = match &args.host {
        None => all,
        Some(name) => {
            let vars = &all["_meta"]["hostvars"][name];
            if vars.is_null() { json!({}) } else { vars.clone() }
        }
    };
    world.terminal.result(&format!("{answer:#}"));
    Ok(0)
}
