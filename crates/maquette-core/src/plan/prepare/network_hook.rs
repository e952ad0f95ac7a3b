//! A hook of libvirt's that sets what libvirt knows nothing of whenever it starts a network.

use super::{HostFacts, HypervisorNeeds, Lack, Setting};
use crate::plan::Op;

pub(super) fn lacks(facts: &HostFacts, needs: &HypervisorNeeds) -> Option<Lack> {
    let reason = "bridges need what libvirt does not do by itself";
    let detail = "/etc/libvirt/hooks/network.d/maquette".into();
    let lack = Lack::new(Op::Create, "network hook", detail, reason, Setting::NetworkHook);
    (needs.hook && !facts.hook).then_some(lack)
}

pub(super) fn title() -> String {
    "set libvirt's network hook".into()
}

pub(super) fn way_back() -> (String, String) {
    ("network hook".into(), "remove it".into())
}
