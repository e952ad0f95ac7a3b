//! `maquette up`, and the building part of `maquette virsh`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use maquette_core::blueprint::{Node, Pool};
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan::{Action, Plan, Step};
use maquette_core::syntax::Plain;
use maquette_core::topology::VirtType;
use maquette_engine::StepError;
use maquette_engine::probe;
use maquette_engine::ssh_keys::EnvironmentKey;

use super::{lockout, status};
use crate::cli::{Locking, Wanted};
use crate::consent::{Consent, Kind};
use crate::failure::Failure;
use crate::load::{self, Loaded};
use crate::pipeline::Planned;
use crate::playbooks::settings_tree;
use crate::playbooks::stages::{Stage, Stages};
use crate::session::Hypervisor;
use crate::session::connection::{self, Connection};
use crate::session::run::Runner;
use crate::workspace::outputs;
use crate::workspace::{Owner, Saved, Workspace};
use crate::{pipeline, playbooks, render, session};
use crate::world::World;
use maquette_core::plan::Requirements;

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to build.
    #[command(flatten)]
    pub wanted: Wanted,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
    /// Do not ask before nodes lose their disks
    #[arg(short, long)]
    pub yes: bool,
    /// Do not ask before just that; may be given several times
    #[arg(long, value_name = "WHAT", value_delimiter = ',', env = "MAQUETTE_ACCEPT")]
    pub accept: Vec<Kind>,
    /// How long the first boot of a node may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, env = "MAQUETTE_TIMEOUT")]
    pub timeout: u64,
}

/// How to build.
pub struct How {
    /// Events as JSON lines.
    pub json: bool,
    /// What was agreed to beforehand.
    pub consent: Consent,
    /// How long a first boot may take.
    pub limit: Duration,
    /// What is done at all.
    pub stages: Stages,
    /// What to do if somebody else is changing the environment.
    pub locking: Locking,
}

/// Brings an environment to what is asked for.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let mut loaded = load::wanted(&args.wanted)?;
    let requirements = pipeline::check(world, &mut loaded)?;
    let mut vars = Plain::map();
    // Mistakes in it were found when it was read as a topology.
    let _ = settings_tree::extra(&mut vars, args.wanted.flags.0.texts("extra-vars"));
    let hooks = playbooks::Hooks::read(&loaded.request, &vars, &[])?;
    let stages = Stages::all().without(hooks.replaced());
    let limit = Duration::from_secs(args.timeout);
    let how = How {
        json: args.json,
        consent: Consent::new(args.yes, &args.accept, args.json).hint("or `--yes`"),
        limit,
        stages,
        locking: args.locking,
    };
    let connection = connection::open(world, &loaded.host, &loaded.workspace)?;
    build(world, &loaded, &requirements, &connection, hooks, &how)?;
    Ok(0)
}

