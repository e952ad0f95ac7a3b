//! An environment that another project file has built: two folders whose projects have the same prefix, or none, are one
//! environment, and what one describes takes away what the other has built.

use std::path::{Path, PathBuf};

use maquette_core::names::EnvName;
use maquette_core::plan::{Op, Plan};

use crate::load::Located;
use crate::workspace::Workspace;
use crate::world::{Environment, World};

/// The project file that has built an environment, if it is there and another one than the project's in force. One that is
/// gone was moved, most likely.
fn builder(located: &Located) -> Option<PathBuf> {
    let here = located.project.as_ref()?;
    let saved = located.workspace.saved()?;
    let is_of = saved.is_of(&located.environment, &located.host);
    saved.project.filter(|file| is_of && file.is_absolute() && file != here && file.is_file())
}

/// Which project file has built the environment, if that is not the one in force.
pub fn line(user: &Environment, located: &Located) -> Option<String> {
    let (builder, here) = (builder(located)?, located.project.as_ref()?);
    let (name, builder, here) = (&located.environment, user.at_home(&builder), user.at_home(here));
    Some(format!("environment `{name}` was built from {builder}, and not from {here}"))
}

/// Warns before what is planned from another project file is done.
pub fn warn(world: &World, located: &Located, plan: &Plan) {
    let user = &world.environment;
    if plan.is_empty() {
        return;
    }
    let Some(line) = line(user, located) else { return };
    let folder = located.project.as_deref().and_then(Path::parent);
    let name = folder.and_then(|folder| free_name(user, folder));
    let name = name.map_or_else(|| "NAME".into(), |name| name.to_string());
    let removes = plan.changes.iter().any(|change| change.op == Op::Delete);
    let goes = if removes { "what is not in this one goes; " } else { "" };
    world.terminal.talk(&format!(
        "warning: {line}\n  {goes}for an environment of its own, write `prefix: {name}` into it"
    ));
}

/// A name for the environment of a folder: the folder's own, unless another project's environment is called so.
pub fn free_name(user: &Environment, folder: &Path) -> Option<EnvName> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = folder.file_name()?.to_str()?.chars().map(|c| if fits(c) { c } else { '-' });
    // With room for a number.
    let name: String = name.take(EnvName::LONGEST_PREFIX - 2).collect();
    let name = name.trim_matches(['-', '.', '_']).to_string();
    let numbered = (2..10).map(|number| format!("{name}-{number}"));
    let names: Vec<String> = std::iter::once(name.clone()).chain(numbered).collect();
    names.iter().filter_map(|name| EnvName::from_prefix(name).ok()).find(|name| {
        let saved = Workspace::of(user, name).saved();
        saved.is_none_or(|saved| saved.project.is_some_and(|file| file.parent() == Some(folder)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Saved;

    #[test]
    fn a_folder_names_its_environment() {
        let data = tempfile::tempdir().unwrap();
        let user = Environment::new([("XDG_DATA_HOME", data.path())], "/work");
        let name = |folder: &str| free_name(&user, Path::new(folder)).map(|name| name.to_string());
        assert_eq!(name("/home/ann/lab").as_deref(), Some("lab"));
        assert_eq!(name("/home/ann/my lab (2)/").as_deref(), Some("my-lab--2"));
        assert_eq!(name("/srv/default").as_deref(), Some("default-2"));
        assert_eq!(name("/srv/ö"), None);
        assert_eq!(name("/"), None);
        assert_eq!(name(&format!("/{}", "a".repeat(50))), Some("a".repeat(38)));
        // Another project has one of that name.
        let workspace = Workspace::of(&user, &EnvName::from_prefix("lab").unwrap());
        workspace.create().unwrap();
        let project = Some(PathBuf::from("/home/ann/lab/maquette.yaml"));
        workspace.save(&Saved { project, ..Saved::default() }).unwrap();
        assert_eq!(name("/home/ann/lab").as_deref(), Some("lab"));
        assert_eq!(name("/home/bob/lab").as_deref(), Some("lab-2"));
    }
}
