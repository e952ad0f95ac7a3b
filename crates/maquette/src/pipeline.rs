//! From arguments to a plan: the stages in order, each once.

use maquette_core::blueprint::{self, Blueprint, Context, ImageMap, Pool};
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::observed::Observed;
use maquette_core::plan::{self, HostFacts, LibvirtState, Needs, Plan, PoolState};
use maquette_core::syntax::Sources;
use maquette_core::topology::{self, Allocation, Request, Topology, VirtType};
use maquette_core::units::ByteSize;
use maquette_engine::host::{self, Host, Local, daemons, facts};
use maquette_engine::image::{self, Source};
use maquette_engine::keys::EnvironmentKey;
use maquette_libvirt::{Client, observe, pool_state};

use crate::cli;
use crate::failure::Failure;
use crate::load::Loaded;
use crate::workspace::{self, Workspace};
use crate::{print, render};

/// libvirt's address on this machine.
pub const URI: &str = "qemu:///system";

/// The hypervisor as it was found.
pub struct Hypervisor {
    /// What kind of machine it is.
    pub facts: facts::Facts,
    /// What it lacks.
    pub preparation: Plan,
    /// The connection, if libvirt answers.
    pub client: Option<Client>,
}

/// An environment that is planned.
pub struct Planned {
    /// What it shall be.
    pub blueprint: Blueprint,
    /// How it gets there.
    pub plan: Plan,
    /// Its key, new or kept.
    pub key: EnvironmentKey,
}

/// Checks all that can be checked without touching anything: the input as such.
pub fn check(loaded: &mut Loaded) -> Result<(), Failure> {
    let allocation = Allocation {
        net: loaded.request.settings.net_subnet.unwrap_or(Allocation::UNPREFIXED.net),
        data_net: loaded.request.settings.data_subnet.unwrap_or(Allocation::UNPREFIXED.data_net),
    };
    let mut diags = std::mem::take(&mut loaded.diags);
    if let Some(topology) = topology::compile(&loaded.request, allocation, &mut diags) {
        topology::lint(&topology, &mut diags);
        check_images(&topology, &mut diags);
    }
    finish(diags, &loaded.sources)
}

/// Stops at errors; shows warnings.
fn finish(diags: Diagnostics, sources: &Sources) -> Result<(), Failure> {
    if diags.has_errors() {
        return Err(Failure::Input(diags, sources.clone()));
    }
    if !diags.is_empty() {
        print::talk(&render::diagnostics(&diags, sources));
    }
    Ok(())
}

fn image_error(error: &image::SourceError) -> Diagnostic {
    let mut message = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        message = format!("{message}: {source}");
    }
    let diagnostic = Diagnostic::error("image::unusable", message);
    match error {
        image::SourceError::Unknown { suggestion: Some(name), .. } => {
            diagnostic.help(format!("did you mean `{name}`?"))
        }
        image::SourceError::Unknown { .. } => {
            diagnostic.help("name a URL, a file, or an image from `maquette image list`")
        }
        _ => diagnostic,
    }
}

fn check_images(topology: &Topology, diags: &mut Diagnostics) {
    let built = workspace::built_images();
    for word in blueprint::image_sources(topology) {
        match Source::parse(&word, &built) {
            Ok(Source::File(path)) if !path.is_file() => diags.push(
                Diagnostic::error(
                    "image::unusable",
                    format!("there is no image {}", path.display()),
                )
                .help("a word with a `/` is a path; names are listed by `maquette image list`"),
            ),
            Ok(_) => {}
            Err(error) => diags.push(image_error(&error)),
        }
    }
}

/// Looks at the hypervisor and plans its preparation.
pub fn hypervisor(pool: &Pool) -> Result<Hypervisor, Failure> {
    let host = Local;
    let facts =
        facts::gather(&host).map_err(|e| Failure::because("cannot look at the hypervisor", &e))?;
    let missing = match facts.os.family() {
        Some(family) => host::missing(&host, family),
        None => Vec::new(),
    };
    let client = Client::open(URI).ok();
    let libvirt = match (&client, daemons::detect(&host)) {
        (Some(_), _) => LibvirtState::Running,
        (None, daemons::Daemons::Missing) => LibvirtState::Missing,
        (None, _) => LibvirtState::Stopped,
    };
    let pool_state = match &client {
        Some(client) => pool_state(client, &pool.name)
            .map_err(|e| Failure::because("cannot look at the storage pool", &e))?,
        None => PoolState::Unknown,
    };
    if let PoolState::Active(path) | PoolState::Inactive(path) = &pool_state
        && path.trim_end_matches('/') != pool.path
    {
        let diagnostic = Diagnostic::error(
            "hypervisor::pool",
            format!("storage pool `{}` is at {path}, not at {}", pool.name, pool.path),
        )
        .help(format!("use it with `--disk-pool {path}`, or choose another `--pool-name`"));
        let mut diags = Diagnostics::default();
        diags.push(diagnostic);
        return Err(Failure::Input(diags, Sources::default()));
    }
    let host_facts = HostFacts { kvm_closed: facts.kvm_closed, libvirt, pool: pool_state };
    let needs = Needs { pool: pool.clone(), missing_packages: missing };
    let preparation = plan::prepare(&host_facts, &needs);
    Ok(Hypervisor { facts, preparation, client })
}

