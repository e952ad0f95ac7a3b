//! Names of nodes, which are their host names, too.

use crate::defaults::{self, Kind};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::LONGEST_HOST_NAME;
use crate::topology::{Role, Topology};
use crate::values::NodeName;

/// Refuses a node type whose nodes would have names that no host can have, and warns of those that not all programs take.
pub(super) fn check(topology: &Topology, role: &Role, diags: &mut Diagnostics) {
    let Some(last) = role.count.checked_sub(1) else { return };
    let name = NodeName::of(&topology.settings.environment, &role.name.value, last);
    if name.len() > LONGEST_HOST_NAME {
        let message = format!("`{name}` is too long for a host name");
        let help = format!(
            "it has {} characters with prefix and number, and host names have at most {LONGEST_HOST_NAME}",
            name.len()
        );
        let error = Diagnostic::error("topology::host-name", message);
        diags.push(error.at(role.name.span, "").help(help));
    }
    // Whoever names a built-in node type has not chosen its name.
    if !role.deploy_os || defaults::names(Kind::Nodes).contains(&role.file.as_str()) {
        return;
    }
    let own = role.name.value.as_str();
    let what = match (own.contains('_'), own.contains('.')) {
        (true, _) => "a `_`, which host names cannot have",
        (_, true) => "a dot, behind which guests take it for a domain",
        _ if own.contains(|c: char| c.is_ascii_uppercase()) => {
            "capital letters, which host names do not tell from small ones"
        }
        _ => return,
    };
    let message = format!("nodes of type `{}` get a name with {what}: `{name}`", role.file);
    let better = own.to_ascii_lowercase().replace(['_', '.'], "-");
    let warning = Diagnostic::warning("topology::host-name", message).at(role.name.span, "");
    diags.push(warning.help(format!("`{better}` is a name that everything takes")));
}
