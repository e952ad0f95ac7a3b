//! From arguments to a plan: the stages in order, each once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::tz::TimeZoneDatabase;
use maquette_core::abilities::{self, Installed};
use maquette_core::blueprint::{self, Blueprint, Image, ImageOrigin};
use maquette_core::capacity::{self, Capacity};
use maquette_core::diagnostic::{Diagnostic, Diagnostics, closest};
use maquette_core::expand::{self, CloudInit, Context};
use maquette_core::names::EnvName;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Action, Plan, Requirements};
use maquette_core::settings::Settings;
use maquette_core::syntax::{Sources, Span};
use maquette_core::topology::{self, Allocation};
use maquette_core::values::{PublicKey, Secret};
use maquette_engine::StepError;
use maquette_engine::host::Host;
use maquette_engine::net::bridge;
use maquette_engine::probe::Facts;
use maquette_engine::ssh_keys::{self, EnvironmentKey, KeyError};
use maquette_libvirt::LibvirtError;

use crate::failure::Failure;
use crate::load::Loaded;
use crate::load::images::{Recorded, check_images, finds_cdrom, images};
use crate::render;
use crate::session::Hypervisor;
use crate::session::{entry, nodes};
use crate::workspace::Workspace;
use crate::workspace::identity::{self, Way};
use crate::world::{Environment, World, told};

mod emulation;
mod forwarding;
mod servers;
mod starts;

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
    /// Nodes that it is not about.
    pub aside: Vec<String>,
    /// The key with which nodes that another workspace built open to this one, if there is one.
    pub shared: Option<PathBuf>,
    /// What only planning shows.
    warnings: Diagnostics,
}

impl Planned {
    /// Refuses NICs that would be refused when they join their bridges, and notes rules of firewalls that name them. The hypervisor
    /// is asked only where one is to join.
    pub fn objections(&mut self, host: &dyn Host) -> Result<(), Failure> {
        for step in &self.plan.steps {
            let Action::BridgeNic { bridge, uplink } = &step.action else { continue };
            let nic = &uplink.nic;
            let found = bridge::objections(host, bridge, nic);
            let found = found.map_err(|e| Failure::because(format!("cannot look at {nic}"), e))?;
            if let Some(why) = found.refused {
                let message =
                    format!("the NIC `{nic}` cannot be put into bridge `{bridge}`: {why}");
                return Err(Failure::input(Diagnostic::error("hypervisor::nic", message).help(
                    "or name another NIC with `nic` of the network, or leave the network out",
                )));
            }
            if let Some(rule) = found.rule {
                let message = format!(
                    "a rule of the hypervisor's firewall names the NIC `{nic}`: `{rule}`; once it is in bridge `{bridge}`, that \
                     rule takes what comes in for traffic of `{bridge}`"
                );
                let help = format!("give the firewall the same rule for `{bridge}` before");
                self.warnings.push(Diagnostic::warning("hypervisor::nic-rule", message).help(help));
            }
        }
        Ok(())
    }

    /// Shows what only planning shows.
    pub fn warn(&self, world: &World, loaded: &Loaded) {
        if !self.warnings.is_empty() {
            let shown = render::diagnostics(&self.warnings, &loaded.sources);
            world.terminal.painted_talk(&shown);
        }
    }

    /// Says once of each published image from which nodes were made that one of the same name can be built, whose nodes
    /// start sooner.
    pub fn advise(&self, world: &World) {
        for name in starts::buildable(&self.blueprint) {
            let line = format!("image build {name}");
            if told::is_told(&world.environment, &line) {
                continue;
            }
            told::note(&world.environment, &line);
            world.terminal.talk(&format!(
                "nodes can start sooner: `maquette image build {name}` makes an image of the same name (on Debian or Ubuntu);"
            ));
            world.terminal.talk(
                "nodes that are made after that use it, and start from memory once others like them have booted",
            );
        }
    }

