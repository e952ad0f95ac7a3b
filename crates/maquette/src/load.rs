//! Reading what the user wrote: flags, project file, node and network files.

pub mod built_in;
mod extra;
pub mod images;
mod layout;
mod located;
mod lookup;
mod nodes;
mod project;
mod provision;
mod strangers;
mod user_data;
mod whole;

use std::collections::BTreeMap;
use std::path::PathBuf;

use maquette_core::blueprint::Pool;
use maquette_core::defaults::Kind;
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::layers::{self, ExtraVar};
use maquette_core::layout::Layout;
use maquette_core::names::EnvName;
use maquette_core::settings::{self, SETTINGS, SettingKind, Settings};
use maquette_core::syntax::{Plain, SourceId, Sources, Span, Tree, Value, parse};
use maquette_core::topology::{BmcChoice, NodeRequest, Request, is_read, only_network};

use crate::cli::{EnvironmentArgs, FlagTexts, TopologyArgs};
use crate::host_args::{HostArgs, SaidByUser};
use crate::reading;
use crate::workspace::named::Workspaces;
use crate::workspace::{Saved, Workspace};
use crate::world::Environment;
pub use extra::Extra;
pub use located::{Located, located, located_leniently, located_of, located_with};
pub use lookup::own as own_files;
use project::{IMAGE, Project};

/// Everything that was read.
#[derive(Debug)]
pub struct Loaded {
    /// All texts, for diagnostics.
    pub sources: Sources,
    /// What a topology is made from.
    pub request: Request,
    /// Extra variables alone, for playbooks.
    pub vars: Plain,
    /// Whether anybody said which nodes there shall be, if only that there shall be none.
    pub nodes_named: bool,
    /// How the hypervisor is reached.
    pub host: HostArgs,
    /// The local directory.
    pub workspace: Workspace,
    /// The project file, by its absolute path, if there is one.
    pub project: Option<PathBuf>,
    /// Its name, if there is nothing in it.
    empty_project: Option<String>,
    /// Where the environment's image was asked for.
    pub image_place: Option<Span>,
    /// Where the project file names the time zone, if that is what counts.
    pub timezone_place: Option<Span>,
    /// Mistakes and warnings so far; `pipeline::check` adds to them and stops at errors.
    pub diags: Diagnostics,
    /// Whether a key of a file of Maquette's own was not understood: what was asked for may be more than what was read.
    pub doubted: bool,
    /// Settings that somebody gave, by their names, as they were written.
    pub given: BTreeMap<&'static str, Plain>,
    /// What whoever gave a setting knows it as, for messages.
    origins: BTreeMap<&'static str, String>,
}

impl Loaded {
    /// The storage pool that everything is built in.
    pub fn pool(&self) -> Pool {
        let settings = &self.request.settings;
        Pool { name: settings.pool_name.clone(), path: settings.pool_path.clone() }
    }

    /// What whoever gave a setting knows it as: a flag, a variable, a key of the project file, a line of an answers file.
    pub fn called(&self, name: &str) -> String {
        self.origins.get(name).cloned().unwrap_or_else(|| format!("--{name}"))
    }

    /// Which environment it is, for all that is not about what is built.
    pub fn located(&self) -> Located {
        Located {
            environment: self.request.settings.environment.clone(),
            pool: self.pool(),
            host: self.host.clone(),
            workspace: self.workspace.clone(),
            project: self.project.clone(),
        }
    }
}

/// Reads what is needed to build.
pub fn wanted(environment: &Environment, args: &TopologyArgs) -> Loaded {
    let project = args.place.project.is_some() || std::path::Path::new(PROJECT).is_file();
    let mut diags = strictness(args.strict);
    let given = |name| args.flags.0.has(name);
    if !project && !["topology-nodes", "topology-network", "layout"].into_iter().any(given) {
        diags.push(nothing_asked());
    }
    let mut loaded = read(args, Reader { diags, ..Reader::new(environment) }, None);
    if let Some(file) = loaded.empty_project.take().filter(|_| !loaded.diags.has_errors())
        && !["topology-nodes", "topology-network", "layout"].into_iter().any(given)
    {
        loaded.diags.push(project::empty(&file));
    }
    loaded
}

/// The same for a picture: where nothing is asked for, it is of what there is.
pub fn described(environment: &Environment, args: &TopologyArgs) -> Loaded {
    read(args, Reader { diags: strictness(args.strict), ..Reader::new(environment) }, None)
}

