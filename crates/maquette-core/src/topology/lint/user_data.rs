//! What `user_data` says of accounts and settings that others decide.

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::topology::{Role, Topology};

/// Reports what a node type's own cloud-config says otherwise than its keys and the environment's settings.
pub(super) fn check(topology: &Topology, role: &Role, diags: &mut Diagnostics) {
    let Some(text) = &role.first_boot.user_data else { return };
    let Ok(Value::Object(said)) = serde_json::from_str(text.reveal()) else { return };
    let mut refuse = |what: String, help: String| {
        let message = format!("`user_data` of node type `{}` {what}", role.file);
        diags.push(Diagnostic::error("topology::user-data", message).at(role.span, "").help(help));
    };
    let login = role.ssh_user.as_ref().unwrap_or(&topology.settings.username).as_str();
    for user in said.get("users").and_then(Value::as_array).into_iter().flatten() {
        let name = user.as_str().or_else(|| user.get("name").and_then(Value::as_str));
        let names = name.into_iter().flat_map(|name| name.split(',')).map(str::trim);
        for name in names.filter(|name| *name == login || *name == "root") {
            let help =
                "name other accounts; `--topology-username` says what the login user is called";
            refuse(format!("has the account `{name}`, which Maquette makes"), help.into());
        }
    }
    let ours = [
        ("timezone", topology.settings.timezone.is_some(), "the environment's `timezone`"),
        ("swap", role.swap_mib > 0, "the node type's `swap`"),
    ];
    for (key, _, also) in ours.iter().filter(|(key, is_set, _)| *is_set && said.contains_key(*key))
    {
        let help = format!("leave one of them out: {also} does the same");
        refuse(format!("has `{key}`, and so has {also}"), help);
    }
}