    /// Why nothing of it is done in a workspace that the environment is only shared with.
    pub fn only_shared(&self) -> Failure {
        let name = &self.blueprint.environment;
        let message =
            format!("environment `{name}` is shared with this workspace, which did not build it");
        let helps = entry::SHARED_HELPS.into_iter();
        Failure::input(helps.fold(Diagnostic::error("plan::shared", message), Diagnostic::help))
    }

    /// Whether it is about others than this node.
    pub fn is_aside(&self, name: &str) -> bool {
        self.aside.iter().any(|other| other == name)
    }

    /// What is said of nodes that it is not about; none if it is about all.
    pub fn rest(&self) -> Option<String> {
        let (there, not): (Vec<&str>, Vec<&str>) = self
            .aside
            .iter()
            .map(String::as_str)
            .partition(|name| self.observed.domains.contains_key(*name));
        let part = |what: &str, names: &[&str]| {
            (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")))
        };
        let parts = [part("left as they are", &there), part("not built", &not)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// What is wrong with the input as such, and what it asks for as far as that can be understood.
pub fn examine(
    environment: &Environment,
    loaded: &mut Loaded,
) -> (Diagnostics, Option<topology::Topology>) {
    let (mut diags, topology) = examine_drawn(loaded);
    if let Some(topology) = &topology {
        check_images(environment, topology, loaded.image_place, &mut diags);
    }
    (diags, topology)
}

/// The same without its images, which are in no picture.
fn examine_drawn(loaded: &mut Loaded) -> (Diagnostics, Option<topology::Topology>) {
    let settings = &loaded.request.settings;
    let allocation = Allocation {
        net: settings.net_subnet.unwrap_or(Allocation::UNPREFIXED.net),
        data_net: settings.data_subnet.unwrap_or(Allocation::UNPREFIXED.data_net),
    };
    let fresh = loaded.diags.fresh();
    let mut diags = std::mem::replace(&mut loaded.diags, fresh);
    let mut topology = topology::compile(&loaded.request, allocation, &mut diags);
    if let Some(zone) = &settings.timezone {
        let called = loaded.called("topology-timezone");
        check_timezone(zone.as_str(), (&called, loaded.timezone_place), &mut diags);
    }
    if let Some(topology) = &mut topology {
        // An extension is put on networks that are there, whatever the file says.
        topology.networks_complete &= !loaded.request.settings.extend;
        topology::lint(topology, &mut diags);
    }
    (diags, topology)
}

/// Refuses a time zone that IANA's list does not have, which would have the first boot fail. The list is a library's: this
/// machine may have none, or none of the older names (Debian's `tzdata-legacy`), and have newer ones.
/// `called` is how it was given, and where.
fn check_timezone(zone: &str, called: (&str, Option<Span>), diags: &mut Diagnostics) {
    let lists = [TimeZoneDatabase::bundled(), jiff::tz::db().clone()];
    // The library's comes first: this machine's is a directory, which has to be read only for what is not in that.
    let names = || lists.iter().flat_map(TimeZoneDatabase::available).map(|name| name.to_string());
    if names().any(|name| name == zone) {
        return;
    }
    let known: Vec<String> = names().collect();
    let message = format!("there is no time zone `{zone}`");
    let mut error = match called {
        (_, Some(place)) => Diagnostic::error("project::timezone", message).at(place, ""),
        (called, None) => Diagnostic::error("project::timezone", format!("{message} ({called})")),
    };
    if let Some(near) = closest(zone, known.iter().map(String::as_str)) {
        error = error.help(format!("did you mean `{near}`?"));
    }
    diags.push(error.help("zones have the names of IANA's list, such as Europe/Prague or Etc/UTC"));
}

/// Checks all that can be checked without touching anything: the input as such.
pub fn check(world: &World, loaded: &mut Loaded) -> Result<Requirements, Failure> {
    let remote = loaded.host.is_remote();
    // `Session::look_for` refuses those that the hypervisor does not know.
    loaded.request.systems_asked = true;
    let (diags, topology) = examine(&world.environment, loaded);
    loaded.doubted = diags.has_slips();
    let mut requirements = topology.as_ref().map(Requirements::of).unwrap_or_default();
    // The machine somebody sits at keeps its time zone.
    requirements.timezone = loaded.request.settings.timezone.clone().filter(|_| remote);
    finish(world, diags, &loaded.sources)?;
    Ok(requirements)
}

/// Checks all of the input that a picture shows.
pub fn check_drawn(world: &World, loaded: &mut Loaded) -> Result<(), Failure> {
    let (diags, _) = examine_drawn(loaded);
    finish(world, diags, &loaded.sources)
}

/// Stops at errors; shows warnings.
fn finish(world: &World, diags: Diagnostics, sources: &Sources) -> Result<(), Failure> {
    if diags.has_errors() {
        return Err(Failure::Input(diags, sources.clone()));
    }
    if !diags.is_empty() {
        world.terminal.painted_talk(&render::diagnostics(&diags, sources));
    }
    Ok(())
}

/// Who names no nodes does not ask for the removal of those that are there.
fn must_name_nodes(loaded: &Loaded, observed: &Observed) -> Diagnostics {
    let settings = &loaded.request.settings;
    let mut diags = loaded.diags.fresh();
    if !loaded.nodes_named && !settings.extend && !observed.domains.is_empty() {
        diags.push(no_nodes_named(&settings.environment, observed.domains.len()));
    }
    diags
}

fn no_nodes_named(environment: &EnvName, count: usize) -> Diagnostic {
    let nodes = if count == 1 { "a node".to_string() } else { format!("{count} nodes") };
    Diagnostic::error(
        "project::no-nodes-named",
        format!("environment `{environment}` has {nodes}, and nothing says which it is to have"),
    )
    .help("`--topology-nodes TYPE:COUNT,…` does, or `nodes:` in the project file")
    .help("`maquette down` removes the environment; `nodes: {}` in the project file leaves it without nodes")
}

/// What a plan is made for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The nodes it is about, in the user's words; all of them if there are none.
    pub nodes: &'a [String],
    /// Whether networks are made.
    pub networks: bool,
    /// Whether templates are looked for that only nodes need which are there already.
    pub all_templates: bool,
    /// Images that this run has fetched, which are not fetched again.
    pub fetched: &'a BTreeSet<Image>,
}

impl Scope<'_> {
    /// All of an environment, as far as it is not there.
    pub const USUAL: Self =
        Self { nodes: &[], networks: true, all_templates: false, fetched: &BTreeSet::new() };

    /// Leaves what this run has fetched out of what is downloaded again; an image that is made of one of these, and is not there,
    /// is made of that.
    fn still_refreshed(&self, blueprint: &mut Blueprint, observed: &Observed) {
        let Blueprint { refresh_images, pool, .. } = blueprint;
        let fetched = self.fetched;
        refresh_images.retain(|image| {
            let is_made = observed.has_volume(pool, &image.volume);
            !fetched.contains(image) && (is_made || !fetched.contains(&image.as_it_comes()))
        });
    }

    /// Reports what others have in the way of what is made.
    fn conflicts(
        &self,
        topology: &topology::Topology,
        blueprint: &Blueprint,
        observed: &Observed,
        diags: &mut Diagnostics,
    ) {
        match self.networks {
            true => expand::conflicts(topology, blueprint, observed, diags),
            false => expand::conflicts_of_nodes(blueprint, observed, diags),
        }
    }
}

/// Makes the plan.
pub fn plan(
    world: &World,
    loaded: &Loaded,
    hypervisor: &Hypervisor,
    scope: Scope<'_>,
) -> Result<Planned, Failure> {
    let observed = hypervisor.observed();
    let settings = &loaded.request.settings;
    let mut diags = must_name_nodes(loaded, &observed);
    let refused = |diags| Err(Failure::Input(diags, loaded.sources.clone()));
    let topology = expand::choose(&loaded.request, &observed, &mut diags);
    let Some(topology) = topology.filter(|_| !diags.has_errors()) else { return refused(diags) };
    // Its warnings were shown when the input was checked.
    let mut diags = loaded.diags.fresh();
    let user = &world.environment;
    let (images, read, cloud_init) =
        known_images((user, scope), loaded, (&topology, &observed), hypervisor, &mut diags);
    let key = key(&loaded.workspace, &observed)?;
    let underived = Underived::default();
    let host_keys = |name: &str, uuid, generation| {
        let nothing = || PublicKey::known("ssh-ed25519 none");
        underived.or(key.host_public(name, uuid, generation), nothing)
    };
    let generation = new_generation()?;
    let quiet = emulation::is_known(&topology, &observed);
    let context = Context {
        observed: &observed,
        virt: emulation::virt_type(world, loaded, &hypervisor.facts, quiet),
        images: &images,
        cloud_init: &cloud_init,
        authorized_key: key.public(),
        host_keys: &host_keys,
        generation,
        vnc: &vnc(&topology.settings, &key),
        tag: &|secret| key.tag(secret),
    };
    let mut blueprint = expand::expand(&topology, &context, &mut diags);
    let words = if diags.has_errors() { &[] } else { scope.nodes };
    let aside = narrow(&mut blueprint, words, &context, settings)?;
    let shared = as_shared(&mut blueprint, &observed, &loaded.workspace, user);
    plan::renew(&mut blueprint, &observed, generation, &host_keys);
    underived.none()?;
    plan::place_seeds(&mut blueprint, &observed, &|image| finds_cdrom(user, image, &read));
    scope.still_refreshed(&mut blueprint, &observed);
    blueprint.image_origins = read;
    blueprint.forwarding = forwarding::of(loaded, (&blueprint, shared.is_none()), hypervisor, &key);
    let what = (&blueprint, &observed, scope.all_templates);
    blueprint.templates = starts::templates(world, what, hypervisor)?;
    if !scope.all_templates && !settings.overcommit {
        starts::spare_memory(&mut blueprint, &observed, &capacity(&hypervisor.facts, settings));
    }
    in_the_way(scope, (&topology, &blueprint, &observed), hypervisor, &mut diags)?;
    if diags.has_errors() {
        return refused(diags);
    }
    fits(world, (&blueprint, scope.all_templates), &observed, &hypervisor.facts, settings)?;
    let plan = steps(&blueprint, &observed, &key)?;
    Ok(Planned { blueprint, observed, plan, key, aside, shared, warnings: diags })
}

/// What the topology's words for images mean.
fn known_images(
    (user, scope): (&Environment, Scope<'_>),
    loaded: &Loaded,
    (topology, observed): (&topology::Topology, &Observed),
    hypervisor: &Hypervisor,
    diags: &mut Diagnostics,
) -> (expand::ImageMap, BTreeMap<Image, ImageOrigin>, CloudInit) {
    let pool = expand::pool(topology);
    let recorded = Recorded::of(&hypervisor.facts, &pool);
    let seen = (observed, recorded, loaded.image_place);
    images(user, topology, seen, scope.fetched, diags)
}

/// Reports what others have, and what the hypervisor has not: libvirt is asked where nodes want what not all machines have.
/// One that is not there yet is installed.
fn in_the_way(
    scope: Scope<'_>,
    what: (&topology::Topology, &Blueprint, &Observed),
    hypervisor: &Hypervisor,
    diags: &mut Diagnostics,
) -> Result<(), Failure> {
    starts::seeds_on_disks(what.1, what.2, diags);
    scope.conflicts(what.0, what.1, what.2, diags);
    plan::replaced_in_use(what.1, what.2, diags);
    let asked = abilities::asked(what.1, what.2);
    let Some(server) = hypervisor.libvirt.as_ref().filter(|_| !asked.is_empty()) else {
        return Ok(());
    };
    let failed = |e: LibvirtError| Failure::Failed(e.failed("cannot ask libvirt what it can do"));
    let known = server.abilities(&asked).map_err(failed)?;
    // What is missing, and required, has been or will be installed before.
    let facts = &hypervisor.facts;
    let installed =
        Installed { uefi: !facts.missing_uefi.is_empty(), tpm: !facts.missing_tpm.is_empty() };
    abilities::check(what, (&known, installed), diags);
    Ok(())
}

/// In a workspace that the environment is only shared with, what follows from its secret is as it is recorded; the key that
/// opens the nodes to that.
fn as_shared(
    blueprint: &mut Blueprint,
    observed: &Observed,
    workspace: &Workspace,
    user: &Environment,
) -> Option<PathBuf> {
    let file = identity::way(observed, workspace, user).and_then(Way::shared)?;
    // Secrets of BMCs follow from that secret, too.
    blueprint.bmc_tag = None;
    for node in &mut blueprint.nodes {
        let Some(recorded) = observed.domains.get(&node.name).map(|d| &d.recorded) else {
            continue;
        };
        if node.vnc.external == recorded.vnc.external {
            node.vnc = recorded.vnc.clone();
        }
        // Nobody would serve another one.
        node.bmc = recorded.bmc.clone();
        if let (Some(guest), Some(known)) = (&mut node.guest, &recorded.guest) {
            guest.authorized_key = known.authorized_key.clone();
            guest.host_key = known.host_key.clone();
            guest.generation = known.generation;
            // A digest with that secret: whether what it is of has changed cannot be known here.
            if guest.first_boot.is_some() && known.first_boot.is_some() {
                guest.first_boot = known.first_boot;
                guest.first_boot_parts = known.first_boot_parts.clone();
            }
        }
    }
    Some(file)
}

/// The first host key that could not be derived, if any was. Planning takes keys as it comes to nodes; nothing is made of a
/// plan that lacks one.
#[derive(Default)]
struct Underived(RefCell<Option<KeyError>>);

impl Underived {
    /// A key, or what stands in its place until the mistake is told.
    fn or<T>(&self, derived: Result<T, KeyError>, nothing: impl Fn() -> T) -> T {
        derived.unwrap_or_else(|error| {
            self.0.borrow_mut().get_or_insert(error);
            nothing()
        })
    }

    /// Fails if a key is missing.
    fn none(&self) -> Result<(), Failure> {
        match self.0.borrow_mut().take() {
            None => Ok(()),
            Some(error) => Err(Failure::because("cannot derive the host keys of the nodes", error)),
        }
    }
}

/// The plan that leads from what is there to a blueprint. An extension describes new nodes only, and so cannot make the
/// seed of another node whose first boot does more than set it up.
fn steps(
    blueprint: &Blueprint,
    observed: &Observed,
    key: &EnvironmentKey,
) -> Result<Plan, Failure> {
    let underived = Underived::default();
    let private = |node: &blueprint::Node| {
        let generation = node.guest.as_ref().and_then(|g| g.generation);
        let derived = key.host_private(&node.name, node.uuid, generation);
        underived.or(derived, || Secret::new(""))
    };
    let plan = plan::create(blueprint, observed, &private);
    underived.none()?;
    let unknown = plan::unknown_first_boots(blueprint, &plan);
    if unknown.is_empty() {
        return Ok(plan);
    }
    let message = format!(
        "the seed of `{}` has to be made again, and an extension does not say which packages, files and commands \
         belong to it",
        unknown.join("`, `")
    );
    let error = Diagnostic::error("project::extend", message)
        .help("`maquette up` without `--topology-extend`, with the files that describe all nodes, makes it");
    Err(Failure::input(error))
}

/// The generation of nodes that are made in this run.
fn new_generation() -> Result<u64, Failure> {
    ssh_keys::generation().map_err(|e| Failure::because("cannot make host keys", e))
}

/// Leaves of a blueprint what words name, if there are any; the names of all other nodes.
fn narrow(
    blueprint: &mut Blueprint,
    words: &[String],
    context: &Context<'_>,
    settings: &Settings,
) -> Result<Vec<String>, Failure> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    if settings.extend {
        let error = Diagnostic::error(
            "project::extend",
            "an extension is about its new nodes, and takes no names of others",
        );
        return Err(Failure::input(
            error.help("leave out either `--topology-extend` or the nodes"),
        ));
    }
    let names = nodes::wanted(words, &blueprint.environment, &blueprint.nodes)?;
    let observed = context.observed;
    let all = blueprint.nodes.iter().map(|node| &node.name).chain(observed.domains.keys());
    let aside: BTreeSet<String> =
        all.map(ToString::to_string).filter(|name| !names.contains(name)).collect();
    let whole = std::mem::replace(blueprint, Blueprint::nothing());
    let mut diags = Diagnostics::default();
    *blueprint = expand::narrow(whole, &names, context, &mut diags);
    for (network, others) in plan::entangled(blueprint, observed) {
        let message = format!("network `{network}` has to be made again, and others are on it");
        diags.push(
            Diagnostic::error("node::entangled", message)
                .help(format!("`maquette up` does it for all; on it are: {}", others.join(", "))),
        );
    }
    match diags.has_errors() {
        true => Err(Failure::Input(diags, Sources::default())),
        false => Ok(aside.into_iter().collect()),
    }
}

/// The environment's key, new or kept: the one that its nodes were made with.
fn key(workspace: &Workspace, observed: &Observed) -> Result<EnvironmentKey, Failure> {
    let key = EnvironmentKey::of_workspace(&workspace.path)
        .map_err(|e| Failure::because("cannot use the environment's key", e))?;
    if !observed.guests().any(|(_, guest)| key.lacks_secret_of(guest)) {
        return Ok(key);
    }
    let (name, path) = (ssh_keys::SECRET_FILE, workspace.path.display());
    Err(Failure::Failed(
        StepError::new(format!(
            "the nodes were made with a secret that this workspace does not have: {name}"
        ))
        .hint(format!(
            "copy it into {path} from the workspace that built them; only if nobody has it any \
             more, move {} away as well, and `maquette up` makes the nodes again",
            ssh_keys::KEY_FILE
        )),
    ))
}

/// Where VNC listens, and the password there: everybody on the network could use a server without one.
fn vnc(settings: &Settings, key: &EnvironmentKey) -> blueprint::Vnc {
    let given = settings.vnc_password.clone();
    let password = given.or_else(|| settings.vnc_external.then(|| key.vnc_password()));
    blueprint::Vnc {
        external: settings.vnc_external,
        tag: password.as_ref().map(|p| key.tag(p)),
        password,
    }
}

/// What there is for nodes.
fn capacity<'a>(facts: &'a Facts, settings: &Settings) -> Capacity<'a> {
    Capacity {
        cpus: facts.cpus,
        total_mib: facts.memory_mib,
        available_mib: facts.available_mib,
        reserved_mib: settings.reserve_mib,
        resident_mib: &facts.resident_mib,
    }
}

/// Whether the hypervisor can carry it; only its templates, where no nodes are made.
fn fits(
    world: &World,
    (blueprint, only_templates): (&Blueprint, bool),
    observed: &Observed,
    facts: &Facts,
    settings: &Settings,
) -> Result<(), Failure> {
    let (nodes, templates) = match only_templates {
        true => {
            let nothing = Blueprint { nodes: Vec::new(), ..blueprint.clone() };
            (Cow::Owned(nothing), plan::made_beforehand(blueprint, observed))
        }
        false => (Cow::Borrowed(blueprint), plan::made_for_nodes(blueprint, observed)),
    };
    let capacity = capacity(facts, settings);
    let mut diags = Diagnostics::default();
    let overcommit = settings.overcommit;
    capacity::check(&nodes, observed, &capacity, templates, overcommit, &mut diags);
    if only_templates {
        capacity::check_templates(blueprint, observed, templates, &mut diags);
    }
    finish(world, diags, &Sources::default())
}
