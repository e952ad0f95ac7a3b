//! Removes an environment, or some of its nodes: what `maquette down` and `maquette virsh --kill` do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use maquette_core::blueprint::Node;
use maquette_core::lifetime::Lifetime;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Op, Plan};
use maquette_engine::host::{self, Command};
use maquette_engine::prepare::record::Record;
use maquette_engine::probe::Facts;
use maquette_engine::{StepError, deployment_facts};
use maquette_libvirt::Survey;

use crate::cli::Locking;
use crate::consent;
use crate::failure::Failure;
use crate::load::Located;
use crate::session::{Hypervisor, Session};
use crate::session::{elsewhere, entry, nodes};
use crate::workspace::Owner;
use crate::workspace::identity::{self, Way};
use crate::workspace::outputs::{self, Secrets};
use crate::world::World;

/// Whether a removal has to be agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// It was: by a flag, or since the command never asks.
    Agreed,
    /// The plan is shown, and the user is asked.
    First,
    /// The same whatever was agreed to, since this flag of `up` reads as if a part were to go only.
    Despite(&'static str),
}

/// Removes what the workspace has of an environment that is gone. Key and secret stay for what is left of it, which is said.
/// False, which is said as well, if the workspace is another environment's.
pub fn forget(world: &World, located: &Located, left: &[String]) -> Result<bool, Failure> {
    let owner = Owner::new(&located.environment, &located.host);
    let secrets = if left.is_empty() { Secrets::Go } else { Secrets::Stay };
    let ours = outputs::remove(&located.workspace, &owner, secrets)
        .map_err(|e| Failure::because("cannot remove the workspace", e))?;
    if ours && !left.is_empty() {
        world.terminal.talk(&format!(
            "workspace {} keeps its key and secret, since this is left: {}; once that has gone, `maquette down` removes them",
            located.workspace.path.display(),
            left.join(", ")
        ));
    }
    if !ours {
        let whose = located.workspace.saved().and_then(|s| s.owner);
        let why = match whose {
            Some(owner) => format!("its inventory and key are of {}", owner.label()),
            None => "it does not record whose its inventory and key are".into(),
        };
        let path = located.workspace.path.display();
        world.terminal.talk(&format!("workspace {path} stays as it is: {why}"));
    }
    Ok(ours)
}

/// How often a removal looks at the hypervisor again: libvirt may still be doing what an earlier, killed run asked of it.
const LOOKS: usize = 3;

/// Objects whose removal the user was shown and has agreed to, by kind and name; of a node also which making of it that was,
/// since somebody may make it again while a question is open.
pub type Shown = BTreeSet<(ObjectKind, String, Option<u64>)>;

/// The objects of a plan.
pub fn objects(plan: &Plan, observed: &Observed) -> Shown {
    let object = |(kind, name): (ObjectKind, &str)| {
        let generation = observed.generation(name).filter(|_| kind == ObjectKind::Domain);
        (kind, name.to_string(), generation)
    };
    plan.changes.iter().map(|c| object((c.kind, &c.name))).collect()
}

/// A removal under way.
struct Removal<'s, 'w> {
    world: &'s World,
    session: &'s mut Session<'w>,
    json: bool,
    locking: Locking,
    asking: Asking,
    shown: Shown,
    /// Whether another workspace built it, and shares it with this one.
    of_others: bool,
    /// Whether it has nodes, and no key here opens any.
    is_locked_out: bool,
}

impl<'s, 'w> Removal<'s, 'w> {
    fn new(
        world: &'s World,
        session: &'s mut Session<'w>,
        json: bool,
        locking: Locking,
        asking: Asking,
    ) -> Result<Self, Failure> {
        session.prepare_runs(json, Duration::from_secs(60))?;
        let shown = Shown::new();
        let (of_others, is_locked_out) = (false, false);
        Ok(Self { world, session, json, locking, asking, shown, of_others, is_locked_out })
    }

