//! Brings an environment to what is asked for: what `maquette up` and `maquette virsh` do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use maquette_core::blueprint::{Image, Node};
use maquette_core::names::EnvName;
use maquette_core::node_state::Evidence;
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Action, Change, Op, Plan, Requirements, Step};
use maquette_engine::StepError;

use super::questions::questions;
use super::renewal::Renewal;
use super::{answering, overview};
use crate::cli::Locking;
use crate::consent::{Consent, Kind};
use crate::failure::{Failure, PREPARED};
use crate::load::Loaded;
use crate::pipeline::{Planned, Scope};
use crate::playbooks::stages::{Stage, Stages};
use crate::session::lockout::{self, Lockout};
use crate::session::{Ask, Hypervisor, Interfaces, Session};
use crate::session::{elsewhere, entry};
use crate::workspace::identity::{self, Way};
use crate::workspace::outputs;
use crate::world::World;
use crate::{pipeline, playbooks, render};

/// How to build.
pub struct How {
    /// The nodes it is about, in the user's words; all of them if there are none.
    pub nodes: Vec<String>,
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
    /// Who else signs what is downloaded.
    pub authorities: Option<String>,
}

impl How {
    /// About all nodes, with events for people.
    pub fn of_all(
        consent: Consent,
        limit: Duration,
        stages: Stages,
        locking: Locking,
        authorities: Option<String>,
    ) -> Self {
        Self { nodes: Vec::new(), json: false, consent, limit, stages, locking, authorities }
    }
}

/// Prepares the hypervisor, builds, and says what there is now.
pub fn build(
    world: &World,
    loaded: &Loaded,
    requirements: &Requirements,
    session: &mut Session<'_>,
    hooks: playbooks::Hooks,
    how: &How,
) -> Result<(), Failure> {
    session.prepare_runs(how.json, how.limit)?;
    let mut building = Building {
        world,
        loaded,
        requirements: requirements.clone(),
        session,
        how,
        hooks,
        expires: None,
        agreed: BTreeSet::new(),
        fetched: BTreeSet::new(),
        hooked: false,
        bridged: false,
    };
    let done = building.build();
    // What follows is another command's, in InfraRed's words: it is nobody's business to wait for that.
    session.unlock();
    done
}

/// Stages whose playbooks run before anything is built, and find in the workspace where the environment will be.
const EARLY: &[Stage] = &[Stage::Pre, Stage::Validate, Stage::Prepare];

/// How often it is planned again for what images were found to be, which is the last time unless somebody takes them away.
const ROUNDS: usize = 3;

/// What will be done, planned under the locks that are held from then on.
struct Agreed {
    hypervisor: Arc<Hypervisor>,
    planned: Planned,
    plan: Plan,
}

/// An environment that is being built.
struct Building<'a, 'w> {
    world: &'a World,
    loaded: &'a Loaded,
    requirements: Requirements,
    session: &'a mut Session<'w>,
    how: &'a How,
    hooks: playbooks::Hooks,
    /// When it expires, in words.
    expires: Option<String>,
    /// What was agreed to, and what each is about.
    agreed: BTreeSet<(Kind, String)>,
    /// Images that were fetched to find out what they are: if there are any, it is planned again.
    fetched: BTreeSet<Image>,
    /// Whether the playbooks have run that come before planning.
    hooked: bool,
    /// Whether interfaces of the hypervisor's were changed before what is left of the plan.
    bridged: bool,
}

impl Building<'_, '_> {
    fn build(&mut self) -> Result<(), Failure> {
        let workspace = &self.loaded.workspace;
        let before = workspace.saved().filter(|_| self.hooks.has(EARLY));
        let agreed = self.begin().and_then(|()| self.agree());
        let agreed = agreed.or_else(|failure| {
            // Which hypervisor is meant by whoever names none is as before.
            before
                .map_or(Ok(()), |saved| workspace.save(&saved))
                .map_err(|e| workspace.unwritten(e))?;
            Err(failure)
        })?;
        let agreed = self.looked_into(agreed)?;
        self.carry_out(&agreed)?;
        let nodes = self.nodes(&agreed);
        let after = self.learn(&agreed, &nodes)?;
        for stage in [Stage::User, Stage::Timezone, Stage::Post] {
            self.session.still_ours()?;
            self.hook(stage)?;
        }
        self.tell(&agreed, after)
    }

