//! Has a key open the hypervisor for connections to nodes and for nothing else: a line of a user's authorized_keys there.

use std::collections::BTreeMap;

use maquette_core::blueprint::Forwarding;
use maquette_core::names::EnvName;
use maquette_core::observed;

use crate::backend::{StepContext, StepError};
use crate::host::{Command, Host, check};

const SCRIPT: &str = concat!(
    "edit='\n",
    include_str!("../assets/host/forwarding-edit.sh"),
    "'\n",
    include_str!("../assets/host/forwarding.sh"),
    "\nwhat=$1\nshift\n\"${what}_forwarding\" \"$@\"\n",
);

/// How the script ends where it may not change the user's file, or where the SSH server reads another one.
const NOT_THERE: i32 = 3;

/// Has a key open the hypervisor. Where its file cannot be changed that is said, and nothing fails: only playbooks that go
/// that way miss it.
///
/// # Errors
/// If what would be changed cannot be recorded.
pub fn open(
    host: &dyn Host,
    environment: &EnvName,
    forwarding: &Forwarding,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let failed = || StepError::new("cannot have the workspace's key open the hypervisor");
    let (name, key) = (environment.to_string(), forwarding.key.without_comment());
    let command = Command::script(SCRIPT, ["open", &name, forwarding.user.as_str(), &key]);
    let output = host.run(&command, &mut |_| {}).map_err(|e| failed().because(e))?;
    if output.status == Some(NOT_THERE) {
        let why = output.stderr.lines().last().unwrap_or("its file cannot be changed").to_string();
        (context.remark)(format!("the workspace's key does not open the hypervisor: {why}"));
        return Ok(());
    }
    output.success(&command).map(|_| ()).map_err(|e| failed().because(e))
}

/// Has no key of an environment open the hypervisor any more.
///
/// # Errors
/// If the line is there and its file cannot be changed.
pub fn close(host: &dyn Host, environment: &EnvName) -> Result<(), StepError> {
    let command = Command::script(SCRIPT, ["close", &environment.to_string()]);
    check(host, &command).map(|_| ()).map_err(|e| {
        StepError::new(format!(
            "cannot take the key of environment `{environment}` out of authorized_keys"
        ))
        .because(e)
    })
}

/// What a probe says of all environments: lines of an environment, a login, whether the key is there, its type and the key.
pub(crate) fn parse<'a>(
    lines: impl Iterator<Item = &'a str>,
) -> BTreeMap<EnvName, observed::Forwarding> {
    let one = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next();
        let (name, user, there, key) = (next()?, next()?, next()?, next()?);
        let recorded = Forwarding { user: user.parse().ok()?, key: key.parse().ok()? };
        let name = name.parse().ok()?;
        Some((name, observed::Forwarding { recorded, authorized: there == "yes" }))
    };
    lines.filter_map(one).collect()
}

#[cfg(test)]
mod kill_points;
#[cfg(test)]
mod stand_ins;
#[cfg(test)]
mod tests;
