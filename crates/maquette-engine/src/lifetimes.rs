//! Keeps on a hypervisor what is noted of environments: until when they last, and whose they are.

use std::collections::BTreeMap;

use maquette_core::lifetime::Lifetime;
use maquette_core::names::EnvName;

use crate::host::{Command, Host, HostError, check};

/// Where the notes are, on the hypervisor.
pub const DIRECTORY: &str = "/var/lib/maquette/environments";

/// Prints the time and all notes.
pub const SCRIPT: &str = include_str!("../assets/host/lifetimes.sh");

fn file(environment: &EnvName) -> String {
    format!("{DIRECTORY}/environment.{environment}")
}

/// What is noted of all environments, and when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The hypervisor's clock, in seconds since 1970, if it told that.
    pub now_s: Option<u64>,
    /// The notes, by their environments.
    pub lifetimes: BTreeMap<EnvName, Lifetime>,
}

/// Reads the notes of all environments.
pub fn read_all(host: &dyn Host) -> Result<Noted, HostError> {
    let text = check(host, &Command::script(SCRIPT, [DIRECTORY]))?;
    let now_s = text.lines().next().and_then(|line| line.strip_prefix("now ")?.parse().ok());
    Ok(Noted { now_s, lifetimes: Lifetime::parse_all(&text) })
}

/// Rewrites an environment's note; one that says nothing is removed.
pub fn write(host: &dyn Host, environment: &EnvName, lifetime: &Lifetime) -> Result<(), HostError> {
    match lifetime.is_empty() {
        true => remove(host, environment),
        false => host.write(&file(environment), lifetime.text(environment).as_bytes(), 0o644),
    }
}

/// Forgets an environment.
pub fn remove(host: &dyn Host, environment: &EnvName) -> Result<(), HostError> {
    let file = file(environment);
    host.remove(&format!("{file}.new"))?;
    host.remove(&file)
}

/// Forgets all environments.
pub fn remove_all(host: &dyn Host) -> Result<(), HostError> {
    for environment in read_all(host)?.lifetimes.keys() {
        remove(host, environment)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Local;

    /// The note of an environment called `new` was taken for what had been begun of another note, so that it was removed
    /// without anybody having been shown that it would be.
    #[test]
    fn an_environment_may_be_called_as_begun_notes_end() {
        let directory = tempfile::tempdir().unwrap();
        let note = |file: &str, environment: &str| {
            let lifetime = Lifetime { expires_s: Some(7), ..Lifetime::default() };
            let text = lifetime.text(&environment.parse().unwrap());
            std::fs::write(directory.path().join(file), text).unwrap();
        };
        note("environment.new", "new");
        note("environment.lab", "lab");
        note("environment.lab.new", "begun");
        note("environment.new.new", "begun");
        let place = directory.path().to_str().unwrap();
        let said = check(&Local, &Command::script(SCRIPT, [place])).unwrap();
        let noted: Vec<String> =
            Lifetime::parse_all(&said).keys().map(ToString::to_string).collect();
        assert_eq!(noted, ["lab", "new"]);
    }
}