/// Prepares the hypervisor, builds, and says what there is now.
pub fn build(
    world: &World,
    loaded: &Loaded,
    requirements: &Requirements,
    connection: &Connection,
    mut hooks: playbooks::Hooks,
    how: &How,
) -> Result<(), Failure> {
    let environment = &loaded.request.settings.environment;
    let workspace = &loaded.workspace;
    let authorities = session::authorities::authorities(&loaded.request.settings.tls_ca)?;
    let mut runner = Runner::new(world, how.json, connection, workspace, how.limit)?;
    runner.images(loaded.request.settings.force_image_download, authorities);

    runner.lock(environment, "up", how.locking)?;
    save(loaded, connection)?;
    if hooks.any() && !outputs::is_built(workspace) {
        outputs::write(workspace, &[], connection.remote.as_ref()).map_err(unwritten)?;
    }
    hooks.run(world, Stage::Pre, workspace)?;
    hooks.run(world, Stage::Validate, workspace)?;
    let Agreed { mut hypervisor, planned, plan } =
        agree(world, loaded, requirements, connection, &hooks, &mut runner, how)?;
    let Planned { blueprint, observed, key, .. } = planned;
    remember(workspace, loaded)?;
    runner.seal(key.records());
    // Without the stage that makes nodes, those that are there are the environment's.
    let nodes: Vec<&Node> = match how.stages.has(Stage::Vms) || hooks.replaces(Stage::Vms) {
        true => blueprint.nodes.iter().collect(),
        false => observed.domains.values().map(|d| &d.recorded).collect(),
    };
    write(workspace, &nodes, &key, connection)?;
    hooks.know(&nodes);
    let vnc = blueprint.nodes.first().map(|n| n.vnc.clone()).unwrap_or_default();
    outputs::write_vnc_password(workspace, vnc.password.as_ref()).map_err(unwritten)?;

    let virt = blueprint.nodes.first().map_or(VirtType::Qemu, |n| n.virt);
    let libvirt = hypervisor.libvirt.clone();
    if hooks.replaces(Stage::Networks) || hooks.replaces(Stage::Vms) {
        // The user's playbooks stand between our own steps.
        let (networks, rest) = split(plan.clone());
        runner.run(&networks, &hypervisor.facts, virt, libvirt.as_ref())?;
        runner.still_ours()?;
        hooks.run(world, Stage::Networks, workspace)?;
        runner.run(&rest, &hypervisor.facts, virt, libvirt.as_ref())?;
        runner.still_ours()?;
        hooks.run(world, Stage::Vms, workspace)?;
    } else if !plan.is_empty() {
        runner.run(&plan, &hypervisor.facts, virt, libvirt.as_ref())?;
    }
    // What a node got from somebody on the LAN is known only now.
    let mut after = None;
    let unknown = |n: &&Node| n.guest.is_some() && n.access.address.is_none();
    if !plan.is_empty() && nodes.iter().any(unknown) {
        let found = now(&plan, &observed, &mut hypervisor, loaded, connection)?;
        let known: Vec<&Node> = found.domains.values().map(|d| &d.recorded).collect();
        write(workspace, &known, &key, connection)?;
        after = Some(found);
    }
    for stage in [Stage::User, Stage::Timezone, Stage::Post] {
        runner.still_ours()?;
        hooks.run(world, stage, workspace)?;
    }
    if !how.json {
        let uptime = if plan.is_empty() {
            hypervisor.facts.uptime_s.clone()
        } else {
            // It was asked before nodes were started.
            BTreeMap::new()
        };
        let now = match after {
            Some(found) => found,
            None => now(&plan, &observed, &mut hypervisor, loaded, connection)?,
        };
        world.terminal.result(&status::text(environment, &now, &uptime, workspace));
        if vnc.external {
            let file = workspace.file(outputs::VNC_PASSWORD);
            let file = file.display();
            world.terminal.talk(&format!(
                "VNC listens on all addresses; `maquette status --json` has the ports, {file} the password"
            ));
        }
    }
    Ok(())
}

/// What will be done, planned under the locks that are held from then on.
struct Agreed {
    hypervisor: Hypervisor,
    planned: Planned,
    plan: Plan,
}

