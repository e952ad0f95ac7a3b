//! Reading what the user wrote: flags, project file, node and network files.

mod extra;
pub mod images;
mod lookup;
mod nodes;
mod project;

use std::str::FromStr;

use maquette_core::blueprint::Pool;
use maquette_core::defaults::Kind;
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::layers;
use maquette_core::names::EnvName;
use maquette_core::syntax::{Node, Sources, parse};
use maquette_core::topology::{BootMode, Bus, Request, Settings, virtopts};
use maquette_core::values::Secret;
use maquette_core::values::{Directory, Line, Mtu, Name, ValueError};

use crate::cli::{self, Place, Wanted};
use crate::failure::Failure;
use crate::reading;
use crate::session::connection::HostArgs;
use crate::workspace::named;
use crate::workspace::{Saved, Workspace};
use project::Project;

/// Everything that was read.
#[derive(Debug)]
pub struct Loaded {
    /// All texts, for diagnostics.
    pub sources: Sources,
    /// What a topology is made from.
    pub request: Request,
    /// How and where it is built.
    pub options: Options,
    /// The hypervisor.
    pub host: HostArgs,
    /// The local directory.
    pub workspace: Workspace,
    /// Mistakes and warnings so far; `pipeline::check` adds to them and stops at errors.
    pub diags: Diagnostics,
}

impl Loaded {
    /// The storage pool that everything is built in.
    pub fn pool(&self) -> Pool {
        let settings = &self.request.settings;
        Pool { name: settings.pool_name.clone(), path: settings.pool_path.clone() }
    }
}

/// What concerns the building, not the environment.
#[derive(Debug, Clone)]
pub struct Options {
    /// How guests shall be run.
    pub virt: cli::VirtType,
    /// Whether nodes may be built that memory does not suffice for.
    pub overcommit: bool,
    /// Whether to warn of a hypervisor that cannot virtualise.
    pub validate: bool,
    /// Further certificate authorities: files or URLs.
    pub tls_ca: Vec<String>,
    /// Whether anybody said which nodes there shall be, if only that there shall be none.
    pub nodes_named: bool,
}

/// Which environment, for commands that build nothing.
#[derive(Debug)]
pub struct Located {
    /// The environment.
    pub environment: EnvName,
    /// Pool of its volumes.
    pub pool: Pool,
    /// The hypervisor.
    pub host: HostArgs,
    /// The local directory.
    pub workspace: Workspace,
}

/// Reads what is needed to build.
pub fn wanted(args: &Wanted) -> Result<Loaded, Failure> {
    let project = args.place.project.is_some() || std::path::Path::new(PROJECT).is_file();
    let mut diags = Diagnostics::default();
    if !project && args.topology_nodes.is_none() && args.topology_network.is_none() {
        diags.push(nothing_asked());
    }
    read(args, diags, false)
}

/// The same for a picture: where nothing is asked for, it is of what there is.
pub fn described(args: &Wanted) -> Result<Loaded, Failure> {
    read(args, Diagnostics::default(), false)
}

/// The project file of a directory.
const PROJECT: &str = "maquette.yaml";

/// The wrong directory must not look like a wish for an empty environment.
fn nothing_asked() -> Diagnostic {
    Diagnostic::error(
        "project::nothing-asked",
        format!("there is no {PROJECT} here and no --topology-nodes; nothing is asked for"),
    )
    .help("run it in the directory of your project file, or name that with `--project FILE`")
    .help("`--topology-nodes TYPE:COUNT,…` says what to build, `--topology-network FILE` on which networks")
    .help("`maquette status` shows what is there, and `maquette down` removes it")
}

/// The same, with unknown keys as warnings and no project file: as InfraRed reads.
pub fn wanted_leniently(args: &Wanted) -> Result<Loaded, Failure> {
    read(args, Diagnostics::lenient(), true)
}

/// Absolute path of a network file, or the name of a built-in one.
pub fn path_of_network(name: &str) -> Result<String, String> {
    let mut reader = Reader::default();
    let node = reader.flag("--topology-network", name);
    let found = lookup::find(&mut reader, Kind::Network, name, node.span);
    found.map(|f| f.path).ok_or_else(|| reader.first_mistake())
}

