//! Carrying a plan out, for every verb that does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use maquette_core::blueprint::Node;
use maquette_core::lifetime::Lifetime;
use maquette_core::names::EnvName;
use maquette_core::observed::Origin;
use maquette_core::plan::{self, Action, Plan, Step, StepId};
use maquette_core::start_times::How;
use maquette_core::topology::VirtType;
use maquette_engine::host::lock::{Claim, Lock};
use maquette_engine::host::{Host, HostError, fence};
use maquette_engine::image::{Limits, RECORDS, Transfer};
use maquette_engine::probe::{Facts, Reach};
use maquette_engine::ssh_keys::RecordKey;
use maquette_engine::{Event, StepError, executor, lifetimes, start_times};
use maquette_libvirt::{Access, Gate, Guests, Learnt, Notes, Run, Server};

use super::Hypervisor;
use super::connection::Connection;
use super::locking;
use crate::cli::Locking;
use crate::failure::Failure;
use crate::progress::{self, Journal, Reporter};
use crate::workspace::Workspace;
use crate::workspace::outputs;
use crate::world::World;
use crate::{file_limit, signals};

/// Lets calls to libvirt pass as long as the locks are ours. What another machine's libvirt has been sent and
/// has not begun ends with the connection, which whoever takes over ends.
struct Ours {
    claims: Vec<Claim>,
    here: bool,
}

impl Gate for Ours {
    fn before(&self, _call: &str) -> Result<(), String> {
        match self.claims.iter().all(|claim| claim.is_ours(self.here)) {
            true => Ok(()),
            false => Err("another run has taken over".into()),
        }
    }
}

/// What all runs of one command share.
pub struct Runner<'a> {
    world: &'a World,
    connection: &'a Connection,
    reporter: Box<dyn Reporter>,
    /// For others who look on; none before it is known whose command it is.
    journal: Option<Journal>,
    workspace: Workspace,
    cancelled: Arc<AtomicBool>,
    guests: Guests,
    transfer: Transfer,
    lock: Option<Lock>,
    /// Held until all networks of a plan are defined.
    shared: Option<Lock>,
    records: Option<RecordKey>,
    /// How guests run that are started, where any are.
    virt: Option<VirtType>,
}

impl<'a> Runner<'a> {
    /// Prepares for runs: how to report, and what Ctrl-C does. The first lets running steps end, the
    /// second ends the program at once; either way the next `up` goes on from there.
    pub(super) fn new(
        world: &'a World,
        json: bool,
        connection: &'a Connection,
        workspace: &Workspace,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let cancelled = Arc::new(AtomicBool::new(false));
        signals::heed(&world.terminal, &cancelled)
            .map_err(|e| Failure::because("cannot catch signals", e))?;
        let guests = Guests {
            ssh_config: workspace.file(outputs::SSH_CONFIG),
            limit,
            boots: 1,
            further: 0,
            jump: connection.jump.clone(),
        };
        let transfer = Transfer {
            built: world.environment.built_images(),
            downloads: world.environment.downloads(),
            records: RECORDS.into(),
            remote: connection.remote.is_some(),
            force: false,
            authorities: None,
            limits: Limits::default(),
        };
        let reporter = progress::choose(world, json);
        Ok(Self {
            world,
            connection,
            reporter,
            journal: None,
            workspace: workspace.clone(),
            cancelled,
            guests,
            transfer,
            lock: None,
            shared: None,
            records: connection.records.clone(),
            virt: None,
        })
    }

    /// Keeps everybody else from changing the environment until the command ends.
    pub fn lock(&mut self, environment: &EnvName, verb: &str, how: Locking) -> Result<(), Failure> {
        let cancelled = &self.cancelled;
        self.journal = Some(Journal::new(self.workspace.file(outputs::EVENTS), verb));
        self.lock = Some(locking::environment(
            self.world,
            self.connection,
            environment,
            verb,
            how,
            cancelled,
        )?);
        Ok(())
    }

    /// Keeps everybody else from changing what environments share, until the next plan has defined its
    /// networks.
    pub fn lock_hypervisor(&mut self, verb: &str) -> Result<(), Failure> {
        self.shared =
            Some(locking::hypervisor(self.world, self.connection, verb, &self.cancelled)?);
        Ok(())
    }

    /// Gives everything back: nobody has to wait while the user thinks.
    pub fn unlock(&mut self) {
        (self.lock, self.shared) = (None, None);
    }

    /// An error once the environment's lock is not ours any more.
    pub fn still_ours(&mut self) -> Result<(), Failure> {
        if !self.lock.as_mut().is_some_and(Lock::is_lost) {
            return Ok(());
        }
        let error = match fence::taken(self.connection.host.as_ref()) {
            HostError::Taken => StepError::new("another run has taken the environment over")
                .hint("what was done stays; that run goes on with it"),
            lost => StepError::new("the environment's lock is lost")
                .because(lost)
                .hint("what was done stays; run the same command again to go on"),
        };
        Err(Failure::Failed(error))
    }

    /// Gives back what environments share, once nothing of it is going to change.
    pub fn unlock_hypervisor(&mut self) {
        self.shared = None;
    }