/// Prepares and plans, and asks what has to be asked. Nobody has to wait for the answer: nothing is locked
/// meanwhile, and it is looked and planned again after it. What comes up only then is asked as well.
fn agree(
    world: &World,
    loaded: &Loaded,
    requirements: &Requirements,
    connection: &Connection,
    hooks: &playbooks::Hooks,
    runner: &mut Runner<'_>,
    how: &How,
) -> Result<Agreed, Failure> {
    let environment = &loaded.request.settings.environment;
    let (mut prepared, mut shown, mut agreed) = (false, None, BTreeSet::new());
    loop {
        let (hypervisor, now) =
            prepare(world, connection, environment, &loaded.pool(), requirements, runner, how)?;
        prepared |= now;
        if shown.is_none() {
            hooks.run(world, Stage::Prepare, &loaded.workspace)?;
        }
        // From here on it would not be true that nothing was touched.
        let honest = |failure: Failure| match (prepared, hooks.any()) {
            (true, _) => failure
                .after("the hypervisor was prepared as shown above, and nothing else was changed"),
            (false, true) => failure.after("your playbooks have run, and nothing else was changed"),
            (false, false) => failure,
        };
        let own = how.stages.has(Stage::Networks);
        let planned = pipeline::plan(world, loaded, &hypervisor, own).map_err(honest)?;
        let plan = how.stages.part(planned.plan.clone());
        if !plan.steps.iter().any(|s| matches!(s.action, Action::DefineNetwork { .. })) {
            runner.unlock_hypervisor();
        }
        let text =
            render::plan(&plan, &format!("environment `{environment}` on {}", connection.label));
        let lockout = lockout::find(&planned.observed, &planned.key).filter(|_| !plan.is_empty());
        if shown.as_ref() != Some(&text) {
            if !how.json {
                world.terminal.talk(text.trim_end());
            }
            if let Some(lockout) = &lockout {
                world.terminal.talk(&lockout.text(environment, &loaded.workspace));
            }
            shown = Some(text);
        }
        let open = questions(&plan, lockout.is_some(), &how.consent, &agreed);
        if open.is_empty() {
            return Ok(Agreed { hypervisor, planned, plan });
        }
        drop(hypervisor);
        runner.unlock();
        for question in open {
            how.consent.ask(world, question.kind, &question.what).map_err(honest)?;
            agreed.extend(question.about.into_iter().map(|what| (question.kind, what)));
        }
        // Who has it by now is not ended for our having waited.
        let locking = Locking { take_over: false, ..how.locking };
        runner.lock(environment, "up", locking).map_err(honest)?;
    }
}

fn unwritten(error: std::io::Error) -> Failure {
    Failure::because("cannot write the workspace", &error)
}

/// Has the workspace remember where its environment is, before anything is built.
fn save(loaded: &Loaded, connection: &Connection) -> Result<(), Failure> {
    let settings = &loaded.request.settings;
    let mut host = loaded.host.clone();
    if let Some(remote) = &connection.remote {
        host.user = Some(remote.target.user.clone());
        host.key = remote.target.key.clone();
    }
    let workspace = &loaded.workspace;
    let before = workspace.saved().unwrap_or_default();
    let saved = Saved {
        prefix: settings.environment.prefix().map(String::from),
        host,
        pool_name: Some(settings.pool_name.clone()),
        pool_path: Some(settings.pool_path.clone()),
        owner: before.owner,
        opens: before.opens,
    };
    workspace.create().and_then(|()| workspace.save(&saved)).map_err(unwritten)
}

/// Has the workspace remember which environment its outputs and its key belong to.
fn remember(workspace: &Workspace, loaded: &Loaded) -> Result<(), Failure> {
    let owner = Owner::new(&loaded.request.settings.environment, &loaded.host);
    workspace.claim(&owner).map_err(unwritten)
}

/// Shows what the hypervisor lacks and does it, and says whether it did; looks again afterwards.
fn prepare(
    world: &World,
    connection: &Connection,
    environment: &maquette_core::names::EnvName,
    pool: &Pool,
    requirements: &Requirements,
    runner: &mut Runner<'_>,
    how: &How,
) -> Result<(Hypervisor, bool), Failure> {
    let mut hypervisor = session::hypervisor(world, connection, environment, pool, requirements)?;
    let fresh = hypervisor.seen.as_ref().is_none_or(|s| s.observed.networks.is_empty());
    if fresh || !hypervisor.preparation.is_empty() {
        runner.lock_hypervisor("up")?;
        // Somebody else may have prepared it, or have chosen subnets, a moment ago.
        hypervisor = session::hypervisor(world, connection, environment, pool, requirements)?;
    }
    if !how.stages.has(Stage::Prepare) || hypervisor.preparation.is_empty() {
        return Ok((hypervisor, false));
    }
    if !how.json {
        let title = session::title(&hypervisor.facts);
        world.terminal.talk(render::plan(&hypervisor.preparation, &title).trim_end());
    }
    let libvirt = hypervisor.libvirt.as_ref();
    runner.run(&hypervisor.preparation, &hypervisor.facts, VirtType::Qemu, libvirt)?;
    let prepared = session::hypervisor(world, connection, environment, pool, requirements)?;
    if prepared.preparation.is_empty() {
        return Ok((prepared, true));
    }
    // A preparation that changes nothing would otherwise be tried for ever.
    let what: Vec<&str> = prepared.preparation.changes.iter().map(|c| c.name.as_str()).collect();
    Err(Failure::Failed(
        StepError::new(format!("the hypervisor is still not ready: {}", what.join(", ")))
            .hint("`journalctl -u libvirtd`, or libvirt's log, may say why"),
    ))
}

