//! What removes environments whose time is up, also when whoever made them is gone.

use super::{HostFacts, HypervisorNeeds, Lack, Setting};
use crate::plan::Op;

pub(super) fn lacks(facts: &HostFacts, needs: &HypervisorNeeds) -> Option<Lack> {
    let reason = "the environment is to be removed when its time is up";
    let detail = "/var/lib/maquette/expire.sh, each minute".into();
    let lack = Lack::new(Op::Create, "expiry", detail, reason, Setting::Expiry);
    (needs.expiry && !facts.expiry).then_some(lack)
}

pub(super) fn title() -> String {
    "set up what removes expired environments".into()
}

pub(super) fn way_back() -> (String, String) {
    ("expiry".into(), "remove what removes expired environments".into())
}