/// Keys that nobody reads, and those without effect, are warnings, unless it is strict. Those of the project file itself, one of
/// which may say which hypervisor or environment is meant, are errors to all verbs.
fn strictness(strict: bool) -> Diagnostics {
    if strict { Diagnostics::strict() } else { Diagnostics::usual() }
}

/// The project file of a directory.
pub const PROJECT: &str = "maquette.yaml";

/// The wrong directory must not look like a wish for an empty environment.
fn nothing_asked() -> Diagnostic {
    Diagnostic::error(
        "project::nothing-asked",
        format!("there is no {PROJECT} here and no --topology-nodes; nothing is asked for"),
    )
    .help("run it in the directory of your project file, or name that with `--project FILE`")
    .help("`maquette init` writes a project file to begin with")
    .help("`--topology-nodes TYPE:COUNT,…` says what to build, `--topology-network FILE` on which networks")
    .help("`maquette status` shows what is there, and `maquette down` removes it")
}

/// Node types of files are made for the built-in networks, which a described node type replaces by one network.
fn networks_left_out(span: Span) -> Diagnostic {
    Diagnostic::warning(
        "project::networks",
        "the built-in networks are left out, since a node type is described here",
    )
    .at(span, "so all nodes are on one network, `net`")
    .help("`network: 3_nets` in the project file brings them back, and `networks` describes others")
}

/// The same, with unknown keys as warnings and no project file: as InfraRed reads.
pub fn wanted_leniently(environment: &Environment, args: &TopologyArgs, extra: &Extra) -> Loaded {
    let sources = extra.sources.clone();
    let diags = if args.strict { Diagnostics::strict() } else { Diagnostics::lenient() };
    let reader = Reader { lenient: true, diags, sources, environment };
    read(args, reader, Some(extra))
}

/// Absolute path of a network file.
pub fn path_of_network(environment: &Environment, name: &str) -> Result<String, String> {
    let mut reader = Reader::new(environment);
    let node = reader.flag("--topology-network", name);
    let found = lookup::find(&mut reader, Kind::Network, name, node.span);
    found.map(|f| built_in::real(environment, f.path)).ok_or_else(|| reader.first_mistake())
}

/// Absolute paths of node types with their counts.
pub fn paths_of_nodes(environment: &Environment, text: &str) -> Result<Vec<(String, i64)>, String> {
    let mut reader = Reader::new(environment);
    let node = reader.flag("--topology-nodes", text);
    let found = nodes::read(&mut reader, &node, None);
    if reader.diags.has_errors() {
        return Err(reader.first_mistake());
    }
    let real = |path| built_in::real(environment, path);
    Ok(found.into_iter().map(|n| (real(n.path), i64::from(n.count))).collect())
}

/// Reads all but `extra` with a reader; that, too, where it has not been read yet.
fn read(args: &TopologyArgs, mut reader: Reader<'_>, extra: Option<&Extra>) -> Loaded {
    let mut settings = Settings::default();
    let mut given = args.given();
    let project = reader.project(&args.place, &given.take_empty(), &mut settings);
    let list = match extra {
        Some(extra) => extra.list.clone(),
        None => {
            let texts = given.texts("extra-vars").to_vec();
            let list: Vec<_> = texts.iter().filter_map(|t| extra::read(&mut reader, t)).collect();
            provision::settings(&mut reader, &list, &mut given);
            list
        }
    };
    provision::subnets(&list, &mut given);
    let (host, workspace) = reader.place(&args.place, &given, &project, &mut settings);
    let name = || args.place.project.as_ref().map_or(PROJECT.into(), |p| p.display().to_string());
    let empty_project = project.is_empty().then(name);
    // Without nodes, InfraRed's users prepare the hypervisor and its networks, and nodes are left alone.
    let named = ["topology-nodes", "layout"];
    let named = named.into_iter().any(|n| given.has(n) || project.node(n).is_some());
    let nodes_named = reader.lenient || named;
    let image = given.told(IMAGE).map(|(told, text)| reader.flag(told, text).span);
    let image_place = image.or(project.node(IMAGE).map(|node| node.span));
    let zone = project.node("topology-timezone").filter(|_| !given.has("topology-timezone"));
    let timezone_place = zone.map(|node| node.span);
    // The search for mistakes goes on after the first ones.
    let (mut request, vars) = reader.wanted(&given, &project, settings, &list);
    if extra.is_none() && is_read(&request, provision::PROVISION) {
        let tree = provision::in_tree(&reader, (&given, &project), (&request, &host));
        provision::show(&mut reader, &tree, &mut request);
    }
    if extra.is_none() {
        whole::without_effect(&request, &mut reader.diags);
    }
    provision::idle(&mut reader, &list, extra.map(|extra| extra.known.as_slice()), &request);
    Loaded {
        doubted: false,
        sources: reader.sources,
        request,
        vars,
        nodes_named,
        image_place,
        timezone_place,
        host,
        workspace,
        project: project.file.clone(),
        empty_project,
        diags: reader.diags,
        given: project::as_written(&given, &project),
        origins: origins(&given, &project),
    }
}

