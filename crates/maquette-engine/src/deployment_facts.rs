//! What InfraRed's other plug-ins read on a hypervisor of environments with a prefix: `ansible_local.deployment_info`.

use maquette_core::names::EnvName;
use maquette_core::topology::Allocation;

use crate::host::{Command, Host, HostError, check};

/// Where Ansible finds facts of a machine's own.
const FILE: &str = "/etc/ansible/facts.d/deployment_info.fact";

const SCRIPT: &str = include_str!("../assets/host/deployment-facts.sh");

/// Notes the subnets of an environment. One without a prefix is not noted.
pub fn write(
    host: &dyn Host,
    environment: &EnvName,
    allocation: Allocation,
) -> Result<(), HostError> {
    let Some(prefix) = environment.prefix() else { return Ok(()) };
    let (net, data_net) = (allocation.net.to_string(), allocation.data_net.to_string());
    let args = [FILE, prefix, net.as_str(), data_net.as_str()];
    check(host, &Command::script(SCRIPT, args)).map(drop)
}

/// Forgets an environment.
pub fn remove(host: &dyn Host, environment: &EnvName) -> Result<(), HostError> {
    let Some(prefix) = environment.prefix() else { return Ok(()) };
    check(host, &Command::script(SCRIPT, [FILE, prefix])).map(drop)
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    /// Sections of others stay, with their comments.
    #[test]
    fn each_prefix_has_a_section_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("facts.d/deployment_info.fact");
        let run = |args: &[&str]| {
            let status = process::Command::new("sh")
                .args(["-euc", SCRIPT, "sh"])
                .arg(&file)
                .args(args)
                .status();
            assert!(status.unwrap().success());
            std::fs::read_to_string(&file).unwrap_or_default()
        };
        assert_eq!(run(&["a"]), "");
        let first = "# environment a\n[a]\nid = 0\nnet = 10\ndata_net = 24\n";
        assert_eq!(run(&["a", "10", "24"]), first);
        let second = "# environment a.b\n[a.b]\nid = 1\nnet = 20\ndata_net = 34\n";
        assert_eq!(run(&["a.b", "20", "34"]), format!("{first}{second}"));
        assert_eq!(run(&["a.b", "20", "34"]), format!("{first}{second}"));
        // Others know it by its ID, and in its place.
        let changed = first.replace("net = 10", "net = 11");
        assert_eq!(run(&["a", "11", "24"]), format!("{changed}{second}"));
        assert_eq!(run(&["a"]), second);
        let third = "# environment c\n[c]\nid = 0\nnet = 30\ndata_net = 44\n";
        assert_eq!(run(&["c", "30", "44"]), format!("{second}{third}"), "the smallest one is free");
        assert_eq!(run(&["c"]), second);
        assert_eq!(run(&["a.b"]), "");
        assert!(!file.parent().unwrap().exists());
    }

    /// Each environment has a lock of its own.
    #[test]
    fn environments_that_are_noted_at_once_have_a_section_each_and_different_ids() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("facts.d/deployment_info.fact");
        let started: Vec<_> = (0..12)
            .map(|number| {
                let mut sh = process::Command::new("sh");
                sh.args(["-euc", SCRIPT, "sh"]).arg(&file);
                sh.args([format!("p{number}"), number.to_string(), number.to_string()]);
                sh.spawn().unwrap()
            })
            .collect();
        for mut child in started {
            assert!(child.wait().unwrap().success());
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let mut ids: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("id = ")).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((text.matches('[').count(), ids.len()), (12, 12), "{text}");
    }
}
