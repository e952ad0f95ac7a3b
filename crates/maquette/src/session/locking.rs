//! One run at a time on an environment, whoever starts it and from where.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use maquette_core::names::EnvName;
use maquette_engine::StepError;
use maquette_engine::host;
use maquette_engine::host::lock::{self, Lock, LockError, Patience, duration};

use crate::cli::Locking;
use crate::failure::Failure;

use crate::session::connection::Connection;
use crate::world::{Environment, World};

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
    format!("{user}@{}", host.trim())
}

/// The name of the user that this process runs as, where no variable tells it.
fn login_name() -> Option<String> {
    let own = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let user = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let name = |user: Vec<&str>| (user.get(2)? == &own).then(|| user[0].to_string());
    user.filter_map(name).next()
}

/// Takes an environment's lock; `cancelled` is set when it is lost.
pub fn environment(
    world: &World,
    connection: &Connection,
    environment: &EnvName,
    verb: &str,
    locking: Locking,
    cancelled: &Arc<AtomicBool>,
) -> Result<Lock, Failure> {
    let patience = Patience { wait: locking.lock_wait, take_over: locking.take_over };
    let host = connection.host.as_ref();
    let name = format!("environment.{environment}");
    let lock = Lock::acquire(
        host,
        &name,
        &who(&world.environment, verb),
        patience,
        cancelled,
        &mut |holder| {
            if holder.gone {
                return world
                    .terminal
                    .talk(&format!("waiting for the last command of {}", holder.who));
            }
            let verb = if patience.take_over { "ending" } else { "waiting for" };
            let since = duration(holder.seconds);
            world.terminal.talk(&format!(
                "{verb} {}, who has held environment `{environment}` for {since}",
                holder.who
            ));
        },
    );
    lock.map_err(|error| {
        if host.is_lost() {
            return lost(connection);
        }
        let cannot = || StepError::new(format!("cannot lock environment `{environment}`"));
        Failure::Failed(match error {
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
        })
    })
}

/// Who is changing an environment just now, if anybody is; nobody, where that cannot be found out.
pub fn holder(connection: &Connection, environment: &EnvName) -> Option<String> {
    let busy = host::at_work(connection.host.as_ref()).ok()?;
    busy.into_iter().find(|(name, _)| *name == environment.to_string()).map(|(_, who)| who)
}

fn lost(connection: &Connection) -> Failure {
    let error = StepError::new(format!("the connection to {} was lost", connection.label));
    Failure::Failed(error.hint("run the same command again to go on from here"))
}

/// Packages may have to be downloaded; more than that nobody needs.
const LONGEST: u64 = 900;

/// Takes the lock of a hypervisor for what all its environments share: its preparation, and the choice
/// of subnets. What was seen before may look different once it is ours.
pub fn hypervisor(
    world: &World,
    connection: &Connection,
    verb: &str,
    cancelled: &Arc<AtomicBool>,
) -> Result<Lock, Failure> {
    shared(world, connection, verb, cancelled, ("hypervisor", "prepares the same hypervisor"))
}

/// Takes the lock of whoever removes images. As long as it is held nobody gets the lock of an environment, and
/// with it a look at which images there are; who had one before has to be looked for.
pub fn images(
    world: &World,
    connection: &Connection,
    verb: &str,
    cancelled: &Arc<AtomicBool>,
) -> Result<Lock, Failure> {
    shared(world, connection, verb, cancelled, (lock::IMAGES, "removes images, too"))
}

/// Refuses while somebody builds: an image that is there already is named by nobody until the nodes that
/// need it are defined.
pub fn idle(connection: &Connection) -> Result<(), Failure> {
    let busy = host::at_work(connection.host.as_ref())
        .map_err(|e| Failure::because("cannot find out who is at work on the hypervisor", e))?;
    let Some((name, who)) = busy.first() else { return Ok(()) };
    let message =
        format!("environment `{name}` is being changed by {who}, and may need what would go");
    let error =
        StepError::new(message).hint("nothing was removed; run it again once that has ended");
    Err(Failure::Failed(error))
}

fn shared(
    world: &World,
    connection: &Connection,
    verb: &str,
    cancelled: &Arc<AtomicBool>,
    (name, does): (&str, &str),
) -> Result<Lock, Failure> {
    let patience = Patience { wait: LONGEST, take_over: false };
    let host = connection.host.as_ref();
    let who = who(&world.environment, verb);
    let lock = Lock::acquire(host, name, &who, patience, cancelled, &mut |holder| {
        world.terminal.talk(&match holder.gone {
            true => format!("waiting for the last command of {}", holder.who),
            false => format!("waiting for {}, who {does}", holder.who),
        });
    });
    let failed = |e: LockError| match host.is_lost() {
        true => lost(connection),
        false => Failure::because("cannot lock the hypervisor", e),
    };
    lock.map_err(failed)
}
