//! Directories that libvirt's dnsmasq serves over TFTP. Without one that it can read it does not start, and libvirt tells
//! nothing of why.

use maquette_core::values::{NetworkName, TftpRoot};

use crate::StepError;
use crate::host::{Command, Host, check};

const SCRIPT: &str = include_str!("../../assets/net/tftp-root.sh");

/// Looks whether a network's TFTP root is there, and readable for dnsmasq. An error says which of the two it is not.
pub fn readable(host: &dyn Host, root: &TftpRoot, network: &NetworkName) -> Result<(), StepError> {
    let cannot = || StepError::new(format!("cannot serve TFTP on network `{network}`"));
    let said = check(host, &Command::script(SCRIPT, [root.to_string()]))
        .map_err(|error| cannot().because(error))?;
    let (cause, hint) = match said.trim().split_once(' ') {
        None if said.trim().is_empty() => return Ok(()),
        Some(("closed", user)) => (
            format!("dnsmasq's user `{user}` may not read the directory `{root}`"),
            format!("open it for everybody, and those that it is in: `chmod 755 {root}`"),
        ),
        _ => (
            format!("`{root}` is not a directory on the hypervisor"),
            format!("make it there, with the boot files in it: `install -d -m 755 {root}`"),
        ),
    };
    let mut error = cannot();
    error.causes.push(cause);
    Err(error.hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Local;

    #[test]
    fn a_root_that_is_missing_is_named_before_dnsmasq_fails_over_it() {
        let directory = tempfile::tempdir().unwrap();
        let network: NetworkName = "lab-boot".parse().unwrap();
        let root = |name: &str| -> TftpRoot {
            directory.path().join(name).to_string_lossy().parse().unwrap()
        };
        let refused = readable(&Local, &root("missing"), &network).unwrap_err();
        assert!(refused.causes[0].contains("is not a directory on the hypervisor"), "{refused:?}");
        assert!(readable(&Local, &"/usr/share".parse().unwrap(), &network).is_ok());
    }
}
