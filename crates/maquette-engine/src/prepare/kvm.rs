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
}
