//! Who is changing an environment on a hypervisor just now.

use super::lock::directory;
use super::{Command, Host, HostError, check};

/// Prints name and holder of each environment's lock that somebody has, parted by a tab.
const SCRIPT: &str = include_str!("../../assets/host/at-work.sh");

/// Names of environments that somebody is changing, each with who it is.
pub fn at_work(host: &dyn Host) -> Result<Vec<(String, String)>, HostError> {
    look(host, directory())
}

pub(super) fn look(host: &dyn Host, directory: &str) -> Result<Vec<(String, String)>, HostError> {
    let text = check(host, &Command::script(SCRIPT, [directory]))?;
    let pairs = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(pairs.map(|(name, who)| (name.into(), who.into())).collect())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    use super::super::Local;
    use super::*;

    #[test]
    fn who_holds_a_lock_is_at_work_and_what_a_dead_run_left_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let place = directory.path().to_str().unwrap();
        assert_eq!(look(&Local, "/no/such/place").unwrap(), []);
        std::fs::write(at("environment.dead"), "1 2 eve@desk, maquette up\n").unwrap();
        std::fs::write(at("environment.busy"), "1 2 ann@desk, maquette up\n").unwrap();
        std::fs::write(at("hypervisor"), "1 2 bob@desk, maquette up\n").unwrap();
        let mut holder = std::process::Command::new("flock")
            .arg(at("environment.busy"))
            .args(["-c", "echo got; read x"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let found = look(&Local, place).unwrap();
        drop(holder.stdin.take());
        holder.wait().unwrap();
        assert_eq!(found, [("busy".into(), "ann@desk, maquette up".into())]);
        assert_eq!(look(&Local, place).unwrap(), []);
    }
}