/// Absolute paths of node types with their counts.
pub fn paths_of_nodes(text: &str) -> Result<Vec<(String, i64)>, String> {
    let mut reader = Reader::default();
    let node = reader.flag("--topology-nodes", text);
    let found = nodes::read(&mut reader, &node);
    if reader.diags.has_errors() {
        return Err(reader.first_mistake());
    }
    Ok(found.into_iter().map(|n| (n.path, i64::from(n.count))).collect())
}

fn read(args: &Wanted, diags: Diagnostics, lenient: bool) -> Result<Loaded, Failure> {
    let mut reader = Reader { lenient, diags, ..Reader::default() };
    let project = reader.project(&args.place);
    let mut settings = Settings::default();
    let (host, workspace) = reader.place(&args.place, &project, &mut settings);
    let options = Options {
        virt: args.virt_type.or(project.virt_type).unwrap_or(cli::VirtType::Auto),
        overcommit: args.host_memory_overcommit.or(project.memory_overcommit).unwrap_or(false),
        validate: args.host_validate.or(project.validate).unwrap_or(true),
        tls_ca: list(args.tls_ca.as_ref().or(project.tls_ca.as_ref())),
        // Without nodes, InfraRed's users prepare the hypervisor and its networks, and nodes are left alone.
        nodes_named: lenient || args.topology_nodes.is_some() || project.nodes.is_some(),
    };
    // Mistakes so far are no reason not to look for more.
    match reader.wanted(args, &project, settings) {
        Some(request) => Ok(Loaded {
            sources: reader.sources,
            request,
            options,
            host,
            workspace,
            diags: reader.diags,
        }),
        None => Err(Failure::Input(reader.diags, reader.sources)),
    }
}

/// Parts between commas.
fn list(text: Option<&String>) -> Vec<String> {
    let parts = text.map_or("", |t| t.as_str()).split(',').map(str::trim);
    parts.filter(|p| !p.is_empty()).map(String::from).collect()
}

/// Reads what is needed to find an environment.
pub fn located(place: &Place) -> Result<Located, Failure> {
    let mut reader = Reader::default();
    let project = reader.project(place);
    let mut settings = Settings::default();
    let (host, workspace) = reader.place(place, &project, &mut settings);
    if reader.diags.has_errors() {
        return Err(Failure::Input(reader.diags, reader.sources));
    }
    let pool = Pool { name: settings.pool_name, path: settings.pool_path };
    Ok(Located { environment: settings.environment, pool, host, workspace })
}

/// Collects sources and diagnostics.
#[derive(Debug, Default)]
struct Reader {
    sources: Sources,
    diags: Diagnostics,
    /// Whether to read as InfraRed did.
    lenient: bool,
}

impl Reader {
    fn first_mistake(&self) -> String {
        let first = self.diags.iter().next();
        let help = first.and_then(|d| d.help.first()).map_or(String::new(), |h| format!(" ({h})"));
        first.map_or(String::new(), |d| format!("{}{help}", d.message))
    }

