//! Access to `/dev/kvm`, as udev gives it where it runs.

use super::{HostFacts, Lack, Setting};
use crate::plan::Op;

/// Mode, octal, and group that QEMU's user can open it with.
pub const OPEN: (&str, &str) = ("0660", "kvm");

pub(super) fn lacks(facts: &HostFacts) -> Option<Lack> {
    // As long as root can use KVM and QEMU's user cannot, libvirt takes what it knows of QEMU
    // for outdated and probes it again, for seconds, on nearly every call.
    let reason = "QEMU's user cannot open it, which makes libvirt slow";
    let setting = Setting::Kvm { mode: OPEN.0.into(), group: OPEN.1.into() };
    let detail = "open it to group kvm".into();
    facts.kvm_closed.then(|| Lack::new(Op::Update, "/dev/kvm", detail, reason, setting))
}

pub(super) fn title(group: &str) -> String {
    format!("open /dev/kvm to group {group}")
}

pub(super) fn way_back(mode: &str, group: &str) -> (String, String) {
    ("/dev/kvm".into(), format!("mode {mode}, group {group}"))
}