/// All is known beforehand; and readiness is checked with this very configuration.
fn write(
    workspace: &Workspace,
    nodes: &[&Node],
    key: &EnvironmentKey,
    connection: &Connection,
) -> Result<(), Failure> {
    workspace.create().map_err(unwritten)?;
    key.write(&workspace.path).map_err(|e| Failure::because("cannot write the workspace", &e))?;
    outputs::write(workspace, nodes, connection.remote.as_ref()).map_err(unwritten)
}

/// The steps that concern networks, and the others.
fn split(plan: Plan) -> (Plan, Plan) {
    let network = |a: &Action| Stage::of(a) == Stage::Networks;
    let networks = plan.clone().only(network, |kind| kind == ObjectKind::Network);
    (networks, plan.only(|a| !network(a), |kind| kind != ObjectKind::Network))
}

/// What there is after the run; if there was nothing to do, what there was before it.
fn now(
    plan: &Plan,
    observed: &Observed,
    hypervisor: &mut Hypervisor,
    loaded: &Loaded,
    connection: &Connection,
) -> Result<Observed, Failure> {
    if plan.is_empty() {
        return Ok(observed.clone());
    }
    // Interfaces of the hypervisor's are others now.
    let bridges =
        |s: &Step| matches!(s.action, Action::BridgeNic { .. } | Action::MakeVswitch { .. });
    if plan.steps.iter().any(bridges) {
        hypervisor.facts = probe::gather(connection.host.as_ref(), connection.reach())
            .map_err(|e| Failure::because("cannot look at the hypervisor", &e))?;
    }
    let settings = &loaded.request.settings;
    session::look(hypervisor, &settings.environment, &settings.pool_name)
}

/// Something that wants to be agreed to.
struct Question {
    kind: Kind,
    what: String,
    /// What it is about, one by one.
    about: Vec<String>,
}

/// What has not been agreed to: that nodes lose their disks, and that a NIC that nobody named is put into a
/// bridge. Two questions, since they are two things.
fn questions(
    plan: &Plan,
    lockout: bool,
    consent: &Consent,
    agreed: &BTreeSet<(Kind, String)>,
) -> Vec<Question> {
    let why = if lockout { ", since this workspace has no key to them" } else { "" };
    let losses = plan.losses();
    let lost = Question {
        kind: Kind::LoseDisks,
        what: format!("remove {}{why}", lost(&losses)),
        about: losses,
    };
    let bridged = plan.chosen_nics().into_iter().map(|nic| Question {
        kind: Kind::BridgeDefaultNic,
        what: format!("put {nic}, the hypervisor's way out, into a bridge"),
        about: vec![nic.into()],
    });
    let is_open = |q: &Question| {
        let new = |what: &String| !agreed.contains(&(q.kind, what.clone()));
        q.about.iter().any(new) && !consent.has(q.kind)
    };
    std::iter::once(lost).chain(bridged).filter(is_open).collect()
}

/// Nodes lose all of their disks; others lose one.
fn lost(losses: &[String]) -> String {
    let (volumes, nodes): (Vec<&str>, Vec<&str>) =
        losses.iter().map(String::as_str).partition(|l| l.starts_with("volume "));
    let nodes = (!nodes.is_empty()).then(|| format!("the disks of {}", nodes.join(", ")));
    let volumes = (!volumes.is_empty()).then(|| volumes.join(", "));
    nodes.into_iter().chain(volumes).collect::<Vec<_>>().join(" and ")
}