    /// Plans what goes, and finds out whose it is.
    fn plan(&mut self, observed: &Observed, plan_of: &mut PlanOf<'_>) -> Result<Plan, Failure> {
        let way = identity::way(observed, &self.session.located.workspace, &self.world.environment);
        self.of_others |= matches!(way, Some(Way::Shared(_)));
        self.is_locked_out |= way.is_none() && observed.guests().next().is_some();
        plan_of(observed)
    }

    /// Locks the environment. The plan as it looks without the lock is shown and agreed to before, so that nobody waits
    /// for the lock while the user thinks.
    fn begin(&mut self, plan_of: &mut PlanOf<'_>) -> Result<(), Failure> {
        if self.asking != Asking::Agreed {
            let observed = self.session.running()?.observed();
            let plan = self.plan(&observed, plan_of)?;
            // Where there is nothing to remove there is nothing to agree to.
            if !plan.is_empty() {
                self.ask(&plan, &observed)?;
            }
        }
        self.session.lock("down", self.locking)
    }

    /// Looks, and plans what goes, until that has been agreed to.
    fn look(&mut self, plan_of: &mut PlanOf<'_>) -> Result<(Arc<Hypervisor>, Plan), Failure> {
        loop {
            let hypervisor = self.session.running()?;
            let observed = hypervisor.observed();
            let plan = self.plan(&observed, plan_of)?;
            if self.of_others && self.asking == Asking::Agreed && !plan.is_empty() {
                return Err(others(&self.session.located.environment));
            }
            if self.is_settled(&plan, &observed) {
                return Ok((hypervisor, plan));
            }
            self.session.unlock();
            self.ask(&plan, &observed)?;
            self.session.lock("down", patient(self.locking))?;
        }
    }

    /// Shows what goes, unless somebody has agreed to it.
    fn show(&self, plan: &Plan) {
        if !self.json && self.shown.is_empty() {
            let title = self.session.title();
            self.world.terminal.plan(plan, &title);
            if self.is_locked_out && !plan.is_empty() {
                let text = "no key here opens these nodes: another workspace built them";
                self.world.terminal.talk(text);
            }
            if !plan.is_empty() {
                self.elsewhere();
            }
        }
    }

    /// Says which project file has built it, if that is not the one here.
    fn elsewhere(&self) {
        let line = elsewhere::line(&self.world.environment, &self.session.located);
        line.iter().for_each(|line| self.world.terminal.talk(&format!("warning: {line}")));
    }

    /// Whether what goes has been agreed to.
    fn is_settled(&self, plan: &Plan, observed: &Observed) -> bool {
        self.asking == Asking::Agreed || objects(plan, observed).is_subset(&self.shown)
    }

    /// Shows what goes and asks, unless that is settled; nothing is locked meanwhile.
    fn ask(&mut self, plan: &Plan, observed: &Observed) -> Result<(), Failure> {
        if self.is_settled(plan, observed) {
            return Ok(());
        }
        if !self.json {
            let title = self.session.title();
            self.world.terminal.plan(plan, &title);
            self.elsewhere();
        }
        let mut hint = match self.asking {
            Asking::Despite(flag) => format!(
                "leave out `--{flag}`, and `--yes` will do if that is what you want; it is asked at a terminal"
            ),
            _ => "say `--yes` (or MAQUETTE_YES=1) if that is what you want".into(),
        };
        let mut what = what_goes(plan);
        if self.of_others {
            hint =
                "it is asked at a terminal; in the workspace that built it `--yes` will do".into();
            what.push_str(", although another workspace built it and only shares it with this one");
        }
        if self.is_locked_out {
            what.push_str(", although no key here opens these nodes: another workspace built them");
        }
        consent::question(self.world, "plan::unconfirmed", &what, self.json, &[hint])?;
        self.shown.extend(objects(plan, observed));
        Ok(())
    }
}

