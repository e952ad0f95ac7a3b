//! Limits of the kernel's that are too low; which ones there are is a table of its own.

use super::limits::{LIMITS, Limit, Load};
use super::{HostFacts, HypervisorNeeds, Lack, Setting};
use crate::plan::Op;

/// A kernel that does not tell a limit has none to raise.
pub(super) fn lacks(facts: &HostFacts, needs: &HypervisorNeeds) -> impl Iterator<Item = Lack> {
    let load = Load {
        networks: needs.networks,
        other_networks: facts.networks,
        interfaces: needs.interfaces,
        ipv6: needs.ipv6,
    };
    LIMITS.iter().filter_map(move |limit| {
        let now = *facts.limits.get(limit.key)?;
        let taken = u64::try_from((limit.taken)(&load)).ok()?;
        if now >= taken {
            return None;
        }
        let value = taken.checked_mul(2)?.checked_next_power_of_two()?;
        let detail = format!("{} {now} → {value}", limit.short());
        let setting = Setting::Limit { limit, value };
        Some(Lack::new(Op::Update, limit.name, detail, limit.reason, setting))
    })
}

pub(super) fn title(limit: &Limit) -> String {
    format!("set {}", limit.title)
}

pub(super) fn way_back(limit: &Limit, before: u64) -> (String, String) {
    (limit.name.into(), format!("{} {before}", limit.short()))
}