    /// Records what will be. Where it matters for the rest whether an image has cloud-init, images are fetched first, beside
    /// making networks, for which others wait; and where one has none, the rest is planned again.
    fn looked_into(&mut self, mut agreed: Agreed) -> Result<Agreed, Failure> {
        for _ in 0..ROUNDS {
            self.record(&agreed)?;
            if let Some(node) = agreed.planned.blueprint.nodes.first() {
                self.session.starts(node.virt);
            }
            let doubted = &agreed.planned.blueprint.looked_into;
            let fetched = agreed.plan.steps.iter().filter_map(|step| fetched(&step.action));
            let fetched: BTreeSet<Image> = fetched.cloned().collect();
            let looked = doubted.intersection(&fetched).map(Image::shown);
            let looked: BTreeSet<String> = looked.collect();
            if looked.is_empty() {
                return Ok(agreed);
            }
            // Playbooks in the place of networks come before nodes, and networks note of whom an extension is.
            let replaced = self.hooks.replaces(Stage::Networks) || self.hooks.replaces(Stage::Vms);
            let waits = replaced || self.loaded.request.settings.extend;
            let is_network = |a: &Action| !waits && Stage::of(a) == Stage::Networks;
            let is_early = |a: &Action| is_network(a) || matches!(a, Action::FetchImage { .. });
            let (first, rest) = agreed.plan.clone().parted(is_early);
            self.bridged |= changes_interfaces(&first);
            self.session.run(&first)?;
            self.fetched.extend(fetched);
            let mut lacking = self.session.without_cloud_init();
            lacking.retain(|image| looked.contains(image));
            if lacking.is_empty() {
                return Ok(Agreed { plan: rest, ..agreed });
            }
            for image in lacking {
                let text =
                    format!("image {image} has no cloud-init: what is left is planned again");
                self.world.terminal.talk(&text);
            }
            self.session.unlock_hypervisor();
            agreed = self.agree()?;
        }
        let error = StepError::new("images are removed or changed while they are looked into");
        Err(Failure::Failed(error.hint("run the same command again once nobody does that")))
    }

    fn environment(&self) -> &EnvName {
        &self.loaded.request.settings.environment
    }

    fn hook(&self, stage: Stage) -> Result<(), Failure> {
        self.hooks.run(self.world, stage, &self.loaded.workspace)
    }

    /// Takes the environment, and runs what comes before all else: playbooks find in the workspace where it is.
    fn begin(&mut self) -> Result<(), Failure> {
        self.session.lock("up", self.how.locking)?;
        if self.session.connection.records.is_none() {
            self.must_have_built()?;
        }
        let connection = &self.session.connection;
        let workspace = &self.loaded.workspace;
        if self.hooks.has(EARLY) {
            entry::save(&self.session.located, connection)?;
        }
        if self.hooks.has(EARLY) && !outputs::is_built(workspace) {
            entry::write(&self.session.located, &[], None, connection)?;
        }
        self.hook(Stage::Pre)?;
        self.hook(Stage::Validate)
    }

    /// Prepares nothing and runs no playbooks for what another workspace built and only that one changes.
    fn must_have_built(&mut self) -> Result<(), Failure> {
        let hypervisor = self.session.prepared_for(&self.requirements)?;
        let (workspace, user) = (&self.loaded.workspace, &self.world.environment);
        let way = identity::way(&hypervisor.observed(), workspace, user);
        if !matches!(way, Some(Way::Shared(_))) {
            return Ok(());
        }
        let planned = self.planned(&hypervisor)?;
        match planned.plan.is_empty() {
            true => Ok(()),
            false => Err(planned.only_shared()),
        }
    }

