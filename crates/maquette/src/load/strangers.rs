//! What is not taken since somebody else may have written it.

use std::path::Path;

use maquette_core::diagnostic::Diagnostic;

use crate::workspace::Workspace;
use crate::world::Environment;
use crate::world::owners::{self, Others};

/// Why a workspace cannot be used that others can write to.
pub(super) fn workspace(user: &Environment, workspace: &Workspace) -> Option<Diagnostic> {
    let (path, others) = workspace.open_to(user)?;
    let what = match path == workspace.path {
        true => format!("workspace {}", path.display()),
        false => path.display().to_string(),
    };
    let refused = match others {
        Others::Everybody => Diagnostic::error(
            "workspace::open",
            format!("everybody can write to {what}: its ssh config and key may be anybody's"),
        ),
        Others::Group => Diagnostic::error(
            "workspace::open",
            format!(
                "a group can write to {what}: anybody in it may choose what commands are run by"
            ),
        )
        .help(format!("`chmod g-w {}` leaves it to its owner", path.display())),
        Others::Owner => Diagnostic::error(
            "workspace::open",
            format!("{what} is another user's: its ssh config and key may be anything"),
        )
        .help("a copy that is yours can be used, if you trust that user"),
    };
    Some(refused.help("name a directory of your own with `--workspace DIR`"))
}

/// Why a project file is not taken without being named: somebody else has put it here.
pub(super) fn project(user: &Environment, path: &Path) -> Option<Diagnostic> {
    let is_theirs = owners::is_strangers(user, path);
    // Where nobody else can write, somebody else's file was brought by the user.
    let is_open = owners::who_else(user, Path::new(".")).is_some();
    let path = path.display();
    (is_theirs && is_open).then(|| {
        Diagnostic::error(
            "project::unreadable",
            format!("project file {path} was put here by another user, and is not taken by itself"),
        )
        .help(format!("`--project {path}` says that it is meant"))
    })
}
