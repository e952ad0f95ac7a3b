//! `maquette workspace`.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use maquette_core::diagnostic::Diagnostic;
use maquette_core::names::EnvName;
use maquette_engine::StepError;
use maquette_engine::private_file::read_text;
use maquette_engine::ssh_keys::{KEY_FILE, KEY_LINK, SECRET_FILE};
use serde_json::json;

use crate::consent;
use crate::failure::Failure;
use crate::infrared;
use crate::render;
use crate::session::connection;
use crate::workspace::archive;
use crate::workspace::inventory::{Host, Inventory};
use crate::workspace::named::{self, Workspaces};
use crate::workspace::outputs;
use crate::workspace::{Owner, Workspace};
use crate::world::World;

/// What to do with workspaces.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Make a workspace
    Create {
        /// Its name [default: from the time]
        name: Option<String>,
    },
    /// Make a workspace the active one
    Checkout {
        /// Its name
        name: String,
        /// Make it first
        #[arg(short, long)]
        create: bool,
    },
    /// List workspaces
    List {
        /// Only the name of the active one
        #[arg(long)]
        active: bool,
    },
    /// Remove workspaces (not the environments)
    Delete {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
        /// Do not ask, whatever their keys open (or MAQUETTE_YES=1)
        #[arg(short, long)]
        yes: bool,
    },
    /// Empty a workspace
    Cleanup {
        /// Its name
        name: String,
        /// Do not ask, whatever its key opens (or MAQUETTE_YES=1)
        #[arg(short, long)]
        yes: bool,
    },
    /// Write a workspace into an archive
    Export {
        /// Its name [default: the active one]
        #[arg(short, long, value_name = "NAME")]
        name: Option<String>,
        /// Archive, without its ending [default: the name]
        #[arg(short, long, value_name = "FILE")]
        filename: Option<PathBuf>,
        /// Put keys from elsewhere into the archive too
        #[arg(short = 'K', long)]
        copy_keys: bool,
    },
    /// Make a workspace from an archive, and activate it
    Import {
        /// The archive: a file or a URL
        filename: String,
        /// Its name [default: the archive's]
        #[arg(short, long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Print the path of a workspace's inventory
    Inventory {
        /// Its name [default: the active one]
        name: Option<String>,
    },
    /// List nodes
    NodeList {
        /// Workspace [default: the active one]
        #[arg(short, long, value_name = "NAME")]
        name: Option<String>,
        /// Only this group
        #[arg(short, long, value_name = "GROUP")]
        group: Option<String>,
        /// Form
        #[arg(short, long, value_enum, default_value_t = TableFormat::Fancy)]
        format: TableFormat,
    },
    /// List groups
    GroupList {
        /// Workspace [default: the active one]
        #[arg(short, long, value_name = "NAME")]
        name: Option<String>,
    },
}

/// Forms of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TableFormat {
    /// Boxes
    Fancy,
    /// JSON
    Json,
}

/// Groups that say nothing of a node.
const UNSPOKEN: [&str; 3] = ["all", "local", "ungrouped"];

/// Most bytes of an archive that are downloaded.
const LARGEST_DOWNLOAD: u64 = 256 << 20;

/// Files of a workspace that nodes which are built in it are opened by.
const OPENING: [&str; 3] = [KEY_FILE, SECRET_FILE, KEY_LINK];

/// Does what is asked with workspaces.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    match args {
        Args::Create { name } => {
            let name =
                name.clone().unwrap_or_else(|| format!("workspace_{}", infrared::now(world)));
            create(world, &name)?;
        }
        Args::Checkout { name, create: first } => {
            if *first {
                Workspaces::of(&world.environment).may_activate()?;
                create(world, name)?;
            }
            Workspaces::of(&world.environment).activate(name)?;
            world.terminal.result(&format!("Now using workspace: '{name}'"));
        }
        Args::List { active } => list(world, *active)?,
        Args::Delete { names, yes } => {
            agree(world, names, *yes)?;
            for name in names {
                Workspaces::of(&world.environment).delete(name)?;
                world.terminal.result(&format!("Workspace '{name}' deleted"));
            }
        }
        Args::Cleanup { name, yes } => {
            agree(world, std::slice::from_ref(name), *yes)?;
            Workspaces::of(&world.environment).cleanup(name)?;
        }
        Args::Export { name, filename, copy_keys } => {
            export(world, name.as_deref(), filename.as_deref(), *copy_keys)?;
        }
        Args::Import { filename, name } => import(world, filename, name.as_deref())?,
        Args::Inventory { name } => {
            let workspace = Workspaces::of(&world.environment).find(name.as_deref())?;
            world.terminal.result(&named::inventory(&workspace)?.display().to_string());
        }
        Args::NodeList { name, group, format } => {
            nodes(world, name.as_deref(), group.as_deref(), *format)?;
        }
        Args::GroupList { name } => groups(world, name.as_deref())?,
    }
    Ok(0)
}