    /// Plans what is asked for.
    fn planned(&self, hypervisor: &Hypervisor) -> Result<Planned, Failure> {
        let networks = self.how.stages.has(Stage::Networks);
        if !networks {
            self.session.tell_left_overs();
        }
        let (nodes, fetched) = (&self.how.nodes, &self.fetched);
        let scope = Scope { nodes, networks, fetched, ..Scope::USUAL };
        let mut planned = pipeline::plan(self.world, self.loaded, hypervisor, scope)?;
        entry::told_apart(&planned.blueprint.nodes, &self.session.connection)?;
        let connection = &self.session.connection;
        planned.objections(connection.host.as_ref())?;
        planned.plan = self.how.stages.part(planned.plan);
        // What is planned again is asked about then.
        if planned.needs_besides(&self.requirements).is_none() {
            planned.ask_servers(self.world, connection, self.how.authorities.as_deref())?;
        }
        Ok(planned)
    }

    /// Prepares and plans, and asks what has to be asked. Nobody has to wait for the answer: nothing is
    /// locked meanwhile, and it is looked and planned again after it. What comes up only then is asked as
    /// well.
    fn agree(&mut self) -> Result<Agreed, Failure> {
        let (mut prepared, mut shown, again) = (false, None, !self.fetched.is_empty());
        loop {
            let played = self.hooks.has(&[Stage::Pre, Stage::Validate]);
            let honest = |failure, prepared, played| honest(failure, (prepared, again), played);
            let (hypervisor, now) = self.prepare().map_err(|e| honest(e, prepared, played))?;
            prepared |= now;
            if !std::mem::replace(&mut self.hooked, true) {
                self.hook(Stage::Prepare)?;
            }
            let played = self.hooks.has(EARLY);
            let honest = |failure| honest(failure, prepared, played);
            let planned = self.planned(&hypervisor).map_err(honest)?;
            if let Some(more) = planned.needs_besides(&self.requirements) {
                self.requirements = more;
                self.session.unlock_hypervisor();
                continue;
            }
            if shown.is_none() && !again {
                planned.warn(self.world, self.loaded);
                elsewhere::warn(self.world, &self.session.located, &planned.plan);
            }
            let mut plan = planned.plan.clone();
            if !plan.steps.iter().any(|s| matches!(s.action, Action::DefineNetwork { .. })) {
                self.session.unlock_hypervisor();
            }
            if planned.shared.is_some() && !plan.is_empty() {
                return Err(honest(planned.only_shared()));
            }
            let user = &self.world.environment;
            let lockout = lockout::of(&planned.observed, &self.loaded.workspace, user);
            let lockout = lockout.filter(|_| !plan.is_empty());
            if planned.shared.is_none() && lockout.is_none() && self.how.stages.has(Stage::Vms) {
                let silent = self.silent(&planned, &plan)?;
                plan.wait_for(&planned.observed, &silent);
            }
            self.show(&plan, planned.rest(), lockout.as_ref(), &mut shown);
            let sooner = self.renewal(&hypervisor, &planned)?;
            let sooner = sooner.and_then(|renewal| renewal.sooner(self.environment()));
            let what = (&plan, &planned.observed);
            let open =
                questions(what, lockout.is_some(), sooner, (&self.how.consent, &self.agreed));
            if open.is_empty() {
                return Ok(Agreed { hypervisor, planned, plan });
            }
            drop(hypervisor);
            self.session.unlock();
            for question in open {
                let asked = self.how.consent.ask(self.world, question.kind, &question.what);
                asked.map_err(honest)?;
                self.agreed.extend(question.about.into_iter().map(|what| (question.kind, what)));
            }
            // Who has it by now is not ended for our having waited.
            let locking = Locking { take_over: false, ..self.how.locking };
            self.session.lock("up", locking).map_err(honest)?;
        }
    }

    /// What becomes of how long it lasts; none in a workspace that it is only shared with.
    fn renewal(
        &self,
        hypervisor: &Hypervisor,
        planned: &Planned,
    ) -> Result<Option<Renewal>, Failure> {
        let (settings, exists) = (&self.loaded.request.settings, planned.observed.exists());
        let ours = planned.shared.is_none();
        ours.then(|| Renewal::of_up(settings, &hypervisor.facts, exists)).transpose()
    }

