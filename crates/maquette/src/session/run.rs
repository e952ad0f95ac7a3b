//! Carrying a plan out, for every verb that does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maquette_core::blueprint::Node;
use maquette_core::observed::Origin;
use maquette_core::plan::{self, Action, Plan, Step, StepId};
use maquette_core::start_times::How;
use maquette_core::topology::VirtType;
use maquette_engine::host::Host;
use maquette_engine::host::lock::Lock;
use maquette_engine::image::{Limits, RECORDS, Transfer};
use maquette_engine::probe::{Facts, Reach, Workers};
use maquette_engine::ssh_keys::RecordKey;
use maquette_engine::{Calls, Event, executor, start_times};
use maquette_libvirt::{Access, Guests, Learnt, Notes, Run};

use super::{Session, locking};
use crate::failure::Failure;
use crate::progress::{self, Journal, Reporter};
use crate::workspace::Workspace;
use crate::workspace::outputs;
use crate::world::World;
use crate::{file_limit, signals};

/// How long what a plan starts may take to come up, where nobody said so.
const LIMIT: Duration = Duration::from_secs(60);

/// For how long a login that worked shows that a node answers, as long as its domain runs: to ask it again costs a start of
/// its SSH server, which under emulation takes longer than many of the steps.
const RECENT: Duration = Duration::from_secs(20);

/// How a session carries plans out.
pub(super) struct Runs {
    /// Whether events are printed as JSON.
    json: bool,
    /// How long a first boot or a start may take.
    limit: Duration,
    reporter: Option<Box<dyn Reporter>>,
    /// For others who look on; none before it is known whose command it is.
    journal: Option<Journal>,
    /// Whether images are fetched although they are there.
    refetches: bool,
    /// Who else signs what is downloaded.
    authorities: Option<String>,
    records: Option<RecordKey>,
    /// How guests run that are started, where any are.
    virt: Option<VirtType>,
    /// When logins to nodes worked.
    logins: BTreeMap<String, SystemTime>,
    /// Images that were found to have no cloud-init, as they are shown.
    without_cloud_init: BTreeSet<String>,
}

impl Runs {
    /// Before anything is known of them but the key of the environment's records.
    pub(super) fn new(records: Option<RecordKey>) -> Self {
        let (json, limit, refetches) = (false, LIMIT, false);
        let (reporter, journal, authorities, virt) = (None, None, None, None);
        let (logins, without_cloud_init) = (BTreeMap::new(), BTreeSet::new());
        Self {
            json,
            limit,
            reporter,
            journal,
            refetches,
            authorities,
            records,
            virt,
            logins,
            without_cloud_init,
        }
    }

    /// Nodes that have just answered a login.
    pub(super) fn answered(&self, now: SystemTime) -> BTreeSet<String> {
        let recent = |at: &SystemTime| now.duration_since(*at).is_ok_and(|past| past < RECENT);
        let nodes = self.logins.iter().filter(|(_, at)| recent(at));
        nodes.map(|(name, _)| name.clone()).collect()
    }

    /// Has what is done from now on written down as that of a verb.
    pub(super) fn begin_journal(&mut self, workspace: &Workspace, verb: &str) {
        self.journal = Some(Journal::new(workspace.file(outputs::EVENTS), verb));
    }

    fn transfer(&self, world: &World, remote: bool) -> Transfer {
        Transfer {
            built: world.environment.built_images(),
            downloads: world.environment.downloads(),
            records: RECORDS.into(),
            remote,
            force: self.refetches,
            authorities: self.authorities.clone(),
            limits: Limits::default(),
        }
    }
}