/// The error of who would remove unasked what others have built: one flag must not cost somebody else's disks.
fn others(environment: &EnvName) -> Failure {
    let message = format!(
        "environment `{environment}` was built by another workspace, which shares it with this one"
    );
    let error = StepError::new(message)
        .hint("nothing was removed; `maquette down` without `--yes` asks, and then removes it");
    Failure::Failed(error)
}

/// Makes the plan of a removal from what is on the hypervisor.
type PlanOf<'a> = dyn FnMut(&Observed) -> Result<Plan, Failure> + 'a;

/// What a removal takes away, for a question.
fn what_goes(plan: &Plan) -> String {
    let removed = |kind: ObjectKind| {
        plan.changes.iter().filter(|c| c.op == Op::Delete && c.kind == kind).count()
    };
    let parts: Vec<String> = [
        (
            ObjectKind::Domain,
            "node with all data on its disks",
            "nodes with all data on their disks",
        ),
        (ObjectKind::Volume, "disk", "disks"),
        (ObjectKind::Network, "network", "networks"),
    ]
    .into_iter()
    .filter_map(|(kind, one, many)| match removed(kind) {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    })
    .collect();
    match parts.is_empty() {
        true => "remove what is left of it".into(),
        false => format!("remove {}", parts.join(" and ")),
    }
}

/// Removes all of an environment that is on the hypervisor, and returns what may be left of it, in words. The workspace stays.
pub fn remove(
    world: &World,
    located: &Located,
    json: bool,
    locking: Locking,
    asking: Asking,
) -> Result<Vec<String>, Failure> {
    let mut session = Session::open(world, located.clone())?;
    let removed = remove_all(world, &mut session, json, locking, asking);
    let is_without_libvirt = removed.is_err();
    let left = session.removed(removed)?;
    match is_without_libvirt {
        true => Ok(defined_still(&session, |name| located.environment.may_call(name))),
        false => Ok(left),
    }
}

/// Domains of which a libvirt that was removed has left the definitions, in words: they are there again once it is, and a key
/// that is gone by then opens nothing.
pub fn defined_still(session: &Session<'_>, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
    const DIRECTORY: &str = "/etc/libvirt/qemu";
    // Others' are none of this.
    let find = Command::new("find").args([DIRECTORY, "-maxdepth", "1", "-name", "*.xml"]);
    let find = find.args(["-exec", "grep", "-lF", maquette_libvirt::NAMESPACE, "{}", "+"]);
    // Without the directory there are none.
    let files = host::check(session.behind_lock().host(), &find).unwrap_or_default();
    let names = files.lines().filter_map(|file| file.rsplit('/').next()?.strip_suffix(".xml"));
    let mut names: Vec<&str> = names.filter(|name| is_meant(name)).collect();
    names.sort_unstable();
    let words = |name| format!("domain `{name}`, whose definition libvirt has left in {DIRECTORY}");
    names.into_iter().map(words).collect()
}

/// Says that an environment is not there, and which are.
fn tell_others(world: &World, session: &Session<'_>) {
    world.terminal.talk(&format!("{} does not exist: nothing to do", session.title()));
    let found = session.libvirt().ok().and_then(|server| server.survey().ok());
    let names = found.iter().flat_map(|found| &found.environments);
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if !names.is_empty() {
        world.terminal.talk(&format!("environments there: {}", names.join(", ")));
    }
}

