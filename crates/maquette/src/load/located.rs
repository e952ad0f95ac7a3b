//! Which environment is meant, for commands that build nothing.

use std::path::PathBuf;

use maquette_core::blueprint::Pool;
use maquette_core::names::EnvName;
use maquette_core::settings::Settings;

use super::{Reader, extra, provision, strictness};
use crate::cli::{EnvironmentArgs, TopologyArgs};
use crate::failure::Failure;
use crate::host_args::HostArgs;
use crate::workspace::Workspace;
use crate::world::Environment;

/// Which environment, for commands that build nothing.
#[derive(Debug, Clone)]
pub struct Located {
    /// The environment's name.
    pub environment: EnvName,
    /// Pool of its volumes.
    pub pool: Pool,
    /// How the hypervisor is reached.
    pub host: HostArgs,
    /// The local directory.
    pub workspace: Workspace,
    /// The project file, by its absolute path, if there is one.
    pub project: Option<PathBuf>,
}

/// Reads what is needed to find an environment.
pub fn located(environment: &Environment, place: &EnvironmentArgs) -> Result<Located, Failure> {
    located_by(reader(environment, false), place)
}

/// What nobody reads in a project file is told by verbs that read all of it.
fn reader(environment: &Environment, strict: bool) -> Reader<'_> {
    Reader { diags: strictness(strict), ..Reader::new(environment) }
}

/// The same for a verb that takes extra variables, too: settings among them count as they do for `up`.
pub fn located_with(
    environment: &Environment,
    place: &EnvironmentArgs,
    extra: &[String],
) -> Result<Located, Failure> {
    located_as(reader(environment, false), place, extra)
}

fn located_as(
    mut reader: Reader<'_>,
    place: &EnvironmentArgs,
    extra: &[String],
) -> Result<Located, Failure> {
    let list: Vec<_> = extra.iter().filter_map(|text| extra::read(&mut reader, text)).collect();
    let mut place = place.clone();
    provision::settings(&mut reader, &list, &mut place.flags.0);
    located_by(reader, &place)
}

/// The same for a verb that takes all that is said of what is built.
pub fn located_of(environment: &Environment, wanted: &TopologyArgs) -> Result<Located, Failure> {
    let reader = reader(environment, wanted.strict);
    located_as(reader, &wanted.place, wanted.flags.0.texts("extra-vars"))
}

fn located_by(mut reader: Reader<'_>, place: &EnvironmentArgs) -> Result<Located, Failure> {
    let mut settings = Settings::default();
    let project = reader.project(place, &[], &mut settings);
    let (host, workspace) = reader.place(place, &place.flags.0, &project, &mut settings);
    if reader.diags.has_errors() {
        return Err(Failure::Input(reader.diags, reader.sources));
    }
    let pool = Pool { name: settings.pool_name, path: settings.pool_path };
    let project = project.file;
    Ok(Located { environment: settings.environment, pool, host, workspace, project })
}

/// The same for InfraRed's users, who have no project file.
pub fn located_leniently(
    environment: &Environment,
    place: &EnvironmentArgs,
) -> Result<Located, Failure> {
    located_by(Reader { lenient: true, ..Reader::new(environment) }, place)
}