/// Asks before keys are removed that open nodes, as far as is noted here: nobody could log in to these any more, and `up`
/// would make them again.
fn agree(world: &World, names: &[String], yes: bool) -> Result<(), Failure> {
    let workspaces = Workspaces::of(&world.environment);
    let mut opened = Vec::new();
    for name in names {
        let workspace = workspaces.find(Some(name))?;
        let what = outputs::opened(&workspace, |owner| has_expired(world, &workspace, owner));
        let Some(what) = what else { continue };
        match copy_of(&workspaces, &workspace, names) {
            Some(other) => {
                let text = format!("the key to {what} stays in workspace `{other}`");
                world.terminal.talk(&text);
            }
            None => opened.push(format!("{what} (workspace `{name}`)")),
        }
    }
    if opened.is_empty() || yes || consent::yes_of_environment(&world.environment) {
        return Ok(());
    }
    let what = format!(
        "remove the key to {}; without it, or a copy of it, nobody logs in there any more, and `maquette up` makes all nodes again",
        opened.join(" and ")
    );
    let hints = [
        "`maquette down` removes an environment and then its key; `maquette workspace export` keeps a copy".into(),
        "say `--yes` (or MAQUETTE_YES=1) if that is what you want".into(),
    ];
    consent::question(world, "workspace::unconfirmed", &what, false, &hints)
}

/// Another workspace with the same key, besides those that go with it: one of both was imported.
fn copy_of(workspaces: &Workspaces, workspace: &Workspace, gone: &[String]) -> Option<String> {
    let key = |workspace: &Workspace| {
        let read = |name| read_text(&workspace.file(name)).ok();
        Some((read(KEY_FILE)?, read(SECRET_FILE)))
    };
    let own = key(workspace)?;
    let others = workspaces.names().into_iter().filter(|name| !gone.contains(name));
    others.into_iter().find(|name| {
        let other = workspaces.find(Some(name)).ok();
        other.and_then(|other| key(&other)).is_some_and(|key| key == own)
    })
}

/// Whether the time of an environment is up, by what is noted here, and its hypervisor has nothing of it any more. One that
/// does not answer may have it.
fn has_expired(world: &World, workspace: &Workspace, owner: &Owner) -> bool {
    let Some(saved) = workspace.saved() else { return false };
    let environment = match owner.prefix().map(EnvName::from_prefix) {
        Some(Ok(environment)) => environment,
        Some(Err(_)) => return false,
        None => EnvName::default(),
    };
    let now = (world.clock)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let expires = outputs::lifetime(workspace, &environment).and_then(|noted| noted.expires_s);
    if saved.owner.as_ref() != Some(owner) || expires.is_none_or(|at| at > now) {
        return false;
    }
    let gone = connection::open(world, &saved.host, workspace).ok().and_then(|connection| {
        let server = world.libvirt.open(&connection.uri).ok()?;
        Some(!server.survey().ok()?.may_have(&environment))
    });
    gone.unwrap_or(false)
}

fn create(world: &World, name: &str) -> Result<(), Failure> {
    Workspaces::of(&world.environment).create(name)?;
    world.terminal.result(&format!("Workspace '{name}' has been added"));
    Ok(())
}