    /// Says what records are sealed with: a workspace may get its secret only now.
    pub fn seal(&mut self, key: RecordKey) {
        self.records = Some(key);
    }

    /// Says how images are fetched.
    pub fn images(&mut self, force: bool, authorities: Option<String>) {
        self.transfer.force = force;
        self.transfer.authorities = authorities;
    }

    /// Notes on the hypervisor how long an environment lasts, for as long as its lock is ours.
    pub fn note(&self, environment: &EnvName, lifetime: &Lifetime) -> Result<(), Failure> {
        let host = self.connection.host.as_ref();
        let fenced = self.lock.as_ref().map(|lock| lock.fence(host));
        let host = fenced.as_ref().map_or(host, |fenced| fenced as &dyn Host);
        lifetimes::write(host, environment, lifetime)
            .map_err(|e| Failure::because("cannot note when the environment expires", e))
    }

    /// Removes cached images that are unused, for as long as what environments share is ours.
    pub fn prune(&self, server: &dyn Server, pool: &str) -> Result<(), Failure> {
        let host = self.connection.host.as_ref();
        let fenced = self.shared.as_ref().map(|lock| lock.fence(host));
        let host = fenced.as_ref().map_or(host, |fenced| fenced as &dyn Host);
        server.prune(host, RECORDS, pool)?;
        Ok(())
    }

    /// Says how the guests run that the next plans start: how many may boot at once follows from it.
    pub fn starts(&mut self, virt: VirtType) {
        self.virt = Some(virt);
    }

    /// Carries a plan out.
    pub fn run(&mut self, plan: &Plan, hypervisor: &Hypervisor) -> Result<(), Failure> {
        let facts = &hypervisor.facts;
        self.guests.boots = boots(facts.cpus, self.virt);
        self.guests.further = further(facts, self.connection.reach());
        let defines = |s: &&Step| matches!(s.action, Action::DefineNetwork { .. });
        let defining: BTreeSet<StepId> = plan.steps.iter().filter(defines).map(|s| s.id).collect();
        // A preparation defines none, and is itself what is shared.
        let shared = self.shared.take_if(|_| !defining.is_empty());
        let host = self.connection.host.as_ref();
        // What is done to the hypervisor itself goes on to its end, whoever takes the environment.
        let fence = self.shared.as_ref().or(self.lock.as_ref());
        let fenced = fence.map(|lock| lock.fence(host));
        let claims = self.lock.iter().chain(&self.shared).map(Lock::claim).collect();
        let access = Access {
            host: fenced.as_ref().map_or(host, |fenced| fenced as &dyn Host),
            uri: &self.connection.uri,
            reach: self.connection.reach(),
            label: &self.connection.label,
            transfer: &self.transfer,
        };
        let gate = Arc::new(Ours { claims, here: host.is_here() });
        let notes = Notes::default();
        let run = Run {
            access,
            family: facts.family(),
            guests: self.guests.clone(),
            key: self.records.clone(),
            origin: Some(origin(self.world)),
            gate,
            notes: notes.clone(),
        };
        let backend = match &hypervisor.libvirt {
            Some(server) => server.clone().backend(run),
            None => self.world.libvirt.backend(run),
        };
        let (reporter, journal) = (self.reporter.as_mut(), self.journal.as_mut());
        let (took, interrupted) = (BTreeMap::new(), BTreeSet::new());
        let mut watch = Watch { reporter, journal, defining, shared, took, interrupted };
        let summary = executor::run(&plan.steps, backend.as_ref(), &self.cancelled, &mut |e| {
            watch.event(&e);
        });
        let learnt = notes.lock().unwrap_or_else(PoisonError::into_inner);
        let measured = plan::measured(&plan.steps, &watch.took, &learnt.booted);
        learn(access.host, &measured, &learnt, facts.now_s);
        drop(learnt);
        if summary.is_success() {
            return Ok(());
        }
        let waiting = plan.steps.iter().filter(|s| watch.interrupted.contains(&s.id));
        let booting: Vec<String> = waiting.filter_map(|s| booting(&s.action)).collect();
        drop(backend);
        self.still_ours()?;
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted { booting, code: signals::code() });
        }
        self.world
            .terminal
            .talk("what is done stays; mend the cause and run the same command again to go on");
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
}

impl Watch<'_> {
    fn event(&mut self, event: &Event) {
        if let Event::StepFinished { id, took } = event {
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

/// How many more connections to libvirt start and end domains: with five calls on each, for as many as it has workers
/// (`max_workers` of libvirtd.conf is 20). To another machine each is a session of the SSH connection, which may not have
/// so many.
fn further(facts: &Facts, reach: Reach) -> usize {
    const SESSIONS: u32 = 20;
    let sessions = facts.sshd.as_ref().map_or(0, |limits| limits.sessions);
    match reach {
        Reach::Remote if sessions < SESSIONS => 0,
        Reach::Remote | Reach::Local => 4,
    }
}

/// Who makes what this run makes, and when.
fn origin(world: &World) -> Origin {
    let since = (world.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
    Origin { by: locking::whoami(&world.environment), at_s: since.as_secs() }
}

#[cfg(test)]
mod tests {
    use super::*;

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
