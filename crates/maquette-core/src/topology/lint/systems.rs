//! Operating systems that node types name.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::hardware::OsVariant;
use crate::topology::{Role, Topology};

/// Refuses what is not of a family of libosinfo's, unless a hypervisor is asked for its database.
pub(super) fn check(topology: &Topology, role: &Role, diags: &mut Diagnostics) {
    let Some(variant) = role.variant.as_ref().filter(|_| !topology.systems_asked) else { return };
    if let Some(error) = unknown_system(&role.file, &variant.value, None) {
        diags.push(error.at(variant.span, ""));
    }
}

/// What is wrong with the operating system of a node type, called `of`; `database` has the names of a hypervisor's libosinfo,
/// if that has one.
pub fn unknown_system(
    of: &str,
    system: &OsVariant,
    database: Option<&BTreeSet<String>>,
) -> Option<Diagnostic> {
    if system.is_known(database) {
        return None;
    }
    let name = system.as_str();
    let error = Diagnostic::error(
        "topology::os-variant",
        format!(
            "`{name}`, the `os.variant` of node type `{of}`, is not an operating system that libosinfo knows"
        ),
    );
    let names = database.into_iter().flatten().map(String::as_str);
    let error = error.suggest(name, names);
    Some(error.help(
        "`osinfo-query os` lists the names; it decides only on the model of NICs without `model`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_has_is_taken_and_what_is_like_it_is_suggested() {
        let database = BTreeSet::from(["rhel9.4".to_string(), "neon5".to_string()]);
        let said = |name: &str, database: Option<&BTreeSet<String>>| {
            let system: OsVariant = name.parse().unwrap();
            unknown_system("web", &system, database).map(|error| (error.message, error.help))
        };
        assert_eq!(said("neon5", Some(&database)), None);
        let (message, help) = said("rehl9.4", Some(&database)).unwrap();
        assert!(message.contains("`rehl9.4`") && message.contains("node type `web`"), "{message}");
        assert_eq!(help[0], "did you mean `rhel9.4`?");
        // Families count, whatever the version: later ones come after the database.
        assert_eq!((said("rhel10.2", Some(&database)), said("rhel10.2", None)), (None, None));
        assert_eq!(said("neon5", None).unwrap().1.len(), 1);
    }
}