fn list(world: &World, only_active: bool) -> Result<(), Failure> {
    let active = Workspaces::of(&world.environment).active_name();
    if only_active {
        world.terminal.result(&active.ok_or_else(named::none_active)?);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = Workspaces::of(&world.environment)
        .names()
        .into_iter()
        .map(|name| {
            let mark = if active.as_ref() == Some(&name) { "*" } else { "" };
            vec![name, mark.to_string()]
        })
        .collect();
    world.terminal.result(&render::boxes(&["Name", "Active"], &rows));
    if rows.is_empty() {
        world.terminal.talk("these are InfraRed's workspaces; `maquette list` shows environments");
    }
    Ok(())
}

fn export(
    world: &World,
    name: Option<&str>,
    file: Option<&Path>,
    copy_keys: bool,
) -> Result<(), Failure> {
    let workspace = Workspaces::of(&world.environment).find(name)?;
    let name = named::name_of(&workspace);
    let mut target = file.map_or_else(|| PathBuf::from(name), Path::to_path_buf).into_os_string();
    target.push(".tgz");
    let target = PathBuf::from(target);
    archive::export(&world.terminal, &workspace, &target, copy_keys)?;
    world.terminal.result(&format!("Workspace {name} has been exported to {}", target.display()));
    Ok(())
}

fn import(world: &World, from: &str, name: Option<&str>) -> Result<(), Failure> {
    let last = from.split(['?', '#']).next().unwrap_or_default().rsplit('/').next();
    let last = last.unwrap_or_default();
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    let name = name.unwrap_or(stem);
    let workspace = Workspaces::of(&world.environment).vacant(name)?;
    // Nothing is made before the archive is there.
    let downloads =
        tempfile::tempdir().map_err(|e| Failure::because("cannot keep a download", e))?;
    let archive = if from.starts_with("http://") || from.starts_with("https://") {
        let target = downloads.path().join("archive.tgz");
        let mut file = std::fs::File::create(&target)
            .map_err(|e| Failure::because("cannot keep a download", e))?;
        maquette_engine::download_to(from, &["https", "http"], LARGEST_DOWNLOAD, &mut file)?;
        target
    } else {
        PathBuf::from(from)
    };
    if !archive.is_file() {
        let message = format!("there is no archive {from}");
        return Err(Failure::input(Diagnostic::error("archive::unusable", message)));
    }
    for left_out in archive::import(&archive, &workspace)? {
        world.terminal.talk(&format!("left out: {left_out}"));
    }
    // New nodes get the key, and what follows from the secret: host keys, and passwords of BMCs and screens.
    if OPENING.iter().any(|file| workspace.file(file).exists()) {
        world.terminal.talk(&format!(
            "note: whoever has had this archive has the keys to nodes that are built in workspace `{name}`"
        ));
    }
    let workspaces = Workspaces::of(&world.environment);
    match workspaces.forced_by() {
        Some(variable) => {
            world.terminal.talk(&format!(
                "workspace `{name}` is there and not in use: {variable} names the one that is"
            ));
            Ok(())
        }
        None => workspaces.activate(name),
    }
}

fn read(world: &World, name: Option<&str>) -> Result<Inventory, Failure> {
    let workspace = Workspaces::of(&world.environment).find(name)?;
    let path = named::inventory(&workspace)?;
    Inventory::read(&path)
        .map_err(|e| Failure::because(format!("cannot read inventory {}", path.display()), e))
}

fn nodes(
    world: &World,
    name: Option<&str>,
    group: Option<&str>,
    format: TableFormat,
) -> Result<(), Failure> {
    let inventory = read(world, name)?;
    if let Some(group) = group
        && !inventory.groups().contains_key(group)
    {
        let known: Vec<&str> = inventory.groups().into_keys().collect();
        return Err(Failure::Failed(
            StepError::new(format!("there is no group `{group}`"))
                .hint(format!("there are: {}", known.join(", "))),
        ));
    }
    let named = |host: &&Host| group.is_none_or(|g| host.groups.iter().any(|h| h == g));
    let rows: Vec<[String; 3]> = inventory
        .hosts
        .iter()
        .filter(|h| !h.is_local())
        .filter(named)
        .map(|host| {
            let groups: Vec<&str> =
                host.groups.iter().map(String::as_str).filter(|g| !UNSPOKEN.contains(g)).collect();
            let address = host.var("ansible_host").unwrap_or_default();
            [host.name.clone(), address.into(), groups.join(",")]
        })
        .collect();
    match format {
        TableFormat::Json => {
            let nodes: Vec<_> = rows
                .iter()
                .map(|[name, address, groups]| {
                    json!({"name": name, "address": address, "groups": groups})
                })
                .collect();
            world.terminal.result(&json!({"nodes": nodes}).to_string());
        }
        TableFormat::Fancy => {
            let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
            world.terminal.result(&render::boxes(&["Name", "Address", "Groups"], &rows));
        }
    }
    Ok(())
}

fn groups(world: &World, name: Option<&str>) -> Result<(), Failure> {
    let inventory = read(world, name)?;
    let rows: Vec<Vec<String>> = inventory
        .groups()
        .into_iter()
        .map(|(group, hosts)| vec![group.to_string(), hosts.join(",")])
        .collect();
    world.terminal.result(&render::boxes(&["Name", "Nodes"], &rows));
    Ok(())
}
