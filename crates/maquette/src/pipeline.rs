//! From arguments to a plan: the stages in order, each once.

use maquette_core::blueprint::{self, Blueprint, Pool};
use maquette_core::capacity::{self, Capacity};
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::expand::{self, Context, ImageMap};
use maquette_core::image::WordError;
use maquette_core::names::EnvName;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, HostFacts, LibvirtState, Needs, Plan, PoolState};
use maquette_core::syntax::Sources;
use maquette_core::topology::virtopts::{self, VirtOpt};
use maquette_core::topology::{self, Allocation, BootMode, Topology, VirtType};
use maquette_core::units::ByteSize;
use maquette_core::values::{PublicKey, TimeZone};
use maquette_engine::StepError;
use maquette_engine::host::daemons::Daemons;
use maquette_engine::host::{facts, settings};
use maquette_engine::image::{self, Origin, Source};
use maquette_engine::keys::{self, EnvironmentKey};
use maquette_libvirt::{Client, ObserveError, Seen, observe};

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::load::Loaded;
use crate::{print, render, workspace};

/// The hypervisor as it was found.
pub struct Hypervisor {
    /// What kind of machine it is.
    pub facts: facts::Facts,
    /// What it lacks.
    pub preparation: Plan,
    /// The connection to libvirt, if that answers.
    pub client: Option<Client>,
    /// What libvirt knows, if it answers.
    pub seen: Option<Seen>,
}

impl Hypervisor {
    /// What is there, as far as the environment is concerned.
    pub fn observed(&self) -> Observed {
        let facts = &self.facts;
        let seen = self.seen.clone().unwrap_or_else(Seen::nothing);
        seen.on_host(&facts.routes, facts.network.clone())
    }
}

/// An environment that is planned.
pub struct Planned {
    /// What it shall be.
    pub blueprint: Blueprint,
    /// What is there.
    pub observed: Observed,
    /// How it gets there.
    pub plan: Plan,
    /// Its key, new or kept.
    pub key: EnvironmentKey,
}

/// What an environment wants of the hypervisor's own settings.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Whether any of its networks has IPv6.
    pub ipv6: bool,
    /// Time zone for the hypervisor.
    pub timezone: Option<TimeZone>,
    /// Whether any of its nodes has UEFI firmware.
    pub uefi: bool,
    /// Whether its nodes have an emulated TPM.
    pub tpm: bool,
    /// Whether any network is bridged with a guard against rogue DHCP.
    pub guard: bool,
    /// Whether any network is on Open vSwitch.
    pub vswitch: bool,
    /// Whether libvirt's hook has something to do.
    pub hook: bool,
    /// How many networks have a dnsmasq.
    pub networks: usize,
}

/// Checks all that can be checked without touching anything: the input as such.
pub fn check(loaded: &mut Loaded) -> Result<Wishes, Failure> {
    let settings = &loaded.request.settings;
    let remote = loaded.host.is_remote();
    let allocation = Allocation {
        net: settings.net_subnet.unwrap_or(Allocation::UNPREFIXED.net),
        data_net: settings.data_subnet.unwrap_or(Allocation::UNPREFIXED.data_net),
    };
    // The machine somebody sits at keeps its time zone.
    let timezone = settings.timezone.clone().filter(|_| remote);
    let mut wishes = Wishes { timezone, ..Wishes::default() };
    let fresh = loaded.diags.fresh();
    let mut diags = std::mem::replace(&mut loaded.diags, fresh);
    if let Some(mut topology) = topology::compile(&loaded.request, allocation, &mut diags) {
        // An extension is put on networks that are there, whatever the file says.
        topology.networks_complete &= !loaded.request.settings.extend;
        topology::lint(&topology, &mut diags);
        check_images(&topology, &mut diags);
        wishes.ipv6 = topology.networks.iter().any(|n| n.ipv6.is_some());
        wishes.guard =
            topology.networks.iter().any(|n| n.uplink.as_ref().is_some_and(|u| u.dhcp_guard));
        wishes.vswitch = topology.networks.iter().any(|n| n.vswitch.is_some());
        // libvirt starts one where it has an address to give or a name to answer for.
        wishes.networks = topology.networks.iter().filter(|n| n.has_dnsmasq()).count();
        let extra = |i: &topology::Interface| {
            i.wire.is_some() || (i.bridged && topology.network(&i.network.value).is_none())
        };
        wishes.hook = wishes.guard
            || wishes.vswitch
            || topology.settings.querier
            || !topology.cidrs.is_empty()
            || topology.roles.iter().any(|r| r.count > 0 && r.every_interface().any(extra));
        let bare = topology.roles.iter().any(|r| !r.deploy_os && r.count > 0);
        wishes.uefi = bare && topology.settings.boot_mode == BootMode::Uefi;
        let options = virtopts::parse(&topology.settings.virtopts).unwrap_or_default();
        wishes.tpm = options.iter().any(|o| matches!(o, VirtOpt::Tpm(..)));
    }
    finish(diags, &loaded.sources)?;
    Ok(wishes)
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
        image::SourceError::NotAnImage { source, .. } => diagnostic.help(source.hint()),
        image::SourceError::Word(WordError::Scheme { .. }) => {
            diagnostic.help("serve it over https, or fetch it here and give the path of the file")
        }
        image::SourceError::Unknown { .. } => {
            diagnostic.help("name a URL, a file, or an image from `maquette image list`")
        }
        _ => diagnostic,
    }
}