/// How guests are run, with one warning where that is slower than one would expect.
/// No warning where there is no node to be slow.
pub fn virt_type(asked: cli::VirtType, facts: &facts::Facts, any_nodes: bool) -> VirtType {
    match (asked, &facts.kvm) {
        (cli::VirtType::Kvm, _) | (cli::VirtType::Auto, Ok(())) => VirtType::Kvm,
        (cli::VirtType::Qemu, _) => VirtType::Qemu,
        (cli::VirtType::Auto, Err(_)) if !any_nodes => VirtType::Qemu,
        (cli::VirtType::Auto, Err(why)) => {
            print::talk(&format!(
                "warning: guests run under QEMU's emulation, several times slower than KVM: {why}"
            ));
            VirtType::Qemu
        }
    }
}

/// How many guests may boot at once. Under emulation a boot keeps one CPU busy, and two on each
/// CPU fill the gaps; hardware virtualisation leaves room for more.
pub fn boots(facts: &facts::Facts, virt: VirtType) -> usize {
    match virt {
        VirtType::Qemu => facts.cpus * 2,
        VirtType::Kvm => facts.cpus * 4,
    }
}

/// What is on the hypervisor.
pub fn look(
    hypervisor: &Hypervisor,
    environment: &maquette_core::names::EnvName,
    pool: &str,
) -> Result<Observed, Failure> {
    let facts = &hypervisor.facts;
    match &hypervisor.client {
        Some(client) => observe(client, environment, pool, &facts.routes, &facts.interfaces)
            .map_err(|e| Failure::because("cannot look at the hypervisor", &e)),
        None => Ok(Observed::default()),
    }
}

/// Makes the plan.
pub fn plan(
    loaded: &mut Loaded,
    hypervisor: &Hypervisor,
    workspace: &Workspace,
) -> Result<Planned, Failure> {
    let Request { settings, .. } = &loaded.request;
    let observed = look(hypervisor, &settings.environment, &settings.pool_name)?;
    let mut diags = Diagnostics::default();
    let Some(topology) = blueprint::choose(&loaded.request, &observed, &mut diags) else {
        return Err(Failure::Input(diags, loaded.sources.clone()));
    };
    if diags.has_errors() {
        return Err(Failure::Input(diags, loaded.sources.clone()));
    }
    let images = images(&topology, &observed, &mut diags);
    let key = EnvironmentKey::read(&workspace.path)
        .and_then(|key| key.map_or_else(EnvironmentKey::generate, Ok))
        .map_err(|e| Failure::because("cannot use the environment's key", &e))?;
    // The key is whole, so deriving from it cannot fail; should it, the host key is never matched.
    let host_keys = |name: &str, uuid| key.host_public(name, uuid).unwrap_or_default();
    let context = Context {
        observed: &observed,
        virt: virt_type(loaded.virt, &hypervisor.facts, topology.roles.iter().any(|r| r.count > 0)),
        images: &images,
        authorized_key: key.public(),
        host_keys: &host_keys,
    };
    let blueprint = blueprint::expand(&topology, &context, &mut diags);
    blueprint::conflicts(&topology, &blueprint, &observed, &mut diags);
    // Warnings were shown when the input was checked.
    if diags.has_errors() {
        return Err(Failure::Input(diags, loaded.sources.clone()));
    }
    let private = |node: &blueprint::Node| {
        key.host_private(&node.name, node.uuid)
            .unwrap_or_else(|_| maquette_core::guest::Secret::new(""))
    };
    let plan = plan::create(&blueprint, &observed, &private);
    Ok(Planned { blueprint, plan, key })
}

/// Volume names of all base images. An image that nodes of this environment were made from keeps
/// its volume, so that a second run reads no image again.
fn images(topology: &Topology, observed: &Observed, diags: &mut Diagnostics) -> ImageMap {
    let built = workspace::built_images();
    let mut map = ImageMap::new();
    let known = observed
        .domains
        .values()
        .flat_map(|d| d.recorded.disks.iter().map(move |disk| (d, disk)))
        .filter_map(|(d, disk)| Some((d, disk.backing.as_ref()?)))
        .filter(|(d, image)| observed.has_volume(&d.pool, &image.volume));
    for (_, image) in known {
        map.insert(image.source.clone(), image.clone());
    }
    for word in blueprint::image_sources(topology) {
        if map.contains_key(&word) {
            continue;
        }
        match image::resolve(&word, &built) {
            Ok(resolved) => {
                check_size(topology, &word, resolved.size, diags);
                map.insert(word, resolved.image);
            }
            Err(error) => diags.push(image_error(&error)),
        }
    }
    map
}

/// A disk smaller than the image that it overlays would be cut off.
fn check_size(topology: &Topology, word: &str, size: Option<u64>, diags: &mut Diagnostics) {
    let Some(size) = size else { return };
    for role in topology.roles.iter().filter(|r| r.deploy_os && r.count > 0) {
        let source = role.import_url.as_ref().or(topology.settings.image.as_ref());
        if let Some(disk) = role.disks.first()
            && disk.import_url.is_none()
            && source.is_some_and(|s| s == word)
            && let Some(wanted) = &disk.size
            && wanted.value.0 < size
        {
            diags.push(
                Diagnostic::error(
                    "topology::disk-too-small",
                    format!(
                        "`{}` of node type `{}` is smaller than its image `{word}`",
                        disk.key, role.file
                    ),
                )
                .at(wanted.span, "")
                .help(format!("the image needs {}", ByteSize(size))),
            );
        }
    }
}

/// The machine that everything is built on.
pub fn host() -> &'static dyn Host {
    &Local
}
