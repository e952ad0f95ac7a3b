//! libvirt's hook for networks.

use maquette_core::plan::Setting;
use sha2::{Digest, Sha256};

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};
use crate::probe::Facts;

const FILE: &str = "/etc/libvirt/hooks/network.d/maquette";
const TEXT: &str = include_str!("../../assets/network-hook.sh");

const SCRIPT: &str = concat!(
    "# libvirt's network hook\n",
    include_str!("../../assets/prepare/daemon.sh"),
    include_str!("../../assets/prepare/network-hook.sh"),
);

/// Whether it is there as this version has it.
pub(super) fn is_current(facts: &Facts) -> bool {
    facts.hook.as_ref() == Some(&format!("{:x}", Sha256::digest(TEXT)))
}

pub(super) fn apply(host: &dyn Host) -> Result<(), HostError> {
    record::update(host, |r| r.network_hook = true)?;
    // Whoever looks whether it is there knows it by its text: until libvirt knows of it, that is another one.
    host.write(FILE, format!("{TEXT}# libvirt does not know of it yet.\n").as_bytes(), 0o755)?;
    check(host, &Command::script(SCRIPT, ["apply", FILE]))?;
    host.write(FILE, TEXT.as_bytes(), 0o755)
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    record.network_hook.then_some(Setting::NetworkHook)
}

pub(super) fn restore(host: &dyn Host) -> Result<(), HostError> {
    check(host, &Command::script(SCRIPT, ["restore", FILE])).map(|_| ())
}

pub(super) fn forget(record: &mut Record) {
    record.network_hook = false;
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    use super::TEXT;

    /// Whoever stopped a copy of a bridged network took the guard of the original away: nodes served DHCP to the LAN.
    #[test]
    fn a_copy_of_a_network_undoes_nothing_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        for program in ["nft", "iptables"] {
            let file = directory.path().join(program);
            let text = format!("#!/bin/sh\necho {program} \"$*\" >>{}\nexit 1\n", log.display());
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("PATH={}:/usr/local/sbin:", directory.path().display());
        let hook = TEXT.replace("PATH=/usr/local/sbin:", &path);
        assert_ne!(hook, TEXT);
        let done = |network: &str, tuning: &str| {
            let _ = fs::remove_file(&log);
            let mut sh = Command::new("sh");
            sh.args(["-c", &hook, "sh", network, "stopped"]).stdin(Stdio::piped());
            let mut sh = sh.spawn().unwrap();
            let xml = format!(
                "<network><metadata><maquette:network>\n<maquette:tuning {tuning} link-local='false' hub='false' \
                 querier='false' guard='eth0'/>\n</maquette:network></metadata></network>\n"
            );
            sh.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
            assert!(sh.wait().unwrap().success());
            fs::read_to_string(&log).unwrap_or_default()
        };
        let own = "nft delete table bridge maquette-br0\n";
        assert_eq!(done("lab-lan", "bridge='br0' network='lab-lan'"), own);
        assert_eq!(done("office", "bridge='br0' network='lab-lan'"), "");
        // As earlier releases have written it.
        assert_eq!(done("lab-lan", "bridge='br0'"), own);
        for odd in ["", ".", "..", "br0 x", "br0;x", "a/b"] {
            assert_eq!(done("lab-lan", &format!("bridge='{odd}' network='lab-lan'")), "", "{odd}");
        }
    }
}