    fn project(&mut self, place: &Place) -> Project {
        if self.lenient {
            return Project::default();
        }
        let path = match &place.project {
            Some(path) => path.clone(),
            None => {
                let default = std::path::PathBuf::from(PROJECT);
                if !default.is_file() {
                    return Project::default();
                }
                default
            }
        };
        match reading::text(&path) {
            Ok(text) => {
                let id = self.sources.add(path.display().to_string(), text);
                let mut project = match parse(&self.sources, id, &mut self.diags) {
                    Some(node) => project::decode(&node, &mut self.diags),
                    None => Project::default(),
                };
                project.given = true;
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

    /// Adds a flag as a source and reads its text as one scalar.
    fn flag(&mut self, name: &str, text: &str) -> Node {
        let id = self.sources.add(name, text);
        Node::scalar(text, self.sources.whole(id))
    }

    /// Environment, pool, hypervisor and local directory. Flags win over the project file; where
    /// neither says which environment is meant, the active workspace does.
    fn place(
        &mut self,
        args: &Place,
        project: &Project,
        settings: &mut Settings,
    ) -> (HostArgs, Workspace) {
        let unsaid = !project.given && args.prefix.is_none() && args.host_address.is_none();
        let active = match unsaid && args.workspace.is_none() {
            true => self.active(),
            false => None,
        };
        let named = args.workspace.as_deref().map(Workspace::at).or(active);
        let asked = named.as_ref().filter(|_| unsaid);
        let told = asked.map(|w| self.recalled(w).unwrap_or_default());
        let remembered = told.as_ref().and_then(|t| t.prefix.clone());
        let prefix = match (&args.prefix, &remembered) {
            (Some(text), _) => Some(self.flag("--prefix", text)),
            (None, Some(text)) => Some(self.flag("the workspace", text)),
            (None, None) => project.prefix.clone(),
        };
        if let Some(node) = prefix
            && let Some(text) = maquette_core::decode::text(&node, "prefix", &mut self.diags)
        {
            match EnvName::from_prefix(&text.value) {
                Ok(name) => settings.environment = name,
                Err(error) => self.diags.push(
                    Diagnostic::error("project::prefix", error.to_string())
                        .at(text.span, "")
                        .help("a prefix has 1 to 40 letters, digits, dashes, dots or underscores"),
                ),
            }
        }
        let workspace = named.unwrap_or_else(|| Workspace::of(&settings.environment));
        // An environment that was built stays where it is, unless somebody says otherwise.
        let elsewhere = project.given || args.host_address.is_some();
        let saved = match told {
            Some(told) => told,
            None if elsewhere => Saved::default(),
            None => self.recalled(&workspace).unwrap_or_default(),
        };
        if workspace.is_open_to_all() {
            let path = workspace.path.display();
            self.diags.push(
                Diagnostic::error(
                    "workspace::open",
                    format!("everybody can write to workspace {path}: its ssh config and key may be anybody's"),
                )
                .help("name a directory of your own with `--workspace DIR`"),
            );
        }
        let given = self.value::<Name>("--pool-name", args.pool_name.as_deref());
        let pool = given.map(|n| n.to_string()).or(project.pool_name.clone());
        if let Some(name) = pool.or(saved.pool_name.clone()) {
            settings.pool_name = name;
        }
        let path = args.disk_pool.as_ref().or(project.pool_path.as_ref());
        if let Some(path) = path.or(saved.pool_path.as_ref()) {
            let path = path.trim_end_matches('/');
            if let Some(path) = self.value::<Directory>("--disk-pool", Some(path)) {
                settings.pool_path = path.to_string();
            }
        }
        let (wanted, then) = (&project.host, &saved.host);
        let address = self.value("--host-address", args.host_address.as_deref());
        let user = self.value("--host-user", args.host_user.as_deref());
        let host = HostArgs {
            address: address.or(wanted.address.clone()).or(then.address.clone()),
            user: user.or(wanted.user.clone()).or(then.user.clone()),
            key: args.host_key.clone().or(wanted.key.clone()).or(then.key.clone()),
            fingerprint: args.host_key_fingerprint.clone().or(wanted.fingerprint.clone()),
        };
        (host, workspace)
    }

    /// The active workspace. One that is named and does not exist must not be taken for none.
    fn active(&mut self) -> Option<Workspace> {
        if let Some(name) = named::forced().filter(|n| !n.is_empty() && !named::exists(n)) {
            let message = format!("there is no workspace `{name}`, which IR_WORKSPACE names");
            self.diags.push(Diagnostic::error("workspace::unknown", message));
        }
        named::active()
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

    fn wanted(
        &mut self,
        args: &Wanted,
        project: &Project,
        mut settings: Settings,
    ) -> Option<Request> {
        let image = self.value::<Line>("--image-url", args.image_url.as_deref());
        settings.image = image.map(|i| i.to_string()).or(project.image.clone());
        settings.extend = args.topology_extend.unwrap_or(false);
        settings.force_image_download = args.force_image_download.unwrap_or(false);
        let mirror = self.value::<Line>("--image-mirror-url", args.image_mirror_url.as_deref());
        let mirror = mirror.map(|m| m.to_string()).or(project.mirror_url.clone());
        settings.mirror_url = mirror.unwrap_or_default();
        settings.net_subnet = args.net_subnet.or(project.net_subnet);
        settings.data_subnet = args.data_subnet.or(project.data_subnet);
        let mtu = self.mtu("--host-network-mtu-size", args.host_network_mtu_size);
        settings.mtu = mtu.or(project.mtu);
        settings.nic_mtu = self.mtu("--host-mtu-size", args.host_mtu_size).or(project.nic_mtu);
        settings.querier = args.host_network_multicast_querier.unwrap_or(false);
        settings.bgp = args.bgp_topology_mode.is_some();
        let zone = self.value("--topology-timezone", args.topology_timezone.as_deref());
        settings.timezone = zone.or(project.timezone.clone());
        let user = self.value("--topology-username", args.topology_username.as_deref());
        if let Some(name) = user.or(project.username.clone()) {
            settings.username = name;
        }
        settings.disk_bus = match args.disk_bus.or(project.disk_bus) {
            Some(cli::DiskBus::Scsi) => Bus::Scsi,
            Some(cli::DiskBus::Virtio) | None => Bus::Virtio,
        };
        settings.boot_mode = match args.bootmode.or(project.bootmode) {
            Some(cli::BootMode::Uefi) => BootMode::Uefi,
            Some(cli::BootMode::Bios) | None => BootMode::Bios,
        };
        settings.shutdown_s = args.shutdown_timeout.unwrap_or(settings.shutdown_s);
        settings.serial_files = args.serial_files.unwrap_or(false);
        settings.vnc_external = args.vnc_external.unwrap_or(false);
        settings.vnc_password = args.vnc_password.as_deref().map(|text| self.secret(text));
        settings.virtopts = args.virtopts.clone().unwrap_or_default();
        if let Err(why) = virtopts::parse(&settings.virtopts) {
            let node = self.flag("--virtopts", &settings.virtopts.clone());
            self.diags.push(Diagnostic::error("project::virtopts", why).at(node.span, ""));
        }
        let nodes = match &args.topology_nodes {
            Some(text) => {
                let node = self.flag("--topology-nodes", text);
                nodes::read(self, &node)
            }
            None => match &project.nodes {
                Some(node) => nodes::read(self, node),
                None => Vec::new(),
            },
        };
        let network = match (&args.topology_network, &project.network) {
            (Some(name), _) => self.flag("--topology-network", name),
            (None, Some(node)) => node.clone(),
            (None, None) => self.flag("--topology-network", "3_nets"),
        };
        let network_file = lookup::network(self, &network);
        let extra = self.extra(args, project);
        let (network_name, network) = network_file?;
        Some(Request { nodes, network, network_name, extra, settings })
    }

    /// A password, or with `@` the first line of a file, which no list of processes shows.
    fn secret(&mut self, text: &str) -> Secret {
        let Some(path) = text.strip_prefix('@') else { return Secret::new(text) };
        match reading::text(path) {
            Ok(text) => Secret::new(text.lines().next().unwrap_or_default()),
            Err(error) => {
                let message = format!("cannot read password file {path}: {error}");
                self.diags.push(Diagnostic::error("project::password", message));
                Secret::new("")
            }
        }
    }

    /// The value of a flag; one that is not valid is a mistake with its place.
    fn value<T>(&mut self, flag: &str, text: Option<&str>) -> Option<T>
    where
        T: FromStr<Err = ValueError>,
    {
        let text = text?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let span = self.flag(flag, text).span;
                self.diags.push(
                    Diagnostic::error("project::value", format!("{flag}: {error}")).at(span, ""),
                );
                None
            }
        }
    }

    fn mtu(&mut self, flag: &str, bytes: Option<u32>) -> Option<u32> {
        let text = bytes?.to_string();
        self.value::<Mtu>(flag, Some(&text)).map(Mtu::bytes)
    }

    /// The project's overrides first, then each `-e` from left to right.
    fn extra(&mut self, args: &Wanted, project: &Project) -> Node {
        let mut list = Vec::new();
        if let Some(overrides) = &project.overrides {
            list.push(layers::ExtraVar {
                path: vec!["override".into()],
                value: overrides.clone(),
                from_file: true,
                span: overrides.span,
            });
        }
        for text in &args.extra_vars {
            list.extend(extra::read(self, text));
        }
        let id = self.sources.add("-e", "");
        let root = self.sources.whole(id);
        layers::extra_vars(&list, root, &mut self.diags)
    }
}