    /// Those of the nodes that stay as they are that do not answer, and can be waited for.
    fn silent(&self, planned: &Planned, plan: &Plan) -> Result<BTreeSet<String>, Failure> {
        let kept = |c: &&Change| c.kind == ObjectKind::Domain && c.op == Op::Keep;
        let kept = plan.changes.iter().filter(kept).map(|c| c.name.as_str());
        let kept: BTreeSet<&str> = kept.filter(|name| !planned.is_aside(name)).collect();
        let mut asked = planned.observed.clone();
        asked.domains.retain(|name, _| kept.contains(name.as_str()));
        let found = self.session.evidence(&asked, Ask::Nodes)?;
        Ok(answering::silent(&asked, &found))
    }

    /// Shows a plan that was not shown before.
    fn show(
        &self,
        plan: &Plan,
        rest: Option<String>,
        lockout: Option<&Lockout>,
        shown: &mut Option<render::Painted>,
    ) {
        let width = self.world.terminal.talk_width();
        let text = render::plan(plan, &self.session.title(), width);
        if shown.as_ref() == Some(&text) {
            return;
        }
        if !self.how.json {
            self.world.terminal.painted_talk(&text);
            rest.iter().for_each(|rest| self.world.terminal.talk(rest));
        }
        if let Some(lockout) = lockout {
            self.world.terminal.talk(&lockout.text(self.environment(), &self.loaded.workspace));
        }
        let is_new = |c: &Change| matches!(c.op, Op::Create | Op::Replace);
        let is_new_node = |c: &Change| c.kind == ObjectKind::Domain && is_new(c);
        let is_imported = || self.loaded.workspace.saved().is_some_and(|saved| saved.imported);
        if plan.changes.iter().any(is_new_node) && is_imported() {
            let text = "note: this workspace was imported: whoever has had its archive has the keys to nodes that are made here";
            self.world.terminal.talk(text);
        }
        *shown = Some(text);
    }

    /// Shows what the hypervisor lacks and does it, and says whether it did; looks again afterwards.
    fn prepare(&mut self) -> Result<(Arc<Hypervisor>, bool), Failure> {
        let (session, requirements) = (&mut *self.session, &self.requirements);
        let mut hypervisor = session.prepared_for(requirements)?;
        let fresh = hypervisor.seen.as_ref().is_none_or(|s| s.observed.networks.is_empty());
        if fresh || !hypervisor.preparation.is_empty() {
            session.lock_hypervisor("up")?;
            // Somebody else may have prepared it, or have chosen subnets, a moment ago.
            hypervisor = session.prepared_for(requirements)?;
        }
        if !self.how.stages.has(Stage::Prepare) || hypervisor.preparation.is_empty() {
            return Ok((hypervisor, false));
        }
        if !self.how.json {
            self.world.terminal.plan(&hypervisor.preparation, &hypervisor.title());
        }
        session.run(&hypervisor.preparation)?;
        let prepared = session.prepared_for(requirements).map_err(|e| e.after(PREPARED))?;
        if prepared.preparation.is_empty() {
            return Ok((prepared, true));
        }
        // A preparation that changes nothing would otherwise be tried for ever.
        let changes = &prepared.preparation.changes;
        let what: Vec<&str> = changes.iter().map(|c| c.name.as_str()).collect();
        Err(Failure::Failed(
            StepError::new(format!("the hypervisor is still not ready: {}", what.join(", ")))
                .hint("`journalctl -u libvirtd`, or libvirt's log, may say why"),
        ))
    }