/// Where each setting comes from that somebody gave; flags and variables win over the project file.
fn origins(given: &FlagTexts, project: &Project) -> BTreeMap<&'static str, String> {
    let of = |row: &settings::Setting| {
        let key = || {
            Some(format!(
                "`{}` of the project file",
                row.key.filter(|_| project.node(row.name).is_some())?
            ))
        };
        given.told(row.name).map(|(told, _)| told.to_string()).or_else(key)
    };
    SETTINGS.iter().filter_map(|row| Some((row.name, of(row)?))).collect()
}

/// A mistake and what to do about it.
fn said(mistake: &Diagnostic) -> String {
    let help = mistake.help.first().map_or(String::new(), |help| format!(" ({help})"));
    format!("{}{help}", mistake.message)
}

/// Collects sources and diagnostics.
#[derive(Debug)]
struct Reader<'a> {
    environment: &'a Environment,
    sources: Sources,
    diags: Diagnostics,
    /// Whether to read as InfraRed did.
    lenient: bool,
}

impl<'a> Reader<'a> {
    fn new(environment: &'a Environment) -> Self {
        let (sources, diags) = Default::default();
        Self { environment, sources, diags, lenient: false }
    }

    fn first_mistake(&self) -> String {
        self.diags.iter().next().map_or(String::new(), said)
    }

    /// All that is wrong with extra variables, a line each.
    fn said(&self) -> Result<(), Vec<String>> {
        match self.diags.has_errors() {
            true => Err(self.diags.iter().map(|mistake| self.line(mistake)).collect()),
            false => Ok(()),
        }
    }

    /// A mistake in an extra variable or its file, with its place, in one line.
    fn line(&self, mistake: &Diagnostic) -> String {
        let said = said(mistake);
        let Some(label) = mistake.labels.first() else { return said };
        let source = self.sources.get(label.span.source);
        if source.name == "-e" {
            return format!("extra variable `{}`: {said}", source.text);
        }
        let (line, _) = self.sources.position(label.span);
        format!("{}, line {line}: {said}", source.name)
    }

