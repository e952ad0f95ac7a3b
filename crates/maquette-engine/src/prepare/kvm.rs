//! Access to `/dev/kvm`.

use maquette_core::plan::{KVM_OPEN, Setting};

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};
use crate::probe::{self, KVM, Reach};

const SCRIPT: &str = include_str!("../../assets/prepare/kvm.sh");

pub(super) fn apply(host: &dyn Host, mode: &str, group: &str) -> Result<(), HostError> {
    let before = probe::gather(host, Reach::Local)?.kvm_device;
    record::update(host, |r| r.kvm = r.kvm.take().or(before))?;
    check(host, &Command::script(SCRIPT, [KVM, mode, group])).map(|_| ())
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    record.kvm.clone().map(|(mode, group)| Setting::Kvm { mode, group })
}

pub(super) fn restore(host: &dyn Host, mode: &str, group: &str) -> Result<String, HostError> {
    let (set_mode, set_group) = KVM_OPEN;
    check(host, &Command::script(SCRIPT, [KVM, mode, group, set_mode, set_group]))
}

pub(super) fn forget(record: &mut Record) {
    record.kvm = None;
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::host::Local;

    #[test]
    fn a_device_that_somebody_has_opened_otherwise_stays_so() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kvm").display().to_string();
        fs::write(&file, "").unwrap();
        let group = check(&Local, &Command::new("id").arg("-gn")).unwrap().trim().to_string();
        for (mode, left, said) in
            [(0o660, 0o600, ""), (0o600, 0o600, ""), (0o666, 0o666, "mode 666")]
        {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let args = [file.as_str(), "0600", &group, "0660", &group];
            let text = check(&Local, &Command::script(SCRIPT, args)).unwrap();
            assert!(text.contains(said) && text.is_empty() == said.is_empty(), "{text}");
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, left);
        }
    }

    /// As on a machine whose device files are those of another system, where it is `kvm`.
    #[test]
    fn a_group_without_a_name_is_known_by_its_number() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let programs = [
            (
                "stat",
                "case $2 in %G) echo UNKNOWN ;; %g) cat \"${0%/*}/group\" ;; *) echo 660 ;; esac",
            ),
            ("chgrp", "echo \"$2\" >\"${0%/*}/group\""),
            ("chmod", ":"),
        ];
        for (name, text) in programs {
            fs::write(at(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let restored = |group: &str| {
            fs::write(at("group"), group).unwrap();
            let mut command = std::process::Command::new("/bin/sh");
            command.args(["-c", SCRIPT, "sh", "/dev/kvm", "660", "993", "660", "108"]);
            let path = format!("{}:/usr/bin:/bin", directory.path().display());
            let output = command.env("PATH", path).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            (fs::read_to_string(at("group")).unwrap(), String::from_utf8(output.stdout).unwrap())
        };
        assert_eq!(restored("108"), ("993\n".into(), String::new()));
        assert_eq!(restored("993"), ("993".into(), String::new()));
        let (left, said) = restored("5");
        assert_eq!(left, "5");
        assert!(said.contains("stays in group 5"), "{said}");
    }
}
