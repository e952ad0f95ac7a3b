//! InfraRed's workspaces: directories below `$IR_HOME/.workspaces`, one of them active.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use maquette_core::names::EnvName;
use maquette_core::values::HostAddress;
use maquette_engine::StepError;

use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::workspace::outputs;
use crate::world::Environment;

/// Name of the link to the active workspace.
const ACTIVE: &str = "active";

/// A user's workspaces.
#[derive(Debug, Clone)]
pub struct Workspaces {
    /// The base directory: `MAQUETTE_HOME`, `IR_HOME`, or InfraRed's own.
    pub home: PathBuf,
    /// A variable that names the workspace of this command alone, and what it says; empty means none.
    forced: Option<(&'static str, String)>,
}

fn error(message: impl Into<String>) -> Failure {
    Failure::Failed(StepError::new(message))
}

fn failed(message: String) -> impl FnOnce(io::Error) -> Failure {
    move |e| Failure::because(message, e)
}

/// A name that can be a directory's.
fn check(name: &str) -> Result<(), Failure> {
    let bad = name.is_empty()
        || name == ACTIVE
        || name.starts_with(['.', '-'])
        || name.contains('/')
        || name.chars().any(maquette_core::values::is_unprintable);
    if bad { Err(error(format!("`{name}` is not a valid workspace name"))) } else { Ok(()) }
}

impl Workspaces {
    /// Those of a user with these variables.
    pub fn of(environment: &Environment) -> Self {
        let named = ["MAQUETTE_HOME", "IR_HOME"].iter().find_map(|name| environment.raw(name));
        let named = named.filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = named.or_else(|| environment.home().map(|home| home.join(".infrared")));
        let variables = ["MAQUETTE_ACTIVE_WORKSPACE", "IR_WORKSPACE"];
        Self {
            home: home.map_or_else(|| PathBuf::from(".infrared"), |h| environment.absolute(h)),
            forced: variables.into_iter().find_map(|name| Some((name, environment.text(name)?))),
        }
    }

    fn directory(&self) -> PathBuf {
        self.home.join(super::NAMED)
    }

    /// A workspace that a variable names, and that does not exist: the variable, and the name.
    pub fn missing(&self) -> Option<(&str, &str)> {
        let (variable, name) = self.forced.as_ref()?;
        (!name.is_empty() && !self.exists(name)).then_some((variable, name.as_str()))
    }

    /// Name of the active workspace.
    pub fn active_name(&self) -> Option<String> {
        if let Some((_, name)) = self.forced.clone() {
            return Some(name).filter(|n| !n.is_empty() && self.exists(n));
        }
        let target = fs::read_link(self.directory().join(ACTIVE)).ok()?;
        let name = target.file_name()?.to_str()?.to_string();
        self.exists(&name).then_some(name)
    }

    /// The active workspace.
    pub fn active(&self) -> Option<Workspace> {
        self.active_name().map(|name| self.at(&name))
    }

    /// The workspace of an environment that words name: that which is called after it, or the active one where that alone is
    /// of it. What a run in the active one has printed leads back there. Without an address, any hypervisor is meant.
    pub fn of_environment(
        &self,
        user: &Environment,
        environment: &EnvName,
        address: Option<&HostAddress>,
    ) -> Workspace {
        let is_of = |workspace: &Workspace| {
            workspace.saved().is_some_and(|saved| {
                let is_there = address.is_none() || saved.host.address.as_ref() == address;
                is_there && saved.prefix.as_deref() == environment.prefix()
            })
        };
        let usual = Workspace::of(user, environment);
        match self.active() {
            Some(active) if !is_of(&usual) && is_of(&active) => active,
            _ => usual,
        }
    }

    /// The workspace of a name, or the active one.
    pub fn find(&self, name: Option<&str>) -> Result<Workspace, Failure> {
        match name {
            Some(name) if self.exists(name) => Ok(self.at(name)),
            Some(name) => Err(self.unknown(name)),
            None => self.active().ok_or_else(none_active),
        }
    }

    fn unknown(&self, name: &str) -> Failure {
        let mut error = StepError::new(format!("there is no workspace `{name}`"));
        let names = self.names();
        if let Some(like) =
            maquette_core::diagnostic::closest(name, names.iter().map(String::as_str))
        {
            error = error.hint(format!("did you mean `{like}`?"));
        }
        Failure::Failed(error)
    }

    fn at(&self, name: &str) -> Workspace {
        Workspace::at(&self.directory().join(name))
    }

