//! The hypervisor's time zone.

use super::{HostFacts, HypervisorNeeds, Lack, Setting};
use crate::plan::Op;

pub(super) fn lacks(facts: &HostFacts, needs: &HypervisorNeeds) -> Option<Lack> {
    let zone = needs.timezone.clone().filter(|zone| facts.timezone.as_ref() != Some(zone))?;
    let detail = format!("{} → {zone}", facts.timezone.as_deref().unwrap_or("unknown"));
    let reason = "the settings ask for it";
    Some(Lack::new(Op::Update, "timezone", detail, reason, Setting::Timezone { zone }))
}

pub(super) fn title() -> String {
    "set the time zone".into()
}

pub(super) fn way_back(before: &str) -> (String, String) {
    ("timezone".into(), before.into())
}