fn check_images(topology: &Topology, diags: &mut Diagnostics) {
    let built = workspace::built_images();
    for word in expand::image_sources(topology) {
        match Source::parse(&word, &built) {
            Ok(Source { origin: Origin::File(path), .. }) if !path.is_file() => diags.push(
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

/// Looks at the hypervisor and plans its preparation. Its own side and libvirt are asked at the same
/// time, since either takes several round trips.
pub fn hypervisor(
    connection: &Connection,
    environment: &EnvName,
    pool: &Pool,
    wishes: &Wishes,
) -> Result<Hypervisor, Failure> {
    let hypervisor = find(connection, environment, pool)?;
    let facts = &hypervisor.facts;
    let libvirt = match (&hypervisor.client, &facts.daemons) {
        (Some(_), _) => LibvirtState::Running,
        (None, Daemons::Missing) => LibvirtState::Missing,
        (None, _) => LibvirtState::Stopped,
    };
    let pool_state = hypervisor.seen.as_ref().map_or(PoolState::Unknown, |s| s.pool.clone());
    if let PoolState::Active(path) | PoolState::Inactive(path) = &pool_state
        && path.trim_end_matches('/') != pool.path
    {
        let diagnostic = Diagnostic::error(
            "hypervisor::pool",
            format!("storage pool `{}` is at {path}, not at {}", pool.name, pool.path),
        )
        .help(format!("use it with `--disk-pool {path}`, or choose another `--pool-name`"));
        return Err(Failure::input(diagnostic));
    }
    let low = |limits: &facts::SshLimits| {
        limits.drop_ins && limits.sessions.min(limits.startups) < settings::SESSIONS
    };
    let nested = facts.nested.as_ref().filter(|(_, on)| !on && facts.record.nested.is_none());
    let listening = facts.router_interfaces.iter().filter(|(_, value)| value == "1");
    let host_facts = HostFacts {
        kvm_closed: facts.kvm_closed(),
        libvirt,
        pool: pool_state,
        ssh_limits_low: facts.sshd.as_ref().is_some_and(low),
        nested_off: nested.map(|(module, _)| module.clone()).filter(|_| facts.kvm.is_ok()),
        router_interfaces: listening.map(|(name, _)| name.clone()).collect(),
        timezone: facts.timezone.clone(),
        hook: facts.hook,
        vswitch: facts.vswitch_runs,
        inotify_instances: facts.inotify_instances,
        networks: hypervisor.seen.as_ref().map_or(0, |s| s.observed.claims.networks.len()),
    };
    let mut missing_packages = facts.missing.clone();
    missing_packages.extend(facts.missing_uefi.iter().filter(|_| wishes.uefi).cloned());
    missing_packages.extend(facts.missing_tpm.iter().filter(|_| wishes.tpm).cloned());
    missing_packages.extend(facts.missing_guard.iter().filter(|_| wishes.guard).cloned());
    missing_packages.extend(facts.missing_vswitch.iter().filter(|_| wishes.vswitch).cloned());
    let needs = Needs {
        pool: pool.clone(),
        missing_packages,
        ipv6: wishes.ipv6,
        timezone: wishes.timezone.as_ref().map(ToString::to_string),
        // Libvirt's test driver calls no hooks.
        hook: wishes.hook && !connection.uri.starts_with("test"),
        vswitch: wishes.vswitch,
        networks: wishes.networks,
    };
    let preparation = plan::prepare(&host_facts, &needs);
    Ok(Hypervisor { preparation, ..hypervisor })
}

/// What a hypervisor is called above its plan.
pub fn title(facts: &facts::Facts) -> String {
    format!("hypervisor {}, {}", facts.name, facts.os.name)
}

/// Looks at the hypervisor, and plans nothing.
pub fn find(
    connection: &Connection,
    environment: &EnvName,
    pool: &Pool,
) -> Result<Hypervisor, Failure> {
    let host = connection.host.as_ref();
    let (facts, libvirt) = std::thread::scope(|scope| {
        let libvirt = scope.spawn(|| {
            let client = Client::open(&connection.uri).ok()?;
            let seen = observe(&client, environment, &pool.name);
            Some((client, seen))
        });
        let facts = facts::gather(host, connection.reach());
        (facts, libvirt.join().ok().flatten())
    });
    let failed = |e: &dyn std::error::Error| Failure::because("cannot look at the hypervisor", e);
    let facts = facts.map_err(|e| failed(&e))?;
    let (client, seen) = match libvirt {
        Some((client, seen)) => (Some(client), Some(seen.map_err(unobserved)?)),
        None => (None, None),
    };
    for object in seen.iter().flat_map(|s: &Seen| &s.unreadable) {
        print::talk(&format!(
            "warning: libvirt's description of {object} cannot be read; it is not Maquette's, and is passed over"
        ));
    }
    Ok(Hypervisor { facts, preparation: Plan::default(), client, seen })
}

/// Why a hypervisor could not be looked at, and what to do about it.
pub fn unobserved(error: ObserveError) -> Failure {
    let said = StepError::new("cannot look at the hypervisor").because(&error);
    Failure::Failed(match error.hint() {
        Some(hint) => said.hint(hint),
        None => said,
    })
}

/// Finds a hypervisor that must have libvirt running.
pub fn running(
    connection: &Connection,
    environment: &EnvName,
    pool: &Pool,
) -> Result<Hypervisor, Failure> {
    let hypervisor = find(connection, environment, pool)?;
    if hypervisor.client.is_some() {
        return Ok(hypervisor);
    }
    // The reason was not kept, since it is none where libvirt is still to be installed.
    let mut error = StepError::new(format!("cannot connect to libvirt at {}", connection.label));
    if let Err(why) = Client::open(&connection.uri) {
        error = error.because(&why);
    }
    Err(Failure::Failed(error.hint("`maquette up` installs and starts it")))
}

/// How guests are run, with one warning where that is slower than one would expect.
/// No warning where there is no node to be slow.
pub fn virt_type(asked: cli::VirtType, facts: &facts::Facts, quiet: bool) -> VirtType {
    match (asked, &facts.kvm) {
        (cli::VirtType::Kvm, _) | (cli::VirtType::Auto, Ok(())) => VirtType::Kvm,
        (cli::VirtType::Qemu, _) => VirtType::Qemu,
        (cli::VirtType::Test, _) => VirtType::Test,
        (cli::VirtType::Auto, Err(_)) if quiet => VirtType::Qemu,
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
        VirtType::Kvm | VirtType::Test => facts.cpus * 4,
    }
}

/// What is on the hypervisor now.
pub fn look(
    hypervisor: &Hypervisor,
    environment: &EnvName,
    pool: &str,
) -> Result<Observed, Failure> {
    let facts = &hypervisor.facts;
    match &hypervisor.client {
        Some(client) => observe(client, environment, pool)
            .map(|seen| seen.on_host(&facts.routes, facts.network.clone()))
            .map_err(unobserved),
        None => Ok(Observed::default()),
    }
}

/// Makes the plan; `networks` says whether we make those.
pub fn plan(loaded: &Loaded, hypervisor: &Hypervisor, networks: bool) -> Result<Planned, Failure> {
    let workspace = &loaded.workspace;
    let observed = hypervisor.observed();
    let mut diags = loaded.diags.fresh();
    let Some(topology) = expand::choose(&loaded.request, &observed, &mut diags) else {
        return Err(Failure::Input(diags, loaded.sources.clone()));
    };
    if diags.has_errors() {
        return Err(Failure::Input(diags, loaded.sources.clone()));
    }
    let images = images(&topology, &observed, &mut diags);
    let key = EnvironmentKey::read(&workspace.path)
        .and_then(|key| key.map_or_else(EnvironmentKey::generate, Ok))
        .map_err(|e| Failure::because("cannot use the environment's key", &e))?;
    let mut guests = observed.domains.values().filter_map(|d| d.recorded.guest.as_ref());
    if guests.any(|guest| key.lacks_secret_of(guest)) {
        let (name, path) = (keys::SECRET_FILE, workspace.path.display());
        return Err(Failure::Failed(
            StepError::new(format!(
                "the nodes were made with a secret that this workspace does not have: {name}"
            ))
            .hint(format!(
                "copy it into {path} from the workspace that built them; only if nobody has it any \
                 more, move {} away as well, and `maquette up` makes the nodes anew",
                keys::KEY_FILE
            )),
        ));
    }
    // The key is whole, so deriving from it cannot fail; should it, the host key is never matched.
    let host_keys = |name: &str, uuid, generation| {
        let derived = key.host_public(name, uuid, generation);
        derived.unwrap_or_else(|_| PublicKey::known("ssh-ed25519 none"))
    };
    let generation =
        keys::generation().map_err(|e| Failure::because("cannot make host keys", &e))?;
    let settings = &topology.settings;
    // Everybody on the network could use a server without one.
    let given = settings.vnc_password.clone();
    let password = given.or_else(|| settings.vnc_external.then(|| key.vnc_password()));
    let vnc = blueprint::Vnc {
        external: settings.vnc_external,
        tag: password.as_ref().map(|p| key.tag(p)),
        password,
    };
    let quiet = !loaded.options.validate || topology.roles.iter().all(|r| r.count == 0);
    let context = Context {
        observed: &observed,
        virt: virt_type(loaded.options.virt, &hypervisor.facts, quiet),
        images: &images,
        authorized_key: key.public(),
        host_keys: &host_keys,
        generation,
        vnc: &vnc,
    };
    let mut blueprint = expand::expand(&topology, &context, &mut diags);
    plan::renew(&mut blueprint, &observed, generation, &host_keys);
    expand::conflicts(&topology, &blueprint, &observed, networks, &mut diags);
    // Warnings were shown when the input was checked.
    if diags.has_errors() {
        return Err(Failure::Input(diags, loaded.sources.clone()));
    }
    let facts = &hypervisor.facts;
    let capacity = Capacity {
        cpus: facts.cpus,
        total_mib: facts.memory_mib,
        available_mib: facts.available_mib,
        resident_mib: &facts.resident_mib,
    };
    let mut diags = Diagnostics::default();
    capacity::check(&blueprint, &observed, &capacity, loaded.options.overcommit, &mut diags);
    finish(diags, &Sources::default())?;
    let private = |node: &blueprint::Node| {
        let generation = node.guest.as_ref().and_then(|g| g.generation);
        key.host_private(&node.name, node.uuid, generation)
            .unwrap_or_else(|_| maquette_core::values::Secret::new(""))
    };
    let plan = plan::create(&blueprint, &observed, &private);
    Ok(Planned { blueprint, observed, plan, key })
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
    for word in expand::image_sources(topology) {
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

/// Reads further certificate authorities: files here, and addresses.
pub fn authorities(words: &[String]) -> Result<Option<String>, Failure> {
    let mut all = String::new();
    for word in words {
        let text = if word.contains("://") {
            let most = 16 << 20;
            let content = maquette_engine::download(word, &["https", "http"], most)?;
            String::from_utf8_lossy(&content).into_owned()
        } else {
            std::fs::read_to_string(word)
                .map_err(|e| Failure::because(format!("cannot read `{word}`"), &e))?
        };
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            let message = format!("`{word}`, given with --tls-ca, holds no certificate in PEM");
            return Err(Failure::Failed(StepError::new(message)));
        }
        all.push_str(text.trim_end());
        all.push('\n');
    }
    Ok((!all.is_empty()).then_some(all))
}
