//! What fuzz targets and their corpus reach of the program. Not an interface for anybody else.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use clap::Parser;
use maquette_core::blueprint::{Blueprint, Node};
use maquette_core::convert;
use maquette_core::diagnostic::Diagnostics;
use maquette_core::plan::Plan;
use maquette_core::syntax::{Sources, written};
use maquette_core::topology::Request;
use maquette_core::values::{KnownHost, PlainPath, SshCommand, SshPath, SshWord};
use maquette_engine::host::ssh::{Effective, Target};

use crate::cli::TopologyArgs;
use crate::commands::Cli;
use crate::commands::Command;
use crate::host_args::Remote;
use crate::infrared::answers;
use crate::render::graph;
use crate::workspace::Workspace;
use crate::workspace::archive;
use crate::workspace::inventory::Inventory;
use crate::workspace::outputs::{self, Files, merge};
use crate::world::Environment;
use crate::{load, render};

/// A directory in which topologies are read as the command line reads them.
#[derive(Debug)]
pub struct Ground {
    directory: PathBuf,
    /// With flags for the node and the network file.
    wanted: TopologyArgs,
    /// With the project file alone.
    described: TopologyArgs,
    /// With a layout.
    laid_out: TopologyArgs,
}

/// What was read: a request, with what is to be said about it so far.
pub type Read = (Request, Diagnostics, Sources);

impl Ground {
    /// Takes an empty directory.
    ///
    /// # Errors
    ///
    /// The flags that this is made of have changed.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let file = |name: &str| directory.join(name).display().to_string();
        let project = ["maquette", "plan", "--project", &file("maquette.yaml")].map(String::from);
        let nodes = ["--topology-nodes".into(), format!("{}:2", file("node.yml"))];
        let network = ["--topology-network".into(), file("network.yml")];
        let described = planned(project.clone())?;
        let layout = ["--layout".into(), file("layout.yml")];
        let laid_out = planned(project.clone().into_iter().chain(layout))?;
        let wanted = planned(project.into_iter().chain(nodes).chain(network))?;
        Ok(Self { directory: directory.into(), wanted, described, laid_out })
    }

    /// Reads a project file, a node file, a network file or a layout, and extra variables; without a node file and a layout,
    /// what the project file describes. What is wrong with them is the error, as it is printed.
    ///
    /// # Errors
    ///
    /// What a user would be told.
    pub fn read(
        &mut self,
        project: &str,
        node: &str,
        (network, layout): (&str, &str),
        extra: &[&str],
    ) -> Result<Read, String> {
        for (name, text) in [
            ("maquette.yaml", project),
            ("node.yml", node),
            ("network.yml", network),
            ("layout.yml", layout),
        ] {
            std::fs::write(self.directory.join(name), text).map_err(|e| e.to_string())?;
        }
        // Files are what other texts here are for.
        let values = extra.iter().filter(|text| !text.contains('@'));
        let values = values.map(|text| (*text).to_string()).collect();
        let wanted = match (node.is_empty(), layout.is_empty()) {
            (true, true) => &mut self.described,
            (true, false) => &mut self.laid_out,
            (false, _) => &mut self.wanted,
        };
        wanted.flags.0.set("extra-vars", values);
        let loaded = load::wanted(&Environment::of_process(), wanted);
        Ok((loaded.request, loaded.diags, loaded.sources))
    }

    /// Writes a request as files of our own, as `topology convert` does, and reads these; they come along.
    ///
    /// # Errors
    ///
    /// What a user would be told.
    pub fn converted(&mut self, request: &Request) -> Result<(Read, Vec<String>), String> {
        let (given, mut diags) = Default::default();
        let files = convert::of_request(request, &given, &mut diags);
        let mut texts = vec![written(&files.project)];
        if let Some((name, tree)) = &files.network {
            let place = self.directory.join("topology/network");
            std::fs::create_dir_all(&place).map_err(|e| e.to_string())?;
            texts.push(written(tree));
            std::fs::write(place.join(format!("{name}.yml")), written(tree))
                .map_err(|e| e.to_string())?;
        }
        let read = self.read(&texts[0], "", ("", ""), &[])?;
        Ok((read, texts))
    }
}

