//! firewalld's zones: libvirt puts each bridge that it makes into the zone `libvirt`, which its packages bring, and makes none
//! where firewalld does not know it. <https://libvirt.org/firewall.html>

use super::{HostFacts, Lack, Setting};
use crate::plan::Op;

pub(super) fn lacks(facts: &HostFacts) -> Option<Lack> {
    let detail = "reload it, if all of its rules are permanent".into();
    let reason = "it has not read libvirt's zone, without which no network starts";
    let lack = || Lack::new(Op::Update, "firewalld", detail, reason, Setting::Firewalld);
    facts.zone_unknown.then(lack)
}

pub(super) fn title() -> String {
    "reload firewalld".into()
}

/// There is none: what it has read is what its files say.
pub(super) fn way_back() -> (String, String) {
    ("firewalld".into(), "nothing".into())
}
