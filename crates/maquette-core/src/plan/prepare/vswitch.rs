//! Open vSwitch's daemons.

use super::{HostFacts, HypervisorNeeds, Lack, Setting};
use crate::plan::Op;

pub(super) fn lacks(facts: &HostFacts, needs: &HypervisorNeeds) -> Option<Lack> {
    let detail = "start its daemons".into();
    let lack =
        Lack::new(Op::Create, "Open vSwitch", detail, "networks are on it", Setting::Vswitch);
    (needs.vswitch && !facts.vswitch).then_some(lack)
}

pub(super) fn title() -> String {
    "set Open vSwitch".into()
}

pub(super) fn way_back() -> (String, String) {
    ("Open vSwitch".into(), "stop its daemons".into())
}
