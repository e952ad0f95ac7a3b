//! Limits of the SSH server: sessions in one connection, and connections that have not logged in yet.

use super::{HostFacts, Lack, Setting};
use crate::plan::Op;

pub(super) fn lacks(facts: &HostFacts) -> Option<Lack> {
    let detail = "MaxSessions 100, MaxStartups 100:30:100, in a drop-in".into();
    let reason = "Ansible opens a connection through the hypervisor for each node";
    let lack = Lack::new(Op::Update, "sshd", detail, reason, Setting::SshLimits);
    facts.ssh_limits_low.then_some(lack)
}

pub(super) fn title() -> String {
    "set the SSH server's limits".into()
}

pub(super) fn way_back() -> (String, String) {
    ("sshd".into(), "remove the drop-in".into())
}