    fn project(
        &mut self,
        place: &EnvironmentArgs,
        unset: &[&'static str],
        settings: &mut Settings,
    ) -> Project {
        if self.lenient {
            return Project::default();
        }
        let path = match &place.project {
            Some(path) => path.clone(),
            None => {
                let default = PathBuf::from(PROJECT);
                if !default.is_file() {
                    return Project::default();
                }
                if let Some(refused) = strangers::project(self.environment, &default) {
                    self.diags.push(refused);
                    return Project::default();
                }
                default
            }
        };
        match reading::text(&path) {
            Ok(text) => {
                let id = self.sources.add(path.display().to_string(), text);
                let mut project = match parse(&self.sources, id, &mut self.diags) {
                    Some(node) => project::decode(&node, unset, settings, &mut self.diags),
                    None => Project::unread(),
                };
                // By whichever way somebody comes to it, it is the same file.
                let file = path.canonicalize().unwrap_or_else(|_| self.environment.absolute(&path));
                project.file = Some(file);
                project
            }
            Err(error) => {
                self.diags.push(Diagnostic::error(
                    "project::unreadable",
                    format!("cannot read project file {}: {error}", path.display()),
                ));
                Project::default()
            }
        }
    }

    /// Adds a file that is written for other tools, too, or by them: of a key that is there twice, they take the last one.
    fn foreign(&mut self, name: &str, text: impl Into<String>) -> SourceId {
        let id = self.sources.add(name, text);
        self.diags.be_lenient_in(id);
        id
    }

    /// Adds a flag as a source and reads its text as one scalar.
    fn flag(&mut self, name: &str, text: &str) -> Tree {
        let id = self.sources.add(name, text);
        Tree::scalar(text, self.sources.whole(id))
    }

    /// What flags say, over what the project file has said.
    fn flags(&mut self, given: &FlagTexts, settings: &mut Settings) {
        for row in SETTINGS {
            let (Some((name, text)), Some(set)) = (given.told(row.name), row.set) else { continue };
            if row.kind == SettingKind::Secret {
                let Some(secret) = self.secret(text) else { continue };
                // What it was is shown to nobody.
                if let Err(why) = set(settings, &secret) {
                    let error = Diagnostic::error("project::value", format!("{name}: {why}"));
                    self.diags.push(error);
                }
                continue;
            }
            let node = self.flag(name, text);
            project::assign(row, settings, &node, name, &mut self.diags);
        }
    }

    /// Environment, pool, hypervisor and local directory. Flags win over the project file; where
    /// neither says which environment is meant, the active workspace does.
    fn place(
        &mut self,
        args: &EnvironmentArgs,
        given: &FlagTexts,
        project: &Project,
        settings: &mut Settings,
    ) -> (HostArgs, Workspace) {
        self.flags(given, settings);
        let unsaid = !project.given && !given.has("prefix") && !given.has("host-address");
        let active = (unsaid && args.workspace.is_none()).then(|| self.active()).flatten();
        let at = |path| Workspace::at(&self.environment.absolute(path));
        let named = args.workspace.as_ref().map(at).or(active);
        let told = named.as_ref().filter(|_| unsaid).map(|w| self.recalled(w).unwrap_or_default());
        let remembered = told.as_ref().and_then(|t| t.prefix.clone());
        let prefix = match (given.told("prefix"), &remembered) {
            (Some((name, text)), _) => Some(self.flag(name, text)),
            (None, Some(text)) => Some(self.flag("the workspace", text)),
            (None, None) => project.node("prefix").cloned(),
        };
        if let Some(name) = prefix.and_then(|node| self.environment_name(&node)) {
            settings.environment = name;
        }
        let (user, name) = (self.environment, &settings.environment);
        let workspace = named.unwrap_or_else(|| match project.given {
            true => Workspace::of(user, name),
            false => {
                Workspaces::of(user).of_environment(user, name, settings.host_address.as_ref())
            }
        });
        // An environment that was built stays where it is, unless somebody says otherwise.
        let saved = match told {
            Some(told) => told,
            None if project.given || given.has("host-address") => Saved::default(),
            None => self.recalled(&workspace).unwrap_or_default(),
        };
        let open = strangers::workspace(self.environment, &workspace);
        open.into_iter().for_each(|open| self.diags.push(open));
        let unsaid = |name: &str| !given.has(name) && project.node(name).is_none();
        let mut pool = FlagTexts::default();
        for (name, value) in [("pool-name", saved.pool_name), ("disk-pool", saved.pool_path)] {
            if let Some(value) = value.filter(|_| unsaid(name)) {
                pool.set_as(name, vec![value], format!("`{name}` of the workspace"));
            }
        }
        self.flags(&pool, settings);
        if self.lenient {
            // InfraRed's role makes BMCs later, and counts ports from the same one on.
            settings.bmc.get_or_insert(BmcChoice::Off);
        }
        let host = HostArgs {
            address: settings.host_address.clone().or(saved.host.address),
            user: settings.host_user.clone().or(saved.host.user),
            key: settings.host_key.clone().map(PathBuf::from).or(saved.host.key),
            fingerprint: settings.host_key_fingerprint.clone(),
            known_hosts: settings.host_known_hosts.clone().map(PathBuf::from),
            said: SaidByUser::of(given),
            forwards: false,
        };
        (host, workspace)
    }

    fn environment_name(&mut self, prefix: &Tree) -> Option<EnvName> {
        let text = maquette_core::decode::text(prefix, "prefix", &mut self.diags)?;
        let named = EnvName::from_prefix(&text.value);
        named
            .map_err(|error| {
                self.diags.push(
                    Diagnostic::error("project::prefix", error.to_string())
                        .at(text.span, "")
                        .help("a prefix has 1 to 40 letters, digits, dashes, dots or underscores"),
                );
            })
            .ok()
    }

    /// The active workspace. One that is named and does not exist must not be taken for none.
    fn active(&mut self) -> Option<Workspace> {
        let workspaces = Workspaces::of(self.environment);
        if let Some((variable, name)) = workspaces.missing() {
            let message = format!("there is no workspace `{name}`, which {variable} names");
            self.diags.push(Diagnostic::error("workspace::unknown", message));
        }
        workspaces.active()
    }

    /// What a workspace remembers.
    fn recalled(&mut self, workspace: &Workspace) -> Option<Saved> {
        workspace.recall().unwrap_or_else(|why| {
            self.diags.push(
                Diagnostic::error("workspace::damaged", why)
                    .help("it says which hypervisor is meant: put it back, or remove it and name the hypervisor with `--host-address`"),
            );
            None
        })
    }

    /// What a topology is made from, and the extra variables alone.
    fn wanted(
        &mut self,
        given: &FlagTexts,
        project: &Project,
        mut settings: Settings,
        extra: &[ExtraVar],
    ) -> (Request, Plain) {
        let mut node = |name: &str| match given.told(name) {
            Some((told, text)) => Some(self.flag(told, text)),
            None => project.node(name).cloned(),
        };
        let (nodes, network) = (node("topology-nodes"), node("topology-network"));
        let layout_files = node("layout");
        let asked = given.has("topology-nodes");
        let list = extra;
        let (mut extra, vars) = self.extra(list, project);
        let mut written = project.node("topology-nodes").cloned();
        let layout = match layout_files {
            Some(ref files) => {
                layout::read(self, files, list, &mut extra).map(|layout| (layout, files.span))
            }
            None => None,
        };
        let mut unread = layout_files.is_some() && layout.is_none();
        if let Some((layout, _)) = &layout {
            written = Some(layout::beside(self, written.as_ref(), layout));
            let said = |name: &str| given.has(name) || project.node(name).is_some();
            layout::settings(self, layout, said, &mut settings);
        }
        let nodes = if asked || layout.is_none() { nodes } else { written.clone() };
        let nodes = nodes.map(|node| nodes::read(self, &node, written.as_ref()));
        let nodes = nodes.unwrap_or_default();
        let mut networks = project.node("networks").cloned();
        if layout.is_none() && networks.is_none() && network.is_none() {
            networks = self.only_network(&nodes);
        }
        let file = match unread {
            true => None,
            false => self.network_file(network.as_ref(), networks.as_ref(), layout),
        };
        // A list of networks says what was meant, and not what is in them.
        let is_list = |networks: &Tree| !matches!(networks.value, Value::Map(_));
        unread |= file.is_none() || networks.as_ref().is_some_and(is_list);
        let (network_name, network) =
            file.unwrap_or_else(|| (String::new(), Tree::empty_map(extra.span)));
        let network_unread = unread;
        let mut request = Request {
            nodes,
            network,
            network_name,
            network_unread,
            networks,
            extra,
            settings,
            systems_asked: false,
        };
        user_data::read(self, &mut request);
        (request, vars)
    }

    /// The network of nodes that are described where no network is.
    fn only_network(&mut self, nodes: &[NodeRequest]) -> Option<Tree> {
        let span = nodes.iter().find(|n| n.described).map(|n| n.span)?;
        if nodes.iter().any(|n| !n.described) {
            self.diags.push(networks_left_out(span));
        }
        Some(only_network(span))
    }

    /// The network file with its name: the layout's, the one that is named, or the default.
    fn network_file(
        &mut self,
        network: Option<&Tree>,
        networks: Option<&Tree>,
        layout: Option<(Layout, Span)>,
    ) -> Option<(String, Tree)> {
        match (network, networks, layout) {
            (network, _, Some((layout, span))) => {
                self.diags.extend(layout::one_of(network, span));
                Some(("layout".into(), layout.network))
            }
            (None, Some(networks), None) => Some((PROJECT.into(), Tree::empty_map(networks.span))),
            (Some(network), _, None) => lookup::network(self, network),
            (None, None, None) => {
                let default = settings::find("topology-network").and_then(|row| row.default);
                let network = self.flag("--topology-network", default.unwrap_or_default());
                lookup::network(self, &network)
            }
        }
    }

    /// A password, or with `@` the first line of a file, which no list of processes shows.
    fn secret(&mut self, text: &str) -> Option<String> {
        let Some(path) = text.strip_prefix('@') else { return Some(text.into()) };
        let read = reading::text(path).map_err(|error| {
            let message = format!("cannot read password file {path}: {error}");
            self.diags.push(Diagnostic::error("project::password", message));
        });
        read.ok().map(|text| text.lines().next().unwrap_or_default().into())
    }

    /// The project's overrides and then each `-e` from left to right; and these alone.
    fn extra(&mut self, list: &[ExtraVar], project: &Project) -> (Tree, Plain) {
        let id = self.sources.add("-e", "");
        let mut vars = Tree::empty_map(self.sources.whole(id));
        let mut all = vars.clone();
        let overrides = project.node("extra-vars").map(|overrides| ExtraVar {
            path: vec!["override".into()],
            value: overrides.clone(),
            from_file: true,
            span: overrides.span,
        });
        layers::put(&mut all, overrides.iter().chain(list), &mut self.diags);
        // What is wrong with them was said.
        layers::put(&mut vars, list, &mut Diagnostics::default());
        (all, Plain::of(&vars))
    }
}

#[cfg(test)]
mod tests;
