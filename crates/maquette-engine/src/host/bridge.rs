//! NICs of the hypervisor in bridges: commit or revert.
//!
//! The work is done by a process on the hypervisor (`assets/bridge.sh`), which puts everything back unless
//! we come back over a connection of its own and confirm. What was there before is kept beside it until
//! the bridge is removed.

use maquette_core::blueprint::Uplink;

use super::{Command, Host, HostError, check};
use crate::{StepContext, StepError};

const SCRIPT: &str = include_str!("../../assets/bridge.sh");
/// The script, on the hypervisor.
const PATH: &str = "/var/lib/maquette/bridge.sh";
/// What is known of each bridge, on the hypervisor.
const STATES: &str = "/var/lib/maquette/bridges";
/// Seconds until an unconfirmed change is put back.
const LIMIT: u32 = 20;

fn command(verb: &str, bridge: &str) -> Command {
    Command::new("sh").args([PATH, verb, &format!("{STATES}/{bridge}")])
}

/// Puts a NIC into a bridge that takes over its addresses and routes.
pub fn join(
    host: &dyn Host,
    bridge: &str,
    uplink: &Uplink,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let nic = &uplink.nic;
    let message = format!("cannot put {nic} into bridge {bridge}");
    let failed = |e: HostError| StepError::new(message.clone()).because(&e);
    host.write(PATH, SCRIPT.as_bytes(), 0o700).map_err(failed)?;
    let join = command("join", bridge).args([
        bridge.to_string(),
        nic.clone(),
        u8::from(uplink.stp).to_string(),
        uplink.address.map(|a| a.to_string()).unwrap_or_default(),
        uplink.mtu.map(|m| m.to_string()).unwrap_or_default(),
        LIMIT.to_string(),
    ]);
    check(host, &join).map_err(failed)?;
    // Nothing to confirm where it was there already.
    let confirm = Command::script(CONFIRM, [PATH.to_string(), format!("{STATES}/{bridge}")]);
    (context.progress)("reaching the hypervisor anew".into());
    let confirmed = host.run_anew(&confirm).and_then(|output| output.success(&confirm));
    let Err(error) = confirmed else { return Ok(()) };
    (context.progress)("waiting until everything is put back".into());
    let outcome = check(host, &command("outcome", bridge)).unwrap_or_default();
    let back = match outcome.trim() {
        "reverted" => "everything is as it was before".to_string(),
        _ => format!("the hypervisor puts everything back by itself within {LIMIT} s"),
    };
    let why = "after it was done, the hypervisor could not be reached with a new connection";
    let mut failure = StepError::new(message.clone()).because(&error);
    failure.causes.insert(0, why.into());
    Err(failure.hint(back).hint(format!(
        "is {nic} the right NIC, and does its switch port take more than one MAC address?"
    )))
}

const CONFIRM: &str = r#"[ ! -e "$2/confirmed" ] || exit 0; exec sh "$1" confirm "$2""#;

/// Gives the NIC back what it had, and removes the bridge.
pub fn leave(host: &dyn Host, bridge: &str, nic: &str) -> Result<(), StepError> {
    let failed = |e: HostError| {
        StepError::new(format!("cannot take {nic} out of bridge {bridge}"))
            .because(&e)
            .hint(format!("what was before is noted in {STATES}/{bridge} on the hypervisor"))
    };
    if !host.exists(&format!("{STATES}/{bridge}")) {
        return Ok(());
    }
    host.write(PATH, SCRIPT.as_bytes(), 0o700).map_err(failed)?;
    check(host, &command("leave", bridge)).map(|_| ()).map_err(failed)
}
