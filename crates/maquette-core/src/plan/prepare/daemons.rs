//! libvirt's daemons.

use super::{HostFacts, Lack, LibvirtState, Setting};
use crate::plan::Op;

pub(super) fn lacks(facts: &HostFacts) -> Option<Lack> {
    let (detail, reason) = ("start its daemons".into(), "libvirt does not answer");
    let lack = Lack::new(Op::Create, "libvirt", detail, reason, Setting::Daemons);
    (facts.libvirt != LibvirtState::Running).then_some(lack)
}

pub(super) fn title() -> String {
    "start libvirt".into()
}

pub(super) fn way_back() -> (String, String) {
    ("libvirt".into(), "stop its daemons".into())
}
