//! One run at a time on an environment, whoever starts it and from where.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use maquette_core::lifetime::Lifetime;
use maquette_core::names::EnvName;
use maquette_core::values::is_unprintable;
use maquette_engine::host::lock::{self, Claim, Lock, LockError, Patience, duration};
use maquette_engine::host::{self, Host, HostError, fence};
use maquette_engine::image::RECORDS;
use maquette_engine::{StepError, lifetimes};
use maquette_libvirt::{Gate, Pruned, Server};

use super::Session;
use crate::cli::Locking;
use crate::failure::Failure;
use crate::session::connection::Connection;
use crate::world::Environment;

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

/// The locks that a session holds; each is given back when it is dropped.
#[derive(Default)]
pub(super) struct Locks {
    environment: Option<Lock>,
    /// That of what environments share. While a plan defines networks, it is with whoever hears that this is done.
    pub(super) shared: Option<Lock>,
    images: Option<Lock>,
}

impl Locks {
    /// What tells whether this run still has the locks that it needs.
    fn claims(&self) -> Vec<Claim> {
        self.environment.iter().chain(&self.shared).chain(&self.images).map(Lock::claim).collect()
    }

    /// Lets calls to libvirt pass for as long as they are ours.
    pub(super) fn gate(&self, here: bool) -> Arc<dyn Gate> {
        Arc::new(Ours { claims: self.claims(), here })
    }

    /// The hypervisor for as long as they are ours.
    pub(super) fn fenced<'h>(&self, host: &'h dyn Host) -> Fence<'h> {
        // What is done to the hypervisor itself goes on to its end, whoever takes the environment.
        let lock = self.shared.as_ref().or(self.environment.as_ref());
        Fence::behind(lock, host)
    }
}

/// A hypervisor behind a lock, or without one where none is held.
pub struct Fence<'h> {
    host: &'h dyn Host,
    fenced: Option<fence::Fenced<'h>>,
}

impl<'h> Fence<'h> {
    fn behind(lock: Option<&Lock>, host: &'h dyn Host) -> Self {
        Self { host, fenced: lock.map(|lock| lock.fence(host)) }
    }

    /// Where commands go.
    pub fn host(&self) -> &dyn Host {
        self.fenced.as_ref().map_or(self.host, |fenced| fenced)
    }
}
/// Who we are, for others who find the lock taken: `ann@desk (process 4711), maquette up`.
fn who(environment: &Environment, verb: &str) -> String {
    format!("{} (process {}), maquette {verb}", whoami(environment), std::process::id())
}

/// Who we are: `ann@desk`.
pub fn whoami(environment: &Environment) -> String {
    let names = ["SUDO_USER", "USER", "LOGNAME"];
    let user = names.iter().find_map(|name| environment.said(name));
    let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = environment.said("HOSTNAME").unwrap_or_else(kernel);
    let user = user.or_else(login_name).unwrap_or_else(|| "somebody".into());
    // It is in metadata, locks and comments of keys, and shown to others.
    let is_shown = |c: &char| !is_unprintable(*c);
    format!("{user}@{}", host.trim()).chars().filter(is_shown).collect()
}

/// The name of the user that this process runs as, where no variable tells it.
fn login_name() -> Option<String> {
    let own = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let user = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let name = |user: Vec<&str>| (user.get(2)? == &own).then(|| user[0].to_string());
    user.filter_map(name).next()
}