/// What the flags of `plan` say.
fn planned(flags: impl IntoIterator<Item = String>) -> io::Result<TopologyArgs> {
    match Cli::try_parse_from(flags).map(|cli| cli.command) {
        Ok(Command::Plan(plan)) => Ok(plan.wanted),
        Ok(_) => Err(io::Error::other("this is not `plan`")),
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

/// Diagnostics as a terminal gets them, with colours.
pub fn drawn(diags: &Diagnostics, sources: &Sources) -> String {
    render::diagnostics(diags, sources).text().to_string()
}

/// How nodes are reached: what the user says of it, which is nobody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They are on this machine.
    Local,
    /// With a key of the user's, at an address that `ssh` takes as it is only if it is escaped.
    Key,
    /// Through another host.
    Jump,
    /// Through a program that the user's ssh config names.
    Program,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Local, Self::Key, Self::Jump, Self::Program];

    fn remote(self) -> Result<Option<Remote>, String> {
        let (address, key) = match self {
            Self::Local => return Ok(None),
            Self::Key => ("fe80::1%eth0", Some(PlainPath::known("/home/me/key"))),
            Self::Jump | Self::Program => ("hyper.example", None),
        };
        let refused = |error: maquette_core::values::ValueError| error.to_string();
        let target = Target {
            address: address.parse().map_err(refused)?,
            user: "me".parse().map_err(refused)?,
            key,
        };
        let effective = Effective {
            user: "me".into(),
            port: NonZeroU16::new(2222),
            host_key_alias: Some(SshWord::known("hyper")),
            proxy_jump: (self == Self::Jump).then(|| SshWord::known("me@gate.example")),
            proxy_command: (self == Self::Program).then(|| SshCommand::known("nc -X 5 %h %p")),
            identity_files: vec![SshPath::known("~/.ssh/id_ed25519")],
            ..Effective::plain(target.address.clone())
        };
        let host_keys = vec![KnownHost::known("hyper ssh-ed25519 AAAA")];
        Ok(Some(Remote { target, effective, host_keys }))
    }
}

/// What other programs get to read.
#[derive(Debug)]
pub struct Outputs {
    /// For `ssh -F`.
    pub ssh_config: String,
    /// For `UserKnownHostsFile`.
    pub known_hosts: String,
    /// Ansible's INI form.
    pub inventory: String,
    /// What the dynamic inventory answers.
    pub dynamic: serde_json::Value,
    /// The same two with nodes alone, for users of Ansible.
    pub of_nodes: (String, serde_json::Value),
}

/// Writes everything about nodes for other programs, as it is in a workspace, if they are reached in a way.
///
/// # Errors
///
/// Why the writers refuse it.
pub fn outputs(nodes: &[&Node], workspace: &Path, way: Way) -> Result<Outputs, String> {
    let remote = way.remote()?;
    let files = Files::new(&Workspace::at(workspace), remote.as_ref(), None);
    let files = files.map_err(|e| e.to_string())?;
    let (ssh_config, known_hosts, inventory) = outputs::texts(nodes, &files);
    let dynamic = outputs::dynamic(nodes, &files, outputs::Scope::Everything);
    let scope = outputs::Scope::Nodes;
    let of_nodes =
        (outputs::inventory(nodes, &files, scope), outputs::dynamic(nodes, &files, scope));
    Ok(Outputs { ssh_config, known_hosts, inventory, dynamic, of_nodes })
}

/// An environment as a picture, in every form.
#[derive(Debug)]
pub struct Pictures {
    /// For a terminal.
    pub text: String,
    /// A drawing.
    pub svg: String,
    /// For Markdown.
    pub mermaid: String,
    /// For Graphviz.
    pub dot: String,
}

/// Draws an environment; every second object is there, but does not run.
pub fn pictures(blueprint: &Blueprint) -> Pictures {
    let title = format!("environment {}", blueprint.environment);
    let state = |_, name: &str| match name.len() % 2 {
        0 => (graph::State::Off, graph::PlannedChange::Changes),
        _ => (graph::State::Planned, graph::PlannedChange::Stays),
    };
    let scene = graph::picture(&title, &blueprint.networks, &blueprint.nodes, &state);
    Pictures {
        text: graph::text(&scene),
        svg: graph::svg(&scene),
        mermaid: graph::mermaid(&scene),
        dot: graph::dot(&scene),
    }
}

/// A plan as a terminal gets it, with colours, and as JSON.
pub fn plan(plan: &Plan, environment: &str) -> (String, serde_json::Value) {
    let nothing = Plan { changes: Vec::new(), steps: Vec::new() };
    let drawn = render::plan(plan, environment, Some(80)).text().to_string();
    (drawn, render::plan_json(plan, environment, &nothing))
}

/// A host of an inventory: its name, its variables, its groups.
pub type Host = (String, BTreeMap<String, String>, Vec<String>);

/// Reads an inventory.
pub fn inventory(text: &str) -> Vec<Host> {
    let hosts = Inventory::parse(text).hosts.into_iter();
    hosts.map(|host| (host.name, host.vars, host.groups)).collect()
}

/// An inventory as it becomes when ours is written where others have written as well.
pub fn merged(base: &str, theirs: &str, ours: &str) -> String {
    merge::merged(base, theirs, ours, &BTreeSet::new())
}

/// The same where it is not known what we wrote last.
pub fn merged_first(theirs: &str, ours: &str, mark: &str) -> String {
    merge::merged_first(theirs, ours, &BTreeSet::new(), mark)
}

/// Unpacks an archive of a workspace.
///
/// # Errors
///
/// Why it is refused.
pub fn unpack(archive: impl io::Read, directory: &Path) -> Result<(), String> {
    archive::unpack(archive, directory).map(drop)
}

/// Reads an answers file; every environment variable is `x`.
///
/// # Errors
///
/// The mistake in it.
pub fn answers(text: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let read = answers::read(text, &|_| Some("x".into()))?;
    Ok(read.into_iter().map(|answer| (answer.name, answer.values)).collect())
}

/// Reads what a workspace remembers.
pub fn saved(directory: &Path) -> String {
    format!("{:?}", Workspace::at(directory).saved())
}
