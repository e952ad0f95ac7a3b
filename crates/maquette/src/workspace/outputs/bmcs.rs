//! What is written of BMCs, in a directory of its own: where they are, with their credentials, the authority of their
//! certificates, and files for those who enrol bare metal.

use std::io;

use maquette_core::bare_metal::{self, Machine};
use maquette_core::blueprint::Node;
use maquette_engine::bmc::BmcSecrets;
use maquette_engine::private_file::write_private;
use serde_json::{Value, json};

use crate::workspace::Workspace;

/// Where all of it is.
const DIRECTORY: &str = "bmc";
/// Where each BMC is, and its account.
pub const BMCS: &str = "bmc/bmcs.json";
/// The certificate of the authority that signs those of BMCs.
const AUTHORITY: &str = "bmc/ca.pem";
/// Files of others.
const INSTACKENV: &str = "bmc/instackenv.json";
const BAREMETAL: &str = "bmc/baremetal.yaml";
const BIFROST: &str = "bmc/baremetal.json";
const IRONIC_NODES: &str = "bmc/ironic_nodes.json";
const HOSTS: &str = "bmc/bare_metal_hosts.yaml";

/// Writes it for those of an environment's nodes that have a BMC, or removes it where none has.
pub fn write(workspace: &Workspace, nodes: &[&Node], secrets: &BmcSecrets) -> io::Result<()> {
    let machines: Vec<Machine<'_>> =
        nodes.iter().filter_map(|node| machine(node, secrets)).collect();
    if machines.is_empty() {
        return remove(workspace);
    }
    let authority = secrets.authority().map_err(io::Error::other)?;
    private_directory(workspace)?;
    let own = json!({"schema": 1, "bmcs": machines.iter().map(value).collect::<Vec<_>>()});
    let files = [
        (AUTHORITY, authority),
        (BMCS, format!("{own:#}\n")),
        (INSTACKENV, bare_metal::instackenv(&machines)),
        (BAREMETAL, bare_metal::baremetal_yaml(&machines)),
        (BIFROST, bare_metal::bifrost(&machines)),
        (IRONIC_NODES, bare_metal::ironic_nodes(&machines)),
        (HOSTS, bare_metal::bare_metal_hosts(&machines)),
    ];
    files.iter().try_for_each(|(name, text)| write_private(&workspace.file(name), text.as_bytes()))
}

fn machine<'a>(node: &'a Node, secrets: &'a BmcSecrets) -> Option<Machine<'a>> {
    let bmc = node.bmc.as_ref()?;
    Some(Machine { node, bmc, user: secrets.user(), password: secrets.password(node.uuid) })
}

fn private_directory(workspace: &Workspace) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let path = workspace.file(DIRECTORY);
    match std::fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

fn value(machine: &Machine<'_>) -> Value {
    let Machine { node, bmc, user, password } = machine;
    json!({
        "node": node.name.as_str(),
        "system": node.uuid.to_string(),
        "address": bmc.address.to_string(),
        "redfish": bmc.redfish_url(),
        "ipmi_port": bmc.ipmi().map(|at| at.port()),
        "user": user,
        "password": password.reveal(),
    })
}

/// Removes all of it. What others have put into the directory stays.
pub fn remove(workspace: &Workspace) -> io::Result<()> {
    let files = [BMCS, AUTHORITY, INSTACKENV, BAREMETAL, BIFROST, IRONIC_NODES, HOSTS];
    super::delete(workspace, &files)?;
    // It may hold other things, or not be there.
    let _ = std::fs::remove_dir(workspace.file(DIRECTORY));
    Ok(())
}
