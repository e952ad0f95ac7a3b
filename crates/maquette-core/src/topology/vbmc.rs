//! Variables of InfraRed's role `vbmc`, which makes BMCs where Maquette does not. Where it does, those that say how BMCs are to
//! be are refused: nobody would find out otherwise that they are another way.

use super::Topology;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::{Node, Value};

const ADDRESS: &str = "`bmc-network` says on which network they are";
const PORTS: &str = "they have free ports from 6230 on; with `bmc-network` each has an address of its own, and port 623";
const ACCOUNT: &str = "the account of each is in the workspace's `bmc/bmcs.json`; `bmc-credentials` chooses another one";
const HOST: &str = "they are served on the hypervisor alone";

/// The variables, and how what they say is said here.
const VARIABLES: [(&[&str], &str); 6] = [
    (&["vbmc_management_address"], ADDRESS),
    (&["vbmc_start_port"], PORTS),
    (&["vbmc_ports"], PORTS),
    (&["vbmc_host"], HOST),
    (&["install", "vbmc", "username"], ACCOUNT),
    (&["install", "vbmc", "password"], ACCOUNT),
];

/// Refuses those that extra variables have, if any node has a BMC.
pub(super) fn refuse(topology: &Topology, extra: &Node, diags: &mut Diagnostics) {
    let mut used = topology.roles.iter().filter(|role| role.count > 0);
    if !used.any(|role| topology.bmc_of(role).is_some()) {
        return;
    }
    for (path, help) in VARIABLES {
        let Some(found) = extra.at(path).filter(|node| !is_usual(path, node)) else { continue };
        let message = format!("`{}` does not say how Maquette's BMCs are", path.join("."));
        let off = "where `bmc` is `off` they are left to InfraRed's role `vbmc`, which reads it";
        diags.push(Diagnostic::error("bmc::vbmc", message).at(found.span, "").help(help).help(off));
    }
}

/// Whether it is what holds here, too.
fn is_usual(path: &[&str], node: &Node) -> bool {
    let Value::Scalar(text, _) = &node.value else { return false };
    text.is_empty() || (path == ["vbmc_host"] && text == "hypervisor")
}