impl Session<'_> {
    /// Keeps everybody else from changing the environment, until the session ends or gives it back. `verb` is what the
    /// command is called.
    pub fn lock(&mut self, verb: &str, how: Locking) -> Result<(), Failure> {
        let environment = self.located.environment.clone();
        self.lock_of(&environment, verb, how)
    }

    /// The same for another environment there.
    pub fn lock_of(
        &mut self,
        environment: &EnvName,
        verb: &str,
        how: Locking,
    ) -> Result<(), Failure> {
        self.runs.begin_journal(&self.located.workspace, verb);
        self.locks.environment = Some(self.acquire(environment, verb, how)?);
        Ok(())
    }

    fn acquire(
        &self,
        environment: &EnvName,
        verb: &str,
        locking: Locking,
    ) -> Result<Lock, Failure> {
        let (terminal, host) = (&self.world.terminal, self.connection.host.as_ref());
        let patience = Patience { wait: locking.lock_wait, take_over: locking.take_over };
        let name = format!("environment.{environment}");
        let who = who(&self.world.environment, verb);
        if self.connection.remote.is_some() {
            self.opening.begin(&self.world.libvirt, &self.connection.uri);
        }
        let lock = Lock::acquire(host, &name, &who, patience, &self.cancelled, &mut |holder| {
            // Whoever has it may be preparing the hypervisor.
            self.opening.forget();
            if holder.gone {
                return terminal.talk(&format!("waiting for the last command of {}", holder.who));
            }
            let verb = if patience.take_over { "ending" } else { "waiting for" };
            if patience.take_over {
                terminal.touched(format!("the run of {}, which was ended", holder.who));
            }
            let since = duration(holder.seconds);
            terminal.talk(&format!(
                "{verb} {}, who has held environment `{environment}` for {since}",
                holder.who
            ));
        });
        lock.map_err(|error| match host.is_lost() {
            true => lost(&self.connection),
            false => Failure::Failed(refused(environment, error)),
        })
    }

    /// Keeps everybody else from changing what environments share: the preparation of their hypervisor, and the choice of
    /// subnets. What was seen before may look different once it is ours. It is given back once a plan has defined its
    /// networks.
    pub fn lock_hypervisor(&mut self, verb: &str) -> Result<(), Failure> {
        let named = ("hypervisor", "prepares the same hypervisor");
        self.locks.shared = Some(self.acquire_shared(verb, named)?);
        Ok(())
    }

    /// Keeps everybody else from the lock of an environment, and with it from a look at which images there are, while
    /// some are removed; who had one before has to be looked for ([`Self::must_be_idle`]).
    pub fn lock_images(&mut self, verb: &str) -> Result<(), Failure> {
        let named = (lock::IMAGES, "removes images, too");
        self.locks.images = Some(self.acquire_shared(verb, named)?);
        Ok(())
    }

    fn acquire_shared(&self, verb: &str, (name, does): (&str, &str)) -> Result<Lock, Failure> {
        let patience = Patience { wait: LONGEST, take_over: false };
        let (terminal, host) = (&self.world.terminal, self.connection.host.as_ref());
        let who = who(&self.world.environment, verb);
        let lock = Lock::acquire(host, name, &who, patience, &self.cancelled, &mut |holder| {
            terminal.talk(&match holder.gone {
                true => format!("waiting for the last command of {}", holder.who),
                false => format!("waiting for {}, who {does}", holder.who),
            });
        });
        lock.map_err(|error| match host.is_lost() {
            true => lost(&self.connection),
            false => Failure::because("cannot lock the hypervisor", error),
        })
    }

    /// Gives the environment and what environments share back: nobody has to wait while the user thinks.
    pub fn unlock(&mut self) {
        (self.locks.environment, self.locks.shared) = (None, None);
    }

    /// Gives back what environments share, once nothing of it is going to change.
    pub fn unlock_hypervisor(&mut self) {
        self.locks.shared = None;
    }

    /// Whether the session keeps others from changing the environment.
    pub fn has_lock(&self) -> bool {
        self.locks.environment.is_some()
    }

    /// An error once the environment's lock is not ours any more.
    pub fn still_ours(&mut self) -> Result<(), Failure> {
        if !self.locks.environment.as_mut().is_some_and(Lock::is_lost) {
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

    /// Refuses while somebody builds: an image that is there already is named by nobody until the nodes that
    /// need it are defined.
    pub fn must_be_idle(&self) -> Result<(), Failure> {
        let busy = host::at_work(self.connection.host.as_ref())
            .map_err(|e| Failure::because("cannot find out who is at work on the hypervisor", e))?;
        let Some((name, who)) = busy.first() else { return Ok(()) };
        let message =
            format!("environment `{name}` is being changed by {who}, and may need what would go");
        let error =
            StepError::new(message).hint("nothing was removed; run it again once that has ended");
        Err(Failure::Failed(error))
    }

    /// The hypervisor, for as long as the environment's lock is ours, or the one of what environments share where only
    /// that is held. Whoever changes something there outside a plan does so by this.
    pub fn behind_lock(&self) -> Fence<'_> {
        let lock = self.locks.environment.as_ref().or(self.locks.shared.as_ref());
        Fence::behind(lock, self.connection.host.as_ref())
    }

    /// Changes something by libvirt outside a plan, for as long as all the locks that are held are ours.
    pub fn change<T>(
        &self,
        act: impl FnOnce(&dyn Server) -> Result<T, StepError>,
    ) -> Result<T, Failure> {
        let gate = self.locks.gate(self.connection.host.is_here());
        let server = self.libvirt()?.as_ref();
        maquette_libvirt::gated(Some(&gate), || act(server)).map_err(Failure::Failed)
    }

    /// Notes on the hypervisor how long an environment lasts, for as long as its lock is ours.
    pub fn note(&self, environment: &EnvName, lifetime: &Lifetime) -> Result<(), Failure> {
        lifetimes::write(self.behind_lock().host(), environment, lifetime)
            .map_err(|e| Failure::because("cannot note when the environment expires", e))
    }

    /// Removes cached images of a pool that are unused, for as long as what environments share is ours.
    pub fn prune(&self, pool: &str) -> Result<Pruned, Failure> {
        let fence = Fence::behind(self.locks.shared.as_ref(), self.connection.host.as_ref());
        self.change(|server| server.prune(fence.host(), RECORDS, pool))
    }
}

/// Why an environment cannot be locked.
fn refused(environment: &EnvName, error: LockError) -> StepError {
    let cannot = || StepError::new(format!("cannot lock environment `{environment}`"));
    match error {
        LockError::Held(holder) => StepError::new(format!(
            "environment `{environment}` is being changed by {}, for {} now",
            holder.who,
            duration(holder.seconds)
        ))
        .hint("`--lock-wait SECONDS` waits until that has ended")
        .hint("`--take-over` ends it, should nobody be there any more"),
        LockError::Busy => cannot().because(LockError::Busy).hint(
            "run the same command again to go on waiting; `fuser -v /run/maquette/*.busy` on the \
             hypervisor names what still runs",
        ),
        other => cannot().because(other),
    }
}

/// Who is changing an environment just now, if anybody is; nobody, where that cannot be found out.
pub fn holder(connection: &Connection, environment: &EnvName) -> Option<String> {
    let busy = host::at_work(connection.host.as_ref()).ok()?;
    busy.into_iter().find(|(name, _)| *name == environment.to_string()).map(|(_, who)| who)
}

/// A connection that was lost while something was asked or done.
pub(super) fn lost(connection: &Connection) -> Failure {
    let error = StepError::new(format!("the connection to {} was lost", connection.label));
    Failure::Failed(error.hint("run the same command again to go on from here"))
}

/// Packages may have to be downloaded; more than that nobody needs.
const LONGEST: u64 = 900;
