//! What is said of an interface that only another kind of interface has.

use crate::diagnostic::{Diagnostic, Diagnostics, WITHOUT_EFFECT};
use crate::topology::{Interface, Role, Topology};

/// Reports a hub where no bridge is made for the interface, and a portgroup where there is none.
pub(super) fn check(
    topology: &Topology,
    role: &Role,
    interface: &Interface,
    diags: &mut Diagnostics,
) {
    let name = &interface.network;
    let is_link = interface.connect_to.is_some();
    let network = topology.network(&name.value).filter(|_| !is_link);
    let mut without_effect = |key: &str, span, why: &str, help: &str| {
        let message = format!("`{key}` of node type `{}` has no effect: {why}", role.file);
        diags.push(Diagnostic::warning(WITHOUT_EFFECT, message).at(span, "").help(help));
    };
    if interface.hub && network.is_some() {
        let why = format!("`{}` is a network", name.value);
        let help = "a hub is the bridge of a link (`connect_to`), or one that is made for nodes (`bridged: yes`)";
        without_effect("hub", name.span, &why, help);
    }
    let made = is_link || (interface.bridged && network.is_none());
    if let Some(group) = interface.portgroup.as_ref().filter(|_| made) {
        let why = match is_link {
            true => "a link between nodes has no portgroups".into(),
            false => format!("bridge `{}` of the hypervisor has none", name.value),
        };
        without_effect(
            "portgroup",
            group.span,
            &why,
            "portgroups are those that a network has (`portgroups`)",
        );
    }
}
