//! The storage pool of volumes.

use super::{HostFacts, HypervisorNeeds, Lack, PoolState, Setting};
use crate::plan::Op;

pub(super) fn lacks(facts: &HostFacts, needs: &HypervisorNeeds) -> Option<Lack> {
    let reason = match &facts.pool {
        PoolState::Active(_) | PoolState::Unreadable(_) => return None,
        PoolState::Inactive(_) => "the pool is defined and not started",
        PoolState::Missing => "there is no such pool",
        PoolState::Unknown => "whether it exists is known when libvirt answers",
    };
    let pool = &needs.pool;
    let name = format!("pool {}", pool.name);
    let setting = Setting::Pool { name: pool.name.to_string(), directory: Some(pool.path.clone()) };
    Some(Lack::new(Op::Create, name, pool.path.to_string(), reason, setting))
}

pub(super) fn title(name: &str) -> String {
    format!("start pool {name}")
}

pub(super) fn way_back(name: &str) -> (String, String) {
    (format!("pool {name}"), "undefine it; files stay".into())
}