impl Session<'_> {
    /// Prepares for plans: how to report, and what Ctrl-C does. The first lets running steps end, the
    /// second ends the program at once; either way the next `up` goes on from there. A first boot or a start may take as
    /// long as `limit`.
    pub fn prepare_runs(&mut self, json: bool, limit: Duration) -> Result<(), Failure> {
        signals::heed(&self.world.terminal, &self.cancelled)
            .map_err(|e| Failure::because("cannot catch signals", e))?;
        (self.runs.json, self.runs.limit) = (json, limit);
        Ok(())
    }

    /// Says what records are sealed with: a workspace may get its secret only now.
    pub fn seal(&mut self, key: RecordKey) {
        self.runs.records = Some(key);
    }

    /// Says how images are fetched: whether also those that are there, and who else signs what is downloaded.
    pub fn fetch(&mut self, refetches: bool, authorities: Option<String>) {
        (self.runs.refetches, self.runs.authorities) = (refetches, authorities);
    }

    /// Says how the guests run that the next plans start: how many may boot at once follows from it.
    pub fn starts(&mut self, virt: VirtType) {
        self.runs.virt = Some(virt);
    }

    /// Images that runs have found to have no cloud-init since this was asked, as they are shown.
    pub fn without_cloud_init(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.runs.without_cloud_init)
    }

    fn guests(&self, facts: &Facts) -> Guests {
        Guests {
            ssh_config: self.located.workspace.file(outputs::SSH_CONFIG),
            limit: self.runs.limit,
            boots: boots(facts.cpus, self.runs.virt),
            calls: calls(facts, self.connection.reach()),
            jump: self.connection.jump.clone(),
        }
    }

    /// Carries a plan out on the hypervisor as it was found last.
    pub fn run(&mut self, plan: &Plan) -> Result<(), Failure> {
        let found = match &self.found {
            Some(found) => found.clone(),
            None => self.find()?,
        };
        let facts = &found.facts;
        let guests = self.guests(facts);
        let defines = |s: &&Step| matches!(s.action, Action::DefineNetwork { .. });
        let defining: BTreeSet<StepId> = plan.steps.iter().filter(defines).map(|s| s.id).collect();
        // A preparation defines none, and is itself what is shared.
        let shared = self.locks.shared.take_if(|_| !defining.is_empty());
        let host = self.connection.host.as_ref();
        let fence = self.locks.fenced(host);
        let transfer = self.runs.transfer(self.world, self.connection.remote.is_some());
        let access = Access {
            host: fence.host(),
            uri: &self.connection.uri,
            reach: self.connection.reach(),
            label: &self.connection.label,
            transfer: &transfer,
        };
        let notes = Notes::default();
        let run = Run {
            access,
            family: facts.family(),
            guests,
            key: self.runs.records.clone(),
            origin: Some(origin(self.world)),
            gate: self.locks.gate(host.is_here()),
            notes: notes.clone(),
        };
        let backend = match &found.libvirt {
            Some(server) => server.clone().backend(run),
            None => self.world.libvirt.backend(run),
        };
        let json = self.runs.json;
        let reporter = self.runs.reporter.get_or_insert_with(|| progress::choose(self.world, json));
        let (reporter, journal) = (reporter.as_mut(), self.runs.journal.as_mut());
        let (took, interrupted) = (BTreeMap::new(), BTreeSet::new());
        let logging_in = plan.steps.iter().filter_map(|s| Some((s.id, logs_in(&s.action)?)));
        let logins = Logins { steps: logging_in.collect(), worked: &mut self.runs.logins };
        let clock = self.world.clock;
        let mut watch = Watch { reporter, journal, defining, shared, took, interrupted, logins };
        let summary = executor::run(&plan.steps, backend.as_ref(), &self.cancelled, &mut |e| {
            watch.event(&e, clock());
        });
        let learnt = notes.lock().unwrap_or_else(PoisonError::into_inner);
        let measured = plan::measured(&plan.steps, &watch.took, &learnt.booted);
        learn(access.host, &measured, &learnt, facts.now_s);
        self.runs.without_cloud_init.extend(learnt.without_cloud_init.iter().cloned());
        drop(learnt);
        if summary.is_success() {
            return Ok(());
        }
        let waiting = plan.steps.iter().filter(|s| watch.interrupted.contains(&s.id));
        let booting: Vec<String> = waiting.filter_map(|s| booting(&s.action)).collect();
        drop(backend);
        self.ended(booting)
    }

    /// Why a run did not do all of its plan.
    fn ended(&mut self, booting: Vec<String>) -> Result<(), Failure> {
        self.still_ours()?;
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted { booting, code: signals::code() });
        }
        self.world
            .terminal
            .talk("what is done stays; fix the cause and run the same command again to go on");
        Err(Failure::Shown)
    }
}

/// Who hears of a run's events.
struct Watch<'r> {
    reporter: &'r mut dyn Reporter,
    journal: Option<&'r mut Journal>,
    /// Steps that define networks, and are not done.
    defining: BTreeSet<StepId>,
    /// Held until there are none of these.
    shared: Option<Lock>,
    /// How long steps took, in seconds.
    took: BTreeMap<StepId, u64>,
    /// Steps that wait no longer.
    interrupted: BTreeSet<StepId>,
    logins: Logins<'r>,
}

/// Logins that ended steps.
struct Logins<'r> {
    /// Steps that end with one, and to which node.
    steps: BTreeMap<StepId, String>,
    /// When they worked.
    worked: &'r mut BTreeMap<String, SystemTime>,
}

impl Watch<'_> {
    fn event(&mut self, event: &Event, now: SystemTime) {
        if let Event::StepFinished { id, took } = event {
            if let Some(name) = self.logins.steps.remove(id) {
                self.logins.worked.insert(name, now);
            }
            self.took.insert(*id, took.as_secs_f64().ceil() as u64);
            if self.defining.remove(id) && self.defining.is_empty() {
                self.shared = None;
            }
        }
        if let Event::StepInterrupted { id, .. } = event {
            self.interrupted.insert(*id);
        }
        if let Some(journal) = &mut self.journal {
            journal.event(event);
        }
        self.reporter.event(event);
    }
}