fn remove_all(
    world: &World,
    session: &mut Session<'_>,
    json: bool,
    locking: Locking,
    asking: Asking,
) -> Result<Vec<String>, Failure> {
    let environment = &session.located.environment.clone();
    let mut removal = Removal::new(world, session, json, locking, asking)?;
    let mut plan_of = |observed: &Observed| Ok(plan::destroy(observed, environment));
    removal.begin(&mut plan_of)?;
    for again in 1..=LOOKS {
        let (hypervisor, plan) = removal.look(&mut plan_of).map_err(|e| honest(e, again > 1))?;
        // What was still going when it was looked at before may be gone by itself.
        if again == 1 || !plan.is_empty() {
            match hypervisor.observed().exists() || !plan.is_empty() || json {
                true => removal.show(&plan),
                // The prefix or the hypervisor may be a slip.
                false => tell_others(world, removal.session),
            }
        }
        if plan.is_empty() {
            if !json {
                tell_kept(world, &plan);
            }
            forget_notes(world, removal.session, environment)?;
            return Ok(left(&hypervisor, environment));
        }
        removal.session.run(&plan)?;
        let left = removal.session.libvirt().ok().and_then(|server| server.survey().ok());
        let Some(left) = left else {
            return Ok(vec!["what libvirt did not list when it was asked again".into()]);
        };
        if !left.may_have(environment) {
            forget_notes(world, removal.session, environment)?;
            if !json {
                say_what_stays(world, &left, &hypervisor.facts);
            }
            return Ok(Vec::new());
        }
    }
    Err(unfinished(format!("environment `{environment}` is not empty")))
}

/// What is left of an environment, or may be: its key may open that.
fn left(hypervisor: &Hypervisor, environment: &EnvName) -> Vec<String> {
    let observed = hypervisor.observed();
    let domains = observed.domains.keys().map(|name| format!("domain `{name}`"));
    let networks = observed.networks.keys().map(|name| format!("network `{name}`"));
    let edited = observed.edited.iter().map(|e| format!("{} `{}`", e.kind, e.name));
    let copies = hypervisor.seen.iter().flat_map(|seen| seen.copies.clone());
    let unread = observed.claims.unread.iter().filter(|name| environment.may_call(name));
    let unread = unread.map(|name| format!("domain `{name}`, which cannot be read"));
    domains.chain(networks).chain(edited).chain(copies).chain(unread).collect()
}

/// What the hypervisor still has of environments that somebody else was to remove, in words.
pub fn still_there(
    world: &World,
    located: &Located,
    environments: &[EnvName],
) -> Result<Vec<String>, Failure> {
    let mut session = Session::open(world, located.clone())?;
    let mut all = BTreeSet::new();
    for environment in environments {
        match session.running_for(environment) {
            Ok(hypervisor) => all.extend(left(&hypervisor, environment)),
            Err(failure) => {
                // Where no libvirt is installed any more no domain is defined.
                session.removed(Err::<(), _>(failure))?;
                let is_meant = |name: &str| environments.iter().any(|e| e.may_call(name));
                return Ok(defined_still(&session, is_meant));
            }
        }
    }
    Ok(all.into_iter().collect())
}

/// Says what stays of it and why.
fn tell_kept(world: &World, plan: &Plan) {
    for kept in plan.changes.iter().filter(|c| c.op == Op::Keep) {
        world.terminal.talk(&format!("{} `{}` {}", kept.kind, kept.name, kept.reason));
    }
}

/// Removes what is noted on the hypervisor of an environment that is gone: the next of that name is another one.
pub fn forget_notes(
    world: &World,
    session: &Session<'_>,
    environment: &EnvName,
) -> Result<(), Failure> {
    session.note(environment, &Lifetime::default())?;
    if let Err(error) = deployment_facts::remove(session.behind_lock().host(), environment) {
        let what = format!("environment `{environment}` stays among the hypervisor's facts");
        world.terminal.talk(&format!("warning: {what}: {error}"));
    }
    Ok(())
}

/// A failure that does not say that nothing was touched where something has gone before it.
fn honest(failure: Failure, removed: bool) -> Failure {
    match removed {
        true => failure.after("what was shown first was removed, and nothing else was changed"),
        false => failure,
    }
}

/// How to take a lock again that was given back for a question: whoever has it by now is waited for as asked, and not
/// ended.
fn patient(locking: Locking) -> Locking {
    Locking { take_over: false, ..locking }
}