    /// Whether there is a workspace of that name.
    pub fn exists(&self, name: &str) -> bool {
        check(name).is_ok() && self.directory().join(name).is_dir()
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
            .filter_map(|e| e.file_name().into_string().ok())
            // A directory that is being filled by an import is not a workspace yet.
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }

    /// A workspace that is yet to be made, under a name that nothing has, not even a link that leads nowhere.
    pub fn vacant(&self, name: &str) -> Result<Workspace, Failure> {
        check(name)?;
        let workspace = self.at(name);
        if workspace.path.symlink_metadata().is_ok() {
            return Err(Failure::Failed(
                StepError::new(format!("workspace `{name}` exists already"))
                    .hint("`--name` gives it another one"),
            ));
        }
        Ok(workspace)
    }

    /// Makes a workspace.
    pub fn create(&self, name: &str) -> Result<Workspace, Failure> {
        check(name)?;
        if self.exists(name) {
            return Err(error(format!("workspace `{name}` exists already")));
        }
        let workspace = self.at(name);
        workspace
            .create()
            .and_then(|()| fs::write(workspace.file(".registry"), ""))
            .map_err(failed(format!("cannot make workspace `{name}`")))?;
        Ok(workspace)
    }

    /// The variable that names the workspace of this command, whichever is active.
    pub fn forced_by(&self) -> Option<&'static str> {
        self.forced.as_ref().map(|(variable, _)| *variable)
    }

    /// Refuses to make another workspace the active one while a variable names it.
    pub fn may_activate(&self) -> Result<(), Failure> {
        match self.forced_by() {
            Some(variable) => Err(error(format!(
                "{variable} names the workspace; it cannot be changed while that is set"
            ))),
            None => Ok(()),
        }
    }

    /// Makes a workspace the active one.
    pub fn activate(&self, name: &str) -> Result<(), Failure> {
        self.may_activate()?;
        if !self.exists(name) {
            return Err(self.unknown(name));
        }
        let link = self.directory().join(ACTIVE);
        let target = self.directory().join(name).display().to_string();
        maquette_engine::private_file::relink(&target, &link)
            .map_err(failed(format!("cannot activate workspace `{name}`")))
    }

    /// Removes a workspace.
    pub fn delete(&self, name: &str) -> Result<(), Failure> {
        if !self.exists(name) {
            return Err(self.unknown(name));
        }
        let link = self.directory().join(ACTIVE);
        let was_active = fs::read_link(&link).is_ok_and(|t| t.file_name() == Some(name.as_ref()));
        let removed = fs::remove_dir_all(self.directory().join(name));
        removed.map_err(failed(format!("cannot remove workspace `{name}`")))?;
        if was_active {
            fs::remove_file(&link).map_err(failed("cannot remove the link to it".into()))?;
        }
        Ok(())
    }

    /// Empties a workspace.
    pub fn cleanup(&self, name: &str) -> Result<(), Failure> {
        if !self.exists(name) {
            return Err(self.unknown(name));
        }
        let path = self.directory().join(name);
        fs::remove_dir_all(&path)
            .and_then(|()| self.at(name).create())
            .and_then(|()| fs::write(path.join(".registry"), ""))
            .map_err(failed(format!("cannot empty workspace `{name}`")))
    }

    /// The active workspace; if there is none, a new one named after the time, activated.
    pub fn ensure(&self, now: &str) -> Result<(Workspace, Option<String>), Failure> {
        if let Some(workspace) = self.active() {
            return Ok((workspace, None));
        }
        if let Some((_, name)) = self.forced.clone().filter(|(_, name)| !name.is_empty()) {
            return Err(self.unknown(&name));
        }
        let name = format!("workspace_{now}");
        let workspace = self.create(&name)?;
        self.activate(&name)?;
        Ok((workspace, Some(name)))
    }
}

/// The error for a command that needs an active workspace.
pub fn none_active() -> Failure {
    Failure::Failed(
        StepError::new("there is no active workspace")
            .hint("make one with `maquette workspace checkout --create NAME`"),
    )
}

/// The path of a workspace's inventory, which is made if there is none.
pub fn inventory(workspace: &Workspace) -> Result<PathBuf, Failure> {
    outputs::write_local(workspace).map_err(|e| workspace.unwritten(e))?;
    Ok(workspace.file(outputs::INVENTORY))
}

/// Name of a workspace's directory.
pub fn name_of(workspace: &Workspace) -> &str {
    let name = Path::file_name(&workspace.path);
    name.and_then(|n| n.to_str()).unwrap_or_default()
}
