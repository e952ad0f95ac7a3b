//! `maquette workspace`.

use std::path::{Path, PathBuf};

use maquette_core::values::printable;
use maquette_engine::StepError;
use serde_json::json;

use crate::cli::{TableFormat, WorkspaceCommand};
use crate::failure::Failure;
use crate::infrared;
use crate::workspace::archive;
use crate::workspace::inventory::{Host, Inventory};
use crate::workspace::named;
use crate::{print, render};

/// Groups that say nothing of a node.
const UNSPOKEN: [&str; 3] = ["all", "local", "ungrouped"];

/// Most bytes of an archive that are downloaded.
const LARGEST_DOWNLOAD: u64 = 256 << 20;

/// Does what is asked with workspaces.
pub fn run(args: &WorkspaceCommand) -> Result<u8, Failure> {
    match args {
        WorkspaceCommand::Create { name } => {
            let name = name.clone().unwrap_or_else(|| format!("workspace_{}", infrared::now()));
            create(&name)?;
        }
        WorkspaceCommand::Checkout { name, create: first } => {
            if *first {
                create(name)?;
            }
            named::activate(name)?;
            print::result(&format!("Now using workspace: '{name}'"));
        }
        WorkspaceCommand::List { active } => list(*active)?,
        WorkspaceCommand::Delete { names } => {
            for name in names {
                named::delete(name)?;
                print::result(&format!("Workspace '{name}' deleted"));
            }
        }
        WorkspaceCommand::Cleanup { name } => named::cleanup(name)?,
        WorkspaceCommand::Export { name, filename, copy_keys } => {
            export(name.as_deref(), filename.as_deref(), *copy_keys)?;
        }
        WorkspaceCommand::Import { filename, name } => import(filename, name.as_deref())?,
        WorkspaceCommand::Inventory { name } => {
            let workspace = named::find(name.as_deref())?;
            print::result(&named::inventory(&workspace)?.display().to_string());
        }
        WorkspaceCommand::NodeList { name, group, format } => {
            nodes(name.as_deref(), group.as_deref(), *format)?;
        }
        WorkspaceCommand::GroupList { name } => groups(name.as_deref())?,
    }
    Ok(0)
}

fn create(name: &str) -> Result<(), Failure> {
    named::create(name)?;
    print::result(&format!("Workspace '{name}' has been added"));
    Ok(())
}

fn list(only_active: bool) -> Result<(), Failure> {
    let active = named::active_name();
    if only_active {
        print::result(&active.ok_or_else(named::none_active)?);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = named::names()
        .into_iter()
        .map(|name| {
            let mark = if active.as_ref() == Some(&name) { "*" } else { "" };
            vec![name, mark.to_string()]
        })
        .collect();
    print::result(&render::boxes(&["Name", "Active"], &rows));
    Ok(())
}

fn export(name: Option<&str>, file: Option<&Path>, copy_keys: bool) -> Result<(), Failure> {
    let workspace = named::find(name)?;
    let name = named::name_of(&workspace);
    let mut target = file.map_or_else(|| PathBuf::from(name), Path::to_path_buf).into_os_string();
    target.push(".tgz");
    let target = PathBuf::from(target);
    archive::export(&workspace, &target, copy_keys)?;
    print::result(&format!("Workspace {name} has been exported to {}", target.display()));
    Ok(())
}

fn import(from: &str, name: Option<&str>) -> Result<(), Failure> {
    let last = from.split(['?', '#']).next().unwrap_or_default().rsplit('/').next();
    let last = last.unwrap_or_default();
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    let name = name.unwrap_or(stem);
    let workspace = named::vacant(name)?;
    // Nothing is made before the archive is there.
    let downloads =
        tempfile::tempdir().map_err(|e| Failure::because("cannot keep a download", &e))?;
    let archive = if from.starts_with("http://") || from.starts_with("https://") {
        let target = downloads.path().join("archive.tgz");
        let mut file = std::fs::File::create(&target)
            .map_err(|e| Failure::because("cannot keep a download", &e))?;
        maquette_engine::download_to(from, &["https", "http"], LARGEST_DOWNLOAD, &mut file)?;
        target
    } else {
        PathBuf::from(from)
    };
    if !archive.is_file() {
        return Err(Failure::Failed(StepError::new(format!("there is no archive {from}"))));
    }
    for left_out in archive::import(&archive, &workspace)? {
        print::talk(&format!("left out: {}", printable(&left_out)));
    }
    named::activate(name)
}

fn read(name: Option<&str>) -> Result<Inventory, Failure> {
    let workspace = named::find(name)?;
    let path = named::inventory(&workspace)?;
    Inventory::read(&path)
        .map_err(|e| Failure::because(format!("cannot read inventory {}", path.display()), &e))
}

fn nodes(name: Option<&str>, group: Option<&str>, format: TableFormat) -> Result<(), Failure> {
    let inventory = read(name)?;
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
            print::result(&json!({"nodes": nodes}).to_string());
        }
        TableFormat::Fancy => {
            let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
            print::result(&render::boxes(&["Name", "Address", "Groups"], &rows));
        }
    }
    Ok(())
}

fn groups(name: Option<&str>) -> Result<(), Failure> {
    let inventory = read(name)?;
    let rows: Vec<Vec<String>> = inventory
        .groups()
        .into_iter()
        .map(|(group, hosts)| vec![group.to_string(), hosts.join(",")])
        .collect();
    print::result(&render::boxes(&["Name", "Nodes"], &rows));
    Ok(())
}