/// The error after [`LOOKS`] looks that each found something to remove.
fn unfinished(message: String) -> Failure {
    let hint = "somebody is still building it; run the same command again";
    Failure::Failed(StepError::new(message).hint(hint))
}

/// Says what stays on the hypervisor.
fn say_what_stays(world: &World, left: &Survey, facts: &Facts) {
    world.terminal.talk(
        "base images and templates stay in the pool; `maquette image prune` removes unused ones",
    );
    // What preparation changed is every environment's, and the next one's.
    let changed = Record::of(facts).is_ok_and(|record| record != Record::default());
    if left.environments.is_empty() && changed {
        world.terminal.talk(
            "it was the last environment here; `maquette host restore` undoes the preparation",
        );
    }
}

/// Removes some nodes with their disks and reservations, and writes the outputs without them.
pub fn remove_nodes(
    world: &World,
    located: &Located,
    (words, meaning): (&[String], nodes::Meaning),
    json: bool,
    locking: Locking,
    asking: Asking,
) -> Result<(), Failure> {
    let mut session = Session::open(world, located.clone())?;
    let removed = remove_some(world, &mut session, (words, meaning), json, locking, asking);
    session.removed(removed)
}

fn remove_some(
    world: &World,
    session: &mut Session<'_>,
    (words, meaning): (&[String], nodes::Meaning),
    json: bool,
    locking: Locking,
    asking: Asking,
) -> Result<(), Failure> {
    let located = &session.located.clone();
    let environment = &located.environment;
    let mut removal = Removal::new(world, session, json, locking, asking)?;
    let resolve = |observed: &Observed| nodes::resolve(world, words, located, observed, meaning);
    removal.begin(&mut |observed| {
        Ok(plan::remove_nodes(observed, environment, &resolve(observed)?))
    })?;
    // Which nodes they are is found out once, under the lock: some are gone when it is looked again.
    let mut names = None;
    let mut plan_of = |observed: &Observed| {
        let names = match &names {
            Some(names) => names,
            None => &*names.insert(resolve(observed)?),
        };
        Ok(plan::remove_nodes(observed, environment, names))
    };
    for again in 0..=LOOKS {
        let (hypervisor, plan) = removal.look(&mut plan_of).map_err(|e| honest(e, again > 0))?;
        if again == 0 || !plan.is_empty() {
            removal.show(&plan);
        }
        if plan.is_empty() {
            // The workspace may be another environment's.
            let owner = Owner::new(environment, &located.host);
            if !outputs::belongs(&located.workspace, &owner) {
                return Ok(());
            }
            let observed = hypervisor.observed();
            let nodes: Vec<&Node> = observed.domains.values().map(|d| &d.recorded).collect();
            let way = identity::way(&observed, &located.workspace, &world.environment);
            let key = way.and_then(Way::shared);
            return entry::write(located, &nodes, key.as_deref(), &removal.session.connection);
        }
        if again < LOOKS {
            removal.session.run(&plan)?;
        }
    }
    Err(unfinished(format!("not all of {} is removed", words.join(", "))))
}

#[cfg(test)]
mod tests {
    use maquette_testkit::small::built;

    use super::*;

    /// A colleague made it again meanwhile, and it went with the yes to the one before.
    #[test]
    fn a_node_that_is_made_anew_is_not_the_one_that_was_agreed_to() {
        let mut seen = built(&[("controller", 1)], &[]);
        let environment = EnvName::default();
        let shown = objects(&plan::destroy(&seen, &environment), &seen);
        let generation = seen.generation("controller-0");
        assert!(shown.contains(&(ObjectKind::Domain, "controller-0".into(), generation)));
        let now = |seen: &Observed| objects(&plan::destroy(seen, &environment), seen);
        assert!(now(&seen).is_subset(&shown));
        let node = &mut seen.domains.get_mut("controller-0").unwrap().recorded;
        node.guest.as_mut().unwrap().generation = Some(generation.unwrap_or(0) + 1);
        assert!(!now(&seen).is_subset(&shown));
    }
}
