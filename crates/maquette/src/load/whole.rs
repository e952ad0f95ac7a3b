//! Playbooks in the place of a whole run: `maquette virsh` alone has them.

use maquette_core::diagnostic::{Diagnostic, Diagnostics, UNUSED_EXTRA};
use maquette_core::syntax::Value;
use maquette_core::topology::Request;

/// Their variables, what InfraRed's own playbook is called, and what runs them.
const WHOLE: [(&str, &str, &str); 2] = [
    (
        "provision_playbook",
        "provision.yml",
        "`maquette virsh -e provision_playbook=FILE` runs it in the place of all stages",
    ),
    (
        "provision_cleanup",
        "cleanup.yml",
        "`maquette virsh --kill yes -e provision_cleanup=FILE` runs it in the place of a removal",
    ),
];

/// Says so of those that other verbs are given.
pub fn without_effect(request: &Request, diags: &mut Diagnostics) {
    for (variable, own, help) in WHOLE {
        let entry = request.extra.entries().iter().find(|entry| entry.key == variable);
        let Some(entry) = entry else { continue };
        // InfraRed's own stands for what is done anyway.
        if matches!(&entry.value.value, Value::Scalar(path, _) if path == own || path.is_empty()) {
            continue;
        }
        let message = format!("`{variable}` has no effect but with `maquette virsh`");
        let diagnostic = Diagnostic::warning(UNUSED_EXTRA, message).at(entry.key_span, "");
        diags.push(diagnostic.help(help));
    }
}