/// Notes on the hypervisor how long nodes took to start and which templates failed, for the plans of those to come.
fn learn(host: &dyn Host, took: &[(&Node, How, u64)], learnt: &Learnt, now_s: u64) {
    if took.is_empty() && learnt.templates.is_empty() {
        return;
    }
    // Nothing depends on it: a run that did all else has not failed.
    let _ = start_times::change(host, &|starts| {
        starts.learn(took);
        starts.learn_templates(&learnt.templates, now_s);
    });
}

/// The node that a step has started and logged in to when it is done. One that had to be waited for although it ran is asked
/// once more.
fn logs_in(action: &Action) -> Option<String> {
    match action {
        Action::StartDomain { name, ready: Some(_) } => Some(name.to_string()),
        Action::RestoreDomain { node, .. } => Some(node.name.to_string()),
        _ => None,
    }
}

/// The node that a step waits for.
fn booting(action: &Action) -> Option<String> {
    match action {
        Action::StartDomain { name, .. } | Action::AwaitDomain { name, .. } => {
            Some(name.to_string())
        }
        Action::RestoreDomain { node, .. } => Some(node.name.to_string()),
        _ => None,
    }
}

/// How many guests may boot at once. Under emulation a boot keeps one CPU busy, and two on each
/// CPU fill the gaps; hardware virtualisation leaves room for more. Each needs open files here.
fn boots(cpus: usize, virt: Option<VirtType>) -> usize {
    file_limit::boots(match virt {
        None | Some(VirtType::Qemu) => cpus * 2,
        Some(VirtType::Kvm | VirtType::Test) => cpus * 4,
    })
}

/// How many domains start and end at once: as many as libvirt's daemon has workers for. To another machine each connection for
/// that is a session of the SSH connection, which may not have so many.
fn calls(facts: &Facts, reach: Reach) -> Calls {
    const SESSIONS: u32 = 20;
    const CONNECTIONS: usize = 10;
    let sessions = facts.sshd.as_ref().map_or(0, |limits| limits.sessions);
    let Workers { all, each } = facts.workers;
    match reach {
        Reach::Remote if sessions < SESSIONS => Calls::SHARED,
        Reach::Remote | Reach::Local => Calls::of(all, each, CONNECTIONS),
    }
}

/// Who makes what this run makes, and when.
fn origin(world: &World) -> Origin {
    let since = (world.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
    Origin { by: locking::whoami(&world.environment), at_s: since.as_secs() }
}

#[cfg(test)]
mod tests {
    use maquette_engine::probe;

    use super::*;

    #[test]
    fn domains_start_and_end_as_many_at_once_as_the_daemon_has_workers() {
        let at = |text: &str, reach| calls(&probe::read(text), reach);
        assert_eq!(at("", Reach::Local), Calls { further: 4, each: 5 });
        let many = "@@ workers\nlibvirtd max_workers 64\nlibvirtd max_client_requests 8\n@@ sshd\n\
                    maxsessions 100\nmaxstartups 100:30:100\n";
        assert_eq!(at(many, Reach::Local), Calls { further: 8, each: 8 });
        assert_eq!(at(many, Reach::Remote), Calls { further: 8, each: 8 });
        assert_eq!(at("", Reach::Remote), Calls::SHARED);
        let odd = "@@ workers\nlibvirtd max_workers 900000\nlibvirtd max_client_requests 1\n";
        assert_eq!(at(odd, Reach::Local), Calls { further: 10, each: 1 });
    }

    #[test]
    fn a_login_shows_for_a_short_time_only_that_a_node_answers() {
        let at = |s: u64| UNIX_EPOCH + Duration::from_secs(s);
        let mut runs = Runs::new(None);
        runs.logins = [("old".to_string(), at(80)), ("new".to_string(), at(90))].into();
        assert_eq!(runs.answered(at(105)), BTreeSet::from(["new".to_string()]));
        // The clock was set back.
        assert_eq!(runs.answered(at(85)), BTreeSet::from(["old".to_string()]));
        assert!(runs.answered(at(200)).is_empty());
    }

    /// A hypervisor with very many CPUs would have had more guests boot than files can be open.
    #[test]
    fn guests_boot_as_many_at_once_as_cpus_and_open_files_allow() {
        assert_eq!(boots(1, None), 2);
        assert_eq!(boots(1, Some(VirtType::Kvm)), 4);
        let most = file_limit::boots(usize::MAX);
        assert!(most < 10_000, "{most}");
        assert_eq!(boots(1 << 40, Some(VirtType::Kvm)), most);
    }
}