    /// The environment's nodes; without the stage that makes them, those that exist already.
    fn nodes<'p>(&self, agreed: &'p Agreed) -> Vec<&'p Node> {
        let Planned { blueprint, observed, .. } = &agreed.planned;
        match self.how.stages.has(Stage::Vms) || self.hooks.replaces(Stage::Vms) {
            true => blueprint.nodes.iter().collect(),
            false => observed.domains.values().map(|d| &d.recorded).collect(),
        }
    }

    /// Writes the outputs: all is known before anything is built.
    fn record(&mut self, agreed: &Agreed) -> Result<(), Failure> {
        let Planned { blueprint, key, .. } = &agreed.planned;
        let nodes = &self.nodes(agreed);
        self.session.fetch(!blueprint.refresh_images.is_empty(), self.how.authorities.clone());
        let workspace = &self.loaded.workspace;
        let shared = agreed.planned.shared.as_deref();
        if shared.is_none() {
            // First of all: another run may have written the key of another environment there.
            workspace.create().map_err(|e| workspace.unwritten(e))?;
            key.write(&workspace.path).map_err(|e| workspace.unwritten(e))?;
        }
        entry::save(&self.session.located, &self.session.connection)?;
        entry::remember(&self.session.located)?;
        entry::remember_project(&self.session.located)?;
        if shared.is_none() {
            if self.fetched.is_empty() {
                self.lifetime(agreed)?;
            }
            self.session.seal(key.records());
            outputs::write_bmc_credentials(workspace, &blueprint.bmc_credentials)
                .map_err(|e| workspace.unwritten(e))?;
        }
        // Readiness is checked with this very configuration.
        entry::write(&self.session.located, nodes, shared, &self.session.connection)?;
        self.hooks.know(nodes);
        let password = blueprint.nodes.iter().find_map(|n| n.vnc.password.as_ref());
        outputs::write_vnc_password(workspace, password).map_err(|e| workspace.unwritten(e))
    }

    /// Notes until when it lasts and whose it is, before anything is made that would have to go by itself.
    fn lifetime(&mut self, agreed: &Agreed) -> Result<(), Failure> {
        let Agreed { hypervisor, planned, .. } = agreed;
        let Some(renewal) = self.renewal(hypervisor, planned)? else { return Ok(()) };
        let environment = &self.loaded.request.settings.environment;
        let noted = hypervisor.facts.lifetimes.get(environment).cloned().unwrap_or_default();
        let lifetime = &renewal.next;
        if *lifetime != noted {
            self.session.note(environment, lifetime)?;
        }
        let workspace = &self.loaded.workspace;
        outputs::write_lifetime(workspace, environment, lifetime)
            .map_err(|e| workspace.unwritten(e))?;
        if self.how.json && (*lifetime != noted || !lifetime.is_empty()) {
            self.world.terminal.result(&render::lifetime_event(environment, lifetime).to_string());
        }
        if let Some(why) = renewal.passed_over(environment).filter(|_| !self.how.json) {
            self.world.terminal.talk(&why);
        }
        let removed = hypervisor.facts.expiry.is_some();
        self.expires =
            render::lifetime_line(&environment.to_string(), lifetime, renewal.now_s, removed);
        Ok(())
    }

    /// Does what is planned. The user's playbooks may stand between our own steps.
    fn carry_out(&mut self, agreed: &Agreed) -> Result<(), Failure> {
        let Agreed { plan, .. } = agreed;
        if self.hooks.replaces(Stage::Networks) || self.hooks.replaces(Stage::Vms) {
            let (networks, rest) = split(plan.clone());
            for (part, stage) in [(networks, Stage::Networks), (rest, Stage::Vms)] {
                self.session.run(&part)?;
                self.session.still_ours()?;
                self.hook(stage)?;
            }
        } else if !plan.is_empty() {
            self.session.run(plan)?;
        }
        Ok(())
    }

    /// What a node got from somebody on the LAN is known only now, and is written then.
    fn learn(&self, agreed: &Agreed, nodes: &[&Node]) -> Result<Option<Observed>, Failure> {
        let unknown = |n: &&Node| n.guest.is_some() && n.access.address.is_none();
        if agreed.plan.is_empty() || !nodes.iter().any(unknown) {
            return Ok(None);
        }
        let found = self.now(agreed)?;
        let known: Vec<&Node> = found.domains.values().map(|d| &d.recorded).collect();
        entry::write(&self.session.located, &known, None, &self.session.connection)?;
        Ok(Some(found))
    }

    /// What there is after the run; if there was nothing to do, what there was before it.
    fn now(&self, agreed: &Agreed) -> Result<Observed, Failure> {
        let Agreed { planned, plan, .. } = agreed;
        if plan.is_empty() {
            return Ok(planned.observed.clone());
        }
        // Interfaces of the hypervisor's are others now.
        self.session.look_again(match self.bridged || changes_interfaces(plan) {
            true => Interfaces::Changed,
            false => Interfaces::AsBefore,
        })
    }

    /// Says what there is, and how it is reached. Nodes that do not answer make a run fail, but for those that it left
    /// as they are.
    fn tell(&self, agreed: &Agreed, after: Option<Observed>) -> Result<(), Failure> {
        let Agreed { hypervisor, planned, plan } = agreed;
        // For how long they run and whether they answer are two questions, asked at once.
        let (uptime, found) = std::thread::scope(|scope| {
            let uptime = scope.spawn(|| match plan.is_empty() {
                true => Ok(hypervisor.facts.uptime_s.clone()),
                // It was asked before nodes were started.
                false => self.session.uptimes(),
            });
            let asked = || {
                let now = after.map_or_else(|| self.now(agreed), Ok)?;
                let evidence = self.session.evidence_at(&now, &BTreeMap::new(), Ask::Nodes)?;
                Ok::<_, Failure>((now, evidence))
            };
            let found = asked();
            (uptime.join(), found)
        });
        let (mut now, mut evidence) = found?;
        for (name, seconds) in uptime.unwrap_or_else(|_| Ok(BTreeMap::new()))? {
            evidence.entry(name).or_default().uptime_s = Some(seconds);
        }
        if !self.how.json {
            self.show_nodes(planned, &now, &evidence);
        }
        now.domains.retain(|name, _| !planned.is_aside(name.as_str()));
        answering::moved(&now, &evidence).iter().for_each(|line| self.world.terminal.talk(line));
        let failed = answering::failed(&now, &evidence);
        let Some(mut error) = failed.filter(|_| self.how.stages.has(Stage::Vms)) else {
            if !self.how.json && !plan.is_empty() {
                let left = plan::left_to_guests(plan, &planned.observed);
                left.iter().for_each(|line| self.world.terminal.talk(line));
                planned.advise(self.world);
            }
            return Ok(());
        };
        if !self.how.json {
            // They are said below the table.
            error.causes.clear();
        }
        Err(Failure::Failed(error))
    }

    /// The table of nodes, and what belongs below it.
    fn show_nodes(&self, planned: &Planned, now: &Observed, evidence: &BTreeMap<String, Evidence>) {
        let workspace = &self.loaded.workspace;
        let terminal = &self.world.terminal;
        let place = (workspace, &self.world.environment);
        terminal.advice(&overview::text(self.environment(), (now, None), evidence, place));
        self.expires.iter().for_each(|line| terminal.result(line));
        if planned.blueprint.nodes.first().is_some_and(|n| n.vnc.external) {
            let file = workspace.file(outputs::VNC_PASSWORD);
            let file = file.display();
            terminal.talk(&format!(
                "VNC listens on all addresses; `maquette status --json` has the ports, {file} the password"
            ));
        }
    }
}

/// The image that a step fetches.
fn fetched(action: &Action) -> Option<&Image> {
    match action {
        Action::FetchImage { image, .. } => Some(image),
        _ => None,
    }
}

/// Whether interfaces of the hypervisor's are others after a plan.
fn changes_interfaces(plan: &Plan) -> bool {
    let changes =
        |s: &Step| matches!(s.action, Action::BridgeNic { .. } | Action::MakeVswitch { .. });
    plan.steps.iter().any(changes)
}

/// A failure that does not say that nothing was touched where that would not be true any more.
fn honest(failure: Failure, (prepared, fetched): (bool, bool), played: bool) -> Failure {
    match (prepared, fetched, played) {
        (_, true, _) => {
            failure.after("what is shown as done above was done, and nothing else was changed")
        }
        (true, false, _) => failure.after(PREPARED),
        (false, false, true) => {
            failure.after("your playbooks have run, and nothing else was changed")
        }
        (false, false, false) => failure,
    }
}

/// The steps that concern networks, and the others.
fn split(plan: Plan) -> (Plan, Plan) {
    let network = |a: &Action| Stage::of(a) == Stage::Networks;
    let networks = plan.clone().only(network, |kind| kind == ObjectKind::Network);
    (networks, plan.only(|a| !network(a), |kind| kind != ObjectKind::Network))
}
